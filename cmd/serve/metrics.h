/* Counters, and the text of /metrics. */
#ifndef IMSG_SERVE_METRICS_H
#define IMSG_SERVE_METRICS_H

#include <stdatomic.h>
#include <time.h>

#include "serve/request.h"

#define METRICS_CODES 24

struct serve;
struct metrics {
    _Atomic uint64_t requests[ROUTE_COUNT][METRICS_CODES];
    _Atomic uint64_t delivered, duplicates, acknowledged, expired;
    _Atomic uint64_t limited, refused_tokens, overdue;
    _Atomic uint64_t connections, connections_open, active;
    _Atomic uint64_t blob_bytes_in, blob_bytes_out;
    time_t started;
};
void metrics_count(struct metrics *metrics, enum route route, unsigned status);
IMSG_CHECK enum imsg_status metrics_print(struct serve *serve, struct imsg_buf *out, struct imsg_error *err);

#endif
