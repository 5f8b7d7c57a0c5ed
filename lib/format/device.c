/* device/1: the public record of a device (formats.md §7). */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/document.h"
#include "format/format.h"

/* The keys of every format, and what follows from them: the auth key and, where none is stated, the limit. */
static enum imsg_status read_keys(json_t *object, struct imsg_device *device, struct imsg_error *err)
{
    const struct imsg_format *format;
    enum imsg_status status = IMSG_OK;
    size_t offered = 0;
    for (size_t i = 0; status == IMSG_OK && (format = imsg_format_at(i)); i++) {
        status = format->read_record(object, device, err);
        if (status != IMSG_OK || !format->offered_by(device))
            continue;
        offered++;
        device->limit = format->payload_limit > device->limit ? format->payload_limit : device->limit;
    }
    if (status == IMSG_OK && offered == 0)
        status = imsg_fail(err, IMSG_MALFORMED, "no keys: the record offers no format");
    if (status == IMSG_OK && !device->has_device_key)
        memcpy(device->auth, device->identity.signing, sizeof device->auth);
    return status;
}

static enum imsg_status parse_members(json_t *object, struct imsg_device *device, struct imsg_error *err)
{
    uint8_t token[IMSG_TOKEN];
    uint64_t limit = 0;
    enum imsg_status status = imsg_json_kind(object, "device/1", err);
    if (status == IMSG_OK)
        status = imsg_json_handles(object, "handles", &device->handles, &device->handle_count, err);
    if (status == IMSG_OK)
        status = imsg_json_string(object, "name", IMSG_OPTIONAL, &device->name, err);
    if (status == IMSG_OK)
        status = imsg_json_hex(object, "token", IMSG_REQUIRED, device->token, sizeof device->token, NULL, err);
    if (status == IMSG_OK)
        status = read_keys(object, device, err);
    if (status == IMSG_OK)
        status = imsg_json_integer(object, "limit", IMSG_OPTIONAL, 1, UINT32_MAX, &limit, err);
    if (status == IMSG_OK)
        status = imsg_json_relay(object, "relay", IMSG_OPTIONAL, &device->relay, err);
    if (status == IMSG_OK)
        status = imsg_json_time(object, "created", IMSG_OPTIONAL, &device->created, err);
    if (status == IMSG_OK)
        status = imsg_token_of(device->auth, token, err);
    if (status != IMSG_OK)
        return status;
    if (memcmp(token, device->token, sizeof token) != 0)
        return imsg_fail(err, IMSG_MALFORMED, "token is not the SHA-256 of the %s",
                         device->has_device_key ? "device key" : "signing key");
    if (limit)
        device->limit = (uint32_t)limit;
    return IMSG_OK;
}

enum imsg_status imsg_device_from_json(json_t *object, struct imsg_device *out, struct imsg_error *err)
{
    struct imsg_device device = {.json = json_incref(object)};
    enum imsg_status status = parse_members(object, &device, err);
    if (status != IMSG_OK) {
        if (err)
            err->has_offset = false; /* offsets inside a member say nothing about the line */
        imsg_error_prefix(err, "device record");
        imsg_device_free(&device);
        return status;
    }
    *out = device;
    return IMSG_OK;
}

enum imsg_status imsg_device_parse(struct imsg_view line, struct imsg_device *out, struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_json_document(line, IMSG_LINE_MAX, "device/1", &object, err);
    if (status == IMSG_OK)
        status = imsg_device_from_json(object, out, err);
    json_decref(object);
    return status;
}

enum imsg_status imsg_device_check(const struct imsg_device *device, struct imsg_error *err)
{
    const struct imsg_format *format;
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && (format = imsg_format_at(i)); i++)
        if (format->check_record)
            status = format->check_record(device, err);
    return status;
}

enum imsg_status imsg_device_print(const struct imsg_device *device, const char *only_handle, struct imsg_buf *out,
                                   struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    json_t *copy = NULL;
    if (!only_handle)
        return imsg_document_line(device->json, out, err);
    copy = json_copy(device->json);
    status = imsg_json_set(copy, "handles", json_pack("[s]", only_handle), err);
    if (status == IMSG_OK)
        status = imsg_document_line(copy, out, err);
    json_decref(copy);
    return status;
}

bool imsg_device_has_handle(const struct imsg_device *device, const char *canonical)
{
    for (size_t i = 0; i < device->handle_count; i++)
        if (strcmp(device->handles[i], canonical) == 0)
            return true;
    return false;
}

void imsg_device_free(struct imsg_device *device)
{
    const struct imsg_format *format;
    for (size_t i = 0; (format = imsg_format_at(i)); i++)
        if (format->free_record)
            format->free_record(device);
    json_decref(device->json);
    imsg_strings_free(device->handles, device->handle_count);
    free(device->name);
    free(device->relay);
    free(device->created);
    *device = (struct imsg_device){0};
}

enum imsg_status imsg_devices_add(struct imsg_devices *list, struct imsg_device *device, struct imsg_error *err)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 8;
        struct imsg_device *items = realloc(list->items, cap * sizeof *items);
        if (!items)
            return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = *device;
    *device = (struct imsg_device){0};
    return IMSG_OK;
}

void imsg_devices_free(struct imsg_devices *list)
{
    for (size_t i = 0; i < list->count; i++)
        imsg_device_free(&list->items[i]);
    free(list->items);
    *list = (struct imsg_devices){0};
}
