/* URLs as far as the services need them: which backend, and whether a foreign relay is a bare https origin. */
#ifndef IMSG_BASE_URL_H
#define IMSG_BASE_URL_H

#include "imsg.h"

/* The scheme of a service location, lower case, in out; "file" where there is none (a path). */
void imsg_url_scheme(const char *location, char out[static 16]);
/* https://host[:port] and nothing after it: what a record or an envelope may name as its relay. */
bool imsg_url_is_https_origin(const char *url);

#endif
