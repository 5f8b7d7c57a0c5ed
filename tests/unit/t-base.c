/* Errors, buffers, handles, times, URLs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/text.h"
#include "base/url.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void test_statuses(void)
{
    static const struct {
        enum imsg_status status;
        int exit;
        const char *name;
    } cases[] = {
        {IMSG_OK, 0, "ok"},
        {IMSG_MALFORMED, 65, "malformed"},
        {IMSG_UNSUPPORTED, 65, "unsupported"},
        {IMSG_BAD_SIGNATURE, 1, "bad-signature"},
        {IMSG_NOT_FOR_THIS_KEY, 1, "not-for-this-key"},
        {IMSG_BAD_TAG, 1, "bad-tag"},
        {IMSG_REFUSED, 1, "refused"},
        {IMSG_ROLLBACK, 1, "rollback"},
        {IMSG_USAGE, 64, "usage"},
        {IMSG_TOO_LONG, 65, "too-long"},
        {IMSG_NO_INPUT, 66, "no-input"},
        {IMSG_NO_ACCOUNT, 67, "no-account"},
        {IMSG_UNAVAILABLE, 69, "unavailable"},
        {IMSG_INTERNAL, 70, "internal"},
        {IMSG_NO_MEMORY, 70, "no-memory"},
        {IMSG_CANNOT_CREATE, 73, "cannot-create"},
        {IMSG_IO, 74, "io"},
        {IMSG_TEMPORARY, 75, "temporary"},
        {IMSG_CONFLICT, 75, "conflict"},
        {IMSG_PROTOCOL, 76, "protocol"},
        {IMSG_PERMISSION, 77, "permission"},
        {IMSG_CONFIG, 78, "config"},
        {IMSG_STATUS_COUNT, 70, "unknown"},
        {(enum imsg_status)1000000, 70, "unknown"},
        {(enum imsg_status) - 1, 70, "unknown"},
    };
    tap_ok(COUNT(cases) == IMSG_STATUS_COUNT + 3, "every status is in the table");
    for (size_t i = 0; i < COUNT(cases); i++)
        tap_ok(imsg_status_exit(cases[i].status) == cases[i].exit &&
                   strcmp(imsg_status_name(cases[i].status), cases[i].name) == 0,
               "status %s: exit %d", cases[i].name, cases[i].exit);
}

static void test_errors(void)
{
    struct imsg_error err;
    char wide[2000];
    memset(&err, 'x', sizeof err);

    tap_ok(imsg_fail(NULL, IMSG_IO, "no one listens") == IMSG_IO, "fail without an error struct");
    imsg_error_prefix(NULL, "a");
    imsg_error_suggest(NULL, IMSG_HINT_MODE, "a");
    tap_status(imsg_fail_at(&err, IMSG_MALFORMED, 118, "body length %d exceeds the %d bytes left", 9000, 412),
               IMSG_MALFORMED, &err, "fail_at gives its status back");
    tap_ok(strcmp(err.text, "at byte 118: body length 9000 exceeds the 412 bytes left") == 0, "fail_at: %s", err.text);
    tap_ok(err.has_offset && err.offset == 118 && err.status == IMSG_MALFORMED && !err.hint, "fail_at: fields");
    imsg_error_prefix(&err, "line %d", 2);
    imsg_error_prefix(&err, "\"%s\"", "msg.imsg");
    tap_ok(strncmp(err.text, "\"msg.imsg\": line 2: at byte 118: body", 36) == 0, "prefix: %s", err.text);
    tap_ok(err.has_offset && err.offset == 118, "a prefix keeps the offset");
    imsg_error_suggest(&err, IMSG_HINT_MODE, "me.json");
    tap_ok(err.hint == IMSG_HINT_MODE && strcmp(err.about, "me.json") == 0, "hint about: %s", err.about);
    imsg_fail(&err, IMSG_IO, "again: %.9s", err.text);
    tap_ok(strcmp(err.text, "again: \"msg.imsg") == 0, "an error's own text as an argument: %s", err.text);
    tap_ok(!err.has_offset && err.offset == 0 && !err.hint && !err.about[0], "fail clears offset and hint");
    imsg_fail_errno(&err, IMSG_NO_INPUT, 2, "\"%s\": cannot open", "x");
    tap_ok(strcmp(err.text, "\"x\": cannot open: no such file or directory") == 0, "fail_errno: %s", err.text);

    /* 767 bytes fit: after 381 times two the 383rd or 384th character of three bytes is cut. */
    for (size_t lead = 0; lead < 4; lead++) {
        memset(wide, 'a', sizeof wide);
        for (size_t i = lead; i + 3 < sizeof wide; i += 3)
            memcpy(wide + i, "\xe2\x82\xac", 3);
        wide[sizeof wide - 1] = 0;
        imsg_fail(&err, IMSG_IO, "%s", wide);
        tap_ok(strlen(err.text) <= sizeof err.text - 1 && strlen(err.text) >= sizeof err.text - 4 &&
                   imsg_utf8_valid(imsg_view_str(err.text)),
               "a long text is cut between characters (%zu)", lead);
        imsg_error_prefix(&err, "p");
        tap_ok(strncmp(err.text, "p: ", 3) == 0 && imsg_utf8_valid(imsg_view_str(err.text)),
               "a prefix before a full text (%zu)", lead);
        imsg_error_suggest(&err, IMSG_HINT_MODE, wide);
        tap_ok(strlen(err.about) < sizeof err.about && imsg_utf8_valid(imsg_view_str(err.about)), "a long hint (%zu)",
               lead);
    }
}

