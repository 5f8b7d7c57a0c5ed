/* imsg-register: the entry of each handle gets this device, signed by the account key. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "net/net.h"

enum { OPT_ACCOUNT = CLI_KEY_OWN, OPT_REMOVE, OPT_EXPIRES, OPT_INVITE };

static const struct cli_option options[] = {
    CLI_OPT_DIRECTORY,
    CLI_OPT_RELAY,
    {OPT_ACCOUNT, "account", "FILE", "the account key that signs (default: account.pem in IMSG_HOME)", 0},
    {OPT_REMOVE, "remove", "DEVICE", "remove a device by its name, its token, or a unique start of one", CLI_REPEAT},
    {OPT_EXPIRES, "expires", "DAYS", "let the entry expire after DAYS", 0},
    {OPT_INVITE, "invite", "CODE", "show the server this invitation", 0},
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-register",
    .synopsis = "[-d LOCATION] [--account FILE] [--remove DEVICE]... [--expires DAYS] [--invite CODE] [FILE...]",
    .purpose = "put device records into the directory, signed by the account key",
    .options = options,
    .operands = "FILE",
};

#define INVITE_MAX 200
#define INVITE_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#define TRIES 16 /* of reading, signing and writing again while others change the same entry */

struct registration {
    struct cli cli;
    struct cli_trust trust;
    struct imsg_relay *relay; /* NULL: not a folder, mailboxes are the server's affair */
    const char *directory, *relay_option, *account_path;
    uint64_t expires_days;
    const char **removals;
    size_t removal_count;
    bool *removed; /* per removal: found in some entry */
    struct imsg_devices records;
    struct imsg_p256 *account; /* NULL until there is one */
};

/* ---- input ---- */

static enum imsg_status read_records(struct registration *run, struct imsg_error *err)
{
    int files = cli_operands(&run->cli);
    enum imsg_status status = IMSG_OK;
    if (files == 0 && run->removal_count > 0)
        return IMSG_OK;
    for (int i = 0; i < (files ? files : 1); i++) {
        status = cli_records_read(&run->cli, cli_operand(&run->cli, i), &run->records, err);
        if (status == IMSG_NO_INPUT || status == IMSG_USAGE)
            cli_report(&run->cli, err); /* the other files still count */
        else if (status != IMSG_OK)
            return status;
    }
    size_t kept = 0;
    for (size_t i = 0; i < run->records.count; i++) {
        struct imsg_device *device = &run->records.items[i];
        status = imsg_device_check(device, err);
        if (status == IMSG_OK) {
            struct imsg_device moved = *device;
            *device = (struct imsg_device){0};
            run->records.items[kept++] = moved;
            continue;
        }
        imsg_error_prefix(err, "device \"%s\"", device->name ? device->name : "without a name");
        cli_report(&run->cli, err);
        imsg_device_free(device);
    }
    run->records.count = kept;
    if (kept == 0 && run->cli.status == 0)
        return imsg_fail(err, IMSG_NO_INPUT, "not one device record to register");
    return IMSG_OK;
}

/* Standard input has one owner, and that is known before anything is read. */
static void check_inputs(const struct registration *run)
{
    int files = cli_operands(&run->cli), readers = files == 0 && run->removal_count == 0;
    for (int i = 0; i < files; i++)
        readers += strcmp(cli_operand(&run->cli, i), "-") == 0;
    readers += run->account_path && strcmp(run->account_path, "-") == 0;
    if (readers > 1)
        cli_usage(&run->cli, "standard input can be only one of the inputs");
}

/* ---- account key ---- */

static enum imsg_status account_path(struct registration *run, char **path, struct imsg_error *err)
{
    return run->account_path ? imsg_path_join(run->account_path, "", path, err)
                             : cli_home_path(&run->cli, "account.pem", path, err);
}

static enum imsg_status load_account(struct registration *run, struct imsg_error *err)
{
    enum imsg_status status = cli_account_key(&run->cli, run->account_path, &run->account, err);
    return status == IMSG_NO_INPUT && run->removal_count == 0 ? IMSG_OK : status;
}

