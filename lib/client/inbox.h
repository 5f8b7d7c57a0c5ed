/* The inbox of a device, in its home: a Maildir of envelopes named by the SHA-256 of their payload, and the memory of
 * what was ever stored in it (seen/pull/ab/cdef…, an empty file for each). Several processes may use one at a time. */
#ifndef IMSG_CLIENT_INBOX_H
#define IMSG_CLIENT_INBOX_H

#include <time.h>

#include "imsg.h"

struct imsg_inbox {
    char *new, *cur, *tmp, *lock, *seen; /* paths */
};
/* Makes the folders where they are missing. On failure too it is to be freed. */
IMSG_CHECK enum imsg_status imsg_inbox_open(struct imsg_inbox *inbox, const char *home, struct imsg_error *err);
void imsg_inbox_free(struct imsg_inbox *inbox); /* safe on {0} */

struct imsg_arrival {
    struct imsg_view line; /* without newline */
    char name[65];         /* 64 hex digits */
    bool fresh;            /* filled in: it was not stored before */
};
/* On IMSG_OK each is durable in new/ and remembered, or was stored before. After a failure those that are in new/ are
 * not remembered: storing them again finds them there. Much quicker for many at once: their syncs run beside each
 * other. */
IMSG_CHECK enum imsg_status imsg_inbox_store(const struct imsg_inbox *inbox, struct imsg_arrival *arrivals,
                                             size_t count, struct imsg_error *err);
/* Remember a message of new/ that was stored by a process that ended right after it. */
IMSG_CHECK enum imsg_status imsg_inbox_remember(const struct imsg_inbox *inbox, const char *name,
                                                struct imsg_error *err);

/* What is in new/, in the order in which it came. */
struct imsg_stored {
    struct timespec when;
    char *name;
};
IMSG_CHECK enum imsg_status imsg_inbox_list(const struct imsg_inbox *inbox, struct imsg_stored **list, size_t *count,
                                            struct imsg_error *err);
void imsg_inbox_list_free(struct imsg_stored *list, size_t count);

/* Open a message of new/ for handing it out, and keep other processes from doing so until *fd and its copies are
 * closed. *fd = -1: it is not there any more, or another process has it. */
IMSG_CHECK enum imsg_status imsg_inbox_claim(const struct imsg_inbox *inbox, const char *name, int *fd,
                                             struct imsg_error *err);
/* It was handed out: move it to cur/. */
IMSG_CHECK enum imsg_status imsg_inbox_finish(const struct imsg_inbox *inbox, const char *name, struct imsg_error *err);

#endif
