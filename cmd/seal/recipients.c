/* From handles and records to the devices a message is sealed for. */
#include "seal/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/net.h"

/* Append a copy to a list of strings, once. */
static enum imsg_status add_string(char ***list, size_t *count, const char *text, struct imsg_error *err)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp((*list)[i], text) == 0)
            return IMSG_OK;
    char **grown = realloc(*list, (*count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    *list = grown;
    enum imsg_status status = imsg_strdup(text, &grown[*count], err);
    *count += status == IMSG_OK;
    return status;
}

enum imsg_status seal_add_handle(struct seal *run, const char *handle, struct imsg_error *err)
{
    return add_string(&run->handles, &run->handle_count, handle, err);
}

enum imsg_status seal_add_to(struct seal_message *message, const char *handle, struct imsg_error *err)
{
    return add_string(&message->to, &message->to_count, handle, err);
}

void seal_report(struct seal *run, struct seal_message *message, struct imsg_error *err)
{
    message->partial = true;
    if (message->line)
        imsg_error_prefix(err, "%s: line %llu", run->input.name, (unsigned long long)message->line);
    cli_report(&run->cli, err);
}

enum imsg_status seal_read_records(struct seal *run, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < run->record_count; i++)
        status = cli_records_read(&run->cli, run->record_files[i], &run->records, err);
    return status;
}

static const struct imsg_format *choose_format(const struct seal *run, const struct imsg_device *device)
{
    if (run->format)
        return imsg_device_offers(device, run->format) ? run->format : NULL;
    return imsg_format_best(&run->identity, device);
}

/* A device found twice is sealed for once. */
static enum imsg_status add_target(struct seal *run, struct seal_message *message, const struct imsg_device *device,
                                   const char *to, struct imsg_error *err)
{
    char token[2 * IMSG_TOKEN + 1];
    const struct imsg_format *format = choose_format(run, device);
    imsg_hex(device->token, sizeof device->token, token);
    if (!message->tokens)
        message->tokens = json_object();
    if (json_object_get(message->tokens, token) || (!format && cli_given(&run->cli, OPT_RAW)))
        return IMSG_OK;
    if (json_object_set_new(message->tokens, token, json_true()) != 0)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (!format) {
        (void)imsg_fail(err, IMSG_REFUSED, "device %.8s… of %s: offers no format that fits", token, to);
        seal_report(run, message, err);
        return IMSG_OK;
    }
    if (message->target_count == message->target_cap) {
        size_t cap = message->target_cap ? 2 * message->target_cap : 8;
        struct seal_target *grown = realloc(message->targets, cap * sizeof *grown);
        if (!grown)
            return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        message->targets = grown;
        message->target_cap = cap;
    }
    message->targets[message->target_count++] = (struct seal_target){.device = device, .to = to, .format = format};
    return IMSG_OK;
}

static enum imsg_status new_person(struct seal *run, const char *handle, struct imsg_devices *devices,
                                   struct seal_person **out, struct imsg_error *err)
{
    struct seal_person *person = calloc(1, sizeof *person);
    struct seal_person **grown = realloc(run->people, (run->person_count + 1) * sizeof *grown);
    if (grown)
        run->people = grown;
    if (!person || !grown || imsg_strdup(handle, &person->handle, err) != IMSG_OK ||
        json_object_set_new(run->person_index, handle, json_integer((json_int_t)run->person_count)) != 0) {
        if (person)
            free(person->handle);
        free(person);
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    }
    person->devices = *devices;
    *devices = (struct imsg_devices){0};
    run->people[run->person_count++] = person;
    *out = person;
    return IMSG_OK;
}

/* The devices of a handle by the directory, looked up once in a run. */
static enum imsg_status look_up(struct seal *run, const char *handle, struct seal_person **out, struct imsg_error *err)
{
    struct imsg_entry entry = {0};
    const json_t *place = json_object_get(run->person_index, handle);
    enum imsg_status status = IMSG_OK;
    if (place) {
        *out = run->people[json_integer_value(place)];
        return IMSG_OK;
    }
    if (!run->trust_open)
        status = cli_trust_open(&run->cli, run->directory, false, &run->trust, err);
    run->trust_open = run->trust_open || status == IMSG_OK;
    if (status == IMSG_OK)
        status = cli_trust_entry(&run->trust, handle, &entry, NULL, err);
    if (status == IMSG_OK)
        status = new_person(run, handle, &entry.devices, out, err);
    imsg_entry_free(&entry);
    return status;
}

