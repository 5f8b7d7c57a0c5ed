/* A store on a server that takes PUT and gives GET, WebDAV for one; objects are at BASE/store/<sha256>.
 * The name is known only when the last byte is, so an object waits in a file without a name until it goes out. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "base/url.h"
#include "crypto/crypto.h"
#include "net/backend.h"
#include "net/remote.h"

#define ANSWER_MAX 65536 /* bytes of an answer to a PUT, which nobody reads */

static void http_close(void *opaque)
{
    struct imsg_remote *remote = opaque;
    if (!remote)
        return;
    imsg_remote_free(remote);
    free(remote);
}

static enum imsg_status http_open(const char *location, struct imsg_net *net, void **out, struct imsg_error *err)
{
    struct imsg_remote *remote = calloc(1, sizeof *remote);
    if (!remote)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = imsg_remote_open(remote, "store", location, net, true, err);
    if (status == IMSG_OK)
        *out = remote;
    else
        http_close(remote);
    return status;
}

/* ---- put ---- */

enum imsg_status imsg_store_temp(const struct imsg_net *net, struct imsg_store_put *put, struct imsg_error *err)
{
    enum imsg_status status = imsg_unnamed_create(net->temp ? net->temp : "/var/tmp", 0600, &put->fd, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "temporary file");
    return status;
}

static enum imsg_status http_begin(void *opaque, struct imsg_store_put *put, struct imsg_error *err)
{
    const struct imsg_remote *remote = opaque;
    return imsg_store_temp(remote->net, put, err);
}

enum imsg_status imsg_store_send(struct imsg_net *net, struct imsg_http_request *request,
                                 const struct imsg_store_put *put, unsigned also, struct imsg_error *err)
{
    struct imsg_http_answer answer = {0};
    struct stat st;
    if (fstat(put->fd, &st) != 0)
        return imsg_fail_errno(err, IMSG_IO, errno, "temporary file");
    request->fd = put->fd;
    request->size = (uint64_t)st.st_size;
    request->how = put->how;
    request->max = ANSWER_MAX;
    enum imsg_status status = imsg_http_do(net, request, &answer, err);
    if (status == IMSG_OK && answer.status != 200 && answer.status != 201 && answer.status != 204 &&
        answer.status != also)
        status = imsg_http_refused(request, &answer, err);
    imsg_http_answer_free(&answer);
    return status;
}

static enum imsg_status http_commit(void *opaque, struct imsg_store_put *put, const char *sha256, char **uri,
                                    struct imsg_error *err)
{
    struct imsg_remote *remote = opaque;
    char *url = NULL, path[sizeof IMSG_STORE_PATH + 64];
    struct imsg_http_request request;
    snprintf(path, sizeof path, IMSG_STORE_PATH "%s", sha256);
    enum imsg_status status = imsg_remote_url(remote, path, &url, err);
    if (status != IMSG_OK)
        return status;
    request = imsg_remote_request(remote, "PUT", url);
    request.bearer = remote;
    request.headers[0] = "content-type: application/octet-stream";
    status = imsg_store_send(remote->net, &request, put, 0, err);
    if (status == IMSG_OK)
        *uri = url;
    else
        free(url);
    return status;
}

/* ---- get ---- */

enum imsg_status imsg_store_fetch(struct imsg_net *net, struct imsg_http_request *request,
                                  const struct imsg_store_read *read, struct imsg_error *err)
{
    struct imsg_http_answer answer = {0};
    request->from = read->from;
    request->max = read->max;
    request->sink = read->sink;
    request->context = read->context;
    enum imsg_status status = imsg_http_do(net, request, &answer, err);
    if (status == IMSG_OK && answer.status == 404)
        status = imsg_fail(err, IMSG_UNAVAILABLE, "store \"%s\" has no object \"%s\"", request->place, read->uri);
    else if (status == IMSG_OK && answer.status != 200 && answer.status != 206)
        status = imsg_http_refused(request, &answer, err);
    imsg_http_answer_free(&answer);
    return status;
}

static enum imsg_status get_object(struct imsg_net *net, const char *place, const char *socket,
                                   const struct imsg_store_read *read, struct imsg_error *err)
{
    struct imsg_http_request request = {
        .role = "store", .place = place, .method = "GET", .url = read->uri, .socket = socket, .fd = -1};
    return imsg_store_fetch(net, &request, read, err);
}

enum imsg_status imsg_store_get_foreign(struct imsg_net *net, const struct imsg_store_read *read,
                                        struct imsg_error *err)
{
    struct imsg_url parts;
    struct imsg_buf place = {0}, origin = {0};
    if (!net || !imsg_url_split(read->uri, "https", &parts))
        return imsg_fail(err, IMSG_REFUSED, "the attachment is neither at an https URL nor in the store configured");
    enum imsg_status status = imsg_buf_append(&place, read->uri, parts.origin, err);
    if (status == IMSG_OK)
        status = imsg_net_origin_of(read->uri, parts.origin, NULL, &origin, err);
    /* A configured server may have a private address, and gets the user's certificate and proxy. Whoever wrote the
     * descriptor is not to choose what is asked there. */
    if (status == IMSG_OK && imsg_net_is_configured(net, (const char *)origin.ptr))
        status =
            imsg_fail(err, IMSG_REFUSED, "\"%s\" is on a configured server, but is no object of the store", read->uri);
    if (status == IMSG_OK)
        status = get_object(net, (const char *)place.ptr, NULL, read, err);
    imsg_buf_free(&place);
    imsg_buf_free(&origin);
    return status;
}

/* *own: the URI is BASE/store/HASH; its origin may be written in another way than in the base. */
static enum imsg_status check_own(const struct imsg_remote *remote, const char *uri, bool *own, struct imsg_error *err)
{
    const char *scheme = strncmp(remote->base, "http:", 5) == 0 ? "http" : "https";
    struct imsg_url base, parts;
    struct imsg_buf origin = {0};
    *own = false;
    if (!imsg_url_split(remote->base, scheme, &base) || !imsg_url_split(uri, scheme, &parts))
        return IMSG_OK;
    const char *folder = remote->base + base.origin, *path = uri + parts.origin;
    size_t len = strlen(folder), objects = strlen("/" IMSG_STORE_PATH);
    if (strncmp(path, folder, len) != 0 || strncmp(path + len, "/" IMSG_STORE_PATH, objects) != 0 ||
        !imsg_name_is_hash(path + len + objects))
        return IMSG_OK;
    enum imsg_status status = imsg_net_origin_of(uri, parts.origin, NULL, &origin, err);
    *own = status == IMSG_OK && strcmp((const char *)origin.ptr, remote->audience) == 0;
    imsg_buf_free(&origin);
    return status;
}

static enum imsg_status http_get(void *opaque, const struct imsg_store_read *read, struct imsg_error *err)
{
    struct imsg_remote *remote = opaque;
    bool own = false;
    enum imsg_status status = check_own(remote, read->uri, &own, err);
    if (status != IMSG_OK)
        return status;
    return own ? get_object(remote->net, remote->location, remote->socket, read, err)
               : imsg_store_get_foreign(remote->net, read, err);
}

const struct store_backend imsg_store_http = {
    .scheme = "https",
    .open = http_open,
    .begin = http_begin,
    .commit = http_commit,
    .get = http_get,
    .close = http_close,
};
