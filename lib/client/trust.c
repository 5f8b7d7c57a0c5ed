/* Trust in directory entries. A directory is trusted for nothing but routing: each entry is checked against the
 * account key that was pinned when its handle was first seen, and entries of one's own handles against one's own
 * account key. Another account key is one thing, which a user may accept; an entry that goes back behind what was seen
 * under the same key is another, which only the owner of the handle can repair. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/client.h"

#define REREADS 16 /* of an entry that others change at the same time */

static void pin_of(const struct imsg_entry *entry, struct imsg_pin *pin)
{
    *pin = (struct imsg_pin){.seq = entry->seq, .proven = entry->proven};
    memcpy(pin->thumbprint, entry->thumbprint, sizeof pin->thumbprint);
    memcpy(pin->hash, entry->hash, sizeof pin->hash);
}

enum imsg_status imsg_client_pins(const struct imsg_client *client, struct imsg_pins *pins, struct imsg_error *err)
{
    char *path = NULL;
    enum imsg_status status = imsg_client_path(client, "pins.json", &path, err);
    if (status == IMSG_OK)
        status = imsg_pins_open(path, pins, err);
    free(path);
    return status;
}

/* ---- what a pin allows ---- */

static void suggest_accept(const char *handle, const char *served, struct imsg_error *err)
{
    struct imsg_buf about = {0};
    if (imsg_buf_text(&about, served, NULL) == IMSG_OK && imsg_buf_text(&about, " ", NULL) == IMSG_OK &&
        imsg_buf_text(&about, handle, NULL) == IMSG_OK)
        imsg_error_suggest(err, IMSG_HINT_ACCEPT, (const char *)about.ptr);
    imsg_buf_free(&about);
}

/* The key that is to be accepted may take the place of the pinned one, and passes nothing else. pin NULL: the handle is
 * new. */
static enum imsg_status judge_pin(const struct imsg_client *client, const char *handle, const struct imsg_pin *pin,
                                  const struct imsg_entry *entry, struct imsg_error *err)
{
    bool other_key = pin && strcmp(pin->thumbprint, entry->thumbprint) != 0;
    if (client->accept && strcmp(client->accept, entry->thumbprint) != 0)
        return imsg_fail(err, IMSG_REFUSED, "%s: account key %s is to be accepted, but the directory serves %s", handle,
                         client->accept, entry->thumbprint);
    if (!pin || (other_key && client->accept))
        return IMSG_OK;
    enum imsg_status status = imsg_pin_check(pin, entry, err);
    if (status == IMSG_OK)
        return status;
    imsg_error_prefix(err, "%s", handle);
    if (other_key)
        suggest_accept(handle, entry->thumbprint, err);
    else
        imsg_error_suggest(err, IMSG_HINT_ROLLBACK, handle);
    return status;
}

/* The directory has no entry: an answer for a new handle, a refusal for a pinned one. */
static enum imsg_status judge_absence(const struct imsg_client *client, const char *handle, const struct imsg_pin *pin,
                                      struct imsg_error *err)
{
    const char *location = imsg_client_location(client);
    if (!pin)
        return imsg_fail(err, IMSG_NO_ACCOUNT, "%s has no account in directory \"%s\"", handle, location);
    enum imsg_status status = imsg_fail(err, IMSG_ROLLBACK,
                                        "%s: pinned to account key %s, but directory \"%s\" has no entry for it any "
                                        "more",
                                        handle, pin->thumbprint, location);
    imsg_error_suggest(err, IMSG_HINT_ROLLBACK, handle);
    return status;
}

/* ---- pinning ---- */

/* An entry of this user's account key is kept before the pin moves on to it, unless one as new is kept. */
static enum imsg_status keep_own(const struct imsg_client *client, const char *handle,
                                 const struct imsg_sighting *sighting, struct imsg_error *err)
{
    struct imsg_entry kept = {0};
    bool found = false;
    if (strcmp(client->account, sighting->entry.thumbprint) != 0)
        return IMSG_OK;
    enum imsg_status status = imsg_kept_read(client, handle, IMSG_KEPT_NEWEST, &kept, &found, err);
    bool as_new = found && strcmp(kept.thumbprint, client->account) == 0 && kept.seq >= sighting->entry.seq;
    if (status == IMSG_OK && !as_new)
        status = imsg_kept_write(client, handle, IMSG_KEPT_NEWEST, imsg_buf_view(&sighting->raw), err);
    imsg_entry_free(&kept);
    return status;
}

/* Whether every record of the entry verifies. */
static bool records_verify(const struct imsg_entry *entry)
{
    bool proven = true;
    for (size_t i = 0; i < entry->devices.count; i++)
        proven &= imsg_device_verify(&entry->devices.items[i], entry->thumbprint, NULL) == IMSG_OK;
    return proven;
}

