/* The replay key: what stays the same of a payload, whatever is changed about it without a private key. The signature
 * itself can be changed (ECDSA's s to n - s, another signer's over the same body), unknown protobuf fields too. */
#include <stdlib.h>

#include "crypto/crypto.h"
#include "format/format.h"

enum imsg_status imsg_envelope_replay_key(const struct imsg_envelope *envelope, uint8_t key[static 32],
                                          struct imsg_error *err)
{
    const struct imsg_format *format = envelope->format;
    struct imsg_view hashed[2 + IMSG_REPLAY_PARTS] = {imsg_view_str(format->name),
                                                      imsg_view_of(envelope->to_token, IMSG_TOKEN)};
    void *parts = malloc(format->parts_size);
    if (!parts)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = format->parse(imsg_buf_view(&envelope->payload), parts, NULL, err);
    if (status == IMSG_OK)
        status = imsg_sha256_sized("imsg replay/1\n", hashed, 2 + format->replay_parts(parts, hashed + 2), key, err);
    free(parts);
    return status;
}
