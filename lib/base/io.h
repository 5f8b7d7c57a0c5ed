/* Files: whole reads with a cap, lines, atomic writes, locks, folders. EINTR and short transfers are dealt with here
 * and nowhere else. Every descriptor is O_CLOEXEC. Paths in messages are quoted. */
#ifndef IMSG_BASE_IO_H
#define IMSG_BASE_IO_H

#include <sys/types.h>

#include "imsg.h"

/* imsg_fail with ": " and the lower-case text of an errno value behind it. */
enum imsg_status imsg_fail_errno(struct imsg_error *err, enum imsg_status status, int number, const char *fmt, ...)
    IMSG_PRINTF(4, 5);

/* write(2) until all is written. IMSG_IO with errno's text. */
IMSG_CHECK enum imsg_status imsg_write_all(int fd, struct imsg_view bytes, struct imsg_error *err);
/* The same at byte `at` of a file; its position stays. */
IMSG_CHECK enum imsg_status imsg_write_at(int fd, uint64_t at, struct imsg_view bytes, struct imsg_error *err);
/* Append what is left in fd. Over `max` bytes: IMSG_TOO_LONG. */
IMSG_CHECK enum imsg_status imsg_read_all(int fd, size_t max, struct imsg_buf *out, struct imsg_error *err);
/* Append up to `count` bytes, fewer only at the end of the input. */
IMSG_CHECK enum imsg_status imsg_read_some(int fd, size_t count, struct imsg_buf *out, struct imsg_error *err);
/* The same into memory of the caller's: *got < len only at the end of the input. */
IMSG_CHECK enum imsg_status imsg_read_into(int fd, uint8_t *out, size_t len, size_t *got, struct imsg_error *err);
/* The same from byte `at` of a file; its position stays. */
IMSG_CHECK enum imsg_status imsg_read_at(int fd, uint64_t at, uint8_t *out, size_t len, size_t *got,
                                         struct imsg_error *err);
/* True if a read would have to wait now (an empty pipe): the moment to write out what is done. */
bool imsg_read_would_wait(int fd);
/* Open and read a whole file. ENOENT and other open failures: IMSG_NO_INPUT; read failures: IMSG_IO. */
IMSG_CHECK enum imsg_status imsg_read_file(const char *path, size_t max, struct imsg_buf *out, struct imsg_error *err);

/* Lines from a descriptor, one at a time, without reading ahead more than a buffer. */
struct imsg_lines {
    int fd;
    size_t max; /* bytes of a line without its newline */
    struct imsg_buf buf;
    size_t start;    /* first byte not yet given out */
    size_t chunk;    /* bytes of the next read; 0: not yet known */
    uint64_t number; /* of the line given out last, from 1 */
    bool eof;
    bool over; /* skipping the rest of an overlong line */
};
void imsg_lines_start(struct imsg_lines *lines, int fd, size_t max);
/* The next line without newline (valid until the next call) and *more = true; *more = false at the end. An overlong
 * line: IMSG_TOO_LONG, it is skipped and the next call goes on after it. A last line without newline is given out; *cut
 * (may be NULL) tells so. A line that is one CR (a blank line where lines end in CRLF) is given out empty, with or
 * without a newline after it; the CR counts for the line's length. A CR at the end of any other line stays: it is white
 * space to JSON. */
IMSG_CHECK enum imsg_status imsg_lines_next(struct imsg_lines *lines, struct imsg_view *line, bool *more, bool *cut,
                                            struct imsg_error *err);
/* True if the next line is not there yet, nor the end (imsg_read_would_wait). */
bool imsg_lines_would_wait(const struct imsg_lines *lines);
void imsg_lines_free(struct imsg_lines *lines);

/* An atomic file: a temporary file beside `path` (same folder, O_EXCL|O_NOFOLLOW), which becomes `path` at commit. */
struct imsg_file {
    int fd; /* -1 when closed; write to it directly */
    char *path;
    char *temp; /* NULL: it has no name yet (file_hidden.c) */
};
/* Creates the temporary file with `mode` (before umask). IMSG_CANNOT_CREATE. */
IMSG_CHECK enum imsg_status imsg_file_create(struct imsg_file *file, const char *path, mode_t mode,
                                             struct imsg_error *err);
