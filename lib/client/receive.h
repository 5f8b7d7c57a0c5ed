/* From a relay into the inbox, and out of it: each message is stored before the relay is told to forget it, handed out
 * once, and kept where handing out failed. */
#ifndef IMSG_CLIENT_RECEIVE_H
#define IMSG_CLIENT_RECEIVE_H

#include "client/inbox.h"

struct imsg_relay;

struct imsg_receiver {
    const struct imsg_inbox *inbox;
    struct imsg_relay *relay; /* NULL will do for imsg_receive_again */
    uint8_t token[IMSG_TOKEN];
    /* Called for each message, one after another, with its file open for reading. Not IMSG_OK, or *stays set to true:
     * the message stays in new/; in the first case the run ends. */
    enum imsg_status (*hand_out)(void *context, const char *name, int fd, bool *stays, struct imsg_error *err);
    /* Called once for what the relay has under this name and is no message for this device: it stays there. Or NULL. */
    void (*rejected)(void *context, const char *waiting, const struct imsg_error *err);
    /* Called for a message that was stored before and is acknowledged only. Or NULL. */
    void (*repeated)(void *context, const char *name);
    void *context;
    char **known; /* what was rejected before; the callee's */
    size_t known_count;
};

/* What waits at the relay now, or the start of it where it is very much (*more). Messages are stored and acknowledged
 * in batches: one, two, four … at a time, so that the first is handed out at once and a reader who goes away early
 * leaves few in new/. *taken counts them. */
IMSG_CHECK enum imsg_status imsg_receive(struct imsg_receiver *receiver, size_t *taken, bool *more,
                                         struct imsg_error *err);
/* What stayed in new/. */
IMSG_CHECK enum imsg_status imsg_receive_again(struct imsg_receiver *receiver, struct imsg_error *err);
void imsg_receiver_free(struct imsg_receiver *receiver);

#endif
