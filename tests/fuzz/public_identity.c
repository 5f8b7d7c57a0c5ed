/* The 249 bytes of a "pair" device's public keys (lib/format/public_identity.c).
 * max_len 256 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_public_identity identity, made;
    struct imsg_error err = {0};
    fuzz_paint(&identity, sizeof identity);
    enum imsg_status status = imsg_public_identity_parse(imsg_view_of(data, size), &identity, &err);
    if (status != IMSG_OK) {
        fuzz_refused(status, &err, size);
        MUST(err.has_offset);
        MUST(fuzz_untouched(&identity, sizeof identity));
        return 0;
    }
    MUST(size == sizeof identity.raw && memcmp(identity.raw, data, size) == 0);
    MUST_OK(imsg_public_identity_make(identity.signing, identity.modulus, &made, &fuzz_err));
    MUST(memcmp(made.raw, data, size) == 0 && memcmp(made.hash, identity.hash, sizeof made.hash) == 0);
    return 0;
}
