#include "client/once.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "client/client.h"

enum { HEX = 64 }; /* digits of a replay key, and of a name */

/* opened/ab/cdef… */
static enum imsg_status opened_path(const struct imsg_client *client, const uint8_t replay[static 32], char **path,
                                    struct imsg_error *err)
{
    char hex[HEX + 1], below[sizeof "opened//" + HEX];
    imsg_hex(replay, 32, hex);
    snprintf(below, sizeof below, "opened/%.2s/%s", hex, hex + 2);
    return imsg_client_path(client, below, path, err);
}

/* The folder that `path` is to be in. */
static enum imsg_status make_folder_of(char *path, struct imsg_error *err)
{
    char *slash = strrchr(path, '/');
    *slash = '\0';
    enum imsg_status status = imsg_make_folders(path, 0700, err);
    *slash = '/';
    return status;
}

enum imsg_status imsg_once_look_up(const struct imsg_client *client, const uint8_t replay[static 32], bool *recorded,
                                   struct imsg_error *err)
{
    char *path = NULL;
    enum imsg_status status = opened_path(client, replay, &path, err);
    if (status != IMSG_OK)
        return status;
    *recorded = access(path, F_OK) == 0;
    if (!*recorded && errno != ENOENT && errno != ENOTDIR)
        status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\"", path);
    free(path);
    return status;
}

/* Is it recorded for the envelope of this name? */
static enum imsg_status is_recorded_for(const char *path, const char *name, bool *yes, struct imsg_error *err)
{
    struct imsg_buf text = {0};
    enum imsg_status status = imsg_read_file(path, HEX + 1, &text, err);
    *yes = status == IMSG_OK && text.len == HEX + 1 && memcmp(text.ptr, name, HEX) == 0;
    if (status == IMSG_NO_INPUT || status == IMSG_TOO_LONG)
        status = IMSG_OK;
    imsg_buf_free(&text);
    return status;
}

enum imsg_status imsg_once_record(const struct imsg_client *client, const char *retry, struct imsg_opened *opened,
                                  struct imsg_error *err)
{
    char *path = NULL, line[HEX + 2];
    bool again = false;
    imsg_hex(opened->envelope.name, sizeof opened->envelope.name, line);
    bool retried = retry && strcmp(line, retry) == 0;
    snprintf(line + HEX, 2, "\n");
    enum imsg_status status = opened_path(client, opened->replay, &path, err);
    if (status == IMSG_OK)
        status = make_folder_of(path, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_write_file(path, imsg_view_str(line), 0600, IMSG_NO_REPLACE, err);
    opened->recorded = status == IMSG_OK;
    if (status != IMSG_CONFLICT)
        goto out;
    status = retried ? is_recorded_for(path, line, &again, err) : IMSG_OK;
    if (status == IMSG_OK && !again)
        status = imsg_fail(err, IMSG_REFUSED, "message %s from %s was opened before", opened->message.id,
                           opened->message.from);
out:
    free(path);
    return status;
}

enum imsg_status imsg_opened_take_back(const struct imsg_client *client, const uint8_t replay[static 32],
                                       struct imsg_error *err)
{
    char *path = NULL;
    enum imsg_status status = opened_path(client, replay, &path, err);
    if (status == IMSG_OK && unlink(path) != 0 && errno != ENOENT)
        status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot remove", path);
    free(path);
    return status;
}
