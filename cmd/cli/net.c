/* What the connections of a run share: which servers are trusted, how long is tried, who signs bearer tokens. */
#include "cli/cli.h"

#include <stdlib.h>

/* Asked for with the first bearer token, so that nobody enters a passphrase for a folder. A failure is kept: it would
 * be the same for every message. */
static enum imsg_status auth_key(void *context, const struct imsg_p256 **key, struct imsg_error *err)
{
    struct cli *cli = context;
    enum imsg_status status = IMSG_OK;
    if (!cli->auth && !cli->auth_failed) {
        status = cli_identity(cli, cli->auth_path, &cli->auth_identity, &cli->auth_err);
        if (status == IMSG_OK)
            cli_net_identity(cli, &cli->auth_identity);
        else if (status == IMSG_NO_INPUT && cli->auth_optional)
            return IMSG_OK;
        else
            cli->auth_failed = true;
    }
    if (cli->auth_failed) {
        if (err)
            *err = cli->auth_err;
        return cli->auth_err.status;
    }
    *key = cli->auth;
    return status;
}

static void tell_loaded(void *context, const char *version)
{
    cli_detail(context, "loaded %s", version);
}

void cli_net_identity(struct cli *cli, const struct imsg_identity *identity)
{
    cli->auth = imsg_identity_signer(identity);
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
