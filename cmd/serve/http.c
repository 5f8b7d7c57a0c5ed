/* One request from its headers to its answer, on libmicrohttpd's worker threads; and the deadlines of connections.
 *
 * libmicrohttpd calls `access_request` when the headers are there, for each piece of the body, and once when all is
 * there; an answer can be queued at the first or the last of these calls only. An answer found earlier waits while the
 * rest of the body is thrown away, so that the connection can be used again and the client reads the answer instead of
 * a reset; where the body is long it is queued at once and the connection closed. */
#include "serve/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "serve/protocol.h"
#include "serve/reply.h"
#include "serve/routes.h"
#include "serve/serve.h"

#define HEADER_MS 30000        /* from connecting to the end of the first headers */
#define IDLE_MS 60000          /* from one request to the end of the next one's headers */
#define BODY_MS 60000          /* to send an answer, or for a body; more for each byte of a body that goes to a file */
#define BYTES_PER_MS 16        /* a file that comes slower is cut off */
#define DRAIN_MAX 1048576      /* bytes of a refused body that are read and thrown away */
#define CONNECTION_MEMORY 4096 /* bytes: what a request's headers may take; each idle long poll holds so much */
#define BACKLOG 1024

/* ---- libmicrohttpd's calls ---- */

static struct request *request_new(struct serve *serve, struct MHD_Connection *connection)
{
    struct request *request = calloc(1, sizeof *request);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (!request || !info || !info->socket_context) {
        free(request);
        return NULL;
    }
    request->serve = serve;
    request->connection = connection;
    request->peer = info->socket_context;
    request->route = ROUTE_NONE;
    request->started = imsg_monotonic();
    serve->metrics.active++;
    return request;
}

/* The length of the body by its headers; UINT64_MAX where it is not announced. */
static uint64_t announced_length(const struct request *request)
{
    const char *text = request_header(request, "Content-Length");
    if (!text)
        return request_header(request, "Transfer-Encoding") ? UINT64_MAX : 0;
    return strtoull(text, NULL, 10); /* libmicrohttpd has refused a header that is no number */
}

static void release_body(struct request *request)
{
    if (request->body_held > 0)
        quota_release(&request->serve->bodies, request->source, request->body_held);
    request->body_held = 0;
    imsg_buf_free(&request->body);
}

static enum MHD_Result send_answer(struct request *request)
{
    struct MHD_Response *response = request->response;
    if (!response)
        return MHD_NO; /* no memory: the connection is closed */
    if (request->serve->stopping)
        reply_header(request, "Connection", "close");
    release_body(request);
    request_deadline(request, BODY_MS);
    return MHD_queue_response(request->connection, request->status, response);
}

