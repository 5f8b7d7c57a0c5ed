/* lib/base/pool: every job once, in order, whatever the number of threads. */
#include <pthread.h>
#include <stdlib.h>

#include "base/pool.h"
#include "tap.h"

struct job {
    unsigned number;
    uint64_t result;
    unsigned times;
};

static void work(void *argument)
{
    struct job *job = argument;
    uint64_t x = job->number + 1;
    for (unsigned i = 0; i < 100 * (1 + job->number % 7); i++) /* some take longer than their neighbours */
        x = x * 6364136223846793005u + 1442695040888963407u;
    job->result = x;
    job->times++;
}

static void in_order(unsigned threads, size_t depth)
{
    enum { JOBS = 2000 };
    struct imsg_pool *pool = NULL;
    struct imsg_error err = {0};
    struct job *jobs = calloc(JOBS, sizeof *jobs), *job;
    unsigned taken = 0, wrong = 0;
    if (!jobs || !tap_status(imsg_pool_new(threads, depth, work, &pool, &err), IMSG_OK, &err, "%u threads, depth %zu",
                             threads, depth)) {
        free(jobs);
        return;
    }
    for (unsigned i = 0; i < JOBS; i++) {
        if (imsg_pool_full(pool)) {
            job = imsg_pool_next(pool);
            wrong += job->number != taken++ || job->times != 1;
        }
        jobs[i].number = i;
        imsg_pool_add(pool, &jobs[i]);
    }
    while ((job = imsg_pool_next(pool)))
        wrong += job->number != taken++ || job->times != 1;
    tap_ok(taken == JOBS && wrong == 0, "all of them once and in order: %u taken, %u wrong", taken, wrong);
    struct job alone = {.number = jobs[JOBS - 1].number};
    work(&alone);
    tap_ok(alone.result == jobs[JOBS - 1].result, "the last one's result is its own");
    imsg_pool_free(pool);
    free(jobs);
}

static pthread_t seen;
static void note_thread(void *argument)
{
    (void)argument;
    seen = pthread_self();
}

int main(void)
{
    static const unsigned threads[] = {1, 2, 3, 8};
    static const size_t depths[] = {1, 2, 5, 64};
    struct imsg_pool *pool = NULL;
    struct imsg_error err = {0};
    int job = 0;
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++)
            in_order(threads[i], depths[k]);

    if (tap_status(imsg_pool_new(4, 4, note_thread, &pool, &err), IMSG_OK, &err, "a pool")) {
        tap_ok(imsg_pool_next(pool) == NULL, "nothing comes out of an empty pool");
        imsg_pool_add(pool, &job);
        tap_ok(imsg_pool_next(pool) == &job, "a single job comes back");
        tap_ok(pthread_equal(seen, pthread_self()), "a single job is the caller's own work");
        imsg_pool_add(pool, &job);
        imsg_pool_add(pool, &job);
        imsg_pool_free(pool); /* with jobs in it */
    }
    imsg_pool_free(NULL);
    return tap_done();
}
