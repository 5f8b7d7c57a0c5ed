/* A list under a lock, and threads that wait for its condition. */
#include "serve/queue.h"

#include <errno.h>
#include <string.h>

enum imsg_status queue_start(struct queue *queue, void *owner, size_t count, void *(*loop)(void *),
                             struct imsg_error *err)
{
    *queue = (struct queue){.owner = owner, .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
    queue->tail = &queue->head;
    for (size_t i = 0; i < count; i++) {
        int failed = pthread_create(&queue->threads[i], NULL, loop, queue);
        if (failed)
            return imsg_fail(err, IMSG_TEMPORARY, "cannot start a thread: %s", strerror(failed));
        queue->thread_count++;
    }
    return IMSG_OK;
}

bool queue_add(struct queue *queue, struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&queue->lock);
    bool open = !queue->closed;
    if (open) {
        *queue->tail = job;
        queue->tail = &job->next;
        pthread_cond_signal(&queue->more);
    }
    pthread_mutex_unlock(&queue->lock);
    return open;
}

struct job *queue_next(struct queue *queue, size_t max)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->head && !queue->closed)
        pthread_cond_wait(&queue->more, &queue->lock);
    struct job *first = queue->head, *last = first;
    for (size_t count = 1; last && last->next && count < max; count++)
        last = last->next;
    if (last) {
        queue->head = last->next;
        if (!queue->head)
            queue->tail = &queue->head;
        last->next = NULL;
    }
    pthread_mutex_unlock(&queue->lock);
    return first;
}

void queue_stop(struct queue *queue)
{
    if (!queue->tail)
        return; /* never started */
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->more);
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < queue->thread_count; i++)
        pthread_join(queue->threads[i], NULL);
    queue->thread_count = 0;
}

/* A job that another thread waits for. */
struct awaited {
    struct job job;
    struct job *inner;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
    enum imsg_status status;
};

static enum imsg_status awaited_run(struct job *job, struct imsg_error *err)
{
    struct job *inner = ((struct awaited *)job)->inner;
    return inner->run(inner, err);
}

static void awaited_done(struct job *job, enum imsg_status status)
{
    struct awaited *awaited = (struct awaited *)job;
    if (awaited->inner->done)
        awaited->inner->done(awaited->inner, status);
    pthread_mutex_lock(&awaited->lock);
    awaited->status = status;
    awaited->is_over = true;
    pthread_cond_signal(&awaited->over);
    pthread_mutex_unlock(&awaited->lock);
}

enum imsg_status queue_wait(struct queue *queue, struct job *job)
{
    struct awaited awaited = {.job = {.run = awaited_run, .done = awaited_done},
                              .inner = job,
                              .lock = PTHREAD_MUTEX_INITIALIZER,
                              .over = PTHREAD_COND_INITIALIZER};
    if (!queue_add(queue, &awaited.job))
        return IMSG_TEMPORARY;
    pthread_mutex_lock(&awaited.lock);
    while (!awaited.is_over)
        pthread_cond_wait(&awaited.over, &awaited.lock);
    pthread_mutex_unlock(&awaited.lock);
    return awaited.status;
}