/* One's own entries are those by this key, wherever it came from. */
static void trust_account(struct registration *run)
{
    if (!run->account)
        return;
    memcpy(run->trust.own, imsg_p256_point(run->account), sizeof run->trust.own);
    run->trust.has_own = run->trust.own_checked = true;
}

static enum imsg_status make_account(struct registration *run, struct imsg_error *err)
{
    struct imsg_p256 *key = NULL;
    struct imsg_buf pem = {0};
    char *path = NULL;
    enum imsg_status status = account_path(run, &path, err);
    if (status == IMSG_OK)
        status = imsg_p256_generate(&key, err);
    if (status == IMSG_OK)
        status = imsg_p256_to_pem(key, (struct imsg_view){0}, &pem, err);
    if (status == IMSG_OK)
        status = cli_create_private(path, imsg_buf_view(&pem), err);
    if (status == IMSG_OK) {
        run->account = key;
        key = NULL;
        cli_note(&run->cli, "made account key \"%s\": keep a copy elsewhere, it cannot be made again", path);
    } else if (status == IMSG_CANNOT_CREATE && access(path, F_OK) == 0) {
        status = load_account(run, err); /* another run was faster */
    }
    trust_account(run);
    imsg_p256_free(key);
    imsg_buf_free(&pem);
    free(path);
    return status;
}

/* ---- one entry ---- */

static bool matches(const struct imsg_device *device, const char *wanted)
{
    char token[2 * IMSG_TOKEN + 1];
    imsg_hex(device->token, sizeof device->token, token);
    return (device->name && strncmp(device->name, wanted, strlen(wanted)) == 0) ||
           strncmp(token, wanted, strlen(wanted)) == 0;
}

static bool is_exactly(const struct imsg_device *device, const char *wanted)
{
    char token[2 * IMSG_TOKEN + 1];
    imsg_hex(device->token, sizeof device->token, token);
    return (device->name && strcmp(device->name, wanted) == 0) || strcmp(token, wanted) == 0;
}

/* The one device that `wanted` names; *at = count if none does. A whole name or token goes before a start of one. */
static enum imsg_status find_device(const struct imsg_devices *devices, const char *wanted, size_t *at,
                                    struct imsg_error *err)
{
    size_t exact = 0, starts = 0, found = devices->count, begun = found;
    for (size_t i = 0; i < devices->count; i++) {
        if (is_exactly(&devices->items[i], wanted)) {
            exact++;
            found = i;
        }
        if (matches(&devices->items[i], wanted)) {
            starts++;
            begun = i;
        }
    }
    if (exact > 1 || (exact == 0 && starts > 1))
        return imsg_fail(err, IMSG_USAGE, "\"%s\" names %zu devices: give the token", wanted, exact ? exact : starts);
    *at = exact ? found : begun;
    return IMSG_OK;
}

