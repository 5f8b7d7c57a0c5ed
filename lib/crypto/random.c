#include "crypto/internal.h"

#include <openssl/rand.h>

#define PART_MAX ((size_t)1 << 30) /* a method of RAND_set_rand_method takes an int */

enum imsg_status imsg_random(void *out, size_t len, struct imsg_error *err)
{
    uint8_t *at = out;
    size_t left = len;
    bool good = true;

    ERR_set_mark();
    while (good && left > 0) {
        size_t part = left > PART_MAX ? PART_MAX : left;
        good = RAND_priv_bytes_ex(imsg_crypto_context(), at, part, 0) == 1;
        at += part;
        left -= part;
    }
    if (!good)
        imsg_wipe(out, len);
    return imsg_crypto_end(err, good ? IMSG_OK : IMSG_INTERNAL, "the random source failed");
}
