/* "pair" payloads (lib/format/pair.c), from alice for bob of tests/vectors. Past what mutations cannot get through:
 *   S body                 signed here
 *   B len block rest       RSA-OAEP over `len` bytes here, then signed
 *   M split message        sealed here with `split` bytes of ciphertext in the block: must open
 *   L message              sealed by the library: must open
 * max_len 1024 */
#include "crypto/crypto.h"
#include "format/pair.h"
#include "fuzz.h"
#include "../unit/vector.h"

enum { KEY = 16, SEED = 11, HEAD = 3, DER_MAX = 72, INLINE_MAX = IMSG_OAEP_MAX - KEY };

static struct imsg_pair_keys keys_of_both(void)
{
    const struct vector_device *alice = vector_device("alice"), *bob = vector_device("bob");
    return (struct imsg_pair_keys){bob->encryption, &bob->identity, &alice->identity};
}

/* imsg-inspect's way through the same steps ends where imsg-open's does. */
static void traces_the_same(const struct imsg_pair *pair, enum imsg_status status, struct imsg_view plain)
{
    const struct imsg_pair_keys keys = keys_of_both();
    struct imsg_trace trace = {0};
    struct imsg_buf out = {0};
    MUST(imsg_pair_open(pair, &keys, &out, &trace, NULL) == status);
    MUST(imsg_view_equal(imsg_buf_view(&out), plain) && trace.count > 0 && !trace.incomplete);
    imsg_trace_free(&trace);
    imsg_buf_free(&out);
}

static enum imsg_status open_payload(struct imsg_view payload, struct imsg_buf *out, struct imsg_error *err)
{
    const struct imsg_pair_keys keys = keys_of_both();
    struct imsg_layout layout = {0};
    struct imsg_pair pair;
    fuzz_paint(&pair, sizeof pair);
    enum imsg_status status = imsg_pair_parse(payload, &pair, &layout, err);
    fuzz_covers(&layout, payload.len);
    imsg_layout_free(&layout);
    if (status != IMSG_OK) {
        MUST(fuzz_untouched(&pair, sizeof pair));
        return status;
    }
    MUST(pair.body.ptr == payload.ptr + pair.f_body.offset && pair.body.len == pair.f_body.len);
    MUST(pair.signature.ptr == payload.ptr + pair.f_signature.offset && pair.signature.len == pair.f_signature.len);
    MUST(HEAD + pair.body.len + 1 + pair.signature.len == payload.len);
    MUST(pair.block.len == IMSG_RSA_BYTES && pair.block.len + pair.rest.len == pair.body.len);
    status = imsg_pair_open(&pair, &keys, out, NULL, err);
    MUST(status == IMSG_OK || out->len == 0);
    traces_the_same(&pair, status, imsg_buf_view(out));
    MUST(status != IMSG_BAD_SIGNATURE || imsg_pair_verify(&pair, keys.sender, NULL) == IMSG_BAD_SIGNATURE);
    return status;
}

static enum imsg_status open_body(struct imsg_view body, struct imsg_buf *out, struct imsg_error *err)
{
    uint8_t head[HEAD] = {0x02, (uint8_t)(body.len >> 8), (uint8_t)body.len}, digest[20], signature[DER_MAX + 1];
    struct imsg_buf payload = {0};
    size_t len = 0;
    MUST_OK(imsg_sha1(body, digest, &fuzz_err));
    MUST_OK(imsg_p256_sign_der(vector_device("alice")->signing, imsg_view_of(digest, sizeof digest), signature + 1,
                               &len, &fuzz_err));
    signature[0] = (uint8_t)len;
    MUST_OK(imsg_buf_append(&payload, head, sizeof head, &fuzz_err));
    MUST_OK(imsg_buf_append(&payload, body.ptr, body.len, &fuzz_err));
    MUST_OK(imsg_buf_append(&payload, signature, len + 1, &fuzz_err));
    enum imsg_status status = open_payload(imsg_buf_view(&payload), out, err);
    MUST(status != IMSG_BAD_SIGNATURE && status != IMSG_UNSUPPORTED);
    imsg_buf_free(&payload);
    return status;
}

