/* One request, from its headers to its answer. */
#ifndef IMSG_SERVE_REQUEST_H
#define IMSG_SERVE_REQUEST_H

#include <pthread.h>
#include <stdatomic.h>

#include <microhttpd.h>

#include "imsg.h"

struct serve;
struct request;

enum route { ROUTE_ENTRY, ROUTE_DEVICE, ROUTE_STORE, ROUTE_HEALTH, ROUTE_METRICS, ROUTE_NONE, ROUTE_COUNT };
extern const char *const route_names[ROUTE_COUNT]; /* in the log and the metrics */

struct peer { /* an open connection */
    struct peer *next, *prev;
    int fd;
    _Atomic uint64_t deadline; /* imsg_monotonic; UINT64_MAX: none */
    const char *target_end;    /* of the request: what its first NUL is at; never read (protocol.c) */
};
struct peers {
    pthread_mutex_t lock;
    struct peer *first;
};

struct verb {
    const char *method;
    const char *suffix;                     /* the path must end with it; NULL: any path */
    size_t body_max;                        /* bytes; 0: no limit where there is `data`, else no body is looked at */
    size_t state_size;                      /* bytes of request->state, zeroed; 0: none */
    void (*begin)(struct request *request); /* the headers are there; may answer */
    /* Part of the body, where begin did not answer; NULL: it is collected in request->body. */
    void (*data)(struct request *request, struct imsg_view bytes);
    void (*end)(struct request *request);   /* the body is there: answer or park */
    void (*woken)(struct request *request); /* after a park: answer or park again */
    void (*drop)(struct request *request);  /* the request is over: free what state holds; may be NULL */
};
struct request {
    struct serve *serve;
    struct MHD_Connection *connection;
    struct peer *peer;
    enum route route;
    const struct verb *verb; /* NULL: answered already */
    void *state;             /* the verb's own struct */
    char method[8];
    char tail[144]; /* of the path, after the route's own part */
    struct imsg_buf body;
    size_t body_held; /* bytes reserved in serve->bodies */
    uint64_t started; /* imsg_monotonic */
    bool draining;    /* answered; the rest of the body is read and thrown away */
    uint64_t drained;
    _Atomic bool parked;
    enum imsg_status result; /* of what it was parked for */
    /* The answer, until it is queued (reply.h). */
    struct MHD_Response *response;
    unsigned status;
    const char *reason;
    uint8_t source[32]; /* request_source */
    bool has_source;
    /* For the log. */
    uint8_t sender[IMSG_TOKEN]; /* the device whose bearer token was right; else zero */
    char *handle;               /* NULL: none is known */
};

const char *request_header(const struct request *request, const char *name); /* or NULL */
/* Decode the 64 hex digits that `text`, a part of a path, begins with. */
bool hash_decode(const char *text, uint8_t out[static 32]);
/* Suspend the connection. Then hand work over, whose end calls request_resume; `woken` is called after it. */
void request_park(struct request *request);
/* The work is done, with this status; from any thread. The request may be freed when it returns. */
void request_resume(struct request *request, enum imsg_status result);
/* The connection is cut after so many milliseconds from now; below zero: never. */
void request_deadline(struct request *request, int64_t milliseconds);

#endif
