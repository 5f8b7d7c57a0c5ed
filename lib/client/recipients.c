/* From handles and records to the devices that a message is sealed for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "client/seal.h"

enum imsg_status imsg_draft_add_to(struct imsg_draft *draft, const char *handle, struct imsg_error *err)
{
    for (size_t i = 0; i < draft->to_count; i++)
        if (strcmp(draft->to[i], handle) == 0)
            return IMSG_OK;
    char **grown = realloc(draft->to, (draft->to_count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    draft->to = grown;
    enum imsg_status status = imsg_strdup(handle, &grown[draft->to_count], err);
    draft->to_count += status == IMSG_OK;
    return status;
}

void imsg_draft_leave_out(const struct imsg_sealer *sealer, struct imsg_draft *draft, const struct imsg_error *err)
{
    if (!draft->partial && draft->status == IMSG_OK)
        draft->err = *err;
    draft->partial = true;
    imsg_client_tell(sealer->client,
                     &(struct imsg_event){.kind = IMSG_EVENT_FAILED, .line = draft->line, .error = err});
}

/* ---- targets ---- */

static const struct imsg_format *choose_format(const struct imsg_sealer *sealer, const struct imsg_device *device)
{
    if (sealer->format)
        return imsg_device_offers(device, sealer->format) ? sealer->format : NULL;
    return imsg_format_best(sealer->client->identity, device);
}

static enum imsg_status append_target(struct imsg_draft *draft, const struct imsg_target *target,
                                      struct imsg_error *err)
{
    if (draft->target_count == draft->target_cap) {
        size_t cap = draft->target_cap ? 2 * draft->target_cap : 8;
        struct imsg_target *grown = realloc(draft->targets, cap * sizeof *grown);
        if (!grown)
            return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        draft->targets = grown;
        draft->target_cap = cap;
    }
    draft->targets[draft->target_count++] = *target;
    return IMSG_OK;
}

/* Whether the device was found before under `by`, an account key or a handle; from now on it was. */
static enum imsg_status is_known(struct imsg_draft *draft, const struct imsg_device *device, const char *by,
                                 bool *known, struct imsg_error *err)
{
    char key[2 * IMSG_TOKEN + 1 + IMSG_HANDLE_MAX + 1];
    imsg_hex(device->token, sizeof device->token, key);
    snprintf(key + 2 * IMSG_TOKEN, sizeof key - 2 * IMSG_TOKEN, " %s", by);
    if (!draft->found)
        draft->found = json_object();
    *known = json_object_get(draft->found, key) != NULL;
    if (!*known && json_object_set_new(draft->found, key, json_true()) != 0)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    return IMSG_OK;
}

/* A device found twice is sealed for once where both entries are by one account key, or both records are of the
 * caller's list. Otherwise the entry of one could keep a message from another by listing his device. `account` is the
 * entry's thumbprint, NULL for a record of the list. `to` lives as long as the device. */
static enum imsg_status add_target(const struct imsg_sealer *sealer, struct imsg_draft *draft,
                                   const struct imsg_device *device, const char *account, const char *to,
                                   struct imsg_error *err)
{
    struct imsg_error unfit;
    char token[2 * IMSG_TOKEN + 1];
    bool by_account = false, by_handle = false;
    const struct imsg_format *format = choose_format(sealer, device);
    if (!format && sealer->raw)
        return IMSG_OK;
    enum imsg_status status = is_known(draft, device, account ? account : "records", &by_account, err);
    if (status == IMSG_OK)
        status = is_known(draft, device, to, &by_handle, err);
    if (status != IMSG_OK || by_account || by_handle)
        return status;
    if (format)
        return append_target(draft, &(struct imsg_target){.device = device, .to = to, .format = format}, err);
    imsg_hex(device->token, sizeof device->token, token);
    (void)imsg_fail(&unfit, IMSG_REFUSED, "device %.8s… of %s: offers no format that fits", token, to);
    imsg_draft_leave_out(sealer, draft, &unfit);
    return IMSG_OK;
}

/* ---- the directory ---- */

static void person_free(struct imsg_person *person)
{
    if (person) {
        imsg_devices_free(&person->devices);
        free(person->handle);
    }
    free(person);
}

