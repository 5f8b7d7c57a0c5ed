/* Answers to a request. The first answer stands; later ones are ignored. */
#ifndef IMSG_SERVE_REPLY_H
#define IMSG_SERVE_REPLY_H

#include "imsg.h"

struct MHD_Response;
struct request;

void reply_empty(struct request *request, unsigned status);
/* {"reason":"…"} */
void reply_reason(struct request *request, unsigned status, const char *reason);
/* The same, with Retry-After. */
void reply_later(struct request *request, unsigned status, const char *reason, unsigned seconds);
/* 410 with a timestamp in Unix milliseconds; 0: now. */
void reply_unregistered(struct request *request, int64_t gone);
/* The bytes become the answer's (then *body is {0}). */
void reply_body(struct request *request, unsigned status, const char *type, struct imsg_buf *body);
/* The response becomes ours; NULL is no memory. */
void reply(struct request *request, unsigned status, struct MHD_Response *response);
void reply_header(struct request *request, const char *name, const char *value); /* after a reply_… */
/* What a failed status means to a client: 503 where it may pass, else 500. */
void reply_failure(struct request *request, enum imsg_status status);

#endif
