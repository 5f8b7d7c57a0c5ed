/* Views and growing buffers. A buffer never goes through realloc, which may leave a copy of its bytes behind. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1 /* explicit_bzero */
#endif
#include "imsg.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64

void imsg_wipe(void *ptr, size_t len)
{
    if (len > 0)
        explicit_bzero(ptr, len);
}

struct imsg_view imsg_view_of(const void *ptr, size_t len)
{
    return (struct imsg_view){ptr, len};
}

struct imsg_view imsg_view_str(const char *text)
{
    return imsg_view_of(text, strlen(text));
}

struct imsg_view imsg_buf_view(const struct imsg_buf *buf)
{
    return imsg_view_of(buf->ptr, buf->len);
}

bool imsg_view_equal(struct imsg_view a, struct imsg_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

enum imsg_status imsg_buf_reserve(struct imsg_buf *buf, size_t more, struct imsg_error *err)
{
    if (buf->ptr && more < buf->cap - buf->len)
        return IMSG_OK;
    if (more >= PTRDIFF_MAX - buf->len)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    size_t cap = buf->len + more + 1;
    if (cap < FIRST_CAP)
        cap = FIRST_CAP;
    if (cap < 2 * buf->cap)
        cap = 2 * buf->cap;
    uint8_t *ptr = malloc(cap);
    if (!ptr)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (buf->len > 0)
        memcpy(ptr, buf->ptr, buf->len);
    ptr[buf->len] = 0;
    imsg_wipe(buf->ptr, buf->cap);
    free(buf->ptr);
    buf->ptr = ptr;
    buf->cap = cap;
    return IMSG_OK;
}

enum imsg_status imsg_buf_append(struct imsg_buf *buf, const void *ptr, size_t len, struct imsg_error *err)
{
    enum imsg_status status = imsg_buf_reserve(buf, len, err);
    if (status != IMSG_OK)
        return status;
    if (len > 0)
        memcpy(buf->ptr + buf->len, ptr, len);
    buf->len += len;
    buf->ptr[buf->len] = 0;
    return IMSG_OK;
}

enum imsg_status imsg_buf_text(struct imsg_buf *buf, const char *text, struct imsg_error *err)
{
    return imsg_buf_append(buf, text, strlen(text), err);
}

void imsg_buf_clear(struct imsg_buf *buf)
{
    imsg_wipe(buf->ptr, buf->len);
    buf->len = 0;
}

void imsg_buf_free(struct imsg_buf *buf)
{
    /* All of cap: a caller may have cut len back. */
    imsg_wipe(buf->ptr, buf->cap);
    free(buf->ptr);
    *buf = (struct imsg_buf){0};
}
