/* What imsg-seal is told to do. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "format/format.h"
#include "seal/seal.h"

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
const struct cli_tool seal_tool = {
    .name = "imsg-seal",
    .synopsis = "[-i FILE] (-r HANDLE | -R FILE)... [-a FILE] [-o FILE] [FILE]\n-s (-r HANDLE | -R FILE)... [-o FILE] "
                "[FILE]\n--each [-R FILE]... [-o FILE] [FILE]\n--reply FILE [--receipt delivered|read] [FILE]\n--raw "
                "-E FORMAT (-r HANDLE | -R FILE) [FILE]",
    .purpose = "seal and sign a message for every device of its recipients",
    .options = options,
    .operands = "FILE",
};

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

static void check_all(const struct seal *run)
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

static void add_handle(struct seal *run, const char *arg)
{
    struct imsg_error err;
    char *handle = cli_handle(&run->cli, arg);
    if (seal_add_handle(run, handle, &err) != IMSG_OK)
        cli_usage(&run->cli, "%s", err.text);
    free(handle);
}

void seal_read_options(struct seal *run)
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
            add_handle(run, arg);
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
    cli_output_start(&run->cli, &run->out, run->output);
    check_all(run);
    cli_output_not_keys(&run->cli, &run->out, run->cli.identity_path);
}

void seal_confine(struct seal *run)
{
    struct cli *cli = &run->cli;
    bool looks_up = run->handle_count || run->reply_path || (cli_given(cli, OPT_EACH) && run->record_count == 0);
    cli_may_read_operands(cli, 0);
    for (size_t i = 0; i < run->record_count; i++)
        cli_may_read(cli, run->record_files[i]);
    cli_may_read(cli, run->attach);
    cli_may_read(cli, run->reply_path);
    cli_may_replace(cli, run->output);
    if (looks_up)
        cli_may_use(cli, CLI_DIRECTORY, cli->directory_option);
    if (cli_given(cli, 'S'))
        cli_may_use(cli, CLI_STORE, run->store);
    cli_confine(cli);
}
