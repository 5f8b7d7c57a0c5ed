/* Where a remote service is, and which origins are the user's own. */
#include "net/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "base/url.h"
#include "crypto/crypto.h"
#include "format/bearer.h"

#define BEARER_FOR 60000 /* ms one token is used; a server takes it for five minutes */
#define PIN_PREFIX "sha256//"

void imsg_remote_scheme(const char *location, char scheme[static 16])
{
    imsg_url_scheme(location, scheme);
    if (strcmp(scheme, "http") == 0 || strcmp(scheme, "http+unix") == 0)
        snprintf(scheme, 16, "https");
}

bool imsg_location_is_remote(const char *location)
{
    char scheme[16];
    imsg_url_scheme(location, scheme);
    return strcmp(scheme, "file") != 0;
}

/* ---- origins ---- */

enum imsg_status imsg_net_origin_of(const char *url, size_t len, const char *socket, struct imsg_buf *name,
                                    struct imsg_error *err)
{
    bool https = strncmp(url, "https:", 6) == 0;
    const char *port = https ? ":443" : ":80";
    size_t tail = strlen(port);
    if (len > tail && memcmp(url + len - tail, port, tail) == 0)
        len -= tail;
    enum imsg_status status = imsg_buf_append(name, url, len, err);
    for (size_t i = 0; status == IMSG_OK && i < len; i++)
        if (name->ptr[i] >= 'A' && name->ptr[i] <= 'Z')
            name->ptr[i] = (uint8_t)(name->ptr[i] - 'A' + 'a');
    if (status == IMSG_OK && socket)
        status = imsg_buf_text(name, " ", err);
    return status == IMSG_OK && socket ? imsg_buf_text(name, socket, err) : status;
}

bool imsg_net_is_configured(const struct imsg_net *net, const char *origin)
{
    for (size_t i = 0; i < net->origin_count; i++)
        if (strcmp(net->origins[i], origin) == 0)
            return true;
    return false;
}

