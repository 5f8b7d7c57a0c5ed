/* The parts of imsg-serve: directory, relay and store for people on different machines (network.md).
 *
 * Threads: libmicrohttpd's workers parse requests and read; whatever must be on disk before it is answered becomes a
 * job, the request is parked (its connection suspended) and woken when the job is done. One writer thread owns the
 * database connection that writes, and commits all jobs that have come in meanwhile at once; two file threads write
 * entries and finish blobs. The main thread is the clock: deadlines, expiry, signals.
 *
 * Locks, taken one at a time but for `boxes` under none: boxes.lock (mailboxes and who waits at them), peers.lock (open
 * connections), queue locks, and small ones inside authorize.c and store.c. */
#ifndef IMSG_CMD_SERVE_H
#define IMSG_CMD_SERVE_H

#include <pthread.h>
#include <stdatomic.h>

#include <microhttpd.h>
#include <sqlite3.h>

#include "base/text.h"
#include "cli/cli.h"
#include "crypto/crypto.h"

#define DAY_SECONDS 86400
#define MESSAGE_DAYS 30        /* a message waits no longer */
#define PAYLOAD_LIMIT 16384    /* bytes, whatever a record says */
#define WAIT_MAX 300           /* seconds of one long poll */
#define ENTRY_BODY_MAX 1048576 /* bytes of a directory entry */
#define HANDLE_HASH 32         /* SHA-256 of a canonical handle: an entry's name */
#define PEM_MAX 1048576        /* bytes of a certificate or key file */

struct serve;
struct request;

/* ---- queue.c: jobs for threads ---- */

struct job {
    struct job *next;
    /* On a thread of the queue; in the writer inside a transaction, where a failure takes back all jobs of the batch.
     */
    enum imsg_status (*run)(struct serve *serve, struct job *job, struct imsg_error *err);
    /* When what run did is on disk, or failed; on the same thread. The job may be gone when it returns. */
    void (*done)(struct serve *serve, struct job *job, enum imsg_status status);
};
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *head, **tail;
    bool closed;
    pthread_t threads[2];
    size_t thread_count;
    struct serve *serve;
};
/* Start `count` threads that run `loop`. */
IMSG_CHECK enum imsg_status queue_start(struct queue *queue, struct serve *serve, size_t count, void *(*loop)(void *),
                                        struct imsg_error *err);
/* False: the queue is closed, and the job is not done. */
IMSG_CHECK bool queue_add(struct queue *queue, struct job *job);
/* Wait for jobs and take up to `max` of them; NULL once the queue is closed and empty. */
struct job *queue_take(struct queue *queue, size_t max);
/* What is in it is still done; returns when the threads have ended. */
void queue_stop(struct queue *queue);
/* Run a job in the queue and wait for it, from another thread. */
enum imsg_status queue_wait(struct queue *queue, struct job *job);

/* ---- database.c ---- */

