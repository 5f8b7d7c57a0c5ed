#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct slot {
    void *job;
    bool done;
};

/* first <= begun <= given, all counted from the start of the pool; slot number n is n % depth. */
struct imsg_pool {
    imsg_work *work;
    struct slot *slots;
    size_t depth, first, begun, given;
    pthread_mutex_t mutex;
    pthread_cond_t waiting, finished; /* a job to begin, or the end; a job done */
    pthread_t *threads;
    unsigned wanted, running; /* besides the caller */
    bool started, ending;
};

/* Begin the next job and do it. With the mutex held, which is not held meanwhile. */
static void work_one(struct imsg_pool *pool)
{
    struct slot *slot = &pool->slots[pool->begun++ % pool->depth];
    pthread_mutex_unlock(&pool->mutex);
    pool->work(slot->job);
    pthread_mutex_lock(&pool->mutex);
    slot->done = true;
}

static void *run(void *argument)
{
    struct imsg_pool *pool = argument;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->ending) {
        if (pool->begun == pool->given) {
            pthread_cond_wait(&pool->waiting, &pool->mutex);
            continue;
        }
        work_one(pool);
        pthread_cond_signal(&pool->finished);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* Signals are the caller's business: a thread of the pool takes none. */
static void start(struct imsg_pool *pool)
{
    sigset_t all, before;
    pool->started = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->running < pool->wanted && pthread_create(&pool->threads[pool->running], NULL, run, pool) == 0)
        pool->running++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

enum imsg_status imsg_pool_new(unsigned threads, size_t depth, imsg_work *work, struct imsg_pool **out,
                               struct imsg_error *err)
{
    struct imsg_pool *pool = calloc(1, sizeof *pool);
    if (pool) {
        *pool = (struct imsg_pool){.work = work, .depth = depth, .wanted = threads > 1 ? threads - 1 : 0};
        pool->slots = calloc(depth, sizeof *pool->slots);
        pool->threads = calloc(pool->wanted + 1, sizeof *pool->threads);
    }
    if (!pool || !pool->slots || !pool->threads) {
        if (pool) {
            free(pool->slots);
            free(pool->threads);
        }
        free(pool);
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    }
    pthread_mutex_init(&pool->mutex, NULL); /* these cannot fail where threads are futexes, or plain memory */
    pthread_cond_init(&pool->waiting, NULL);
    pthread_cond_init(&pool->finished, NULL);
    *out = pool;
    return IMSG_OK;
}

bool imsg_pool_full(const struct imsg_pool *pool)
{
    return pool->given - pool->first == pool->depth; /* only the caller changes these two */
}

void imsg_pool_add(struct imsg_pool *pool, void *job)
{
    pthread_mutex_lock(&pool->mutex);
    pool->slots[pool->given++ % pool->depth] = (struct slot){.job = job};
    if (!pool->started && pool->given - pool->begun > 1)
        start(pool);
    if (pool->running > 0)
        pthread_cond_signal(&pool->waiting);
    pthread_mutex_unlock(&pool->mutex);
}

void *imsg_pool_next(struct imsg_pool *pool)
{
    void *job = NULL;
    pthread_mutex_lock(&pool->mutex);
    if (pool->first < pool->given) {
        struct slot *slot = &pool->slots[pool->first % pool->depth];
        while (!slot->done) {
            if (pool->begun < pool->given)
                work_one(pool);
            else
                pthread_cond_wait(&pool->finished, &pool->mutex);
        }
        job = slot->job;
        pool->first++;
    }
    pthread_mutex_unlock(&pool->mutex);
    return job;
}

void imsg_pool_free(struct imsg_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->ending = true;
    pthread_cond_broadcast(&pool->waiting);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->running; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->waiting);
    pthread_cond_destroy(&pool->finished);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->slots);
    free(pool->threads);
    free(pool);
}