/* Move the pin on to the entry, which the pin allows, and tell what the user has to know. pins is open. */
static enum imsg_status move_pin(struct imsg_client *client, const char *handle, struct imsg_pins *pins,
                                 struct imsg_sighting *sighting, bool confirmed, struct imsg_error *err)
{
    const struct imsg_pin *old = &sighting->pin;
    struct imsg_entry *entry = &sighting->entry;
    struct imsg_pin fresh;
    bool replaced = sighting->pinned && strcmp(old->thumbprint, entry->thumbprint) != 0;
    bool moved = !sighting->pinned || replaced || memcmp(old->hash, entry->hash, sizeof entry->hash) != 0;
    entry->proven = (!moved && old->proven) || (confirmed && records_verify(entry));
    pin_of(entry, &fresh);
    bool first = !sighting->pinned || (old->unconfirmed && confirmed && !replaced);
    fresh.unconfirmed = !confirmed && (!sighting->pinned || old->unconfirmed);
    enum imsg_status status = moved ? keep_own(client, handle, sighting, err) : IMSG_OK;
    if (status == IMSG_OK && (moved || first || fresh.proven != old->proven))
        status = imsg_pins_set(pins, handle, &fresh, err);
    if (status == IMSG_OK)
        status = imsg_pins_save(pins, err);
    if (status == IMSG_OK && (first || replaced))
        imsg_client_tell(client,
                         &(struct imsg_event){.kind = replaced ? IMSG_EVENT_KEY_REPLACED : IMSG_EVENT_FIRST_SEEN,
                                              .handle = handle,
                                              .key = fresh.thumbprint,
                                              .old_key = replaced ? old->thumbprint : NULL});
    if (status == IMSG_OK) {
        sighting->pin = fresh;
        sighting->pinned = true;
    }
    return status;
}

/* Compare with the pin, and move it forward if that is wanted: under one lock, so that two runs cannot both see a
 * handle first. */
static enum imsg_status check_pin(struct imsg_client *client, const char *handle, enum imsg_pinning how,
                                  struct imsg_sighting *sighting, struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    enum imsg_status status = imsg_client_pins(client, &pins, err);
    if (status == IMSG_OK)
        status = imsg_pins_get(&pins, handle, &sighting->pin, &sighting->pinned, err);
    const struct imsg_pin *pin = sighting->pinned ? &sighting->pin : NULL;
    if (status == IMSG_OK && !sighting->exists)
        status = judge_absence(client, handle, pin, err);
    else if (status == IMSG_OK)
        status = judge_pin(client, handle, pin, &sighting->entry, err);
    if (status == IMSG_OK && how != IMSG_PIN_NOTHING)
        status = move_pin(client, handle, &pins, sighting, how == IMSG_PIN_CONFIRMED, err);
    imsg_pins_close(&pins);
    return status;
}

/* ---- look-ups ---- */

void imsg_sighting_free(struct imsg_sighting *sighting)
{
    imsg_entry_free(&sighting->entry);
    imsg_buf_free(&sighting->raw);
    *sighting = (struct imsg_sighting){0};
}

static enum imsg_status read_entry(struct imsg_client *client, const char *handle, enum imsg_pinning how,
                                   struct imsg_sighting *out, struct imsg_error *err)
{
    imsg_entry_free(&out->entry);
    out->exists = out->pinned = false;
    enum imsg_status status = imsg_directory_get(client->directory, handle, &out->raw, err);
    if (status == IMSG_NO_ACCOUNT)
        return check_pin(client, handle, how, out, err);
    if (status != IMSG_OK)
        return status;
    status =
        imsg_entry_parse(imsg_buf_view(&out->raw), handle, client->allow_expired ? 0 : imsg_now(), &out->entry, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "entry of %s in directory \"%s\"", handle, imsg_client_location(client));
        return status;
    }
    out->exists = true;
    status = imsg_client_check_own(client, handle, &out->entry, err);
    return status == IMSG_OK ? check_pin(client, handle, how, out, err) : status;
}

/* The entry is read first and the pin after it. Where another run has written a newer entry and moved the pin on in
 * between, the entry refused is no longer in the directory: so a refusal stands only if the directory serves the
 * same entry once more. */
