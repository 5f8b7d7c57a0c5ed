/* Long polls: requests that wait for a change of a mailbox. In this process's memory only: the storage tells of each
 * change (storage_setup.changed). */
#ifndef IMSG_SERVE_POLLS_H
#define IMSG_SERVE_POLLS_H

#include <pthread.h>

#include "serve/tokens.h"

struct serve;
struct request;

struct poll { /* of one request */
    struct request *request;
    struct polled *mailbox;
    struct poll *mailbox_next, *next, *prev; /* in the lists below */
    uint64_t until;                          /* imsg_monotonic */
    bool hung_up;                            /* the client closed the connection */
};
struct polls {
    pthread_mutex_t lock;
    struct tokens tokens; /* of struct polled */
    struct poll *first;   /* all that wait */
    size_t count;
    int hang_ups; /* epoll: connections of clients that wait */
};
IMSG_CHECK enum imsg_status polls_start(struct polls *polls, struct imsg_error *err);
void polls_free(struct polls *polls);
size_t polls_count(struct polls *polls);

/* How often a mailbox has changed, as far as this process knows: to be asked before the mailbox is read, and given to
 * poll_wait after it, so that a change in between is not missed. False: no memory. */
IMSG_CHECK bool polls_look(struct polls *polls, const uint8_t token[static 32], uint64_t *changes);
/* Park the poll's request until the mailbox changes, or `until`. Several requests of one mailbox may wait; at most
 * four, the oldest leaves. POLL_CHANGED: it has changed since it was seen. POLL_OVER: nobody waits any more. */
enum poll_result { POLL_PARKED, POLL_CHANGED, POLL_OVER };
enum poll_result poll_wait(struct poll *poll, const uint8_t token[static 32], uint64_t seen);
/* A mailbox changed: wake who waits for it. */
void polls_wake(struct polls *polls, const uint8_t token[static 32]);
/* Wake those whose time is over or whose client hung up; `all`: everybody. */
void polls_tick(struct polls *polls, bool all);

#endif
