/* URLs as far as the services need them: which backend, and whether a foreign relay is a bare https origin. */
#ifndef IMSG_BASE_URL_H
#define IMSG_BASE_URL_H

#include "imsg.h"

/* The scheme of a service location, lower case, in out; "file" where there is none (a path). */
void imsg_url_scheme(const char *location, char out[static 16]);
/* https://host[:port] and nothing after it: what a record or an envelope may name as its relay. */
bool imsg_url_is_https_origin(const char *url);

/* SCHEME://host[:port][/path] with a path of printable ASCII and neither user, query nor fragment: what a service
 * location may be, and what a descriptor may name. */
struct imsg_url {
    size_t origin; /* bytes of "scheme://host[:port]" */
    char host[256];
    unsigned port; /* 0: none given */
};
/* `scheme` is "https" or "http". False: it is no such URL. */
bool imsg_url_split(const char *url, const char *scheme, struct imsg_url *out);
/* The same of its start: the path, and with it a query, is not looked at. */
bool imsg_url_split_origin(const char *url, const char *scheme, struct imsg_url *out);
/* 127.0.0.0/8, ::1 or localhost. */
bool imsg_host_is_loopback(const char *host);

#endif
