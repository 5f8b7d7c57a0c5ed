/* What HTTP forbids and libmicrohttpd takes. */
#ifndef IMSG_SERVE_PROTOCOL_H
#define IMSG_SERVE_PROTOCOL_H

#include <stddef.h>

struct request;
struct MHD_Connection;

/* Answer a request whose version or headers are wrong. The end of its body is then unknown: the connection is closed
 * after the answer. */
void check_protocol(struct request *request, const char *version);
/* For MHD_OPTION_URI_LOG_CALLBACK: remember where the request's target ends. */
void *remember_target(void *context, const char *target, struct MHD_Connection *connection);
/* For MHD_OPTION_UNESCAPE_CALLBACK: leave a path as it came. None of ours needs an escape, and %00 would end a path
 * before its end. */
size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text);

#endif
