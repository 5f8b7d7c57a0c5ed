/* A proxy in front and this server must agree on where a request ends, or a client can hide a second request in the
 * body of the first one. So what one program reads in one way and another one in another way is refused: a name of a
 * header with a space, two lengths, a length beside a transfer coding, a NUL (RFC 9112 §5.1, §6.3). libmicrohttpd,
 * depending on its version, takes all of these, answers any version as if it were its own, and reads a body in an
 * unknown transfer coding until the connection ends. */
#include "serve/protocol.h"

#include <string.h>
#include <strings.h>

#include "serve/reply.h"
#include "serve/request.h"

#define TARGET_MAX 65536 /* bytes: more than a request line can have */

/* Headers of which there may be one only, each with its place in struct headers.count. */
static const char *const single[] = {"Content-Length", "Transfer-Encoding", "Host", "Authorization"};
enum { LENGTH, CODING, SINGLES = sizeof single / sizeof single[0] };

struct headers {
    unsigned count[SINGLES];
    bool bad_name;
};

static bool is_token(const char *name) /* RFC 9110 §5.6.2 */
{
    if (!*name)
        return false;
    for (; *name; name++)
        if (!(*name >= 'a' && *name <= 'z') && !(*name >= 'A' && *name <= 'Z') && !(*name >= '0' && *name <= '9') &&
            !strchr("!#$%&'*+-.^_`|~", *name))
            return false;
    return true;
}

static enum MHD_Result examine_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct headers *headers = context;
    (void)kind;
    (void)value;
    headers->bad_name |= !is_token(name);
    for (size_t i = 0; i < SINGLES; i++)
        headers->count[i] += strcasecmp(name, single[i]) == 0;
    return MHD_YES;
}

static bool headers_are_good(const struct headers *headers)
{
    for (size_t i = 0; i < SINGLES; i++)
        if (headers->count[i] > 1)
            return false;
    return !headers->bad_name && !(headers->count[LENGTH] && headers->count[CODING]);
}

void *remember_target(void *context, const char *target, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct peer *peer = info ? info->socket_context : NULL;
    (void)context;
    if (peer)
        peer->target_end = target + strlen(target);
    return NULL;
}

/* Versions of libmicrohttpd that do not refuse a NUL keep the request line in one piece, with a NUL in the place of the
 * space before the version: if the target's first NUL is another one, the client sent it. */
static bool target_has_nul(const struct request *request, const char *version)
{
    uintptr_t end = (uintptr_t)request->peer->target_end, at = (uintptr_t)version;
    return at > end + 1 && at - end < TARGET_MAX;
}

void check_protocol(struct request *request, const char *version)
{
    const char *coding = request_header(request, "Transfer-Encoding");
    struct headers headers = {0};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, examine_header, &headers);
    if (strcmp(version, MHD_HTTP_VERSION_1_1) != 0 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0)
        reply_reason(request, MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED, "BadVersion");
    else if (!headers_are_good(&headers) || target_has_nul(request, version))
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadHeader");
    else if (coding && strcasecmp(coding, "chunked") != 0)
        reply_reason(request, MHD_HTTP_NOT_IMPLEMENTED, "BadTransferEncoding");
    if (request->response)
        reply_header(request, "Connection", "close");
}

size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}