/* Moves the devices of *entry into the new person. */
static enum imsg_status add_person(struct imsg_sealer *sealer, const char *handle, struct imsg_entry *entry,
                                   struct imsg_person **out, struct imsg_error *err)
{
    struct imsg_person *person = calloc(1, sizeof *person);
    struct imsg_person **grown = realloc(sealer->people, (sealer->person_count + 1) * sizeof *grown);
    if (grown)
        sealer->people = grown;
    if (!sealer->person_index)
        sealer->person_index = json_object();
    if (!person || !grown || imsg_strdup(handle, &person->handle, err) != IMSG_OK ||
        json_object_set_new(sealer->person_index, handle, json_integer((json_int_t)sealer->person_count)) != 0) {
        person_free(person);
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    }
    person->devices = entry->devices;
    entry->devices = (struct imsg_devices){0};
    person->proven = entry->proven;
    memcpy(person->account, entry->thumbprint, sizeof person->account);
    sealer->people[sealer->person_count++] = person;
    *out = person;
    return IMSG_OK;
}

/* The devices of a handle by the directory, looked up once. */
static enum imsg_status look_up(struct imsg_sealer *sealer, const char *handle, struct imsg_person **out,
                                struct imsg_error *err)
{
    struct imsg_sighting sighting = {0};
    const json_t *place = json_object_get(sealer->person_index, handle);
    if (place) {
        *out = sealer->people[json_integer_value(place)];
        return IMSG_OK;
    }
    enum imsg_status status = imsg_client_see(sealer->client, handle, IMSG_PIN_CONFIRMED, &sighting, err);
    if (status == IMSG_OK)
        status = add_person(sealer, handle, &sighting.entry, out, err);
    imsg_sighting_free(&sighting);
    return status;
}

/* Device number i of the person, unless its record does not verify. */
static enum imsg_status add_device(const struct imsg_sealer *sealer, struct imsg_draft *draft,
                                   const struct imsg_person *person, size_t i, struct imsg_error *err)
{
    const struct imsg_device *device = &person->devices.items[i];
    struct imsg_error refused;
    if (person->proven || imsg_device_verify(device, person->account, &refused) == IMSG_OK)
        return add_target(sealer, draft, device, person->account, person->handle, err);
    refused.status = IMSG_REFUSED;
    imsg_draft_leave_out(sealer, draft, &refused);
    return IMSG_OK;
}

static enum imsg_status add_recipient(struct imsg_sealer *sealer, struct imsg_draft *draft, const char *handle,
                                      struct imsg_error *err)
{
    struct imsg_person *person = NULL;
    enum imsg_status status = look_up(sealer, handle, &person, err);
    if (status == IMSG_OK && person->devices.count == 0)
        status = imsg_fail(err, IMSG_NO_ACCOUNT, "%s has no device in directory \"%s\"", handle,
                           imsg_client_location(sealer->client));
    for (size_t i = 0; status == IMSG_OK && i < person->devices.count; i++)
        status = add_device(sealer, draft, person, i, err);
    return status;
}

/* A directory's word is not enough for copies to one's own other devices: one's own account key must have signed the
 * entry, and it must list this device, or somebody else put the others there. What forbids them is told once. */
static bool may_copy(const struct imsg_sealer *sealer, struct imsg_person *person)
{
    const struct imsg_identity *identity = sealer->client->identity;
    struct imsg_error why = {0};
    size_t listed = 0;
    if (person->copies_judged)
        return person->may_copy;
    person->copies_judged = true;
    for (size_t i = 0; i < person->devices.count; i++)
        listed += memcmp(person->devices.items[i].token, identity->token, IMSG_TOKEN) == 0;
    person->may_copy = person->devices.count > listed;
    if (!person->may_copy) /* there are no others */
        return false;
    if (!imsg_client_account_is(sealer->client, NULL)) {
        (void)imsg_fail(&why, IMSG_REFUSED, "this device does not know your account key");
        imsg_error_suggest(&why, IMSG_HINT_ACCOUNT, NULL);
    } else if (!imsg_client_account_is(sealer->client, person->account)) {
        (void)imsg_fail(&why, IMSG_REFUSED, "the entry of %s is by account key %s, not by your own", person->handle,
                        person->account);
    } else if (listed == 0) {
        (void)imsg_fail(&why, IMSG_REFUSED, "the entry of %s does not list this device", person->handle);
    }
    if (why.status != IMSG_OK) {
        person->may_copy = false;
        imsg_client_tell(sealer->client, &(struct imsg_event){.kind = IMSG_EVENT_NO_COPIES, .error = &why});
    }
    return person->may_copy;
}