enum statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_POST,
    SQL_EXTEND,
    SQL_ACKNOWLEDGE,
    SQL_EXPIRE,
    SQL_ENTRY_DROP,
    SQL_ENTRY_SET,
    SQL_ENTRY_TOKENS,
    SQL_DEVICE_DROP,
    SQL_DEVICE_ADD,
    SQL_DEVICE_LIMIT,
    SQL_GONE_SET,
    SQL_GONE_DROP,
    SQL_INVITE_ADD,
    SQL_INVITE_GET,
    SQL_INVITE_USE,
    SQL_INVITE_RETURN,
    SQL_BLOB_SET,
    SQL_BLOB_AGAIN,
    SQL_BLOB_DROP,
    SQL_BLOB_OLD,
    SQL_COUNT
};
struct database {
    char *path;
    sqlite3 *writer;
    sqlite3_stmt *statements[SQL_COUNT];
    pthread_key_t reader; /* a connection per thread that reads */
    bool has_key;
};
/* DATA/mail.db, made where it is missing if `create`, else IMSG_NO_INPUT: WAL, synchronous=FULL. */
IMSG_CHECK enum imsg_status database_open(struct database *db, const char *folder, bool create, struct imsg_error *err);
void database_close(struct database *db);
/* imsg_fail with SQLite's words: IMSG_TEMPORARY where it may pass by itself (disk full, busy), else IMSG_IO. */
enum imsg_status database_fail(sqlite3 *connection, const char *what, struct imsg_error *err);
/* Run one of the writer's statements that gives no row. Parameters are bound already; they are cleared. */
IMSG_CHECK enum imsg_status database_run(struct database *db, enum statement which, struct imsg_error *err);
/* Bind a blob / a number to a parameter; a failure shows when the statement runs. */
void database_blob(struct database *db, enum statement which, int parameter, struct imsg_view bytes);
void database_number(struct database *db, enum statement which, int parameter, int64_t number);
/* SQLITE_ROW or SQLITE_DONE of the writer's statement; anything else is *status. */
bool database_row(struct database *db, enum statement which, enum imsg_status *status, struct imsg_error *err);
void database_reset(struct database *db, enum statement which);
/* Each row of a query on a connection that only reads. */
IMSG_CHECK enum imsg_status database_each(struct database *db, const char *sql,
                                          enum imsg_status (*row)(void *context, sqlite3_stmt *statement,
                                                                  struct imsg_error *err),
                                          void *context, struct imsg_error *err);
/* The waiting messages of a mailbox after the one numbered `*after`, oldest first: append lines while `out` is shorter
 * than `enough` bytes, and move *after on. *more: there may be others. */
IMSG_CHECK enum imsg_status database_messages(struct database *db, const uint8_t token[static 32], int64_t *after,
                                              size_t enough, struct imsg_buf *out, bool *more, struct imsg_error *err);

/* ---- boxes.c: what is known of each token, in memory ---- */

struct box {
    struct box *next;
    uint8_t token[IMSG_TOKEN];
    uint32_t limit;               /* largest payload; 0: no entry lists the token */
    int64_t gone;                 /* Unix milliseconds since when none does; 0: none ever did */
    uint64_t count, bytes;        /* messages waiting, on disk */
    uint64_t arrivals;            /* messages that ever came, since the start: who waits looks whether one did */
    int64_t new_count, new_bytes; /* the writer's own: in the transaction that is open */
    bool new_arrival;             /* its own too */
    uint64_t stored, reserved;    /* bytes in the store; announced by uploads under way */
    struct request *waiting;      /* long polls, the newest first */
};
struct boxes {
    pthread_mutex_t lock;
    struct box **slots;
    size_t size, used;       /* size is a power of two */
    struct request *waiting; /* all long polls */
    size_t waiting_count;
    uint64_t messages, bytes, devices; /* in all */
};
IMSG_CHECK enum imsg_status boxes_start(struct boxes *boxes, struct imsg_error *err);
void boxes_free(struct boxes *boxes);
/* With the lock held. `make`: add it where it is missing (NULL: no memory). A box is never freed before the end. */
struct box *box_find(struct boxes *boxes, const uint8_t token[static 32], bool make);
/* A copy of the numbers, lock taken inside; false: never heard of. */
bool box_look(struct boxes *boxes, const uint8_t token[static 32], struct box *out);
/* Park a long poll, unless something changed since there were `seen` arrivals, or nobody waits any more. The request's
 * connection is suspended under the lock, so that a message that is committed meanwhile cannot be missed. */
enum box_wait { BOX_PARKED, BOX_CHANGED, BOX_OVER };
enum box_wait box_wait(struct boxes *boxes, struct request *request, uint64_t seen);
/* With the lock held: take a request out of the lists and resume it. */
void box_wake(struct boxes *boxes, struct request *request);
void box_wake_all(struct boxes *boxes, struct box *box);
/* Numbers of what is on disk now, from the writer after a commit; wakes who waits when a message came. */
void box_settle(struct boxes *boxes, struct box *box, bool committed);

/* ---- metrics.c, log.c ---- */

