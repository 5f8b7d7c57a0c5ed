/* Registration: the entry of each handle gets the device records, signed by the account key. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "client/client.h"
#include "crypto/crypto.h"

#define TRIES 16 /* of reading, signing and writing again while others change the same entry */

/* ---- account key ---- */

static void trust_account(struct imsg_registration *run)
{
    if (run->account)
        imsg_client_set_account(run->client, run->account);
}

static enum imsg_status load_account(struct imsg_registration *run, struct imsg_error *err)
{
    enum imsg_status status = imsg_account_load(&run->account_file, &run->account, err);
    trust_account(run);
    return status == IMSG_NO_INPUT && run->removal_count == 0 ? IMSG_OK : status;
}

static enum imsg_status make_account(struct imsg_registration *run, struct imsg_error *err)
{
    const char *path = run->account_file.path;
    char key[IMSG_THUMBPRINT + 1];
    enum imsg_status status = imsg_account_create(path, (struct imsg_view){0}, &run->account, err);
    if (status == IMSG_CANNOT_CREATE && access(path, F_OK) == 0)
        return load_account(run, err); /* another run was faster */
    if (status == IMSG_OK)
        status = imsg_account_thumbprint(run->account, key, err);
    trust_account(run);
    if (status == IMSG_OK)
        imsg_client_tell(run->client, &(struct imsg_event){.kind = IMSG_EVENT_ACCOUNT_MADE, .path = path, .key = key});
    return status;
}

/* ---- one entry ---- */

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

static enum imsg_status apply_removals(struct imsg_registration *run, struct imsg_devices *devices, bool *changed,
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

static enum imsg_status apply_records(const struct imsg_registration *run, const char *handle,
                                      struct imsg_devices *devices, bool *changed, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    char account[IMSG_THUMBPRINT + 1];
    if (run->records->count > 0)
        status = imsg_account_thumbprint(run->account, account, err);
    for (size_t i = 0; status == IMSG_OK && i < run->records->count; i++) {
        const struct imsg_device *record = &run->records->items[i];
        if (!imsg_device_has_handle(record, handle))
            continue;
        status = imsg_device_verify(record, account, err);
        if (status == IMSG_OK)
            status = apply_record(record, devices, changed, err);
    }
    return status;
}

/* What an update starts from: the entry of the handle, if there is one, and its bytes on file. */
struct update {
    const char *handle;
    struct imsg_entry entry;
    bool exists;
    struct imsg_buf raw;
};

static enum imsg_status write_entry(struct imsg_registration *run, const struct update *update,
                                    const struct imsg_devices *devices, struct imsg_error *err)
{
    struct imsg_buf file = {0};
    struct imsg_entry written = {0};
    struct imsg_directory *directory;
    char expires[21];
    time_t at = imsg_now();
    imsg_time_format(at + (time_t)run->expires_days * 86400, expires);
    const struct imsg_entry next = {
        .handle = update->handle, .expires = run->expires_days ? expires : NULL, .devices = *devices};
    enum imsg_status status = imsg_client_directory(run->client, &directory, err);
    if (status == IMSG_OK)
        status = imsg_entry_sign(run->account, &next, update->exists ? &update->entry : NULL, &file, err);
    if (status == IMSG_OK) /* read once as others will read it, before it is written */
        status = imsg_entry_parse(imsg_buf_view(&file), update->handle, at, &written, err);
    written.proven = true; /* the records given were verified, and those that were there when they were looked up */
    if (status == IMSG_OK)
        status = imsg_directory_put(directory, update->handle, imsg_buf_view(&update->raw), imsg_buf_view(&file), err);
    if (status == IMSG_OK)
        status = imsg_client_pin(run->client, update->handle, &written, err);
    if (status == IMSG_OK)
        imsg_client_tell(run->client, &(struct imsg_event){.kind = IMSG_EVENT_REGISTERED,
                                                           .handle = update->handle,
                                                           .devices = devices->count,
                                                           .seq = written.seq});
    imsg_entry_free(&written);
    imsg_buf_free(&file);
    return status;
}

/* The entry on file, and the account key that must have signed it. */
static enum imsg_status read_entry(struct imsg_registration *run, struct update *update, struct imsg_error *err)
{
    enum imsg_status status = imsg_client_look_up(run->client, update->handle, &update->entry, &update->raw, err);
    update->exists = status == IMSG_OK;
    if (update->exists && !run->account) /* another run may have made it since registration began */
        status = load_account(run, err);
    if (status == IMSG_NO_ACCOUNT)
        status = run->account || run->records->count == 0 ? IMSG_OK : make_account(run, err);
    if (status != IMSG_OK || !update->exists ||
        (run->account && memcmp(update->entry.account, imsg_p256_point(run->account), 65) == 0))
        return status;
    status = imsg_fail(err, IMSG_REFUSED, "%s is registered by another account key, %s", update->handle,
                       update->entry.thumbprint);
    imsg_error_suggest(err, IMSG_HINT_OTHER_ACCOUNT, NULL);
    return status;
}

/* Read, change, sign, write: once. IMSG_CONFLICT: somebody else was faster. */
static enum imsg_status update_once(struct imsg_registration *run, const char *handle, struct imsg_error *err)
{
    struct update update = {.handle = handle};
    struct imsg_devices fresh = {0};
    bool changed = run->expires_days != 0;
    enum imsg_status status = read_entry(run, &update, err);
    struct imsg_devices *devices = update.exists ? &update.entry.devices : &fresh;
    if (status == IMSG_OK)
        status = apply_removals(run, devices, &changed, err);
    if (status == IMSG_OK)
        status = apply_records(run, handle, devices, &changed, err);
    if (status == IMSG_OK && changed)
        status = write_entry(run, &update, devices, err);
    else if (status == IMSG_OK && run->removal_count == 0)
        imsg_client_tell(run->client,
                         &(struct imsg_event){.kind = IMSG_EVENT_UNCHANGED, .handle = handle, .seq = update.entry.seq});
    imsg_devices_free(&fresh);
    imsg_buf_free(&update.raw);
    imsg_entry_free(&update.entry);
    return status;
}

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
        status = update_once(run, handle, &err);
    if (status != IMSG_OK)
        tell_failure(run, handle, &err);
}

/* ---- which entries ---- */

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
    return registration->removed ? load_account(registration, err) : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
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
    imsg_p256_free(registration->account);
    free(registration->removed);
    registration->account = NULL;
    registration->removed = NULL;
}
