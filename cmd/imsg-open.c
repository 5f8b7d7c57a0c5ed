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
    CLI_OPT_JSON,
    CLI_OPT_JOBS,
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-open",
    .synopsis = "[-i FILE] [-d LOCATION | -R FILE]... [--from HANDLE]... [-j] [-o FILE] [--verify-first] "
                "[FILE...]\n--raw -E FORMAT --from HANDLE [-R FILE]... [-o FILE] [FILE]",
    .purpose = "verify and open envelopes and sealed files for this device",
    .options = options,
    .operands = "FILE",
};

/* ---- --raw ---- */

static enum imsg_status try_sender(struct open_run *run, const struct imsg_device *sender, struct imsg_view payload,
                                   struct imsg_buf *plaintext, bool *tried, struct imsg_error *err)
{
    if (!imsg_device_has_handle(sender, run->from[0]) || !imsg_device_offers(sender, run->format))
        return IMSG_REFUSED;
    *tried = true;
    return imsg_open_payload(&run->identity, sender, (struct imsg_payload){run->format, payload}, plaintext, NULL, err);
}

/* Every record of the handle is tried: a bare payload does not say which device sealed it. One's own is known without a
 * directory. */
static enum imsg_status open_raw(struct open_run *run, const struct cli_input *input, struct imsg_error *err)
{
    struct imsg_buf payload = {0}, plaintext = {0};
    const struct imsg_devices *list = &run->records;
    const char *from = run->from[0];
    bool tried = false;
    enum imsg_status status = imsg_read_all(input->fd, IMSG_PAYLOAD_MAX, &payload, err), found = IMSG_OK;
    if (status == IMSG_TOO_LONG)
        status = imsg_fail(err, IMSG_MALFORMED, "larger than a payload can be (%d bytes)", IMSG_PAYLOAD_MAX);
    if (status == IMSG_OK)
        status = open_unlock(run, err);
    if (status != IMSG_OK)
        goto out;
    status = try_sender(run, &run->own, imsg_buf_view(&payload), &plaintext, &tried, err);
    if (status == IMSG_REFUSED && run->record_count == 0)
        found = open_look_up(run, from, &list, err);
    if (found != IMSG_OK) {
        status = found;
        goto out;
    }
    if (status == IMSG_REFUSED && !tried)
        (void)imsg_fail(err, IMSG_REFUSED, "no record of %s to verify with", from);
    for (size_t i = 0; i < list->count && status == IMSG_REFUSED; i++)
        status = try_sender(run, &list->items[i], imsg_buf_view(&payload), &plaintext, &tried, err);
    if (status == IMSG_OK)
        status =
            cli_output_write(&run->out, imsg_buf_view(&plaintext), !imsg_utf8_valid(imsg_buf_view(&plaintext)), err);
    if (status == IMSG_REFUSED && tried)
        open_hint_inspect(run, from, err);
out:
    if (status != IMSG_OK && (tried || status == IMSG_MALFORMED) && !run->locked_out)
        imsg_error_prefix(err, "%s", input->name);
    imsg_buf_free(&payload);
    imsg_buf_free(&plaintext);
    return status;
}

/* ---- options ---- */

static void run_inputs(struct open_run *run)
{
    struct imsg_error err = {0};
    int count = cli_operands(&run->cli);
    enum imsg_status status = IMSG_OK;
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
    stdin_uses += run->identity_path && strcmp(run->identity_path, "-") == 0;
    if (stdin_uses > 1)
        cli_usage(cli, "standard input can be only one of the inputs");
}

static void take_from(struct open_run *run, const char *arg)
{
    struct imsg_error err = {0};
    if (!imsg_handle_is(arg))
        cli_usage(&run->cli, "\"%s\" is a name, not a handle (an email address or +NUMBER)", arg);
    if (imsg_handle_canonical(arg, &run->from[run->from_count], &err) != IMSG_OK)
        cli_usage(&run->cli, "\"%s\": %s", arg, err.text);
    run->from_count++;
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
            run.identity_path = arg;
            break;
        case 'd':
            run.directory = arg;
            break;
        case 'R':
            run.record_files[run.record_count++] = arg;
            break;
        case OPT_FROM:
            take_from(&run, arg);
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
    check(&run);
    cli_output_not_keys(&run.cli, &run.out, run.identity_path);
    cli_sandbox_for(&run.cli, run.record_count ? 0 : CLI_USES(CLI_DIRECTORY), run.directory, NULL, NULL);
    run_inputs(&run);
    /* A file is replaced only if nothing failed, in the records either; what went to stdout is out. */
    cli_ok(&run.cli, cli_output_finish(&run.out, run.cli.status == 0 || !run.out.path, &err), &err);
    print_after(&run);
    for (size_t i = 0; i < OPEN_ENTRIES; i++)
        imsg_entry_free(&run.entries[i]);
    if (run.trust_open)
        cli_trust_close(&run.trust);
    imsg_devices_free(&run.records);
    imsg_device_free(&run.own);
    imsg_identity_free(&run.identity);
    imsg_strings_free(run.from, run.from_count);
    free(run.record_files);
    return cli_finish(&run.cli);
}
