/* What every part does with a request: read its headers, park it, resume it. */
#include "serve/request.h"

#include <string.h>

#include "base/text.h"

const char *const route_names[ROUTE_COUNT] = {
    [ROUTE_ENTRY] = "directory", [ROUTE_DEVICE] = "device",   [ROUTE_STORE] = "store",
    [ROUTE_HEALTH] = "healthz",  [ROUTE_METRICS] = "metrics", [ROUTE_NONE] = "none",
};

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

bool hash_decode(const char *text, uint8_t out[static 32])
{
    return imsg_hex_decode(imsg_view_of(text, strnlen(text, 64)), out, 32, NULL) == IMSG_OK;
}

void request_deadline(struct request *request, int64_t milliseconds)
{
    request->peer->deadline = milliseconds < 0 ? UINT64_MAX : imsg_monotonic() + (uint64_t)milliseconds;
}

void request_park(struct request *request)
{
    request->parked = true;
    request_deadline(request, -1);
    MHD_suspend_connection(request->connection);
}

void request_resume(struct request *request, enum imsg_status result)
{
    request->result = result;
    MHD_resume_connection(request->connection);
}
