/* One transfer between the queue (http_queue.c: when, and what a result means) and libcurl (http.c). */
#ifndef IMSG_NET_HTTP_TRANSFER_H
#define IMSG_NET_HTTP_TRANSFER_H

#include "net/http.h"

/* What became of one try. */
enum try_result {
    TRY_ANSWERED,
    TRY_LOST,    /* no connection, or it broke off: may pass by itself */
    TRY_SILENT,  /* nothing came for too long */
    TRY_UNKNOWN, /* the name does not resolve */
    TRY_BLOCKED, /* an address nobody may connect to */
    TRY_UNTRUSTED /* certificate or pin */,
    TRY_NONSENSE, /* not HTTP, not our TLS */
    TRY_MISSET,   /* a file of the user's is wrong: CA, client certificate */
    TRY_FAILED,   /* memory, or a bug */
};

struct origin {
    struct origin *next;
    char *name;      /* scheme://host[:port], and the Unix socket */
    bool configured; /* else it came from outside */
    bool loopback_only;
    uint64_t trouble;    /* since when it has failed without an answer between, monotonic ms; 0: it has not */
    uint64_t failed;     /* when it did last */
    uint64_t not_before; /* Retry-After, monotonic ms */
};

struct transfer {
    struct transfer *next;
    struct imsg_net *net;
    const struct imsg_http_request *request;
    imsg_http_done *done;
    void *context;
    struct origin *origin;
    void *easy, *header_list; /* while it is tried */
    const char *bearer;       /* header of this try, or NULL */
    uint64_t due;             /* not started before */
    uint64_t trouble;         /* since when it has failed without progress; 0: it has not */
    unsigned tries;
    struct imsg_http_answer answer;
    /* of this try */
    uint64_t retry_after; /* seconds; 0: none was asked for */
    uint64_t received;    /* bytes of the body */
    uint64_t range_first; /* of a 206 */
    bool head_ended;      /* the empty line after the headers came */
    bool has_range, over, out_of_turn, blocked;
    uint64_t sent;
    /* of all */
    uint64_t given;        /* bytes the sink has taken, */
    uint64_t given_before; /* and had when this try began */
    uint64_t skip;         /* bytes to come that it has already */
    enum imsg_status sunk;
    struct imsg_error sink_err;
    char text[512]; /* what went wrong, in words */
};

struct imsg_http {
    struct transfer *queue, *flying; /* waiting for their time; at libcurl */
    size_t flying_count;
    struct origin *origins;
    void *multi;
};

/* http_receive.c, called as bytes come: false ends the transfer. */
void transfer_header(struct transfer *transfer, struct imsg_view line);
bool transfer_body(struct transfer *transfer, struct imsg_view piece);
/* May this transfer connect there? */
bool transfer_may_connect(const struct transfer *transfer, const struct sockaddr *address);

/* http.c */
IMSG_CHECK enum imsg_status imsg_curl_open(struct imsg_http *http, struct imsg_error *err);
void imsg_curl_close(struct imsg_http *http);
/* Start a try. */
IMSG_CHECK enum imsg_status imsg_curl_begin(struct imsg_http *http, struct transfer *transfer, struct imsg_error *err);
/* Take it off, ended or not. */
void imsg_curl_end(struct imsg_http *http, struct transfer *transfer);
/* Move on what can be, then wait up to `ms` for more, or for `input` (-1: none) to be readable, which *readable tells;
 * *signal tells of a signal. */
IMSG_CHECK enum imsg_status imsg_curl_step(struct imsg_http *http, int ms, int input, bool *readable, bool *signal,
                                           struct imsg_error *err);
/* The next transfer that has ended, with its result; NULL: none. It is still to be taken off. */
struct transfer *imsg_curl_ended(struct imsg_http *http, enum try_result *result);

#endif