static enum imsg_status apply_removals(struct registration *run, struct imsg_devices *devices, bool *changed,
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

/* Each record that holds `handle` replaces the one with its token, or is added. */
static enum imsg_status apply_records(const struct registration *run, const char *handle, struct imsg_devices *devices,
                                      bool *changed, struct imsg_error *err)
{
    for (size_t i = 0; i < run->records.count; i++) {
        const struct imsg_device *record = &run->records.items[i];
        struct imsg_device copy = {0};
        size_t at = 0;
        if (!imsg_device_has_handle(record, handle))
            continue;
        while (at < devices->count && memcmp(devices->items[at].token, record->token, IMSG_TOKEN) != 0)
            at++;
        if (at < devices->count && json_equal(devices->items[at].json, record->json))
            continue;
        enum imsg_status status = imsg_device_from_json(record->json, &copy, err);
        if (status == IMSG_OK && at < devices->count) {
            imsg_device_free(&devices->items[at]);
            devices->items[at] = copy;
        } else if (status == IMSG_OK) {
            status = imsg_devices_add(devices, &copy, err);
        }
        if (status != IMSG_OK) {
            imsg_device_free(&copy);
            return status;
        }
        *changed = true;
    }
    return IMSG_OK;
}

static enum imsg_status write_entry(struct registration *run, const char *handle, const struct imsg_entry *previous,
                                    const struct imsg_devices *devices, struct imsg_view on_file,
                                    struct imsg_error *err)
{
    struct imsg_buf file = {0};
    struct imsg_entry written = {0};
    char expires[21];
    time_t at = imsg_now();
    imsg_time_format(at + (time_t)run->expires_days * 86400, expires);
    const struct imsg_entry next = {
        .handle = handle, .expires = run->expires_days ? expires : NULL, .devices = *devices};
    enum imsg_status status = imsg_entry_sign(run->account, &next, previous, &file, err);
    if (status == IMSG_OK) /* what others will read is read once here first */
        status = imsg_entry_parse(imsg_buf_view(&file), handle, at, &written, err);
    if (status == IMSG_OK)
        status = imsg_directory_put(run->trust.directory, handle, on_file, imsg_buf_view(&file), err);
    if (status == IMSG_OK)
        status = cli_trust_pin(&run->trust, handle, &written, err);
    if (status == IMSG_OK)
        cli_note(&run->cli, "registered %zu device%s for %s (seq %llu)", devices->count,
                 devices->count == 1 ? "" : "s", handle, (unsigned long long)written.seq);
    imsg_entry_free(&written);
    imsg_buf_free(&file);
    return status;
}

static enum imsg_status by_another(const struct imsg_entry *entry, const char *handle, struct imsg_error *err)
{
    enum imsg_status status = imsg_fail(err, IMSG_REFUSED, "%s is registered by another account key, %s", handle,
                                        entry->thumbprint);
    imsg_error_hint(err, "register this record on the device that has that key: imsg-keygen -y | ssh THERE "
                         "imsg-register");
    return status;
}

/* Read, change, sign, write: once. IMSG_CONFLICT: somebody else was faster. */
static enum imsg_status update_once(struct registration *run, const char *handle, struct imsg_error *err)
{
    struct imsg_entry entry = {0};
    struct imsg_buf raw = {0};
    struct imsg_devices fresh = {0};
    bool changed = run->expires_days != 0;
    enum imsg_status status = cli_trust_entry(&run->trust, handle, &entry, &raw, err);
    bool exists = status == IMSG_OK;
    if (exists && !run->account) { /* made by another run since this one looked? */
        status = load_account(run, err);
        trust_account(run);
    }
    if (status == IMSG_NO_ACCOUNT)
        status = run->account || run->records.count == 0 ? IMSG_OK : make_account(run, err);
    if (status != IMSG_OK)
        goto out;
    if (exists && (!run->account || memcmp(entry.account, imsg_p256_point(run->account), sizeof entry.account) != 0)) {
        status = by_another(&entry, handle, err);
        goto out;
    }
    struct imsg_devices *devices = exists ? &entry.devices : &fresh;
    status = apply_removals(run, devices, &changed, err);
    if (status == IMSG_OK)
        status = apply_records(run, handle, devices, &changed, err);
    if (status == IMSG_OK && !changed && run->removal_count == 0)
        cli_note(&run->cli, "%s is as it was (seq %llu)", handle, (unsigned long long)entry.seq);
    if (status == IMSG_OK && changed)
        status = write_entry(run, handle, exists ? &entry : NULL, devices, imsg_buf_view(&raw), err);
out:
    imsg_devices_free(&fresh);
    imsg_buf_free(&raw);
    imsg_entry_free(&entry);
    return status;
}

static void update(struct registration *run, const char *handle)
{
    struct imsg_error err = {0};
    enum imsg_status status = IMSG_CONFLICT;
    for (int i = 0; status == IMSG_CONFLICT && i < TRIES; i++)
        status = update_once(run, handle, &err);
    cli_ok(&run->cli, status, &err);
}

/* ---- which entries ---- */

static bool seen_before(const struct registration *run, size_t record, size_t handle)
{
    const char *name = run->records.items[record].handles[handle];
    for (size_t i = 0; i < record; i++)
        if (imsg_device_has_handle(&run->records.items[i], name))
            return true;
    return false;
}

/* Every handle pinned to one's own account key. */
static enum imsg_status own_handles(struct registration *run, char ***handles, size_t *count, struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    char *path = NULL, own[IMSG_THUMBPRINT + 1];
    const char *handle;
    json_t *pin;
    enum imsg_status status = imsg_thumbprint(imsg_p256_point(run->account), own, err);
    if (status == IMSG_OK)
        status = cli_home_path(&run->cli, "pins.json", &path, err);
    if (status == IMSG_OK)
        status = imsg_pins_open(path, &pins, err);
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
    free(path);
    return status;
}

static enum imsg_status update_all(struct registration *run, struct imsg_error *err)
{
    char **own = NULL;
    size_t count = 0;
    enum imsg_status status = IMSG_OK;
    if (run->removal_count > 0)
        status = own_handles(run, &own, &count, err);
    if (status == IMSG_OK)
        for (size_t i = 0; i < count; i++)
            update(run, own[i]);
    if (status == IMSG_OK)
        for (size_t i = 0; i < run->records.count; i++)
            for (size_t k = 0; k < run->records.items[i].handle_count; k++) {
                const char *handle = run->records.items[i].handles[k];
                bool done = seen_before(run, i, k);
                for (size_t n = 0; n < count; n++)
                    done |= strcmp(own[n], handle) == 0;
                if (!done)
                    update(run, handle);
            }
    imsg_strings_free(own, count);
    if (status == IMSG_OK && run->cli.status == 0)
        for (size_t i = 0; i < run->removal_count; i++)
            if (!run->removed[i])
                cli_error(&run->cli, IMSG_REFUSED, "no entry of yours has a device \"%s\"", run->removals[i]);
    return status;
}

/* Before the entry is there, so that nobody finds a device without its mailbox. */
static enum imsg_status make_mailboxes(struct registration *run, struct imsg_error *err)
{
    char *location = NULL;
    enum imsg_status status = cli_service(&run->cli, CLI_RELAY, run->relay_option, &location, err);
    if (status == IMSG_OK && !imsg_location_is_remote(location))
        status = imsg_relay_open(location, NULL, &run->relay, err);
    for (size_t i = 0; run->relay && status == IMSG_OK && i < run->records.count; i++)
        if (!run->records.items[i].relay)
            status = imsg_relay_mailbox(run->relay, run->records.items[i].token, err);
    free(location);
    return status;
}

int main(int argc, char **argv)
{
    struct registration run = {0};
    struct imsg_error err = {0};
    const char *arg;
    cli_start(&run.cli, &tool, argc, argv);
    run.removals = calloc((size_t)argc, sizeof *run.removals);
    run.removed = calloc((size_t)argc, sizeof *run.removed);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        switch (key) {
        case 'd':
            run.directory = arg;
            break;
        case CLI_KEY_RELAY:
            run.relay_option = arg;
            break;
        case OPT_ACCOUNT:
            run.account_path = arg;
            break;
        case OPT_REMOVE:
            if (!arg[0])
                cli_usage(&run.cli, "--remove needs a name or a token");
            run.removals[run.removal_count++] = arg;
            break;
        case OPT_INVITE:
            if (!arg[0] || strlen(arg) > INVITE_MAX || strspn(arg, INVITE_ALPHABET) != strlen(arg))
                cli_usage(&run.cli, "--invite takes letters, digits, - and _, not \"%s\"", arg);
            run.cli.net.invite = arg;
            break;
        case OPT_EXPIRES:
            run.expires_days = cli_number(&run.cli, "expires", arg, 1, 36500);
            break;
        }
    }
    check_inputs(&run);
    cli_sandbox_for(&run.cli, CLI_USES(CLI_DIRECTORY), run.directory, NULL, NULL);
    enum imsg_status status = read_records(&run, &err);
    if (status == IMSG_OK)
        status = load_account(&run, &err);
    if (status == IMSG_OK)
        status = cli_trust_open(&run.cli, run.directory, run.records.count > 0, &run.trust, &err);
    run.trust.expired_ok = true;
    trust_account(&run);
    if (status == IMSG_OK)
        status = make_mailboxes(&run, &err);
    if (status == IMSG_OK)
        status = update_all(&run, &err);
    cli_ok(&run.cli, status, &err);
    imsg_relay_close(run.relay);
    cli_trust_close(&run.trust);
    imsg_p256_free(run.account);
    imsg_devices_free(&run.records);
    free(run.removals);
    free(run.removed);
    return cli_finish(&run.cli);
}
