/* What belongs to this user: handles, the account key, and the entries of these handles. An entry is kept whole, so
 * that a directory that goes back to an older one neither brings a removed device back nor loses a newer one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "client/client.h"
#include "crypto/crypto.h"

#define FOLDER "entries" /* in the home */

/* ---- handles and account key ---- */

/* True if the handle is in identity.json of the home, which names *account, or "". All that is public: no key is
 * unlocked. */
static bool owns(const struct imsg_client *client, const char *handle, char account[static IMSG_THUMBPRINT + 1])
{
    char *path = NULL, **handles = NULL;
    const char *named = NULL;
    size_t count = 0;
    bool own = false;
    json_t *json = NULL;
    struct imsg_buf file = {0};
    account[0] = '\0';
    if (imsg_client_path(client, "identity.json", &path, NULL) == IMSG_OK && access(path, R_OK) == 0 &&
        imsg_read_file(path, IMSG_LINE_MAX, &file, NULL) == IMSG_OK &&
        imsg_json_parse(imsg_buf_view(&file), IMSG_LINE_MAX, &json, NULL) == IMSG_OK &&
        imsg_json_handles(json, "handles", &handles, &count, NULL) == IMSG_OK)
        for (size_t i = 0; i < count; i++)
            own |= strcmp(handles[i], handle) == 0;
    if (own && imsg_json_peek(json, "account", IMSG_OPTIONAL, &named, NULL) == IMSG_OK && named &&
        imsg_thumbprint_check(named, NULL) == IMSG_OK)
        memcpy(account, named, IMSG_THUMBPRINT + 1);
    imsg_strings_free(handles, count);
    json_decref(json);
    imsg_buf_free(&file);
    free(path);
    return own;
}

void imsg_client_set_account(struct imsg_client *client, const char thumbprint[static IMSG_THUMBPRINT + 1])
{
    memcpy(client->account, thumbprint, sizeof client->account);
    client->account_checked = true;
}

enum imsg_status imsg_client_account(struct imsg_client *client, char out[static IMSG_THUMBPRINT + 1],
                                     struct imsg_error *err)
{
    struct imsg_key_file file = {.others_may_read = client->others_may_read};
    char *path = NULL;
    enum imsg_status status = IMSG_OK;
    if (!client->account_checked) {
        status = imsg_client_path(client, "account.pem", &path, err);
        file.path = path;
        if (status == IMSG_OK && access(path, F_OK) == 0)
            status = imsg_account_load_thumbprint(&file, client->account, err);
        client->account_checked = status == IMSG_OK;
    }
    if (status == IMSG_OK)
        memcpy(out, client->account, sizeof client->account);
    free(path);
    return status;
}

bool imsg_client_account_is(struct imsg_client *client, const char *thumbprint)
{
    char held[IMSG_THUMBPRINT + 1] = "";
    const char *named = client->identity ? client->identity->account : NULL;
    if (named && (!thumbprint || strcmp(named, thumbprint) == 0))
        return true;
    return imsg_client_account(client, held, NULL) == IMSG_OK && held[0] &&
           (!thumbprint || strcmp(held, thumbprint) == 0);
}

enum imsg_status imsg_client_check_own(struct imsg_client *client, const char *handle, const struct imsg_entry *entry,
                                       struct imsg_error *err)
{
    char held[IMSG_THUMBPRINT + 1] = "", named[IMSG_THUMBPRINT + 1];
    if (!owns(client, handle, named))
        return IMSG_OK;
    enum imsg_status status = imsg_client_account(client, held, err);
    const char *own = held[0] ? held : named;
    if (status != IMSG_OK || !own[0] || strcmp(own, entry->thumbprint) == 0)
        return status;
    status = imsg_fail(err, IMSG_REFUSED,
                       "%s is one of your handles, but its entry is by account key %s, not by your own (%s)", handle,
                       entry->thumbprint, own);
    imsg_error_suggest(err, IMSG_HINT_OWN_ACCOUNT, NULL);
    return status;
}

/* ---- kept entries ---- */

/* The path of the file for a handle; *folder is the folder of it. Both are the caller's. */
static enum imsg_status kept_path(const struct imsg_client *client, const char *handle, enum imsg_kept which,
                                  char **folder, char **path, struct imsg_error *err)
{
    uint8_t hash[32];
    char name[96];
    enum imsg_status status = imsg_sha256(imsg_view_str(handle), hash, err);
    if (status == IMSG_OK) {
        imsg_hex(hash, sizeof hash, name);
        strcat(name, which == IMSG_KEPT_SIGNED ? ".signed.json" : ".json");
        status = imsg_client_path(client, FOLDER, folder, err);
    }
    return status == IMSG_OK ? imsg_path_join(*folder, name, path, err) : status;
}

enum imsg_status imsg_kept_write(const struct imsg_client *client, const char *handle, enum imsg_kept which,
                                 struct imsg_view file, struct imsg_error *err)
{
    char *folder = NULL, *path = NULL;
    enum imsg_status status = kept_path(client, handle, which, &folder, &path, err);
    if (status == IMSG_OK)
        status = imsg_make_folders(folder, 0700, err);
    if (status == IMSG_OK)
        status = imsg_write_file(path, file, 0600, IMSG_REPLACE, err);
    free(folder);
    free(path);
    return status;
}

enum imsg_status imsg_kept_read(const struct imsg_client *client, const char *handle, enum imsg_kept which,
                                struct imsg_entry *out, bool *found, struct imsg_error *err)
{
    char *folder = NULL, *path = NULL;
    struct imsg_buf file = {0};
    enum imsg_status status = kept_path(client, handle, which, &folder, &path, err);
    *found = status == IMSG_OK && access(path, F_OK) == 0;
    if (*found)
        status = imsg_read_file(path, IMSG_ENTRY_MAX, &file, err);
    if (*found && status == IMSG_OK) {
        status = imsg_entry_parse(imsg_buf_view(&file), handle, 0, out, err);
        if (status != IMSG_OK && status != IMSG_NO_MEMORY) {
            imsg_error_prefix(err, "kept entry \"%s\"", path);
            status = err ? (err->status = IMSG_CONFIG) : IMSG_CONFIG;
        }
    }
    *found = *found && status == IMSG_OK;
    imsg_buf_free(&file);
    free(folder);
    free(path);
    return status;
}
