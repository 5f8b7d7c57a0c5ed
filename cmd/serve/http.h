/* The HTTP server as a whole. */
#ifndef IMSG_SERVE_HTTP_H
#define IMSG_SERVE_HTTP_H

#include "imsg.h"

struct serve;

/* Begin to serve. Without TLS, cert and key are empty. */
IMSG_CHECK enum imsg_status http_start(struct serve *serve, struct imsg_view cert, struct imsg_view key,
                                       struct imsg_error *err);
/* Accept no more connections. */
void http_quiesce(struct serve *serve);
void http_stop(struct serve *serve);
/* Cut connections past their deadline. */
void http_tick(struct serve *serve);

#endif