enum route { ROUTE_ENTRY, ROUTE_DEVICE, ROUTE_STORE, ROUTE_HEALTH, ROUTE_METRICS, ROUTE_NONE, ROUTE_COUNT };
extern const char *const route_names[ROUTE_COUNT];
#define STATUS_CODES 24
struct metrics {
    _Atomic uint64_t requests[ROUTE_COUNT][STATUS_CODES];
    _Atomic uint64_t delivered, duplicates, acknowledged, expired, read_messages;
    _Atomic uint64_t commits, commit_jobs, commit_failures, commit_microseconds;
    _Atomic uint64_t limited, refused_tokens, overdue;
    _Atomic uint64_t connections, connections_open, active;
    _Atomic uint64_t blob_bytes_in, blob_bytes_out;
    time_t started;
};
void metrics_count(struct metrics *metrics, enum route route, unsigned status);
IMSG_CHECK enum imsg_status metrics_print(struct serve *serve, struct imsg_buf *out, struct imsg_error *err);
/* One line for a request that is over, as --log says. */
void log_request(struct serve *serve, const struct request *request);

/* ---- origins.c: who we are, and our certificate ---- */

struct origins {
    char **items;
    size_t count;
};
/* Lower case, no default port. IMSG_CONFIG: not http(s)://host[:port]. */
IMSG_CHECK enum imsg_status origins_add(struct origins *origins, const char *origin, struct imsg_error *err);
/* https://NAME:PORT for each name of the certificate. */
IMSG_CHECK enum imsg_status origins_of_certificate(struct origins *origins, struct imsg_view pem, unsigned port,
                                                   struct imsg_error *err);
bool origins_has(const struct origins *origins, const char *origin);
void origins_free(struct origins *origins);
/* DATA/cert.pem and DATA/key.pem, made where they are missing. */
IMSG_CHECK enum imsg_status certificate_own(const char *folder, struct imsg_buf *cert, struct imsg_buf *key,
                                            struct imsg_error *err);

/* ---- listen.c ---- */

struct listener {
    int fd;
    char address[128]; /* 127.0.0.1:8443, [::1]:8443, unix:/path */
    char host[80];     /* 127.0.0.1, [::1]; "" for a Unix socket */
    unsigned port;
    bool loopback, local; /* local: a Unix socket */
    char *unlink_path;
};
/* A socket of our own for ADDRESS:PORT, :PORT or /PATH; or, with `text` NULL, the one systemd passed (IMSG_USAGE if it
 * passed none or several). */
IMSG_CHECK enum imsg_status listener_open(struct listener *listener, const char *text, struct imsg_error *err);
void listener_close(struct listener *listener);
struct sockaddr;
bool address_is_loopback(const struct sockaddr *address); /* a Unix socket counts as one */
bool listener_passed(void);                               /* did systemd pass sockets? */
/* To systemd's NOTIFY_SOCKET, -1 where there is none; then "READY=1" says nothing to nobody. */
int listener_notify_open(void);
void listener_notify(int fd, const char *state);

/* ---- authorize.c ---- */

struct bearer_cache;
struct rates;
struct authorizer {
    struct bearer_cache *cache;
    struct rates *rates;
};
IMSG_CHECK enum imsg_status authorizer_start(struct authorizer *authorizer, struct imsg_error *err);
void authorizer_free(struct authorizer *authorizer);
/* The device that signed the request's bearer token. False: answered with 403. */
bool authorize(struct request *request, uint8_t token[static 32]);
/* False: answered with 429. */
bool rate_allows(struct request *request, const uint8_t token[static 32]);

/* ---- http.c: one request ---- */

struct peer { /* an open connection */
    struct peer *next, *prev;
    int fd;
    _Atomic int64_t deadline; /* monotonic milliseconds; INT64_MAX: none */
};
struct peers {
    pthread_mutex_t lock;
    struct peer *first;
};

