/* Waiting for a folder to change. inotify sees only what this machine does: for NFS, SMB, Syncthing (and where there is
 * no inotify) the caller takes a look every LOOK_EVERY seconds all the same. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/inotify.h>
#endif

#include "net/relay_folder.h"

#define LOOK_EVERY 5 /* seconds */

void imsg_relay_unwatch(struct relay_folder *relay)
{
    if (relay->notify >= 0)
        close(relay->notify);
    relay->notify = -1;
    relay->watched[0] = '\0';
}

#ifdef __linux__
/* False if the folder watched is not there any more, under this name at least. */
static bool drain(int notify)
{
    union {
        struct inotify_event event;
        char bytes[4096];
    } buffer;
    bool alive = true;
    for (;;) {
        ssize_t got = read(notify, buffer.bytes, sizeof buffer.bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return alive && got < 0 && errno == EAGAIN;
        for (size_t at = 0; at < (size_t)got;) {
            struct inotify_event event;
            memcpy(&event, buffer.bytes + at, sizeof event);
            if (event.mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF))
                alive = false;
            at += sizeof event + event.len;
        }
    }
}

void imsg_relay_watch(struct relay_folder *relay, const char *token, const struct mailbox *box)
{
    if (relay->notify >= 0 && (strcmp(relay->watched, token) != 0 || !drain(relay->notify)))
        imsg_relay_unwatch(relay);
    if (relay->notify >= 0)
        return;
    relay->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (relay->notify < 0)
        return;
    /* link() into the folder is IN_CREATE, a rename into it IN_MOVED_TO. */
    if (inotify_add_watch(relay->notify, box->new,
                          IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) < 0)
        imsg_relay_unwatch(relay);
    else
        memcpy(relay->watched, token, sizeof relay->watched);
}
#else
void imsg_relay_watch(struct relay_folder *relay, const char *token, const struct mailbox *box)
{
    (void)relay;
    (void)token;
    (void)box;
}
#endif

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
