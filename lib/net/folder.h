/* What the three folder backends share: a base folder that may be missing (unmounted), temporary files, and what a
 * failed system call means to a service. Files in service folders follow the umask, so that a folder can be shared. */
#ifndef IMSG_NET_FOLDER_H
#define IMSG_NET_FOLDER_H

#include "imsg.h"

struct imsg_folder {
    const char *role; /* "directory", "relay", "store": for messages */
    char *base;
};

/* Nothing on disk is touched. An empty location: IMSG_CONFIG. */
IMSG_CHECK enum imsg_status imsg_folder_set(struct imsg_folder *folder, const char *role, const char *location,
                                            struct imsg_error *err);
void imsg_folder_free(struct imsg_folder *folder);
/* IMSG_OK if the base is a folder that can be looked at, else IMSG_TEMPORARY. */
IMSG_CHECK enum imsg_status imsg_folder_check(const struct imsg_folder *folder, struct imsg_error *err);
/* The base and its parents. */
IMSG_CHECK enum imsg_status imsg_folder_make_base(const struct imsg_folder *folder, struct imsg_error *err);
/* One folder below the base, durable on IMSG_OK also when it was there already. */
IMSG_CHECK enum imsg_status imsg_folder_make(const struct imsg_folder *folder, const char *path,
                                             struct imsg_error *err);
/* `number` is errno. A write that is not allowed is IMSG_UNAVAILABLE (the service says no); all else may pass by itself
 * (disk full, remounted read-only, I/O error, not mounted): IMSG_TEMPORARY. */
enum imsg_status imsg_folder_fail(const struct imsg_folder *folder, const char *path, int number,
                                  struct imsg_error *err);
/* The same when reading, where a missing right may be a mount that is not up yet: IMSG_TEMPORARY. */
enum imsg_status imsg_folder_fail_read(const struct imsg_folder *folder, const char *path, int number,
                                       struct imsg_error *err);
/* What became of a read or write of base/io.h, which gives no errno: on a service folder each failure is worth another
 * try (IMSG_TEMPORARY). */
enum imsg_status imsg_folder_transfer(const struct imsg_folder *folder, enum imsg_status status,
                                      struct imsg_error *err);
/* Open for reading without ever following a link or waiting for a FIFO. *found = false and IMSG_OK: no such file below
 * a base that is there. Not a regular file: IMSG_PROTOCOL. */
IMSG_CHECK enum imsg_status imsg_folder_open(const struct imsg_folder *folder, const char *path, int *fd, bool *found,
                                             struct imsg_error *err);
/* The whole file; more than `max` bytes: IMSG_PROTOCOL. */
IMSG_CHECK enum imsg_status imsg_folder_read(const struct imsg_folder *folder, const char *path, size_t max,
                                             struct imsg_buf *out, bool *found, struct imsg_error *err);
struct imsg_folder_temp {
    int fd; /* -1: failed */
    char *path;
    int number; /* errno where it could not be created, else 0 */
};
/* parent/PREFIX + 32 random hex digits, created exclusively. *out is filled in on failure too. */
IMSG_CHECK enum imsg_status imsg_folder_temp(const struct imsg_folder *folder, const char *parent, const char *prefix,
                                             struct imsg_folder_temp *out, struct imsg_error *err);
/* What killed processes left of these in the folder `fd`, which is closed (-1: nothing is done): regular files 36 hours
 * old, as in Maildir; prefix NULL: of whatever name. A file that cannot be removed stays, and is no failure. */
void imsg_folder_sweep(int fd, const char *prefix);
/* Write `bytes` and sync them. */
IMSG_CHECK enum imsg_status imsg_folder_write(const struct imsg_folder *folder, const char *path, int fd,
                                              struct imsg_view bytes, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_folder_sync_file(const struct imsg_folder *folder, const char *path, int fd,
                                                  struct imsg_error *err);
/* Sync the folder that holds `path`. */
IMSG_CHECK enum imsg_status imsg_folder_sync_of(const struct imsg_folder *folder, const char *path,
                                                struct imsg_error *err);
/* Exclusive lock for all who may write in the base, and for nobody else: unlike imsg_lock, the file follows the umask.
 * IMSG_TEMPORARY after half a minute: whoever may write could keep it. */
IMSG_CHECK enum imsg_status imsg_folder_lock(const struct imsg_folder *folder, const char *path, int *fd,
                                             struct imsg_error *err);

#endif
