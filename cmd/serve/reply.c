/* An answer may be made at any call of libmicrohttpd; http.c queues it at the next one that allows it. */
#include "serve/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "serve/serve.h"

void reply(struct request *request, unsigned status, struct MHD_Response *response)
{
    if (request->response) {
        if (response)
            MHD_destroy_response(response);
        return;
    }
    request->response = response;
    request->status = status;
}

void reply_header(struct request *request, const char *name, const char *value)
{
    if (request->response && MHD_add_response_header(request->response, name, value) != MHD_YES)
        cli_detail(request->serve->cli, "an answer lacks its %s", name);
}

static void reply_text(struct request *request, unsigned status, const char *type, const char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (request->response) { /* the first one stands, and so do its headers */
        if (response)
            MHD_destroy_response(response);
        return;
    }
    reply(request, status, response);
    if (*text)
        reply_header(request, "Content-Type", type);
}

void reply_empty(struct request *request, unsigned status)
{
    reply_text(request, status, "", "");
}

void reply_reason(struct request *request, unsigned status, const char *reason)
{
    char text[128];
    if (request->response)
        return;
    request->reason = reason;
    snprintf(text, sizeof text, "{\"reason\":\"%s\"}", reason);
    reply_text(request, status, "application/json", text);
}

void reply_later(struct request *request, unsigned status, const char *reason, unsigned seconds)
{
    char text[16];
    if (request->response)
        return;
    reply_reason(request, status, reason);
    snprintf(text, sizeof text, "%u", seconds);
    reply_header(request, "Retry-After", text);
}

void reply_unregistered(struct request *request, int64_t gone)
{
    char text[96];
    if (request->response)
        return;
    request->reason = "Unregistered";
    snprintf(text, sizeof text, "{\"reason\":\"Unregistered\",\"timestamp\":%lld}",
             (long long)(gone ? gone : (int64_t)imsg_now() * 1000));
    reply_text(request, MHD_HTTP_GONE, "application/json", text);
}

void reply_body(struct request *request, unsigned status, const char *type, struct imsg_buf *body)
{
    if (!request->response) {
        struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(body->len, body->ptr, free);
        if (response)
            *body = (struct imsg_buf){0};
        reply(request, status, response);
        reply_header(request, "Content-Type", type);
    }
    imsg_buf_free(body);
}

void reply_failure(struct request *request, enum imsg_status status)
{
    if (status == IMSG_TEMPORARY || status == IMSG_NO_MEMORY)
        reply_later(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ServiceUnavailable", 5);
    else
        reply_reason(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalServerError");
}
