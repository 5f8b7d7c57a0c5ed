/* Trust in directory entries. A directory is trusted for nothing but routing: each entry is checked against the
 * account key that was pinned when its handle was first seen, and entries of one's own handles against one's own
 * account key. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "client/client.h"
#include "crypto/crypto.h"

#define REREADS 16 /* of an entry that others change at the same time */

/* ---- the client ---- */

void imsg_client_tell(const struct imsg_client *client, const struct imsg_event *event)
{
    if (client->event)
        client->event(client->context, event);
}

enum imsg_status imsg_client_directory(struct imsg_client *client, struct imsg_directory **out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (!client->directory) {
        if (client->open_directory)
            status = client->open_directory(client->context, &client->directory, err);
        else if (client->location)
            status = imsg_directory_open(client->location, client->net, false, &client->directory, err);
        else
            status = imsg_fail(err, IMSG_CONFIG, "no directory is set up to look up handles in");
        client->has_opened = status == IMSG_OK;
    }
    if (status == IMSG_OK)
        *out = client->directory;
    return status;
}

enum imsg_status imsg_client_home(const struct imsg_client *client, const char **home, struct imsg_error *err)
{
    if (client->find_home)
        return client->find_home(client->context, home, err);
    *home = client->home;
    return client->home ? IMSG_OK : imsg_fail(err, IMSG_CONFIG, "the client has no home");
}

enum imsg_status imsg_client_path(const struct imsg_client *client, const char *name, char **path,
                                  struct imsg_error *err)
{
    const char *home = NULL;
    enum imsg_status status = imsg_client_home(client, &home, err);
    return status == IMSG_OK ? imsg_path_join(home, name, path, err) : status;
}

static enum imsg_status load_identity(struct imsg_client *client, struct imsg_error *err)
{
    struct imsg_key_file file = {
        .others_may_read = client->others_may_read, .passphrase = client->passphrase, .context = client->context};
    char *path = NULL;
    if (client->load_identity)
        return client->load_identity(client->context, &client->loaded, err);
    enum imsg_status status = imsg_client_path(client, "identity.json", &path, err);
    file.path = path;
    if (status == IMSG_OK)
        status = imsg_identity_load(&file, &client->loaded, err);
    if (status == IMSG_NO_INPUT)
        imsg_error_suggest(err, IMSG_HINT_IDENTITY, NULL);
    free(path);
    return status;
}

enum imsg_status imsg_client_identity(struct imsg_client *client, struct imsg_identity **out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (!client->identity) {
        status = load_identity(client, err);
        client->has_loaded = status == IMSG_OK;
        client->identity = client->has_loaded ? &client->loaded : NULL;
    }
    if (status == IMSG_OK)
        *out = client->identity;
    return status;
}

enum imsg_status imsg_client_auth(void *client, const struct imsg_p256 **key, struct imsg_error *err)
{
    struct imsg_identity *identity;
    enum imsg_status status = imsg_client_identity(client, &identity, err);
    if (status == IMSG_OK)
        *key = imsg_identity_signer(identity);
    return status;
}

void imsg_client_close(struct imsg_client *client)
{
    if (client->has_opened)
        imsg_directory_close(client->directory);
    if (client->has_loaded)
        imsg_identity_free(&client->loaded);
    *client = (struct imsg_client){.home = client->home};
}

unsigned imsg_client_threads(const struct imsg_client *client)
{
    return client->threads ? client->threads : 1;
}

const char *imsg_client_location(const struct imsg_client *client)
{
    return client->directory ? imsg_directory_location(client->directory) : "";
}

/* ---- one's own ---- */

/* True if the handle is in identity.json of the home. Its handles are public: no key is unlocked. */
static bool is_own(const struct imsg_client *client, const char *handle)
{
    char *path = NULL, **handles = NULL;
    size_t count = 0;
    bool own = false;
    json_t *json = NULL;
    struct imsg_buf file = {0};
    if (imsg_client_path(client, "identity.json", &path, NULL) == IMSG_OK && access(path, R_OK) == 0 &&
        imsg_read_file(path, IMSG_LINE_MAX, &file, NULL) == IMSG_OK &&
        imsg_json_parse(imsg_buf_view(&file), IMSG_LINE_MAX, &json, NULL) == IMSG_OK &&
        imsg_json_handles(json, "handles", &handles, &count, NULL) == IMSG_OK)
        for (size_t i = 0; i < count; i++)
            own |= strcmp(handles[i], handle) == 0;
    imsg_strings_free(handles, count);
    json_decref(json);
    imsg_buf_free(&file);
    free(path);
    return own;
}

