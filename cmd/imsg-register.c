/* imsg-register: the entry of each handle gets this device, signed by the account key. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/url.h"

enum { OPT_ACCOUNT = CLI_KEY_OWN, OPT_REMOVE, OPT_LEAVE, OPT_EXPIRES, OPT_INVITE };

static const struct cli_option options[] = {
    CLI_OPT_DIRECTORY,
    CLI_OPT_RELAY,
    {OPT_ACCOUNT, "account", "FILE", "the account key that signs (default: account.pem in IMSG_HOME)", 0},
    {OPT_REMOVE, "remove", "DEVICE", "remove a device by its name, its token, or a unique start of one", CLI_REPEAT},
    {OPT_LEAVE, "leave", "HANDLE", "take all devices out of the entry of one of your handles", CLI_REPEAT},
    {OPT_EXPIRES, "expires", "DAYS", "let the entry expire after DAYS", 0},
    {OPT_INVITE, "invite", "CODE", "show the server this invitation", 0},
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-register",
    .synopsis = "[-d LOCATION] [--account FILE] [--remove DEVICE]... [--expires DAYS] [--invite CODE] "
                "[FILE...]\n--leave HANDLE... [-d LOCATION] [--account FILE]",
    .purpose = "put device records into the directory, signed by the account key",
    .options = options,
    .operands = "FILE",
};

#define INVITE_MAX 200
#define INVITE_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

struct registration {
    struct cli cli;
    struct imsg_registration what;
    const char *relay_option, *account_path;
    const char **removals;
    char **leaves;
    char *relay; /* for records that name none, or NULL */
    struct imsg_devices records;
};

/* ---- input ---- */

static enum imsg_status read_records(struct registration *run, struct imsg_error *err)
{
    int files = cli_operands(&run->cli);
    enum imsg_status status = IMSG_OK;
    if (files == 0 && run->what.removal_count + run->what.leave_count > 0)
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
        status = imsg_device_verify(device, NULL, err);
        if (status == IMSG_OK) {
            struct imsg_device moved = *device;
            *device = (struct imsg_device){0};
            run->records.items[kept++] = moved;
            continue;
        }
        cli_report(&run->cli, err);
        imsg_device_free(device);
    }
    run->records.count = kept;
    if (kept == 0 && run->cli.status == 0)
        return imsg_fail(err, IMSG_NO_INPUT, "no device record to register");
    return IMSG_OK;
}

/* Standard input has one owner, and that is known before anything is read. */
static void check_inputs(const struct registration *run)
{
    int files = cli_operands(&run->cli), readers = files == 0 && run->what.removal_count + run->what.leave_count == 0;
    for (int i = 0; i < files; i++)
        readers += strcmp(cli_operand(&run->cli, i), "-") == 0;
    readers += run->account_path && strcmp(run->account_path, "-") == 0;
    if (readers > 1)
        cli_usage(&run->cli, "standard input can be only one of the inputs");
    if (run->what.leave_count > 0 && (files > 0 || run->what.removal_count > 0))
        cli_usage(&run->cli, "--leave takes neither FILE nor --remove");
}

/* A relay that others can use goes into the records that name none. In a folder the mailboxes are made, before the
 * entry is there, so that nobody finds a device without its mailbox; a server makes the mailboxes of the devices in its
 * directory. */
static enum imsg_status prepare_relay(struct registration *run, struct imsg_error *err)
{
    struct imsg_relay *relay = NULL;
    char *location = NULL;
    enum imsg_status status = cli_service(&run->cli, CLI_RELAY, run->relay_option, &location, err);
    if (status == IMSG_OK && imsg_url_is_https_origin(location)) {
        run->what.relay = run->relay = location;
        location = NULL;
    } else if (status == IMSG_OK && !imsg_location_is_remote(location)) {
        status = imsg_relay_open(location, NULL, &relay, err);
    }
    for (size_t i = 0; relay && status == IMSG_OK && i < run->records.count; i++)
        if (!run->records.items[i].relay)
            status = imsg_relay_mailbox(relay, run->records.items[i].token, err);
    imsg_relay_close(relay);
    free(location);
    return status;
}

static enum imsg_status work(struct registration *run, struct imsg_error *err)
{
    struct imsg_directory *directory;
    char *account = NULL;
    enum imsg_status status = read_records(run, err);
    cli_client(&run->cli);
    if (status == IMSG_OK)
        status = cli_key_file(&run->cli, run->account_path, "account.pem", &account, &run->what.account_file, err);
    run->what.client = &run->cli.client;
    run->what.records = &run->records;
    run->what.removals = run->removals;
    run->what.leaves = (const char *const *)run->leaves;
    run->cli.client.allow_expired = true;
    run->cli.directory_create = run->records.count > 0;
    if (status == IMSG_OK)
        status = imsg_register_start(&run->what, err);
    if (status == IMSG_OK)
        status = imsg_client_directory(&run->cli.client, &directory, err);
    if (status == IMSG_OK)
        status = prepare_relay(run, err);
    if (status == IMSG_OK)
        status = imsg_register(&run->what, err);
    imsg_registration_free(&run->what);
    free(account);
    return status;
}

static void take_options(struct registration *run)
{
    const char *arg;
    for (int key; (key = cli_next(&run->cli, &arg)) != -1;) {
        switch (key) {
        case 'd':
            run->cli.directory_option = arg;
            break;
        case CLI_KEY_RELAY:
            run->relay_option = arg;
            break;
        case OPT_ACCOUNT:
            run->account_path = arg;
            break;
        case OPT_REMOVE:
            if (!arg[0])
                cli_usage(&run->cli, "--remove needs a name or a token");
            run->removals[run->what.removal_count++] = arg;
            break;
        case OPT_LEAVE:
            run->leaves[run->what.leave_count++] = cli_handle(&run->cli, arg);
            break;
        case OPT_INVITE:
            if (!arg[0] || strlen(arg) > INVITE_MAX || strspn(arg, INVITE_ALPHABET) != strlen(arg))
                cli_usage(&run->cli, "--invite takes letters, digits, - and _, not \"%s\"", arg);
            run->cli.net.invite = arg;
            break;
        case OPT_EXPIRES:
            run->what.expires_days = (unsigned)cli_number(&run->cli, "expires", arg, 1, 36500);
            break;
        }
    }
}

int main(int argc, char **argv)
{
    struct registration run = {0};
    struct imsg_error err = {0};
    cli_start(&run.cli, &tool, argc, argv);
    run.removals = calloc((size_t)argc, sizeof *run.removals);
    run.leaves = calloc((size_t)argc, sizeof *run.leaves);
    if (!run.removals || !run.leaves) {
        cli_error(&run.cli, IMSG_NO_MEMORY, "out of memory");
        return cli_finish(&run.cli);
    }
    take_options(&run);
    check_inputs(&run);
    cli_may_read_operands(&run.cli, 0);
    cli_may_replace(&run.cli, run.account_path);
    cli_may_use(&run.cli, CLI_DIRECTORY, run.cli.directory_option);
    cli_may_use(&run.cli, CLI_RELAY, run.relay_option);
    cli_confine(&run.cli);
    cli_ok(&run.cli, work(&run, &err), &err);
    imsg_devices_free(&run.records);
    imsg_strings_free(run.leaves, run.what.leave_count);
    free(run.relay);
    free(run.removals);
    return cli_finish(&run.cli);
}
