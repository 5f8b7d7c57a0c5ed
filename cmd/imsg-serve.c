/* imsg-serve: directory, relay and store for people on different machines. Options; the rest is in cmd/serve. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "serve/clock.h"
#include "serve/invite.h"
#include "serve/start.h"

enum {
    OPT_CERT = CLI_KEY_OWN,
    OPT_KEY,
    OPT_SELF_SIGNED,
    OPT_PLAIN,
    OPT_ORIGIN,
    OPT_REGISTER,
    OPT_MAILBOX_COUNT,
    OPT_MAILBOX_BYTES,
    OPT_CONNECTIONS,
    OPT_RATE,
    OPT_STRANGER_RATE,
    OPT_PROXY,
    OPT_QUOTA,
    OPT_ACCOUNT_QUOTA,
    OPT_DAYS,
    OPT_LOG,
    OPT_LOG_HANDLES,
    OPT_METRICS
};

static const struct cli_option options[] = {
    {'l', "listen", "ADDRESS:PORT", "where to listen; port 0 picks one; a path is a Unix socket", 0},
    {'D', "data", "FOLDER", "the folder with all data of the server; made if it is missing", 0},
    {OPT_CERT, "cert", "FILE", "TLS certificate and its chain, PEM", 0},
    {OPT_KEY, "key", "FILE", "its private key, PEM", 0},
    {OPT_SELF_SIGNED, "self-signed", NULL, "make a certificate, keep it in FOLDER and print its pin", 0},
    {OPT_PLAIN, "plain-http", NULL, "no TLS: behind a proxy, on loopback or a Unix socket only", 0},
    {OPT_ORIGIN, "origin", "URL", "https://host[:port] by which clients reach this server", CLI_REPEAT},
    {OPT_REGISTER, "register", "open|invite|closed", "who may register a new handle", 0},
    {OPT_MAILBOX_COUNT, "mailbox-count", "N", "messages that may wait for a device (default: 10000)", 0},
    {OPT_MAILBOX_BYTES, "mailbox-bytes", "N", "bytes that may wait for a device (default: 67108864)", 0},
    {OPT_CONNECTIONS, "connections", "N", "connections at once (default: 10000)", 0},
    {OPT_RATE, "rate", "N", "requests a second of a device (default: 500; 0: any number)", 0},
    {OPT_STRANGER_RATE, "stranger-rate", "N", "requests a second of all strangers of an address (default: 50; 0: any)",
     0},
    {OPT_PROXY, "trusted-proxy", "ADDRESS", "believe the X-Forwarded-For of this address or network; or \"unix\"",
     CLI_REPEAT},
    {OPT_QUOTA, "store-bytes", "N", "bytes of the store (default: 10737418240)", 0},
    {OPT_ACCOUNT_QUOTA, "account-bytes", "N", "bytes of an account in the store (default: 1073741824)", 0},
    {OPT_DAYS, "store-days", "N", "days that a blob is kept (default: 30)", 0},
    {OPT_LOG, "log", "none|text|json", "a line on standard error for each request (default: none)", 0},
    {OPT_LOG_HANDLES, "log-handles", NULL, "name handles in these lines", 0},
    {OPT_METRICS, "metrics", "loopback|all|off", "who may read /metrics (default: loopback)", 0},
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-serve",
    .synopsis = "[-l ADDRESS:PORT] -D FOLDER (--cert FILE --key FILE | --self-signed | --plain-http) [OPTION...]\n"
                "invite -D FOLDER",
    .purpose = "directory, relay and store over HTTPS",
    .options = options,
    .operands = "",
    .commands = "invite",
};

static unsigned choice(const char *arg, const char *const *words)
{
    unsigned i = 0;
    while (strcmp(arg, words[i]) != 0) /* cmd/cli/options.c has checked that it is one of them */
        i++;
    return i;
}

static void set_number(struct setup *setup, int key, const char *arg)
{
    static const struct {
        int key;
        size_t offset;
        const char *name;
        uint64_t min, max;
    } numbers[] = {
        {OPT_MAILBOX_COUNT, offsetof(struct serve, mailbox_count), "mailbox-count", 1, INT32_MAX},
        {OPT_MAILBOX_BYTES, offsetof(struct serve, mailbox_bytes), "mailbox-bytes", 1, INT64_MAX},
        {OPT_CONNECTIONS, offsetof(struct serve, connections), "connections", 1, 1000000},
        {OPT_RATE, offsetof(struct serve, rate), "rate", 0, 1000000},
        {OPT_STRANGER_RATE, offsetof(struct serve, stranger_rate), "stranger-rate", 0, 1000000},
        {OPT_QUOTA, offsetof(struct serve, quota.max), "store-bytes", 0, INT64_MAX},
        {OPT_ACCOUNT_QUOTA, offsetof(struct serve, quota.holder_max), "account-bytes", 0, INT64_MAX},
        {OPT_DAYS, offsetof(struct serve, days), "store-days", 1, 36500},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].key == key)
            *(uint64_t *)(void *)((char *)&setup->serve + numbers[i].offset) =
                cli_number(&setup->cli, numbers[i].name, arg, numbers[i].min, numbers[i].max);
}

static void add_origin(struct setup *setup, const char *arg)
{
    struct imsg_error err = {0};
    enum imsg_status status = origins_add(&setup->serve.origins, arg, &err);
    if (status != IMSG_OK)
        cli_usage(&setup->cli, "--origin %s", err.text);
}

