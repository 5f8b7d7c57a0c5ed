/* A relay on a server: POST delivers, a GET that waits brings what is there, POST acknowledge deletes. One
 * GET serves a list and the fetching of all it names: the lines come with it. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "net/backend.h"
#include "net/remote.h"

#define TIMEOUT 60          /* seconds for one try */
#define WAIT_MAX 50         /* seconds of one long poll: proxies often end what is silent for 60 */
#define WAIT_GRACE 30       /* seconds an answer to one may take longer */
#define LOOK_AGAIN 5        /* seconds from one wait to the next where nothing new comes */
#define BATCH_MAX (8 << 20) /* bytes of one list; more comes with the next */
#define LINES_MAX 32768     /* of it; as many envelopes are longer than that */
#define ANSWER_MAX 65536    /* bytes of any other answer, which nobody reads */

struct line {
    char name[65];
    struct imsg_view text; /* into lines */
};

struct state {
    struct imsg_remote remote;
    size_t pending; /* deliveries without a result */
    struct imsg_buf lines;
    struct line *index; /* what they hold */
    size_t count;
    size_t next; /* the line that is probably fetched next */
    bool more;   /* than these wait at the relay */
    bool fresh;  /* a wait has brought them: the next list need not ask */
};

static void http_close(void *opaque)
{
    struct state *state = opaque;
    if (!state)
        return;
    imsg_remote_free(&state->remote);
    imsg_buf_free(&state->lines);
    free(state->index);
    free(state);
}

static enum imsg_status open_relay(const char *location, struct imsg_net *net, bool configured, void **out,
                                   struct imsg_error *err)
{
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = imsg_remote_open(&state->remote, "relay", location, net, configured, err);
    if (status == IMSG_OK)
        *out = state;
    else
        http_close(state);
    return status;
}

static enum imsg_status http_open(const char *location, struct imsg_net *net, void **out, struct imsg_error *err)
{
    return open_relay(location, net, true, out, err);
}

static enum imsg_status http_open_foreign(const char *location, struct imsg_net *net, void **out,
                                          struct imsg_error *err)
{
    return open_relay(location, net, false, out, err);
}

/* The server has a mailbox for every device in its directory. */
static enum imsg_status http_mailbox(void *opaque, const char *token, struct imsg_error *err)
{
    (void)opaque;
    (void)token;
    (void)err;
    return IMSG_OK;
}

static enum imsg_status token_url(const struct state *state, const char *token, const char *more, char **url,
                                  struct imsg_error *err)
{
    char path[200];
    snprintf(path, sizeof path, IMSG_RELAY_PATH "%s%s", token, more);
    return imsg_remote_url(&state->remote, path, url, err);
}

/* ---- deliver ---- */

struct delivery {
    struct state *state;
    struct imsg_http_request request;
    char *url;
    struct imsg_buf line;
    char id[64], expires[64];
    imsg_delivered *done;
    void *context;
};

static void free_delivery(struct delivery *delivery)
{
    free(delivery->url);
    imsg_buf_free(&delivery->line);
    free(delivery);
}

static void finish_delivery(void *context, enum imsg_status status, struct imsg_http_answer *answer,
                            struct imsg_error *err)
{
    struct delivery *delivery = context;
    if (status == IMSG_OK && answer->status != 200) {
        status = imsg_http_refused(&delivery->request, answer, err);
        if (answer->status == 413)
            status = err->status = IMSG_TOO_LONG;
    }
    delivery->state->pending--;
    delivery->done(delivery->context, status, false, err);
    free_delivery(delivery);
}

static enum imsg_status start_delivery(struct state *state, const struct relay_message *message, imsg_delivered *done,
                                       void *context, struct imsg_error *err)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    if (!delivery)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    delivery->state = state;
    delivery->done = done;
    delivery->context = context;
    enum imsg_status status = token_url(state, message->token, "", &delivery->url, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(&delivery->line, message->line.ptr, message->line.len, err);
    if (status != IMSG_OK)
        goto out;
    delivery->request = imsg_remote_request(&state->remote, "POST", delivery->url);
    delivery->request.body = imsg_buf_view(&delivery->line);
    delivery->request.max = ANSWER_MAX;
    delivery->request.timeout = TIMEOUT;
    delivery->request.bearer = &state->remote;
    snprintf(delivery->id, sizeof delivery->id, "apns-id: %s", message->envelope->id);
    snprintf(delivery->expires, sizeof delivery->expires, "apns-expiration: %lld",
             (long long)imsg_now() + (long long)IMSG_RELAY_DAYS * 86400);
    delivery->request.headers[0] = delivery->id;
    delivery->request.headers[1] = delivery->expires;
    delivery->request.headers[2] = "content-type: application/json";
    status = imsg_http_start(state->remote.net, &delivery->request, finish_delivery, delivery, err);
out:
    if (status != IMSG_OK)
        free_delivery(delivery);
    else
        state->pending++;
    return status;
}

