/* Statuses and error sentences. Everything is formatted into a local buffer first, so that an argument may be the old
 * text of the same error. */
#include "imsg.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"

/* Names stand in the table itself: no pointers, no relocations at start. */
static const struct {
    char name[20];
    int exit;
} statuses[IMSG_STATUS_COUNT] = {
    [IMSG_OK] = {"ok", 0},
    [IMSG_MALFORMED] = {"malformed", 65},
    [IMSG_UNSUPPORTED] = {"unsupported", 65},
    [IMSG_BAD_SIGNATURE] = {"bad-signature", 1},
    [IMSG_NOT_FOR_THIS_KEY] = {"not-for-this-key", 1},
    [IMSG_BAD_TAG] = {"bad-tag", 1},
    [IMSG_REFUSED] = {"refused", 1},
    [IMSG_ROLLBACK] = {"rollback", 1},
    [IMSG_USAGE] = {"usage", 64},
    [IMSG_TOO_LONG] = {"too-long", 65},
    [IMSG_NO_INPUT] = {"no-input", 66},
    [IMSG_NO_ACCOUNT] = {"no-account", 67},
    [IMSG_UNAVAILABLE] = {"unavailable", 69},
    [IMSG_INTERNAL] = {"internal", 70},
    [IMSG_NO_MEMORY] = {"no-memory", 70},
    [IMSG_CANNOT_CREATE] = {"cannot-create", 73},
    [IMSG_IO] = {"io", 74},
    [IMSG_TEMPORARY] = {"temporary", 75},
    [IMSG_CONFLICT] = {"conflict", 75},
    [IMSG_PROTOCOL] = {"protocol", 76},
    [IMSG_PERMISSION] = {"permission", 77},
    [IMSG_CONFIG] = {"config", 78},
};

/* Enums may be signed, so both ends are checked by way of unsigned. */
static bool known(enum imsg_status status)
{
    return (unsigned)status < IMSG_STATUS_COUNT;
}

int imsg_status_exit(enum imsg_status status)
{
    return statuses[known(status) ? status : IMSG_INTERNAL].exit;
}

const char *imsg_status_name(enum imsg_status status)
{
    return known(status) ? statuses[status].name : "unknown";
}

/* A text cut at the buffer's end must not end in half a UTF-8 sequence. */
static void drop_partial_character(char *text, size_t len)
{
    size_t lead = len;
    while (lead > 0 && len - lead < 3 && ((unsigned char)text[lead - 1] & 0xc0) == 0x80)
        lead--;
    if (lead == 0)
        return;
    unsigned char first = (unsigned char)text[lead - 1];
    size_t need = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    if (len - (lead - 1) < need)
        text[lead - 1] = 0;
}

IMSG_PRINTF(4, 0)
static size_t put_format(char *out, size_t size, size_t at, const char *fmt, va_list args)
{
    int len = vsnprintf(out + at, size - at, fmt, args);
    if (len < 0) {
        out[at] = 0;
        return at;
    }
    if ((size_t)len < size - at)
        return at + (size_t)len;
    drop_partial_character(out, size - 1);
    return strlen(out);
}

IMSG_PRINTF(4, 5)
static size_t put(char *out, size_t size, size_t at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    at = put_format(out, size, at, fmt, args);
    va_end(args);
    return at;
}

static void set(struct imsg_error *err, enum imsg_status status, const char *text)
{
    err->status = status;
    err->has_offset = false;
    err->offset = 0;
    memcpy(err->text, text, sizeof err->text);
    err->hint = IMSG_HINT_NONE;
    err->about[0] = 0;
}

enum imsg_status imsg_fail(struct imsg_error *err, enum imsg_status status, const char *fmt, ...)
{
    if (err) {
        char text[sizeof err->text] = "";
        va_list args;
        va_start(args, fmt);
        put_format(text, sizeof text, 0, fmt, args);
        va_end(args);
        set(err, status, text);
    }
    return status;
}

enum imsg_status imsg_fail_at(struct imsg_error *err, enum imsg_status status, uint64_t offset, const char *fmt, ...)
{
    if (err) {
        char text[sizeof err->text] = "";
        va_list args;
        size_t at = put(text, sizeof text, 0, "at byte %llu: ", (unsigned long long)offset);
        va_start(args, fmt);
        put_format(text, sizeof text, at, fmt, args);
        va_end(args);
        set(err, status, text);
        err->has_offset = true;
        err->offset = offset;
    }
    return status;
}

enum imsg_status imsg_fail_errno(struct imsg_error *err, enum imsg_status status, int number, const char *fmt, ...)
{
    if (err) {
        char text[sizeof err->text] = "", reason[128];
        va_list args;
        if (strerror_r(number, reason, sizeof reason) != 0)
            put(reason, sizeof reason, 0, "system error %d", number);
        if (islower((unsigned char)reason[1]))
            reason[0] = (char)tolower((unsigned char)reason[0]);
        va_start(args, fmt);
        size_t at = put_format(text, sizeof text, 0, fmt, args);
        va_end(args);
        put(text, sizeof text, at, ": %s", reason);
        set(err, status, text);
    }
    return status;
}

void imsg_error_prefix(struct imsg_error *err, const char *fmt, ...)
{
    if (err) {
        char text[sizeof err->text] = "";
        va_list args;
        va_start(args, fmt);
        size_t at = put_format(text, sizeof text, 0, fmt, args);
        va_end(args);
        put(text, sizeof text, at, ": %s", err->text);
        memcpy(err->text, text, sizeof err->text);
    }
}

void imsg_error_suggest(struct imsg_error *err, enum imsg_hint hint, const char *about)
{
    if (err) {
        char copy[sizeof err->about] = "";
        put(copy, sizeof copy, 0, "%s", about ? about : "");
        memcpy(err->about, copy, sizeof err->about);
        err->hint = hint;
    }
}
