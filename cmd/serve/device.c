/* /3/device/TOKEN: the relay. The shape is that of Apple's provider API (network.md): path, headers, reasons.
 *
 *   POST /3/device/TOKEN             an envelope line, stored before it is answered
 *   GET /3/device/TOKEN[?wait=N]     what waits, oldest first
 *   DELETE /3/device/TOKEN/HASH      acknowledged: gone for good
 *   POST /3/device/TOKEN/acknowledge as many DELETEs in one transaction; the body names the messages, one a line */
#include "serve/serve.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define LINE_MAX_BYTES 32768 /* of an envelope: base64 of the largest payload, and room for what stands around it */
#define BLOCK 65536          /* bytes of a mailbox read and sent at a time */
#define FULL_RETRY 60        /* seconds */
#define NAMES_MAX 1024       /* messages acknowledged by one request */
#define NAME_LINE 65         /* bytes: 64 hex digits and a newline */

#define ACKNOWLEDGE "/acknowledge"
enum path_form { PATH_TOKEN, PATH_TOKEN_HASH, PATH_TOKEN_ACKNOWLEDGE };

/* Parse the path, which must have the verb's form, and authorize the sender of the request. */
static bool identify(struct request *request, enum path_form form)
{
    const char *tail = request->tail;
    const char *after = route_hash(tail, request->token) ? tail + 64 : NULL;
    if (!after || (form == PATH_TOKEN && *after) || (form == PATH_TOKEN_HASH && *after != '/') ||
        (form == PATH_TOKEN_ACKNOWLEDGE && strcmp(after, ACKNOWLEDGE) != 0)) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadDeviceToken");
        return false;
    }
    if (form == PATH_TOKEN_HASH && (!route_hash(tail + 65, request->hash) || tail[129])) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadMessageId");
        return false;
    }
    return authorize(request, request->sender) && rate_allows(request, request->sender);
}

/* The mailbox of the path, if an entry lists its token. */
static bool find_box(struct request *request)
{
    struct boxes *boxes = &request->serve->boxes;
    pthread_mutex_lock(&boxes->lock);
    request->box = box_find(boxes, request->token, false);
    bool listed = request->box && request->box->limit > 0;
    int64_t gone = request->box ? request->box->gone : 0;
    pthread_mutex_unlock(&boxes->lock);
    if (!listed)
        reply_unregistered(request, gone);
    return listed;
}

static bool own_box(struct request *request, enum path_form form)
{
    if (!identify(request, form))
        return false;
    if (memcmp(request->token, request->sender, IMSG_TOKEN) != 0) {
        request->serve->metrics.refused_tokens++;
        reply_reason(request, MHD_HTTP_FORBIDDEN, "InvalidProviderToken");
        return false;
    }
    return find_box(request);
}

/* ---- POST ---- */

/* apns-expiration: Unix seconds, in the future and at most 30 days away. Ours is 30 days. */
static bool take_expiration(struct request *request)
{
    const char *text = request_header(request, "apns-expiration");
    char *end = NULL;
    int64_t now = imsg_now(), last = now + (int64_t)MESSAGE_DAYS * DAY_SECONDS;
    request->expires = last;
    if (!text)
        return true;
    long long when = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : 0;
    /* A sender's clock may be a little ahead of ours. */
    if (!end || *end || when <= now || when > last + 300) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadExpirationDate");
        return false;
    }
    request->expires = when < last ? when : last;
    return true;
}

static void post_begin(struct request *request)
{
    const char *id = request_header(request, "apns-id");
    if (!identify(request, PATH_TOKEN))
        return;
    if (id && !imsg_uuid_valid(id))
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadMessageId");
    else if (take_expiration(request))
        find_box(request);
}

/* The body is one line, so that a mailbox is JSON Lines; its newline is not kept. */
static bool one_line(struct imsg_buf *body)
{
    if (body->len > 0 && body->ptr[body->len - 1] == '\n')
        body->len--;
    return body->len > 0 && !memchr(body->ptr, '\n', body->len) && !memchr(body->ptr, '\r', body->len);
}

static void check_envelope(struct request *request, const struct imsg_envelope *envelope)
{
    const char *id = request_header(request, "apns-id");
    if (memcmp(envelope->from_token, request->sender, IMSG_TOKEN) != 0) {
        request->serve->metrics.refused_tokens++;
        reply_reason(request, MHD_HTTP_FORBIDDEN, "InvalidProviderToken");
    } else if (memcmp(envelope->to_token, request->token, IMSG_TOKEN) != 0) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadDeviceToken");
    } else if (id && strcmp(id, envelope->id) != 0) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadMessageId");
    } else {
        struct box box = {0};
        box_look(&request->serve->boxes, request->token, &box);
        if (box.limit == 0)
            reply_unregistered(request, box.gone);
        else if (envelope->payload.len > box.limit)
            reply_reason(request, MHD_HTTP_CONTENT_TOO_LARGE, "PayloadTooLarge");
    }
    memcpy(request->hash, envelope->hash, sizeof request->hash);
    memcpy(request->id, envelope->id, sizeof request->id);
}

