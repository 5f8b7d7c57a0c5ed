/* The words for what a person can do about an error: the library gives a code, and only here do commands and options
 * stand. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum imsg_status cli_shell_word(const char *text, char **out, struct imsg_error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+:,./_-";
    struct imsg_buf word = {0};
    if (*text && strspn(text, plain) == strlen(text))
        return imsg_strdup(text, out, err);
    enum imsg_status status = imsg_buf_text(&word, "'", err);
    for (const char *at = text; status == IMSG_OK && *at; at++)
        status = *at == '\'' ? imsg_buf_text(&word, "'\\''", err) : imsg_buf_append(&word, at, 1, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&word, "'", err);
    if (status == IMSG_OK)
        status = imsg_strdup((const char *)word.ptr, out, err);
    imsg_buf_free(&word);
    return status;
}

void cli_error_hint(struct imsg_error *err, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    imsg_error_suggest(err, IMSG_HINT_TEXT, text);
}

/* The address of a handle as a word of a command to be copied. A stranger may have chosen it: the shell must not
 * interpret it, and the tool must not take it for an option. NULL: no memory. The caller's. */
static char *handle_word(const char *handle)
{
    const char *colon = strchr(handle, ':');
    char *word = NULL;
    return cli_shell_word(colon && colon[1] != '-' ? colon + 1 : handle, &word, NULL) == IMSG_OK ? word : NULL;
}

/* The whole command that accepts the account key served now, to be copied. `about` is "THUMBPRINT HANDLE". */
static void hint_accept(const struct cli *cli, const char *about, char *out, size_t size)
{
    const char *space = strchr(about, ' '), *option = cli->directory_option;
    char *word = space ? handle_word(space + 1) : NULL, *folder = NULL;
    if (word && cli_shell_word(option ? option : "", &folder, NULL) == IMSG_OK)
        snprintf(out, size, "compare with its owner (imsg-keygen -F), then: imsg-lookup %s%s%s--accept %.*s %s",
                 option ? "-d " : "", option ? folder : "", option ? " " : "", (int)(space - about), about, word);
    free(folder);
    free(word);
}

static void hint_mode(const char *path, char *out, size_t size)
{
    char *word = NULL;
    if (cli_shell_word(path, &word, NULL) == IMSG_OK)
        snprintf(out, size, "chmod 600 %s%s", path[0] == '-' ? "-- " : "", word);
    free(word);
}

static void hint_forget(const char *handle, char *out, size_t size)
{
    char *word = handle_word(handle);
    if (word)
        snprintf(out, size, "if that key is lost for good: imsg-lookup --forget %s, then register again", word);
    free(word);
}

void cli_hint_text(const struct cli *cli, const struct imsg_error *err, char *out, size_t size)
{
    static const char *const texts[] = {
        [IMSG_HINT_IDENTITY] = "imsg-keygen HANDLE | imsg-register makes one",
        [IMSG_HINT_ROLLBACK] =
            "the directory, or somebody who can write to it, went back to an earlier state; only the "
            "owner of the handle repairs that, by registering again: imsg-keygen -y | "
            "imsg-register",
        [IMSG_HINT_ACCOUNT] = "imsg-keygen -y --account THUMBPRINT names it; imsg-keygen -F prints it where the key is",
        [IMSG_HINT_OWN_ACCOUNT] = "if another device of yours has that key: imsg-keygen -y | ssh THERE imsg-register",
        [IMSG_HINT_OTHER_ACCOUNT] = "register this record on the device that has that key: imsg-keygen -y | ssh THERE "
                                    "imsg-register",
        [IMSG_HINT_REGISTER] = "a server has mailboxes for the devices of its directory: imsg-keygen -y | "
                               "imsg-register",
        [IMSG_HINT_INVITE] = "a server may want an invitation from new accounts: --invite CODE",
        [IMSG_HINT_MOVED] = "if the service has moved, give its new address",
        [IMSG_HINT_HTTPS] = "use https, or --insecure-http where the network itself is safe",
        [IMSG_HINT_FOLDER] = "leave out \"file://\"; for a folder really named so, write ./ in front",
        [IMSG_HINT_LIBCURL] = "install libcurl 4 (7.85 or newer)",
    };
    out[0] = '\0';
    if (err->hint == IMSG_HINT_TEXT)
        snprintf(out, size, "%s", err->about);
    else if (err->hint == IMSG_HINT_MODE)
        hint_mode(err->about, out, size);
    else if (err->hint == IMSG_HINT_ACCEPT)
        hint_accept(cli, err->about, out, size);
    else if (err->hint == IMSG_HINT_FORGET)
        hint_forget(err->about, out, size);
    else if ((size_t)err->hint < sizeof texts / sizeof texts[0] && texts[err->hint])
        snprintf(out, size, "%s", texts[err->hint]);
}
