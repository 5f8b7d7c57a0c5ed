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

#include "base/io.h"
#include "base/pool.h"
#include "base/text.h"
#include "imsg-client.h"

#define SYNCS_AT_ONCE 16 /* a disk does many in the time of one */
#define WORTH_IT 4       /* jobs before other threads help */
#define SEEN_FOLDERS 256

/* One thing to do with a path: what waits for a disk is done for many at once. */
struct store_job {
    enum { PLACE_FILE, MAKE_MARK, SYNC_FOLDER } what;
    const struct imsg_inbox *inbox;
    const struct imsg_arrival *arrival; /* PLACE_FILE */
    char *path;                         /* the file, the mark, or anything in the folder */
    struct timespec when;               /* PLACE_FILE: its time */
    bool placed;                        /* PLACE_FILE: it got its name now */
    enum imsg_status status;
    struct imsg_error err;
};

struct store_jobs {
    struct store_job *items;
    size_t count;
};

static enum imsg_status place_file(struct store_job *job, struct imsg_error *err)
{
    /* The kernel stamps files with a clock that stands still for milliseconds: too coarse for their order. */
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, job->when};
    int fd = -1;
    enum imsg_status status = imsg_unnamed_create(job->inbox->tmp_path, 0600, &fd, err);
    if (status == IMSG_OK)
        status = imsg_write_all(fd, job->arrival->line, err);
    if (status == IMSG_OK)
        status = imsg_write_all(fd, imsg_view_str("\n"), err);
    if (status == IMSG_OK) {
        (void)!futimens(fd, times);
        status = imsg_sync_file(fd, job->path, err);
    }
    if (status == IMSG_OK) {
        status = imsg_unnamed_name(fd, job->path, err);
        job->placed = status == IMSG_OK;
    }
    if (fd >= 0)
        close(fd);
    return status == IMSG_CONFLICT ? IMSG_OK : status; /* an earlier run placed it and ended before it remembered it */
}

/* The mark of one message, and its folder where that is missing: neither is synced yet. */
static enum imsg_status make_mark(struct store_job *job, struct imsg_error *err)
{
    const int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
    int fd = open(job->path, flags, 0600);
    if (fd < 0 && errno == ENOENT) {
        char *slash = strrchr(job->path, '/');
        *slash = '\0';
        (void)!mkdir(job->path, 0700); /* another thread may have been first */
        *slash = '/';
        fd = open(job->path, flags, 0600);
    }
    if (fd < 0)
        return imsg_fail_errno(err, errno == ENOSPC || errno == EDQUOT || errno == EIO ? IMSG_IO : IMSG_CANNOT_CREATE,
                               errno, "\"%s\": cannot create", job->path);
    close(fd); /* nothing was written to it */
    return IMSG_OK;
}

static void do_job(void *opaque)
{
    struct store_job *job = opaque;
    switch (job->what) {
    case PLACE_FILE:
        job->status = place_file(job, &job->err);
        break;
    case MAKE_MARK:
        job->status = make_mark(job, &job->err);
        break;
    case SYNC_FOLDER:
        job->status = imsg_sync_folder_of(job->path, &job->err);
        break;
    }
}

/* All of them, many at a time. The first failure is returned. */
static enum imsg_status run_jobs(struct store_jobs *jobs, struct imsg_error *err)
{
    struct imsg_pool *pool = NULL;
    size_t added = 0;
    unsigned threads = jobs->count < WORTH_IT ? 1 : SYNCS_AT_ONCE;
    enum imsg_status status = imsg_pool_new(threads, 2 * SYNCS_AT_ONCE, do_job, &pool, err);
    if (status != IMSG_OK)
        return status;
    for (size_t done = 0; done < jobs->count; done++) {
        while (added < jobs->count && !imsg_pool_full(pool))
            imsg_pool_add(pool, &jobs->items[added++]);
        const struct store_job *job = imsg_pool_next(pool);
        if (status == IMSG_OK && job->status != IMSG_OK) {
            status = job->status;
            if (err)
                *err = job->err;
        }
    }
    imsg_pool_free(pool);
    return status;
}

