/* The entry of one handle: what it is built on, and how it is written. It follows the newest entry that was pinned or
 * signed. Where the directory serves that one, its devices are the start; where the directory went back, those of the
 * newest entry that is kept in the home are, and never those of the older entry that is served. */
#include <string.h>

#include "base/text.h"
#include "client/register.h"
#include "crypto/crypto.h"

/* What an update starts from. */
struct update {
    const char *handle;
    struct imsg_sighting seen;             /* what the directory serves */
    struct imsg_entry newest, last_signed; /* what is kept in the home */
    bool has_newest, has_signed;           /* they are by the account key */
    struct imsg_entry *base, none;         /* whose devices are the start: seen.entry, newest, or none */
    bool behind;                           /* the directory went back */
    struct imsg_entry previous;            /* what the new entry follows: seq and hash only */
    bool follows;                          /* previous is filled in */
};

static void update_free(struct update *update)
{
    imsg_sighting_free(&update->seen);
    imsg_entry_free(&update->newest);
    imsg_entry_free(&update->last_signed);
    imsg_devices_free(&update->none.devices);
}

/* ---- what it is built on ---- */

static bool is_by(const struct imsg_registration *run, const char *thumbprint)
{
    return run->account && strcmp(run->client->account, thumbprint) == 0;
}

static enum imsg_status refuse_account_not_held(const struct imsg_registration *run, const char *handle,
                                                const char *account, const char *what, struct imsg_error *err)
{
    enum imsg_status status =
        imsg_fail(err, IMSG_REFUSED, "%s %s account key %s, which is not here", handle, what, account);
    if (run->records->count > 0)
        imsg_error_suggest(err, IMSG_HINT_OTHER_ACCOUNT, NULL);
    return status;
}

/* A new account key is for records that name none. */
static enum imsg_status make_account(struct imsg_registration *run, const char *handle, struct imsg_error *err)
{
    for (size_t i = 0; i < run->records->count; i++) {
        const struct imsg_device *record = &run->records->items[i];
        if (record->account && imsg_device_has_handle(record, handle))
            return refuse_account_not_held(run, handle, record->account, "has no entry yet, and its record names", err);
    }
    return imsg_register_make_account(run, err);
}

/* The account key must be there: loaded, or made for a handle that nobody registered. */
static enum imsg_status need_account(struct imsg_registration *run, const struct update *update, struct imsg_error *err)
{
    bool is_new = !update->seen.exists && !update->seen.pinned;
    if (run->account)
        return IMSG_OK;
    enum imsg_status status = imsg_register_load_account(run, err); /* another run may have made it */
    return status == IMSG_OK && !run->account && is_new && run->records->count > 0
               ? make_account(run, update->handle, err)
               : status;
}

static enum imsg_status refuse_other_account(const struct imsg_registration *run, const struct update *update,
                                             struct imsg_error *err)
{
    if (update->seen.exists)
        return refuse_account_not_held(run, update->handle, update->seen.entry.thumbprint, "is registered by", err);
    enum imsg_status status =
        imsg_fail(err, IMSG_REFUSED, "%s is pinned to another account key, %s, and the directory has no entry for it",
                  update->handle, update->seen.pin.thumbprint);
    imsg_error_suggest(err, IMSG_HINT_FORGET, update->handle);
    return status;
}

static enum imsg_status read_kept(const struct imsg_registration *run, struct update *update, struct imsg_error *err)
{
    const struct imsg_client *client = run->client;
    enum imsg_status status =
        imsg_kept_read(client, update->handle, IMSG_KEPT_NEWEST, &update->newest, &update->has_newest, err);
    if (status == IMSG_OK)
        status =
            imsg_kept_read(client, update->handle, IMSG_KEPT_SIGNED, &update->last_signed, &update->has_signed, err);
    update->has_newest = update->has_newest && is_by(run, update->newest.thumbprint);
    update->has_signed = update->has_signed && is_by(run, update->last_signed.thumbprint);
    return status;
}