static enum MHD_Result begin_request(struct request *request, const char *url, const char *method, const char *version)
{
    uint64_t length = announced_length(request);
    snprintf(request->method, sizeof request->method, "%s", method);
    for (char *at = request->method; *at; at++) /* it is written to the log */
        *at = (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z') || *at == '-' ? *at : '?';
    request_deadline(request, BODY_MS);
    check_protocol(request, version);
    if (request->response)
        return send_answer(request); /* the end of its body is unknown, so nothing can follow on the connection */
    route_request(request, url, method);
    if (!request->verb && !request->response)
        return MHD_NO; /* no memory for the answer */
    if (!request->response && request->serve->stopping)
        reply_later(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", 1);
    if (request->verb && !request->response) {
        if (length != UINT64_MAX && length > request->verb->body_max && request->verb->body_max)
            reply_reason(request, MHD_HTTP_CONTENT_TOO_LARGE, "PayloadTooLarge");
        else if (request->verb->begin)
            request->verb->begin(request);
    }
    if (!request->response)
        return MHD_YES;
    request->draining = true;
    bool waits = request_header(request, "Expect") != NULL; /* for "100 Continue" before it sends the body */
    if (length == 0 || (length <= DRAIN_MAX && !waits) || (length == UINT64_MAX && !waits))
        return MHD_YES;
    return send_answer(request);
}

/* Memory for so many more bytes of the body. Only what has come is reserved, rounded up to twice what was there. */
static bool reserve_body(struct request *request, size_t len)
{
    size_t need = request->body.len + len + 1, held = request->body_held;
    if (need <= held)
        return true;
    size_t want = need > 2 * held ? need : 2 * held;
    if (!quota_reserve(&request->serve->bodies, request_source(request), 0, want - held))
        return false;
    request->body_held = want;
    return imsg_buf_reserve(&request->body, want - request->body.len - 1, NULL) == IMSG_OK;
}

static void append_body(struct request *request, const char *bytes, size_t len)
{
    if (request->body.len + len > request->verb->body_max) {
        reply_reason(request, MHD_HTTP_CONTENT_TOO_LARGE, "PayloadTooLarge");
    } else if (!reserve_body(request, len) || imsg_buf_append(&request->body, bytes, len, NULL) != IMSG_OK) {
        request->serve->metrics.limited++;
        reply_later(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", 1);
    }
    if (request->response)
        release_body(request);
}

static enum MHD_Result collect_body(struct request *request, const char *bytes, size_t len)
{
    if (!request->draining && (request->verb->data || request->verb->body_max)) {
        if (request->verb->data) {
            request->verb->data(request, imsg_view_of(bytes, len));
            request->peer->deadline += len / BYTES_PER_MS;
        } else {
            append_body(request, bytes, len);
        }
        request->draining = request->response != NULL;
        return MHD_YES;
    }
    request->drained += len;
    return request->drained <= DRAIN_MAX ? MHD_YES : MHD_NO;
}

static enum MHD_Result access_request(void *context, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *upload, size_t *upload_len,
                                      void **state)
{
    struct serve *serve = context;
    struct request *request = *state;
    if (!request) {
        request = *state = request_new(serve, connection);
        return request ? begin_request(request, url, method, version) : MHD_NO;
    }
    if (*upload_len > 0) {
        size_t len = *upload_len;
        *upload_len = 0;
        return collect_body(request, upload, len);
    }
    if (request->parked) {
        request->parked = false;
        request->verb->woken(request);
    } else if (!request->response) {
        request->verb->end(request);
    }
    return request->parked ? MHD_YES : send_answer(request);
}

static void request_completed(void *context, struct MHD_Connection *connection, void **state,
                              enum MHD_RequestTerminationCode code)
{
    struct serve *serve = context;
    struct request *request = *state;
    (void)connection;
    (void)code;
    if (!request)
        return;
    if (request->verb && request->verb->drop)
        request->verb->drop(request);
    if (request->response) {
        metrics_count(&serve->metrics, request->route, request->status);
        log_request(request);
        MHD_destroy_response(request->response);
    }
    request_deadline(request, IDLE_MS);
    release_body(request);
    free(request->handle);
    free(request->state);
    free(request);
    *state = NULL;
    serve->metrics.active--;
}

static void connection_event(void *context, struct MHD_Connection *connection, void **state,
                             enum MHD_ConnectionNotificationCode code)
{
    struct serve *serve = context;
    struct peer *peer = *state;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        peer = calloc(1, sizeof *peer);
        if (!peer || !info) {
            free(peer); /* request_new closes the connection */
            return;
        }
        peer->fd = info->connect_fd;
        peer->deadline = imsg_monotonic() + HEADER_MS;
        pthread_mutex_lock(&serve->peers.lock);
        peer->next = serve->peers.first;
        if (peer->next)
            peer->next->prev = peer;
        serve->peers.first = peer;
        pthread_mutex_unlock(&serve->peers.lock);
        *state = peer;
        serve->metrics.connections++;
        serve->metrics.connections_open++;
    } else if (peer) {
        pthread_mutex_lock(&serve->peers.lock);
        if (peer->next)
            peer->next->prev = peer->prev;
        if (peer->prev)
            peer->prev->next = peer->next;
        else
            serve->peers.first = peer->next;
        pthread_mutex_unlock(&serve->peers.lock);
        free(peer);
        *state = NULL;
        serve->metrics.connections_open--;
    }
}

void http_tick(struct serve *serve)
{
    uint64_t now = imsg_monotonic();
    pthread_mutex_lock(&serve->peers.lock);
    for (struct peer *peer = serve->peers.first; peer; peer = peer->next) {
        if (peer->deadline > now)
            continue;
        /* Its worker thread sees the end of the stream, and closes. A descriptor in the list is open. */
        shutdown(peer->fd, SHUT_RDWR);
        peer->deadline = UINT64_MAX;
        serve->metrics.overdue++;
    }
    pthread_mutex_unlock(&serve->peers.lock);
}

IMSG_PRINTF(2, 0) static void note_library_error(void *context, const char *format, va_list arguments)
{
    struct serve *serve = context;
    char text[512];
    int len = vsnprintf(text, sizeof text, format, arguments);
    while (len > 0 && (size_t)len < sizeof text && text[len - 1] == '\n')
        text[--len] = 0;
    cli_detail(serve->cli, "%s", text);
}

enum imsg_status http_start(struct serve *serve, struct imsg_view cert, struct imsg_view key, struct imsg_error *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = cores < 2 ? 2 : cores > 16 ? 16 : (unsigned)cores;
    if (threads > serve->connections) /* each thread has an equal part of them */
        threads = (unsigned)serve->connections;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)request_completed, serve},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)connection_event, serve},
        {MHD_OPTION_LISTEN_SOCKET, serve->listener.fd, NULL},
        {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)serve->connections, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_LISTEN_BACKLOG_SIZE, BACKLOG, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)remember_target, NULL},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        {MHD_OPTION_END, 0, NULL}, /* without TLS the list ends here */
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert.ptr},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {MHD_OPTION_END, 0, NULL},
    };
    size_t tls = 10;
    if (!serve->plain_http) {
        flags |= MHD_USE_TLS;
        options[tls] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key.ptr};
    }
    serve->daemon = MHD_start_daemon(flags, 0, NULL, NULL, access_request, serve, MHD_OPTION_EXTERNAL_LOGGER,
                                     note_library_error, serve, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (!serve->daemon)
        return imsg_fail(err, IMSG_CONFIG, "cannot serve on %s: certificate and key do not fit, or are no PEM",
                         serve->listener.address);
    return IMSG_OK;
}

void http_quiesce(struct serve *serve)
{
    if (serve->daemon)
        MHD_quiesce_daemon(serve->daemon);
}

void http_stop(struct serve *serve)
{
    if (serve->daemon)
        MHD_stop_daemon(serve->daemon);
    serve->daemon = NULL;
}
