/* device/1: the public record of a device (formats.md §7). */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/device.h"
#include "format/document.h"

/* Largest payload a device takes where its record does not say (formats.md §7), bytes. */
#define LIMIT_PAIR 4096

static enum imsg_status parse_keys(json_t *object, struct imsg_device *device, struct imsg_error *err)
{
    uint8_t identity[IMSG_PUBLIC_IDENTITY], prekey[IMSG_PREKEY_RECORD];
    bool has_key = false, has_prekey = false;
    enum imsg_status status =
        imsg_json_base64(object, "identity", IMSG_OPTIONAL, identity, sizeof identity, &device->has_pair, err);
    if (status == IMSG_OK)
        status = imsg_json_base64(object, "device_key", IMSG_OPTIONAL, device->device_x, 32, &has_key, err);
    if (status == IMSG_OK)
        status = imsg_json_base64(object, "prekey", IMSG_OPTIONAL, prekey, sizeof prekey, &has_prekey, err);
    if (status != IMSG_OK)
        return status;
    if (has_key != has_prekey)
        return imsg_fail(err, IMSG_MALFORMED, "device_key and prekey go together");
    device->has_pair_ec = has_key;
    if (!device->has_pair && !device->has_pair_ec)
        return imsg_fail(err, IMSG_MALFORMED, "neither identity nor device_key: the record offers no format");
    if (device->has_pair) {
        status = imsg_public_identity_parse(imsg_view_of(identity, sizeof identity), &device->identity, err);
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "identity");
            return status;
        }
        memcpy(device->auth, device->identity.signing, sizeof device->auth);
    }
    if (device->has_pair_ec) {
        status = imsg_p256_lift(device->device_x, device->auth, err);
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "device_key");
            return status;
        }
        status = imsg_prekey_parse(imsg_view_of(prekey, sizeof prekey), &device->prekey, err);
        if (status != IMSG_OK)
            imsg_error_prefix(err, "prekey");
    }
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
        status = parse_keys(object, device, err);
    if (status == IMSG_OK)
        status = imsg_json_integer(object, "limit", IMSG_OPTIONAL, 1, UINT32_MAX, &limit, err);
    if (status == IMSG_OK)
        status = imsg_json_relay(object, &device->relay, err);
    if (status == IMSG_OK)
        status = imsg_json_time(object, "created", IMSG_OPTIONAL, &device->created, err);
    if (status == IMSG_OK)
        status = imsg_token_of(device->auth, token, err);
    if (status != IMSG_OK)
        return status;
    if (memcmp(token, device->token, sizeof token) != 0)
        return imsg_fail(err, IMSG_MALFORMED, "token is not the SHA-256 of the %s",
                         device->has_pair_ec ? "device key" : "signing key");
    device->limit = limit ? (uint32_t)limit : device->has_pair_ec ? IMSG_RELAY_PAYLOAD_MAX : LIMIT_PAIR;
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

const uint8_t *imsg_device_prekey(const struct imsg_device *device)
{
    return __atomic_load_n(&device->prekey_point, __ATOMIC_ACQUIRE);
}

/* A yes is kept, as the prekey's point: the one thing that changes in a record others read at the same time. */
enum imsg_status imsg_device_check(const struct imsg_device *device, struct imsg_error *err)
{
    uint8_t **slot = &((struct imsg_device *)(uintptr_t)device)->prekey_point, *none = NULL;
    if (!device->has_pair_ec || imsg_device_prekey(device))
        return IMSG_OK;
    uint8_t *point = malloc(65);
    enum imsg_status status = point ? imsg_prekey_verify_by(&device->prekey, device->auth, point, err)
                                    : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK && __atomic_compare_exchange_n(slot, &none, point, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return IMSG_OK;
    free(point); /* of no use, or another thread was first */
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

bool imsg_device_offers(const struct imsg_device *device, enum imsg_format format)
{
    return format == IMSG_PAIR ? device->has_pair : format == IMSG_PAIR_EC && device->has_pair_ec;
}

void imsg_device_free(struct imsg_device *device)
{
    json_decref(device->json);
    imsg_strings_free(device->handles, device->handle_count);
    free(device->name);
    free(device->relay);
    free(device->created);
    free(device->prekey_point);
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
