#include "imsg-client.h"

#include <dirent.h>
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
#include "imsg-net.h"

enum imsg_status imsg_inbox_open(struct imsg_inbox *inbox, const char *home, struct imsg_error *err)
{
    struct {
        const char *name;
        char **path;
    } folders[] = {{"inbox/new", &inbox->new_path},
                   {"inbox/cur", &inbox->cur_path},
                   {"inbox/tmp", &inbox->tmp_path},
                   {"seen/pull", &inbox->seen_path}};
    enum imsg_status status = imsg_path_join(home, "inbox/.lock", &inbox->lock_path, err);
    for (size_t i = 0; status == IMSG_OK && i < sizeof folders / sizeof folders[0]; i++) {
        status = imsg_path_join(home, folders[i].name, folders[i].path, err);
        if (status == IMSG_OK)
            status = imsg_make_folders(*folders[i].path, 0700, err);
    }
    return status;
}

void imsg_inbox_free(struct imsg_inbox *inbox)
{
    free(inbox->new_path);
    free(inbox->cur_path);
    free(inbox->tmp_path);
    free(inbox->lock_path);
    free(inbox->seen_path);
    *inbox = (struct imsg_inbox){0};
}

/* ---- what is there ---- */

static int compare_times(const void *a, const void *b)
{
    const struct imsg_stored *x = a, *y = b;
    if (x->when.tv_sec != y->when.tv_sec)
        return x->when.tv_sec < y->when.tv_sec ? -1 : 1;
    if (x->when.tv_nsec != y->when.tv_nsec)
        return x->when.tv_nsec < y->when.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

enum imsg_status imsg_inbox_list(const struct imsg_inbox *inbox, struct imsg_stored **list, size_t *count,
                                 struct imsg_error *err)
{
    DIR *folder = opendir(inbox->new_path);
    struct stat st;
    size_t room = 0;
    enum imsg_status status = IMSG_OK;
    if (!folder)
        return imsg_fail_errno(err, IMSG_IO, errno, "\"%s\"", inbox->new_path);
    for (struct dirent *item; status == IMSG_OK && (item = readdir(folder));) {
        if (!imsg_name_is_hash(item->d_name) || fstatat(dirfd(folder), item->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (*count == room) {
            room = room ? 2 * room : 64;
            struct imsg_stored *grown = realloc(*list, room * sizeof *grown);
            if (!grown) {
                status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
                break;
            }
            *list = grown;
        }
        (*list)[*count] = (struct imsg_stored){.when = st.st_mtim};
        status = imsg_strdup(item->d_name, &(*list)[*count].name, err);
        *count += status == IMSG_OK;
    }
    closedir(folder);
    if (*count > 1)
        qsort(*list, *count, sizeof **list, compare_times);
    return status;
}

void imsg_inbox_list_free(struct imsg_stored *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

/* ---- handing out ---- */

/* Is the file that was opened still the one of this name, or has another process moved it on? */
static bool has_name(int fd, const char *path)
{
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_dev == named.st_dev &&
           mine.st_ino == named.st_ino;
}

enum imsg_status imsg_inbox_claim(const struct imsg_inbox *inbox, const char *name, int *fd, struct imsg_error *err)
{
    char *path = NULL;
    int opened = -1, locked;
    *fd = -1;
    enum imsg_status status = imsg_path_join(inbox->new_path, name, &path, err);
    if (status != IMSG_OK)
        goto out;
    opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (opened < 0 && errno != ENOENT)
        status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\"", path);
    if (opened < 0)
        goto out;
    do
        locked = flock(opened, LOCK_EX | LOCK_NB);
    while (locked != 0 && errno == EINTR);
    if (locked != 0 && errno != EWOULDBLOCK)
        status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot lock", path);
    if (locked != 0 || !has_name(opened, path))
        goto out;
    *fd = opened;
    opened = -1;
out:
    if (opened >= 0)
        close(opened);
    free(path);
    return status;
}

enum imsg_status imsg_inbox_finish(const struct imsg_inbox *inbox, const char *name, struct imsg_error *err)
{
    char *from = NULL, *to = NULL;
    enum imsg_status status = imsg_path_join(inbox->new_path, name, &from, err);
    if (status == IMSG_OK)
        status = imsg_path_join(inbox->cur_path, name, &to, err);
    if (status == IMSG_OK && rename(from, to) != 0)
        status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\"", to);
    free(from);
    free(to);
    return status;
}
