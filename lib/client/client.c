/* What a client has: its home, its identity, its directory; each is loaded or opened when it is first needed. */
#include "client/client.h"

#include <stdlib.h>

#include "base/io.h"

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
            status = imsg_fail(err, IMSG_CONFIG, "there is no directory to look up handles in");
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
