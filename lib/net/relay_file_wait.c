/* Waiting for a folder to change. A watch reports only what this machine does: for NFS, SMB and Syncthing, and where
 * there is no watch, the wait ends after LOOK_EVERY seconds all the same. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "net/relay_folder.h"

#define LOOK_EVERY 5 /* seconds */

void imsg_relay_unwatch(struct relay_folder *relay)
{
    if (relay->notify >= 0)
        close(relay->notify);
    relay->notify = -1;
    relay->watched[0] = '\0';
}

void imsg_relay_watch(struct relay_folder *relay, const char *token, const struct mailbox *box)
{
    if (relay->notify >= 0 && (strcmp(relay->watched, token) != 0 || !imsg_os_watch_clear(relay->notify)))
        imsg_relay_unwatch(relay);
    if (relay->notify >= 0)
        return;
    relay->notify = imsg_os_watch(box->new);
    if (relay->notify >= 0)
        memcpy(relay->watched, token, sizeof relay->watched);
}

enum imsg_status imsg_relay_file_wait(void *opaque, const char *token, unsigned seconds, struct imsg_error *err)
{
    struct relay_folder *relay = opaque;
    bool watched = relay->notify >= 0 && strcmp(relay->watched, token) == 0;
    struct pollfd events = {.fd = watched ? relay->notify : -1, .events = POLLIN};
    /* The events stay queued until the next list: waiting twice without a look cannot lose them. */
    if (poll(&events, 1, (int)(seconds < LOOK_EVERY ? seconds : LOOK_EVERY) * 1000) < 0 && errno != EINTR &&
        errno != EAGAIN)
        return imsg_folder_fail_read(&relay->folder, relay->folder.base, errno, err);
    return IMSG_OK; /* also on a signal: the caller looks at what it came for */
}
