/* From a plaintext to a payload for one device, and from an envelope back to a verified message. */
#include <string.h>

#include "crypto/crypto.h"
#include "format/device.h"
#include "format/document.h"
#include "format/pair_ec.h"

enum imsg_status imsg_seal_payload(const struct imsg_identity *sender, const struct imsg_device *device,
                                   enum imsg_format format, uint32_t counter, uint32_t limit,
                                   struct imsg_view plaintext, struct imsg_buf *out, struct imsg_error *err)
{
    size_t before = out->len;
    enum imsg_status status;
    if (!imsg_device_offers(device, format))
        return imsg_fail(err, IMSG_REFUSED, "the device does not offer %s", imsg_format_name(format));
    if (format == IMSG_PAIR ? !sender->has_pair : !sender->has_pair_ec)
        return imsg_fail(err, IMSG_REFUSED, "this identity has no keys for %s", imsg_format_name(format));
    status = imsg_device_check(device, err); /* a record with a bad prekey is not sealed for in any format */
    if (status != IMSG_OK)
        return status;
    if (format == IMSG_PAIR)
        status = imsg_pair_seal(sender->signing, &sender->identity, &device->identity, plaintext, out, err);
    else
        status = imsg_pair_ec_seal_to(sender->device, device->device_x, imsg_device_prekey(device), counter, plaintext,
                                      out, err);
    if (status == IMSG_OK && limit && out->len - before > limit) {
        size_t size = out->len - before;
        out->len = before;
        status = imsg_fail(err, IMSG_TOO_LONG, "a payload of %zu bytes is over the device's limit of %u", size, limit);
    }
    return status;
}

/* Every failure from the signature on looks like this from outside: telling them apart is a decryption oracle. */
static enum imsg_status refuse(enum imsg_status why, enum imsg_status *out, struct imsg_error *err)
{
    if (out)
        *out = why;
    if (why == IMSG_NO_MEMORY || why == IMSG_INTERNAL)
        return why;
    return imsg_fail(err, IMSG_REFUSED, "refused");
}

static enum imsg_status open_pair(const struct imsg_identity *identity, const struct imsg_device *sender,
                                  const struct imsg_pair *pair, struct imsg_buf *plaintext, struct imsg_error *err)
{
    if (!identity->has_pair)
        return IMSG_NOT_FOR_THIS_KEY;
    if (!sender->has_pair)
        return IMSG_BAD_SIGNATURE;
    return imsg_pair_open(pair, identity->encryption, &identity->identity, &sender->identity, plaintext, err);
}

/* Prekey number i, newest first: the one in use, then the retired ones; NULL for one that cannot be loaded, so that a
 * damaged old key does not hide the others. */
static const struct imsg_p256 *prekey_number(struct imsg_identity *identity, size_t i)
{
    struct imsg_p256 *retired = NULL;
    if (i == 0)
        return identity->prekey;
    return imsg_identity_retired(identity, identity->retired_count - i, &retired, NULL) == IMSG_OK ? retired : NULL;
}

static enum imsg_status open_pair_ec(struct imsg_identity *identity, const struct imsg_device *sender,
                                     const struct imsg_pair_ec *pair_ec, struct imsg_buf *plaintext,
                                     struct imsg_error *err)
{
    enum imsg_status status = IMSG_NOT_FOR_THIS_KEY;
    bool tried = false;
    if (!identity->has_pair_ec)
        return IMSG_NOT_FOR_THIS_KEY;
    if (!sender->has_pair_ec)
        return IMSG_BAD_SIGNATURE;
    /* Two bytes of the validator say which prekey: another with the same two is tried when the first does not fit. */
    for (size_t i = 0; i <= identity->retired_count && status != IMSG_OK; i++) {
        const struct imsg_p256 *prekey = prekey_number(identity, i);
        if (!prekey || memcmp(imsg_p256_point(prekey) + 1, pair_ec->validator + 4, 2) != 0)
            continue;
        tried = true;
        status =
            imsg_pair_ec_open_from(pair_ec, identity->device_x, prekey, sender->auth, plaintext, NULL, NULL, NULL, err);
    }
    if (!tried) /* refused, but not faster than the others */
        status = imsg_pair_ec_open_from(pair_ec, identity->device_x, identity->prekey, sender->auth, plaintext, NULL,
                                        NULL, NULL, err);
    return status;
}

enum imsg_status imsg_open_payload(struct imsg_identity *identity, const struct imsg_device *sender,
                                   enum imsg_format format, struct imsg_view payload, struct imsg_buf *plaintext,
                                   enum imsg_status *why, struct imsg_error *err)
{
    struct imsg_pair pair;
    struct imsg_pair_ec pair_ec;
    enum imsg_status status =
        format == IMSG_PAIR ? imsg_pair_parse(payload, &pair, err) : imsg_pair_ec_parse(payload, &pair_ec, err);
    if (status != IMSG_OK) {
        if (why)
            *why = status;
        imsg_error_prefix(err, "%s payload", imsg_format_name(format));
        return status;
    }
    status = format == IMSG_PAIR ? open_pair(identity, sender, &pair, plaintext, err)
                                 : open_pair_ec(identity, sender, &pair_ec, plaintext, err);
    return status == IMSG_OK ? IMSG_OK : refuse(status, why, err);
}

static bool among(const char *handle, char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], handle) == 0)
            return true;
    return false;
}

/* The envelope's routing is unauthenticated: it must say what the sealed header says (formats.md §7). */
static bool header_agrees(const struct imsg_message *message, const struct imsg_envelope *envelope)
{
    return strcmp(message->id, envelope->id) == 0 && strcmp(message->from, envelope->from) == 0 &&
           strcmp(message->time, envelope->time) == 0 &&
           (among(envelope->to, message->to, message->to_count) || strcmp(envelope->to, message->from) == 0);
}

enum imsg_status imsg_open_envelope(struct imsg_identity *identity, const struct imsg_device *sender,
                                    const struct imsg_envelope *envelope, struct imsg_buf *plaintext,
                                    struct imsg_message *message, enum imsg_status *why, struct imsg_error *err)
{
    struct imsg_message opened = {0};
    size_t before = plaintext->len;
    enum imsg_status status;
    if (memcmp(envelope->to_token, identity->token, IMSG_TOKEN) != 0 ||
        !imsg_identity_has_handle(identity, envelope->to) || memcmp(sender->token, envelope->from_token, IMSG_TOKEN) ||
        !imsg_device_has_handle(sender, envelope->from))
        return refuse(IMSG_REFUSED, why, err);
    status =
        imsg_open_payload(identity, sender, envelope->format, imsg_buf_view(&envelope->payload), plaintext, why, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_message_parse(imsg_view_of(plaintext->ptr + before, plaintext->len - before), &opened, err);
    if (status == IMSG_OK && !header_agrees(&opened, envelope))
        status = IMSG_REFUSED;
    if (status != IMSG_OK) {
        imsg_message_free(&opened);
        imsg_wipe(plaintext->ptr + before, plaintext->len - before);
        plaintext->len = before;
        return refuse(status, why, err);
    }
    *message = opened;
    return IMSG_OK;
}
