/* The client that a tool is: its home, its identity, its directory, and what its connections share: which servers are
 * trusted, how long is tried, who signs bearer tokens. */
#include "cli/cli.h"

#include <stdlib.h>

static enum imsg_status load_identity(void *context, struct imsg_identity *out, struct imsg_error *err)
{
    struct cli *cli = context;
    return cli_identity(cli, cli->identity_path, out, err);
}

/* The directory is opened at the first look-up: without one, no default folder is made and no bad setting is
 * reported. */
static enum imsg_status open_directory(void *context, struct imsg_directory **out, struct imsg_error *err)
{
    struct cli *cli = context;
    char *location = NULL;
    struct imsg_net *net = NULL;
    enum imsg_status status = cli_service(cli, CLI_DIRECTORY, cli->directory_option, &location, err);
    if (status == IMSG_OK)
        status = cli_net(cli, &net, err);
    if (status == IMSG_OK)
        status = imsg_directory_open(location, net, cli->directory_create, out, err);
    free(location);
    return status;
}

/* It is made when something of it is first needed: a run that names all it uses needs no home. */
static enum imsg_status find_home(void *context, const char **home, struct imsg_error *err)
{
    return cli_home(context, home, err);
}

void cli_client(struct cli *cli)
{
    cli->client.find_home = find_home;
    cli->client.load_identity = load_identity;
    cli->client.open_directory = open_directory;
    cli->client.event = cli_event;
    cli->client.context = cli;
    cli->client.threads = cli_jobs(cli);
    cli->client.others_may_read = cli->allow_insecure_key;
}

/* ---- connections ---- */

/* Called for the first bearer token, so that no passphrase is asked for where there is only a folder. A failure is
 * kept: it would be the same for every message. */
static enum imsg_status auth_key(void *context, const struct imsg_p256 **key, struct imsg_error *err)
{
    struct cli *cli = context;
    enum imsg_status status = cli->auth_err.status;
    if (!cli->client.context) /* this tool is no client but for its bearer tokens */
        cli_client(cli);
    if (status == IMSG_OK)
        status = imsg_client_auth(&cli->client, key, &cli->auth_err);
    if (status == IMSG_NO_INPUT && cli->auth_optional)
        return IMSG_OK;
    if (status != IMSG_OK && err)
        *err = cli->auth_err;
    return status;
}

static void tell_loaded(void *context, const char *version)
{
    cli_detail(context, "loaded %s", version);
}

/* A setting where the option was not given. */
static enum imsg_status setting(struct cli *cli, const char *name, const char **value, struct imsg_error *err)
{
    return *value ? IMSG_OK : cli_setting(cli, name, value, err);
}

enum imsg_status cli_net(struct cli *cli, struct imsg_net **out, struct imsg_error *err)
{
    struct imsg_net *net = &cli->net;
    const enum cli_service services[] = {CLI_DIRECTORY, CLI_RELAY, CLI_STORE};
    const char *temp = cli_environment("TMPDIR");
    enum imsg_status status = IMSG_OK;
    if (cli->net_ready) {
        *out = net;
        return IMSG_OK;
    }
    status = setting(cli, "IMSG_CACERT", &net->cacert, err);
    if (status == IMSG_OK)
        status = setting(cli, "IMSG_PIN", &net->pin, err);
    if (status == IMSG_OK)
        status = setting(cli, "IMSG_CLIENT_CERT", &net->client_cert, err);
    /* Without a place for it nothing is cached. */
    if (status == IMSG_OK && !cli->net_cache &&
        cli_xdg_path("XDG_CACHE_HOME", ".cache", &cli->net_cache, NULL) == IMSG_OK)
        net->cache = cli->net_cache;
    net->temp = temp;
    net->auth = auth_key;
    net->s3 = cli_s3;
    net->loaded = tell_loaded;
    net->context = cli;
    for (size_t i = 0; status == IMSG_OK && i < sizeof services / sizeof services[0]; i++) {
        char *location = NULL;
        status = cli_configured(cli, services[i], NULL, &location, err);
        /* A location that is wrong is reported when it is used. */
        if (status == IMSG_OK && location && imsg_net_trust(net, location, NULL) == IMSG_NO_MEMORY)
            status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        free(location);
    }
    if (status != IMSG_OK)
        return status;
    cli->net_ready = true;
    *out = net;
    return IMSG_OK;
}