static enum imsg_status add_origin(struct imsg_net *net, const char *origin, struct imsg_error *err)
{
    if (imsg_net_is_configured(net, origin))
        return IMSG_OK;
    char **grown = realloc(net->origins, (net->origin_count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    net->origins = grown;
    enum imsg_status status = imsg_strdup(origin, &grown[net->origin_count], err);
    net->origin_count += status == IMSG_OK;
    return status;
}

/* ---- locations ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* http+unix://%2Frun%2Fimsg.sock[/path] */
static enum imsg_status unix_location(struct imsg_remote *remote, const char *rest, struct imsg_buf *base,
                                      struct imsg_error *err)
{
    struct imsg_buf path = {0};
    enum imsg_status status = IMSG_OK;
    for (; status == IMSG_OK && *rest && *rest != '/'; rest++) {
        char c = *rest;
        if (c == '%') {
            int high = hex_digit(rest[1]), low = high < 0 ? -1 : hex_digit(rest[2]);
            if (low < 0 || high + low == 0)
                break;
            c = (char)(high * 16 + low);
            rest += 2;
        }
        status = imsg_buf_append(&path, &c, 1, err);
    }
    bool good = (*rest == '/' || !*rest) && path.len > 1 && path.ptr[0] == '/';
    if (status == IMSG_OK && !good)
        status = imsg_fail(err, IMSG_CONFIG, "%s \"%s\" is not like http+unix://%%2Frun%%2Fimsg.sock", remote->role,
                           remote->location);
    if (status == IMSG_OK)
        status = imsg_buf_text(base, "http://localhost", err);
    if (status == IMSG_OK)
        status = imsg_buf_text(base, rest, err);
    if (status == IMSG_OK)
        status = imsg_strdup((const char *)path.ptr, &remote->socket, err);
    imsg_buf_free(&path);
    return status;
}

/* The location's base, checked: its scheme, and where http may go. */
static enum imsg_status read_location(struct imsg_remote *remote, bool configured, struct imsg_buf *base,
                                      struct imsg_error *err)
{
    const char *location = remote->location;
    struct imsg_url parts;
    if (!configured)
        return imsg_url_is_https_origin(location)
                   ? imsg_buf_text(base, location, err)
                   : imsg_fail(err, IMSG_REFUSED, "%s \"%s\" is not like https://host", remote->role, location);
    if (strncmp(location, "http+unix://", 12) == 0)
        return unix_location(remote, location + 12, base, err);
    bool plain = imsg_url_split(location, "http", &parts);
    if (!plain && !imsg_url_split(location, "https", &parts))
        return imsg_fail(err, IMSG_CONFIG, "%s \"%s\" is not like https://host[:port][/path]", remote->role, location);
    if (plain && !imsg_host_is_loopback(parts.host) && !remote->net->insecure_http) {
        enum imsg_status status =
            imsg_fail(err, IMSG_CONFIG, "%s \"%s\": http is for this machine only", remote->role, location);
        imsg_error_suggest(err, IMSG_HINT_HTTPS, NULL);
        return status;
    }
    if (plain && remote->net->pin)
        return imsg_fail(err, IMSG_CONFIG, "%s \"%s\": a pin needs https", remote->role, location);
    return imsg_buf_text(base, location, err);
}

/* libcurl would take anything else for the name of a file. */
static enum imsg_status check_pin(const struct imsg_net *net, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (const char *pin = net->pin; pin && status == IMSG_OK;) {
        struct imsg_buf hash = {0};
        size_t len = strcspn(pin, ";"), prefix = strlen(PIN_PREFIX);
        if (len < prefix || strncmp(pin, PIN_PREFIX, prefix) != 0 ||
            imsg_base64_decode(imsg_view_of(pin + prefix, len - prefix), &hash, NULL) != IMSG_OK || hash.len != 32)
            status = imsg_fail(err, IMSG_CONFIG, "pin \"%s\" is not sha256// and the base64 of 32 bytes", net->pin);
        imsg_buf_free(&hash);
        pin = pin[len] ? pin + len + 1 : NULL;
    }
    return status;
}

enum imsg_status imsg_remote_open(struct imsg_remote *out, const char *role, const char *location, struct imsg_net *net,
                                  bool configured, struct imsg_error *err)
{
    struct imsg_remote remote = {.net = net, .role = role};
    struct imsg_buf base = {0}, origin = {0};
    struct imsg_url parts;
    if (!net)
        return imsg_fail(err, IMSG_CONFIG, "%s \"%s\": network access is not set up", role, location);
    enum imsg_status status = check_pin(net, err);
    if (status == IMSG_OK)
        status = imsg_strdup(location, &remote.location, err);
    if (status == IMSG_OK)
        status = read_location(&remote, configured, &base, err);
    if (status != IMSG_OK)
        goto out;
    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.ptr[--base.len] = '\0';
    status = imsg_strdup((const char *)base.ptr, &remote.base, err);
    if (status != IMSG_OK)
        goto out;
    if (!imsg_url_split(remote.base, strncmp(remote.base, "http:", 5) == 0 ? "http" : "https", &parts)) {
        status = imsg_fail(err, IMSG_CONFIG, "%s \"%s\" has a path that cannot be one", role, location);
        goto out;
    }
    status = imsg_net_origin_of(remote.base, parts.origin, NULL, &origin, err);
    if (status == IMSG_OK)
        status = imsg_strdup((const char *)origin.ptr, &remote.audience, err);
    imsg_buf_clear(&origin);
    if (status == IMSG_OK)
        status = imsg_net_origin_of(remote.base, parts.origin, remote.socket, &origin, err);
    if (status == IMSG_OK && configured)
        status = add_origin(net, (const char *)origin.ptr, err);
out:
    imsg_buf_free(&base);
    imsg_buf_free(&origin);
    if (status == IMSG_OK)
        *out = remote;
    else
        imsg_remote_free(&remote);
    return status;
}

void imsg_remote_free(struct imsg_remote *remote)
{
    free(remote->location);
    free(remote->base);
    free(remote->audience);
    free(remote->socket);
    imsg_buf_free(&remote->bearer);
    *remote = (struct imsg_remote){0};
}

enum imsg_status imsg_remote_url(const struct imsg_remote *remote, const char *path, char **url, struct imsg_error *err)
{
    return imsg_path_join(remote->base, path, url, err);
}

struct imsg_http_request imsg_remote_request(const struct imsg_remote *remote, const char *method, const char *url)
{
    return (struct imsg_http_request){
        .role = remote->role,
        .place = remote->location,
        .method = method,
        .url = url,
        .socket = remote->socket,
        .fd = -1,
    };
}

enum imsg_status imsg_remote_bearer(struct imsg_remote *remote, const char **header, struct imsg_error *err)
{
    const struct imsg_p256 *key = NULL;
    struct imsg_net *net = remote->net;
    enum imsg_status status = IMSG_OK;
    uint64_t now = imsg_monotonic();
    if (remote->bearer.len > 0 && now - remote->bearer_made < BEARER_FOR) {
        *header = (const char *)remote->bearer.ptr;
        return IMSG_OK;
    }
    if (net->auth)
        status = net->auth(net->context, &key, err);
    if (status != IMSG_OK)
        return status;
    imsg_buf_clear(&remote->bearer);
    if (!key) {
        *header = NULL;
        return IMSG_OK;
    }
    status = imsg_buf_text(&remote->bearer, "authorization: bearer ", err);
    if (status == IMSG_OK)
        status = imsg_bearer_make(key, remote->audience, imsg_now(), &remote->bearer, err);
    if (status != IMSG_OK) {
        imsg_buf_clear(&remote->bearer);
        return status;
    }
    remote->bearer_made = now;
    *header = (const char *)remote->bearer.ptr;
    return IMSG_OK;
}
