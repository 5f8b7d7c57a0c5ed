#include "tap.h"

#include <stdio.h>
#include <string.h>

static unsigned count, failed;

IMSG_PRINTF(3, 0) static bool point(bool pass, const char *directive, const char *fmt, va_list args)
{
    printf("%sok %u - ", pass ? "" : "not ", ++count);
    vprintf(fmt, args);
    printf("%s%s\n", directive ? " # SKIP " : "", directive ? directive : "");
    failed += !pass;
    return pass;
}

bool tap_ok(bool pass, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    point(pass, NULL, fmt, args);
    va_end(args);
    return pass;
}

bool tap_status(enum imsg_status got, enum imsg_status want, const struct imsg_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    point(got == want, NULL, fmt, args);
    va_end(args);
    if (got != want)
        printf("#   got %s, want %s; text: %s\n", imsg_status_name(got), imsg_status_name(want), err ? err->text : "");
    return got == want;
}

static void dump(const char *label, struct imsg_view bytes)
{
    printf("#   %s (%zu bytes): ", label, bytes.len);
    for (size_t i = 0; i < bytes.len && i < 64; i++)
        printf("%02x", bytes.ptr[i]);
    printf("%s\n", bytes.len > 64 ? "…" : "");
}

bool tap_bytes(struct imsg_view got, struct imsg_view want, const char *fmt, ...)
{
    bool pass = got.len == want.len && (got.len == 0 || memcmp(got.ptr, want.ptr, got.len) == 0);
    va_list args;
    va_start(args, fmt);
    point(pass, NULL, fmt, args);
    va_end(args);
    if (!pass) {
        dump("got ", got);
        dump("want", want);
    }
    return pass;
}

void tap_skip(const char *why, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    point(true, why, fmt, args);
    va_end(args);
}

size_t tap_failed(void)
{
    return failed;
}

void tap_quality(const char *property, size_t cases, size_t failures)
{
    printf("# quality|%s|%zu|%zu\n", property, cases, failures);
}

int tap_done(void)
{
    printf("1..%u\n", count);
    return failed != 0;
}
