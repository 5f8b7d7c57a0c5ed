/* Systems of which no more is known than POSIX. What is missing here costs time or room: io.h says what is done
 * instead. Memory that a JSON document was read in is not wiped. */
#include "base/os.h"

#include <errno.h>

static int not_here(void)
{
    errno = ENOTSUP;
    return -1;
}

int imsg_os_open_unnamed(const char *folder, mode_t mode)
{
    (void)folder;
    (void)mode;
    return not_here();
}

int imsg_os_name(int fd, const char *path)
{
    (void)fd;
    (void)path;
    return not_here();
}

int imsg_os_rename_new(const char *from, const char *to)
{
    (void)from;
    (void)to;
    return not_here();
}

int imsg_os_sync_file_system(const char *folder)
{
    (void)folder;
    return not_here();
}

int imsg_os_watch(const char *folder)
{
    (void)folder;
    return not_here();
}

bool imsg_os_watch_clear(int fd)
{
    (void)fd;
    return false;
}

size_t imsg_os_memory_size(void *memory)
{
    (void)memory;
    return 0;
}
