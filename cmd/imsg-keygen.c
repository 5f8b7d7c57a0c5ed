/* imsg-keygen: keys of a device; nothing private ever reaches stdout. */
#include "keygen/keygen.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "base/url.h"

enum { OPT_RELAY = CLI_KEY_RELAY, OPT_ROTATE = CLI_KEY_OWN, OPT_ACCOUNT };

static const struct cli_option options[] = {
    {'o', "output", "FILE", "write the identity to FILE (default: identity.json in IMSG_HOME)", 0},
    {'n', "name", "NAME", "name of this device (default: the host's name)", 0},
    {'p', "passphrase", NULL, "encrypt the private keys with a passphrase", 0},
    {OPT_RELAY, "relay", "URL", "relay to write into the record (default: the configured one, unless a folder)", 0},
    {OPT_ACCOUNT, "account", "THUMBPRINT", "the owner's account key, on a device that does not hold it", 0},
    {'i', "identity", "FILE", "the identity for -y, -F and --rotate (default: identity.json in IMSG_HOME)", 0},
    {'y', "public", NULL, "print the public device record of an existing identity", 0},
    {'F', "fingerprint", NULL, "print the fingerprints of an existing identity and of the account key", 0},
    {OPT_ROTATE, "rotate", NULL, "replace the prekey of an existing identity; the old one is kept to open with", 0},
    {'j', "json", NULL, "print the fingerprints as JSON", 0},
    CLI_OPTS_KEY,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-keygen",
    .synopsis = "[-o FILE] [-n NAME] [-p] [--relay URL] [--account THUMBPRINT] HANDLE...\n"
                "-y [--account THUMBPRINT] | -F | --rotate [-i FILE]",
    .purpose = "make a device's keys and print its public record",
    .options = options,
    .operands = "HANDLE",
};

/* The record names the account key of the home where the identity names none. */
static enum imsg_status name_account(struct keygen *run, struct imsg_identity *identity, struct imsg_error *err)
{
    char account[IMSG_THUMBPRINT + 1];
    if (identity->account)
        return IMSG_OK;
    cli_client(&run->cli);
    enum imsg_status status = imsg_client_account(&run->cli.client, account, err);
    return status == IMSG_OK && account[0] ? imsg_identity_set_account(identity, account, err) : status;
}

/* The identity of the home names no other account key than the one that is beside it. */
static enum imsg_status check_account(struct keygen *run, struct imsg_error *err)
{
    char held[IMSG_THUMBPRINT + 1] = "";
    if (!run->account || run->identity || run->output)
        return IMSG_OK;
    cli_client(&run->cli);
    enum imsg_status status = imsg_client_account(&run->cli.client, held, err);
    return status == IMSG_OK && held[0] && strcmp(held, run->account) != 0
               ? imsg_fail(err, IMSG_REFUSED, "the account key of this home, account.pem, is another one: %s", held)
               : status;
}

static enum imsg_status print_record(struct keygen *run, struct imsg_identity *identity, struct imsg_error *err)
{
    struct imsg_device device = {0};
    struct imsg_buf line = {0};
    struct cli_output out;
    cli_output_start(&run->cli, &out, NULL);
    enum imsg_status status = name_account(run, identity, err);
    if (status == IMSG_OK)
        status = imsg_identity_device(identity, &device, err);
    if (status == IMSG_OK) /* a prekey_record that is not this device's would reach everybody */
        status = imsg_device_verify(&device, NULL, err);
    if (status == IMSG_OK)
        status = imsg_device_print(&device, NULL, &line, err);
    if (status == IMSG_OK)
        status = cli_output_write(&out, imsg_buf_view(&line), false, err);
    if (status == IMSG_OK)
        status = cli_output_finish(&out, true, err);
    imsg_buf_free(&line);
    imsg_device_free(&device);
    return status;
}

