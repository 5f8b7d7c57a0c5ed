/* entry/1: all devices of one handle, signed by the account key, and what a user remembers of it (format.md §7). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/device.h"
#include "format/jws.h"

#define AT(member) offsetof(struct imsg_entry, member)

static const struct imsg_member members[] = {
    IMSG_ROW("handle", HANDLE, REQUIRED, AT(handle)),
    IMSG_ROW("seq", NUMBER, REQUIRED, AT(seq), .min = 1, .max = IMSG_JSON_INTEGER_MAX),
    IMSG_ROW("prev", NULL_OR_HEX, REQUIRED, AT(prev), .len = 32, .more = AT(has_prev)),
    IMSG_ROW("updated", TIME, REQUIRED, AT(updated)),
    IMSG_ROW("expires", TIME, OPTIONAL, AT(expires)),
    IMSG_ROW("devices", LIST, REQUIRED, AT(devices.items), .more = AT(devices.count), .max = IMSG_DEVICES_MAX,
             .element = &imsg_device_document),
    {0},
};

static enum imsg_status check_devices(const struct imsg_entry *entry, enum imsg_status otherwise,
                                      struct imsg_error *err)
{
    if (entry->devices.count > IMSG_DEVICES_MAX)
        return imsg_fail(err, otherwise, "%zu devices, at most %d", entry->devices.count, IMSG_DEVICES_MAX);
    for (size_t i = 0; i < entry->devices.count; i++)
        if (!imsg_device_has_handle(&entry->devices.items[i], entry->handle))
            return imsg_fail(err, otherwise, "device %zu does not hold %s", i, entry->handle);
    return IMSG_OK;
}

static enum imsg_status complete(void *out, struct imsg_error *err)
{
    struct imsg_entry *entry = out;
    entry->devices.cap = entry->devices.count;
    return check_devices(entry, IMSG_MALFORMED, err);
}

static const struct imsg_document document = {
    .kind = "entry/1", .members = members, .size = sizeof(struct imsg_entry), .complete = complete};

static enum imsg_status parse_payload(struct imsg_view payload, struct imsg_entry *entry, struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_json_document(payload, IMSG_ENTRY_MAX, document.kind, &object, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "payload");
        if (err)
            err->has_offset = false; /* it counted from the start of the payload, not of the file */
        return status;
    }
    status = imsg_document_read(&document, object, entry, err);
    json_decref(object);
    return status;
}

static enum imsg_status check_expiry(const struct imsg_entry *entry, time_t now, struct imsg_error *err)
{
    time_t expires = 0;
    if (!entry->expires || now == 0)
        return IMSG_OK;
    enum imsg_status status = imsg_time_parse(entry->expires, &expires, err);
    if (status == IMSG_OK && now > expires)
        status = imsg_fail(err, IMSG_REFUSED, "expired at %s", entry->expires);
    return status;
}

enum imsg_status imsg_entry_parse(struct imsg_view file, const char *handle, time_t now, struct imsg_entry *out,
                                  struct imsg_error *err)
{
    struct imsg_entry entry = {0};
    struct imsg_buf payload = {0};
    uint8_t account[65];
    enum imsg_status status = imsg_jws_verify(file, &payload, account, err);
    if (status == IMSG_OK)
        status = parse_payload(imsg_buf_view(&payload), &entry, err);
    if (status == IMSG_OK)
        memcpy(entry.account, account, sizeof account);
    if (status == IMSG_OK && strcmp(entry.handle, handle) != 0)
        status = imsg_fail(err, IMSG_REFUSED, "it is the entry of %s", entry.handle);
    if (status == IMSG_OK)
        status = check_expiry(&entry, now, err);
    if (status == IMSG_OK)
        status = imsg_thumbprint(entry.account, entry.thumbprint, err);
    if (status == IMSG_OK)
        status = imsg_sha256(imsg_buf_view(&payload), entry.hash, err);
    imsg_buf_free(&payload);
    if (status != IMSG_OK)
        imsg_entry_free(&entry);
    else
        *out = entry;
    return status;
}

enum imsg_status imsg_entry_sign(const struct imsg_p256 *account, const struct imsg_entry *entry,
                                 const struct imsg_entry *previous, struct imsg_buf *out, struct imsg_error *err)
{
    json_t *object = NULL;
    struct imsg_buf payload = {0};
    struct imsg_entry next = *entry;
    char now[21];
    next.seq = previous ? previous->seq + 1 : 1;
    next.has_prev = previous != NULL;
    if (previous)
        memcpy(next.prev, previous->hash, sizeof next.prev);
    if (!next.updated) {
        imsg_time_format(imsg_now(), now);
        next.updated = now;
    }
    enum imsg_status status = check_devices(&next, IMSG_REFUSED, err);
    if (status == IMSG_OK && next.seq > IMSG_JSON_INTEGER_MAX)
        status = imsg_fail(err, IMSG_REFUSED, "the entry of %s has no seq left", next.handle);
    if (status == IMSG_OK)
        status = imsg_document_write(&document, &next, &object, err);
    if (status == IMSG_OK)
        status = imsg_json_print(object, &payload, err);
    if (status == IMSG_OK)
        status = imsg_jws_sign(account, imsg_buf_view(&payload), out, err);
    imsg_buf_free(&payload);
    json_decref(object);
    return status;
}

void imsg_entry_free(struct imsg_entry *entry)
{
    imsg_document_free(&document, entry);
}

enum imsg_status imsg_entry_path(const char *handle, struct imsg_buf *out, struct imsg_error *err)
{
    uint8_t hash[32];
    char hex[65], path[96];
    enum imsg_status status = imsg_sha256(imsg_view_str(handle), hash, err);
    if (status != IMSG_OK)
        return status;
    imsg_hex(hash, sizeof hash, hex);
    snprintf(path, sizeof path, IMSG_ENTRY_FOLDER "/%.2s/%s.json", hex, hex);
    return imsg_buf_text(out, path, err);
}

enum imsg_status imsg_pin_check(const struct imsg_pin *pin, const struct imsg_entry *entry, struct imsg_error *err)
{
    if (strcmp(pin->thumbprint, entry->thumbprint) != 0)
        return imsg_fail(err, IMSG_REFUSED, "account key changed: pinned %s, the directory serves %s", pin->thumbprint,
                         entry->thumbprint);
    if (entry->seq < pin->seq)
        return imsg_fail(err, IMSG_ROLLBACK,
                         "older entry by the same account key %s: seq %" PRIu64
                         " was seen, the directory serves %" PRIu64,
                         pin->thumbprint, pin->seq, entry->seq);
    if ((entry->seq == pin->seq && memcmp(entry->hash, pin->hash, sizeof pin->hash) != 0) ||
        (entry->seq == pin->seq + 1 && (!entry->has_prev || memcmp(entry->prev, pin->hash, sizeof pin->hash) != 0)))
        return imsg_fail(err, IMSG_ROLLBACK,
                         "forked entry by the same account key %s: seq %" PRIu64 " does not follow what was seen",
                         pin->thumbprint, entry->seq);
    return IMSG_OK;
}
