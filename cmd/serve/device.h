/* /3/device/TOKEN: the relay. The shape is that of Apple's provider API (imsg-serve(1)): path, headers, reasons.
 *
 *   POST /3/device/TOKEN              an envelope line, stored before it is answered
 *   GET /3/device/TOKEN[?wait=N]      what waits, oldest first
 *   DELETE /3/device/TOKEN/NAME       the message is acknowledged: deleted
 *   POST /3/device/TOKEN/acknowledge  as many DELETEs in one transaction; the body has the names, one a line */
#ifndef IMSG_SERVE_DEVICE_H
#define IMSG_SERVE_DEVICE_H

#include "serve/polls.h"
#include "serve/request.h"
#include "serve/storage/storage.h"

extern const struct verb device_verbs[]; /* device_verbs.c; ends with a NULL method */

/* ---- device.c: what the verbs share; false: answered ---- */

/* The path begins with a token; *after is what follows it. Else 400. */
bool device_path(struct request *request, uint8_t token[static 32], const char **after);
/* Read the mailbox of a token; 410 where no entry lists it. */
bool device_mailbox(struct request *request, const uint8_t token[static 32], struct mailbox *out);
/* The device of the path has a mailbox, and it is the sender, authorized. */
bool device_is_own(struct request *request, const uint8_t token[static 32]);

/* ---- device_post.c, device_get.c, device_delete.c: a state for each verb ---- */

struct delivery { /* POST */
    struct message_put put;
    struct request *request;
    uint8_t token[IMSG_TOKEN], name[32];
    char id[37];
};
void delivery_begin(struct request *request);
void delivery_end(struct request *request);
void delivery_woken(struct request *request);

struct fetch { /* GET */
    struct poll poll;
    uint8_t token[IMSG_TOKEN];
};
void fetch_end(struct request *request);
void fetch_woken(struct request *request);

struct acknowledgement { /* DELETE, and POST …/acknowledge */
    struct message_delete delete;
    struct request *request;
    uint8_t token[IMSG_TOKEN], name[32];
};
void acknowledge_one_end(struct request *request);
void acknowledge_many_begin(struct request *request);
void acknowledge_many_end(struct request *request);
void acknowledge_woken(struct request *request);

#endif