/* The sender's other devices. A sender without an entry has none; he is told so once. */
static enum imsg_status add_own(struct imsg_sealer *sealer, struct imsg_draft *draft, struct imsg_error *err)
{
    const struct imsg_identity *identity = sealer->client->identity;
    struct imsg_person *person = NULL;
    const char *from = identity->handles[0];
    enum imsg_status status = look_up(sealer, from, &person, err);
    if (status == IMSG_NO_ACCOUNT) {
        struct imsg_entry none = {0};
        imsg_client_tell(sealer->client, &(struct imsg_event){.kind = IMSG_EVENT_UNREGISTERED, .handle = from});
        return add_person(sealer, from, &none, &person, err);
    }
    if (status != IMSG_OK || !may_copy(sealer, person))
        return status;
    for (size_t i = 0; status == IMSG_OK && i < person->devices.count; i++)
        if (memcmp(person->devices.items[i].token, identity->token, IMSG_TOKEN) != 0)
            status = add_device(sealer, draft, person, i, err);
    return status;
}

/* A failure that concerns one recipient is told, and the others go on. */
static enum imsg_status go_on(struct imsg_sealer *sealer, struct imsg_draft *draft, enum imsg_status status,
                              struct imsg_error *err)
{
    if (status == IMSG_OK || status == IMSG_NO_MEMORY || status == IMSG_INTERNAL)
        return status;
    imsg_draft_leave_out(sealer, draft, err);
    return IMSG_OK;
}

static enum imsg_status find_in_directory(struct imsg_sealer *sealer, struct imsg_draft *draft, char *const *handles,
                                          size_t count, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        status = imsg_draft_add_to(draft, handles[i], err);
        if (status == IMSG_OK)
            status = go_on(sealer, draft, add_recipient(sealer, draft, handles[i], err), err);
    }
    if (status == IMSG_OK && draft->target_count > 0 && !sealer->no_self && !sealer->raw)
        status = go_on(sealer, draft, add_own(sealer, draft, err), err);
    return status;
}

/* ---- records ---- */

static const char *handle_among(const struct imsg_device *device, char *const *handles, size_t count)
{
    for (size_t k = 0; k < device->handle_count; k++)
        for (size_t n = 0; n < count; n++)
            if (strcmp(device->handles[k], handles[n]) == 0)
                return device->handles[k];
    return NULL;
}

/* All of them, each under a handle asked for if it has one, else under its first. */
static enum imsg_status add_records(struct imsg_sealer *sealer, struct imsg_draft *draft, char *const *handles,
                                    size_t count, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < sealer->records->count; i++) {
        const struct imsg_device *device = &sealer->records->items[i];
        const char *handle = handle_among(device, handles, count);
        if (!handle)
            handle = device->handles[0];
        status = imsg_draft_add_to(draft, handle, err);
        if (status == IMSG_OK)
            status = add_target(sealer, draft, device, NULL, handle, err);
    }
    return status;
}

/* Those of each handle. */
static enum imsg_status find_in_records(struct imsg_sealer *sealer, struct imsg_draft *draft, char *const *handles,
                                        size_t count, struct imsg_error *err)
{
    const struct imsg_devices *records = sealer->records;
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        bool found = false;
        status = imsg_draft_add_to(draft, handles[i], err);
        for (size_t k = 0; status == IMSG_OK && k < records->count; k++) {
            const char *handle = handle_among(&records->items[k], &handles[i], 1);
            found = found || handle;
            if (handle)
                status = add_target(sealer, draft, &records->items[k], NULL, handle, err);
        }
        if (status == IMSG_OK && !found)
            status = go_on(sealer, draft,
                           imsg_fail(err, IMSG_NO_ACCOUNT, "%s has no device in the records given", handles[i]), err);
    }
    return status;
}

enum imsg_status imsg_draft_address(struct imsg_sealer *sealer, struct imsg_draft *draft, char *const *handles,
                                    size_t count, struct imsg_error *err)
{
    struct imsg_error unheard;
    struct imsg_identity *identity;
    if (!err)
        err = &unheard;
    enum imsg_status status = imsg_client_identity(sealer->client, &identity, err);
    if (status != IMSG_OK)
        return status;
    if (sealer->records && sealer->records_are_directory)
        return find_in_records(sealer, draft, handles, count, err);
    if (count > 0)
        status = find_in_directory(sealer, draft, handles, count, err);
    return status == IMSG_OK && sealer->records ? add_records(sealer, draft, handles, count, err) : status;
}

void imsg_sealer_free(struct imsg_sealer *sealer)
{
    for (size_t i = 0; i < sealer->person_count; i++)
        person_free(sealer->people[i]);
    free(sealer->people);
    json_decref(sealer->person_index);
    sealer->people = NULL;
    sealer->person_count = 0;
    sealer->person_index = NULL;
}