static void follow(struct update *update, uint64_t seq, const uint8_t hash[static 32])
{
    if (update->follows && update->previous.seq >= seq)
        return;
    update->previous.seq = seq;
    memcpy(update->previous.hash, hash, sizeof update->previous.hash);
    update->follows = true;
}

/* The newest entry that is known, and whether the directory serves less. */
static void choose_base(struct update *update, bool rollback)
{
    const struct imsg_entry *served = &update->seen.entry, *newest = &update->newest;
    update->behind = rollback;
    if (update->has_newest &&
        (!update->seen.exists || served->seq < newest->seq ||
         (served->seq == newest->seq && memcmp(served->hash, newest->hash, sizeof newest->hash) != 0)))
        update->behind = true;
    update->base = &update->none;
    if (update->seen.exists && !update->behind)
        update->base = &update->seen.entry;
    else if (update->has_newest && (!update->seen.pinned || update->seen.pin.seq <= newest->seq))
        update->base = &update->newest;
    if (update->seen.pinned && update->behind)
        follow(update, update->seen.pin.seq, update->seen.pin.hash);
    if (update->has_newest && update->behind)
        follow(update, newest->seq, newest->hash);
    if (update->seen.exists && !update->behind)
        follow(update, served->seq, served->hash);
}

static enum imsg_status read_base(struct imsg_registration *run, struct update *update, struct imsg_error *err)
{
    struct imsg_error failure;
    struct imsg_sighting *seen = &update->seen;
    enum imsg_status verdict = imsg_client_see(run->client, update->handle, IMSG_PIN_CONFIRMED, seen, err);
    if (verdict != IMSG_OK && verdict != IMSG_NO_ACCOUNT && verdict != IMSG_ROLLBACK)
        return verdict;
    enum imsg_status status = need_account(run, update, &failure); /* err keeps the verdict */
    if (status != IMSG_OK && err)
        *err = failure;
    if (status != IMSG_OK)
        return status;
    if (seen->exists ? !is_by(run, seen->entry.thumbprint) : seen->pinned && !is_by(run, seen->pin.thumbprint))
        return refuse_other_account(run, update, err);
    if (!run->account)
        return verdict;
    status = read_kept(run, update, err);
    if (status == IMSG_OK)
        choose_base(update, verdict == IMSG_ROLLBACK);
    return status;
}

/* ---- what becomes of it ---- */

static const struct imsg_device *find_token(const struct imsg_devices *devices, const struct imsg_device *wanted)
{
    for (size_t i = 0; i < devices->count; i++)
        if (memcmp(devices->items[i].token, wanted->token, IMSG_TOKEN) == 0)
            return &devices->items[i];
    return NULL;
}

static void tell_device(const struct imsg_registration *run, const struct update *update, enum imsg_event_kind kind,
                        const struct imsg_device *device)
{
    imsg_client_tell(run->client, &(struct imsg_event){.kind = kind, .handle = update->handle, .device = device});
}

/* Name each device that did not get into the entry, or out of it, by way of this home. */
static void tell_devices(const struct imsg_registration *run, const struct update *update)
{
    const struct imsg_devices *now = &update->base->devices, *served = &update->seen.entry.devices;
    for (size_t i = 0; update->behind && update->seen.exists && i < served->count; i++)
        if (!find_token(now, &served->items[i]))
            tell_device(run, update, IMSG_EVENT_LEFT_OUT, &served->items[i]);
    for (size_t i = 0; i < now->count; i++)
        if (!find_token(&run->prepared, &now->items[i]) &&
            !(update->has_signed && find_token(&update->last_signed.devices, &now->items[i])))
            tell_device(run, update, IMSG_EVENT_TAKEN_OVER, &now->items[i]);
}

