/* The devices of an entry: what is removed from them, and the records that are put in. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "client/register.h"
#include "format/device.h"

/* ---- removals ---- */

/* How well `wanted` names the device: 2 its whole name or token, 1 a start of one, 0 not at all. */
static int matches(const struct imsg_device *device, const char *wanted)
{
    const char *name = device->name ? device->name : "";
    char token[2 * IMSG_TOKEN + 1];
    imsg_hex(device->token, sizeof device->token, token);
    if (strcmp(name, wanted) == 0 || strcmp(token, wanted) == 0)
        return 2;
    return strncmp(name, wanted, strlen(wanted)) == 0 || strncmp(token, wanted, strlen(wanted)) == 0;
}

/* The one device that `wanted` names; *at = count if none does. A whole name or token goes before a start of one. */
static enum imsg_status find_device(const struct imsg_devices *devices, const char *wanted, size_t *at,
                                    struct imsg_error *err)
{
    size_t count[3] = {0}, last[3] = {devices->count, devices->count, devices->count};
    for (size_t i = 0; i < devices->count; i++) {
        int match = matches(&devices->items[i], wanted);
        count[match]++;
        last[match] = i;
    }
    int best = count[2] ? 2 : 1;
    if (count[best] > 1)
        return imsg_fail(err, IMSG_USAGE, "\"%s\" names %zu devices: give the token", wanted, count[best]);
    *at = last[best];
    return IMSG_OK;
}

enum imsg_status imsg_register_remove(struct imsg_registration *run, struct imsg_devices *devices, bool *changed,
                                      struct imsg_error *err)
{
    for (size_t i = 0; i < run->removal_count; i++) {
        size_t at = 0;
        enum imsg_status status = find_device(devices, run->removals[i], &at, err);
        if (status != IMSG_OK)
            return status;
        if (at == devices->count)
            continue;
        imsg_device_free(&devices->items[at]);
        memmove(&devices->items[at], &devices->items[at + 1], (devices->count - at - 1) * sizeof devices->items[0]);
        devices->count--;
        run->removed[i] = true;
        *changed = true;
    }
    return IMSG_OK;
}

/* ---- records ---- */

/* Put the record in place of the one with its token, or add it. */
static enum imsg_status apply_record(const struct imsg_device *record, struct imsg_devices *devices, bool *changed,
                                     struct imsg_error *err)
{
    struct imsg_device copy = {0};
    size_t at = 0;
    while (at < devices->count && memcmp(devices->items[at].token, record->token, IMSG_TOKEN) != 0)
        at++;
    if (at < devices->count && imsg_device_equal(&devices->items[at], record))
        return IMSG_OK;
    enum imsg_status status = imsg_device_from_json(record->json, &copy, err);
    if (status == IMSG_OK && at < devices->count) {
        imsg_device_free(&devices->items[at]);
        devices->items[at] = copy;
        copy = (struct imsg_device){0};
    } else if (status == IMSG_OK) {
        status = imsg_devices_add(devices, &copy, err);
    }
    *changed |= status == IMSG_OK;
    imsg_device_free(&copy);
    return status;
}

enum imsg_status imsg_register_add(const struct imsg_registration *run, const char *handle,
                                   struct imsg_devices *devices, bool *changed, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < run->prepared.count; i++) {
        const struct imsg_device *record = &run->prepared.items[i];
        if (!imsg_device_has_handle(record, handle))
            continue;
        status = imsg_device_verify(record, run->client->account, err);
        if (status == IMSG_OK)
            status = apply_record(record, devices, changed, err);
    }
    return status;
}

bool imsg_register_leaves(const struct imsg_registration *run, const char *handle)
{
    for (size_t i = 0; i < run->leave_count; i++)
        if (strcmp(run->leaves[i], handle) == 0)
            return true;
    return false;
}

/* Is it the record of this device? Its token is public: no key is unlocked. */
static bool is_of_this_device(const struct imsg_registration *run, const struct imsg_device *record)
{
    struct imsg_key_file file = {.others_may_read = run->client->others_may_read};
    uint8_t token[IMSG_TOKEN] = {0};
    char *path = NULL;
    bool known = false;
    if (run->client->identity)
        return memcmp(run->client->identity->token, record->token, IMSG_TOKEN) == 0;
    if (imsg_client_path(run->client, "identity.json", &path, NULL) == IMSG_OK) {
        file.path = path;
        known = imsg_identity_load_token(&file, token, NULL) == IMSG_OK;
    }
    free(path);
    return known && memcmp(token, record->token, IMSG_TOKEN) == 0;
}

/* The record of this device names its account key, and proves its handles with it. */
static enum imsg_status name_account(const struct imsg_registration *run, const struct imsg_device *record,
                                     json_t *json, struct imsg_error *err)
{
    struct imsg_identity *identity;
    json_t *proofs = json_array();
    enum imsg_status status = imsg_client_identity(run->client, &identity, err);
    if (status == IMSG_OK)
        status = imsg_identity_set_account(identity, run->client->account, err);
    for (size_t i = 0; status == IMSG_OK && i < record->handle_count; i++) {
        struct imsg_buf proof = {0}, text = {0};
        status = imsg_proof_make(identity, record->handles[i], &proof, err);
        if (status == IMSG_OK)
            status = imsg_base64_encode(imsg_buf_view(&proof), &text, err);
        if (status == IMSG_OK && json_array_append_new(proofs, json_string((const char *)text.ptr)) != 0)
            status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        imsg_buf_free(&proof);
        imsg_buf_free(&text);
    }
    if (status == IMSG_OK)
        status = imsg_json_set(json, "proofs", json_incref(proofs), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(json, "account", run->client->account, err);
    json_decref(proofs);
    return status;
}

/* A copy of the record, with the relay that it does not name itself, and the account key where it is this device's. */
static enum imsg_status complete_record(const struct imsg_registration *run, const struct imsg_device *record,
                                        struct imsg_device *out, struct imsg_error *err)
{
    json_t *json = json_copy(record->json);
    enum imsg_status status = json ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK && run->relay && !record->relay)
        status = imsg_json_set_string(json, "relay", run->relay, err);
    if (status == IMSG_OK && !record->account && is_of_this_device(run, record))
        status = name_account(run, record, json, err);
    if (status == IMSG_OK)
        status = imsg_device_from_json(json, out, err);
    json_decref(json);
    return status;
}

enum imsg_status imsg_register_prepare(struct imsg_registration *run, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = run->prepared.count; status == IMSG_OK && i < run->records->count; i++) {
        struct imsg_device device = {0};
        status = complete_record(run, &run->records->items[i], &device, err);
        if (status == IMSG_OK)
            status = imsg_devices_add(&run->prepared, &device, err);
        imsg_device_free(&device);
    }
    return status;
}
