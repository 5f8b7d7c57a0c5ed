#include "crypto/internal.h"

#include <string.h>

#define LABEL "PUBLIC KEY"
#define BEGIN "-----BEGIN " LABEL "-----"
#define END "-----END " LABEL "-----"

/* SubjectPublicKeyInfo (RFC 5480) of id-ecPublicKey, prime256v1; a point of 65 bytes follows. */
static const uint8_t head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
                               0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
enum { POINT = 65 };

enum imsg_status imsg_p256_public_to_pem(const uint8_t point[static 65], struct imsg_buf *out, struct imsg_error *err)
{
    uint8_t der[sizeof head + POINT];
    memcpy(der, head, sizeof head);
    memcpy(der + sizeof head, point, POINT);
    return imsg_armour_write(imsg_view_of(der, sizeof der), LABEL, out, err);
}

/* Bytes up to the end of the first END line; 0: there is none. */
static size_t block_length(struct imsg_view pem)
{
    size_t len = strlen(END);
    for (size_t i = 0; i + len <= pem.len; i++)
        if (memcmp(pem.ptr + i, END, len) == 0) {
            size_t end = i + len;
            while (end < pem.len && (pem.ptr[end] == '\n' || pem.ptr[end] == '\r'))
                end++;
            return end;
        }
    return 0;
}

enum imsg_status imsg_p256_public_from_pem(struct imsg_view pem, uint8_t point[static 65], bool *found,
                                           struct imsg_view *rest, struct imsg_error *err)
{
    struct imsg_buf der = {0};
    enum imsg_status status = IMSG_OK;
    bool begins = pem.len >= strlen(BEGIN) && memcmp(pem.ptr, BEGIN, strlen(BEGIN)) == 0;
    size_t len = begins ? block_length(pem) : 0;
    if (begins && (!imsg_armour_read(imsg_view_of(pem.ptr, len), LABEL, &der) || der.len != sizeof head + POINT ||
                   memcmp(der.ptr, head, sizeof head) != 0))
        status = imsg_fail(err, IMSG_MALFORMED, "it begins with a public key that is no P-256 key");
    else if (begins)
        status = imsg_p256_check(der.ptr + sizeof head, err);
    if (status == IMSG_OK && begins)
        memcpy(point, der.ptr + sizeof head, POINT);
    if (status == IMSG_OK) {
        *found = begins;
        *rest = imsg_view_of(pem.len ? pem.ptr + len : pem.ptr, pem.len - len);
    }
    imsg_buf_free(&der);
    return status;
}
