/* Where private keys and their passphrases come from. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/text.h"

#define PASSPHRASE_MAX 1024 /* bytes */

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

/* The first line of fd, without its end. Read byte by byte: what follows the line is for other readers of fd. */
static enum imsg_status read_first_line(int fd, const char *from, struct imsg_buf *out, struct imsg_error *err)
{
    for (;;) {
        uint8_t byte = 0;
        ssize_t n = read(fd, &byte, 1);
        if (n < 0 && errno == EINTR && !caught)
            continue;
        if (n < 0)
            return imsg_fail(err, IMSG_NO_INPUT, "passphrase from %s: %s", from, strerror(errno));
        if (n == 0 || byte == '\n')
            break;
        if (out->len == PASSPHRASE_MAX)
            return imsg_fail(err, IMSG_PERMISSION, "passphrase from %s: longer than %d bytes", from, PASSPHRASE_MAX);
        enum imsg_status status = imsg_buf_append(out, &byte, 1, err);
        imsg_wipe(&byte, 1);
        if (status != IMSG_OK)
            return status;
    }
    if (out->len && out->ptr[out->len - 1] == '\r')
        out->ptr[--out->len] = '\0';
    return IMSG_OK;
}

static enum imsg_status ask_once(int tty, const char *prompt, struct imsg_buf *out, struct imsg_error *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    enum { COUNT = sizeof signals / sizeof signals[0] };
    struct sigaction old[COUNT], action = {.sa_handler = on_signal}; /* no SA_RESTART: read must end */
    struct termios before, silent;
    bool restore = tcgetattr(tty, &before) == 0;
    for (size_t i = 0; i < COUNT; i++)
        if (sigaction(signals[i], &action, &old[i]) == 0 && old[i].sa_handler == SIG_IGN)
            sigaction(signals[i], &old[i], NULL); /* it was ignored when the program started, and stays so */
    if (restore) { /* before the prompt, so that an answer as quick as a program's is neither shown nor flushed */
        silent = before;
        silent.c_lflag &= (tcflag_t) ~(ECHO | ECHONL);
        tcsetattr(tty, TCSAFLUSH, &silent);
    }
    enum imsg_status status = imsg_write_all(tty, imsg_view_str(prompt), err);
    if (status == IMSG_OK)
        status = read_first_line(tty, "the terminal", out, err);
    if (restore)
        tcsetattr(tty, TCSAFLUSH, &before);
    if (imsg_write_all(tty, imsg_view_str("\n"), NULL) != IMSG_OK) {
        /* only a line feed */
    }
    for (size_t i = 0; i < COUNT; i++)
        sigaction(signals[i], &old[i], NULL);
    if (caught)
        raise(caught);
    return status;
}

static enum imsg_status ask(const char *what, bool again, struct imsg_buf *out, struct imsg_error *err)
{
    struct imsg_buf second = {0};
    char prompt[600];
    enum imsg_status status = IMSG_PERMISSION;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0) {
        status = imsg_fail(err, IMSG_PERMISSION, "%s needs a passphrase and there is no terminal to ask on", what);
        cli_error_hint(err, "--passphrase-file FILE, --passphrase-fd N or IMSG_PASSPHRASE_FILE");
        return status;
    }
    snprintf(prompt, sizeof prompt, "Passphrase for %s: ", what);
    status = ask_once(tty, prompt, out, err);
    if (status == IMSG_OK && again && out->len > 0) {
        status = ask_once(tty, "The same again: ", &second, err);
        if (status == IMSG_OK && !imsg_view_equal(imsg_buf_view(out), imsg_buf_view(&second)))
            status = imsg_fail(err, IMSG_PERMISSION, "the two passphrases differ");
    }
    imsg_buf_free(&second);
    close(tty);
    return status;
}

/* The next line; where there is none any more, the one before: the account key mostly has that of the identity. */
static enum imsg_status read_passphrase_fd(struct cli *cli, struct imsg_buf *out, struct imsg_error *err)
{
    enum imsg_status status = read_first_line(cli->passphrase_fd, "--passphrase-fd", out, err);
    if (status == IMSG_OK && out->len == 0)
        return imsg_buf_append(out, cli->passphrase.ptr, cli->passphrase.len, err);
    imsg_buf_clear(&cli->passphrase);
    return status == IMSG_OK ? imsg_buf_append(&cli->passphrase, out->ptr, out->len, err) : status;
}