void imsg_client_set_account(struct imsg_client *client, const struct imsg_p256 *account)
{
    memcpy(client->account, imsg_p256_point(account), sizeof client->account);
    client->has_account = client->account_checked = true;
}

/* Read the point of account.pem, once. An encrypted one is not unlocked for a look-up: the pin that registration set
 * then decides alone. */
static enum imsg_status read_account(struct imsg_client *client, struct imsg_error *err)
{
    struct imsg_key_file key_file = {.others_may_read = client->others_may_read};
    char *path = NULL;
    struct imsg_buf file = {0};
    struct imsg_p256 *key = NULL;
    enum imsg_status status = IMSG_OK;
    if (client->account_checked)
        return IMSG_OK;
    status = imsg_client_path(client, "account.pem", &path, err);
    key_file.path = path;
    if (status == IMSG_OK && access(path, F_OK) == 0)
        status = imsg_key_file_read(&key_file, "account key", &file, err);
    if (status == IMSG_OK && file.len && !imsg_pem_is_encrypted(imsg_buf_view(&file))) {
        status = imsg_p256_from_pem(imsg_buf_view(&file), (struct imsg_view){0}, &key, err);
        if (status == IMSG_OK)
            imsg_client_set_account(client, key);
        else
            imsg_error_prefix(err, "account key \"%s\"", path);
    }
    client->account_checked = status == IMSG_OK;
    imsg_p256_free(key);
    imsg_buf_free(&file);
    free(path);
    return status;
}

static enum imsg_status check_own(struct imsg_client *client, const char *handle, const struct imsg_entry *entry,
                                  struct imsg_error *err)
{
    char own[IMSG_THUMBPRINT + 1];
    if (!is_own(client, handle))
        return IMSG_OK;
    enum imsg_status status = read_account(client, err);
    if (status != IMSG_OK || !client->has_account ||
        memcmp(client->account, entry->account, sizeof client->account) == 0)
        return status;
    status = imsg_thumbprint(client->account, own, err);
    if (status == IMSG_OK) {
        status = imsg_fail(err, IMSG_REFUSED,
                           "%s is one of your handles, but its entry is by account key %s, not by "
                           "your own (%s)",
                           handle, entry->thumbprint, own);
        imsg_error_suggest(err, IMSG_HINT_OWN_ACCOUNT, NULL);
    }
    return status;
}

/* ---- pins ---- */

static void pin_of(const struct imsg_entry *entry, struct imsg_pin *pin)
{
    memcpy(pin->thumbprint, entry->thumbprint, sizeof pin->thumbprint);
    memcpy(pin->hash, entry->hash, sizeof pin->hash);
    pin->seq = entry->seq;
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

static void suggest_accept(const char *handle, const char *served, struct imsg_error *err)
{
    struct imsg_buf about = {0};
    if (imsg_buf_text(&about, served, NULL) == IMSG_OK && imsg_buf_text(&about, " ", NULL) == IMSG_OK &&
        imsg_buf_text(&about, handle, NULL) == IMSG_OK)
        imsg_error_suggest(err, IMSG_HINT_ACCEPT, (const char *)about.ptr);
    imsg_buf_free(&about);
}

/* The rules of the pin, unless the key is the one to be accepted. pin NULL: the handle is new. */
static enum imsg_status judge_pin(const struct imsg_client *client, const char *handle, const struct imsg_pin *pin,
                                  const struct imsg_entry *entry, struct imsg_error *err)
{
    if (client->accept)
        return strcmp(client->accept, entry->thumbprint) == 0
                   ? IMSG_OK
                   : imsg_fail(err, IMSG_REFUSED, "%s: account key %s is to be accepted, but the directory serves %s",
                               handle, client->accept, entry->thumbprint);
    enum imsg_status status = pin ? imsg_pin_check(pin, entry, err) : IMSG_OK;
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "%s", handle);
        suggest_accept(handle, entry->thumbprint, err);
    }
    return status;
}

