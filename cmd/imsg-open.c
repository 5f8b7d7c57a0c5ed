/* imsg-open: verify, decrypt, check; nothing comes out before. */
#include "format/format.h"
#include "open/open.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

static const struct cli_option options[] = {
    CLI_OPT_IDENTITY,
    CLI_OPT_DIRECTORY,
    {'R', "records", "FILE", "take the senders' keys from the device records in FILE; no directory", CLI_REPEAT},
    {OPT_FROM, "from", "HANDLE", "refuse messages from anyone else", CLI_REPEAT},
    {'o', "output", "FILE", "write to FILE, complete or not at all", 0},
    {'E', "format", IMSG_FORMAT_NAMES, "payload format, with --raw", 0},
    {OPT_RAW, "raw", NULL, "open one bare payload; needs -E and --from", 0},
    {OPT_VERIFY_FIRST, "verify-first", NULL, "verify all of a sealed file before any of it is written", 0},
    {OPT_ONCE, "once", NULL, "refuse what was opened before with this option", 0},
    {OPT_RAW_TERMINAL, "raw-terminal", NULL, "write text to a terminal as it is, control characters too", 0},
    CLI_OPT_JSON,
    CLI_OPT_JOBS,
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-open",
    .synopsis = "[-i FILE] [-d LOCATION | -R FILE]... [--from HANDLE]... [-j] [--once] [-o FILE] [FILE...]\n"
                "--raw -E FORMAT --from HANDLE [-R FILE]... [-o FILE] [FILE]",
    .purpose = "verify and open envelopes and sealed files for this device",
    .options = options,
    .operands = "FILE",
};

/* ---- what the library calls ---- */

/* Records are read with the identity, after the first envelope: stdin comes before keys. */
static enum imsg_status load_identity(void *context, struct imsg_identity *out, struct imsg_error *err)
{
    struct open_run *run = context;
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; !run->records_read && status == IMSG_OK && i < run->record_count; i++)
        status = cli_records_read(&run->cli, run->record_files[i], &run->records, err);
    run->records_read = true;
    return status == IMSG_OK ? cli_identity(&run->cli, run->cli.identity_path, out, err) : status;
}

static void tell(void *context, const struct imsg_event *event)
{
    struct open_run *run = context;
    struct imsg_event told = *event;
    struct imsg_error err;
    if (event->error) {
        err = *event->error;
        told.error = &err;
        if (err.hint == IMSG_HINT_WHY)
            open_hint_inspect(run, &err);
        else if (err.hint == IMSG_HINT_EXPECTED)
            (void)imsg_fail(&err, err.status, "%s (--from)", event->error->text);
    }
    cli_event(&run->cli, &told);
}

static void start_opener(struct open_run *run)
{
    cli_client(&run->cli);
    run->cli.client.load_identity = load_identity;
    run->cli.client.event = tell;
    run->opener = (struct imsg_opener){
        .client = &run->cli.client,
        .records = run->record_count ? &run->records : NULL,
        .from = run->from,
        .from_count = run->from_count,
        .verify_first = cli_given(&run->cli, OPT_VERIFY_FIRST),
        .once = cli_given(&run->cli, OPT_ONCE),
        .retry = cli_environment("IMSG_RETRY"),
        .message = open_message,
        .file_begin = open_file_begin,
        .file_chunk = open_file_chunk,
        .file_end = open_file_end,
        .context = run,
    };
}

/* ---- inputs ---- */

static enum imsg_status open_raw(struct open_run *run, const struct cli_input *input, struct imsg_error *err)
{
    struct imsg_buf payload = {0}, plaintext = {0};
    struct imsg_identity *identity;
    enum imsg_status status = imsg_read_all(input->fd, IMSG_PAYLOAD_MAX, &payload, err);
    bool read = status == IMSG_OK;
    if (status == IMSG_TOO_LONG)
        status = imsg_fail(err, IMSG_MALFORMED, "larger than a payload can be (%d bytes)", IMSG_PAYLOAD_MAX);
    if (status == IMSG_OK)
        status = imsg_client_identity(&run->cli.client, &identity, err);
    bool unlocked = status == IMSG_OK;
    if (status == IMSG_OK)
        status =
            imsg_open_raw(&run->opener, (struct imsg_payload){run->format, imsg_buf_view(&payload)}, &plaintext, err);
    bool refused = status != IMSG_OK && err->hint == IMSG_HINT_WHY;
    if (status == IMSG_OK)
        status = open_write(run, imsg_buf_view(&plaintext), err);
    if (refused)
        open_hint_inspect(run, err);
    if (refused || ((status == IMSG_MALFORMED || status == IMSG_UNSUPPORTED) && (unlocked || !read)))
        imsg_error_prefix(err, "%s", input->name);
    imsg_buf_free(&payload);
    imsg_buf_free(&plaintext);
    return status;
}

static enum imsg_status open_lines(struct open_run *run, const struct cli_input *input, struct imsg_error *err)
{
    const struct imsg_input lines = {.fd = input->fd, .name = input->name};
    run->cli.event_input = input->name;
    return imsg_open_input(&run->opener, &lines, err);
}

/* ---- options ---- */

