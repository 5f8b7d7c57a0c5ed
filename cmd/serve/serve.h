/* imsg-serve as a whole: what its parts share while it runs.
 *
 * Threads: libmicrohttpd's workers parse requests and read; whatever must be on disk before it is answered is handed to
 * the storage or to a file thread, the request is parked (its connection suspended) and woken when that is done. The
 * storage has threads of its own, which commit (storage/storage.h). Two file threads check entries and finish blobs.
 * The main thread is the clock: deadlines, expiry, signals.
 *
 * Locks: each part has its own, and none is taken while another one is held, but for `polls.lock` and `peers.lock`,
 * under which connections are resumed or cut. */
#ifndef IMSG_SERVE_SERVE_H
#define IMSG_SERVE_SERVE_H

#include "cli/cli.h"
#include "serve/authorize.h"
#include "serve/entry.h"
#include "serve/listen.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/origins.h"
#include "serve/polls.h"
#include "serve/queue.h"
#include "serve/quota.h"
#include "serve/request.h"
#include "serve/source.h"
#include "serve/storage/storage.h"
#include "serve/store.h"

enum exposure { METRICS_LOOPBACK, METRICS_ALL, METRICS_OFF };
struct serve {
    struct cli *cli;
    char *data;            /* the folder */
    char *blobs, *partial; /* below it */
    bool plain_http, log_handles;
    enum registration registration;
    enum log_mode log;
    enum exposure metrics_for;
    uint64_t mailbox_count, mailbox_bytes, connections, rate, stranger_rate, days;
    struct listener listener;
    struct origins origins;
    struct MHD_Daemon *daemon;
    struct storage *storage;
    struct polls polls;
    struct quota quota;  /* of the store; a holder is an account */
    struct quota bodies; /* of request bodies in memory; a holder is an address */
    struct proxies proxies;
    struct authorizer authorizer;
    struct peers peers;
    struct metrics metrics;
    struct queue files;
    _Atomic bool stopping;
};

#endif
