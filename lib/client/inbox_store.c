/* Storing what arrived. The order is what makes it safe to be killed at any moment: a file's bytes are on the disk
 * before it gets its name in new/, that name is on the disk before the message is remembered, and only then is a relay
 * told. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/io.h"
#include "base/os.h"
#include "base/text.h"
#include "imsg-client.h"

#define GROUP 128 /* files open at a time */
#define MANY 16   /* files or folders that are synced by one sync of their file system: it waits for other files too */
#define FOLDERS 256
#define MARK_FLAGS (O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC)

/* A message that was not stored before, on its way into new/. */
struct store_file {
    char *path;
    int fd;
    bool placed; /* it got its name now */
};

struct store_group {
    struct store_file files[GROUP];
    size_t count;
};

static void free_group(struct store_group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        if (group->files[i].fd >= 0)
            close(group->files[i].fd);
        free(group->files[i].path);
    }
    group->count = 0;
}

/* ---- remembering ---- */

static enum imsg_status make_seen_path(const struct imsg_inbox *inbox, const char *name, char **path,
                                       struct imsg_error *err)
{
    char below[70];
    snprintf(below, sizeof below, "%.2s/%s", name, name + 2);
    return imsg_path_join(inbox->seen_path, below, path, err);
}

/* An error is not "no": a message that was stored before would be stored a second time. */
static enum imsg_status look_up_seen(const struct imsg_inbox *inbox, const char *name, bool *seen,
                                     struct imsg_error *err)
{
    char *path = NULL;
    enum imsg_status status = make_seen_path(inbox, name, &path, err);
    if (status != IMSG_OK)
        return status;
    *seen = access(path, F_OK) == 0;
    if (!*seen && errno != ENOENT)
        status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\"", path);
    free(path);
    return status;
}

/* The mark of one message and, where it is missing, its folder; neither is synced yet. The marks of a folder are names
 * of one empty file, which is quicker than many files. Where the file system has no links, or no more to that file, a
 * mark is a file of its own. */
static enum imsg_status make_mark(const char *path, struct imsg_error *err)
{
    char *common = NULL, *name;
    int fd = -1;
    enum imsg_status status = imsg_strdup(path, &common, err);
    if (status != IMSG_OK)
        return status;
    name = strrchr(common, '/') + 1;
    name[0] = '0'; /* "…/ab/0": no name of a mark is so short */
    name[1] = '\0';
    bool done = link(common, path) == 0 || errno == EEXIST;
    if (!done && errno == ENOENT) {
        name[-1] = '\0';
        (void)!mkdir(common, 0700);
        name[-1] = '/';
        fd = open(common, MARK_FLAGS, 0600);
        if (fd >= 0)
            close(fd);
        done = fd >= 0 && (link(common, path) == 0 || errno == EEXIST);
    }
    if (!done) {
        fd = open(path, MARK_FLAGS, 0600);
        if (fd >= 0)
            close(fd); /* nothing was written to it */
        else
            status = imsg_fail_errno(err, imsg_create_status(errno), errno, "\"%s\": cannot create", path);
    }
    free(common);
    return status;
}

/* Each folder that got marks, and the one above, in which folders may be new. */
static enum imsg_status sync_marks(const struct imsg_inbox *inbox, const bool touched[static FOLDERS],
                                   struct imsg_error *err)
{
    char below[8]; /* the folder of this name is synced */
    size_t count = 0;
    for (unsigned i = 0; i < FOLDERS; i++)
        count += touched[i];
    enum imsg_status status = IMSG_OK;
    if (count >= MANY && imsg_os_sync_file_system(inbox->seen_path) == 0)
        return IMSG_OK;
    for (unsigned i = 0; status == IMSG_OK && i <= FOLDERS; i++) {
        char *inside = NULL;
        if (i < FOLDERS && !touched[i])
            continue;
        snprintf(below, sizeof below, i < FOLDERS ? "%02x/0" : ".", i);
        status = imsg_path_join(inbox->seen_path, below, &inside, err);
        if (status == IMSG_OK)
            status = imsg_sync_folder_of(inside, err);
        free(inside);
    }
    return status;
}

