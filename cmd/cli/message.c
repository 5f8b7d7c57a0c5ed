/* What a person sees: one line each, on stderr, with everything from outside escaped. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

/* One write(2) a line, so that lines of the tools in one pipeline do not mix. */
static void say(const struct cli *cli, const char *lead, const char *text)
{
    struct imsg_buf line = {0};
    if (imsg_buf_text(&line, cli->tool->name, NULL) == IMSG_OK && imsg_buf_text(&line, lead, NULL) == IMSG_OK &&
        imsg_escape(imsg_view_str(text), &line, NULL) == IMSG_OK && imsg_buf_text(&line, "\n", NULL) == IMSG_OK &&
        imsg_write_all(STDERR_FILENO, imsg_buf_view(&line), NULL) != IMSG_OK) {
        /* stderr cannot be written to: the exit status has to do */
    }
    imsg_buf_free(&line);
}

static void say_list(const struct cli *cli, const char *lead, const char *fmt, va_list args) IMSG_PRINTF(3, 0);
static void say_list(const struct cli *cli, const char *lead, const char *fmt, va_list args)
{
    char text[2048];
    vsnprintf(text, sizeof text, fmt, args);
    say(cli, lead, text);
}

static void keep_status(struct cli *cli, enum imsg_status status)
{
    if (cli->status == 0)
        cli->status = imsg_status_exit(status);
}

void cli_report(struct cli *cli, const struct imsg_error *err)
{
    char hint[2048];
    keep_status(cli, err->status);
    say(cli, ": error: ", err->text);
    cli_hint_text(cli, err, hint, sizeof hint);
    if (hint[0])
        say(cli, ": hint: ", hint);
}

void cli_error(struct cli *cli, enum imsg_status status, const char *fmt, ...)
{
    keep_status(cli, status);
    va_list args;
    va_start(args, fmt);
    say_list(cli, ": error: ", fmt, args);
    va_end(args);
}

void cli_hint(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say_list(cli, ": hint: ", fmt, args);
    va_end(args);
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
    if (cli->quiet)
        return;
    va_list args;
    va_start(args, fmt);
    say_list(cli, ": ", fmt, args);
    va_end(args);
}

void cli_detail(const struct cli *cli, const char *fmt, ...)
{
    if (!cli->verbose || cli->quiet)
        return;
    va_list args;
    va_start(args, fmt);
    say_list(cli, ": ", fmt, args);
    va_end(args);
}

void cli_usage(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say_list(cli, ": error: ", fmt, args);
    va_end(args);
    cli_hint(cli, "%s --help lists the options", cli->tool->name);
    exit(imsg_status_exit(IMSG_USAGE));
}

bool cli_ok(struct cli *cli, enum imsg_status status, const struct imsg_error *err)
{
    if (status != IMSG_OK)
        cli_report(cli, err);
    return status == IMSG_OK;
}

int cli_finish(struct cli *cli)
{
    imsg_client_close(&cli->client);
    imsg_net_free(&cli->net);
    free(cli->net_cache);
    free(cli->home);
    cli->net_cache = cli->home = NULL;
    imsg_buf_free(&cli->config);
    imsg_buf_free(&cli->passphrase);
    if (cli->s3_file.ptr)
        imsg_wipe(cli->s3_file.ptr, cli->s3_file.len);
    imsg_buf_free(&cli->s3_file);
    return cli->status;
}
