/* Opening: the order in which an envelope is checked. It is parsed; it must be for this device, from a sender who is
 * expected and whose record is known; then signature, key, tag and header are verified (imsg_open_envelope); only
 * then is its content given out. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/open.h"

void imsg_opened_free(struct imsg_opened *opened)
{
    imsg_message_free(&opened->message);
    imsg_envelope_free(&opened->envelope);
    *opened = (struct imsg_opened){0};
}

void imsg_opener_free(struct imsg_opener *opener)
{
    for (size_t i = 0; opener->seen && i < IMSG_OPENER_ENTRIES; i++)
        imsg_sighting_free(&opener->seen[i]);
    free(opener->seen);
    opener->seen = NULL;
    if (opener->has_own)
        imsg_device_free(&opener->own);
    opener->has_own = false;
}

void imsg_opener_tell(struct imsg_opener *opener, uint64_t line, bool cut, const struct imsg_error *err)
{
    opener->postponed |= err->status == IMSG_TEMPORARY;
    imsg_client_tell(opener->client, &(struct imsg_event){.kind = IMSG_EVENT_FAILED,
                                                          .line = line,
                                                          .cut = cut && err->status == IMSG_MALFORMED,
                                                          .error = err});
}

void imsg_opening_decrypt(struct imsg_opener *opener, struct imsg_opening *opening)
{
    struct imsg_opened *opened = &opening->opened;
    struct imsg_identity *identity = opener->client->identity;
    if (opening->held)
        imsg_opening_refuse_held(opening);
    else
        opening->status =
            imsg_open_envelope(identity, opening->sender, &opened->envelope, &opened->message, &opening->err);
    if (opener->once)
        imsg_opening_judge(opening);
    if (opening->status == IMSG_OK) {
        opened->own = opening->own;
        memcpy(opened->auth, opening->sender->auth, sizeof opened->auth);
    } else if (opening->status == IMSG_REFUSED) {
        imsg_error_suggest(&opening->err, IMSG_HINT_WHY, opened->envelope.from);
    }
}

void imsg_opening_clear(struct imsg_opening *opening)
{
    imsg_opened_free(&opening->opened);
    opening->parsed = opening->mine = opening->to_open = opening->held = opening->failed = false;
}

/* ---- bare payloads ---- */

struct trial {
    struct imsg_opener *opener;
    struct imsg_payload payload;
    struct imsg_buf *plaintext;
    bool tried;
};

static enum imsg_status try_sender(struct trial *trial, const struct imsg_device *sender, struct imsg_error *err)
{
    const struct imsg_opener *opener = trial->opener;
    if (!imsg_device_has_handle(sender, opener->from[0]) || !imsg_device_offers(sender, trial->payload.format))
        return IMSG_REFUSED;
    trial->tried = true;
    return imsg_open_payload(opener->client->identity, sender, trial->payload, trial->plaintext, err);
}

/* Anybody can copy a key into a record, so that only one with its proofs pins the entry that it is from. */
static enum imsg_status pin_proven(struct imsg_opener *opener, const struct imsg_entry *entry,
                                   const struct imsg_device *sender, struct imsg_error *err)
{
    if (!entry || imsg_device_verify(sender, entry->thumbprint, NULL) != IMSG_OK)
        return IMSG_OK;
    return imsg_opener_pin_sender(opener, sender, err);
}

enum imsg_status imsg_open_raw(struct imsg_opener *opener, struct imsg_payload payload, struct imsg_buf *plaintext,
                               struct imsg_error *err)
{
    struct trial trial = {.opener = opener, .payload = payload, .plaintext = plaintext};
    const struct imsg_devices *list = opener->records;
    const struct imsg_entry *entry = NULL;
    const char *from = opener->from[0];
    enum imsg_status status = imsg_opener_unlock(opener, err);
    if (status != IMSG_OK)
        return status;
    status = try_sender(&trial, &opener->own, err); /* one's own is known without a directory */
    if (status == IMSG_REFUSED && !list) {
        enum imsg_status found = imsg_opener_look_up(opener, from, &entry, err);
        if (found != IMSG_OK)
            return found;
        list = &entry->devices;
    }
    for (size_t i = 0; list && i < list->count && status == IMSG_REFUSED; i++) {
        status = try_sender(&trial, &list->items[i], err);
        if (status == IMSG_OK)
            status = pin_proven(opener, entry, &list->items[i], err);
        if (status != IMSG_OK && status != IMSG_REFUSED)
            return status;
    }
    if (status == IMSG_REFUSED && !trial.tried)
        return imsg_fail(err, IMSG_REFUSED, "no record of %s to verify with", from);
    if (status == IMSG_REFUSED)
        imsg_error_suggest(err, IMSG_HINT_WHY, from);
    return status;
}
