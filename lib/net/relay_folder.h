/* The parts of the folder relay: relay_mailbox.c (the folders of a mailbox), relay_file.c (delivering, fetching),
 * relay_file_list.c (what waits, what expires), relay_file_wait.c (waiting). */
#ifndef IMSG_NET_RELAY_FOLDER_H
#define IMSG_NET_RELAY_FOLDER_H

#include <time.h>

#include "net/backend.h"
#include "net/folder.h"

#define SWEPT 256 /* slots; tokens are hashes, so their first byte spreads evenly */

struct relay_folder {
    struct imsg_folder folder;
    int notify;       /* imsg_os_watch of one mailbox, or -1 */
    char watched[65]; /* its token, or "" */
    struct {
        char token[65];
        time_t when;
    } swept[SWEPT]; /* mailboxes swept lately */
};

struct mailbox {
    char *path, *tmp, *new;
};
IMSG_CHECK enum imsg_status imsg_mailbox_paths(const struct relay_folder *relay, const char *token, struct mailbox *out,
                                               struct imsg_error *err);
void imsg_mailbox_free(struct mailbox *box);
/* A descriptor of the mailbox's folder "tmp" or "new", or -1 with errno: ENOTDIR also for a link, for what is removed
 * there is removed in the mailbox and nowhere else, whoever put a link in its place. */
int imsg_mailbox_open(const struct mailbox *box, const char *name);
/* Which it is after ENOENT: no mailbox (IMSG_UNAVAILABLE) or no relay (IMSG_TEMPORARY). Never IMSG_OK. */
enum imsg_status imsg_mailbox_missing(const struct relay_folder *relay, const char *token, struct imsg_error *err);
/* Remove what is too old, if this was not done within the hour. A failure to do so is none of the delivery. */
void imsg_mailbox_sweep(struct relay_folder *relay, const char *token, const struct mailbox *box);

/* Is the message there? One that is too old goes, and is not. */
bool imsg_mailbox_has(const struct mailbox *box, const char *name);

/* Watch the mailbox from now on and forget what was reported so far. To be called before its folder is read: what
 * arrives during or after the reading is then reported to the next wait. */
void imsg_relay_watch(struct relay_folder *relay, const char *token, const struct mailbox *box);
void imsg_relay_unwatch(struct relay_folder *relay);

enum imsg_status imsg_relay_file_list(void *opaque, const char *token, struct imsg_waiting *out,
                                      struct imsg_error *err);
enum imsg_status imsg_relay_file_wait(void *opaque, const char *token, unsigned seconds, struct imsg_error *err);

#endif