enum imsg_commit { IMSG_REPLACE, IMSG_NO_REPLACE };
/* fsync, close, rename over `path` (IMSG_REPLACE) or link without replacing (IMSG_NO_REPLACE: IMSG_CONFLICT if path
 * exists), fsync the folder. On failure the temporary file is gone and `path` is as it was. */
IMSG_CHECK enum imsg_status imsg_file_commit(struct imsg_file *file, enum imsg_commit how, struct imsg_error *err);
/* Remove the temporary file; safe after commit and on {-1,NULL,NULL}. */
void imsg_file_abort(struct imsg_file *file);
/* The three in one. */
IMSG_CHECK enum imsg_status imsg_write_file(const char *path, struct imsg_view bytes, mode_t mode, enum imsg_commit how,
                                            struct imsg_error *err);

/* ---- file_hidden.c ---- */

/* An atomic file that nobody else may read before it is complete: without a name until commit where the system can do
 * that, and mode 0600 in any case. What a killed process leaves is nothing, or something that only its user can read.
 * imsg_file_abort ends it too. */
IMSG_CHECK enum imsg_status imsg_hidden_create(struct imsg_file *file, const char *path, struct imsg_error *err);
/* Like imsg_file_commit, IMSG_REPLACE. `mode` is set as it is, without the umask. */
IMSG_CHECK enum imsg_status imsg_hidden_commit(struct imsg_file *file, mode_t mode, struct imsg_error *err);

/* ---- file_part.c ---- */

/* A file in `folder` that has no name: nothing is left of it when the process ends. IMSG_CANNOT_CREATE. */
IMSG_CHECK enum imsg_status imsg_unnamed_create(const char *folder, mode_t mode, int *fd, struct imsg_error *err);
/* Give it a name in that folder. IMSG_CONFLICT: the name is taken, and another can be tried. The bytes are to be synced
 * before and the folder behind it. Where system or file system cannot name an open file, it is copied into a temporary
 * file that gets the name. */
IMSG_CHECK enum imsg_status imsg_unnamed_name(int fd, const char *path, struct imsg_error *err);
/* fsync; `path` is for the message. */
IMSG_CHECK enum imsg_status imsg_sync_file(int fd, const char *path, struct imsg_error *err);

/* What an interrupted run left of a file, beside `path` as ".NAME.part", locked as long as it is open. */
struct imsg_part {
    int fd; /* -1: there is none */
    char *path;
    uint64_t size; /* bytes in it */
};
/* `create`: make an empty one where there is none. There is none, either, where another process has it open, or where
 * it is not a plain file of this user's. One of over `max` bytes is emptied. */
IMSG_CHECK enum imsg_status imsg_part_open(struct imsg_part *part, const char *path, bool create, uint64_t max,
                                           struct imsg_error *err);
/* Close it and leave it to the next run, or remove it. Both are safe where there is none. */
void imsg_part_keep(struct imsg_part *part);
void imsg_part_remove(struct imsg_part *part);

/* ---- folders.c ---- */

/* An empty file, durable, that says by its name alone what is to be known. IMSG_OK too where it is there already. */
IMSG_CHECK enum imsg_status imsg_mark(const char *path, mode_t mode, struct imsg_error *err);
/* fsync the folder that holds `path`. */
IMSG_CHECK enum imsg_status imsg_sync_folder_of(const char *path, struct imsg_error *err);
/* mkdir -p with `mode` for every folder made. */
IMSG_CHECK enum imsg_status imsg_make_folders(const char *path, mode_t mode, struct imsg_error *err);
/* Exclusive flock on `path` (created 0600 & `mode`), waiting for it. *fd is released by close. */
IMSG_CHECK enum imsg_status imsg_lock(const char *path, mode_t mode, int *fd, struct imsg_error *err);
/* Where a file written as `path` is: links at its end are followed, by the rule that Linux has as protected_symlinks,
 * whether it is on or not: in a sticky folder that everybody may write to, only one's own and those of the folder's
 * owner. IMSG_CANNOT_CREATE. *out, the caller's, is `path` where nothing is there. */
IMSG_CHECK enum imsg_status imsg_follow_links(const char *path, char **out, struct imsg_error *err);
/* "a/b" in a new string; `folder` alone if name is "". */
IMSG_CHECK enum imsg_status imsg_path_join(const char *folder, const char *name, char **out, struct imsg_error *err);

#endif
