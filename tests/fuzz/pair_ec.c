/* "pair-ec" payloads (lib/format/pair_ec.c), from alice for bob of tests/vectors. Past what mutations cannot get
 * through:
 *   D padded               encrypted and signed here: what opening finds once it has decrypted
 *   S counter message      sealed (4 bytes of counter): must open
 * Neither letter can start a payload: both are protobuf groups.
 * max_len 1024 */
#include "crypto/crypto.h"
#include "format/pair_ec.h"
#include "format/protobuf.h"
#include "fuzz.h"
#include "../unit/vector.h"

#define AROUND 128 /* at least what stands around `padded` in a payload made here, bytes */

static struct imsg_view x_of(const struct imsg_p256 *key)
{
    return imsg_view_of(imsg_p256_point(key) + 1, 32);
}

static struct imsg_pair_ec_keys keys_of_both(void)
{
    const struct vector_device *alice = vector_device("alice"), *bob = vector_device("bob");
    return (struct imsg_pair_ec_keys){x_of(bob->device).ptr, bob->prekey, imsg_p256_point(alice->device)};
}

/* imsg-inspect's way through the same steps ends where imsg-open's does. */
static void traces_the_same(const struct imsg_pair_ec *parsed, enum imsg_status status, struct imsg_view plain,
                            uint64_t *counter)
{
    const struct imsg_pair_ec_keys keys = keys_of_both();
    struct imsg_trace trace = {0};
    struct imsg_buf out = {0};
    MUST(imsg_pair_ec_open(parsed, &keys, &out, &trace, NULL) == status);
    const struct imsg_step *found = imsg_trace_find(&trace, "counter", IMSG_STEP_NUMBER);
    *counter = found ? found->number : 0;
    const struct imsg_step *inner = imsg_trace_find(&trace, "inner", IMSG_STEP_VALUE);
    fuzz_covers(&trace.inner, inner ? inner->bytes.len : 0);
    MUST(imsg_view_equal(imsg_buf_view(&out), plain) && trace.count > 0 && !trace.incomplete);
    imsg_trace_free(&trace);
    imsg_buf_free(&out);
}

static enum imsg_status open_payload(struct imsg_view payload, struct imsg_buf *out, uint64_t *counter,
                                     struct imsg_error *err)
{
    const struct imsg_pair_ec_keys keys = keys_of_both();
    struct imsg_layout layout = {0};
    struct imsg_pair_ec parsed;
    fuzz_paint(&parsed, sizeof parsed);
    enum imsg_status status = imsg_pair_ec_parse(payload, &parsed, &layout, err);
    fuzz_covers(&layout, payload.len);
    imsg_layout_free(&layout);
    if (status != IMSG_OK) {
        MUST(fuzz_untouched(&parsed, sizeof parsed));
        return status;
    }
    MUST(parsed.payload.ptr == payload.ptr + parsed.f_payload.offset && parsed.payload.len == parsed.f_payload.len);
    MUST(parsed.f_payload.offset + parsed.f_payload.len <= payload.len);
    MUST(memcmp(parsed.ephemeral_x, payload.ptr + parsed.f_ephemeral.offset, sizeof parsed.ephemeral_x) == 0);
    MUST(memcmp(parsed.ephemeral_x, parsed.ephemeral + 1, sizeof parsed.ephemeral_x) == 0);
    MUST(memcmp(parsed.signature, payload.ptr + parsed.f_signature.offset, sizeof parsed.signature) == 0);
    MUST(memcmp(parsed.validator, payload.ptr + parsed.f_validator.offset, sizeof parsed.validator) == 0);
    status = imsg_pair_ec_open(&parsed, &keys, out, NULL, err);
    MUST(status == IMSG_OK ? out->len <= parsed.payload.len : out->len == 0);
    traces_the_same(&parsed, status, imsg_buf_view(out), counter);
    return status;
}

