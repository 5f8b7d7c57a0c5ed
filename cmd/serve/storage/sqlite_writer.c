/* The writer: one thread, one transaction for all jobs that came in while the last one was being synced. That is what
 * makes "200 means on disk" cheap: a hundred messages cost one fsync. */
#include "serve/serve.h"

#define BATCH_MAX 1024 /* jobs in one transaction */

static enum imsg_status run_batch(struct serve *serve, struct job *batch, size_t *count, struct imsg_error *err)
{
    enum imsg_status status = database_run(&serve->db, SQL_BEGIN, err);
    *count = 0;
    for (struct job *job = batch; job && status == IMSG_OK; job = job->next) {
        status = job->run(serve, job, err);
        ++*count;
    }
    if (status == IMSG_OK)
        status = database_run(&serve->db, SQL_COMMIT, err);
    /* After a failure there may be no transaction left to take back. */
    if (status != IMSG_OK && !sqlite3_get_autocommit(serve->db.writer) &&
        database_run(&serve->db, SQL_ROLLBACK, NULL) != IMSG_OK)
        serve->sick = true;
    return status;
}

void *writer_loop(void *context)
{
    struct queue *queue = context;
    struct serve *serve = queue->serve;
    struct job *batch;
    while ((batch = queue_take(queue, BATCH_MAX)) != NULL) {
        struct imsg_error err = {0};
        size_t count = 0;
        int64_t started = now_us();
        enum imsg_status status = run_batch(serve, batch, &count, &err);
        serve->metrics.commits++;
        serve->metrics.commit_jobs += count;
        serve->metrics.commit_microseconds += (uint64_t)(now_us() - started);
        if (status != IMSG_OK) {
            serve->metrics.commit_failures++;
            imsg_error_prefix(&err, "database");
            cli_note(serve->cli, "%s", err.text);
        }
        serve->sick = status != IMSG_OK;
        for (struct job *job = batch, *next; job; job = next) {
            next = job->next;
            job->done(serve, job, status);
        }
    }
    return NULL;
}
