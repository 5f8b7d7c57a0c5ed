/* The one wrapper of libcurl, which is loaded (dlopen) at the first remote URL. Always verified TLS 1.2 or better, no
 * redirects, no decompression, answers counted against a cap, many transfers in flight over few connections, and what
 * is temporary tried again: 408, 429, 5xx and connection errors, with exponential back-off and full jitter, never
 * earlier than Retry-After, until it has failed for the net's retry_for seconds.
 *
 * A URL of an origin that is not a configured one (imsg_net_origin) came from outside: only global unicast addresses
 * are connected to unless the net allows others, no proxy of the environment is used, and no CA file, pin or client
 * certificate of the user's goes there. */
#ifndef IMSG_NET_HTTP_H
#define IMSG_NET_HTTP_H

#include "imsg-net.h"

#define IMSG_ETAG_MAX 256  /* characters, quotes and NUL included */
#define IMSG_REASON_MAX 64 /* characters of {"reason":"…"} and a NUL */
#define IMSG_HEADERS_MAX 8

struct imsg_remote;
/* Everything it points to must stay until it is done. */
struct imsg_http_request {
    const char *role, *place; /* "relay", "https://relay.example": for messages */
    const char *method, *url;
    const char *socket;                    /* path of a Unix socket to speak over, or NULL */
    const char *headers[IMSG_HEADERS_MAX]; /* "name: value", up to the first NULL */
    const struct imsg_s3 *s3;              /* sign it with these, or NULL */
    struct imsg_remote *bearer;            /* whose bearer token goes with every try, or NULL */
    struct imsg_view body;                 /* sent with PUT and POST where fd is -1 */
    int fd;                                /* else `size` bytes from its start are sent */
    uint64_t size;
    const struct imsg_transfer *how; /* who is told of the bytes of fd that are sent, or NULL */
    uint64_t from;                   /* bytes that the sink has already */
    uint64_t max;                    /* bytes of a good answer's body; more is IMSG_PROTOCOL, or … */
    bool cut;                        /* … ends the transfer there, and answer.cut tells */
    imsg_sink *sink; /* takes the body of a 2xx in order (NULL: answer.body); it is never given a byte twice: where a */
    void *context;   /* transfer breaks off, the next try asks for the rest only (Range) */
    unsigned stall;  /* seconds without a byte; 0: 30 */
    unsigned timeout;  /* seconds for one try; 0: no limit */
    bool until_signal; /* imsg_http_do: a signal ends the waiting, with answer.status 0 */
};

struct imsg_http_answer {
    unsigned status;          /* the HTTP status; 0: none came */
    char etag[IMSG_ETAG_MAX]; /* or "" */
    struct imsg_buf body;     /* of a 2xx without a sink; else the start of it, for imsg_http_reason */
    bool cut;
    unsigned tries;
};
void imsg_http_answer_free(struct imsg_http_answer *answer);

/* Called once for each transfer. IMSG_OK: an answer came, of whatever status but the temporary ones. answer and err are
 * the transfer's; the body may be taken out of the answer. */
typedef void imsg_http_done(void *context, enum imsg_status status, struct imsg_http_answer *answer,
                            struct imsg_error *err);

/* Queue a transfer; `done` is called from imsg_http_run. */
IMSG_CHECK enum imsg_status imsg_http_start(struct imsg_net *net, const struct imsg_http_request *request,
                                            imsg_http_done *done, void *context, struct imsg_error *err);
/* Move all transfers on until *pending is at most `most`, or until `input` (a descriptor, -1: none) can be read.
 * `pending` is the caller's own count, which its done functions lower. */
IMSG_CHECK enum imsg_status imsg_http_run(struct imsg_net *net, const size_t *pending, size_t most, int input,
                                          struct imsg_error *err);
/* One transfer, start to end. */
IMSG_CHECK enum imsg_status imsg_http_do(struct imsg_net *net, const struct imsg_http_request *request,
                                         struct imsg_http_answer *answer, struct imsg_error *err);
/* The failure that an answer of this status is where it is not one the caller knows what to do with: 2xx, 1xx, 3xx
 * IMSG_PROTOCOL, 4xx IMSG_UNAVAILABLE with the reason it gives. */
enum imsg_status imsg_http_refused(const struct imsg_http_request *request, const struct imsg_http_answer *answer,
                                   struct imsg_error *err);

/* Load libcurl now, before a sandbox closes. IMSG_CONFIG: it is not there. */
IMSG_CHECK enum imsg_status imsg_http_load(struct imsg_error *err);
/* What was loaded, and what it is built on: "libcurl/7.88.1 OpenSSL/3.0.17 …". Only after imsg_http_load. */
const char *imsg_http_version(void);
/* Ends what is in flight without calling its done functions. Safe on NULL. */
void imsg_http_free(struct imsg_http *http);

/* ---- http_answer.c: parts of answers ---- */

/* An entity tag as it stands (RFC 9110 §8.8.3). False: it is none, or longer than we keep. */
bool imsg_http_etag(struct imsg_view value, char etag[static IMSG_ETAG_MAX]);
/* The "reason" of a JSON body: letters, digits and spaces only, else "". */
void imsg_http_reason(struct imsg_view body, char reason[static IMSG_REASON_MAX]);
/* The first byte of "bytes FIRST-LAST/…" (RFC 9110 §14.4). */
bool imsg_http_content_range(struct imsg_view value, uint64_t *first);

/* ---- http_address.c ---- */
struct sockaddr;
/* Global unicast; an address inside another (IPv4-mapped, 6to4, NAT64) is judged by itself. */
bool imsg_address_is_global(const struct sockaddr *address);
bool imsg_address_is_loopback(const struct sockaddr *address);

#endif
