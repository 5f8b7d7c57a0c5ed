/* The inbox of a device: a Maildir of envelopes named by the SHA-256 of their payload, and what was ever stored in it.
 */
#ifndef IMSG_PULL_INBOX_H
#define IMSG_PULL_INBOX_H

#include <time.h>

#include "cli/cli.h"

struct inbox {
    char *new, *cur, *tmp, *lock, *seen; /* paths below IMSG_HOME */
};
/* Makes the folders where they are missing. On failure too it is to be freed. */
IMSG_CHECK enum imsg_status inbox_open(struct inbox *inbox, struct cli *cli, struct imsg_error *err);
void inbox_free(struct inbox *inbox); /* safe on {0} */

/* Durable in new/ and remembered, under the inbox's lock: another run does not store it a second time. *fresh is false
 * for a payload that was stored before. `name` is 64 hex digits. */
IMSG_CHECK enum imsg_status inbox_store(const struct inbox *inbox, struct imsg_view line, const char *name, bool *fresh,
                                        struct imsg_error *err);
/* Remember a message of new/ whose run ended right after it stored it. */
IMSG_CHECK enum imsg_status inbox_remember(const struct inbox *inbox, const char *name, struct imsg_error *err);

/* What is in new/, in the order in which it came. */
struct stored {
    struct timespec when;
    char *name;
};
IMSG_CHECK enum imsg_status inbox_list(const struct inbox *inbox, struct stored **list, size_t *count,
                                       struct imsg_error *err);
void inbox_list_free(struct stored *list, size_t count);

#endif