static enum imsg_status add_person(struct seal *run, struct seal_message *message, const char *handle,
                                   struct imsg_error *err)
{
    struct seal_person *person = NULL;
    enum imsg_status status = look_up(run, handle, &person, err);
    if (status == IMSG_OK && person->devices.count == 0)
        status = imsg_fail(err, IMSG_NO_ACCOUNT, "%s has no device in directory \"%s\"", handle,
                           imsg_directory_location(run->trust.directory));
    for (size_t i = 0; status == IMSG_OK && i < person->devices.count; i++)
        status = add_target(run, message, &person->devices.items[i], person->handle, err);
    return status;
}

/* One's other devices, quietly absent where there is no entry. */
static enum imsg_status add_own(struct seal *run, struct seal_message *message, struct imsg_error *err)
{
    struct seal_person *person = NULL;
    const char *from = run->identity.handles[0];
    enum imsg_status status = look_up(run, from, &person, err);
    if (status == IMSG_NO_ACCOUNT) {
        struct imsg_devices none = {0}; /* said once */
        cli_note(&run->cli, "%s is not registered: recipients will not find the key that signs", from);
        return new_person(run, from, &none, &person, err);
    }
    for (size_t i = 0; status == IMSG_OK && i < person->devices.count; i++)
        if (memcmp(person->devices.items[i].token, run->identity.token, IMSG_TOKEN) != 0)
            status = add_target(run, message, &person->devices.items[i], person->handle, err);
    return status;
}

/* A failure that is one recipient's is reported, and the others go on. */
static enum imsg_status one_of_several(struct seal *run, struct seal_message *message, enum imsg_status status,
                                       struct imsg_error *err)
{
    if (status == IMSG_OK || status == IMSG_NO_MEMORY || status == IMSG_INTERNAL)
        return status;
    seal_report(run, message, err);
    return IMSG_OK;
}

static enum imsg_status find_in_directory(struct seal *run, struct seal_message *message, char *const *handles,
                                          size_t count, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        /* The header names every participant, reached or not. */
        status = seal_add_to(message, handles[i], err);
        if (status == IMSG_OK)
            status = one_of_several(run, message, add_person(run, message, handles[i], err), err);
    }
    if (status == IMSG_OK && message->target_count > 0 && !cli_given(&run->cli, OPT_NO_SELF) &&
        !cli_given(&run->cli, OPT_RAW))
        status = one_of_several(run, message, add_own(run, message, err), err);
    return status;
}

static const char *handle_among(const struct imsg_device *device, char *const *handles, size_t count)
{
    for (size_t k = 0; k < device->handle_count; k++)
        for (size_t n = 0; n < count; n++)
            if (strcmp(device->handles[k], handles[n]) == 0)
                return device->handles[k];
    return NULL;
}

static enum imsg_status take_records(struct seal *run, struct seal_message *message, char *const *handles, size_t count,
                                     struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < run->records.count; i++) {
        struct imsg_device *device = &run->records.items[i];
        const char *handle = handle_among(device, handles, count);
        if (!handle)
            handle = device->handles[0];
        status = seal_add_to(message, handle, err);
        if (status == IMSG_OK)
            status = add_target(run, message, device, handle, err);
    }
    return status;
}

/* The records of each handle. */
static enum imsg_status find_in_records(struct seal *run, struct seal_message *message, char *const *handles,
                                        size_t count, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        bool found = false;
        status = seal_add_to(message, handles[i], err);
        for (size_t k = 0; status == IMSG_OK && k < run->records.count; k++) {
            const char *handle = handle_among(&run->records.items[k], &handles[i], 1); /* lives as long as the record */
            found = found || handle;
            if (handle)
                status = add_target(run, message, &run->records.items[k], handle, err);
        }
        if (status == IMSG_OK && !found)
            status = one_of_several(
                run, message, imsg_fail(err, IMSG_NO_ACCOUNT, "%s has no device in the records given", handles[i]),
                err);
    }
    return status;
}

enum imsg_status seal_find_targets(struct seal *run, struct seal_message *message, char *const *handles, size_t count,
                                   bool by_handle, struct imsg_error *err)
{
    if (by_handle && run->record_count > 0)
        return find_in_records(run, message, handles, count, err);
    enum imsg_status status = count > 0 ? find_in_directory(run, message, handles, count, err) : IMSG_OK;
    return status == IMSG_OK ? take_records(run, message, handles, count, err) : status;
}