static void test_buffers(void)
{
    struct imsg_buf buf = {0};
    struct imsg_error err;
    unsigned moves = 0;
    bool good = true, doubled = true;

    tap_status(imsg_buf_append(&buf, NULL, 0, &err), IMSG_OK, &err, "append nothing");
    tap_ok(buf.ptr && buf.len == 0 && buf.ptr[0] == 0, "an empty buffer with memory ends in NUL");
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t byte = (uint8_t)(i * 7);
        size_t cap = buf.cap;
        good = good && imsg_buf_append(&buf, &byte, 1, &err) == IMSG_OK && buf.ptr[buf.len] == 0 && buf.len < buf.cap;
        doubled = doubled && (buf.cap == cap || buf.cap >= 2 * cap);
        moves += buf.cap != cap;
    }
    for (unsigned i = 0; good && i < 100000; i++)
        good = buf.ptr[i] == (uint8_t)(i * 7);
    tap_ok(good && buf.len == 100000, "100,000 bytes one by one");
    tap_ok(doubled && moves <= 17, "growth doubles (%u moves)", moves);

    size_t cap = buf.cap;
    uint8_t *ptr = buf.ptr;
    tap_status(imsg_buf_reserve(&buf, cap - buf.len - 1, &err), IMSG_OK, &err, "reserve what is there");
    tap_ok(buf.ptr == ptr && buf.cap == cap, "that moves nothing");
    tap_status(imsg_buf_reserve(&buf, cap - buf.len, &err), IMSG_OK, &err, "reserve one byte more");
    tap_ok(buf.cap - buf.len > cap - 100000, "room for the NUL is not counted as room");

    static const size_t too_much[] = {SIZE_MAX,          SIZE_MAX - 1, SIZE_MAX - 100000,
                                      SIZE_MAX - 100001, SIZE_MAX / 2, SIZE_MAX / 2 - 100000};
    for (size_t i = 0; i < COUNT(too_much); i++)
        tap_status(imsg_buf_reserve(&buf, too_much[i], &err), IMSG_NO_MEMORY, &err, "overflow: reserve %zu",
                   too_much[i]);
    tap_ok(buf.len == 100000 && buf.ptr[1] == 7, "the buffer is as it was");

    imsg_buf_clear(&buf);
    bool wiped = buf.len == 0 && buf.ptr;
    for (size_t i = 0; i < 100000; i++)
        wiped = wiped && buf.ptr[i] == 0;
    tap_ok(wiped, "clear wipes and keeps the memory");
    tap_status(imsg_buf_text(&buf, "ab", &err), IMSG_OK, &err, "text");
    tap_bytes(imsg_buf_view(&buf), imsg_view_str("ab"), "text is without its NUL");
    imsg_buf_free(&buf);
    tap_ok(!buf.ptr && !buf.len && !buf.cap, "free leaves {0}");
    imsg_buf_free(&buf);
    imsg_buf_clear(&buf);

    uint8_t secret[8] = "1234567";
    imsg_wipe(secret + 1, 6);
    tap_ok(memcmp(secret, "1\0\0\0\0\0\0", 8) == 0, "wipe");
    imsg_wipe(NULL, 0);
    tap_ok(imsg_view_equal(imsg_view_of(NULL, 0), imsg_view_str("")), "empty views are equal");
    tap_ok(imsg_view_equal(imsg_view_of("a\0b", 3), imsg_view_of("a\0b", 3)), "equal views");
    tap_ok(!imsg_view_equal(imsg_view_of("a\0b", 3), imsg_view_of("a\0c", 3)), "views differ after a NUL");
    tap_ok(!imsg_view_equal(imsg_view_str("a"), imsg_view_str("ab")), "views of other lengths");
}

