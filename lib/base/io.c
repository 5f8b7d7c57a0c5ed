/* Reading and writing descriptors. A descriptor may be non-blocking without our having asked (a terminal shared with
 * ssh, for one): then poll waits in our place. */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536
#define FIRST_CHUNK 8192 /* of input that does not say how long it is: each page touched costs a small tool's start */
#define HINT_MAX (16u << 20) /* a file's own word on its size is believed up to here */

/* True if a failed transfer is worth another try. */
static bool try_again(int fd, short events)
{
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return false;
    struct pollfd wait = {.fd = fd, .events = events};
    return poll(&wait, 1, -1) >= 0 || errno == EINTR;
}

/* At `at`; -1: at the position of the descriptor, which moves on. */
static enum imsg_status write_from(int fd, off_t at, struct imsg_view bytes, struct imsg_error *err)
{
    while (bytes.len > 0) {
        ssize_t n = at < 0 ? write(fd, bytes.ptr, bytes.len) : pwrite(fd, bytes.ptr, bytes.len, at);
        if (n > 0) {
            bytes.ptr += n;
            bytes.len -= (size_t)n;
            at += at < 0 ? 0 : n;
        } else if (n == 0) {
            return imsg_fail(err, IMSG_IO, "cannot write: nothing was taken");
        } else if (!try_again(fd, POLLOUT)) {
            return imsg_fail_errno(err, IMSG_IO, errno, "cannot write");
        }
    }
    return IMSG_OK;
}

enum imsg_status imsg_write_all(int fd, struct imsg_view bytes, struct imsg_error *err)
{
    return write_from(fd, -1, bytes, err);
}

enum imsg_status imsg_write_at(int fd, uint64_t at, struct imsg_view bytes, struct imsg_error *err)
{
    return write_from(fd, (off_t)at, bytes, err);
}

/* One read of at most `want` bytes to the end of buf; *got = 0 at the end of the file. */
static enum imsg_status read_some(int fd, size_t want, struct imsg_buf *buf, size_t *got, struct imsg_error *err)
{
    enum imsg_status status = imsg_buf_reserve(buf, want, err);
    if (status != IMSG_OK)
        return status;
    ssize_t n;
    do
        n = read(fd, buf->ptr + buf->len, want);
    while (n < 0 && try_again(fd, POLLIN));
    if (n < 0)
        return imsg_fail_errno(err, IMSG_IO, errno, "cannot read");
    buf->len += (size_t)n;
    buf->ptr[buf->len] = 0;
    *got = (size_t)n;
    return IMSG_OK;
}

static void cut_back(struct imsg_buf *buf, size_t len)
{
    if (buf->len > len) {
        imsg_wipe(buf->ptr + len, buf->len - len);
        buf->len = len;
    }
}

/* A regular file is read in one go, and one byte of room more finds its end without growing again. */
static size_t first_chunk(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
        return FIRST_CHUNK;
    return st.st_size < HINT_MAX ? (size_t)st.st_size + 1 : HINT_MAX;
}

/* What to read next: the room there is, else as much again as came so far. */
static size_t next_chunk(const struct imsg_buf *buf)
{
    size_t room = buf->cap - buf->len - 1;
    if (room > 0)
        return room < CHUNK ? room : CHUNK;
    return buf->len < FIRST_CHUNK ? FIRST_CHUNK : buf->len < CHUNK ? buf->len : CHUNK;
}

enum imsg_status imsg_read_all(int fd, size_t max, struct imsg_buf *out, struct imsg_error *err)
{
    size_t start = out->len, got, chunk = first_chunk(fd);
    enum imsg_status status;

    do {
        size_t left = max - (out->len - start); /* one byte over max shows that it is too long */
        status = read_some(fd, left < chunk ? left + 1 : chunk, out, &got, err);
        if (status == IMSG_OK && out->len - start > max)
            status = imsg_fail(err, IMSG_TOO_LONG, "longer than %zu bytes", max);
        chunk = next_chunk(out);
    } while (status == IMSG_OK && got > 0);

    if (status != IMSG_OK)
        cut_back(out, start);
    return status;
}

enum imsg_status imsg_read_some(int fd, size_t count, struct imsg_buf *out, struct imsg_error *err)
{
    size_t start = out->len, got = 1, chunk = first_chunk(fd);
    enum imsg_status status = IMSG_OK;
    while (status == IMSG_OK && count > 0 && got > 0) {
        status = read_some(fd, count < chunk ? count : chunk, out, &got, err);
        count -= status == IMSG_OK ? got : 0;
        chunk = next_chunk(out);
    }
    if (status != IMSG_OK)
        cut_back(out, start);
    return status;
}

