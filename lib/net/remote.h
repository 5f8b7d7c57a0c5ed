/* What the three HTTP backends share: where the service is, and how this device shows who it is. */
#ifndef IMSG_NET_REMOTE_H
#define IMSG_NET_REMOTE_H

#include "net/http.h"

struct imsg_remote {
    struct imsg_net *net;
    const char *role;       /* "directory", "relay", "store" */
    char *location;         /* as given, for messages */
    char *base;             /* http(s)://host[:port][/path], no slash at its end */
    char *audience;         /* http(s)://host[:port]: what a bearer token is for */
    char *socket;           /* or NULL */
    struct imsg_buf bearer; /* "authorization: bearer …" */
    uint64_t bearer_made;   /* monotonic ms */
};
/* `configured`: the user's own location, else a bare https origin from outside. */
IMSG_CHECK enum imsg_status imsg_remote_open(struct imsg_remote *remote, const char *role, const char *location,
                                             struct imsg_net *net, bool configured, struct imsg_error *err);
void imsg_remote_free(struct imsg_remote *remote);
/* BASE/path. The caller's. */
IMSG_CHECK enum imsg_status imsg_remote_url(const struct imsg_remote *remote, const char *path, char **url,
                                            struct imsg_error *err);
/* A request with what all have in common filled in. */
struct imsg_http_request imsg_remote_request(const struct imsg_remote *remote, const char *method, const char *url);
/* The header with a bearer token, borrowed until the next call; NULL where this device has no key. */
IMSG_CHECK enum imsg_status imsg_remote_bearer(struct imsg_remote *remote, const char **header, struct imsg_error *err);

/* The scheme's row in a backend table: http and http+unix are https's. */
void imsg_remote_scheme(const char *location, char scheme[static 16]);
/* What a URL's origin is called: its first `len` bytes in lower case without a default port, and the socket if any. */
IMSG_CHECK enum imsg_status imsg_net_origin_of(const char *url, size_t len, const char *socket, struct imsg_buf *name,
                                               struct imsg_error *err);
bool imsg_net_is_configured(const struct imsg_net *net, const char *origin);

#endif