/* The canonical handles of the operands, without repetition. */
static enum imsg_status read_handles(struct keygen *run, char **handles, size_t *count, struct imsg_error *err)
{
    for (int i = 0; i < cli_operands(&run->cli); i++) {
        char *handle = NULL;
        bool known = false;
        if (!imsg_handle_is(cli_operand(&run->cli, i)))
            return imsg_fail(err, IMSG_USAGE, "\"%s\" is no handle: an email address or +NUMBER",
                             cli_operand(&run->cli, i));
        enum imsg_status status = imsg_handle_canonical(cli_operand(&run->cli, i), &handle, err);
        if (status != IMSG_OK)
            return imsg_fail(err, IMSG_USAGE, "\"%s\" is no handle: an email address or +NUMBER",
                             cli_operand(&run->cli, i));
        for (size_t k = 0; k < *count; k++)
            known |= strcmp(handles[k], handle) == 0;
        if (known)
            free(handle);
        else
            handles[(*count)++] = handle;
    }
    return IMSG_OK;
}

/* --relay, else the configured relay unless it is a folder: a folder means nothing to anybody else. */
static enum imsg_status choose_relay(struct keygen *run, char **relay, struct imsg_error *err)
{
    enum imsg_status status = cli_configured(&run->cli, CLI_RELAY, run->relay, relay, err);
    if (status != IMSG_OK || !*relay || imsg_url_is_https_origin(*relay))
        return status;
    if (run->relay)
        return imsg_fail(err, IMSG_USAGE, "--relay \"%s\" is not https://host[:port]: others could not use it",
                         run->relay);
    free(*relay);
    *relay = NULL;
    return IMSG_OK;
}

static enum imsg_status target_path(struct keygen *run, const char *given, char **path, struct imsg_error *err)
{
    return given ? imsg_path_join(given, "", path, err) : cli_home_path(&run->cli, "identity.json", path, err);
}

static enum imsg_status make(struct keygen *run, struct imsg_error *err)
{
    struct imsg_identity identity = {0};
    struct imsg_buf passphrase = {0};
    char *path = NULL, *relay = NULL, host[256] = "device";
    size_t count = 0;
    char **handles = calloc((size_t)cli_operands(&run->cli), sizeof *handles);
    enum imsg_status status =
        handles ? read_handles(run, handles, &count, err) : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK)
        status = check_account(run, err);
    if (status == IMSG_OK)
        status = choose_relay(run, &relay, err);
    if (status == IMSG_OK)
        status = target_path(run, run->output, &path, err);
    if (status != IMSG_OK)
        goto out;
    if (access(path, F_OK) == 0) { /* known before a passphrase is asked; the creation below decides */
        status = imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\" exists and is never replaced", path);
        cli_error_hint(err, "imsg-keygen -y prints its record, --rotate renews its prekey, -o FILE makes another");
        goto out;
    }
    if (cli_given(&run->cli, 'p'))
        status = cli_passphrase(&run->cli, "the new identity", true, &passphrase, err);
    if (gethostname(host, sizeof host - 1) != 0 || !host[0])
        strcpy(host, "device");
    if (status == IMSG_OK)
        status = imsg_identity_generate((const char *const *)handles, count, run->name ? run->name : host, relay,
                                        &identity, err);
    if (status == IMSG_OK && run->account)
        status = imsg_identity_set_account(&identity, run->account, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(&identity.passphrase, passphrase.ptr, passphrase.len, err);
    if (status == IMSG_OK)
        status = imsg_identity_create(path, &identity, err);
    if (status == IMSG_OK)
        status = print_record(run, &identity, err);
out:
    imsg_buf_free(&passphrase);
    imsg_identity_free(&identity);
    imsg_strings_free(handles, count);
    free(relay);
    free(path);
    return status;
}

static enum imsg_status rotate(struct keygen *run, struct imsg_error *err)
{
    struct imsg_identity identity = {0};
    enum imsg_status status = cli_identity_change(&run->cli, run->identity, NULL, &identity, err);
    if (status == IMSG_OK)
        status = print_record(run, &identity, err);
    if (status == IMSG_OK)
        cli_note(&run->cli, "register the new record: imsg-keygen -y | imsg-register");
    imsg_identity_free(&identity);
    return status;
}