static enum imsg_status read_from(int fd, off_t at, uint8_t *out, size_t len, size_t *got, struct imsg_error *err)
{
    size_t have = 0;
    while (have < len) {
        ssize_t n = at < 0 ? read(fd, out + have, len - have) : pread(fd, out + have, len - have, at + (off_t)have);
        if (n == 0)
            break;
        if (n > 0)
            have += (size_t)n;
        else if (!try_again(fd, POLLIN))
            return imsg_fail_errno(err, IMSG_IO, errno, "cannot read");
    }
    *got = have;
    return IMSG_OK;
}

enum imsg_status imsg_read_into(int fd, uint8_t *out, size_t len, size_t *got, struct imsg_error *err)
{
    return read_from(fd, -1, out, len, got, err);
}

enum imsg_status imsg_read_at(int fd, uint64_t at, uint8_t *out, size_t len, size_t *got, struct imsg_error *err)
{
    return read_from(fd, (off_t)at, out, len, got, err);
}

bool imsg_read_would_wait(int fd)
{
    struct pollfd now = {.fd = fd, .events = POLLIN};
    return poll(&now, 1, 0) == 0;
}

enum imsg_status imsg_read_file(const char *path, size_t max, struct imsg_buf *out, struct imsg_error *err)
{
    enum imsg_status status;
    struct stat st;
    int fd;

    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return imsg_fail_errno(err, IMSG_NO_INPUT, errno, "\"%s\": cannot open", path);
    /* open takes a folder, and only read would say no: but it is the name that is wrong. */
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        status = imsg_fail_errno(err, IMSG_NO_INPUT, EISDIR, "\"%s\": cannot open", path);
    } else {
        status = imsg_read_all(fd, max, out, err);
        if (status != IMSG_OK)
            imsg_error_prefix(err, "\"%s\"", path);
    }
    close(fd);
    return status;
}

void imsg_lines_start(struct imsg_lines *lines, int fd, size_t max)
{
    *lines = (struct imsg_lines){.fd = fd, .max = max};
}

void imsg_lines_free(struct imsg_lines *lines)
{
    imsg_buf_free(&lines->buf);
    imsg_lines_start(lines, -1, 0);
}

bool imsg_lines_would_wait(const struct imsg_lines *lines)
{
    size_t have = lines->buf.len - lines->start;
    if (lines->eof || (have > 0 && memchr(lines->buf.ptr + lines->start, '\n', have)))
        return false;
    return imsg_read_would_wait(lines->fd);
}

/* Drop what was given out and read on. */
static enum imsg_status refill(struct imsg_lines *lines, struct imsg_error *err)
{
    size_t rest = lines->buf.len - lines->start, got = 0;
    if (lines->start > 0) {
        memmove(lines->buf.ptr, lines->buf.ptr + lines->start, rest);
        lines->buf.len = rest;
        lines->buf.ptr[rest] = 0;
        lines->start = 0;
    }
    if (lines->chunk == 0) {
        size_t whole = first_chunk(lines->fd);
        lines->chunk = whole < CHUNK ? whole : CHUNK;
    }
    enum imsg_status status = read_some(lines->fd, lines->chunk, &lines->buf, &got, err);
    if (status == IMSG_OK && got == 0)
        lines->eof = true;
    if (got == lines->chunk) /* there is more: fewer calls */
        lines->chunk = CHUNK;
    return status;
}

static enum imsg_status overlong(const struct imsg_lines *lines, struct imsg_error *err)
{
    return imsg_fail(err, IMSG_TOO_LONG, "longer than %zu bytes", lines->max);
}

enum imsg_status imsg_lines_next(struct imsg_lines *lines, struct imsg_view *line, bool *more, bool *cut,
                                 struct imsg_error *err)
{
    size_t searched = 0; /* bytes from start known to hold no newline, so that slow input costs no second look */
    for (;;) {
        size_t have = lines->buf.len - lines->start;
        const uint8_t *first = have > 0 ? lines->buf.ptr + lines->start : NULL;
        const uint8_t *newline = have > searched ? memchr(first + searched, '\n', have - searched) : NULL;
        size_t len = newline ? (size_t)(newline - first) : have;

        if (!newline && !lines->eof && !lines->over && have <= lines->max) {
            searched = have;
        } else if (!newline && !lines->eof) {
            bool told = lines->over;
            lines->start = lines->buf.len;
            lines->over = true;
            searched = 0;
            if (!told) {
                lines->number++;
                return overlong(lines, err);
            }
        } else {
            bool rest = lines->over, end = !newline && (rest || have == 0);
            lines->start += newline ? len + 1 : len;
            lines->over = false;
            if (end) {
                *more = false;
                return IMSG_OK;
            }
            searched = 0;
            if (rest)
                continue;
            lines->number++;
            if (len > lines->max)
                return overlong(lines, err);
            *line = imsg_view_of(first, len == 1 && first[0] == '\r' ? 0 : len); /* blank where lines end in CRLF */
            *more = true;
            if (cut)
                *cut = !newline;
            return IMSG_OK;
        }
        enum imsg_status status = refill(lines, err);
        if (status != IMSG_OK)
            return status;
    }
}