static void http_send(void *opaque, const struct relay_message *message, imsg_delivered *done, void *context)
{
    struct imsg_error err = {0};
    enum imsg_status status = start_delivery(opaque, message, done, context, &err);
    if (status != IMSG_OK)
        done(context, status, false, &err);
}

static enum imsg_status http_settle(void *opaque, size_t most, int input, struct imsg_error *err)
{
    struct state *state = opaque;
    return imsg_http_run(state->remote.net, &state->pending, most, input, err);
}

/* ---- receive ---- */

/* Names are computed, not received. A line that is no envelope has no name; it is listed under its own hash, so that it
 * can be reported and skipped. */
static enum imsg_status name_line(struct imsg_view text, char name[static 65], struct imsg_error *err)
{
    struct imsg_envelope envelope = {0};
    uint8_t hash[32];
    enum imsg_status status = imsg_envelope_parse(text, &envelope, NULL);
    if (status == IMSG_OK)
        memcpy(hash, envelope.name, sizeof hash);
    else
        status = imsg_sha256(text, hash, err);
    imsg_envelope_free(&envelope);
    if (status == IMSG_OK)
        imsg_hex(hash, sizeof hash, name);
    return status;
}

/* Every whole line, up to LINES_MAX; what was cut off at the end comes again. */
static enum imsg_status index_lines(struct state *state, struct imsg_error *err)
{
    const uint8_t *at = state->lines.ptr, *end = at ? at + state->lines.len : at, *stop;
    size_t count = 0;
    enum imsg_status status = IMSG_OK;
    free(state->index);
    state->index = NULL;
    state->count = 0;
    for (const uint8_t *c = at; c < end; c++)
        count += *c == '\n';
    if (count == 0)
        return IMSG_OK;
    state->more |= count > LINES_MAX;
    count = count < LINES_MAX ? count : LINES_MAX;
    state->index = calloc(count, sizeof *state->index);
    if (!state->index)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (; status == IMSG_OK && at < end && (stop = memchr(at, '\n', (size_t)(end - at))) != NULL; at = stop + 1) {
        if (state->count == count)
            break;
        struct line *line = &state->index[state->count];
        if (stop == at)
            continue;
        line->text = imsg_view_of(at, (size_t)(stop - at));
        status = name_line(line->text, line->name, err);
        state->count += status == IMSG_OK;
    }
    return status;
}

static enum imsg_status receive_lines(struct state *state, const char *token, unsigned seconds, struct imsg_error *err)
{
    struct imsg_http_answer answer = {0};
    char *url = NULL, query[32];
    struct imsg_http_request request;
    snprintf(query, sizeof query, "?wait=%u", seconds);
    enum imsg_status status = token_url(state, token, query, &url, err);
    if (status != IMSG_OK)
        goto out;
    request = imsg_remote_request(&state->remote, "GET", url);
    request.bearer = &state->remote;
    request.max = BATCH_MAX;
    request.cut = true;
    request.stall = seconds + WAIT_GRACE;
    request.until_signal = seconds > 0;
    status = imsg_http_do(state->remote.net, &request, &answer, err);
    if (status == IMSG_OK && answer.status != 200 && answer.status != 204 && answer.status != 0) {
        status = imsg_http_refused(&request, &answer, err);
        if (answer.status == 404 || answer.status == 410)
            imsg_error_suggest(err, IMSG_HINT_REGISTER, NULL);
    }
    if (status != IMSG_OK)
        goto out;
    imsg_buf_free(&state->lines);
    state->lines = answer.body;
    answer.body = (struct imsg_buf){0};
    state->more = answer.cut;
    status = index_lines(state, err);
    if (status == IMSG_OK && answer.cut && state->count == 0)
        status =
            imsg_fail(err, IMSG_PROTOCOL, "relay \"%s\": a line of over %d bytes", state->remote.location, BATCH_MAX);
out:
    imsg_http_answer_free(&answer);
    free(url);
    return status;
}

