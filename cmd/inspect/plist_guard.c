/* Before a property list goes to libplist: that copies what is referred to more than once, and recurses. 40 arrays that
 * each hold the next one twice are 160 bytes and would be 2^40 objects; a million opening tags would be a million stack
 * frames; and a NUL in a key ends the program. Here the objects are counted and the depth is measured without following
 * anything twice, and what is wrong with the form is said with its offset, which libplist does not do. */
#include "inspect/inspect.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_MAX = 32,
    OBJECTS_MAX = 200000, /* after copying; a body of 8 MiB that is all small strings has more, no message has */
    TRAILER = 32
};

struct guard {
    struct imsg_view bytes;
    unsigned offset_size, ref_size;
    uint64_t count, table;
    struct seen {
        uint32_t objects; /* below and including it; 0: not yet visited */
        uint8_t height;
    } * seen;
};

static uint64_t big_endian(const uint8_t *at, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

static enum imsg_status read_trailer(struct guard *guard, uint64_t *root, struct imsg_error *err)
{
    struct imsg_view bytes = guard->bytes;
    if (bytes.len < 8 + TRAILER)
        return imsg_fail_at(err, IMSG_MALFORMED, bytes.len, "the property list is shorter than header and trailer");
    size_t start = bytes.len - TRAILER;
    const uint8_t *trailer = bytes.ptr + start;
    guard->offset_size = trailer[6];
    guard->ref_size = trailer[7];
    guard->count = big_endian(trailer + 8, 8);
    *root = big_endian(trailer + 16, 8);
    guard->table = big_endian(trailer + 24, 8);
    if (guard->offset_size < 1 || guard->offset_size > 8 || guard->ref_size < 1 || guard->ref_size > 8)
        return imsg_fail_at(err, IMSG_MALFORMED, start + 6, "sizes of %u and %u bytes in the trailer",
                            guard->offset_size, guard->ref_size);
    if (guard->table < 8 || guard->table > start)
        return imsg_fail_at(err, IMSG_MALFORMED, start + 24, "the offset table would begin at byte %llu",
                            (unsigned long long)guard->table);
    if (guard->count > (start - guard->table) / guard->offset_size)
        return imsg_fail_at(err, IMSG_MALFORMED, start + 8, "%llu objects do not fit into the offset table",
                            (unsigned long long)guard->count);
    if (*root >= guard->count)
        return imsg_fail_at(err, IMSG_MALFORMED, start + 16, "the root is object %llu of %llu",
                            (unsigned long long)*root, (unsigned long long)guard->count);
    return IMSG_OK;
}

/* The number in an object's first byte, or in the number object behind it; *head: where its contents begin. False if
 * there is none. */
static bool read_count(const uint8_t *p, size_t left, size_t *head, uint64_t *out)
{
    *head = 1;
    *out = p[0] & 0xf;
    if (*out != 0xf)
        return true;
    size_t size = left >= 2 && (p[1] & 0xf0) == 0x10 && (p[1] & 0xf) <= 3 ? (size_t)1 << (p[1] & 0xf) : 0;
    if (size == 0 || left < 2 + size)
        return false;
    *out = big_endian(p + 2, size);
    *head = 2 + size;
    return true;
}

/* Where an object is, and how many references to others follow at *refs. */
static enum imsg_status read_object(const struct guard *guard, uint64_t object, size_t *refs, uint64_t *ref_count,
                                    bool *is_dict, struct imsg_error *err)
{
    size_t entry = (size_t)guard->table + (size_t)object * guard->offset_size;
    uint64_t at = big_endian(guard->bytes.ptr + entry, guard->offset_size), n;
    *ref_count = 0;
    *is_dict = false;
    if (at < 8 || at >= guard->table)
        return imsg_fail_at(err, IMSG_MALFORMED, entry, "object %llu would be at byte %llu", (unsigned long long)object,
                            (unsigned long long)at);
    const uint8_t *p = guard->bytes.ptr + at;
    size_t left = (size_t)(guard->table - at), head;
    unsigned type = p[0] >> 4;
    if (type != 0xa && type != 0xc && type != 0xd)
        return IMSG_OK;
    if (!read_count(p, left, &head, &n))
        return imsg_fail_at(err, IMSG_MALFORMED, (size_t)at, "object %llu has no length", (unsigned long long)object);
    uint64_t each = (uint64_t)guard->ref_size * (type == 0xd ? 2 : 1);
    if (n > (left - head) / each)
        return imsg_fail_at(err, IMSG_MALFORMED, (size_t)at,
                            "object %llu holds %llu others: more than there is room for", (unsigned long long)object,
                            (unsigned long long)n);
    *refs = (size_t)at + head;
    *ref_count = n * (type == 0xd ? 2 : 1);
    *is_dict = type == 0xd;
    return IMSG_OK;
}

/* A dictionary's key: a string without NUL. */
static enum imsg_status check_key(const struct guard *guard, uint64_t object, struct imsg_error *err)
{
    uint64_t at = big_endian(guard->bytes.ptr + guard->table + object * guard->offset_size, guard->offset_size), n;
    const uint8_t *p = guard->bytes.ptr + at; /* visited: it is inside */
    size_t left = (size_t)(guard->table - at), head, unit = p[0] >> 4 == 0x6 ? 2 : 1;
    bool good = (p[0] >> 4 == 0x5 || unit == 2) && read_count(p, left, &head, &n) && n <= (left - head) / unit;
    for (uint64_t i = 0; good && i < n; i++)
        good = p[head + i * unit] != 0 || (unit == 2 && p[head + i * unit + 1] != 0);
    return good ? IMSG_OK
                : imsg_fail_at(err, IMSG_MALFORMED, (size_t)at, "object %llu is no key: no string, or it holds a NUL",
                               (unsigned long long)object);
}

/* Recursion ends at DEPTH_MAX; each object is looked into once. */
static enum imsg_status visit_object(struct guard *guard, uint64_t object, unsigned depth, struct imsg_error *err)
{
    struct seen *seen = &guard->seen[object];
    size_t refs = 0;
    uint64_t ref_count = 0, objects = 1;
    unsigned height = 0;
    bool is_dict;
    if (depth + seen->height > DEPTH_MAX)
        return imsg_fail(err, IMSG_MALFORMED, "the property list is nested over %d deep, or holds itself", DEPTH_MAX);
    if (seen->objects > 0)
        return IMSG_OK;
    enum imsg_status status = read_object(guard, object, &refs, &ref_count, &is_dict, err);
    for (uint64_t i = 0; status == IMSG_OK && i < ref_count; i++) {
        size_t at = refs + (size_t)i * guard->ref_size;
        uint64_t inner = big_endian(guard->bytes.ptr + at, guard->ref_size);
        if (inner >= guard->count)
            return imsg_fail_at(err, IMSG_MALFORMED, at, "a reference to object %llu of %llu",
                                (unsigned long long)inner, (unsigned long long)guard->count);
        status = visit_object(guard, inner, depth + 1, err);
        if (status == IMSG_OK && is_dict && i < ref_count / 2)
            status = check_key(guard, inner, err);
        objects += guard->seen[inner].objects;
        height = guard->seen[inner].height + 1u > height ? guard->seen[inner].height + 1u : height;
        if (status == IMSG_OK && objects > OBJECTS_MAX)
            status = imsg_fail(err, IMSG_TOO_LONG, "the property list unfolds to more than %d objects", OBJECTS_MAX);
    }
    seen->objects = (uint32_t)objects;
    seen->height = (uint8_t)height;
    return status;
}

static enum imsg_status guard_binary(struct imsg_view bytes, struct imsg_error *err)
{
    struct guard guard = {.bytes = bytes};
    uint64_t root = 0;
    enum imsg_status status = read_trailer(&guard, &root, err);
    if (status != IMSG_OK)
        return status;
    guard.seen = calloc((size_t)guard.count, sizeof *guard.seen);
    if (!guard.seen)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    status = visit_object(&guard, root, 0, err);
    free(guard.seen);
    return status;
}

static bool is_tag(struct imsg_view bytes, size_t at, const char *name)
{
    size_t len = strlen(name);
    return bytes.len - at > len && memcmp(bytes.ptr + at, name, len) == 0;
}

/* <dict> but not <dict/>. */
static bool opens_container(struct imsg_view bytes, size_t at)
{
    if (!is_tag(bytes, at, "<dict") && !is_tag(bytes, at, "<array"))
        return false;
    const uint8_t *end = memchr(bytes.ptr + at, '>', bytes.len - at);
    return !end || end[-1] != '/';
}

/* "&#0;" in any of its forms. */
static bool nul_reference(struct imsg_view bytes, size_t at)
{
    if (!is_tag(bytes, at, "&#"))
        return false;
    at += 2;
    if (at < bytes.len && (bytes.ptr[at] | 0x20) == 'x')
        at++;
    while (at < bytes.len && bytes.ptr[at] == '0')
        at++;
    return at < bytes.len && bytes.ptr[at] == ';';
}

/* Only containers nest. Tags in comments count too: no message is known with 32 of them. */
static enum imsg_status guard_xml(struct imsg_view bytes, struct imsg_error *err)
{
    unsigned depth = 0, tags = 0;
    for (size_t at = 0; at < bytes.len; at++) {
        if (bytes.ptr[at] == 0 || nul_reference(bytes, at))
            return imsg_fail_at(err, IMSG_MALFORMED, at, "a NUL in XML");
        if (bytes.ptr[at] != '<')
            continue;
        tags++;
        if (opens_container(bytes, at))
            depth++;
        else if (depth > 0 && (is_tag(bytes, at, "</dict") || is_tag(bytes, at, "</array")))
            depth--;
        if (depth > DEPTH_MAX)
            return imsg_fail_at(err, IMSG_MALFORMED, at, "the property list is nested over %d deep", DEPTH_MAX);
        if (tags > 2 * OBJECTS_MAX)
            return imsg_fail_at(err, IMSG_TOO_LONG, at, "the property list has more than %d tags", 2 * OBJECTS_MAX);
    }
    return IMSG_OK;
}

enum imsg_status plist_guard(struct imsg_view bytes, struct imsg_error *err)
{
    return bytes.len > 0 && bytes.ptr[0] == 'b' ? guard_binary(bytes, err) : guard_xml(bytes, err);
}
