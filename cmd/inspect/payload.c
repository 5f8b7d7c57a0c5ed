/* Binary forms that stand alone: a payload, a prekey record, a public identity. */
#include "inspect/inspect.h"

#include "crypto/crypto.h"

/* Who may have sealed a bare payload: the first known device that may have by what shows without a private key; else
 * the first record that offers the format; NULL if there is none. */
static const struct imsg_device *likely_sender(const struct inspect *run, struct imsg_payload payload)
{
    const struct imsg_device *first = NULL;
    for (size_t i = 0; i <= run->records.count; i++) {
        const struct imsg_device *device = i < run->records.count ? &run->records.items[i] : &run->own;
        if (!imsg_device_offers(device, payload.format))
            continue;
        if (imsg_format_may_be_from(payload.format, payload.bytes, device))
            return device;
        if (!first && i < run->records.count)
            first = device;
    }
    return first;
}

void inspect_payload(struct item *item, const struct imsg_format *format)
{
    struct imsg_error err = {0};
    struct imsg_payload payload = {format, item->bytes};
    enum imsg_status status = rows_payload(item->json, format, item->bytes, &err);
    if (status != IMSG_OK) {
        tree_error(item, status, &err);
        return;
    }
    inspect_default_keys(item->run);
    inspect_opening(item, payload, likely_sender(item->run, payload), NULL);
}

/* A record alone does not say whose it is: every device key known is tried. */
static void check_prekey(struct item *item, const struct imsg_prekey *prekey)
{
    const struct inspect *run = item->run;
    size_t keys = 0;
    bool ok = false;
    for (size_t i = 0; i <= run->records.count && !ok; i++) {
        const struct imsg_device *device = i < run->records.count ? &run->records.items[i] : &run->own;
        if (!device->has_device_key)
            continue;
        keys++;
        ok = imsg_prekey_verify(prekey, device->device_x, NULL) == IMSG_OK;
        if (ok)
            tree_value(item->json, "device_x", imsg_view_of(device->device_x, sizeof device->device_x));
    }
    if (keys == 0) {
        tree_note(item->json, "signature: not checked, give -R RECORDS");
        return;
    }
    tree_check(item->json, "prekey_signature", ok, "not by a device key of the records given");
    if (!ok)
        tree_verdict(item, IMSG_BAD_SIGNATURE, "no record given has the key that signed it");
}

void inspect_prekey(struct item *item)
{
    struct imsg_error err = {0};
    struct imsg_prekey prekey;
    uint8_t point[65];
    rows_prekey(item->json, item->bytes);
    enum imsg_status status = imsg_prekey_parse(item->bytes, &prekey, &err);
    if (status == IMSG_OK && imsg_p256_lift(prekey.x, point, NULL) != IMSG_OK)
        status = imsg_fail_at(&err, IMSG_MALFORMED, 2, "prekey_x is no point of the curve");
    if (status == IMSG_OK)
        check_prekey(item, &prekey);
    else
        tree_error(item, status, &err);
}

void inspect_public_identity(struct item *item)
{
    struct imsg_error err = {0};
    struct imsg_public_identity identity;
    rows_public_identity(item->json, item->bytes);
    enum imsg_status status = imsg_public_identity_parse(item->bytes, &identity, &err);
    if (status == IMSG_OK)
        tree_value(item->json, "identity_hash", imsg_view_of(identity.hash, sizeof identity.hash));
    else
        tree_error(item, status, &err);
}
