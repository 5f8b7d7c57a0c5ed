/* Group commit: one thread, one transaction for all operations that came in while the last one was being synced, so
 * that a hundred messages cost one fsync. */
#include "serve/storage/sqlite.h"

#include <time.h>

#include "cli/cli.h"

#define BATCH_MAX 1024 /* operations in one transaction */

static uint64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static enum imsg_status commit_batch(struct storage *storage, struct job *batch, struct imsg_error *err)
{
    enum imsg_status status = sqlite_run(storage, SQL_BEGIN, err);
    for (struct job *job = batch; job && status == IMSG_OK; job = job->next) {
        status = job->run(job, err);
        storage->operations++;
    }
    /* A commit that failed may be on disk, or be there after a restart: that is unknown. */
    if (status == IMSG_OK && sqlite_run(storage, SQL_COMMIT, err) != IMSG_OK)
        status = IMSG_TEMPORARY;
    /* SQLite rolls back by itself after some errors. If it does not, and ROLLBACK fails, the next BEGIN fails too. */
    if (status != IMSG_OK && !sqlite3_get_autocommit(storage->writer))
        (void)!sqlite_run(storage, SQL_ROLLBACK, NULL);
    return status;
}

void *sqlite_writer_loop(void *context)
{
    struct queue *queue = context;
    struct storage *storage = queue->owner;
    struct job *batch;
    while ((batch = queue_next(queue, BATCH_MAX)) != NULL) {
        struct imsg_error err = {0};
        uint64_t started = monotonic_us();
        enum imsg_status status = commit_batch(storage, batch, &err);
        storage->commits++;
        storage->commit_us += monotonic_us() - started;
        if (status != IMSG_OK) {
            storage->failures++;
            imsg_error_prefix(&err, "database");
            cli_note(storage->setup.cli, "%s", err.text);
        }
        storage->sick = status != IMSG_OK;
        for (struct job *job = batch, *next; job; job = next) {
            next = job->next;
            job->done(job, status);
        }
    }
    return NULL;
}

bool sqlite_submit(struct storage *storage, struct operation *operation,
                   enum imsg_status (*run)(struct job *job, struct imsg_error *err),
                   void (*done)(struct job *job, enum imsg_status status))
{
    operation->storage = storage;
    operation->job.run = run;
    operation->job.done = done;
    return queue_add(&storage->queue, &operation->job);
}

enum imsg_status sqlite_submit_wait(struct storage *storage, struct operation *operation,
                                    enum imsg_status (*run)(struct job *job, struct imsg_error *err),
                                    void (*done)(struct job *job, enum imsg_status status), const char *what,
                                    struct imsg_error *err)
{
    operation->storage = storage;
    operation->job.run = run;
    operation->job.done = done;
    enum imsg_status status = queue_wait(&storage->queue, &operation->job);
    return status == IMSG_OK ? IMSG_OK : imsg_fail(err, status, "%s", what);
}

bool storage_is_healthy(const struct storage *storage)
{
    return !storage->sick;
}

void storage_read_totals(struct storage *storage, struct storage_totals *out)
{
    pthread_mutex_lock(&storage->mailboxes.lock);
    *out = (struct storage_totals){.messages = storage->mailboxes.messages,
                                   .bytes = storage->mailboxes.bytes,
                                   .devices = storage->mailboxes.devices};
    pthread_mutex_unlock(&storage->mailboxes.lock);
    out->commits = storage->commits;
    out->operations = storage->operations;
    out->failures = storage->failures;
    out->commit_us = storage->commit_us;
}
