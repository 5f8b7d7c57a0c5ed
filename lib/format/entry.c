/* entry/1: all devices of one handle, signed by the account key, and what a user remembers of it (formats.md §7). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/document.h"
#include "format/jws.h"

#define SEQ_MAX ((UINT64_C(1) << 53) - 1) /* what every JSON reader holds exactly */

static enum imsg_status parse_devices(const json_t *object, struct imsg_entry *entry, struct imsg_error *err)
{
    json_t *array = NULL, *item;
    size_t i;
    enum imsg_status status = imsg_json_array(object, "devices", IMSG_REQUIRED, &array, err);
    if (status != IMSG_OK)
        return status;
    if (json_array_size(array) > IMSG_DEVICES_MAX)
        return imsg_fail(err, IMSG_MALFORMED, "%zu devices, at most %d", json_array_size(array), IMSG_DEVICES_MAX);
    json_array_foreach (array, i, item) {
        struct imsg_device device = {0};
        status = json_is_object(item) ? imsg_device_from_json(item, &device, err)
                                      : imsg_fail(err, IMSG_MALFORMED, "is no object");
        if (status == IMSG_OK && !imsg_device_has_handle(&device, entry->handle))
            status = imsg_fail(err, IMSG_MALFORMED, "does not hold the entry's handle");
        if (status == IMSG_OK)
            status = imsg_devices_add(&entry->devices, &device, err);
        imsg_device_free(&device);
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "device %zu", i);
            return status;
        }
    }
    return IMSG_OK;
}

static enum imsg_status parse_members(const json_t *object, struct imsg_entry *entry, struct imsg_error *err)
{
    const json_t *prev = json_object_get(object, "prev");
    enum imsg_status status = imsg_json_handle(object, "handle", IMSG_REQUIRED, &entry->handle, err);
    if (status == IMSG_OK)
        status = imsg_json_integer(object, "seq", IMSG_REQUIRED, 1, SEQ_MAX, &entry->seq, err);
    entry->has_prev = !json_is_null(prev);
    if (status == IMSG_OK && entry->has_prev)
        status = imsg_json_hex(object, "prev", IMSG_REQUIRED, entry->prev, sizeof entry->prev, NULL, err);
    if (status == IMSG_OK)
        status = imsg_json_time(object, "updated", IMSG_REQUIRED, &entry->updated, err);
    if (status == IMSG_OK)
        status = imsg_json_time(object, "expires", IMSG_OPTIONAL, &entry->expires, err);
    return status == IMSG_OK ? parse_devices(object, entry, err) : status;
}

static enum imsg_status parse_payload(struct imsg_view payload, struct imsg_entry *entry, struct imsg_error *err)
{
    enum imsg_status status = imsg_json_document(payload, IMSG_ENTRY_MAX, "entry/1", &entry->json, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "payload");
        if (err)
            err->has_offset = false; /* it counted from the start of the payload, not of the file */
        return status;
    }
    return parse_members(entry->json, entry, err);
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
    enum imsg_status status = imsg_jws_verify(file, &payload, entry.account, err);
    if (status == IMSG_OK)
        status = parse_payload(imsg_buf_view(&payload), &entry, err);
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

static enum imsg_status set_devices(json_t *object, const char *handle, const struct imsg_devices *devices,
                                    struct imsg_error *err)
{
    if (devices->count > IMSG_DEVICES_MAX)
        return imsg_fail(err, IMSG_REFUSED, "%zu devices, at most %d", devices->count, IMSG_DEVICES_MAX);
    json_t *array = json_array();
    for (size_t i = 0; array && i < devices->count; i++) {
        if (!imsg_device_has_handle(&devices->items[i], handle)) {
            json_decref(array);
            return imsg_fail(err, IMSG_REFUSED, "a device record does not hold %s", handle);
        }
        if (json_array_append(array, devices->items[i].json) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return imsg_json_set(object, "devices", array, err);
}

enum imsg_status imsg_entry_sign(const struct imsg_p256 *account, const char *handle,
                                 const struct imsg_entry *previous, const struct imsg_devices *devices,
                                 const char *updated, const char *expires, struct imsg_buf *out,
                                 struct imsg_error *err)
{
    json_t *object = NULL;
    struct imsg_buf payload = {0};
    uint64_t seq = previous ? previous->seq + 1 : 1;
    enum imsg_status status = imsg_document_new("entry/1", &object, err);
    if (status == IMSG_OK && seq > SEQ_MAX)
        status = imsg_fail(err, IMSG_REFUSED, "the entry of %s has no seq left", handle);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "handle", handle, err);
    if (status == IMSG_OK)
        status = imsg_json_set(object, "seq", json_integer((json_int_t)seq), err);
    if (status == IMSG_OK)
        status = previous ? imsg_json_set_hex(object, "prev", imsg_view_of(previous->hash, 32), err)
                          : imsg_json_set(object, "prev", json_null(), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "updated", updated, err);
    if (status == IMSG_OK && expires)
        status = imsg_json_set_string(object, "expires", expires, err);
    if (status == IMSG_OK)
        status = set_devices(object, handle, devices, err);
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
    free(entry->handle);
    free(entry->updated);
    free(entry->expires);
    imsg_devices_free(&entry->devices);
    json_decref(entry->json);
    *entry = (struct imsg_entry){0};
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
        return imsg_fail(err, IMSG_REFUSED, "older entry: seq %" PRIu64 " was seen, the directory serves %" PRIu64
                         " (account key pinned %s, served %s)", pin->seq, entry->seq, pin->thumbprint,
                         entry->thumbprint);
    if ((entry->seq == pin->seq && memcmp(entry->hash, pin->hash, sizeof pin->hash) != 0) ||
        (entry->seq == pin->seq + 1 && (!entry->has_prev || memcmp(entry->prev, pin->hash, sizeof pin->hash) != 0)))
        return imsg_fail(err, IMSG_REFUSED, "forked entry: seq %" PRIu64 " does not follow what was seen (account key "
                         "pinned %s, served %s)", entry->seq, pin->thumbprint, entry->thumbprint);
    return IMSG_OK;
}
