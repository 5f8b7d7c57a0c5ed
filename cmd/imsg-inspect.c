/* imsg-inspect: shows every field of any input, with or without a key, and why it does not open. */
#include "inspect/inspect.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/io.h"

#define INPUT_MAX ((size_t)16 << 20) /* bytes; the largest form known has 128 KiB, a body unpacked 8 MiB */

static const struct cli_option options[] = {
    CLI_OPT_IDENTITY,
    {'R', "records", "FILE", "device records to check signatures with", CLI_REPEAT},
    {'E', "format", IMSG_FORMAT_NAMES, "payload format (default: guessed)", 0},
    {OPT_HEX, "hex", NULL, "a hex dump of each input too", 0},
    {OPT_SECRETS, "secrets", NULL, "show the private keys of an identity", 0},
    CLI_OPT_JSON,
    CLI_OPTS_KEY,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-inspect",
    .synopsis = "[-i FILE] [-R FILE]... [-E FORMAT] [-j | --hex] [--secrets] [FILE...]",
    .purpose = "take payloads, envelopes, records and keys apart, byte by byte",
    .options = options,
    .operands = "FILE",
};

static enum imsg_status inspect_input(struct inspect *run, const char *operand, bool *locked_out,
                                      struct imsg_error *err)
{
    struct cli_input input;
    struct imsg_buf bytes = {0};
    enum imsg_status status = cli_input_open(&run->cli, operand, &input, err);
    if (status != IMSG_OK)
        return status;
    struct source source = {operand ? operand : "-", input.name};
    status = imsg_read_some(input.fd, INPUT_MAX + 1, &bytes, err);
    bool more = bytes.len > INPUT_MAX;
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s", input.name);
    else if (more && !is_sealed_file(imsg_buf_view(&bytes)))
        status = imsg_fail(err, IMSG_MALFORMED, "%s: larger than any input that can be inspected (%zu bytes)",
                           input.name, INPUT_MAX);
    if (status == IMSG_OK) {
        status = inspect_unlock(run, err);
        *locked_out = status != IMSG_OK;
    }
    if (status == IMSG_OK)
        status = inspect_contents(run, imsg_buf_view(&bytes), more ? input.fd : -1, &source, err);
    if (bytes.ptr)
        imsg_wipe(bytes.ptr, bytes.len);
    imsg_buf_free(&bytes);
    cli_input_close(&input);
    return status;
}

static void check_options(const struct inspect *run)
{
    const struct cli *cli = &run->cli;
    int stdin_uses = cli_operands(cli) == 0;
    cli_exclusive(cli, 'j', OPT_HEX, 0);
    for (int i = 0; i < cli_operands(cli); i++)
        stdin_uses += strcmp(cli_operand(cli, i), "-") == 0;
    for (size_t i = 0; i < run->record_count; i++)
        stdin_uses += strcmp(run->record_files[i], "-") == 0;
    stdin_uses += run->identity_path && strcmp(run->identity_path, "-") == 0;
    if (stdin_uses > 1)
        cli_usage(cli, "standard input can be only one of the inputs");
}

/* NO_COLOR (no-color.org) and dumb terminals are respected. */
static bool want_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static unsigned terminal_columns(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int main(int argc, char **argv)
{
    struct inspect run = {.secrets = false};
    struct imsg_error err = {0};
    const char *arg;
    bool locked_out = false;
    cli_start(&run.cli, &tool, argc, argv);
    run.record_files = calloc((size_t)argc, sizeof *run.record_files);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        switch (key) {
        case 'i':
            run.identity_path = arg;
            break;
        case 'R':
            run.record_files[run.record_count++] = arg;
            break;
        case 'E':
            run.format = imsg_format_of(arg);
            break;
        case OPT_SECRETS:
            run.secrets = true;
            break;
        }
    }
    check_options(&run);
    run.tty = isatty(STDOUT_FILENO);
    run.colour = want_colour();
    run.columns = terminal_columns();
    cli_may_read_operands(&run.cli, 0);
    for (size_t i = 0; i < run.record_count; i++)
        cli_may_read(&run.cli, run.record_files[i]);
    cli_may_read(&run.cli, run.identity_path);
    run.cli.no_home = true;
    cli_confine(&run.cli);
    cli_output_start(&run.cli, &run.out, NULL);
    int count = cli_operands(&run.cli);
    for (int i = 0; i < (count ? count : 1) && !locked_out; i++) {
        enum imsg_status status = inspect_input(&run, cli_operand(&run.cli, i), &locked_out, &err);
        if (!cli_ok(&run.cli, status, &err) && status == IMSG_IO)
            break;
    }
    cli_ok(&run.cli, cli_output_finish(&run.out, true, &err), &err);
    imsg_devices_free(&run.records);
    imsg_device_free(&run.own);
    imsg_identity_free(&run.identity);
    free(run.record_files);
    return cli_finish(&run.cli);
}
