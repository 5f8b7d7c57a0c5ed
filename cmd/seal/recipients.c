/* From handles and records to the devices a message is sealed for. */
#include "seal/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/net.h"

enum imsg_status seal_add_handle(struct seal *run, const char *handle, struct imsg_error *err)
{
    for (size_t i = 0; i < run->handle_count; i++)
        if (strcmp(run->handles[i], handle) == 0)
            return IMSG_OK;
    char **grown = realloc(run->handles, (run->handle_count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    run->handles = grown;
    enum imsg_status status = imsg_strdup(handle, &grown[run->handle_count], err);
    run->handle_count += status == IMSG_OK;
    return status;
}

static const struct imsg_device *known_device(const struct seal *run, const uint8_t token[static 32])
{
    for (size_t i = 0; i < run->devices.count; i++)
        if (memcmp(run->devices.items[i].token, token, IMSG_TOKEN) == 0)
            return &run->devices.items[i];
    return NULL;
}

static enum imsg_status add_device(struct seal *run, struct imsg_device *device, const char *to,
                                   struct imsg_error *err)
{
    if (known_device(run, device->token))
        return IMSG_OK;
    const char **grown = realloc(run->device_to, (run->devices.count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    run->device_to = grown;
    grown[run->devices.count] = to;
    return imsg_devices_add(&run->devices, device, err);
}

static enum imsg_status add_to(struct seal *run, const char *handle, struct imsg_error *err)
{
    for (size_t i = 0; i < run->to_count; i++)
        if (strcmp(run->to[i], handle) == 0)
            return IMSG_OK;
    char **grown = realloc(run->to, (run->to_count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    run->to = grown;
    enum imsg_status status = imsg_strdup(handle, &grown[run->to_count], err);
    run->to_count += status == IMSG_OK;
    return status;
}

/* All devices of a handle. `own`: one's other devices, quietly absent where there is no entry. */
static enum imsg_status look_up(struct seal *run, struct cli_trust *trust, const char *handle, bool own,
                                struct imsg_error *err)
{
    struct imsg_entry entry = {0};
    enum imsg_status status = cli_trust_entry(trust, handle, &entry, NULL, err);
    if (own && status == IMSG_NO_ACCOUNT) {
        cli_note(&run->cli, "%s is not registered: recipients will not find the key that signs", handle);
        return IMSG_OK;
    }
    if (status == IMSG_OK && entry.devices.count == 0 && !own)
        status = imsg_fail(err, IMSG_NO_ACCOUNT, "%s has no device in directory \"%s\"", handle,
                           imsg_directory_location(trust->directory));
    for (size_t i = 0; status == IMSG_OK && i < entry.devices.count; i++)
        if (!own || memcmp(entry.devices.items[i].token, run->identity.token, IMSG_TOKEN) != 0)
            status = add_device(run, &entry.devices.items[i], handle, err);
    imsg_entry_free(&entry);
    return status;
}

static enum imsg_status look_up_all(struct seal *run, struct imsg_error *err)
{
    struct cli_trust trust = {0};
    const char *from = run->identity.handles[0];
    enum imsg_status status = IMSG_OK;
    if (run->handle_count == 0)
        return IMSG_OK;
    status = cli_trust_open(&run->cli, run->directory, false, &trust, err);
    if (status != IMSG_OK)
        return status;
    for (size_t i = 0; i < run->handle_count; i++) {
        /* The header names every participant, reached or not. */
        status = add_to(run, run->handles[i], err);
        if (status == IMSG_OK)
            cli_ok(&run->cli, look_up(run, &trust, run->handles[i], false, err), err);
    }
    if (run->devices.count > 0 && !cli_given(&run->cli, OPT_NO_SELF) && !cli_given(&run->cli, OPT_RAW))
        cli_ok(&run->cli, look_up(run, &trust, from, true, err), err);
    cli_trust_close(&trust);
    return status;
}

enum imsg_status seal_read_records(struct seal *run, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < run->record_count; i++)
        status = cli_records_read(&run->cli, run->record_files[i], &run->records, err);
    return status;
}

static enum imsg_status take_records(struct seal *run, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < run->records.count; i++) {
        struct imsg_device *device = &run->records.items[i];
        const char *handle = device->handles[0]; /* the strings move with the device */
        for (size_t k = 0; k < device->handle_count; k++)
            for (size_t n = 0; n < run->handle_count; n++)
                if (strcmp(device->handles[k], run->handles[n]) == 0)
                    handle = device->handles[k];
        status = add_to(run, handle, err);
        if (status == IMSG_OK)
            status = add_device(run, device, handle, err);
    }
    return status;
}

static enum imsg_format choose_format(const struct seal *run, const struct imsg_device *device)
{
    if (run->format)
        return imsg_device_offers(device, run->format) ? run->format : IMSG_FORMAT_NONE;
    if (device->has_pair_ec && run->identity.has_pair_ec)
        return IMSG_PAIR_EC;
    return device->has_pair && run->identity.has_pair ? IMSG_PAIR : IMSG_FORMAT_NONE;
}

/* The devices that can be sealed for; the others are named. */
static enum imsg_status make_targets(struct seal *run, struct imsg_error *err)
{
    run->targets = calloc(run->devices.count + 1, sizeof *run->targets);
    if (!run->targets)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < run->devices.count; i++) {
        const struct imsg_device *device = &run->devices.items[i];
        enum imsg_format format = choose_format(run, device);
        char token[2 * IMSG_TOKEN + 1];
        if (!format && cli_given(&run->cli, OPT_RAW))
            continue;
        imsg_hex(device->token, sizeof device->token, token);
        enum imsg_status status = format ? imsg_device_check(device, err)
                                         : imsg_fail(err, IMSG_REFUSED, "offers no format that fits");
        if (status == IMSG_OK) {
            run->targets[run->target_count++] = (struct target){device, run->device_to[i], format};
            continue;
        }
        imsg_error_prefix(err, "device %.8s… of %s", token, run->device_to[i]);
        cli_report(&run->cli, err);
    }
    return IMSG_OK;
}

enum imsg_status seal_find_targets(struct seal *run, struct imsg_error *err)
{
    enum imsg_status status = look_up_all(run, err);
    if (status == IMSG_OK)
        status = take_records(run, err);
    if (status == IMSG_OK)
        status = make_targets(run, err);
    if (status != IMSG_OK || run->cli.status != 0)
        return status; /* what is missing has been said */
    if (cli_given(&run->cli, OPT_RAW) && run->target_count != 1)
        return imsg_fail(err, IMSG_USAGE, "--raw seals for exactly one device that offers %s, not %zu",
                         imsg_format_name(run->format), run->target_count);
    return run->target_count ? IMSG_OK : imsg_fail(err, IMSG_NO_INPUT, "not one device record to seal for");
}
