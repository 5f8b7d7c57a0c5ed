/* Whose key verifies: this device's own record, the records given, or the directory with pins. */
#include "open/open.h"

#include <string.h>

#include "base/text.h"
#include "net/net.h"

enum imsg_status open_unlock(struct open_run *run, struct imsg_error *err)
{
    if (run->unlocked)
        return IMSG_OK;
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < run->record_count; i++)
        status = cli_records_read(&run->cli, run->record_files[i], &run->records, err);
    if (status == IMSG_OK)
        status = cli_identity(&run->cli, run->identity_path, &run->identity, err);
    if (status == IMSG_OK)
        status = imsg_identity_device(&run->identity, &run->own, err);
    run->unlocked = status == IMSG_OK;
    run->locked_out = !run->unlocked;
    return status;
}

bool open_expects(const struct open_run *run, const char *from)
{
    for (size_t i = 0; i < run->from_count; i++)
        if (strcmp(run->from[i], from) == 0)
            return true;
    return run->from_count == 0;
}

static struct imsg_entry *kept_entry(struct open_run *run, const char *from)
{
    for (size_t i = 0; i < OPEN_ENTRIES; i++)
        if (run->entries[i].handle && strcmp(run->entries[i].handle, from) == 0)
            return &run->entries[i];
    return NULL;
}

bool open_would_forget(const struct open_run *run, const char *from)
{
    return run->record_count == 0 && run->entries[run->entry_next].handle &&
           !kept_entry((struct open_run *)(uintptr_t)run, from);
}

enum imsg_status open_look_up(struct open_run *run, const char *from, const struct imsg_devices **out,
                              struct imsg_error *err)
{
    struct imsg_entry *entry = kept_entry(run, from);
    enum imsg_status status = IMSG_OK;
    if (!entry) {
        entry = &run->entries[run->entry_next];
        imsg_entry_free(entry);
        if (!run->trust_open)
            status = cli_client(&run->cli, err);
        run->trust_open = run->trust_open || status == IMSG_OK;
        if (status == IMSG_OK)
            status = imsg_client_look_up(&run->cli.client, from, entry, NULL, err);
        if (status == IMSG_OK)
            run->entry_next = (run->entry_next + 1) % OPEN_ENTRIES;
    }
    if (status == IMSG_NO_ACCOUNT) /* "no account" is an answer about recipients; a sender without one is refused */
        status = imsg_fail(err, IMSG_REFUSED, "sender %s has no account in directory \"%s\"", from,
                           imsg_client_location(&run->cli.client));
    if (status == IMSG_OK)
        *out = &entry->devices;
    return status;
}

static bool is_sender(const struct imsg_device *device, const char *from, const uint8_t token[static 32])
{
    return imsg_device_has_handle(device, from) && memcmp(device->token, token, IMSG_TOKEN) == 0;
}

enum imsg_status open_find_sender(struct open_run *run, const char *from, const uint8_t token[static 32],
                                  const struct imsg_device **out, struct imsg_error *err)
{
    const struct imsg_devices *list = &run->records;
    enum imsg_status status = IMSG_OK;
    char hex[2 * IMSG_TOKEN + 1];
    if (is_sender(&run->own, from, token)) {
        *out = &run->own;
        return IMSG_OK;
    }
    if (run->record_count == 0)
        status = open_look_up(run, from, &list, err);
    for (size_t i = 0; status == IMSG_OK && i < list->count; i++)
        if (is_sender(&list->items[i], from, token)) {
            *out = &list->items[i];
            return IMSG_OK;
        }
    imsg_hex(token, IMSG_TOKEN, hex);
    return status != IMSG_OK ? status
                             : imsg_fail(err, IMSG_REFUSED, "sender %s has no device %.8s… %s", from, hex,
                                         run->record_count ? "in the records given" : "in the directory");
}
