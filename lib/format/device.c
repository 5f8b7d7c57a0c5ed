/* device/1: the public record of a device (format.md §7). */
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "format/device.h"
#include "format/document.h"
#include "format/format.h"

#define AT(member) offsetof(struct imsg_device, member)

/* The keys are the formats' to read and write (format.h). */
static const struct imsg_member members[] = {
    IMSG_ROW("handles", HANDLES, REQUIRED, AT(handles), .more = AT(handle_count)),
    IMSG_ROW("name", TEXT, OPTIONAL, AT(name)),
    IMSG_ROW("token", HEX, REQUIRED, AT(token), .len = IMSG_TOKEN),
    IMSG_ROW("", REST, OPTIONAL, 0),
    IMSG_ROW("limit", NUMBER, OPTIONAL, AT(limit), .min = 1, .max = UINT32_MAX),
    IMSG_ROW("relay", RELAY, OPTIONAL, AT(relay)),
    IMSG_ROW("created", TIME, OPTIONAL, AT(created)),
    {0},
};

/* The keys of every format, and what follows from them: the auth key and, where none is stated, the limit. */
static enum imsg_status read_keys(struct imsg_device *device, struct imsg_error *err)
{
    const struct imsg_format *format;
    enum imsg_status status = IMSG_OK;
    uint32_t limit = 0;
    for (size_t i = 0; status == IMSG_OK && (format = imsg_format_at(i)); i++) {
        status = format->read_record(device->json, device, err);
        if (status == IMSG_OK && format->offered_by(device))
            limit = format->payload_limit > limit ? format->payload_limit : limit;
    }
    if (status == IMSG_OK && limit == 0)
        status = imsg_fail(err, IMSG_MALFORMED, "no keys: the record offers no format");
    if (!device->has_device_key)
        memcpy(device->auth, device->identity.signing, sizeof device->auth);
    if (device->limit == 0)
        device->limit = limit < IMSG_RELAY_PAYLOAD_MAX ? limit : IMSG_RELAY_PAYLOAD_MAX;
    return status;
}

static enum imsg_status complete(void *out, struct imsg_error *err)
{
    struct imsg_device *device = out;
    uint8_t token[IMSG_TOKEN];
    enum imsg_status status = read_keys(device, err);
    if (status == IMSG_OK)
        status = imsg_token_of(device->auth, token, err);
    if (status == IMSG_OK && memcmp(token, device->token, sizeof token) != 0)
        status = imsg_fail(err, IMSG_MALFORMED, "token is not the SHA-256 of the %s",
                           device->has_device_key ? "device key" : "signing key");
    return status;
}

static void release(void *from)
{
    const struct imsg_format *format;
    for (size_t i = 0; (format = imsg_format_at(i)); i++)
        if (format->free_record)
            format->free_record(from);
}

const struct imsg_document imsg_device_document = {.kind = "device/1",
                                                   .members = members,
                                                   .size = sizeof(struct imsg_device),
                                                   .complete = complete,
                                                   .release = release};

enum imsg_status imsg_device_from_json(json_t *object, struct imsg_device *out, struct imsg_error *err)
{
    struct imsg_device device = {0};
    enum imsg_status status = imsg_document_read(&imsg_device_document, object, &device, err);
    if (status == IMSG_OK)
        *out = device;
    else
        imsg_error_prefix(err, "device record");
    return status;
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
    imsg_document_free(&imsg_device_document, device);
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
