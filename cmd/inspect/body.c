/* What a payload holds: our own message, or the body of a real client: a binary property list, often gzip'd. */
#include "inspect/inspect.h"

#include <string.h>

#include "base/text.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#define BODY_MAX ((size_t)8 << 20)  /* bytes a compressed body may grow to */
#define RATIO_MAX 200               /* times its compressed size: text in property lists reaches 20 */
#define BODY_MIN ((size_t)64 << 10) /* bytes it may grow to whatever the ratio: a short text can be all one letter */
#define CUT_SHOWN ((size_t)1024)    /* bytes of what outgrew that */
#define NESTED_MAX 4                /* bodies in bodies; there is gzip data that unpacks to itself */

static const char message_start[] = "{\"imsg\":\"message/";

static bool starts_with(struct imsg_view bytes, const void *with, size_t len)
{
    return bytes.len >= len && memcmp(bytes.ptr, with, len) == 0;
}

bool is_body(struct imsg_view bytes)
{
    return starts_with(bytes, message_start, sizeof message_start - 1) || starts_with(bytes, "\x1f\x8b", 2) ||
           starts_with(bytes, "bplist", 6) || starts_with(bytes, "<?xml", 5);
}

/* A row of hex, fewer bytes where they end; returns where the next begins. */
static size_t hex_part(struct item *item, const char *kind, size_t at, size_t len, const char *field, bool shown)
{
    size_t left = item->bytes.len - at;
    struct imsg_view bytes = imsg_view_of(item->bytes.ptr + at, len < left ? len : left);
    if (bytes.len > 0)
        tree_row(item->json, kind, at, bytes.len, field, shown ? tree_hex(bytes) : NULL);
    return at + bytes.len;
}

/* ---- gzip (RFC 1952) ---- */

enum { GZIP_HEADER = 10, GZIP_END = 8 };

/* `end`: where the member ends; 0 where that is not known. */
static void gzip_rows(struct item *item, size_t end)
{
    size_t at = hex_part(item, "gzip", 0, 2, "magic", true);
    at = hex_part(item, "gzip", at, 1, "method", true);
    at = hex_part(item, "gzip", at, 1, "flags", true);
    at = hex_part(item, "gzip", at, 4, "mtime", true);
    at = hex_part(item, "gzip", at, 1, "extra_flags", true);
    at = hex_part(item, "gzip", at, 1, "system", true);
    if (end < GZIP_HEADER + GZIP_END) {
        hex_part(item, "gzip", at, item->bytes.len, "deflate", false);
        return;
    }
    at = hex_part(item, "gzip", at, end - GZIP_END - at, "deflate", false);
    at = hex_part(item, "gzip", at, 4, "crc32", true);
    at = hex_part(item, "gzip", at, 4, "size", true);
    hex_part(item, "gzip", at, item->bytes.len, "trailing", true);
}

#ifdef HAVE_ZLIB
/* Piece by piece, so that a small file that would unpack to gigabytes is stopped early. */
static enum imsg_status inflate_all(struct imsg_view in, struct imsg_buf *out, size_t *end, struct imsg_error *err)
{
    uint8_t piece[16384];
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len};
    size_t cap = in.len < BODY_MAX / RATIO_MAX ? in.len * RATIO_MAX : BODY_MAX;
    enum imsg_status status = IMSG_OK;
    int result = Z_OK;
    cap = cap < BODY_MIN ? BODY_MIN : cap;
    if (inflateInit2(&stream, 15 + 16) != Z_OK) /* 16: gzip */
        return imsg_fail(err, IMSG_NO_MEMORY, "cannot start to unpack");
    while (status == IMSG_OK && result == Z_OK) {
        stream.next_out = piece;
        stream.avail_out = sizeof piece;
        result = inflate(&stream, Z_NO_FLUSH);
        size_t made = sizeof piece - stream.avail_out, room = cap - out->len;
        if (result != Z_OK && result != Z_STREAM_END)
            status = imsg_fail_at(err, IMSG_MALFORMED, stream.total_in, "gzip data %s",
                                  result == Z_BUF_ERROR ? "ends too early" : "is damaged");
        else if (made > room)
            status =
                imsg_fail_at(err, IMSG_TOO_LONG, stream.total_in, "gzip data grows over %zu bytes: cut there", cap);
        if (imsg_buf_append(out, piece, made < room ? made : room, NULL) != IMSG_OK)
            status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    }
    *end = result == Z_STREAM_END && status == IMSG_OK ? stream.total_in : 0;
    inflateEnd(&stream);
    return status;
}
#endif

