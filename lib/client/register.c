/* Registration: the handles whose entries get the device records, or lose them. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "client/register.h"

#define TRIES 16 /* of reading, signing and writing again while others change the same entry */

static void tell_failure(struct imsg_registration *run, const char *handle, const struct imsg_error *err)
{
    run->failed++;
    imsg_client_tell(run->client, &(struct imsg_event){.kind = IMSG_EVENT_FAILED, .handle = handle, .error = err});
}

static void update_handle(struct imsg_registration *run, const char *handle)
{
    struct imsg_error err = {0};
    enum imsg_status status = IMSG_CONFLICT;
    for (int i = 0; status == IMSG_CONFLICT && i < TRIES; i++)
        status = imsg_register_entry(run, handle, &err);
    if (status != IMSG_OK)
        tell_failure(run, handle, &err);
}

/* Every handle pinned to one's own account key. */
static enum imsg_status own_handles(struct imsg_registration *run, char ***handles, size_t *count,
                                    struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    char own[IMSG_THUMBPRINT + 1];
    const char *handle;
    json_t *pin;
    enum imsg_status status = imsg_account_thumbprint(run->account, own, err);
    if (status == IMSG_OK)
        status = imsg_client_pins(run->client, &pins, err);
    json_t *all = status == IMSG_OK ? json_object_get(pins.json, "pins") : NULL;
    *handles = calloc(json_object_size(all) + 1, sizeof **handles);
    if (status == IMSG_OK && !*handles)
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK)
        json_object_foreach (all, handle, pin) {
            const char *account = json_string_value(json_object_get(pin, "account"));
            if (status == IMSG_OK && account && strcmp(account, own) == 0)
                status = imsg_strdup(handle, &(*handles)[*count], err);
            *count += (*handles)[*count] != NULL;
        }
    imsg_pins_close(&pins);
    return status;
}

/* Is it among the own handles, or in a record before this one? Then its entry is done. */
static bool is_done(const struct imsg_registration *run, size_t record, const char *handle, char *const *own,
                    size_t count)
{
    for (size_t i = 0; i < record; i++)
        if (imsg_device_has_handle(&run->records->items[i], handle))
            return true;
    for (size_t i = 0; i < count; i++)
        if (strcmp(own[i], handle) == 0)
            return true;
    return false;
}

enum imsg_status imsg_register_start(struct imsg_registration *registration, struct imsg_error *err)
{
    registration->removed = calloc(registration->removal_count + 1, sizeof *registration->removed);
    return registration->removed ? imsg_register_load_account(registration, err)
                                 : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

enum imsg_status imsg_register(struct imsg_registration *registration, struct imsg_error *err)
{
    const struct imsg_devices *records = registration->records;
    struct imsg_error missing = {0};
    char **own = NULL;
    size_t count = 0;
    enum imsg_status status = IMSG_OK;
    if (!registration->removed)
        status = imsg_register_start(registration, err);
    if (status == IMSG_OK && registration->removal_count > 0)
        status = own_handles(registration, &own, &count, err);
    if (status != IMSG_OK)
        goto out;
    for (size_t i = 0; i < count; i++)
        update_handle(registration, own[i]);
    for (size_t i = 0; i < registration->leave_count; i++)
        update_handle(registration, registration->leaves[i]);
    for (size_t i = 0; i < records->count; i++)
        for (size_t k = 0; k < records->items[i].handle_count; k++)
            if (!is_done(registration, i, records->items[i].handles[k], own, count))
                update_handle(registration, records->items[i].handles[k]);
    for (size_t i = 0; registration->failed == 0 && i < registration->removal_count; i++)
        if (!registration->removed[i]) {
            (void)imsg_fail(&missing, IMSG_REFUSED, "no entry of yours has a device \"%s\"", registration->removals[i]);
            tell_failure(registration, NULL, &missing);
        }
out:
    imsg_strings_free(own, count);
    return status;
}

void imsg_registration_free(struct imsg_registration *registration)
{
    imsg_account_free(registration->account);
    imsg_devices_free(&registration->prepared);
    free(registration->removed);
    registration->account = NULL;
    registration->removed = NULL;
}
