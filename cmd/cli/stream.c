/* Inputs by operand, and the one output of a run. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define PENDING 65536 /* bytes gathered before a write */

static char unfinished[PATH_MAX]; /* the temporary file of the output */

static void remove_unfinished(int number)
{
    unlink(unfinished); /* once renamed, there is nothing of that name */
    raise(number);      /* as without a handler: SA_RESETHAND */
}

/* A signal that ends the program removes the temporary file first: it may hold part of a plaintext. */
static enum imsg_status create_unfinished(struct imsg_file *file, const char *path, struct imsg_error *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    enum { COUNT = sizeof signals / sizeof signals[0] };
    struct sigaction old, action = {.sa_handler = remove_unfinished, .sa_flags = (int)SA_RESETHAND};
    sigset_t held, before;
    sigemptyset(&held);
    for (size_t i = 0; i < COUNT; i++)
        sigaddset(&held, signals[i]);
    pthread_sigmask(SIG_BLOCK, &held, &before);
    enum imsg_status status = imsg_hidden_create(file, path, err);
    if (status == IMSG_OK && file->temp && strlen(file->temp) < sizeof unfinished) {
        strcpy(unfinished, file->temp);
        for (size_t i = 0; i < COUNT; i++)
            if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) /* not what is ignored */
                sigaction(signals[i], &action, NULL);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static bool is_stdio(const char *operand)
{
    return !operand || strcmp(operand, "-") == 0;
}

enum imsg_status cli_input_open(struct cli *cli, const char *operand, struct cli_input *input, struct imsg_error *err)
{
    struct stat st;
    if (is_stdio(operand)) {
        if (cli->stdin_taken)
            return imsg_fail(err, IMSG_USAGE, "standard input can be only one of the inputs");
        cli->stdin_taken = true;
        if (isatty(STDIN_FILENO))
            cli_note(cli, "reading from the terminal; end with ^D");
        *input = (struct cli_input){.fd = STDIN_FILENO, .name = "standard input"};
        return IMSG_OK;
    }
    int fd = open(operand, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return imsg_fail(err, IMSG_NO_INPUT, "\"%s\": %s", operand, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return imsg_fail(err, IMSG_NO_INPUT, "\"%s\": %s", operand, strerror(EISDIR));
    }
    input->fd = fd;
    snprintf(input->name, sizeof input->name, "\"%.256s\"", operand);
    return IMSG_OK;
}

void cli_input_close(struct cli_input *input)
{
    if (input->fd > STDERR_FILENO)
        close(input->fd);
    input->fd = -1;
}

void cli_output_start(struct cli *cli, struct cli_output *out, const char *path)
{
    *out = (struct cli_output){.cli = cli, .path = is_stdio(path) ? NULL : path, .to_tty_ok = path && is_stdio(path)};
    out->file.fd = -1;
}

void cli_output_not_input(const struct cli *cli, const struct cli_output *out, const char *operand)
{
    struct stat in, target;
    if (!out->path || stat(out->path, &target) != 0 || !S_ISREG(target.st_mode))
        return;
    if ((is_stdio(operand) ? fstat(STDIN_FILENO, &in) : stat(operand, &in)) == 0 && in.st_dev == target.st_dev &&
        in.st_ino == target.st_ino)
        cli_usage(cli, "\"%s\" is both input and output", out->path);
}

void cli_output_not_keys(struct cli *cli, const struct cli_output *out, const char *identity)
{
    char *standard = NULL;
    if (out->path && !identity && cli_home_path(cli, "identity.json", &standard, NULL) == IMSG_OK)
        identity = standard;
    if (identity)
        cli_output_not_input(cli, out, identity);
    if (cli->passphrase_file)
        cli_output_not_input(cli, out, cli->passphrase_file);
    free(standard);
}

/* A device or a pipe is written to as it is; only a regular file can be replaced by a complete one. */
static enum imsg_status open_file(struct cli_output *out, struct imsg_error *err)
{
    struct stat st;
    char *real = NULL;
    enum imsg_status status = imsg_follow_links(out->path, &real, err);
    if (status == IMSG_OK && stat(real, &st) == 0 && !S_ISREG(st.st_mode)) {
        out->file.fd = open(real, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (out->file.fd < 0)
            status = imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\": %s", out->path, strerror(errno));
    } else if (status == IMSG_OK) {
        status = create_unfinished(&out->file, real, err);
    }
    free(real);
    return status;
}

static enum imsg_status open_output(struct cli_output *out, bool binary, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (!out->opened && out->path) {
        status = open_file(out, err);
        out->opened = status == IMSG_OK;
    } else if (!out->opened) {
        if (out->cli->stdout_closed)
            return imsg_fail(err, IMSG_IO, "standard output: %s", strerror(EBADF));
        out->opened = true;
        out->tty = isatty(STDOUT_FILENO);
    }
    if (status == IMSG_OK && binary && out->tty && !out->to_tty_ok) {
        status = imsg_fail(err, IMSG_USAGE, "binary output is not written to a terminal");
        cli_error_hint(err, "-o FILE, or -o - to have it all the same");
    }
    return status;
}

static enum imsg_status write_now(struct cli_output *out, struct imsg_view bytes, struct imsg_error *err)
{
    enum imsg_status status = imsg_write_all(out->path ? out->file.fd : STDOUT_FILENO, bytes, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s", out->path ? out->path : "standard output");
    return status;
}

enum imsg_status cli_output_flush(struct cli_output *out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (out->pending.len > 0)
        status = write_now(out, imsg_buf_view(&out->pending), err);
    imsg_buf_clear(&out->pending);
    return status;
}

enum imsg_status cli_output_write(struct cli_output *out, struct imsg_view bytes, bool binary, struct imsg_error *err)
{
    enum imsg_status status = open_output(out, binary, err);
    if (status == IMSG_OK && bytes.len >= PENDING) { /* as it is, without another copy */
        status = cli_output_flush(out, err);
        return status == IMSG_OK ? write_now(out, bytes, err) : status;
    }
    if (status == IMSG_OK)
        status = imsg_buf_append(&out->pending, bytes.ptr, bytes.len, err);
    if (status == IMSG_OK && out->pending.len >= PENDING)
        status = cli_output_flush(out, err);
    return status;
}

enum imsg_status cli_output_text(struct cli_output *out, struct imsg_view text, bool last, struct imsg_error *err)
{
    struct imsg_buf safe = {0};
    enum imsg_status status = open_output(out, false, err);
    if (status != IMSG_OK || !out->tty || out->raw_tty)
        return status == IMSG_OK ? cli_output_write(out, text, false, err) : status;
    status = imsg_buf_append(&out->begun, text.ptr, text.len, err);
    if (status != IMSG_OK)
        return status;
    struct imsg_view all = imsg_buf_view(&out->begun);
    size_t rest = last ? 0 : imsg_utf8_begun(all);
    status = imsg_escape_lines(imsg_view_of(all.ptr, all.len - rest), &safe, err);
    if (status == IMSG_OK)
        status = cli_output_write(out, imsg_buf_view(&safe), false, err);
    memmove(out->begun.ptr, out->begun.ptr + out->begun.len - rest, rest);
    out->begun.len = rest;
    imsg_buf_free(&safe);
    return status;
}

enum imsg_status cli_output_json(struct cli_output *out, struct imsg_view text, struct imsg_error *err)
{
    struct imsg_buf safe = {0};
    enum imsg_status status = open_output(out, false, err);
    if (status == IMSG_OK && out->tty)
        status = imsg_escape_json(text, &safe, err);
    if (status == IMSG_OK)
        status = cli_output_write(out, out->tty ? imsg_buf_view(&safe) : text, false, err);
    imsg_buf_free(&safe);
    return status;
}

static enum imsg_status commit_file(struct cli_output *out, struct imsg_error *err)
{
    mode_t mask = umask(0);
    umask(mask);
    return imsg_hidden_commit(&out->file, 0666 & ~mask, err);
}

enum imsg_status cli_output_finish(struct cli_output *out, bool keep, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (keep && out->path)
        status = open_output(out, false, err);
    if (keep && status == IMSG_OK)
        status = cli_output_flush(out, err);
    if (keep && status == IMSG_OK && out->file.path)
        status = commit_file(out, err);
    else if (out->file.path)
        imsg_file_abort(&out->file);
    else if (out->file.fd >= 0 && close(out->file.fd) != 0 && keep && status == IMSG_OK)
        status = imsg_fail(err, IMSG_IO, "\"%s\": %s", out->path, strerror(errno));
    out->file.fd = -1;
    imsg_buf_free(&out->pending);
    imsg_buf_free(&out->begun);
    return status;
}
