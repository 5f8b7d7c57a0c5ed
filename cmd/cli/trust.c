/* The directory is trusted for nothing but routing: what it serves is checked against the account key seen first. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "net/net.h"

#define REREADS 16 /* of an entry that others change at the same time */

enum imsg_status cli_trust_open(struct cli *cli, const char *directory_option, bool create, struct cli_trust *trust,
                                struct imsg_error *err)
{
    char *location = NULL;
    struct imsg_net *net = NULL;
    *trust = (struct cli_trust){.cli = cli, .option = directory_option};
    enum imsg_status status = cli_service(cli, CLI_DIRECTORY, directory_option, &location, err);
    if (status == IMSG_OK)
        status = cli_net(cli, &net, err);
    if (status == IMSG_OK)
        status = imsg_directory_open(location, net, create, &trust->directory, err);
    free(location);
    return status;
}

void cli_trust_close(struct cli_trust *trust)
{
    imsg_directory_close(trust->directory);
    trust->directory = NULL;
}

/* Is the handle in identity.json? Its handles are public: no key is unlocked for this. */
static bool is_own(struct cli *cli, const char *handle)
{
    char *path = NULL, **handles = NULL;
    size_t count = 0;
    bool own = false;
    json_t *json = NULL;
    struct imsg_buf file = {0};
    if (cli_home_path(cli, "identity.json", &path, NULL) == IMSG_OK && access(path, R_OK) == 0 &&
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

/* The point of account.pem, read at the first own handle. An encrypted one is not unlocked for a look-up: there the
 * pin that imsg-register set speaks alone. */
static enum imsg_status own_account(struct cli_trust *trust, struct imsg_error *err)
{
    char *path = NULL;
    struct imsg_buf file = {0};
    struct imsg_p256 *key = NULL;
    enum imsg_status status = IMSG_OK;
    if (trust->own_checked)
        return IMSG_OK;
    status = cli_home_path(trust->cli, "account.pem", &path, err);
    if (status == IMSG_OK && access(path, F_OK) == 0)
        status = cli_read_key_file(trust->cli, path, "account key", &file, err);
    if (status == IMSG_OK && file.len && !imsg_pem_is_encrypted(imsg_buf_view(&file))) {
        status = imsg_p256_from_pem(imsg_buf_view(&file), (struct imsg_view){0}, &key, err);
        if (status == IMSG_OK) {
            memcpy(trust->own, imsg_p256_point(key), sizeof trust->own);
            trust->has_own = true;
        } else {
            imsg_error_prefix(err, "account key \"%s\"", path);
        }
    }
    trust->own_checked = status == IMSG_OK;
    imsg_p256_free(key);
    imsg_buf_free(&file);
    free(path);
    return status;
}

/* The whole command that accepts what is served now, to be copied: a handle is chosen by a stranger, so it must not be
 * able to mean anything to the shell, nor look like an option. */
static void hint_accept(const struct cli_trust *trust, const char *handle, const char *served, struct imsg_error *err)
{
    const char *plain = strchr(handle, ':') + 1;
    char *word = NULL, *option = NULL;
    if (cli_shell_word(*plain == '-' ? handle : plain, &word, NULL) == IMSG_OK &&
        cli_shell_word(trust->option ? trust->option : "", &option, NULL) == IMSG_OK)
        imsg_error_hint(err, "compare with its owner (imsg-keygen -F), then: imsg-lookup %s%s%s--accept %s %s",
                        trust->option ? "-d " : "", trust->option ? option : "", trust->option ? " " : "", served,
                        word);
    free(option);
    free(word);
}

static enum imsg_status check_own(struct cli_trust *trust, const char *handle, const struct imsg_entry *entry,
                                  struct imsg_error *err)
{
    char own[IMSG_THUMBPRINT + 1];
    if (!is_own(trust->cli, handle))
        return IMSG_OK;
    enum imsg_status status = own_account(trust, err);
    if (status != IMSG_OK || !trust->has_own || memcmp(trust->own, entry->account, sizeof trust->own) == 0)
        return status;
    status = imsg_thumbprint(trust->own, own, err);
    if (status == IMSG_OK) {
        status = imsg_fail(err, IMSG_REFUSED, "%s is one of your handles, but its entry is by account key %s, not by "
                           "your own (%s)", handle, entry->thumbprint, own);
        imsg_error_hint(err, "if another device of yours has that key: imsg-keygen -y | ssh THERE imsg-register");
    }
    return status;
}

static void pin_of(const struct imsg_entry *entry, struct imsg_pin *pin)
{
    memcpy(pin->thumbprint, entry->thumbprint, sizeof pin->thumbprint);
    memcpy(pin->hash, entry->hash, sizeof pin->hash);
    pin->seq = entry->seq;
}

static enum imsg_status open_pins(struct cli *cli, struct imsg_pins *pins, struct imsg_error *err)
{
    char *path = NULL;
    enum imsg_status status = cli_home_path(cli, "pins.json", &path, err);
    if (status == IMSG_OK)
        status = imsg_pins_open(path, pins, err);
    free(path);
    return status;
}

/* Compare with the pin, and move it forward: under one lock, so that two runs cannot both see a handle first. */
static enum imsg_status check_pin(struct cli_trust *trust, const char *handle, const struct imsg_entry *entry,
                                  struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    struct imsg_pin pin, fresh;
    bool found = false;
    enum imsg_status status = open_pins(trust->cli, &pins, err);
    if (status == IMSG_OK)
        status = imsg_pins_get(&pins, handle, &pin, &found, err);
    if (status != IMSG_OK)
        goto out;
    bool accepted = trust->accept && strcmp(trust->accept, entry->thumbprint) == 0;
    if (trust->accept && !accepted) {
        status = imsg_fail(err, IMSG_REFUSED, "%s: --accept names account key %s, but the directory serves %s", handle,
                           trust->accept, entry->thumbprint);
        goto out;
    }
    if (found && !accepted) {
        status = imsg_pin_check(&pin, entry, err);
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "%s", handle);
            hint_accept(trust, handle, entry->thumbprint, err);
            goto out;
        }
    }
    pin_of(entry, &fresh);
    if (!found || memcmp(&pin.hash, &fresh.hash, sizeof pin.hash) != 0 || strcmp(pin.thumbprint, fresh.thumbprint)) {
        status = imsg_pins_set(&pins, handle, &fresh, err);
        if (status == IMSG_OK)
            status = imsg_pins_save(&pins, err);
    }
    if (status == IMSG_OK && !found)
        cli_note(trust->cli, "%s: first seen, pinned to account key %s", handle, entry->thumbprint);
    else if (status == IMSG_OK && strcmp(pin.thumbprint, fresh.thumbprint) != 0)
        cli_note(trust->cli, "%s: pinned to account key %s in place of %s", handle, fresh.thumbprint, pin.thumbprint);
out:
    imsg_pins_close(&pins);
    return status;
}

