/* The JWS around a directory entry (lib/format/jws.c), by carol's signing key of tests/vectors.
 *   H header               a protected header, signed here
 *   P payload              signed here: must verify
 * max_len 4096 */
#include "base/text.h"
#include "crypto/crypto.h"
#include "format/jws.h"
#include "fuzz.h"
#include "../unit/vector.h"

static void add(struct imsg_buf *out, const char *before, struct imsg_view bytes)
{
    MUST_OK(imsg_buf_text(out, before, &fuzz_err));
    MUST_OK(imsg_base64url_encode(bytes, out, &fuzz_err));
}

static void wrap_header(struct imsg_view header, const struct imsg_p256 *key, struct imsg_buf *file)
{
    struct imsg_buf covered = {0};
    uint8_t digest[32], signature[64];
    add(&covered, "", header);
    add(&covered, ".", imsg_view_str("{}"));
    MUST_OK(imsg_sha256(imsg_buf_view(&covered), digest, &fuzz_err));
    MUST_OK(imsg_p256_sign(key, imsg_view_of(digest, sizeof digest), signature, &fuzz_err));
    add(file, "{\"protected\":\"", header);
    add(file, "\",\"payload\":\"", imsg_view_str("{}"));
    add(file, "\",\"signature\":\"", imsg_view_of(signature, sizeof signature));
    MUST_OK(imsg_buf_text(file, "\"}", &fuzz_err));
    imsg_buf_free(&covered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct imsg_p256 *carol = vector_device("carol")->signing;
    struct imsg_view input = imsg_view_of(data, size), text = input;
    struct imsg_buf file = {0}, payload = {0};
    struct imsg_error err = {0};
    uint8_t account[65];
    bool header = fuzz_mode(&input, 'H'), signs = !header && fuzz_mode(&input, 'P');
    if (header)
        wrap_header(input, carol, &file);
    else if (signs)
        MUST_OK(imsg_jws_sign(carol, input, &file, &fuzz_err));
    if (header || signs)
        text = imsg_buf_view(&file);
    fuzz_paint(account, sizeof account);
    enum imsg_status status = imsg_jws_verify(text, &payload, account, &err);
    if (status != IMSG_OK) {
        fuzz_refused_document(status, &err, text);
        MUST(!signs && payload.ptr == NULL && fuzz_untouched(account, sizeof account));
    }
    if (status == IMSG_OK && (header || signs))
        MUST(memcmp(account, imsg_p256_point(carol), sizeof account) == 0);
    if (signs)
        MUST(imsg_view_equal(imsg_buf_view(&payload), input));
    imsg_buf_free(&payload);
    imsg_buf_free(&file);
    return 0;
}