static void test_handles(void)
{
    static const struct {
        const char *text, *canonical;
    } good[] = {
        {"alice@example.com", "mailto:alice@example.com"},
        {"Alice.B+x@Example.COM", "mailto:alice.b+x@example.com"},
        {"MAILTO:Bob@x", "mailto:bob@x"},
        {"mailto:tel:@x", "mailto:tel:@x"},
        {"+a@b", "mailto:+a@b"},
        {"+15551234567", "tel:+15551234567"},
        {"+1 (555) 123-4567", "tel:+15551234567"},
        {"Tel:+49.30.123", "tel:+4930123"},
        {"+12", "tel:+12"},
        {"+39 (06) 698 1234", "tel:+39066981234"}, /* a 0 that is dialled */
        {"+1 (0", "tel:+10"},
        {"+123456789012345", "tel:+123456789012345"},
    };
    static const char *const bad[] = {
        "",
        "alice",
        "15551234567",
        "mailto:",
        "mailto:alice",
        "tel:",
        "tel:15551234567",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "mailto:a@b@c",
        "mailto:@b",
        "mailto:a@",
        "a b@c",
        "a@b c",
        " a@b",
        "a@b ",
        "a\t@b",
        "a@b\n",
        "a\x7f@b",
        "a\x01@b",
        "\xc3\xa4@b",
        "a@b\xc3\xb6.de",
        "<a@b>",
        "\"a\"@b",
        "a@b,c",
        "Alice <a@b>",
        "a@b>",
        "+",
        "+1",
        "+0123",
        "+1234567890123456",
        "+12a",
        "++12",
        "+12+",
        " +12",
        "tel: +12",
        "+()",
        "+44 (0)20 7946 0018",
        "+44(0)2079460018",
        "tel:+44-( 0 )-20-7946-0018",
        "+1\n2",
        "+12;ext=3",
        "tel:+",
        "tel:a@b",
        "+\xd9\xa1\xd9\xa2",
        "http://x",
        "mailto",
        "+12\t",
    };
    static const char *const not_canonical[] = {
        "alice@example.com",
        "mailto:Alice@example.com",
        "Mailto:alice@example.com",
        "tel:+1 2",
        "TEL:+12",
        "tel:12",
        "+12",
        "tel:+1",
        "tel:+02",
        "mailto:a@b@c",
        "",
        "mailto:",
        "tel:+12 ",
        "mailto:a@b ",
        "tel:+1234567890123456",
    };
    struct imsg_error err;
    for (size_t i = 0; i < COUNT(good); i++) {
        char *out = NULL;
        tap_status(imsg_handle_canonical(good[i].text, &out, &err), IMSG_OK, &err, "handle: %s", good[i].text);
        tap_ok(out && strcmp(out, good[i].canonical) == 0, "canonical: %s", good[i].canonical);
        tap_ok(out && imsg_handle_is_canonical(out) && imsg_handle_is(out) && imsg_handle_is(good[i].text),
               "it is a handle and canonical");
        free(out);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        char *out = (char *)"untouched";
        enum imsg_status status = imsg_handle_canonical(bad[i], &out, &err);
        tap_ok(status == IMSG_MALFORMED && strcmp(out, "untouched") == 0, "no handle (%zu): %s", i, err.text);
    }
    for (size_t i = 0; i < COUNT(not_canonical); i++)
        tap_ok(!imsg_handle_is_canonical(not_canonical[i]), "not canonical: \"%s\"", not_canonical[i]);

    char longest[IMSG_HANDLE_MAX + 2];
    char *out = NULL;
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "mailto:", 7);
    longest[10] = '@';
    longest[IMSG_HANDLE_MAX + 1] = 0;
    tap_status(imsg_handle_canonical(longest, &out, &err), IMSG_MALFORMED, &err, "255 bytes are too long");
    tap_status(imsg_handle_canonical(longest + 7, &out, &err), IMSG_MALFORMED, &err, "also without the scheme");
    tap_ok(!imsg_handle_is_canonical(longest), "255 bytes are not canonical");
    longest[IMSG_HANDLE_MAX] = 0;
    tap_status(imsg_handle_canonical(longest + 7, &out, &err), IMSG_OK, &err, "254 bytes fit");
    tap_ok(out && strcmp(out, longest) == 0 && imsg_handle_is_canonical(longest), "254 bytes are canonical");
    free(out);

    tap_ok(imsg_handle_is("a@b") && imsg_handle_is("+x") && imsg_handle_is("TEL:x") && imsg_handle_is("Mailto:"),
           "meant as handles");
    tap_ok(!imsg_handle_is("Alice") && !imsg_handle_is("") && !imsg_handle_is("telly") && !imsg_handle_is("1+1"),
           "meant as names");
}

