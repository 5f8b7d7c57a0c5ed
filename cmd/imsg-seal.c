/* imsg-seal: a message, or many, or a file of any size, sealed for every device it should reach. */
#include "format/format.h"
#include "seal/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const struct cli_option options[] = {
    CLI_OPT_IDENTITY,
    CLI_OPT_DIRECTORY,
    {'r', "recipient", "HANDLE", "seal for every device of HANDLE, looked up and pinned", CLI_REPEAT},
    {'R', "records", "FILE", "seal for exactly the device records in FILE; no directory", CLI_REPEAT},
    {'a', "attach", "FILE", "attach the descriptors in FILE (imsg-attach put); - is standard input", 0},
    {'o', "output", "FILE", "write to FILE, complete or not at all", 0},
    {'E', "format", IMSG_FORMAT_NAMES, "force a payload format (default: the best each device offers)", 0},
    {'T', "type", "TYPE", "media type of the content (default: text/plain, or application/octet-stream)", 0},
    {'g', "group", "NAME", "send to the group of this name and these participants", 0},
    {OPT_REPLY, "reply", "FILE", "answer a message: a line of imsg-open -j gives participants, group and id", 0},
    {OPT_RECEIPT, "receipt", "delivered|read", "with --reply: send a receipt for it", 0},
    {'s', "sealed-file", NULL, "make a sealed file: content of any size, for all recipients or none", 0},
    {OPT_EACH, "each", NULL, "seal a message for each line of JSON in FILE: to, content, type …", 0},
    {'S', "store-large", NULL, "send content over a device's limit as an attachment through the store", 0},
    CLI_OPT_STORE,
    {OPT_NO_SELF, "no-self", NULL, "leave out this user's other devices", 0},
    {OPT_RAW, "raw", NULL, "print the bare payload of the bare content for one device; needs -E", 0},
    CLI_OPT_JOBS,
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-seal",
    .synopsis = "[-i FILE] (-r HANDLE | -R FILE)... [-a FILE] [-o FILE] [FILE]\n-s (-r HANDLE | -R FILE)... [-o FILE] "
                "[FILE]\n--each [-R FILE]... [-o FILE] [FILE]\n--reply FILE [--receipt delivered|read] [FILE]\n--raw "
                "-E FORMAT (-r HANDLE | -R FILE) [FILE]",
    .purpose = "seal and sign a message for every device of its recipients",
    .options = options,
    .operands = "FILE",
};

static enum imsg_status write_out(struct seal *run, enum imsg_status status, struct imsg_error *err)
{
    struct imsg_error late;
    enum imsg_status finished = cli_output_finish(&run->out, status == IMSG_OK, status == IMSG_OK ? err : &late);
    return status == IMSG_OK ? finished : status;
}

/* What the options say about the message; -g goes before the group of --reply. */
static enum imsg_status describe(struct seal *run, struct imsg_draft *message, struct imsg_error *err)
{
    enum imsg_status status = run->type ? imsg_strdup(run->type, &message->type, err) : IMSG_OK;
    message->receipt = run->receipt;
    if (status != IMSG_OK || !run->group)
        return status;
    free(message->group_name);
    free(message->group_id);
    message->group_name = message->group_id = NULL;
    return imsg_strdup(run->group, &message->group_name, err);
}

/* -S: the content, and what is left in its input, into the store. */
static enum imsg_status store_content(void *context, struct imsg_draft *draft, struct imsg_attachment *out,
                                      struct imsg_error *err)
{
    struct seal *run = context;
    struct imsg_store *store = NULL;
    struct imsg_net *net = NULL;
    struct cli_progress progress;
    char *location = NULL;
    bool only = draft->line == 0;
    const char *file = only ? cli_operand(&run->cli, 0) : NULL, *slash = file ? strrchr(file, '/') : NULL;
    const char *base = slash ? slash + 1 : file;
    enum imsg_status status = cli_service(&run->cli, CLI_STORE, run->store, &location, err);
    if (status == IMSG_OK)
        status = cli_net(&run->cli, &net, err);
    cli_net_identity(&run->cli, run->cli.client.identity);
    if (status == IMSG_OK)
        status = imsg_store_open(location, net, &store, err);
    if (status == IMSG_OK) {
        cli_progress_start(&run->cli, file ? file : "-", &progress);
        status = imsg_attachment_put(store, imsg_buf_view(&draft->content), only ? run->input.fd : -1, &progress.how,
                                     out, err);
        cli_progress_end(&progress);
    }
    if (status == IMSG_OK && file && strcmp(file, "-") != 0 && imsg_utf8_valid(imsg_view_str(base)))
        status = imsg_strdup(base, &out->name, err);
    imsg_store_close(store);
    free(location);
    return status;
}

static enum imsg_status write_chunk(void *context, struct imsg_view bytes, struct imsg_error *err)
{
    struct seal *run = context;
    return cli_output_write(&run->out, bytes, true, err);
}