static void run_inputs(struct open_run *run)
{
    struct imsg_error err = {0};
    int count = cli_operands(&run->cli);
    enum imsg_status status = IMSG_OK;
    start_opener(run);
    for (int i = 0; i < (count ? count : 1) && status == IMSG_OK; i++) {
        struct cli_input input;
        run->operand = cli_operand(&run->cli, i);
        status = cli_input_open(&run->cli, run->operand, &input, &err);
        if (status != IMSG_OK) {
            cli_report(&run->cli, &err);
            status = IMSG_OK; /* the other files still count */
            continue;
        }
        status = cli_given(&run->cli, OPT_RAW) ? open_raw(run, &input, &err) : open_lines(run, &input, &err);
        cli_ok(&run->cli, status, &err);
        cli_input_close(&input);
    }
}

static void check(const struct open_run *run)
{
    const struct cli *cli = &run->cli;
    int stdin_uses = cli_operands(cli) == 0;
    cli_exclusive(cli, OPT_RAW, 'j', 0);
    cli_exclusive(cli, OPT_RAW, OPT_VERIFY_FIRST, 0);
    cli_exclusive(cli, OPT_RAW, OPT_ONCE, 0);
    cli_exclusive(cli, 'd', 'R', 0);
    if (cli_given(cli, OPT_RAW) && !run->format)
        cli_usage(cli, "--raw needs -E pair or -E pair-ec");
    if (cli_given(cli, OPT_RAW) && run->from_count != 1)
        cli_usage(cli, "--raw needs one --from HANDLE");
    if (cli_given(cli, OPT_RAW) && cli_operands(cli) > 1)
        cli_usage(cli, "--raw opens one FILE, not %d", cli_operands(cli));
    if (run->format && !cli_given(cli, OPT_RAW))
        cli_usage(cli, "--format goes with --raw: an envelope names its own");
    for (int i = 0; i < cli_operands(cli); i++) {
        stdin_uses += strcmp(cli_operand(cli, i), "-") == 0;
        cli_output_not_input(cli, &run->out, cli_operand(cli, i));
    }
    if (cli_operands(cli) == 0)
        cli_output_not_input(cli, &run->out, NULL);
    for (size_t i = 0; i < run->record_count; i++) {
        stdin_uses += strcmp(run->record_files[i], "-") == 0;
        cli_output_not_input(cli, &run->out, run->record_files[i]);
    }
    stdin_uses += run->cli.identity_path && strcmp(run->cli.identity_path, "-") == 0;
    if (stdin_uses > 1)
        cli_usage(cli, "standard input can be only one of the inputs");
}

/* What was kept back until the output file was there. */
static void print_after(struct open_run *run)
{
    struct imsg_error err = {0};
    struct cli_output out;
    cli_output_start(&run->cli, &out, NULL);
    enum imsg_status status = IMSG_OK;
    if (run->cli.status == 0 && run->after.len > 0)
        status = cli_output_json(&out, imsg_buf_view(&run->after), &err);
    if (cli_ok(&run->cli, status, &err))
        cli_ok(&run->cli, cli_output_finish(&out, true, &err), &err);
    imsg_buf_free(&run->after);
}

static void confine(struct open_run *run)
{
    cli_may_read_operands(&run->cli, 0);
    for (size_t i = 0; i < run->record_count; i++)
        cli_may_read(&run->cli, run->record_files[i]);
    cli_may_replace(&run->cli, run->output);
    if (run->record_count == 0)
        cli_may_use(&run->cli, CLI_DIRECTORY, run->cli.directory_option);
    run->cli.no_home = run->record_count > 0 && !cli_given(&run->cli, OPT_ONCE); /* no pins */
    cli_confine(&run->cli);
}

int main(int argc, char **argv)
{
    struct open_run run = {.record_count = 0};
    struct imsg_error err = {0};
    const char *arg;
    cli_start(&run.cli, &tool, argc, argv);
    run.from = calloc((size_t)argc, sizeof *run.from);
    run.record_files = calloc((size_t)argc, sizeof *run.record_files);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        switch (key) {
        case 'i':
            run.cli.identity_path = arg;
            break;
        case 'd':
            run.cli.directory_option = arg;
            break;
        case 'R':
            run.record_files[run.record_count++] = arg;
            break;
        case OPT_FROM:
            run.from[run.from_count++] = cli_handle(&run.cli, arg);
            break;
        case 'o':
            run.output = arg;
            break;
        case 'E':
            run.format = imsg_format_of(arg);
            break;
        }
    }
    cli_output_start(&run.cli, &run.out, run.output);
    run.out.raw_tty = cli_given(&run.cli, OPT_RAW_TERMINAL);
    check(&run);
    cli_output_not_keys(&run.cli, &run.out, run.cli.identity_path);
    confine(&run);
    run_inputs(&run);
    /* A file is replaced only if nothing failed, in the records either; what went to stdout is out. */
    bool complete = run.cli.status == 0 || !run.out.path;
    if (!cli_ok(&run.cli, cli_output_finish(&run.out, complete, &err), &err) || !complete)
        open_take_back(&run);
    print_after(&run);
    imsg_buf_free(&run.recorded);
    imsg_opener_free(&run.opener);
    imsg_devices_free(&run.records);
    imsg_strings_free(run.from, run.from_count);
    free(run.record_files);
    return cli_finish(&run.cli);
}