static enum imsg_status insert(struct serve *serve, const struct request *request, bool *stored, struct imsg_error *err)
{
    database_blob(&serve->db, SQL_POST, 1, imsg_view_of(request->token, IMSG_TOKEN));
    database_blob(&serve->db, SQL_POST, 2, imsg_view_of(request->hash, sizeof request->hash));
    database_number(&serve->db, SQL_POST, 3, imsg_now());
    database_number(&serve->db, SQL_POST, 4, request->expires);
    database_blob(&serve->db, SQL_POST, 5, imsg_buf_view(&request->body));
    enum imsg_status status = database_run(&serve->db, SQL_POST, err);
    *stored = status == IMSG_OK && sqlite3_changes(serve->db.writer) > 0;
    return status;
}

/* It is there already: until the later of both dates. The earlier one may be past, and the message not deleted yet. */
static enum imsg_status extend(struct serve *serve, const struct request *request, bool *held, struct imsg_error *err)
{
    database_blob(&serve->db, SQL_EXTEND, 1, imsg_view_of(request->token, IMSG_TOKEN));
    database_blob(&serve->db, SQL_EXTEND, 2, imsg_view_of(request->hash, sizeof request->hash));
    database_number(&serve->db, SQL_EXTEND, 3, request->expires);
    enum imsg_status status = database_run(&serve->db, SQL_EXTEND, err);
    *held = status == IMSG_OK && sqlite3_changes(serve->db.writer) > 0;
    return status;
}

/* On the writer thread, in its transaction: only it changes the numbers of a box. */
static enum imsg_status post_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct request *request = (struct request *)job;
    struct box *box = request->box;
    int64_t size = (int64_t)request->body.len;
    request->outcome = OUTCOME_UNREGISTERED;
    if (box->limit == 0) /* since the headers were looked at; only this thread changes it */
        return IMSG_OK;
    bool full = (int64_t)box->count + box->new_count >= (int64_t)serve->mailbox_count ||
                (int64_t)box->bytes + box->new_bytes + size > (int64_t)serve->mailbox_bytes;
    bool stored = false, held = false;
    enum imsg_status status = full ? IMSG_OK : insert(serve, request, &stored, err);
    if (status == IMSG_OK && !stored)
        status = extend(serve, request, &held, err);
    request->outcome = stored ? OUTCOME_DONE : held ? OUTCOME_DUPLICATE : OUTCOME_FULL;
    if (stored) {
        box->new_count++;
        box->new_bytes += size;
    }
    box->new_arrival |= stored || held;
    return status;
}

static void job_done(struct serve *serve, struct job *job, enum imsg_status status)
{
    struct request *request = (struct request *)job;
    request->failure = status;
    box_settle(&serve->boxes, request->box, status == IMSG_OK);
    request_resume(request); /* and it may be gone */
}

static void post_end(struct request *request)
{
    struct imsg_envelope envelope = {0};
    if (request->body.len == 0) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "PayloadEmpty");
        return;
    }
    if (!one_line(&request->body) || imsg_envelope_parse(imsg_buf_view(&request->body), &envelope, NULL) != IMSG_OK) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadEnvelope");
        return;
    }
    check_envelope(request, &envelope);
    if (request->serve->log_handles && imsg_strdup(envelope.to, &request->handle, NULL) != IMSG_OK)
        request->handle = NULL;
    imsg_envelope_free(&envelope);
    if (request->response)
        return;
    if (imsg_buf_text(&request->body, "\n", NULL) != IMSG_OK) {
        reply_failure(request, IMSG_NO_MEMORY);
        return;
    }
    request->job.run = post_run;
    request->job.done = job_done;
    request_park(request, &request->serve->writer);
}

static void post_woken(struct request *request)
{
    struct metrics *metrics = &request->serve->metrics;
    if (request->failure != IMSG_OK) {
        reply_failure(request, request->failure);
    } else if (request->outcome == OUTCOME_UNREGISTERED) {
        struct box box = {0};
        box_look(&request->serve->boxes, request->token, &box);
        reply_unregistered(request, box.gone);
    } else if (request->outcome == OUTCOME_FULL) {
        metrics->limited++;
        reply_later(request, MHD_HTTP_TOO_MANY_REQUESTS, "TooManyRequests", FULL_RETRY);
    } else {
        if (request->outcome == OUTCOME_DUPLICATE)
            metrics->duplicates++;
        else
            metrics->delivered++;
        reply_empty(request, MHD_HTTP_OK);
        reply_header(request, "apns-id", request->id);
    }
}

