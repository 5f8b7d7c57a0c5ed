/* The clock: deadlines, expiry and signals, and the end of the service. */
#include "serve/clock.h"

#include <signal.h>
#include <time.h>

#include "base/text.h"
#include "serve/http.h"

#define TICK_NS 250000000 /* long polls end up to so much later than asked */
#define EXPIRE_MS 10000
#define STORE_MS 3600000
#define DRAIN_MS 10000 /* requests under way have so long after SIGTERM */

static void expire_messages(struct serve *serve)
{
    uint64_t count = 0;
    /* After a failure, which the storage has noted, the next call deletes them. */
    (void)!storage_expire_messages(serve->storage, &count, NULL);
    serve->metrics.expired += count;
}

void clock_run(struct serve *serve)
{
    sigset_t handled;
    struct timespec tick = {0, TICK_NS};
    uint64_t expire_at = 0, store_at = 0;
    int number = 0;
    sigemptyset(&handled);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGHUP);
    while (number != SIGTERM && number != SIGINT) {
        number = sigtimedwait(&handled, NULL, &tick);
        uint64_t now = imsg_monotonic();
        polls_tick(&serve->polls, false);
        http_tick(serve);
        if (now >= expire_at) {
            expire_messages(serve);
            expire_at = now + EXPIRE_MS;
        }
        if (now >= store_at) {
            blobs_expire(serve);
            store_at = now + STORE_MS;
        }
        struct imsg_error err = {0};
        if (number == SIGHUP && storage_scan_entries(serve->storage, &err) != IMSG_OK)
            cli_note(serve->cli, "%s", err.text);
    }
}

void clock_drain(struct serve *serve)
{
    struct timespec pause = {0, 20000000};
    uint64_t until = imsg_monotonic() + DRAIN_MS;
    serve->stopping = true;
    http_quiesce(serve);
    while (serve->metrics.active > 0 && imsg_monotonic() < until) {
        polls_tick(&serve->polls, true);
        nanosleep(&pause, NULL);
    }
    polls_tick(&serve->polls, true);
}