static void add_proxy(struct setup *setup, const char *arg)
{
    struct imsg_error err = {0};
    enum imsg_status status = proxies_add(&setup->serve.proxies, arg, &err);
    if (status != IMSG_OK)
        cli_usage(&setup->cli, "--trusted-proxy %s", err.text);
}

static void set_option(struct setup *setup, int key, const char *arg)
{
    static const char *const registrations[] = {"", "open", "invite", "closed"};
    static const char *const logs[] = {"none", "text", "json"};
    static const char *const exposures[] = {"loopback", "all", "off"};
    struct serve *serve = &setup->serve;
    switch (key) {
    case 'l':
        setup->listen = arg;
        break;
    case 'D':
        setup->data = arg;
        break;
    case OPT_CERT:
        setup->cert = arg;
        break;
    case OPT_KEY:
        setup->key = arg;
        break;
    case OPT_SELF_SIGNED:
        setup->self_signed = true;
        break;
    case OPT_PLAIN:
        serve->plain_http = true;
        break;
    case OPT_ORIGIN:
        add_origin(setup, arg);
        break;
    case OPT_PROXY:
        add_proxy(setup, arg);
        break;
    case OPT_REGISTER:
        serve->registration = (enum registration)choice(arg, registrations);
        break;
    case OPT_LOG:
        serve->log = (enum log_mode)choice(arg, logs);
        break;
    case OPT_LOG_HANDLES:
        serve->log_handles = true;
        break;
    case OPT_METRICS:
        serve->metrics_for = (enum exposure)choice(arg, exposures);
        break;
    default:
        set_number(setup, key, arg);
        break;
    }
}

/* Check the options before any file is touched. True: the command is "invite". */
static bool check_options(struct setup *setup)
{
    struct cli *cli = &setup->cli;
    bool invite = cli_operands(cli) == 1 && strcmp(cli_operand(cli, 0), "invite") == 0;
    if (cli_operands(cli) > 0 && !invite)
        cli_usage(cli, "\"%s\" is no command; \"invite\" is the only one", cli_operand(cli, cli_operands(cli) - 1));
    if (!setup->data)
        cli_usage(cli, "-D FOLDER is missing");
    if (invite) {
        for (const struct cli_option *option = options; option->name; option++)
            if (option->key != 'D' && cli_given(cli, option->key))
                cli_usage(cli, "invite takes -D only, not --%s", option->name);
        return true;
    }
    cli_exclusive(cli, OPT_CERT, OPT_SELF_SIGNED, OPT_PLAIN, 0);
    cli_exclusive(cli, OPT_KEY, OPT_SELF_SIGNED, OPT_PLAIN, 0);
    if (!setup->cert != !setup->key)
        cli_usage(cli, "--cert and --key go together");
    if (!setup->cert && !setup->self_signed && !setup->serve.plain_http)
        cli_usage(cli, "one of --cert and --key, --self-signed or --plain-http is needed");
    if (setup->serve.log_handles && setup->serve.log == LOG_NONE)
        cli_usage(cli, "--log-handles needs --log");
    if (listener_passed() ? setup->listen != NULL : setup->listen == NULL)
        cli_usage(cli, setup->listen ? "-l, and a socket passed by systemd" : "-l ADDRESS:PORT is missing");
    return false;
}

/* ---- invite ---- */

static enum imsg_status print_invite(struct setup *setup, struct imsg_error *err)
{
    const struct storage_setup storage_setup = {.cli = &setup->cli, .folder = setup->data};
    struct storage *storage = NULL;
    char code[INVITE_CODE + 1];
    enum imsg_status status = storage_open(&storage_setup, &storage, err);
    if (status == IMSG_OK)
        status = invite_make(storage, code, err);
    if (status == IMSG_OK)
        status = print_line("", code, err);
    storage_close(storage);
    return status;
}

int main(int argc, char **argv)
{
    static struct setup setup = {
        .lock = -1,
        .notify = -1,
        .serve = {.polls = {.lock = PTHREAD_MUTEX_INITIALIZER, .hang_ups = -1},
                  .listener = {.fd = -1},
                  .peers = {.lock = PTHREAD_MUTEX_INITIALIZER},
                  .mailbox_count = 10000,
                  .mailbox_bytes = UINT64_C(64) << 20,
                  .connections = 10000,
                  .rate = 500,
                  .stranger_rate = 50,
                  .bodies = {.max = UINT64_C(64) << 20, .holder_max = UINT64_C(16) << 20},
                  .quota = {.max = UINT64_C(10) << 30, .holder_max = UINT64_C(1) << 30},
                  .days = 30},
    };
    struct imsg_error err = {0};
    const char *arg;
    int key;
    setup.serve.cli = &setup.cli;
    cli_start(&setup.cli, &tool, argc, argv);
    while ((key = cli_next(&setup.cli, &arg)) != -1)
        set_option(&setup, key, arg);
    if (check_options(&setup)) {
        cli_ok(&setup.cli, print_invite(&setup, &err), &err);
        return cli_finish(&setup.cli);
    }
    setup.serve.metrics.started = imsg_now();
    if (cli_ok(&setup.cli, serve_start(&setup, &err), &err)) {
        clock_run(&setup.serve);
        clock_drain(&setup.serve);
    }
    serve_stop(&setup);
    return cli_finish(&setup.cli);
}