static enum imsg_status open_block(struct imsg_view block, struct imsg_view rest, struct imsg_buf *out,
                                   struct imsg_error *err)
{
    struct imsg_buf body = {0};
    MUST_OK(imsg_buf_reserve(&body, IMSG_RSA_BYTES, &fuzz_err));
    MUST_OK(imsg_rsa_oaep_seal(vector_device("bob")->identity.modulus, block, body.ptr, &fuzz_err));
    body.len = IMSG_RSA_BYTES;
    MUST_OK(imsg_buf_append(&body, rest.ptr, rest.len, &fuzz_err));
    enum imsg_status status = open_body(imsg_buf_view(&body), out, err);
    /* A good tag by chance is one in 2^40. */
    MUST(status == (block.len < KEY ? IMSG_MALFORMED : IMSG_BAD_TAG) || status == IMSG_OK);
    imsg_buf_free(&body);
    return status;
}

static void open_message(size_t split, struct imsg_view message, struct imsg_buf *out)
{
    const uint8_t version = 0x02, counter[16] = {[15] = 1};
    const struct imsg_view parts[] = {message, imsg_view_of(&version, 1),
                                      imsg_view_of(vector_device("alice")->identity.hash, 32),
                                      imsg_view_of(vector_device("bob")->identity.hash, 32)};
    uint8_t key[SEED + 32] = "hello world"; /* any seed will do; the first bytes of the HMAC follow it */
    struct imsg_buf plain = {0};
    MUST_OK(imsg_hmac_sha256(imsg_view_of(key, SEED), parts, 4, key + SEED, &fuzz_err));
    MUST_OK(imsg_buf_append(&plain, key, KEY, &fuzz_err));
    MUST_OK(imsg_buf_append(&plain, message.ptr, message.len, &fuzz_err));
    if (message.len > 0)
        MUST_OK(imsg_aes128_ctr(plain.ptr, counter, plain.ptr + KEY, plain.ptr + KEY, message.len, &fuzz_err));
    struct imsg_view rest = imsg_buf_view(&plain), block = fuzz_take(&rest, KEY + split);
    MUST_OK(open_block(block, rest, out, &fuzz_err));
    MUST(imsg_view_equal(imsg_buf_view(out), message));
    imsg_buf_free(&plain);
}

static void open_sealed(struct imsg_view message, struct imsg_buf *out)
{
    const struct vector_device *alice = vector_device("alice"), *bob = vector_device("bob");
    struct imsg_buf payload = {0};
    MUST_OK(imsg_pair_seal(alice->signing, &alice->identity, &bob->identity, message, &payload, &fuzz_err));
    MUST_OK(open_payload(imsg_buf_view(&payload), out, &fuzz_err));
    MUST(imsg_view_equal(imsg_buf_view(out), message));
    imsg_buf_free(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_view input = imsg_view_of(data, size);
    struct imsg_buf out = {0};
    struct imsg_error err = {0};
    enum imsg_status status = IMSG_OK;
    if (fuzz_mode(&input, 'S')) {
        status = open_body(input, &out, &err);
    } else if (fuzz_mode(&input, 'B')) {
        struct imsg_view len = fuzz_take(&input, 1);
        struct imsg_view block = fuzz_take(&input, len.len > 0 ? len.ptr[0] % (IMSG_OAEP_MAX + 1) : 0);
        status = open_block(block, input, &out, &err);
    } else if (fuzz_mode(&input, 'M')) {
        struct imsg_view split = fuzz_take(&input, 1);
        open_message(split.len > 0 ? split.ptr[0] % (INLINE_MAX + 1) : 0, input, &out);
    } else if (fuzz_mode(&input, 'L')) {
        open_sealed(input, &out);
    } else {
        status = open_payload(input, &out, &err);
    }
    if (status != IMSG_OK)
        fuzz_refused(status, &err, size + IMSG_RSA_BYTES + DER_MAX + HEAD + 1);
    imsg_buf_free(&out);
    return 0;
}