/* All that stands around `padded`, as format.md §5 has it. */
static enum imsg_status open_padded(struct imsg_view padded, struct imsg_buf *out, struct imsg_error *err)
{
    static struct imsg_p256 *ephemeral;
    const struct vector_device *alice = vector_device("alice"), *bob = vector_device("bob");
    struct imsg_view salt = imsg_view_str("LastPawn-MessageKeys"), none = {0};
    uint8_t secret[32], keys[48], hash[32], signature[64], validator[7] = {[6] = 0x0C};
    struct imsg_buf text = {0}, payload = {0};
    if (!ephemeral)
        MUST_OK(imsg_p256_generate(&ephemeral, &fuzz_err));
    MUST_OK(imsg_p256_ecdh(ephemeral, imsg_p256_point(bob->prekey), secret, &fuzz_err));
    MUST_OK(imsg_hkdf_sha256(imsg_view_of(secret, 32), salt, none, keys, sizeof keys, &fuzz_err));
    MUST_OK(imsg_buf_append(&text, padded.ptr, padded.len, &fuzz_err));
    if (padded.len > 0)
        MUST_OK(imsg_aes256_ctr64(keys, keys + 32, text.ptr, text.ptr, text.len, &fuzz_err));
    const struct imsg_view parts[] = {imsg_view_of(secret, 32), x_of(bob->prekey), x_of(ephemeral), x_of(bob->device),
                                      imsg_buf_view(&text)};
    MUST_OK(imsg_sha256_parts(parts, 5, hash, &fuzz_err));
    MUST_OK(imsg_p256_sign(alice->device, imsg_view_of(hash, 32), signature, &fuzz_err));
    memcpy(validator, x_of(alice->device).ptr, 2);
    memcpy(validator + 2, x_of(bob->device).ptr, 2);
    memcpy(validator + 4, x_of(bob->prekey).ptr, 2);
    MUST_OK(imsg_pb_put_bytes(&payload, 1, imsg_buf_view(&text), &fuzz_err));
    MUST_OK(imsg_pb_put_bytes(&payload, 2, x_of(ephemeral), &fuzz_err));
    MUST_OK(imsg_pb_put_bytes(&payload, 3, imsg_view_of(signature, sizeof signature), &fuzz_err));
    MUST_OK(imsg_pb_put_bytes(&payload, 99, imsg_view_of(validator, sizeof validator), &fuzz_err));
    uint64_t counter;
    enum imsg_status status = open_payload(imsg_buf_view(&payload), out, &counter, err);
    MUST(status == IMSG_OK || status == IMSG_MALFORMED);
    imsg_buf_free(&payload);
    imsg_buf_free(&text);
    return status;
}

static void open_sealed(struct imsg_view message, struct imsg_buf *out)
{
    const struct vector_device *alice = vector_device("alice"), *bob = vector_device("bob");
    struct imsg_view bytes = fuzz_take(&message, 4);
    struct imsg_pair_ec_recipient recipient = {x_of(bob->device).ptr, imsg_p256_point(bob->prekey), 0};
    uint64_t found = 0;
    struct imsg_buf payload = {0};
    memcpy(&recipient.counter, bytes.ptr, bytes.len);
    MUST_OK(imsg_pair_ec_seal(alice->device, &recipient, message, &payload, &fuzz_err));
    MUST_OK(open_payload(imsg_buf_view(&payload), out, &found, &fuzz_err));
    MUST(imsg_view_equal(imsg_buf_view(out), message) && found == recipient.counter);
    imsg_buf_free(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_view input = imsg_view_of(data, size);
    struct imsg_buf out = {0};
    struct imsg_error err = {0};
    enum imsg_status status = IMSG_OK;
    uint64_t counter;
    if (fuzz_mode(&input, 'D'))
        status = open_padded(input, &out, &err);
    else if (fuzz_mode(&input, 'S'))
        open_sealed(input, &out);
    else
        status = open_payload(input, &out, &counter, &err);
    if (status != IMSG_OK)
        fuzz_refused(status, &err, size + AROUND);
    imsg_buf_free(&out);
    return 0;
}
