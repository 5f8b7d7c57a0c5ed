#include "crypto/internal.h"

#include <string.h>

#include "base/text.h"

/* RFC 4122 §4.1.3 and §4.1.1: the version in the high half of byte 6, the variant in the top bits of byte 8. */
static void print_uuid(uint8_t bytes[static 16], unsigned version, char out[static 37])
{
    static const uint8_t group[] = {4, 2, 2, 2, 6};
    char *at = out;

    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | version << 4);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof group; i++) {
        imsg_hex(bytes, group[i], at);
        bytes += group[i];
        at += 2 * group[i];
        *at++ = i + 1 < sizeof group ? '-' : '\0';
    }
}

enum imsg_status imsg_uuid_v4(char out[static 37], struct imsg_error *err)
{
    uint8_t bytes[16];
    enum imsg_status status = imsg_random(bytes, sizeof bytes, err);

    if (status == IMSG_OK)
        print_uuid(bytes, 4, out);
    return status;
}

enum imsg_status imsg_uuid_v5(const uint8_t space[static 16], struct imsg_view name, char out[static 37],
                              struct imsg_error *err)
{
    struct imsg_digest *digest = NULL;
    uint8_t hash[20];

    enum imsg_status status = imsg_digest_new(IMSG_SHA1, &digest, err);
    if (status == IMSG_OK)
        status = imsg_digest_update(digest, imsg_view_of(space, 16), err);
    if (status == IMSG_OK)
        status = imsg_digest_update(digest, name, err);
    if (status == IMSG_OK)
        status = imsg_digest_final(digest, hash, err);
    if (status == IMSG_OK)
        print_uuid(hash, 5, out);
    imsg_digest_free(digest);
    return status;
}
