/* The devices of an entry: what is removed from them, and the records that are put in. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "client/register.h"

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
    if (at < devices->count && json_equal(devices->items[at].json, record->json))
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
    for (size_t i = 0; status == IMSG_OK && i < run->prepared.count; i++)
        if (imsg_device_has_handle(&run->prepared.items[i], handle))
            status = apply_record(&run->prepared.items[i], devices, changed, err);
    return status;
}

bool imsg_register_leaves(const struct imsg_registration *run, const char *handle)
{
    for (size_t i = 0; i < run->leave_count; i++)
        if (strcmp(run->leaves[i], handle) == 0)
            return true;
    return false;
}

/* A copy of the record, with the relay that it does not name itself. */
static enum imsg_status complete_record(const struct imsg_registration *run, const struct imsg_device *record,
                                        struct imsg_device *out, struct imsg_error *err)
{
    json_t *json = json_copy(record->json);
    enum imsg_status status = json ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK && run->relay && !record->relay)
        status = imsg_json_set_string(json, "relay", run->relay, err);
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
