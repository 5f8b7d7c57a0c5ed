/* What only some systems have: os_linux.c, and its twin os_posix.c, which does without. All return what system calls
 * return: -1 and errno. ENOTSUP: this system, or the file system, does not have it. */
#ifndef IMSG_BASE_OS_H
#define IMSG_BASE_OS_H

#include <stdbool.h>
#include <sys/types.h>

/* A descriptor of a new file in `folder`, for reading and writing, that has no name yet: nobody can open it, and it is
 * gone when the process ends. */
int imsg_os_open_unnamed(const char *folder, mode_t mode);
/* Give such a file its name. EEXIST: the name is taken. */
int imsg_os_name(int fd, const char *path);
/* rename(2) that does not replace: EEXIST. */
int imsg_os_rename_new(const char *from, const char *to);
/* All that was written to the file system of `folder` is on the disk (syncfs(2)). It waits for other programs' files,
 * too, so it is for many files at once. On failure the files are to be synced one by one, which tells whose it is. */
int imsg_os_sync_file_system(const char *folder);

/* A descriptor that becomes readable when a file comes into `folder`, by link or by rename, or when the folder goes. */
int imsg_os_watch(const char *folder);
/* Forget what it reported so far. False: the folder is not there any more, under this name at least. */
bool imsg_os_watch_clear(int fd);

/* How many bytes of `memory`, which malloc gave, can be written: at least those asked for. 0: not known. */
size_t imsg_os_memory_size(void *memory);

#endif
