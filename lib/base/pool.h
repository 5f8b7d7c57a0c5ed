/* Work on several cores, finished in the order it was given: jobs go in at one end and come out, each done, at the
 * other. One thread gives and takes; the jobs themselves run on any. */
#ifndef IMSG_BASE_POOL_H
#define IMSG_BASE_POOL_H

#include "imsg.h"

struct imsg_pool;
/* Runs on any thread, several at once; what it has to say it leaves in the job. */
typedef void imsg_work(void *job);

/* `threads` counts the caller's own, which works too while it waits: 1 starts none, and every job runs in
 * imsg_pool_next. The others start when a second job is waiting, so that a single one costs no thread; where the system
 * gives none, the caller works alone. At most `depth` jobs are in the pool at once. */
IMSG_CHECK enum imsg_status imsg_pool_new(unsigned threads, size_t depth, imsg_work *work, struct imsg_pool **out,
                                          struct imsg_error *err);
/* True while `depth` jobs are in the pool: take one first. */
bool imsg_pool_full(const struct imsg_pool *pool);
/* Give a job, which stays the caller's and as it is until imsg_pool_next gives it back. Not while the pool is full. */
void imsg_pool_add(struct imsg_pool *pool, void *job);
/* The job given first of those still in the pool, done; NULL if there is none. */
void *imsg_pool_next(struct imsg_pool *pool);
/* Jobs that run are waited for, those not begun never run; safe on NULL. */
void imsg_pool_free(struct imsg_pool *pool);

#endif
