/* One line on standard error for each request, in one write. It has no bearer token, key or body. A device is named by
 * the first digits of its (public) token; a handle only with --log-handles. The names of entries are left out, for they
 * are hashes that anybody can compare with those of known handles. */
#include "serve/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "serve/serve.h"

#define DEVICE_BYTES 4 /* of a token */

static void write_line(struct imsg_buf *line)
{
    size_t sent = 0;
    while (sent < line->len) {
        ssize_t got = write(STDERR_FILENO, line->ptr + sent, line->len - sent);
        if (got <= 0)
            return; /* standard error is closed */
        sent += (size_t)got;
    }
}

static void write_json(const struct request *request, const char *time, const char *device, struct imsg_buf *line)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:I}", "time", time, "method", request->method, "route",
                               route_names[request->route], "status", (int)request->status, "ms",
                               (json_int_t)(imsg_monotonic() - request->started));
    bool good = object != NULL;
    if (good && request->reason)
        good = json_object_set_new(object, "reason", json_string(request->reason)) == 0;
    if (good && *device)
        good = json_object_set_new(object, "device", json_string(device)) == 0;
    if (good && request->handle && request->serve->log_handles)
        good = json_object_set_new(object, "handle", json_string(request->handle)) == 0;
    if (good && imsg_json_print(object, line, NULL) == IMSG_OK && imsg_buf_text(line, "\n", NULL) == IMSG_OK)
        write_line(line);
    json_decref(object);
}

void log_request(const struct request *request)
{
    const struct serve *serve = request->serve;
    static const uint8_t nobody[IMSG_TOKEN];
    struct imsg_buf line = {0};
    char time[21], device[2 * DEVICE_BYTES + 1] = "", text[512];
    if (serve->log == LOG_NONE)
        return;
    imsg_time_format(imsg_now(), time);
    if (memcmp(request->sender, nobody, IMSG_TOKEN) != 0)
        imsg_hex(request->sender, DEVICE_BYTES, device);
    if (serve->log == LOG_JSON) {
        write_json(request, time, device, &line);
    } else {
        snprintf(text, sizeof text, "%s %s %s %u %s%s%s%s%s %lld ms\n", time, request->method,
                 route_names[request->route], request->status, request->reason ? request->reason : "-",
                 *device ? " device " : "", device, request->handle && serve->log_handles ? " " : "",
                 request->handle && serve->log_handles ? request->handle : "",
                 (long long)(imsg_monotonic() - request->started));
        if (imsg_buf_text(&line, text, NULL) == IMSG_OK)
            write_line(&line);
    }
    imsg_buf_free(&line);
}