struct verb {
    const char *method;
    const char *suffix;                     /* the path must end with it; NULL: any path */
    size_t body_max;                        /* bytes; 0: no body is looked at */
    void (*begin)(struct request *request); /* the headers are there; may answer */
    /* Part of the body, where begin did not answer; NULL: it is collected in request->body. */
    void (*data)(struct request *request, struct imsg_view bytes);
    void (*end)(struct request *request);   /* the body is there: answer or park */
    void (*woken)(struct request *request); /* after a park: answer or park again */
    void (*drop)(struct request *request);  /* the request is over, answered or not; may be NULL */
};
enum outcome { OUTCOME_NONE, OUTCOME_DONE, OUTCOME_DUPLICATE, OUTCOME_FULL, OUTCOME_UNREGISTERED };
struct upload;
struct request {
    struct job job; /* first: a job is its request */
    struct serve *serve;
    struct MHD_Connection *connection;
    struct peer *peer;
    enum route route;
    const struct verb *verb; /* NULL: answered already */
    char method[8];
    char tail[144]; /* of the path, after the route's own part */
    struct imsg_buf body;
    int64_t started; /* monotonic milliseconds */
    bool draining;   /* answered, the rest of the body is read and thrown away */
    uint64_t drained;
    _Atomic bool parked;
    struct MHD_Response *response; /* the answer, until it is queued */
    unsigned status;
    const char *reason;
    enum outcome outcome;
    enum imsg_status failure; /* of the job */
    /* device */
    uint8_t token[IMSG_TOKEN], sender[IMSG_TOKEN], hash[32];
    struct box *box;
    size_t deleted;
    int64_t expires; /* Unix seconds */
    char id[37];
    int64_t wait_until; /* monotonic milliseconds */
    bool waiting, gone; /* in the lists of boxes; the client has hung up */
    struct request *box_next, *wait_next, *wait_prev;
    /* entry */
    uint8_t handle_hash[HANDLE_HASH], invite[32];
    char *handle;
    bool has_invite, created;
    char *if_match; /* entity tags with their quotes, "*", or NULL */
    bool if_none_match;
    /* store */
    struct upload *upload;
};

int64_t now_ms(void); /* monotonic */
int64_t now_us(void); /* the same in microseconds */
/* Answer. The first answer stands. */
void reply_empty(struct request *request, unsigned status);
void reply_reason(struct request *request, unsigned status, const char *reason);
/* With Retry-After. */
void reply_later(struct request *request, unsigned status, const char *reason, unsigned seconds);
/* 410 with a timestamp in Unix milliseconds. */
void reply_unregistered(struct request *request, int64_t gone);
/* The bytes become the answer's (then *body is {0}). */
void reply_body(struct request *request, unsigned status, const char *type, struct imsg_buf *body);
/* The response becomes ours; NULL is no memory. */
void reply(struct request *request, unsigned status, struct MHD_Response *response);
void reply_header(struct request *request, const char *name, const char *value); /* after a reply_… */
/* What a failed status means to a client: 503 where it may pass, else 500. */
void reply_failure(struct request *request, enum imsg_status status);
const char *request_header(const struct request *request, const char *name); /* or NULL */
/* Suspend the connection and hand the request's job to a queue; `woken` is called after it. */
void request_park(struct request *request, struct queue *queue);
void request_resume(struct request *request); /* the connection, from any thread */
/* May be sending for so long from now. */
void request_deadline(struct request *request, int64_t milliseconds);

IMSG_CHECK enum imsg_status http_start(struct serve *serve, struct imsg_view cert, struct imsg_view key,
                                       struct imsg_error *err);
/* Take no more connections. */
void http_quiesce(struct serve *serve);
void http_stop(struct serve *serve);
/* Cut connections past their deadline. */
void http_tick(struct serve *serve);

/* ---- routes.c ---- */

/* Set route, verb and tail; answers 404 and 405. */
void route_request(struct request *request, const char *url, const char *method);
/* 64 hex digits, and for an entry the rest of its path. */
bool route_hash(const char *text, uint8_t out[static 32]);
extern const struct verb device_verbs[], entry_verbs[], store_verbs[]; /* end with a NULL method */

/* ---- device.c, entry.c, index.c, store.c, invite.c ---- */

/* Delete messages whose time is over. */
void device_expire(struct serve *serve);

