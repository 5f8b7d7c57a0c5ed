/* Private key files and passphrases. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/json.h"
#include "crypto/crypto.h"

#define KEY_FILE_MAX 1048576 /* bytes */
#define PASSPHRASE_MAX 1024  /* bytes */

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

/* The first line of fd, without its end. One byte at a time: what follows belongs to others. */
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
            sigaction(signals[i], &old[i], NULL); /* whoever started us wants it ignored */
    if (restore) { /* before the prompt, so that an answer as quick as a program's is neither shown nor flushed */
        silent = before;
        silent.c_lflag &= (tcflag_t)~(ECHO | ECHONL);
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
        imsg_error_hint(err, "--passphrase-file FILE, --passphrase-fd N or IMSG_PASSPHRASE_FILE");
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
        status = read_first_line(cli->passphrase_fd, "--passphrase-fd", out, err);
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

enum imsg_status cli_read_key_file(struct cli *cli, const char *path, const char *role, struct imsg_buf *out,
                                   struct imsg_error *err)
{
    enum imsg_status status;
    struct stat st;
    int fd = STDIN_FILENO;
    bool piped = strcmp(path, "-") == 0;
    if (piped && cli->stdin_taken)
        return imsg_fail(err, IMSG_USAGE, "standard input can be only one of the inputs");
    if (piped)
        cli->stdin_taken = true;
    else
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return imsg_fail(err, IMSG_NO_INPUT, "%s \"%s\": %s", role, path, strerror(errno));
    if (!piped && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) &&
        !cli->allow_insecure_key) {
        char *word = NULL;
        status = imsg_fail(err, IMSG_PERMISSION, "%s \"%s\": mode %04o lets others read it", role, path,
                           (unsigned)st.st_mode & 07777);
        if (cli_shell_word(path, &word, NULL) == IMSG_OK)
            imsg_error_hint(err, "chmod 600 %s%s", path[0] == '-' ? "-- " : "", word);
        free(word);
        goto out;
    }
    if (!piped && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        status = imsg_fail(err, IMSG_NO_INPUT, "%s \"%s\": %s", role, path, strerror(EISDIR));
        goto out;
    }
    status = imsg_read_all(fd, KEY_FILE_MAX, out, err);
    if (status == IMSG_TOO_LONG)
        status = imsg_fail(err, IMSG_MALFORMED, "larger than a key file can be");
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s \"%s\"", role, path);
out:
    if (!piped)
        close(fd);
    return status;
}

/* `path`, or identity.json of $IMSG_HOME; *name is the caller's. */
static enum imsg_status read_identity(struct cli *cli, const char *path, char **name, struct imsg_buf *file,
                                      struct imsg_error *err)
{
    enum imsg_status status = path ? imsg_path_join(path, "", name, err)
                                   : cli_home_path(cli, "identity.json", name, err);
    if (status == IMSG_OK)
        status = cli_read_key_file(cli, *name, "identity file", file, err);
    if (status == IMSG_NO_INPUT && !path)
        imsg_error_hint(err, "imsg-keygen HANDLE | imsg-register makes one");
    return status;
}

enum imsg_status cli_identity_token(struct cli *cli, const char *path, uint8_t token[static 32],
                                    struct imsg_error *err)
{
    struct imsg_buf file = {0};
    char *name = NULL;
    json_t *object = NULL;
    enum imsg_status status = read_identity(cli, path, &name, &file, err);
    if (status == IMSG_OK) {
        status = imsg_json_document(imsg_buf_view(&file), KEY_FILE_MAX, "identity/1", &object, err);
        if (status == IMSG_OK)
            status = imsg_json_hex(object, "token", token, IMSG_TOKEN, NULL, err);
        if (status != IMSG_OK)
            imsg_error_prefix(err, "identity file \"%s\"", name);
    }
    json_decref(object);
    imsg_buf_free(&file);
    free(name);
    return status;
}

enum imsg_status cli_identity(struct cli *cli, const char *path, struct imsg_identity *out, struct imsg_error *err)
{
    char *name = NULL, what[400];
    struct imsg_buf file = {0}, passphrase = {0};
    enum imsg_status status = read_identity(cli, path, &name, &file, err);
    if (status != IMSG_OK)
        goto out;
    if (imsg_identity_is_encrypted(imsg_buf_view(&file))) {
        snprintf(what, sizeof what, "identity file \"%s\"", name);
        status = cli_passphrase(cli, what, false, &passphrase, err);
        if (status != IMSG_OK)
            goto out;
    }
    status = imsg_identity_parse(imsg_buf_view(&file), imsg_buf_view(&passphrase), out, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "identity file \"%s\"", name);
out:
    imsg_buf_free(&file);
    imsg_buf_free(&passphrase);
    free(name);
    return status;
}

enum imsg_status cli_account_key(struct cli *cli, const char *path, struct imsg_p256 **out, struct imsg_error *err)
{
    char *standard = NULL, what[400];
    struct imsg_buf file = {0}, passphrase = {0};
    enum imsg_status status = path ? IMSG_OK : cli_home_path(cli, "account.pem", &standard, err);
    if (status != IMSG_OK)
        goto out;
    const char *name = path ? path : standard;
    status = cli_read_key_file(cli, name, "account key", &file, err);
    if (status != IMSG_OK)
        goto out;
    if (imsg_pem_is_encrypted(imsg_buf_view(&file))) {
        snprintf(what, sizeof what, "account key \"%s\"", name);
        status = cli_passphrase(cli, what, false, &passphrase, err);
        if (status != IMSG_OK)
            goto out;
    }
    status = imsg_p256_from_pem(imsg_buf_view(&file), imsg_buf_view(&passphrase), out, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "account key \"%s\"", name);
out:
    imsg_buf_free(&file);
    imsg_buf_free(&passphrase);
    free(standard);
    return status;
}

enum imsg_status cli_create_private(const char *path, struct imsg_view bytes, struct imsg_error *err)
{
    enum imsg_status status = imsg_write_file(path, bytes, 0600, IMSG_NO_REPLACE, err);
    if (status == IMSG_CONFLICT)
        status = imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\" exists and is never replaced", path);
    return status;
}