enum imsg_status imsg_client_see(struct imsg_client *client, const char *handle, enum imsg_pinning how,
                                 struct imsg_sighting *out, struct imsg_error *err)
{
    struct imsg_buf refused = {0};
    struct imsg_directory *directory;
    enum imsg_status status = imsg_client_directory(client, &directory, err);
    if (status == IMSG_OK)
        status = read_entry(client, handle, how, out, err);
    for (int i = 0; (status == IMSG_REFUSED || status == IMSG_ROLLBACK) && i < REREADS; i++) {
        imsg_buf_free(&refused);
        refused = out->raw;
        out->raw = (struct imsg_buf){0};
        status = read_entry(client, handle, how, out, err);
        if (imsg_view_equal(imsg_buf_view(&out->raw), imsg_buf_view(&refused)))
            break;
    }
    imsg_buf_free(&refused);
    return status;
}

void imsg_client_drop_unproven(const struct imsg_client *client, struct imsg_entry *entry)
{
    struct imsg_error refused;
    size_t kept = 0;
    for (size_t i = 0; i < entry->devices.count; i++) {
        struct imsg_device device = entry->devices.items[i];
        if (imsg_device_verify(&device, entry->thumbprint, &refused) == IMSG_OK) {
            entry->devices.items[kept++] = device;
            continue;
        }
        imsg_client_tell(client,
                         &(struct imsg_event){.kind = IMSG_EVENT_FAILED, .handle = entry->handle, .error = &refused});
        imsg_device_free(&device);
    }
    entry->devices.count = kept;
}

enum imsg_status imsg_client_look_up(struct imsg_client *client, const char *handle, struct imsg_entry *entry,
                                     struct imsg_error *err)
{
    struct imsg_sighting sighting = {0};
    enum imsg_status status = imsg_client_see(client, handle, IMSG_PIN_CONFIRMED, &sighting, err);
    if (status == IMSG_OK) {
        imsg_client_drop_unproven(client, &sighting.entry);
        *entry = sighting.entry;
        sighting.entry = (struct imsg_entry){0};
    }
    imsg_sighting_free(&sighting);
    return status;
}

/* ---- other changes of pins ---- */

enum imsg_status imsg_client_pin_seen(struct imsg_client *client, const char *handle, enum imsg_pinning how,
                                      struct imsg_sighting *sighting, struct imsg_error *err)
{
    bool settled = sighting->pinned && strcmp(sighting->pin.thumbprint, sighting->entry.thumbprint) == 0 &&
                   memcmp(sighting->pin.hash, sighting->entry.hash, sizeof sighting->pin.hash) == 0 &&
                   !(sighting->pin.unconfirmed && how == IMSG_PIN_CONFIRMED);
    return settled ? IMSG_OK : check_pin(client, handle, how, sighting, err);
}

enum imsg_status imsg_client_pin_written(struct imsg_client *client, const struct imsg_entry *entry,
                                         struct imsg_view file, struct imsg_error *err)
{
    const char *handle = entry->handle;
    struct imsg_pins pins = {.lock = -1};
    struct imsg_pin pin, old = {0};
    bool found = false;
    enum imsg_status status = imsg_client_pins(client, &pins, err);
    pin_of(entry, &pin);
    if (status == IMSG_OK)
        status = imsg_pins_get(&pins, handle, &old, &found, err);
    /* Never back: another run may have built on this entry already. */
    bool behind = found && strcmp(old.thumbprint, pin.thumbprint) == 0 && old.seq > pin.seq;
    if (status == IMSG_OK && !behind)
        status = imsg_kept_write(client, handle, IMSG_KEPT_NEWEST, file, err);
    if (status == IMSG_OK && !behind)
        status = imsg_kept_write(client, handle, IMSG_KEPT_SIGNED, file, err);
    if (status == IMSG_OK && !behind)
        status = imsg_pins_set(&pins, handle, &pin, err);
    if (status == IMSG_OK)
        status = imsg_pins_save(&pins, err);
    imsg_pins_close(&pins);
    return status;
}

enum imsg_status imsg_client_forget(struct imsg_client *client, const char *handle, struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    struct imsg_pin pin;
    bool found = false;
    enum imsg_status status = imsg_client_pins(client, &pins, err);
    if (status == IMSG_OK)
        status = imsg_pins_get(&pins, handle, &pin, &found, err);
    if (status == IMSG_OK && !found)
        status = imsg_fail(err, IMSG_REFUSED, "%s is not pinned", handle);
    if (status == IMSG_OK)
        status = imsg_pins_remove(&pins, handle, err);
    if (status == IMSG_OK)
        status = imsg_pins_save(&pins, err);
    if (status == IMSG_OK)
        imsg_client_tell(
            client, &(struct imsg_event){.kind = IMSG_EVENT_FORGOTTEN, .handle = handle, .old_key = pin.thumbprint});
    imsg_pins_close(&pins);
    return status;
}
