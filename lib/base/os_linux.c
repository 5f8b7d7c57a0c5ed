#define _GNU_SOURCE
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

int imsg_os_open_unnamed(const char *folder, mode_t mode)
{
    int fd;
    do
        fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int imsg_os_name(int fd, const char *path)
{
    char here[32];
    /* By its number below /proc: AT_EMPTY_PATH is for root alone before Linux 6.10. */
    snprintf(here, sizeof here, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, here, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

int imsg_os_rename_new(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int imsg_os_sync_file_system(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = syncfs(fd);
    close(fd);
    return result;
}

int imsg_os_watch(const char *folder)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return -1;
    /* link() into the folder is IN_CREATE, a rename into it IN_MOVED_TO. */
    if (inotify_add_watch(fd, folder, IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) >= 0)
        return fd;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

bool imsg_os_watch_clear(int fd)
{
    union {
        struct inotify_event event;
        char bytes[4096];
    } buffer;
    bool alive = true;
    for (;;) {
        ssize_t got = read(fd, buffer.bytes, sizeof buffer.bytes);
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

size_t imsg_os_memory_size(void *memory)
{
    return malloc_usable_size(memory);
}