/* ---- GET ---- */

struct stream { /* a mailbox longer than one block */
    struct serve *serve;
    struct peer *peer;
    uint8_t token[IMSG_TOKEN];
    int64_t after;
    struct imsg_buf block;
    size_t sent;
    bool more;
};

static ssize_t stream_read(void *context, uint64_t position, char *out, size_t max)
{
    struct stream *stream = context;
    (void)position;
    if (stream->sent == stream->block.len) {
        imsg_buf_clear(&stream->block);
        stream->sent = 0;
        if (stream->more && database_messages(&stream->serve->db, stream->token, &stream->after, BLOCK, &stream->block,
                                              &stream->more, NULL) != IMSG_OK)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (stream->block.len == 0)
            return MHD_CONTENT_READER_END_OF_STREAM;
        stream->peer->deadline = now_ms() + 60000; /* for each block: whoever reads slower than 1 KiB/s is cut off */
    }
    size_t len = stream->block.len - stream->sent < max ? stream->block.len - stream->sent : max;
    memcpy(out, stream->block.ptr + stream->sent, len);
    stream->sent += len;
    return (ssize_t)len;
}

static void stream_free(void *context)
{
    struct stream *stream = context;
    imsg_buf_free(&stream->block);
    free(stream);
}

static void reply_stream(struct request *request, int64_t after, struct imsg_buf *block)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        reply_failure(request, IMSG_NO_MEMORY);
        return;
    }
    *stream =
        (struct stream){.serve = request->serve, .peer = request->peer, .after = after, .block = *block, .more = true};
    memcpy(stream->token, request->token, IMSG_TOKEN);
    *block = (struct imsg_buf){0};
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK / 4, stream_read, stream, stream_free);
    if (!response)
        stream_free(stream);
    reply(request, MHD_HTTP_OK, response);
    reply_header(request, "Content-Type", "application/x-ndjson");
}

/* What waits, or park, or nothing. True: something changed meanwhile, so look again. */
static bool look(struct request *request)
{
    enum box_wait wait = BOX_OVER;
    struct imsg_buf block = {0};
    struct imsg_error err = {0};
    int64_t after = 0;
    bool more = false;
    struct box box = {0};
    box_look(&request->serve->boxes, request->token, &box);
    enum imsg_status status = IMSG_OK;
    if (box.count > 0)
        status = database_messages(&request->serve->db, request->token, &after, BLOCK, &block, &more, &err);
    if (status != IMSG_OK) {
        cli_note(request->serve->cli, "%s", err.text);
        reply_failure(request, status);
    } else if (box.limit == 0) {
        reply_unregistered(request, box.gone);
    } else if (more) {
        reply_stream(request, after, &block);
    } else {
        if (block.len == 0 && request->wait_until > now_ms())
            wait = box_wait(&request->serve->boxes, request, box.arrivals);
        if (wait == BOX_OVER)
            reply_body(request, MHD_HTTP_OK, "application/x-ndjson", &block);
    }
    imsg_buf_free(&block);
    return wait == BOX_CHANGED;
}

static void get_now(struct request *request)
{
    while (look(request))
        ;
}

static void get_end(struct request *request)
{
    const char *text = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, "wait");
    char *end = NULL;
    unsigned long seconds = 0;
    if (!own_box(request, PATH_TOKEN))
        return;
    if (text) {
        seconds = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
        if (!end || *end) {
            reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadWait");
            return;
        }
    }
    request->wait_until = now_ms() + 1000 * (int64_t)(seconds < WAIT_MAX ? seconds : WAIT_MAX);
    get_now(request);
}

/* ---- DELETE, and POST …/acknowledge ---- */

static enum imsg_status delete_message(struct serve *serve, struct request *request, const uint8_t hash[static 32],
                                       struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    database_blob(&serve->db, SQL_ACKNOWLEDGE, 1, imsg_view_of(request->token, IMSG_TOKEN));
    database_blob(&serve->db, SQL_ACKNOWLEDGE, 2, imsg_view_of(hash, 32));
    if (database_row(&serve->db, SQL_ACKNOWLEDGE, &status, err)) {
        request->box->new_count--;
        request->box->new_bytes -= sqlite3_column_int64(serve->db.statements[SQL_ACKNOWLEDGE], 0);
        request->deleted++;
        database_row(&serve->db, SQL_ACKNOWLEDGE, &status, err); /* to its end */
    }
    database_reset(&serve->db, SQL_ACKNOWLEDGE);
    return status;
}

