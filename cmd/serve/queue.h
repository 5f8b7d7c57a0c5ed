/* Jobs for threads, in the order they came. */
#ifndef IMSG_SERVE_QUEUE_H
#define IMSG_SERVE_QUEUE_H

#include <pthread.h>

#include "imsg.h"

#define QUEUE_THREADS_MAX 2

struct job {
    struct job *next;
    /* On a thread of the queue. */
    enum imsg_status (*run)(struct job *job, struct imsg_error *err);
    /* With the status of run, on the same thread. The job may be freed when it returns. */
    void (*done)(struct job *job, enum imsg_status status);
};
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *head, **tail;
    bool closed;
    pthread_t threads[QUEUE_THREADS_MAX];
    size_t thread_count;
    void *owner; /* for the loop */
};
/* Start `count` threads that run `loop` with the queue as its argument. */
IMSG_CHECK enum imsg_status queue_start(struct queue *queue, void *owner, size_t count, void *(*loop)(void *),
                                        struct imsg_error *err);
/* False: the queue is closed, and the job is neither run nor done. */
IMSG_CHECK bool queue_add(struct queue *queue, struct job *job);
/* Wait for jobs and remove up to `max` of them, a list; NULL once the queue is closed and empty. */
struct job *queue_next(struct queue *queue, size_t max);
/* Close the queue; returns when all jobs in it are done and the threads have ended. */
void queue_stop(struct queue *queue);
/* Have a job done by the queue's thread, and wait for it on another one. IMSG_TEMPORARY: the queue is closed. */
enum imsg_status queue_wait(struct queue *queue, struct job *job);

#endif
