/* Bearer tokens (lib/format/bearer.c), by carol's signing key of tests/vectors.
 *   H header               a protected header, signed here over good claims
 *   P claims               signed here
 *   A audience             a token for it must read back as made
 * max_len 2048 */
#include "format/bearer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/jws.h"
#include "fuzz.h"
#include "../unit/vector.h"

#define NOW 1795000000

static void add(struct imsg_buf *out, const char *before, struct imsg_view bytes)
{
    MUST_OK(imsg_buf_text(out, before, &fuzz_err));
    MUST_OK(imsg_base64url_encode(bytes, out, &fuzz_err));
}

static void wrap_header(struct imsg_view header, const struct imsg_p256 *key, struct imsg_buf *text)
{
    char hex[65], claims[160];
    uint8_t digest[32], signature[64];
    MUST_OK(imsg_sha256(imsg_view_of(imsg_p256_point(key), 65), digest, &fuzz_err));
    imsg_hex(digest, sizeof digest, hex);
    snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"aud\":\"https://relay.example\",\"iat\":%d}", hex, NOW);
    add(text, "", header);
    add(text, ".", imsg_view_str(claims));
    MUST_OK(imsg_sha256(imsg_buf_view(text), digest, &fuzz_err));
    MUST_OK(imsg_p256_sign(key, imsg_view_of(digest, sizeof digest), signature, &fuzz_err));
    add(text, ".", imsg_view_of(signature, sizeof signature));
}

static void audience(struct imsg_view input, const struct imsg_p256 *key)
{
    struct imsg_buf text = {0};
    struct imsg_bearer bearer;
    char *name = fuzz_string(input);
    enum imsg_status status = imsg_bearer_make(key, name, NOW, &text, &fuzz_err);
    if (status == IMSG_OK) {
        MUST_OK(imsg_bearer_parse(imsg_buf_view(&text), &bearer, &fuzz_err));
        MUST(strcmp(bearer.audience, name) == 0 && bearer.issued == NOW && bearer.expires == INT64_MAX);
    } else {
        MUST(status == IMSG_TOO_LONG || (status == IMSG_MALFORMED && !imsg_utf8_valid(imsg_view_str(name))));
        MUST(text.len == 0);
    }
    imsg_buf_free(&text);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct imsg_p256 *carol = vector_device("carol")->signing;
    struct imsg_view input = imsg_view_of(data, size), text = input;
    struct imsg_buf made = {0};
    struct imsg_error err = {0};
    struct imsg_bearer bearer;
    if (fuzz_mode(&input, 'A')) {
        audience(input, carol);
        return 0;
    }
    bool header = fuzz_mode(&input, 'H'), claims = !header && fuzz_mode(&input, 'P');
    if (header)
        wrap_header(input, carol, &made);
    else if (claims)
        MUST_OK(imsg_jws_sign_compact(carol, input, &made, &fuzz_err));
    if (header || claims)
        text = imsg_buf_view(&made);
    fuzz_paint(&bearer, sizeof bearer);
    enum imsg_status status = imsg_bearer_parse(text, &bearer, &err);
    if (status != IMSG_OK) {
        fuzz_refused(status, &err, text.len);
        MUST(fuzz_untouched(&bearer, sizeof bearer));
    } else {
        MUST(memchr(bearer.audience, 0, sizeof bearer.audience) != NULL && bearer.issued >= 0);
    }
    imsg_buf_free(&made);
    return 0;
}
