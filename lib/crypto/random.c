#include "crypto/internal.h"

#include <limits.h>

#include <openssl/rand.h>

enum imsg_status imsg_random(void *out, size_t len, struct imsg_error *err)
{
    uint8_t *at = out;
    size_t left = len;

    imsg_crypto_start();
    while (left > 0) {
        int part = left > INT_MAX ? INT_MAX : (int)left;
        if (RAND_priv_bytes(at, part) != 1) {
            imsg_wipe(out, len);
            return imsg_crypto_fail(err, IMSG_INTERNAL, "the random source failed");
        }
        at += part;
        left -= (size_t)part;
    }
    return IMSG_OK;
}