static enum imsg_status new_jobs(size_t most, struct store_jobs *jobs, struct imsg_error *err)
{
    *jobs = (struct store_jobs){.items = calloc(most, sizeof *jobs->items)};
    return jobs->items ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

static void free_jobs(struct store_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++)
        free(jobs->items[i].path);
    free(jobs->items);
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

static enum imsg_status add_folder(struct store_jobs *jobs, const char *inside, struct imsg_error *err)
{
    struct store_job *job = &jobs->items[jobs->count];
    *job = (struct store_job){.what = SYNC_FOLDER};
    enum imsg_status status = imsg_strdup(inside, &job->path, err);
    jobs->count += status == IMSG_OK;
    return status;
}

/* Each folder that got marks, once, however many they are, and the one above, in which folders may be new. */
static enum imsg_status sync_marks(const struct imsg_inbox *inbox, const struct store_jobs *marks,
                                   struct imsg_error *err)
{
    struct store_jobs folders = {0};
    bool added[SEEN_FOLDERS] = {false};
    char *inside = NULL;
    enum imsg_status status = new_jobs(SEEN_FOLDERS + 1, &folders, err);
    if (status == IMSG_OK)
        status = imsg_path_join(inbox->seen_path, ".", &inside, err);
    if (status == IMSG_OK)
        status = add_folder(&folders, inside, err);
    for (size_t i = 0; status == IMSG_OK && i < marks->count; i++) {
        const char *slash = strrchr(marks->items[i].path, '/'); /* "…/ab/cdef…" */
        const char digits[3] = {slash[-2], slash[-1], '\0'};
        bool *known = &added[strtoul(digits, NULL, 16) % SEEN_FOLDERS];
        if (!*known)
            status = add_folder(&folders, marks->items[i].path, err);
        *known = true;
    }
    if (status == IMSG_OK)
        status = run_jobs(&folders, err);
    free_jobs(&folders);
    free(inside);
    return status;
}

static enum imsg_status remember_all(const struct imsg_inbox *inbox, const struct imsg_arrival *arrivals, size_t count,
                                     struct imsg_error *err)
{
    struct store_jobs marks = {0};
    enum imsg_status status = new_jobs(count, &marks, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        struct store_job *mark = &marks.items[marks.count];
        if (!arrivals[i].fresh)
            continue;
        *mark = (struct store_job){.what = MAKE_MARK};
        status = make_seen_path(inbox, arrivals[i].name, &mark->path, err);
        marks.count += status == IMSG_OK;
    }
    if (status == IMSG_OK)
        status = run_jobs(&marks, err);
    if (status == IMSG_OK)
        status = sync_marks(inbox, &marks, err);
    free_jobs(&marks);
    return status;
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

/* A job for each that was not stored before, in their order. */
static enum imsg_status plan_files(const struct imsg_inbox *inbox, struct imsg_arrival *arrivals, size_t count,
                                   struct store_jobs *files, struct imsg_error *err)
{
    struct timespec when = {0};
    enum imsg_status status = IMSG_OK;
    (void)clock_gettime(CLOCK_REALTIME, &when);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        struct store_job *job = &files->items[files->count];
        bool seen = true;
        status = look_up_seen(inbox, arrivals[i].name, &seen, err);
        arrivals[i].fresh = !seen;
        if (status != IMSG_OK || seen)
            continue;
        *job = (struct store_job){.what = PLACE_FILE, .inbox = inbox, .arrival = &arrivals[i], .when = when};
        status = imsg_path_join(inbox->new_path, arrivals[i].name, &job->path, err);
        files->count += status == IMSG_OK;
        if (++when.tv_nsec == 1000000000)
            when = (struct timespec){.tv_sec = when.tv_sec + 1};
    }
    return status;
}

/* Names that may not be durable are taken back, or the next run would find them and take them for safe. */
static void take_back(const struct store_jobs *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].placed)
            unlink(files->items[i].path);
}

enum imsg_status imsg_inbox_store(const struct imsg_inbox *inbox, struct imsg_arrival *arrivals, size_t count,
                                  struct imsg_error *err)
{
    struct store_jobs files = {0};
    int lock = -1;
    enum imsg_status status = imsg_lock(inbox->lock_path, 0600, &lock, err);
    if (status == IMSG_OK)
        status = new_jobs(count, &files, err);
    if (status == IMSG_OK)
        status = plan_files(inbox, arrivals, count, &files, err);
    if (status == IMSG_OK)
        status = run_jobs(&files, err);
    if (status == IMSG_OK && files.count > 0) {
        status = imsg_sync_folder_of(files.items[0].path, err);
        if (status != IMSG_OK)
            take_back(&files);
    }
    if (status == IMSG_OK && files.count > 0)
        status = remember_all(inbox, arrivals, count, err);
    free_jobs(&files);
    if (lock >= 0)
        close(lock);
    return status;
}