/* Compare with the pin, and move it forward: under one lock, so that two runs cannot both see a handle first. */
static enum imsg_status check_pin(struct imsg_client *client, const char *handle, const struct imsg_entry *entry,
                                  struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    struct imsg_pin pin, fresh;
    bool found = false;
    enum imsg_status status = imsg_client_pins(client, &pins, err);
    if (status == IMSG_OK)
        status = imsg_pins_get(&pins, handle, &pin, &found, err);
    if (status == IMSG_OK)
        status = judge_pin(client, handle, found ? &pin : NULL, entry, err);
    if (status != IMSG_OK)
        goto out;
    pin_of(entry, &fresh);
    bool replaced = found && strcmp(pin.thumbprint, fresh.thumbprint) != 0;
    if (!found || replaced || memcmp(&pin.hash, &fresh.hash, sizeof pin.hash) != 0) {
        status = imsg_pins_set(&pins, handle, &fresh, err);
        if (status == IMSG_OK)
            status = imsg_pins_save(&pins, err);
    }
    if (status == IMSG_OK && (!found || replaced))
        imsg_client_tell(client, &(struct imsg_event){.kind = found ? IMSG_EVENT_KEY_REPLACED : IMSG_EVENT_FIRST_SEEN,
                                                      .handle = handle,
                                                      .key = fresh.thumbprint,
                                                      .old_key = found ? pin.thumbprint : NULL});
out:
    imsg_pins_close(&pins);
    return status;
}

/* The directory has no entry: an answer for a new handle, a refusal for a pinned one. */
static enum imsg_status judge_absence(struct imsg_client *client, const char *handle, struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    struct imsg_pin pin;
    bool found = false;
    enum imsg_status status = imsg_client_pins(client, &pins, err);
    if (status == IMSG_OK)
        status = imsg_pins_get(&pins, handle, &pin, &found, err);
    if (status == IMSG_OK)
        status = found ? imsg_fail(err, IMSG_REFUSED,
                                   "%s: pinned to account key %s, but directory \"%s\" has no entry "
                                   "for it any more",
                                   handle, pin.thumbprint, imsg_client_location(client))
                       : imsg_fail(err, IMSG_NO_ACCOUNT, "%s has no account in directory \"%s\"", handle,
                                   imsg_client_location(client));
    imsg_pins_close(&pins);
    return status;
}

/* ---- look-ups ---- */

static enum imsg_status read_entry(struct imsg_client *client, const char *handle, struct imsg_entry *entry,
                                   struct imsg_buf *file, struct imsg_error *err)
{
    enum imsg_status status = imsg_directory_get(client->directory, handle, file, err);
    if (status == IMSG_NO_ACCOUNT)
        return judge_absence(client, handle, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_entry_parse(imsg_buf_view(file), handle, client->allow_expired ? 0 : imsg_now(), entry, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "entry of %s in directory \"%s\"", handle, imsg_client_location(client));
        return status;
    }
    status = check_own(client, handle, entry, err);
    if (status == IMSG_OK)
        status = check_pin(client, handle, entry, err);
    if (status != IMSG_OK)
        imsg_entry_free(entry);
    return status;
}

/* The entry is read first and the pin after it. Where another run has written a newer entry and moved the pin on in
 * between, the entry refused is no longer in the directory: so a refusal stands only if the directory serves the
 * same entry once more. */
enum imsg_status imsg_client_look_up(struct imsg_client *client, const char *handle, struct imsg_entry *entry,
                                     struct imsg_buf *raw, struct imsg_error *err)
{
    struct imsg_buf file = {0}, refused = {0};
    struct imsg_directory *directory;
    enum imsg_status status = imsg_client_directory(client, &directory, err);
    if (status == IMSG_OK)
        status = read_entry(client, handle, entry, &file, err);
    for (int i = 0; status == IMSG_REFUSED && i < REREADS; i++) {
        imsg_buf_free(&refused);
        refused = file;
        file = (struct imsg_buf){0};
        status = read_entry(client, handle, entry, &file, err);
        if (imsg_view_equal(imsg_buf_view(&file), imsg_buf_view(&refused)))
            break;
    }
    if (status == IMSG_OK && raw) {
        *raw = file;
        file = (struct imsg_buf){0};
    }
    imsg_buf_free(&refused);
    imsg_buf_free(&file);
    return status;
}

enum imsg_status imsg_client_pin(struct imsg_client *client, const char *handle, const struct imsg_entry *entry,
                                 struct imsg_error *err)
{
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
        status = imsg_pins_set(&pins, handle, &pin, err);
    if (status == IMSG_OK)
        status = imsg_pins_save(&pins, err);
    imsg_pins_close(&pins);
    return status;
}