static enum imsg_status delete_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct request *request = (struct request *)job;
    request->deleted = 0;
    return delete_message(serve, request, request->hash, err);
}

static void delete_end(struct request *request)
{
    if (!own_box(request, PATH_TOKEN_HASH))
        return;
    request->job.run = delete_run;
    request->job.done = job_done;
    request_park(request, &request->serve->writer);
}

static void delete_woken(struct request *request)
{
    if (request->failure != IMSG_OK) {
        reply_failure(request, request->failure);
    } else {
        request->serve->metrics.acknowledged += request->deleted;
        reply_empty(request, MHD_HTTP_OK);
    }
}

static void acknowledge_begin(struct request *request)
{
    own_box(request, PATH_TOKEN_ACKNOWLEDGE);
}

/* The body becomes the names' bytes, 32 each. */
static bool decode_names(struct imsg_buf *body)
{
    size_t count = 0;
    if (body->ptr[body->len - 1] == '\n')
        body->len--;
    for (size_t at = 0; at <= body->len; at += NAME_LINE, count++) {
        uint8_t hash[32];
        if (body->len - at < 64 || !route_hash((const char *)body->ptr + at, hash) ||
            (at + 64 < body->len && body->ptr[at + 64] != '\n'))
            return false;
        memcpy(body->ptr + 32 * count, hash, sizeof hash);
    }
    body->len = 32 * count;
    return true;
}

static enum imsg_status acknowledge_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct request *request = (struct request *)job;
    enum imsg_status status = IMSG_OK;
    request->deleted = 0;
    for (size_t at = 0; at < request->body.len && status == IMSG_OK; at += 32)
        status = delete_message(serve, request, request->body.ptr + at, err);
    return status;
}

static void acknowledge_end(struct request *request)
{
    if (request->body.len == 0) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "PayloadEmpty");
    } else if (!decode_names(&request->body)) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadMessageId");
    } else {
        request->job.run = acknowledge_run;
        request->job.done = job_done;
        request_park(request, &request->serve->writer);
    }
}

const struct verb device_verbs[] = {
    {.method = "POST",
     .suffix = ACKNOWLEDGE,
     .body_max = NAMES_MAX * NAME_LINE,
     .begin = acknowledge_begin,
     .end = acknowledge_end,
     .woken = delete_woken},
    {.method = "POST", .body_max = LINE_MAX_BYTES, .begin = post_begin, .end = post_end, .woken = post_woken},
    {.method = "GET", .end = get_end, .woken = get_now},
    {.method = "DELETE", .end = delete_end, .woken = delete_woken},
    {.method = NULL},
};

/* ---- expiry ---- */

struct expiry {
    struct job job;
    struct box *boxes[500];
    size_t count;
};

static enum imsg_status expire_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct expiry *expiry = (struct expiry *)job;
    enum imsg_status status = IMSG_OK;
    database_number(&serve->db, SQL_EXPIRE, 1, imsg_now());
    while (expiry->count < sizeof expiry->boxes / sizeof expiry->boxes[0] &&
           database_row(&serve->db, SQL_EXPIRE, &status, err)) {
        sqlite3_stmt *row = serve->db.statements[SQL_EXPIRE];
        const uint8_t *token = sqlite3_column_blob(row, 0);
        if (!token || sqlite3_column_bytes(row, 0) != IMSG_TOKEN)
            continue;
        pthread_mutex_lock(&serve->boxes.lock);
        struct box *box = box_find(&serve->boxes, token, false);
        pthread_mutex_unlock(&serve->boxes.lock);
        if (!box)
            continue;
        box->new_count--;
        box->new_bytes -= sqlite3_column_int64(row, 1);
        expiry->boxes[expiry->count++] = box;
    }
    database_reset(&serve->db, SQL_EXPIRE);
    return status;
}

static void expire_done(struct serve *serve, struct job *job, enum imsg_status status)
{
    struct expiry *expiry = (struct expiry *)job;
    for (size_t i = 0; i < expiry->count; i++)
        box_settle(&serve->boxes, expiry->boxes[i], status == IMSG_OK);
    if (status == IMSG_OK)
        serve->metrics.expired += expiry->count;
}

void device_expire(struct serve *serve)
{
    struct expiry expiry = {.job = {.run = expire_run, .done = expire_done}};
    do {
        expiry.count = 0;
        if (queue_wait(&serve->writer, &expiry.job) != IMSG_OK)
            break;
    } while (expiry.count == sizeof expiry.boxes / sizeof expiry.boxes[0]);
}