/* The directory has no entry: an answer for a new handle, an alarm for a pinned one. */
static enum imsg_status absent(struct cli_trust *trust, const char *handle, struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    struct imsg_pin pin;
    bool found = false;
    enum imsg_status status = open_pins(trust->cli, &pins, err);
    if (status == IMSG_OK)
        status = imsg_pins_get(&pins, handle, &pin, &found, err);
    if (status == IMSG_OK)
        status = found ? imsg_fail(err, IMSG_REFUSED, "%s: pinned to account key %s, but directory \"%s\" has no entry "
                                   "for it any more", handle, pin.thumbprint,
                                   imsg_directory_location(trust->directory))
                       : imsg_fail(err, IMSG_NO_ACCOUNT, "%s has no account in directory \"%s\"", handle,
                                   imsg_directory_location(trust->directory));
    imsg_pins_close(&pins);
    return status;
}

static enum imsg_status read_entry(struct cli_trust *trust, const char *handle, struct imsg_entry *entry,
                                   struct imsg_buf *file, struct imsg_error *err)
{
    enum imsg_status status = imsg_directory_get(trust->directory, handle, file, err);
    if (status == IMSG_NO_ACCOUNT)
        return absent(trust, handle, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_entry_parse(imsg_buf_view(file), handle, trust->expired_ok ? 0 : imsg_now(), entry, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "entry of %s in directory \"%s\"", handle, imsg_directory_location(trust->directory));
        return status;
    }
    status = check_own(trust, handle, entry, err);
    if (status == IMSG_OK)
        status = check_pin(trust, handle, entry, err);
    if (status != IMSG_OK)
        imsg_entry_free(entry);
    return status;
}

/* The entry is read first and the pin after it. Where another run has written a newer entry and moved the pin on in
 * between, the refusal is of what is no longer there: so it stands only if the directory serves the same once more. */
enum imsg_status cli_trust_entry(struct cli_trust *trust, const char *handle, struct imsg_entry *entry,
                                 struct imsg_buf *raw, struct imsg_error *err)
{
    struct imsg_buf file = {0}, refused = {0};
    enum imsg_status status = read_entry(trust, handle, entry, &file, err);
    for (int i = 0; status == IMSG_REFUSED && i < REREADS; i++) {
        imsg_buf_free(&refused);
        refused = file;
        file = (struct imsg_buf){0};
        status = read_entry(trust, handle, entry, &file, err);
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

enum imsg_status cli_trust_pin(struct cli_trust *trust, const char *handle, const struct imsg_entry *entry,
                               struct imsg_error *err)
{
    struct imsg_pins pins = {.lock = -1};
    struct imsg_pin pin, old = {0};
    bool found = false;
    enum imsg_status status = open_pins(trust->cli, &pins, err);
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