static enum imsg_status http_list(void *opaque, const char *token, struct imsg_waiting *out, struct imsg_error *err)
{
    struct state *state = opaque;
    struct imsg_waiting waiting = {0};
    enum imsg_status status = state->fresh ? IMSG_OK : receive_lines(state, token, 0, err);
    state->fresh = false;
    if (status != IMSG_OK || state->count == 0)
        goto out;
    waiting.more = state->more;
    waiting.names = calloc(state->count, sizeof *waiting.names);
    if (!waiting.names)
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (size_t i = 0; status == IMSG_OK && i < state->count; i++) {
        status = imsg_strdup(state->index[i].name, &waiting.names[i], err);
        waiting.count += status == IMSG_OK;
    }
out:
    if (status == IMSG_OK)
        *out = waiting;
    else
        imsg_waiting_free(&waiting);
    return status;
}

static enum imsg_status http_fetch(void *opaque, const char *token, const char *name, size_t max, struct imsg_buf *out,
                                   struct imsg_error *err)
{
    struct state *state = opaque;
    (void)token;
    for (size_t i = 0; i < state->count; i++) {
        size_t at = (state->next + i) % state->count;
        const struct line *line = &state->index[at];
        if (strcmp(line->name, name) != 0)
            continue;
        state->next = at + 1;
        if (line->text.len > max)
            return imsg_fail(err, IMSG_PROTOCOL, "relay \"%s\": message %.8s… is over %zu bytes",
                             state->remote.location, name, max);
        return imsg_buf_append(out, line->text.ptr, line->text.len, err);
    }
    return imsg_fail(err, IMSG_NO_INPUT, "relay \"%s\": message %.8s… is gone", state->remote.location, name);
}

static bool have_same_names(const struct line *a, const struct line *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(a[i].name, b[i].name) != 0)
            return false;
    return true;
}

static enum imsg_status http_wait(void *opaque, const char *token, unsigned seconds, struct imsg_error *err)
{
    struct state *state = opaque;
    struct line *before = state->index;
    size_t count = state->count;
    state->index = NULL;
    state->count = 0;
    enum imsg_status status = receive_lines(state, token, seconds < WAIT_MAX ? seconds : WAIT_MAX, err);
    state->fresh = status == IMSG_OK;
    /* Messages that the caller refuses stay at the relay and end every long poll at once. */
    bool nothing_new =
        status == IMSG_OK && count > 0 && count == state->count && have_same_names(before, state->index, count);
    free(before);
    if (nothing_new)
        poll(NULL, 0, LOOK_AGAIN * 1000);
    return status;
}

/* ---- acknowledge ---- */

static enum imsg_status http_acknowledge(void *opaque, const char *token, const char *const *names, size_t count,
                                         struct imsg_error *err)
{
    struct state *state = opaque;
    struct imsg_http_request request;
    struct imsg_http_answer answer = {0};
    struct imsg_buf body = {0};
    char *url = NULL;
    enum imsg_status status = token_url(state, token, "/acknowledge", &url, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        status = imsg_buf_text(&body, names[i], err);
        if (status == IMSG_OK)
            status = imsg_buf_text(&body, "\n", err);
    }
    if (status != IMSG_OK)
        goto out;
    request = imsg_remote_request(&state->remote, "POST", url);
    request.bearer = &state->remote;
    request.headers[0] = "content-type: text/plain";
    request.body = imsg_buf_view(&body);
    request.max = ANSWER_MAX;
    request.timeout = TIMEOUT;
    status = imsg_http_do(state->remote.net, &request, &answer, err);
    if (status == IMSG_OK && answer.status != 200)
        status = imsg_http_refused(&request, &answer, err);
out:
    imsg_http_answer_free(&answer);
    imsg_buf_free(&body);
    free(url);
    return status;
}

#define COMMON                                                                                                         \
    .mailbox = http_mailbox, .send = http_send, .settle = http_settle, .list = http_list, .fetch = http_fetch,         \
    .acknowledge = http_acknowledge, .wait = http_wait, .close = http_close

const struct relay_backend imsg_relay_http = {.scheme = "https", .open = http_open, COMMON};
const struct relay_backend imsg_relay_http_foreign = {.scheme = "https", .open = http_open_foreign, COMMON};