/* All recipients or nothing: a bad line of -R counts too. */
static enum imsg_status seal_stream(struct seal *run, struct imsg_error *err)
{
    const struct imsg_input input = {.fd = run->input.fd, .name = run->input.name};
    run->message.partial = run->cli.status != 0;
    enum imsg_status status = imsg_seal_file(&run->sealer, &run->message, &input, write_chunk, run, err);
    return run->message.partial ? status : write_out(run, status, err);
}

/* One message, or one sealed file. */
static enum imsg_status seal_one(struct seal *run, struct imsg_error *err)
{
    struct imsg_draft *message = &run->message;
    bool raw = run->sealer.raw;
    enum imsg_status status = imsg_draft_address(&run->sealer, message, run->handles, run->handle_count, err);
    if (status != IMSG_OK)
        return status;
    if (raw && message->target_count != 1 && run->cli.status == 0)
        return imsg_fail(err, IMSG_USAGE, "--raw seals for exactly one device that offers %s, not %zu",
                         imsg_format_name(run->sealer.format), message->target_count);
    if (message->target_count == 0) /* what is missing has been said, or there was nothing */
        return run->cli.status ? IMSG_OK : imsg_fail(err, IMSG_NO_INPUT, "not one device record to seal for");
    if (raw && message->target_count != 1)
        return IMSG_OK;
    status = describe(run, message, err);
    if (status == IMSG_OK && cli_given(&run->cli, 's'))
        return seal_stream(run, err);
    if (status == IMSG_OK)
        status = imsg_seal_drafts(&run->sealer, message, 1, err);
    if (status == IMSG_OK && message->status != IMSG_OK) {
        seal_hint_too_long(run, message);
        *err = message->err;
        status = message->status;
    }
    if (status != IMSG_OK || message->lines.len == 0)
        return status;
    status = cli_output_write(&run->out, imsg_buf_view(&message->lines), raw, err);
    return write_out(run, status, err);
}

static enum imsg_status start_sealer(struct seal *run, struct imsg_error *err)
{
    struct imsg_sealer *sealer = &run->sealer;
    sealer->client = &run->cli.client;
    sealer->raw = cli_given(&run->cli, OPT_RAW);
    sealer->no_self = cli_given(&run->cli, OPT_NO_SELF);
    sealer->records = run->record_count ? &run->records : NULL;
    sealer->records_are_directory = cli_given(&run->cli, OPT_EACH);
    sealer->store = cli_given(&run->cli, 'S') ? store_content : NULL;
    sealer->context = run;
    return cli_client(&run->cli, err);
}

/* Everything from stdin is read before keys are unlocked or state is looked at (cli.md). */
static enum imsg_status work(struct seal *run, struct imsg_error *err)
{
    struct imsg_buf reply = {0};
    struct imsg_identity *identity;
    enum imsg_status status = seal_read_content(run, err);
    if (status == IMSG_OK && run->reply_path)
        status = seal_read_reply(run, &reply, err);
    if (status == IMSG_OK && run->attach)
        status = seal_read_descriptors(run, err);
    if (status == IMSG_OK)
        status = seal_read_records(run, err);
    if (status == IMSG_OK)
        status = start_sealer(run, err);
    if (status == IMSG_OK)
        status = imsg_client_identity(&run->cli.client, &identity, err);
    if (status == IMSG_OK && run->reply_path)
        status = seal_use_reply(run, imsg_buf_view(&reply), err);
    if (status == IMSG_OK)
        status = seal_one(run, err);
    imsg_buf_free(&reply);
    return status;
}

static enum imsg_status work_each(struct seal *run, struct imsg_error *err)
{
    enum imsg_status status = seal_read_records(run, err);
    if (status == IMSG_OK)
        status = start_sealer(run, err);
    return status == IMSG_OK ? write_out(run, seal_each(run, err), err) : status;
}

/* ---- options ---- */

static int uses_of_stdin(const struct seal *run)
{
    const char *file = cli_operand(&run->cli, 0);
    int uses = 0;
    const char *paths[] = {run->attach, run->reply_path, run->cli.identity_path, file};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        uses += paths[i] && strcmp(paths[i], "-") == 0;
    for (size_t i = 0; i < run->record_count; i++)
        uses += strcmp(run->record_files[i], "-") == 0;
    bool content_by_default = !file && !run->receipt && !(run->attach && strcmp(run->attach, "-") == 0);
    return uses + content_by_default;
}

/* What goes with what. */
static void check_kind(const struct cli *cli)
{
    static const int not_raw[] = {'a', 'T', 'g', 'S', 's', OPT_REPLY, OPT_EACH};
    static const int not_each[] = {'r', 'a', 'T', 'g', 's', OPT_REPLY};
    for (size_t i = 0; i < sizeof not_raw / sizeof not_raw[0]; i++)
        cli_exclusive(cli, OPT_RAW, not_raw[i], 0);
    for (size_t i = 0; i < sizeof not_each / sizeof not_each[0]; i++)
        cli_exclusive(cli, OPT_EACH, not_each[i], 0);
    cli_exclusive(cli, OPT_RECEIPT, 'g', 0);
    cli_exclusive(cli, OPT_RECEIPT, 'a', 0);
    cli_exclusive(cli, OPT_RECEIPT, 's', 0);
    cli_exclusive(cli, 's', 'S', 0);
}