enum imsg_status cli_passphrase(struct cli *cli, const char *what, bool again, struct imsg_buf *out,
                                struct imsg_error *err)
{
    const char *path = cli->passphrase_file;
    enum imsg_status status = IMSG_OK;
    if (!path && cli->passphrase_fd < 0)
        status = cli_setting(cli, "IMSG_PASSPHRASE_FILE", &path, err);
    if (status != IMSG_OK)
        return status;
    if (cli->passphrase_fd >= 0) {
        status = read_passphrase_fd(cli, out, err);
    } else if (path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return imsg_fail(err, IMSG_NO_INPUT, "passphrase file \"%s\": %s", path, strerror(errno));
        status = read_first_line(fd, "the passphrase file", out, err);
        close(fd);
    } else {
        status = ask(what, again, out, err);
    }
    if (status == IMSG_OK && out->len == 0)
        status = imsg_fail(err, IMSG_PERMISSION, "the passphrase for %s is empty", what);
    return status;
}

/* ---- key files ---- */

static enum imsg_status answer_passphrase(void *context, const char *what, struct imsg_buf *out, struct imsg_error *err)
{
    return cli_passphrase(context, what, false, out, err);
}

/* "-" is standard input. */
static enum imsg_status describe_file(struct cli *cli, const char *path, struct imsg_key_file *out,
                                      struct imsg_error *err)
{
    bool piped = strcmp(path, "-") == 0;
    if (piped && cli->stdin_taken)
        return imsg_fail(err, IMSG_USAGE, "standard input can be only one of the inputs");
    if (piped)
        cli->stdin_taken = true;
    *out = (struct imsg_key_file){.path = path,
                                  .has_fd = piped,
                                  .fd = STDIN_FILENO,
                                  .others_may_read = cli->allow_insecure_key,
                                  .passphrase = answer_passphrase,
                                  .context = cli};
    return IMSG_OK;
}

enum imsg_status cli_key_file(struct cli *cli, const char *path, const char *standard, char **name,
                              struct imsg_key_file *out, struct imsg_error *err)
{
    enum imsg_status status = path ? imsg_strdup(path, name, err) : cli_home_path(cli, standard, name, err);
    return status == IMSG_OK ? describe_file(cli, *name, out, err) : status;
}

enum imsg_status cli_read_key_file(struct cli *cli, const char *path, const char *role, struct imsg_buf *out,
                                   struct imsg_error *err)
{
    struct imsg_key_file file;
    enum imsg_status status = describe_file(cli, path, &file, err);
    return status == IMSG_OK ? imsg_key_file_read(&file, role, out, err) : status;
}

/* Only the default identity is one that its user may not have made yet. */
static enum imsg_status suggest_identity(const char *path, enum imsg_status status, struct imsg_error *err)
{
    if (status == IMSG_NO_INPUT && !path)
        imsg_error_suggest(err, IMSG_HINT_IDENTITY, NULL);
    return status;
}

enum imsg_status cli_identity_token(struct cli *cli, const char *path, uint8_t token[static 32], struct imsg_error *err)
{
    struct imsg_key_file file;
    char *name = NULL;
    enum imsg_status status = cli_key_file(cli, path, "identity.json", &name, &file, err);
    if (status == IMSG_OK)
        status = suggest_identity(path, imsg_identity_load_token(&file, token, err), err);
    free(name);
    return status;
}

enum imsg_status cli_identity(struct cli *cli, const char *path, struct imsg_identity *out, struct imsg_error *err)
{
    struct imsg_key_file file;
    char *name = NULL;
    enum imsg_status status = cli_key_file(cli, path, "identity.json", &name, &file, err);
    if (status == IMSG_OK)
        status = suggest_identity(path, imsg_identity_load(&file, out, err), err);
    free(name);
    return status;
}

enum imsg_status cli_identity_change(struct cli *cli, const char *path, const char *account, struct imsg_identity *out,
                                     struct imsg_error *err)
{
    struct imsg_key_file file;
    char *name = NULL;
    enum imsg_status status = cli_key_file(cli, path, "identity.json", &name, &file, err);
    if (status == IMSG_OK)
        status =
            account ? imsg_identity_account_file(&file, account, out, err) : imsg_identity_rotate_file(&file, out, err);
    if (status == IMSG_NO_INPUT)
        status = suggest_identity(path, status, err);
    free(name);
    return status;
}

enum imsg_status cli_account_thumbprint(struct cli *cli, const char *path, char out[static IMSG_THUMBPRINT + 1],
                                        struct imsg_error *err)
{
    struct imsg_key_file file;
    struct imsg_p256 *key = NULL;
    char *name = NULL;
    enum imsg_status status = cli_key_file(cli, path, "account.pem", &name, &file, err);
    if (status == IMSG_OK)
        status = imsg_account_load_thumbprint(&file, out, err);
    if (status == IMSG_OK && !out[0]) /* only the passphrase shows it */
        status = imsg_account_load(&file, &key, err);
    if (status == IMSG_OK && key)
        status = imsg_account_thumbprint(key, out, err);
    imsg_account_free(key);
    free(name);
    return status;
}
