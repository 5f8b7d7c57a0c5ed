/* When a transfer is tried, how often, and what its result means. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "base/url.h"
#include "crypto/crypto.h"
#include "net/http_transfer.h"
#include "net/remote.h"

#define FLYING_MAX 16 /* transfers at libcurl at a time */
#define BACKOFF 250   /* ms, doubled with each try … */
#define DOUBLINGS 5   /* … up to 8 s */
#define IDLE 60000    /* ms of one wait when nothing is due */

static enum imsg_status no_memory(struct imsg_error *err)
{
    return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

/* ---- start ---- */

static enum imsg_status find_origin(struct imsg_net *net, const struct imsg_http_request *request, struct origin **out,
                                    struct imsg_error *err)
{
    struct imsg_url parts;
    struct origin *origin = NULL;
    bool plain = strncmp(request->url, "http:", 5) == 0;
    if (!imsg_url_split_origin(request->url, plain ? "http" : "https", &parts))
        return imsg_fail(err, IMSG_REFUSED, "%s: \"%s\" is not an https URL", request->role, request->url);
    struct imsg_buf name = {0};
    enum imsg_status status = imsg_net_origin_of(request->url, parts.origin, request->socket, &name, err);
    if (status != IMSG_OK)
        goto out;
    for (origin = net->http->origins; origin && strcmp(origin->name, (const char *)name.ptr) != 0;)
        origin = origin->next;
    if (!origin) {
        origin = calloc(1, sizeof *origin);
        if (!origin) {
            status = no_memory(err);
            goto out;
        }
        origin->name = (char *)name.ptr;
        name = (struct imsg_buf){0};
        origin->configured = imsg_net_is_configured(net, origin->name);
        origin->loopback_only = plain && !request->socket && !net->insecure_http;
        origin->next = net->http->origins;
        net->http->origins = origin;
    }
    if (plain && !origin->configured)
        status = imsg_fail(err, IMSG_REFUSED, "%s: \"%s\" is not an https URL", request->role, request->url);
    if (status == IMSG_OK)
        *out = origin;
out:
    imsg_buf_free(&name);
    return status;
}

enum imsg_status imsg_http_start(struct imsg_net *net, const struct imsg_http_request *request, imsg_http_done *done,
                                 void *context, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    struct transfer *transfer = NULL, **last;
    if (!net->http) {
        net->http = calloc(1, sizeof *net->http);
        if (!net->http)
            return no_memory(err);
        status = imsg_curl_open(net->http, err);
        if (status != IMSG_OK) {
            free(net->http);
            net->http = NULL;
            return status;
        }
        if (net->loaded)
            net->loaded(net->context, imsg_http_version());
    }
    transfer = calloc(1, sizeof *transfer);
    if (!transfer)
        return no_memory(err);
    status = find_origin(net, request, &transfer->origin, err);
    if (status != IMSG_OK) {
        free(transfer);
        return status;
    }
    /* A failure of long ago, with no request since, does not count. */
    if (imsg_monotonic() - transfer->origin->failed > (uint64_t)net->retry_for * 1000)
        transfer->origin->trouble = 0;
    transfer->net = net;
    transfer->request = request;
    transfer->given = request->from;
    transfer->done = done;
    transfer->context = context;
    for (last = &net->http->queue; *last;)
        last = &(*last)->next;
    *last = transfer;
    return IMSG_OK;
}

/* ---- end ---- */

static void unlink_transfer(struct transfer **list, struct transfer *transfer)
{
    while (*list != transfer)
        list = &(*list)->next;
    *list = transfer->next;
    transfer->next = NULL;
}

static void free_transfer(struct transfer *transfer)
{
    imsg_http_answer_free(&transfer->answer);
    free(transfer);
}

/* libcurl does not tell a name that does not exist from a resolver that does not answer. */
static bool name_is_unknown(const struct transfer *transfer)
{
    struct imsg_url parts;
    struct addrinfo *found = NULL;
    const char *scheme = strncmp(transfer->request->url, "http:", 5) == 0 ? "http" : "https";
    if (!imsg_url_split_origin(transfer->request->url, scheme, &parts))
        return true;
    int failed = getaddrinfo(parts.host, NULL, NULL, &found);
    if (failed == 0)
        freeaddrinfo(found);
    return failed != 0 && failed != EAI_AGAIN && failed != EAI_SYSTEM && failed != EAI_MEMORY;
}

static bool is_temporary(const struct transfer *transfer, enum try_result result)
{
    unsigned status = transfer->answer.status;
    if (result == TRY_ANSWERED)
        return status == 408 || status == 429 || status >= 500;
    return result == TRY_LOST || result == TRY_SILENT;
}

static enum imsg_status report_failure(const struct transfer *transfer, enum try_result result, struct imsg_error *err)
{
    const struct imsg_http_request *request = transfer->request;
    const struct imsg_http_answer *answer = &transfer->answer;
    enum imsg_status status = IMSG_TEMPORARY;
    char reason[IMSG_REASON_MAX];
    if (result == TRY_ANSWERED) {
        imsg_http_reason(imsg_buf_view(&answer->body), reason);
        status = imsg_fail(err, IMSG_TEMPORARY, "%s \"%s\": %u%s%s", request->role, request->place, answer->status,
                           reason[0] ? " " : "", reason);
        if (transfer->retry_after > 0 && err) {
            size_t len = strlen(err->text);
            snprintf(err->text + len, sizeof err->text - len, ", retry after %llu s",
                     (unsigned long long)transfer->retry_after);
        }
        return status;
    }
    if (result == TRY_UNTRUSTED || result == TRY_BLOCKED)
        status = IMSG_REFUSED;
    else if (result == TRY_NONSENSE)
        status = IMSG_PROTOCOL;
    else if (result == TRY_MISSET)
        status = IMSG_CONFIG;
    else if (result == TRY_FAILED)
        status = IMSG_INTERNAL;
    else if (result == TRY_UNKNOWN)
        status = IMSG_UNAVAILABLE;
    return imsg_fail(err, status, "%s \"%s\": %s", request->role, request->place, transfer->text);
}

static enum imsg_status judge_result(struct transfer *transfer, enum try_result result, struct imsg_error *err)
{
    const struct imsg_http_request *request = transfer->request;
    if (transfer->sunk != IMSG_OK) {
        if (err)
            *err = transfer->sink_err;
        return transfer->sunk;
    }
    if (transfer->over)
        return imsg_fail(err, IMSG_PROTOCOL, "%s \"%s\": the answer is over %llu bytes", request->role, request->place,
                         (unsigned long long)request->max);
    if (transfer->out_of_turn)
        return imsg_fail(err, IMSG_PROTOCOL, "%s \"%s\": not the part that was asked for", request->role,
                         request->place);
    if (result != TRY_ANSWERED || is_temporary(transfer, result))
        return report_failure(transfer, result, err);
    return IMSG_OK;
}

/* Milliseconds until the next try: exponential with full jitter, so that those who failed together do not come back
 * together; never earlier than the service asked for. */
static uint64_t choose_delay(const struct transfer *transfer)
{
    uint32_t random = 0;
    uint64_t most = (uint64_t)BACKOFF << (transfer->tries <= DOUBLINGS ? transfer->tries - 1 : DOUBLINGS);
    if (imsg_random(&random, sizeof random, NULL) != IMSG_OK)
        random = UINT32_MAX;
    return (most * random >> 32) + transfer->retry_after * 1000;
}

/* True: it is in the queue again. */
static bool queue_again(struct imsg_http *http, struct transfer *transfer, enum try_result result)
{
    struct origin *origin = transfer->origin;
    uint64_t now = imsg_monotonic(), wait;
    if (transfer->sunk != IMSG_OK || transfer->over || transfer->out_of_turn || !is_temporary(transfer, result)) {
        origin->trouble = 0;
        return false;
    }
    if (transfer->given > transfer->given_before) {
        transfer->trouble = origin->trouble = 0;
        transfer->tries = 1;
    }
    transfer->trouble = transfer->trouble ? transfer->trouble : now;
    origin->trouble = origin->trouble ? origin->trouble : now;
    origin->failed = now;
    wait = choose_delay(transfer);
    uint64_t since = origin->trouble < transfer->trouble ? origin->trouble : transfer->trouble;
    if (now + wait > since + (uint64_t)transfer->net->retry_for * 1000)
        return false;
    transfer->due = now + wait;
    if (origin->not_before < now + transfer->retry_after * 1000)
        origin->not_before = now + transfer->retry_after * 1000;
    transfer->next = http->queue;
    http->queue = transfer;
    return true;
}

static void finish_transfer(struct imsg_http *http, struct transfer *transfer, enum try_result result)
{
    struct imsg_error err = {0};
    imsg_curl_end(http, transfer);
    unlink_transfer(&http->flying, transfer);
    http->flying_count--;
    if (result == TRY_UNKNOWN && !name_is_unknown(transfer))
        result = TRY_LOST;
    if (queue_again(http, transfer, result))
        return;
    transfer->answer.tries = transfer->tries;
    enum imsg_status status = judge_result(transfer, result, &err);
    transfer->done(transfer->context, status, &transfer->answer, &err);
    free_transfer(transfer);
}

/* ---- run ---- */

static void report_start_failure(struct transfer *transfer, enum imsg_status status, struct imsg_error *err)
{
    transfer->done(transfer->context, status, &transfer->answer, err);
    free_transfer(transfer);
}

/* Start what is due; *next is when the next one is, in ms from now. */
static void start_due_transfers(struct imsg_http *http, int *next)
{
    struct imsg_error err = {0};
    uint64_t now = imsg_monotonic();
    *next = IDLE;
    for (struct transfer *transfer = http->queue, *after; transfer; transfer = after) {
        after = transfer->next;
        uint64_t due = transfer->due > transfer->origin->not_before ? transfer->due : transfer->origin->not_before;
        if (http->flying_count == FLYING_MAX)
            return;
        if (due > now) {
            if (due - now < (uint64_t)*next)
                *next = (int)(due - now);
            continue;
        }
        unlink_transfer(&http->queue, transfer);
        imsg_buf_clear(&transfer->answer.body);
        transfer->answer.status = 0;
        transfer->received = transfer->sent = transfer->skip = transfer->retry_after = 0;
        transfer->given_before = transfer->given;
        transfer->has_range = transfer->blocked = transfer->head_ended = false;
        transfer->tries++;
        transfer->bearer = NULL;
        enum imsg_status status = IMSG_OK;
        if (transfer->request->bearer)
            status = imsg_remote_bearer(transfer->request->bearer, &transfer->bearer, &err);
        if (status == IMSG_OK)
            status = imsg_curl_begin(http, transfer, &err);
        if (status != IMSG_OK) {
            report_start_failure(transfer, status, &err);
            continue;
        }
        transfer->next = http->flying;
        http->flying = transfer;
        http->flying_count++;
    }
}

static enum imsg_status run_transfers(struct imsg_net *net, const size_t *pending, size_t most, int input, bool *signal,
                                      struct imsg_error *err)
{
    struct imsg_http *http = net->http;
    enum imsg_status status = IMSG_OK;
    bool readable = false;
    while (http && *pending > most && !readable && !*signal && status == IMSG_OK) {
        struct transfer *ended;
        enum try_result result;
        int next;
        start_due_transfers(http, &next);
        if (*pending <= most)
            break;
        status = imsg_curl_step(http, next, input, &readable, signal, err);
        while ((ended = imsg_curl_ended(http, &result)) != NULL)
            finish_transfer(http, ended, result);
    }
    return status;
}

enum imsg_status imsg_http_run(struct imsg_net *net, const size_t *pending, size_t most, int input,
                               struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (bool signal = true; signal && status == IMSG_OK;) {
        signal = false;
        status = run_transfers(net, pending, most, input, &signal, err);
    }
    return status;
}

struct one {
    struct imsg_http_answer *answer;
    struct imsg_error *err;
    enum imsg_status status;
    size_t pending;
};

static void keep_answer(void *context, enum imsg_status status, struct imsg_http_answer *answer, struct imsg_error *err)
{
    struct one *one = context;
    one->pending = 0;
    one->status = status;
    if (status == IMSG_OK) {
        *one->answer = *answer;
        answer->body = (struct imsg_buf){0};
    } else if (one->err) {
        *one->err = *err;
    }
}

/* Take it out of wherever it is. */
static void cancel_transfer(struct imsg_http *http, const struct one *one)
{
    struct transfer *lists[] = {http->queue, http->flying};
    for (size_t i = 0; i < 2; i++)
        for (struct transfer *transfer = lists[i]; transfer; transfer = transfer->next) {
            if (transfer->context != one)
                continue;
            if (i == 1) {
                imsg_curl_end(http, transfer);
                http->flying_count--;
            }
            unlink_transfer(i == 0 ? &http->queue : &http->flying, transfer);
            free_transfer(transfer);
            return;
        }
}

enum imsg_status imsg_http_do(struct imsg_net *net, const struct imsg_http_request *request,
                              struct imsg_http_answer *answer, struct imsg_error *err)
{
    struct one one = {.answer = answer, .err = err, .status = IMSG_INTERNAL, .pending = 1};
    *answer = (struct imsg_http_answer){0};
    enum imsg_status status = imsg_http_start(net, request, keep_answer, &one, err);
    while (status == IMSG_OK && one.pending > 0) {
        bool signal = false;
        status = run_transfers(net, &one.pending, 0, -1, &signal, err);
        if (one.pending > 0 && (status != IMSG_OK || (signal && request->until_signal))) {
            cancel_transfer(net->http, &one);
            return status;
        }
    }
    return status == IMSG_OK ? one.status : status;
}

void imsg_http_free(struct imsg_http *http)
{
    if (!http)
        return;
    while (http->flying) {
        struct transfer *transfer = http->flying;
        imsg_curl_end(http, transfer);
        http->flying = transfer->next;
        free_transfer(transfer);
    }
    while (http->queue) {
        struct transfer *transfer = http->queue;
        http->queue = transfer->next;
        free_transfer(transfer);
    }
    while (http->origins) {
        struct origin *origin = http->origins;
        http->origins = origin->next;
        free(origin->name);
        free(origin);
    }
    imsg_curl_close(http);
    free(http);
}
