/* The handle in an entry is the key of its place in the directory, so it is read before the entry as a whole. */
#include "serve/entry_parse.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "format/jws.h"

enum imsg_status entry_handle(struct imsg_view file, char **handle, struct imsg_error *err)
{
    struct imsg_buf payload = {0};
    uint8_t account[65];
    json_t *object = NULL;
    enum imsg_status status = imsg_jws_verify(file, &payload, account, err);
    if (status == IMSG_OK)
        status = imsg_json_document(imsg_buf_view(&payload), IMSG_ENTRY_MAX, "entry/1", &object, err);
    if (status == IMSG_OK)
        status = imsg_json_handle(object, "handle", IMSG_REQUIRED, handle, err);
    json_decref(object);
    imsg_buf_free(&payload);
    return status;
}

bool entry_is_named(const char *handle, const uint8_t hash[static 32])
{
    uint8_t real[32];
    return imsg_sha256(imsg_view_str(handle), real, NULL) == IMSG_OK && memcmp(real, hash, sizeof real) == 0;
}

enum imsg_status entry_account(const struct imsg_entry *entry, uint8_t out[static 32], struct imsg_error *err)
{
    struct imsg_buf bytes = {0};
    enum imsg_status status = imsg_base64url_decode(imsg_view_str(entry->thumbprint), &bytes, err);
    if (status == IMSG_OK && bytes.len != 32)
        status = imsg_fail(err, IMSG_INTERNAL, "a thumbprint of %zu bytes", bytes.len);
    if (status == IMSG_OK)
        memcpy(out, bytes.ptr, 32);
    imsg_buf_free(&bytes);
    return status;
}

size_t entry_listed(const struct imsg_entry *entry, struct listed out[static IMSG_DEVICES_MAX])
{
    size_t count = entry->devices.count;
    for (size_t i = 0; i < count; i++) {
        const struct imsg_device *device = &entry->devices.items[i];
        memcpy(out[i].token, device->token, IMSG_TOKEN);
        out[i].limit = (uint32_t)(device->limit < IMSG_RELAY_PAYLOAD_MAX ? device->limit : IMSG_RELAY_PAYLOAD_MAX);
    }
    return count;
}