static void test_times(void)
{
    static const struct {
        const char *text;
        int64_t when;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},           {"2026-11-24T03:20:00Z", 1795490400},
        {"2000-02-29T23:59:59Z", 951868799},   {"2038-01-19T03:14:08Z", 2147483648},
        {"1969-12-31T23:59:59Z", -1},          {"0000-01-01T00:00:00Z", -62167219200},
        {"1900-03-01T00:00:00Z", -2203891200}, {"9999-12-31T23:59:59Z", 253402300799},
    };
    static const char *const bad[] = {
        "",
        "2026",
        "2026-11-24",
        "2026-11-24T03:20:00",
        "2026-11-24 03:20:00Z",
        "2026-11-24T03:20:00z",
        "2026-11-24t03:20:00Z",
        "2026-11-24T03:20:00+00:00",
        "2026-11-24T03:20Z",
        "2026-11-24T03:20:00.Z",
        "2026-11-24T03:20:00.5",
        "2026-11-24T03:20:00,5Z",
        "2026-11-24T03:20:00.5xZ",
        "2026-11-24T03:20:00ZZ",
        " 2026-11-24T03:20:00Z",
        "2026-11-24T03:20:00Z ",
        "2026-00-24T03:20:00Z",
        "2026-13-24T03:20:00Z",
        "2026-11-00T03:20:00Z",
        "2026-11-31T03:20:00Z",
        "2026-01-32T03:20:00Z",
        "2026-02-29T03:20:00Z",
        "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T03:60:00Z",
        "2026-11-24T03:20:61Z",
        "2026-11-24T-3:20:00Z",
        "+026-11-24T03:20:00Z",
        "12026-11-24T03:20:00Z",
        "2026-1-24T03:20:00Z",
        "2026/11/24T03:20:00Z",
        "2026-11-24T03:20: 0Z",
    };
    struct imsg_error err;
    char text[21];
    for (size_t i = 0; i < COUNT(good); i++) {
        time_t when = 7;
        tap_status(imsg_time_parse(good[i].text, &when, &err), IMSG_OK, &err, "time %s", good[i].text);
        tap_ok(when == good[i].when, "is %lld", (long long)when);
        imsg_time_format(when, text);
        tap_ok(strcmp(text, good[i].text) == 0, "and back: %s", text);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        time_t when = 7;
        enum imsg_status status = imsg_time_parse(bad[i], &when, &err);
        tap_ok(status == IMSG_MALFORMED && when == 7, "no time: \"%s\"", bad[i]);
    }
    time_t leap = 0, next = 1, fraction = 2;
    tap_ok(imsg_time_parse("2016-12-31T23:59:60Z", &leap, &err) == IMSG_OK &&
               imsg_time_parse("2017-01-01T00:00:00Z", &next, &err) == IMSG_OK && leap == next,
           "a leap second is the second after it");
    tap_ok(imsg_time_parse("2017-01-01T00:00:00.999999999999Z", &fraction, &err) == IMSG_OK && fraction == next,
           "a fraction is ignored");

    bool same = true;
    for (int64_t when = -62167219200; when <= 253402300799 && same; when += 86400 * 3 + 4567) {
        time_t back = 0, moment = (time_t)when;
        struct tm tm;
        char want[64];
        imsg_time_format(moment, text);
        gmtime_r(&moment, &tm);
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        same = strcmp(text, want) == 0 && imsg_time_parse(text, &back, NULL) == IMSG_OK && back == moment;
    }
    tap_ok(same, "ten thousand years agree with gmtime (last: %s)", text);
    imsg_time_format((time_t)INT64_MAX, text);
    tap_ok(strcmp(text, "9999-12-31T23:59:59Z") == 0, "too late for four digits: %s", text);
    imsg_time_format((time_t)INT64_MIN, text);
    tap_ok(strcmp(text, "0000-01-01T00:00:00Z") == 0, "too early: %s", text);
    tap_ok(imsg_now() > 1700000000, "now is after 2023");
}

