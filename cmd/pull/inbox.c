#include "pull/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

enum imsg_status inbox_open(struct inbox *inbox, struct cli *cli, struct imsg_error *err)
{
    struct {
        const char *name;
        char **path;
    } folders[] = {{"inbox/new", &inbox->new},
                   {"inbox/cur", &inbox->cur},
                   {"inbox/tmp", &inbox->tmp},
                   {"seen/pull", &inbox->seen}};
    enum imsg_status status = cli_home_path(cli, "inbox/.lock", &inbox->lock, err);
    for (size_t i = 0; status == IMSG_OK && i < sizeof folders / sizeof folders[0]; i++) {
        status = cli_home_path(cli, folders[i].name, folders[i].path, err);
        if (status == IMSG_OK)
            status = imsg_make_folders(*folders[i].path, 0700, err);
    }
    return status;
}

void inbox_free(struct inbox *inbox)
{
    free(inbox->new);
    free(inbox->cur);
    free(inbox->tmp);
    free(inbox->lock);
    free(inbox->seen);
    *inbox = (struct inbox){0};
}

/* seen/pull/ab/cdef…: an empty file for every payload ever stored. */
static enum imsg_status seen_path(const struct inbox *inbox, const char *name, char **path, struct imsg_error *err)
{
    char below[70];
    snprintf(below, sizeof below, "%.2s/%s", name, name + 2);
    return imsg_path_join(inbox->seen, below, path, err);
}

static enum imsg_status remember_path(const char *path, struct imsg_error *err)
{
    char *folder = NULL;
    enum imsg_status status = imsg_strdup(path, &folder, err);
    if (status != IMSG_OK)
        return status;
    *strrchr(folder, '/') = '\0';
    status = imsg_make_folders(folder, 0700, err);
    if (status == IMSG_OK)
        status = imsg_mark(path, 0600, err);
    free(folder);
    return status;
}

/* The kernel stamps files with a clock that stands still for milliseconds: too coarse for the order of --new. */
static void stamp(int fd)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
    if (clock_gettime(CLOCK_REALTIME, &times[1]) == 0)
        (void)!futimens(fd, times);
}

enum imsg_status inbox_store(const struct inbox *inbox, struct imsg_view line, const char *name, bool *fresh,
                             struct imsg_error *err)
{
    char *target = NULL, *seen = NULL;
    int lock = -1, fd = -1;
    enum imsg_status status = imsg_lock(inbox->lock, 0600, &lock, err);
    if (status == IMSG_OK)
        status = seen_path(inbox, name, &seen, err);
    if (status != IMSG_OK)
        goto out;
    *fresh = access(seen, F_OK) != 0;
    if (*fresh && errno != ENOENT) /* not known: storing it could be the second time */
        status = imsg_fail(err, IMSG_IO, "\"%s\": %s", seen, strerror(errno));
    if (!*fresh || status != IMSG_OK)
        goto out;
    status = imsg_path_join(inbox->new, name, &target, err);
    if (status == IMSG_OK)
        status = imsg_unnamed_create(inbox->tmp, 0600, &fd, err);
    if (status == IMSG_OK)
        status = imsg_write_all(fd, line, err);
    if (status == IMSG_OK)
        status = imsg_write_all(fd, imsg_view_str("\n"), err);
    if (status == IMSG_OK)
        stamp(fd);
    if (status == IMSG_OK)
        status = imsg_sync_file(fd, target, err);
    if (status == IMSG_OK)
        status = imsg_unnamed_name(fd, target, err);
    if (status == IMSG_CONFLICT) /* a run was killed between this step and the next */
        status = IMSG_OK;
    if (status == IMSG_OK)
        status = imsg_sync_folder_of(target, err);
    if (status == IMSG_OK)
        status = remember_path(seen, err);
out:
    if (fd >= 0)
        close(fd);
    if (lock >= 0)
        close(lock);
    free(target);
    free(seen);
    return status;
}

enum imsg_status inbox_remember(const struct inbox *inbox, const char *name, struct imsg_error *err)
{
    char *seen = NULL;
    enum imsg_status status = seen_path(inbox, name, &seen, err);
    if (status == IMSG_OK && access(seen, F_OK) != 0)
        status = remember_path(seen, err);
    free(seen);
    return status;
}

/* ---- what is there ---- */

static int by_time(const void *a, const void *b)
{
    const struct stored *x = a, *y = b;
    if (x->when.tv_sec != y->when.tv_sec)
        return x->when.tv_sec < y->when.tv_sec ? -1 : 1;
    if (x->when.tv_nsec != y->when.tv_nsec)
        return x->when.tv_nsec < y->when.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

enum imsg_status inbox_list(const struct inbox *inbox, struct stored **list, size_t *count, struct imsg_error *err)
{
    DIR *folder = opendir(inbox->new);
    struct stat st;
    enum imsg_status status = IMSG_OK;
    if (!folder)
        return imsg_fail(err, IMSG_IO, "\"%s\": %s", inbox->new, strerror(errno));
    for (struct dirent *item; status == IMSG_OK && (item = readdir(folder));) {
        if (!imsg_name_is_hash(item->d_name) || fstatat(dirfd(folder), item->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        struct stored *grown = realloc(*list, (*count + 1) * sizeof *grown);
        if (!grown) {
            status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
            break;
        }
        *list = grown;
        grown[*count] = (struct stored){.when = st.st_mtim};
        status = imsg_strdup(item->d_name, &grown[*count].name, err);
        *count += status == IMSG_OK;
    }
    closedir(folder);
    if (*count > 1)
        qsort(*list, *count, sizeof **list, by_time);
    return status;
}

void inbox_list_free(struct stored *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}