static enum imsg_status print_public(struct keygen *run, struct imsg_error *err)
{
    struct imsg_identity identity = {0};
    enum imsg_status status = check_account(run, err);
    if (status == IMSG_OK)
        status = run->account ? cli_identity_change(&run->cli, run->identity, run->account, &identity, err)
                              : cli_identity(&run->cli, run->identity, &identity, err);
    if (status == IMSG_OK)
        status = print_record(run, &identity, err);
    imsg_identity_free(&identity);
    return status;
}

static void check(const struct keygen *run)
{
    const struct cli *cli = &run->cli;
    bool existing = cli_given(cli, 'y') || cli_given(cli, 'F') || cli_given(cli, OPT_ROTATE);
    cli_exclusive(cli, 'y', 'F', OPT_ROTATE, 'n', 0);
    cli_exclusive(cli, 'i', 'o', 0);
    cli_exclusive(cli, 'i', 'p', 0);
    cli_exclusive(cli, 'i', OPT_RELAY, 0);
    cli_exclusive(cli, OPT_ACCOUNT, 'F', OPT_ROTATE, 0);
    if (existing && (cli_given(cli, 'o') || cli_given(cli, 'p') || cli_given(cli, OPT_RELAY)))
        cli_usage(cli, "-o, -p and --relay are for a new identity");
    if (existing && cli_operands(cli) > 0)
        cli_usage(cli, "-y, -F and --rotate take no HANDLE");
    if (!existing && cli_given(cli, 'i'))
        cli_usage(cli, "--identity goes with -y, -F or --rotate");
    if (!existing && cli_operands(cli) == 0)
        cli_usage(cli, "no HANDLE: whose device is it?");
    if (cli_given(cli, 'j') && !cli_given(cli, 'F'))
        cli_usage(cli, "--json goes with -F");
    if (run->name && (!run->name[0] || !imsg_utf8_valid(imsg_view_str(run->name))))
        cli_usage(cli, "--name must be text");
    if (!existing && !cli_given(cli, 'p') && (cli->passphrase_file || cli->passphrase_fd >= 0))
        cli_usage(cli, "a passphrase without -p: the new identity would not be encrypted");
    if (run->account && imsg_thumbprint_check(run->account, NULL) != IMSG_OK)
        cli_usage(cli, "--account takes a thumbprint of %d characters", IMSG_THUMBPRINT);
    if ((cli_given(cli, OPT_ROTATE) || run->account) && run->identity && strcmp(run->identity, "-") == 0)
        cli_usage(cli, "--rotate and --account write the identity back: it cannot come from standard input");
    if (run->output && strcmp(run->output, "-") == 0)
        cli_usage(cli, "private keys are not written to standard output");
}

/* Does this run replace an identity that is there? */
static bool changes_identity(const struct keygen *run)
{
    return cli_given(&run->cli, OPT_ROTATE) || (cli_given(&run->cli, 'y') && run->account);
}

static void confine(struct keygen *run)
{
    char *identity = NULL;
    if (changes_identity(run) && target_path(run, run->identity, &identity, NULL) == IMSG_OK)
        cli_may_replace(&run->cli, identity); /* perhaps through a link in the home */
    free(identity);
    cli_may_read(&run->cli, run->identity);
    cli_may_replace(&run->cli, run->output);
    cli_confine(&run->cli);
}

int main(int argc, char **argv)
{
    struct keygen run = {0};
    struct imsg_error err = {0};
    const char *arg;
    cli_start(&run.cli, &tool, argc, argv);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        switch (key) {
        case 'o':
            run.output = arg;
            break;
        case 'n':
            run.name = arg;
            break;
        case 'i':
            run.identity = arg;
            break;
        case OPT_RELAY:
            run.relay = arg;
            break;
        case OPT_ACCOUNT:
            run.account = arg;
            break;
        }
    }
    check(&run);
    confine(&run);
    enum imsg_status status = cli_given(&run.cli, 'y')          ? print_public(&run, &err)
                              : cli_given(&run.cli, 'F')        ? keygen_fingerprints(&run, &err)
                              : cli_given(&run.cli, OPT_ROTATE) ? rotate(&run, &err)
                                                                : make(&run, &err);
    cli_ok(&run.cli, status, &err);
    return cli_finish(&run.cli);
}