static enum imsg_status remember_all(const struct imsg_inbox *inbox, const struct imsg_arrival *arrivals, size_t count,
                                     struct imsg_error *err)
{
    bool touched[FOLDERS] = {false};
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        char *path = NULL;
        uint8_t folder = 0;
        if (!arrivals[i].fresh)
            continue;
        status = imsg_hex_decode(imsg_view_of(arrivals[i].name, 2), &folder, 1, err);
        if (status == IMSG_OK)
            status = make_seen_path(inbox, arrivals[i].name, &path, err);
        if (status == IMSG_OK)
            status = make_mark(path, err);
        touched[folder] = true;
        free(path);
    }
    return status == IMSG_OK ? sync_marks(inbox, touched, err) : status;
}

enum imsg_status imsg_inbox_remember(const struct imsg_inbox *inbox, const char *name, struct imsg_error *err)
{
    struct imsg_arrival arrival = {.fresh = true};
    bool seen = false;
    enum imsg_status status = look_up_seen(inbox, name, &seen, err);
    if (status != IMSG_OK || seen)
        return status;
    memcpy(arrival.name, name, sizeof arrival.name);
    return remember_all(inbox, &arrival, 1, err);
}

/* ---- storing ---- */

static enum imsg_status write_file(const struct imsg_inbox *inbox, const struct imsg_arrival *arrival,
                                   const struct timespec *when, struct store_file *file, struct imsg_error *err)
{
    /* The kernel stamps files with a clock that stands still for milliseconds: too coarse for their order. */
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *when};
    enum imsg_status status = imsg_path_join(inbox->new_path, arrival->name, &file->path, err);
    if (status == IMSG_OK)
        status = imsg_unnamed_create(inbox->tmp_path, 0600, &file->fd, err);
    if (status == IMSG_OK)
        status = imsg_write_all(file->fd, arrival->line, err);
    if (status == IMSG_OK)
        (void)!futimens(file->fd, times);
    return status;
}

/* One for each that was not stored before, in their order; *when is the time of the next. */
static enum imsg_status write_group(const struct imsg_inbox *inbox, struct imsg_arrival *arrivals, size_t count,
                                    struct timespec *when, struct store_group *group, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        bool seen = true;
        status = look_up_seen(inbox, arrivals[i].name, &seen, err);
        arrivals[i].fresh = !seen;
        if (status != IMSG_OK || seen)
            continue;
        struct store_file *file = &group->files[group->count++];
        *file = (struct store_file){.fd = -1};
        status = write_file(inbox, &arrivals[i], when, file, err);
        if (++when->tv_nsec == 1000000000)
            *when = (struct timespec){.tv_sec = when->tv_sec + 1};
    }
    return status;
}

static enum imsg_status sync_group(const struct imsg_inbox *inbox, const struct store_group *group,
                                   struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (group->count >= MANY && imsg_os_sync_file_system(inbox->tmp_path) == 0)
        return IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < group->count; i++)
        status = imsg_sync_file(group->files[i].fd, group->files[i].path, err);
    return status;
}

static enum imsg_status place_group(struct store_group *group, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < group->count; i++) {
        struct store_file *file = &group->files[i];
        status = imsg_unnamed_name(file->fd, file->path, err);
        file->placed = status == IMSG_OK;
        if (status == IMSG_CONFLICT) /* an earlier run placed it and ended before it remembered it */
            status = IMSG_OK;
    }
    if (status == IMSG_OK && group->count > 0)
        status = imsg_sync_folder_of(group->files[0].path, err);
    /* Names that may not be durable are taken back, or the next run would find them and take them for safe. */
    for (size_t i = 0; status != IMSG_OK && i < group->count; i++)
        if (group->files[i].placed)
            unlink(group->files[i].path);
    return status;
}

enum imsg_status imsg_inbox_store(const struct imsg_inbox *inbox, struct imsg_arrival *arrivals, size_t count,
                                  struct imsg_error *err)
{
    struct store_group group = {.count = 0};
    struct timespec when = {0};
    size_t stored = 0;
    int lock = -1;
    enum imsg_status status = imsg_lock(inbox->lock_path, 0600, &lock, err);
    (void)clock_gettime(CLOCK_REALTIME, &when);
    for (size_t at = 0; status == IMSG_OK && at < count; at += GROUP) {
        status = write_group(inbox, arrivals + at, count - at < GROUP ? count - at : GROUP, &when, &group, err);
        if (status == IMSG_OK)
            status = sync_group(inbox, &group, err);
        if (status == IMSG_OK)
            status = place_group(&group, err);
        stored += group.count;
        free_group(&group);
    }
    if (status == IMSG_OK && stored > 0)
        status = remember_all(inbox, arrivals, count, err);
    if (lock >= 0)
        close(lock);
    return status;
}