static enum imsg_status write_entry(struct imsg_registration *run, const struct update *update, struct imsg_error *err)
{
    struct imsg_buf file = {0};
    struct imsg_entry written = {0};
    struct imsg_directory *directory;
    char expires[21];
    time_t at = imsg_now();
    imsg_time_format(at + (time_t)run->expires_days * 86400, expires);
    const struct imsg_entry next = {
        .handle = update->handle, .expires = run->expires_days ? expires : NULL, .devices = update->base->devices};
    enum imsg_status status = imsg_client_directory(run->client, &directory, err);
    if (status == IMSG_OK)
        status = imsg_entry_sign(run->account, &next, update->follows ? &update->previous : NULL, &file, err);
    if (status == IMSG_OK) /* read once as others will read it, before it is written */
        status = imsg_entry_parse(imsg_buf_view(&file), update->handle, at, &written, err);
    written.proven = true; /* all of its records were verified */
    if (status == IMSG_OK)
        status =
            imsg_directory_put(directory, update->handle, imsg_buf_view(&update->seen.raw), imsg_buf_view(&file), err);
    if (status == IMSG_OK)
        status = imsg_client_pin_written(run->client, &written, imsg_buf_view(&file), err);
    if (status == IMSG_OK && update->behind)
        imsg_client_tell(
            run->client,
            &(struct imsg_event){.kind = IMSG_EVENT_HEALED, .handle = update->handle, .seq = update->previous.seq});
    if (status == IMSG_OK)
        imsg_client_tell(run->client, &(struct imsg_event){.kind = IMSG_EVENT_REGISTERED,
                                                           .handle = update->handle,
                                                           .devices = written.devices.count,
                                                           .seq = written.seq});
    imsg_entry_free(&written);
    imsg_buf_free(&file);
    return status;
}

static bool has_record(const struct imsg_registration *run, const char *handle)
{
    for (size_t i = 0; i < run->records->count; i++)
        if (imsg_device_has_handle(&run->records->items[i], handle))
            return true;
    return false;
}

/* Without records, and without a list of devices that is known to be the newest, there is nothing to write. */
static enum imsg_status refuse_unknown(const struct update *update, struct imsg_error *err)
{
    return imsg_fail(err, IMSG_REFUSED,
                     update->follows ? "%s: the directory went back, and the newest entry is not kept here: register "
                                       "the records of its devices"
                                     : "%s has no entry",
                     update->handle);
}

enum imsg_status imsg_register_entry(struct imsg_registration *run, const char *handle, struct imsg_error *err)
{
    struct update update = {.handle = handle};
    bool leaves = imsg_register_leaves(run, handle);
    enum imsg_status status = read_base(run, &update, err);
    if (status != IMSG_OK)
        goto out;
    struct imsg_devices *devices = &update.base->devices;
    size_t before = devices->count;
    if (before > 0)
        imsg_client_drop_unproven(run->client, update.base);
    bool changed =
        devices->count != before || run->expires_days != 0 || update.behind || (leaves && devices->count > 0);
    if (update.base == &update.none && (update.follows ? !has_record(run, handle) && !leaves : leaves))
        status = refuse_unknown(&update, err);
    if (status == IMSG_OK && leaves)
        imsg_devices_free(devices);
    if (status == IMSG_OK)
        status = imsg_register_remove(run, devices, &changed, err);
    if (status == IMSG_OK)
        status = imsg_register_prepare(run, err);
    if (status == IMSG_OK)
        status = imsg_register_add(run, handle, devices, &changed, err);
    if (status == IMSG_OK && changed)
        status = write_entry(run, &update, err);
    else if (status == IMSG_OK && run->removal_count == 0)
        imsg_client_tell(run->client, &(struct imsg_event){
                                          .kind = IMSG_EVENT_UNCHANGED, .handle = handle, .seq = update.previous.seq});
    if (status == IMSG_OK)
        tell_devices(run, &update);
out:
    update_free(&update);
    return status;
}
