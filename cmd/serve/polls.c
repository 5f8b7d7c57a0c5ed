/* What is known of each token, in memory: whether an entry lists it and with which limit, how much waits for it, and
 * who waits at it. The data base is the truth; this is loaded from it at the start and follows each commit. */
#include "serve/serve.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum imsg_status boxes_start(struct boxes *boxes, struct imsg_error *err)
{
    *boxes = (struct boxes){.lock = PTHREAD_MUTEX_INITIALIZER, .size = 1024};
    boxes->slots = calloc(boxes->size, sizeof *boxes->slots);
    return boxes->slots ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

void boxes_free(struct boxes *boxes)
{
    for (size_t i = 0; boxes->slots && i < boxes->size; i++) {
        for (struct box *box = boxes->slots[i], *next; box; box = next) {
            next = box->next;
            free(box);
        }
    }
    free(boxes->slots);
    *boxes = (struct boxes){0};
}

/* A token is a SHA-256, but one whose holder chose the key: enough tries put many into one slot. It costs 2^n key
 * generations to share n bits, so chains stay short for whoever does not own a data centre. */
static size_t slot_of(const struct boxes *boxes, const uint8_t token[static 32])
{
    size_t slot;
    memcpy(&slot, token, sizeof slot);
    return slot & (boxes->size - 1);
}

static void grow(struct boxes *boxes)
{
    struct boxes larger = {.size = boxes->size * 2};
    larger.slots = calloc(larger.size, sizeof *larger.slots);
    if (!larger.slots)
        return; /* longer chains, then */
    for (size_t i = 0; i < boxes->size; i++) {
        for (struct box *box = boxes->slots[i], *next; box; box = next) {
            next = box->next;
            size_t slot = slot_of(&larger, box->token);
            box->next = larger.slots[slot];
            larger.slots[slot] = box;
        }
    }
    free(boxes->slots);
    boxes->slots = larger.slots;
    boxes->size = larger.size;
}

struct box *box_find(struct boxes *boxes, const uint8_t token[static 32], bool make)
{
    struct box *box = boxes->slots[slot_of(boxes, token)];
    while (box && memcmp(box->token, token, IMSG_TOKEN) != 0)
        box = box->next;
    if (box || !make)
        return box;
    if (boxes->used >= boxes->size)
        grow(boxes);
    box = calloc(1, sizeof *box);
    if (!box)
        return NULL;
    size_t slot = slot_of(boxes, token);
    memcpy(box->token, token, IMSG_TOKEN);
    box->next = boxes->slots[slot];
    boxes->slots[slot] = box;
    boxes->used++;
    return box;
}

bool box_look(struct boxes *boxes, const uint8_t token[static 32], struct box *out)
{
    pthread_mutex_lock(&boxes->lock);
    struct box *box = box_find(boxes, token, false);
    if (box) /* without what is the writer's own, which it changes under no lock */
        *out = (struct box){.limit = box->limit,
                            .gone = box->gone,
                            .count = box->count,
                            .bytes = box->bytes,
                            .arrivals = box->arrivals,
                            .stored = box->stored};
    pthread_mutex_unlock(&boxes->lock);
    return box != NULL;
}

#define POLLS_PER_BOX 4 /* a client that reconnects leaves its old poll behind for a while */

static void leave_oldest(struct boxes *boxes, struct box *box)
{
    size_t count = 0;
    struct request *last = box->waiting;
    for (struct request *request = box->waiting; request; request = request->box_next, count++)
        last = request;
    if (count >= POLLS_PER_BOX) {
        last->wait_until = 0; /* or it would come back, and another one would have to leave */
        box_wake(boxes, last);
    }
}

enum box_wait box_wait(struct boxes *boxes, struct request *request, uint64_t seen)
{
    struct serve *serve = request->serve;
    pthread_mutex_lock(&boxes->lock);
    struct box *box = request->box;
    enum box_wait result = serve->stopping || request->gone           ? BOX_OVER
                           : box->arrivals != seen || box->limit == 0 ? BOX_CHANGED
                                                                      : BOX_PARKED;
    if (result == BOX_PARKED) {
        leave_oldest(boxes, box);
        request->box_next = box->waiting;
        box->waiting = request;
        request->wait_prev = NULL;
        request->wait_next = boxes->waiting;
        if (boxes->waiting)
            boxes->waiting->wait_prev = request;
        boxes->waiting = request;
        boxes->waiting_count++;
        request->waiting = true;
        request->parked = true;
        request_deadline(request, -1);
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data = {.ptr = request}};
        epoll_ctl(serve->gone_fd, EPOLL_CTL_ADD, request->peer->fd, &event);
        MHD_suspend_connection(request->connection);
    }
    pthread_mutex_unlock(&boxes->lock);
    return result;
}

void box_wake(struct boxes *boxes, struct request *request)
{
    struct request **link = &request->box->waiting;
    while (*link != request)
        link = &(*link)->box_next;
    *link = request->box_next;
    if (request->wait_prev)
        request->wait_prev->wait_next = request->wait_next;
    else
        boxes->waiting = request->wait_next;
    if (request->wait_next)
        request->wait_next->wait_prev = request->wait_prev;
    boxes->waiting_count--;
    request->waiting = false;
    epoll_ctl(request->serve->gone_fd, EPOLL_CTL_DEL, request->peer->fd, NULL);
    request_resume(request);
}

void box_wake_all(struct boxes *boxes, struct box *box)
{
    while (box->waiting)
        box_wake(boxes, box->waiting);
}

void box_settle(struct boxes *boxes, struct box *box, bool committed)
{
    pthread_mutex_lock(&boxes->lock);
    if (committed) {
        box->count += (uint64_t)box->new_count;
        box->bytes += (uint64_t)box->new_bytes;
        boxes->messages += (uint64_t)box->new_count;
        boxes->bytes += (uint64_t)box->new_bytes;
        if (box->new_arrival) {
            box->arrivals++;
            box_wake_all(boxes, box);
        }
    }
    box->new_count = box->new_bytes = 0;
    box->new_arrival = false;
    pthread_mutex_unlock(&boxes->lock);
}
