/* What file.c, file_hidden.c, file_part.c and folders.c share. */
#ifndef IMSG_BASE_FILE_H
#define IMSG_BASE_FILE_H

#include "base/io.h"

/* open(2) with O_CLOEXEC and O_NOCTTY, and fsync(2), again after EINTR. */
int imsg_open_fd(const char *path, int flags, mode_t mode);
int imsg_sync_fd(int fd);
/* What an errno value of a failed creation means: a full disk is no wrong name. */
enum imsg_status imsg_create_status(int number);
/* What follows the last slash. */
const char *imsg_path_name(const char *path);
/* The folder part of `path`, which may itself name a folder and end in slashes: "." for a mere name. The caller's. */
IMSG_CHECK enum imsg_status imsg_folder_of(const char *path, char **out, struct imsg_error *err);
/* ".NAME.RANDOM" beside `path`; the caller's. */
IMSG_CHECK enum imsg_status imsg_temp_name(const char *path, char **out, struct imsg_error *err);
/* IMSG_CANNOT_CREATE: no file can be made at `path`, for something else than a regular file is there, say. */
IMSG_CHECK enum imsg_status imsg_check_target(const char *path, struct imsg_error *err);

#define TEMP_NAME_MAX 200 /* bytes of the name kept in a temporary one: the rest of NAME_MAX is for its tail */

#endif