/* The records of an entry: which tokens it lists, with their limits. */
struct listed {
    uint8_t token[IMSG_TOKEN];
    uint32_t limit;
};
/* Make the index say what an entry lists (count 0: it is gone), on disk and in memory. Waits for the writer. */
struct stat;
IMSG_CHECK enum imsg_status index_entry(struct serve *serve, const uint8_t hash[static HANDLE_HASH],
                                        const struct listed *listed, size_t count, const struct stat *file,
                                        struct imsg_error *err);
/* Load the index, then look which entries changed while nobody watched. */
IMSG_CHECK enum imsg_status index_start(struct serve *serve, struct imsg_error *err);
IMSG_CHECK enum imsg_status index_scan(struct serve *serve, struct imsg_error *err);
void *file_loop(void *queue); /* a file thread */
/* entry.c: the handle of an entry whose signature is right; the caller's. */
IMSG_CHECK enum imsg_status entry_handle(struct imsg_view file, char **handle, struct imsg_error *err);
bool entry_is_named(const char *handle, const uint8_t hash[static HANDLE_HASH]);
size_t entry_listed(const struct imsg_entry *entry, struct listed out[static IMSG_DEVICES_MAX]);

struct store {
    pthread_mutex_t lock;
    uint64_t used, reserved; /* bytes on disk; announced by uploads under way */
};
IMSG_CHECK enum imsg_status store_start(struct serve *serve, struct imsg_error *err);
void store_expire(struct serve *serve);

/* A new code on stdout (text), its hash in the database. */
IMSG_CHECK enum imsg_status invite_make(struct database *db, char code[static 21], struct imsg_error *err);
IMSG_CHECK enum imsg_status invite_any(struct database *db, bool *any, struct imsg_error *err);
/* Take a code for an account key, waiting for the writer. IMSG_REFUSED: not known, somebody else's, or used up. */
IMSG_CHECK enum imsg_status invite_use(struct serve *serve, const uint8_t code_hash[static 32], const char *thumbprint,
                                       struct imsg_error *err);
/* Of a handle that was not made after all: the code is good for another one. */
void invite_return(struct serve *serve, const uint8_t code_hash[static 32]);
IMSG_CHECK enum imsg_status invite_hash(const char *code, uint8_t hash[static 32], struct imsg_error *err);

/* ---- the whole ---- */

enum registration { REGISTER_DEFAULT, REGISTER_OPEN, REGISTER_INVITE, REGISTER_CLOSED };
enum log_mode { LOG_NONE, LOG_TEXT, LOG_JSON };
enum exposure { METRICS_LOOPBACK, METRICS_ALL, METRICS_OFF };
struct serve {
    struct cli *cli;
    char *data;                        /* the folder */
    char *directory, *blobs, *partial; /* below it */
    bool plain_http, log_handles;
    enum registration registration;
    enum log_mode log;
    enum exposure metrics_for;
    uint64_t mailbox_count, mailbox_bytes, connections, rate, quota, device_quota, days;
    struct listener listener;
    struct origins origins;
    struct MHD_Daemon *daemon;
    struct database db;
    struct boxes boxes;
    struct store store;
    struct authorizer authorizer;
    struct peers peers;
    struct metrics metrics;
    struct queue writer, files;
    pthread_mutex_t entries;     /* entries are written one at a time */
    _Atomic bool stopping, sick; /* sick: the last commit failed */
    int gone_fd;                 /* epoll: clients of long polls that hang up */
};
void *writer_loop(void *queue);

/* ---- start.c ---- */

struct setup { /* what the options say, and what is open until the end */
    struct serve serve;
    struct cli cli;
    const char *listen, *data, *cert, *key;
    bool self_signed;
    int lock, notify;
    struct imsg_buf cert_pem, key_pem;
};
/* Everything up to the line "listening"; serve_stop closes what it opened, also where it failed. */
IMSG_CHECK enum imsg_status serve_start(struct setup *setup, struct imsg_error *err);
void serve_stop(struct setup *setup);
/* A line on standard output, at once. */
IMSG_CHECK enum imsg_status say_line(const char *word, const char *value, struct imsg_error *err);

#endif
