/* Files of failures: the time of the first, u64be Unix seconds, and the replay keys of all. A day after the first one a
 * new list begins. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "client/client.h"
#include "client/once.h"

enum { DAY = 86400, HEAD = 8, KEY = 32, KEYS_MAX = 65536 };

/* failures/ACCOUNT and the folder; "others" without an account. */
static enum imsg_status failures_path(const struct imsg_client *client, const char *account, char **path,
                                      struct imsg_error *err)
{
    char below[128], *folder = NULL;
    snprintf(below, sizeof below, "failures/%s", account ? account : "others");
    enum imsg_status status = imsg_client_path(client, "failures", &folder, err);
    if (status == IMSG_OK)
        status = imsg_make_folders(folder, 0700, err);
    if (status == IMSG_OK)
        status = imsg_client_path(client, below, path, err);
    free(folder);
    return status;
}

/* Open and lock a file; *fd = -1 where it is not there. */
static enum imsg_status open_file(const char *path, int flags, int *fd, struct imsg_error *err)
{
    int opened, locked;
    *fd = -1;
    do
        opened = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
    while (opened < 0 && errno == EINTR);
    if (opened < 0 && errno == ENOENT)
        return IMSG_OK;
    if (opened < 0)
        return imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot open", path);
    do
        locked = flock(opened, LOCK_EX);
    while (locked != 0 && errno == EINTR);
    if (locked != 0) {
        enum imsg_status status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot lock", path);
        close(opened);
        return status;
    }
    *fd = opened;
    return IMSG_OK;
}

/* The account's own file, or that of all accounts that nothing was accepted from. */
static enum imsg_status open_failures(const struct imsg_client *client, const char *account, int *fd,
                                      struct imsg_error *err)
{
    char *own = NULL, *others = NULL;
    enum imsg_status status = failures_path(client, account, &own, err);
    if (status == IMSG_OK)
        status = open_file(own, 0, fd, err);
    if (status == IMSG_OK && *fd < 0)
        status = failures_path(client, NULL, &others, err);
    if (status == IMSG_OK && *fd < 0)
        status = open_file(others, O_CREAT, fd, err);
    free(others);
    free(own);
    return status;
}

/* Of the list that counts now: its bytes, none where its day is over. */
static enum imsg_status read_list(int fd, struct imsg_buf *list, struct imsg_error *err)
{
    uint64_t since = 0, now = (uint64_t)imsg_now();
    enum imsg_status status = imsg_read_all(fd, HEAD + (size_t)KEYS_MAX * KEY, list, err);
    if (status != IMSG_OK)
        return status;
    for (size_t i = 0; list->len >= HEAD && i < HEAD; i++)
        since = since << 8 | list->ptr[i];
    if (list->len < HEAD || since > now || now - since >= DAY)
        imsg_buf_clear(list);
    return IMSG_OK;
}

static bool list_has(const struct imsg_buf *list, const uint8_t replay[static KEY])
{
    for (size_t at = HEAD; at + KEY <= list->len; at += KEY)
        if (memcmp(list->ptr + at, replay, KEY) == 0)
            return true;
    return false;
}

static enum imsg_status append_key(int fd, const struct imsg_buf *list, const uint8_t replay[static KEY],
                                   struct imsg_error *err)
{
    uint8_t head[HEAD];
    uint64_t now = (uint64_t)imsg_now(), at = list->len - (list->len > HEAD ? (list->len - HEAD) % KEY : 0);
    enum imsg_status status = IMSG_OK;
    if (list->len == 0) {
        for (size_t i = 0; i < HEAD; i++)
            head[i] = (uint8_t)(now >> (56 - 8 * i));
        if (ftruncate(fd, 0) != 0)
            status = imsg_fail_errno(err, IMSG_IO, errno, "cannot write");
        if (status == IMSG_OK)
            status = imsg_write_at(fd, 0, imsg_view_of(head, sizeof head), err);
        at = HEAD;
    }
    return status == IMSG_OK ? imsg_write_at(fd, at, imsg_view_of(replay, KEY), err) : status;
}

enum imsg_status imsg_failures_begin(const struct imsg_client *client, const char *account, struct imsg_error *err)
{
    char *path = NULL;
    enum imsg_status status = failures_path(client, account, &path, err);
    if (status == IMSG_OK && access(path, F_OK) != 0)
        status = imsg_mark(path, 0600, err);
    free(path);
    return status;
}

enum imsg_status imsg_failures_add(const struct imsg_client *client, const char *account,
                                   const uint8_t replay[static 32], struct imsg_error *err)
{
    struct imsg_buf list = {0};
    int fd = -1;
    enum imsg_status status = open_failures(client, account, &fd, err);
    if (status == IMSG_OK)
        status = read_list(fd, &list, err);
    if (status == IMSG_OK && !list_has(&list, replay))
        status = append_key(fd, &list, replay, err);
    if (fd >= 0)
        close(fd);
    imsg_buf_free(&list);
    return status;
}

enum imsg_status imsg_failures_count(const struct imsg_client *client, const char *account, size_t *count,
                                     struct imsg_error *err)
{
    struct imsg_buf list = {0};
    int fd = -1;
    enum imsg_status status = open_failures(client, account, &fd, err);
    if (status == IMSG_OK)
        status = read_list(fd, &list, err);
    if (status == IMSG_OK)
        *count = list.len > HEAD ? (list.len - HEAD) / KEY : 0;
    if (fd >= 0)
        close(fd);
    imsg_buf_free(&list);
    return status;
}
