/* Whose key verifies: this device's own record, the records given, or the directory with its pins. */
#include <stdio.h>
#include <stdlib.h>
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

/* The entry of this handle, or the one that this record is from; NULL where it is not kept. */
static struct imsg_sighting *kept_entry(struct imsg_opener *opener, const char *from, const struct imsg_device *sender)
{
    for (size_t i = 0; opener->seen && i < IMSG_OPENER_ENTRIES; i++) {
        const struct imsg_entry *entry = &opener->seen[i].entry;
        if (from && entry->handle && strcmp(entry->handle, from) == 0)
            return &opener->seen[i];
        for (size_t k = 0; sender && k < entry->devices.count; k++)
            if (&entry->devices.items[k] == sender)
                return &opener->seen[i];
    }
    return NULL;
}

bool imsg_opener_would_forget(struct imsg_opener *opener, const char *from)
{
    return !opener->records && opener->seen && opener->seen[opener->seen_next].entry.handle &&
           !kept_entry(opener, from, NULL);
}

enum imsg_status imsg_opener_look_up(struct imsg_opener *opener, const char *from, const struct imsg_entry **out,
                                     struct imsg_error *err)
{
    struct imsg_sighting *sighting = kept_entry(opener, from, NULL);
    enum imsg_status status = IMSG_OK;
    if (!opener->seen) {
        opener->seen = calloc(IMSG_OPENER_ENTRIES, sizeof *opener->seen);
        if (!opener->seen)
            return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    }
    if (!sighting) { /* an envelope alone pins nothing: imsg_opener_pin_sender */
        sighting = &opener->seen[opener->seen_next];
        imsg_sighting_free(sighting);
        status = imsg_client_see(opener->client, from, IMSG_PIN_NOTHING, sighting, err);
        if (status == IMSG_OK)
            opener->seen_next = (opener->seen_next + 1) % IMSG_OPENER_ENTRIES;
        else
            imsg_sighting_free(sighting);
    }
    if (status == IMSG_NO_ACCOUNT) /* that is an answer about recipients; a sender without an account is refused */
        status = imsg_fail(err, IMSG_REFUSED, "sender %s has no account in directory \"%s\"", from,
                           imsg_client_location(opener->client));
    if (status == IMSG_OK)
        *out = &sighting->entry;
    return status;
}

void imsg_opener_account(struct imsg_opener *opener, const struct imsg_envelope *envelope,
                         char out[static 2 * IMSG_TOKEN + 1])
{
    const struct imsg_sighting *sighting = opener->records ? NULL : kept_entry(opener, envelope->from, NULL);
    imsg_hex(envelope->from_token, IMSG_TOKEN, out);
    if (sighting)
        snprintf(out, 2 * IMSG_TOKEN + 1, "%s", sighting->entry.thumbprint);
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

bool imsg_opener_is_own(struct imsg_opener *opener, const struct imsg_envelope *envelope,
                        const struct imsg_device *sender)
{
    const struct imsg_identity *identity = opener->client->identity;
    const struct imsg_sighting *sighting = kept_entry(opener, NULL, sender);
    const char *account = sighting ? sighting->entry.thumbprint : sender->account;
    if (!imsg_identity_has_handle(identity, envelope->from))
        return false;
    return memcmp(envelope->from_token, identity->token, IMSG_TOKEN) == 0 ||
           imsg_client_account_is(opener->client, account);
}

enum imsg_status imsg_opener_pin_sender(struct imsg_opener *opener, const struct imsg_device *sender,
                                        struct imsg_error *err)
{
    struct imsg_sighting *sighting = kept_entry(opener, NULL, sender);
    if (!sighting)
        return IMSG_OK;
    /* A record that names its account stands only in an entry by that key, which the sender himself so confirms. */
    return imsg_client_pin_seen(opener->client, sighting->entry.handle,
                                sender->account ? IMSG_PIN_CONFIRMED : IMSG_PIN_UNCONFIRMED, sighting, err);
}
