/* Prekey records (lib/format/prekey.c), of alice of tests/vectors.
 *   M x time               a record made here of 32 + 8 bytes: must verify if x is a point
 * max_len 512 */
#include "crypto/crypto.h"
#include "fuzz.h"
#include "../unit/vector.h"

static void made(struct imsg_view input, const struct vector_device *alice)
{
    uint8_t x[32] = {0}, point[65];
    double when = 0;
    struct imsg_prekey prekey, again;
    struct imsg_view part = fuzz_take(&input, sizeof x);
    memcpy(x, part.ptr, part.len);
    part = fuzz_take(&input, sizeof when);
    memcpy(&when, part.ptr, part.len);
    MUST_OK(imsg_prekey_make(alice->device, x, when, &prekey, &fuzz_err));
    MUST_OK(imsg_prekey_parse(imsg_view_of(prekey.raw, sizeof prekey.raw), &again, &fuzz_err));
    MUST(memcmp(&prekey, &again, sizeof prekey) == 0 && memcmp(again.x, x, sizeof x) == 0);
    enum imsg_status status = imsg_p256_lift(x, point, NULL);
    MUST(imsg_prekey_verify(&prekey, imsg_p256_point(alice->device) + 1, NULL) == status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vector_device *alice = vector_device("alice");
    struct imsg_view input = imsg_view_of(data, size);
    struct imsg_prekey prekey;
    struct imsg_error err = {0};
    if (fuzz_mode(&input, 'M')) {
        made(input, alice);
        return 0;
    }
    fuzz_paint(&prekey, sizeof prekey);
    enum imsg_status status = imsg_prekey_parse(input, &prekey, &err);
    if (status != IMSG_OK) {
        fuzz_refused(status, &err, size);
        MUST(err.has_offset && fuzz_untouched(&prekey, sizeof prekey));
        return 0;
    }
    struct imsg_prekey again;
    MUST_OK(imsg_prekey_parse(imsg_view_of(prekey.raw, sizeof prekey.raw), &again, &fuzz_err));
    MUST(size >= sizeof prekey.raw && memcmp(&prekey, &again, sizeof prekey) == 0);
    status = imsg_prekey_verify(&prekey, imsg_p256_point(alice->device) + 1, &err);
    MUST(status == IMSG_OK || status == IMSG_MALFORMED || status == IMSG_BAD_SIGNATURE);
    return 0;
}
