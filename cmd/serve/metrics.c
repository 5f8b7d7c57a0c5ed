/* /metrics, in Prometheus' text form 0.0.4. Every name is in imsg-serve(1). */
#include "serve/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "serve/serve.h"

static const unsigned codes[METRICS_CODES] = {200, 201, 204, 206, 304, 400, 403, 404, 405, 409, 410,
                                              412, 413, 416, 428, 429, 500, 501, 503, 505, 507};

void metrics_count(struct metrics *metrics, enum route route, unsigned status)
{
    size_t i = 0;
    while (i < METRICS_CODES - 1 && codes[i] != status && codes[i])
        i++;
    metrics->requests[route][i]++;
}

static enum imsg_status print(struct imsg_buf *out, struct imsg_error *err, const char *format, ...) IMSG_PRINTF(3, 4);

static enum imsg_status print(struct imsg_buf *out, struct imsg_error *err, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return imsg_buf_text(out, text, err);
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0, all = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &all, &pages) != 2)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static enum imsg_status print_requests(struct metrics *metrics, struct imsg_buf *out, struct imsg_error *err)
{
    enum imsg_status status = imsg_buf_text(out,
                                            "# HELP imsg_requests_total Requests answered.\n"
                                            "# TYPE imsg_requests_total counter\n",
                                            err);
    for (size_t route = 0; route < ROUTE_COUNT; route++)
        for (size_t i = 0; i < METRICS_CODES && status == IMSG_OK; i++)
            if (codes[i] && metrics->requests[route][i])
                status = print(out, err, "imsg_requests_total{route=\"%s\",status=\"%u\"} %" PRIu64 "\n",
                               route_names[route], codes[i], metrics->requests[route][i]);
    return status;
}

enum imsg_status metrics_print(struct serve *serve, struct imsg_buf *out, struct imsg_error *err)
{
    struct metrics *m = &serve->metrics;
    struct storage_totals totals;
    storage_read_totals(serve->storage, &totals);
    const struct {
        const char *name, *type, *help;
        double value;
    } all[] = {
        {"imsg_messages_stored_total", "counter", "Messages stored.", (double)m->delivered},
        {"imsg_messages_duplicate_total", "counter", "Messages that were stored already.", (double)m->duplicates},
        {"imsg_messages_acknowledged_total", "counter", "Messages deleted by their device.", (double)m->acknowledged},
        {"imsg_messages_expired_total", "counter", "Messages deleted because their time was over.", (double)m->expired},
        {"imsg_messages_waiting", "gauge", "Messages in all mailboxes.", (double)totals.messages},
        {"imsg_messages_waiting_bytes", "gauge", "Bytes of messages in all mailboxes.", (double)totals.bytes},
        {"imsg_devices", "gauge", "Devices with a mailbox.", (double)totals.devices},
        {"imsg_long_polls", "gauge", "Devices waiting for a message.", (double)polls_count(&serve->polls)},
        {"imsg_commits_total", "counter", "Transactions, each with a sync of the disk.", (double)totals.commits},
        {"imsg_commit_jobs_total", "counter", "Changes written in transactions.", (double)totals.operations},
        {"imsg_commit_failures_total", "counter", "Transactions that failed.", (double)totals.failures},
        {"imsg_commit_seconds_total", "counter", "Time spent in transactions.", (double)totals.commit_us / 1e6},
        {"imsg_requests_limited_total", "counter", "Requests refused for their rate, or for a full mailbox.",
         (double)m->limited},
        {"imsg_tokens_refused_total", "counter", "Bearer tokens refused.", (double)m->refused_tokens},
        {"imsg_connections_total", "counter", "Connections accepted.", (double)m->connections},
        {"imsg_connections", "gauge", "Connections open.", (double)m->connections_open},
        {"imsg_body_bytes", "gauge", "Memory reserved for request bodies.", (double)quota_reserved(&serve->bodies)},
        {"imsg_connections_overdue_total", "counter", "Connections cut for being too slow, or idle.",
         (double)m->overdue},
        {"imsg_store_bytes", "gauge", "Bytes of all blobs.", (double)quota_used(&serve->quota)},
        {"imsg_store_received_bytes_total", "counter", "Bytes of blobs received.", (double)m->blob_bytes_in},
        {"imsg_store_sent_bytes_total", "counter", "Bytes of blobs sent.", (double)m->blob_bytes_out},
        {"process_resident_memory_bytes", "gauge", "Resident memory.", (double)resident_bytes()},
        {"process_start_time_seconds", "gauge", "Start, Unix seconds.", (double)m->started},
    };
    enum imsg_status status = print_requests(m, out, err);
    for (size_t i = 0; i < sizeof all / sizeof all[0] && status == IMSG_OK; i++)
        status = print(out, err, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", all[i].name, all[i].help, all[i].name,
                       all[i].type, all[i].name, all[i].value);
    return status;
}
