/* Whose key verifies: this device's own record, the records given, or the directory with its pins. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "client/open.h"
#include "format/identity.h"

enum imsg_status imsg_opener_unlock(struct imsg_opener *opener, struct imsg_error *err)
{
    struct imsg_identity *identity;
    enum imsg_status status = imsg_client_identity(opener->client, &identity, err);
    if (status == IMSG_OK && !opener->has_own) {
        status = imsg_identity_own(identity, &opener->own, err);
        opener->has_own = status == IMSG_OK;
    }
    return status;
}

bool imsg_opener_expects(const struct imsg_opener *opener, const char *from)
{
    for (size_t i = 0; i < opener->from_count; i++)
        if (strcmp(opener->from[i], from) == 0)
            return true;
    return opener->from_count == 0;
}

enum imsg_status imsg_opener_check_expected(const struct imsg_opener *opener, const char *from, struct imsg_error *err)
{
    if (imsg_opener_expects(opener, from))
        return IMSG_OK;
    enum imsg_status status = imsg_fail(err, IMSG_REFUSED, "from %s, who is not expected", from);
    imsg_error_suggest(err, IMSG_HINT_EXPECTED, NULL);
    return status;
}

static struct imsg_entry *kept_entry(struct imsg_opener *opener, const char *from)
{
    for (size_t i = 0; i < IMSG_OPENER_ENTRIES; i++)
        if (opener->entries[i].handle && strcmp(opener->entries[i].handle, from) == 0)
            return &opener->entries[i];
    return NULL;
}

bool imsg_opener_would_forget(struct imsg_opener *opener, const char *from)
{
    return !opener->records && opener->entries[opener->entry_next].handle && !kept_entry(opener, from);
}

enum imsg_status imsg_opener_look_up(struct imsg_opener *opener, const char *from, const struct imsg_entry **out,
                                     struct imsg_error *err)
{
    struct imsg_entry *entry = kept_entry(opener, from);
    enum imsg_status status = IMSG_OK;
    if (!entry) {
        entry = &opener->entries[opener->entry_next];
        imsg_entry_free(entry);
        status = imsg_client_find_entry(opener->client, from, false, entry, NULL, err);
        if (status == IMSG_OK)
            opener->entry_next = (opener->entry_next + 1) % IMSG_OPENER_ENTRIES;
    }
    if (status == IMSG_NO_ACCOUNT) /* that is an answer about recipients; a sender without an account is refused */
        status = imsg_fail(err, IMSG_REFUSED, "sender %s has no account in directory \"%s\"", from,
                           imsg_client_location(opener->client));
    if (status == IMSG_OK)
        *out = entry;
    return status;
}

void imsg_opener_account(struct imsg_opener *opener, const struct imsg_envelope *envelope,
                         char out[static 2 * IMSG_TOKEN + 1])
{
    const struct imsg_entry *entry = opener->records ? NULL : kept_entry(opener, envelope->from);
    imsg_hex(envelope->from_token, IMSG_TOKEN, out);
    if (entry)
        snprintf(out, 2 * IMSG_TOKEN + 1, "%s", entry->thumbprint);
}

static bool is_sender(const struct imsg_device *device, const struct imsg_envelope *envelope)
{
    return imsg_device_has_handle(device, envelope->from) &&
           memcmp(device->token, envelope->from_token, IMSG_TOKEN) == 0;
}

enum imsg_status imsg_opener_find_sender(struct imsg_opener *opener, const struct imsg_envelope *envelope,
                                         const struct imsg_device **out, struct imsg_error *err)
{
    const struct imsg_devices *list = opener->records;
    const struct imsg_entry *entry = NULL;
    enum imsg_status status = IMSG_OK;
    bool found = false;
    char hex[2 * IMSG_TOKEN + 1];
    if (is_sender(&opener->own, envelope)) {
        *out = &opener->own;
        return IMSG_OK;
    }
    if (!list)
        status = imsg_opener_look_up(opener, envelope->from, &entry, err);
    if (status != IMSG_OK)
        return status;
    if (entry)
        list = &entry->devices;
    for (size_t i = 0; i < list->count; i++) {
        if (!is_sender(&list->items[i], envelope))
            continue;
        found = true;
        if (imsg_device_verify(&list->items[i], entry ? entry->thumbprint : NULL, err) == IMSG_OK) {
            *out = &list->items[i];
            return IMSG_OK;
        }
    }
    if (found && err)
        err->status = IMSG_REFUSED;
    if (found)
        return IMSG_REFUSED;
    imsg_hex(envelope->from_token, IMSG_TOKEN, hex);
    return imsg_fail(err, IMSG_REFUSED, "sender %s has no device %.8s… %s", envelope->from, hex,
                     opener->records ? "in the records given" : "in the directory");
}