static void check(const struct seal *run)
{
    const struct cli *cli = &run->cli;
    check_kind(cli);
    if (run->handle_count + run->record_count == 0 && !run->reply_path && !cli_given(cli, OPT_EACH))
        cli_usage(cli, "no recipient: -r HANDLE or -R FILE");
    if (cli_operands(cli) > 1)
        cli_usage(cli, "one FILE at most, not %d", cli_operands(cli));
    if (cli_given(cli, OPT_RAW) && !run->sealer.format)
        cli_usage(cli, "--raw needs -E pair or -E pair-ec");
    if (run->receipt && !run->reply_path)
        cli_usage(cli, "--receipt goes with --reply");
    if (run->store && !cli_given(cli, 'S'))
        cli_usage(cli, "--store goes with -S");
    if (run->group && !run->group[0])
        cli_usage(cli, "--group needs a name");
    if ((run->group && !imsg_utf8_valid(imsg_view_str(run->group))) ||
        (run->type && !imsg_utf8_valid(imsg_view_str(run->type))))
        cli_usage(cli, "--group and --type take UTF-8 text");
    if (uses_of_stdin(run) > 1)
        cli_usage(cli, "standard input can be only one of the inputs");
    const char *inputs[] = {cli_operand(cli, 0), run->attach, run->reply_path};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        if (inputs[i] || i == 0)
            cli_output_not_input(cli, &run->out, inputs[i]);
    for (size_t i = 0; i < run->record_count; i++)
        cli_output_not_input(cli, &run->out, run->record_files[i]);
}

static void take_handle(struct seal *run, const char *arg)
{
    struct imsg_error err = {0};
    char *handle = NULL;
    if (!imsg_handle_is(arg))
        cli_usage(&run->cli, "\"%s\" is a name, not a handle (an email address or +NUMBER)", arg);
    if (imsg_handle_canonical(arg, &handle, &err) != IMSG_OK)
        cli_usage(&run->cli, "\"%s\": %s", arg, err.text);
    if (seal_add_handle(run, handle, &err) != IMSG_OK)
        cli_usage(&run->cli, "%s", err.text);
    free(handle);
}

static void take_options(struct seal *run)
{
    const char *arg;
    for (int key; (key = cli_next(&run->cli, &arg)) != -1;) {
        switch (key) {
        case 'i':
            run->cli.identity_path = arg;
            break;
        case 'd':
            run->cli.directory_option = arg;
            break;
        case 'r':
            take_handle(run, arg);
            break;
        case 'R':
            run->record_files[run->record_count++] = arg;
            break;
        case 'a':
            run->attach = arg;
            break;
        case 'o':
            run->output = arg;
            break;
        case 'E':
            run->sealer.format = imsg_format_of(arg);
            break;
        case 'T':
            run->type = arg;
            break;
        case 'g':
            run->group = arg;
            break;
        case OPT_REPLY:
            run->reply_path = arg;
            break;
        case OPT_RECEIPT:
            run->receipt = arg;
            break;
        case OPT_STORE:
            run->store = arg;
            break;
        }
    }
}

/* The services that this run may talk to, as CLI_USES bits. */
static unsigned services(const struct seal *run)
{
    bool looks_up = run->handle_count || run->reply_path || (cli_given(&run->cli, OPT_EACH) && run->record_count == 0);
    return (looks_up ? CLI_USES(CLI_DIRECTORY) : 0) | (cli_given(&run->cli, 'S') ? CLI_USES(CLI_STORE) : 0);
}

static void free_all(struct seal *run)
{
    imsg_draft_free(&run->message);
    imsg_sealer_free(&run->sealer);
    imsg_devices_free(&run->records);
    imsg_strings_free(run->handles, run->handle_count);
    free(run->record_files);
}

int main(int argc, char **argv)
{
    struct seal run = {.input = {.fd = -1}};
    struct imsg_error err = {0};
    cli_start(&run.cli, &tool, argc, argv);
    run.record_files = calloc((size_t)argc, sizeof *run.record_files);
    take_options(&run);
    cli_output_start(&run.cli, &run.out, run.output);
    check(&run);
    cli_output_not_keys(&run.cli, &run.out, run.cli.identity_path);
    cli_sandbox_for(&run.cli, services(&run), run.cli.directory_option, NULL, run.store);
    cli_ok(&run.cli, cli_given(&run.cli, OPT_EACH) ? work_each(&run, &err) : work(&run, &err), &err);
    cli_input_close(&run.input);
    free_all(&run);
    return cli_finish(&run.cli);
}