static void inspect_gzip(struct item *item)
{
    struct imsg_error err = {0};
    enum imsg_status status;
    size_t end = 0;
    tree_set(item->json, "kind", json_string("gzip"));
#ifdef HAVE_ZLIB
    struct imsg_buf plain = {0};
    status = inflate_all(item->bytes, &plain, &end, &err);
    if (status == IMSG_TOO_LONG && plain.len > CUT_SHOWN) {
        plain.len = CUT_SHOWN;
        tree_note(item->json, "only the first %zu bytes are shown", CUT_SHOWN);
    }
    if (status == IMSG_OK || plain.len > 0) {
        struct item inside = tree_inside(item, imsg_buf_view(&plain));
        inspect_body(&inside);
        if (status != IMSG_OK) /* a body that was cut: its own errors are no finding */
            json_object_del(inside.json, "error");
        else
            item->status = inside.status;
        tree_set(item->json, "plaintext", inside.json);
    }
    imsg_buf_free(&plain);
#else
    status = IMSG_OK;
    tree_note(item->json, "built without zlib: gzip data is not unpacked");
#endif
    gzip_rows(item, end);
    if (status != IMSG_OK)
        tree_error(item, status, &err);
}

/* ---- property lists ---- */

enum { BPLIST_MAGIC = 8, BPLIST_TRAILER = 32 };

static void inspect_plist(struct item *item, bool binary)
{
    struct imsg_error err = {0};
    size_t len = item->bytes.len;
    tree_set(item->json, "kind", json_string(binary ? "bplist" : "plist"));
    if (!binary) {
        tree_row(item->json, "plist", 0, len, "xml", NULL);
    } else {
        size_t magic = len < BPLIST_MAGIC ? len : BPLIST_MAGIC;
        tree_row_text(tree_row(item->json, "bplist", 0, magic, "magic", NULL), imsg_view_of(item->bytes.ptr, magic));
        if (len >= BPLIST_MAGIC + BPLIST_TRAILER) {
            size_t at = hex_part(item, "bplist", magic, len - BPLIST_MAGIC - BPLIST_TRAILER, "objects", false);
            hex_part(item, "bplist", at, BPLIST_TRAILER, "trailer", true);
        } else {
            hex_part(item, "bplist", magic, len, "unreadable", true);
        }
    }
    enum imsg_status status = plist_show(item->json, item->bytes, &err);
    if (status == IMSG_UNSUPPORTED) /* the library to read it is missing; the input may be right */
        tree_note(item->json, "%s", err.text);
    else if (status != IMSG_OK)
        tree_error(item, status, &err);
}

void inspect_body(struct item *item)
{
    struct imsg_view bytes = item->bytes;
    bool nested_too_deep = item->depth > NESTED_MAX;
    if (starts_with(bytes, message_start, sizeof message_start - 1)) {
        inspect_message(item);
    } else if (starts_with(bytes, "\x1f\x8b", 2) && !nested_too_deep) {
        inspect_gzip(item);
    } else if (starts_with(bytes, "bplist", 6) || starts_with(bytes, "<?xml", 5)) {
        inspect_plist(item, bytes.ptr[0] == 'b');
    } else if (imsg_utf8_valid(bytes)) {
        tree_set(item->json, "kind", json_string("text"));
        tree_row(item->json, "text", 0, bytes.len, "text", tree_text(bytes));
    } else {
        tree_set(item->json, "kind", json_string("bytes"));
        tree_row(item->json, "bytes", 0, bytes.len, "bytes", tree_hex(bytes));
        if (nested_too_deep)
            tree_note(item->json, "packed more than %d times: not unpacked further", NESTED_MAX);
    }
}
