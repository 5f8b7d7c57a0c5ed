/* A request is suspended and put into the lists under the lock, and taken out and resumed under it, so that a change
 * that comes meanwhile is seen by either. */
#include "serve/polls.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/text.h"
#include "serve/request.h"
#include "serve/serve.h"

#define POLLS_PER_MAILBOX 4 /* a client that reconnects leaves its old poll behind for a while */

struct polled { /* a mailbox that a request asked for */
    struct token_item item;
    uint64_t changes;
    struct poll *first; /* the newest */
};

enum imsg_status polls_start(struct polls *polls, struct imsg_error *err)
{
    polls->hang_ups = epoll_create1(EPOLL_CLOEXEC);
    if (polls->hang_ups < 0)
        return imsg_fail(err, IMSG_INTERNAL, "epoll: %s", strerror(errno));
    return tokens_start(&polls->tokens, err);
}

void polls_free(struct polls *polls)
{
    tokens_free(&polls->tokens);
    if (polls->hang_ups >= 0)
        close(polls->hang_ups);
    polls->hang_ups = -1;
}

size_t polls_count(struct polls *polls)
{
    pthread_mutex_lock(&polls->lock);
    size_t count = polls->count;
    pthread_mutex_unlock(&polls->lock);
    return count;
}

bool polls_look(struct polls *polls, const uint8_t token[static 32], uint64_t *changes)
{
    pthread_mutex_lock(&polls->lock);
    const struct polled *mailbox = tokens_find(&polls->tokens, token, sizeof(struct polled));
    *changes = mailbox ? mailbox->changes : 0;
    pthread_mutex_unlock(&polls->lock);
    return mailbox != NULL;
}

static void poll_link(struct polls *polls, struct poll *poll, struct polled *mailbox)
{
    poll->mailbox = mailbox;
    poll->mailbox_next = mailbox->first;
    mailbox->first = poll;
    poll->prev = NULL;
    poll->next = polls->first;
    if (polls->first)
        polls->first->prev = poll;
    polls->first = poll;
    polls->count++;
}

static void poll_unlink(struct polls *polls, struct poll *poll)
{
    struct poll **link = &poll->mailbox->first;
    while (*link != poll)
        link = &(*link)->mailbox_next;
    *link = poll->mailbox_next;
    if (poll->prev)
        poll->prev->next = poll->next;
    else
        polls->first = poll->next;
    if (poll->next)
        poll->next->prev = poll->prev;
    polls->count--;
}

static void poll_wake(struct polls *polls, struct poll *poll)
{
    poll_unlink(polls, poll);
    epoll_ctl(polls->hang_ups, EPOLL_CTL_DEL, poll->request->peer->fd, NULL);
    request_resume(poll->request, IMSG_OK);
}

static void wake_oldest(struct polls *polls, struct polled *mailbox)
{
    size_t count = 0;
    struct poll *oldest = mailbox->first;
    for (struct poll *poll = mailbox->first; poll; poll = poll->mailbox_next, count++)
        oldest = poll;
    if (count >= POLLS_PER_MAILBOX) {
        oldest->until = 0; /* or it would wait again, and another one would have to leave */
        poll_wake(polls, oldest);
    }
}

enum poll_result poll_wait(struct poll *poll, const uint8_t token[static 32], uint64_t seen)
{
    struct serve *serve = poll->request->serve;
    struct polls *polls = &serve->polls;
    pthread_mutex_lock(&polls->lock);
    struct polled *mailbox = tokens_find(&polls->tokens, token, 0);
    enum poll_result result = serve->stopping || poll->hung_up || !mailbox ? POLL_OVER
                              : mailbox->changes != seen                   ? POLL_CHANGED
                                                                           : POLL_PARKED;
    if (result == POLL_PARKED) {
        wake_oldest(polls, mailbox);
        poll_link(polls, poll, mailbox);
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data = {.ptr = poll}};
        epoll_ctl(polls->hang_ups, EPOLL_CTL_ADD, poll->request->peer->fd, &event);
        request_park(poll->request);
    }
    pthread_mutex_unlock(&polls->lock);
    return result;
}

void polls_wake(struct polls *polls, const uint8_t token[static 32])
{
    pthread_mutex_lock(&polls->lock);
    struct polled *mailbox = tokens_find(&polls->tokens, token, 0);
    if (mailbox)
        mailbox->changes++;
    while (mailbox && mailbox->first)
        poll_wake(polls, mailbox->first);
    pthread_mutex_unlock(&polls->lock);
}

void polls_tick(struct polls *polls, bool all)
{
    struct epoll_event events[64];
    uint64_t now = imsg_monotonic();
    int count;
    pthread_mutex_lock(&polls->lock);
    /* Under the lock, so that none of these polls has been woken meanwhile. */
    while ((count = epoll_wait(polls->hang_ups, events, 64, 0)) > 0) {
        for (int i = 0; i < count; i++) {
            struct poll *poll = events[i].data.ptr;
            poll->hung_up = true;
            poll_wake(polls, poll);
        }
    }
    for (struct poll *poll = polls->first, *next; poll; poll = next) {
        next = poll->next;
        if (poll->until <= now || all)
            poll_wake(polls, poll);
    }
    pthread_mutex_unlock(&polls->lock);
}