static void test_urls(void)
{
    static const struct {
        const char *location, *scheme;
    } schemes[] = {
        {"https://a", "https"},
        {"HTTP://a", "http"},
        {"s3://bucket/x", "s3"},
        {"svn+ssh://x", "svn+ssh"},
        {"file:///x", "file"},
        {"/var/x", "file"},
        {"relative", "file"},
        {"", "file"},
        {"://x", "file"},
        {"a:b", "file"},
        {"https:/x", "file"},
        {"1a://x", "file"},
        {"./https://x", "file"},
        {"a b://x", "file"},
        {"averyveryverylongscheme://x", "averyveryverylo"},
    };
    static const char *const good[] = {
        "https://relay.example",     "https://relay.example:8443", "https://a",
        "https://A.b-c.example:1",   "https://127.0.0.1:65535",    "https://[::1]",
        "https://[2001:db8::1]:443", "https://1.example",
    };
    static const char *const bad[] = {
        "",
        "https://",
        "https:///",
        "https://a/",
        "https://a/b",
        "https://a?b",
        "https://a#b",
        "https://a:",
        "https://a:0",
        "https://a:65536",
        "https://a:080",
        "https://a:12345678901",
        "https://a:8x",
        "https://a:-1",
        "https://a: 1",
        "https://u@a",
        "https://u:p@a",
        "https://a:1:2",
        "http://a",
        "HTTPS://a",
        "ftp://a",
        "//a",
        "a",
        "https//a",
        "https:/a",
        " https://a",
        "https://a ",
        "https://a\n",
        "https://a b",
        "https://.a",
        "https://a.",
        "https://a..b",
        "https://-a",
        "https://a-",
        "https://a_b",
        "https://a%20b",
        "https://\xc3\xa4.example",
        "https://[::1",
        "https://::1",
        "https://[]",
        "https://[::1]x",
        "https://[1.2.3.4]",
        "https://[::1%25eth0]",
        "https://[::1]:",
        "https://127.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://1.2.3.256",
        "https://1.2.3.4.5",
        "https://a.0x1",
        "https://a\\b",
        "https://:80",
        "https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example",
    };
    for (size_t i = 0; i < COUNT(schemes); i++) {
        char out[16];
        imsg_url_scheme(schemes[i].location, out);
        tap_ok(strcmp(out, schemes[i].scheme) == 0, "scheme of \"%s\": %s", schemes[i].location, out);
    }
    for (size_t i = 0; i < COUNT(good); i++)
        tap_ok(imsg_url_is_https_origin(good[i]), "an origin: %s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        tap_ok(!imsg_url_is_https_origin(bad[i]), "no origin (%zu)", i);

    char host[400] = "https://";
    while (strlen(host) < 8 + 252)
        strcat(host, "a.");
    strcat(host, "b");
    tap_ok(imsg_url_is_https_origin(host), "a host of 253 bytes");
    strcat(host, "b");
    tap_ok(!imsg_url_is_https_origin(host), "a host of 254 bytes");
    strcat(host, "b");
    tap_ok(!imsg_url_is_https_origin(host), "a host of 255 bytes");
}

int main(void)
{
    test_statuses();
    test_errors();
    test_buffers();
    test_handles();
    test_times();
    test_urls();
    return tap_done();
}
