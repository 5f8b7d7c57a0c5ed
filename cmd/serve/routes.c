/* The table of routes, and the two that are not worth a file of their own: /healthz and /metrics. */
#include "serve/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imsg-net.h"
#include "serve/device.h"
#include "serve/reply.h"
#include "serve/serve.h"

static void health_end(struct request *request)
{
    if (storage_is_healthy(request->serve->storage))
        reply_empty(request, MHD_HTTP_OK);
    else
        reply_later(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", 5);
}

static void metrics_end(struct request *request)
{
    struct imsg_buf text = {0};
    struct imsg_error err = {0};
    enum exposure to = request->serve->metrics_for;
    if (to == METRICS_OFF || (to == METRICS_LOOPBACK && !request_is_from_loopback(request))) {
        reply_reason(request, MHD_HTTP_NOT_FOUND, "BadPath");
        return;
    }
    enum imsg_status status = metrics_print(request->serve, &text, &err);
    if (status == IMSG_OK)
        reply_body(request, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &text);
    else
        reply_failure(request, status);
    imsg_buf_free(&text);
}

static const struct verb health_verbs[] = {{.method = "GET", .end = health_end}, {.method = NULL}};
static const struct verb metrics_verbs[] = {{.method = "GET", .end = metrics_end}, {.method = NULL}};

static const struct {
    const char *path;
    bool whole; /* the path ends here */
    enum route route;
    const struct verb *verbs;
} routes[] = {
    {"/" IMSG_RELAY_PATH, false, ROUTE_DEVICE, device_verbs},
    {"/" IMSG_ENTRY_FOLDER "/", false, ROUTE_ENTRY, entry_verbs},
    {"/" IMSG_STORE_PATH, false, ROUTE_STORE, store_verbs},
    {"/healthz", true, ROUTE_HEALTH, health_verbs},
    {"/metrics", true, ROUTE_METRICS, metrics_verbs},
};

static bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static void reply_no_such_method(struct request *request, const struct verb *verbs)
{
    char allow[64] = "";
    size_t len = 0;
    for (const struct verb *verb = verbs; verb->method; verb++)
        if (!verb->suffix)
            len += (size_t)snprintf(allow + len, sizeof allow - len, "%s%s", len ? ", " : "", verb->method);
    if (strcmp(verbs[0].method, "GET") == 0)
        snprintf(allow + len, sizeof allow - len, ", HEAD");
    reply_reason(request, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed");
    reply_header(request, "Allow", allow);
}

static void make_state(struct request *request)
{
    size_t size = request->verb->state_size;
    if (size == 0)
        return;
    request->state = calloc(1, size);
    if (!request->state) {
        request->verb = NULL;
        reply_failure(request, IMSG_NO_MEMORY);
    }
}

void route_request(struct request *request, const char *url, const char *method)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t len = strlen(routes[i].path);
        if (strncmp(url, routes[i].path, len) != 0 || (routes[i].whole && url[len]))
            continue;
        request->route = routes[i].route;
        /* A longer tail is cut; the rest is still longer than any valid path. */
        snprintf(request->tail, sizeof request->tail, "%s", url + len);
        /* HEAD is GET, and libmicrohttpd leaves the body out; but not for a mailbox, where GET may wait. */
        bool head = strcmp(method, "HEAD") == 0 && routes[i].route != ROUTE_DEVICE;
        for (const struct verb *verb = routes[i].verbs; verb->method && !request->verb; verb++)
            if (strcmp(verb->method, head ? "GET" : method) == 0 &&
                (!verb->suffix || ends_with(request->tail, verb->suffix)))
                request->verb = verb;
        if (!request->verb)
            reply_no_such_method(request, routes[i].verbs);
        else
            make_state(request);
        return;
    }
    reply_reason(request, MHD_HTTP_NOT_FOUND, "BadPath");
}
