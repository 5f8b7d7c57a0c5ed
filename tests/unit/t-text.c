/* Hex, base64, UTF-8, escapes, uuids. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define NOWHERE UINT64_MAX

static void test_hex(void)
{
    static const struct {
        const char *text;
        size_t len;
        uint64_t offset;
    } bad[] = {
        {"", 1, NOWHERE},
        {"0", 1, NOWHERE},
        {"000", 1, NOWHERE},
        {"0000", 1, NOWHERE},
        {"00", 2, NOWHERE},
        {"00", 0, NOWHERE},
        {"0g", 1, 1},
        {"G0", 1, 0},
        {"0A", 1, 1},
        {"AB", 1, 0},
        {" 00", 1, 0},
        {"0 ", 1, 1},
        {"0x", 1, 1},
        {"00\n", 1, 2},
        {"/0", 1, 0},
        {":0", 1, 0},
        {"`0", 1, 0},
        {"@0", 1, 0},
        {"\xff"
         "0",
         1, 0},
        {"+1", 1, 0},
    };
    struct imsg_error err;
    struct imsg_buf buf = {0};
    uint8_t all[256], back[256];
    char text[513];
    for (size_t i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    imsg_hex(all, 256, text);
    tap_ok(strlen(text) == 512 && strncmp(text, "000102", 6) == 0 && strcmp(text + 506, "fdfeff") == 0, "all bytes");
    tap_status(imsg_hex_encode(imsg_view_of(all, 256), &buf, &err), IMSG_OK, &err, "hex_encode");
    tap_bytes(imsg_buf_view(&buf), imsg_view_str(text), "both encoders agree");
    tap_status(imsg_hex_decode(imsg_buf_view(&buf), back, 256, &err), IMSG_OK, &err, "hex_decode");
    tap_ok(memcmp(all, back, 256) == 0, "all bytes come back");
    tap_status(imsg_hex_decode(imsg_view_str(""), back, 0, &err), IMSG_OK, &err, "nothing is nothing");
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint8_t out[2] = {0xa5, 0xa5};
        enum imsg_status status = imsg_hex_decode(imsg_view_str(bad[i].text), out, bad[i].len, &err);
        tap_ok(status == IMSG_MALFORMED && out[0] == 0xa5 && out[1] == 0xa5 &&
                   (bad[i].offset == NOWHERE ? !err.has_offset : err.has_offset && err.offset == bad[i].offset),
               "bad hex %zu: %s", i, err.text);
    }
    imsg_buf_free(&buf);
}

/* The other reading of RFC 4648 §4, bit by bit. */
static size_t slow_base64(const uint8_t *in, size_t len, bool url, char *out)
{
    size_t at = 0;
    for (size_t bit = 0; bit < 8 * len; bit += 6) {
        unsigned value = 0;
        for (size_t i = bit; i < bit + 6; i++)
            value = value << 1 | (i < 8 * len ? in[i / 8] >> (7 - i % 8) & 1u : 0);
        out[at++] = value < 26   ? (char)('A' + value)
                    : value < 52 ? (char)('a' + value - 26)
                    : value < 62 ? (char)('0' + value - 52)
                    : value < 63 ? "+-"[url]
                                 : "/_"[url];
    }
    while (!url && at % 4 != 0)
        out[at++] = '=';
    return at;
}

static void test_base64_round(void)
{
    static uint8_t bytes[600];
    static char want[900];
    struct imsg_error err;
    bool good = true;
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(state >> 24);
    }
    for (size_t len = 0; len < sizeof bytes && good; len++) {
        for (int url = 0; url < 2 && good; url++) {
            struct imsg_buf text = {0}, back = {0};
            size_t want_len = slow_base64(bytes + 1, len, url, want);
            good = imsg_buf_text(&text, "#", &err) == IMSG_OK && imsg_buf_text(&back, "#", &err) == IMSG_OK &&
                   (url ? imsg_base64url_encode : imsg_base64_encode)(imsg_view_of(bytes + 1, len), &text, &err) ==
                       IMSG_OK &&
                   imsg_view_equal(imsg_view_of(text.ptr + 1, text.len - 1), imsg_view_of(want, want_len)) &&
                   text.ptr[text.len] == 0 &&
                   (url ? imsg_base64url_decode : imsg_base64_decode)(imsg_view_of(want, want_len), &back, &err) ==
                       IMSG_OK &&
                   imsg_view_equal(imsg_view_of(back.ptr + 1, back.len - 1), imsg_view_of(bytes + 1, len)) &&
                   back.ptr[back.len] == 0;
            imsg_buf_free(&text);
            imsg_buf_free(&back);
        }
    }
    tap_ok(good, "base64 and base64url of 0 to 599 bytes, appended and back");
}

/* Of all texts of four characters out of a telling few, each that decodes is what encoding gives back: nothing but the
 * canonical text is taken. */
static void test_base64_canonical(void)
{
    static const char few[] = "AQgwBf/+-_= \n9";
    size_t taken[2] = {0, 0};
    bool good = true;
    for (size_t n = 0; n < 14 * 14 * 14 * 14; n++) {
        char text[4] = {few[n % 14], few[n / 14 % 14], few[n / 196 % 14], few[n / 2744]};
        for (int url = 0; url < 2; url++) {
            struct imsg_buf bytes = {0}, again = {0};
            if ((url ? imsg_base64url_decode : imsg_base64_decode)(imsg_view_of(text, 4), &bytes, NULL) == IMSG_OK) {
                taken[url]++;
                good = good &&
                       (url ? imsg_base64url_encode : imsg_base64_encode)(imsg_buf_view(&bytes), &again, NULL) ==
                           IMSG_OK &&
                       imsg_view_equal(imsg_view_of(text, 4), imsg_buf_view(&again));
            } else {
                good = good && bytes.len == 0;
            }
            imsg_buf_free(&bytes);
            imsg_buf_free(&again);
        }
    }
    /* Nine of the few are digits; A, Q, g and w have the zero bits that the last digit before padding needs. */
    tap_ok(good, "only canonical texts decode (%zu and %zu taken)", taken[0], taken[1]);
    tap_ok(taken[0] == 9 * 9 * 9 * 9 + 9 * 9 * 4 + 9 * 4 && taken[1] == 9 * 9 * 9 * 9, "and all of those do");
}

static void test_base64_bad(void)
{
    static const struct {
        const char *text;
        bool url;
        uint64_t offset;
    } bad[] = {
        {"A", false, 1},
        {"AA", false, 2},
        {"AAA", false, 3},
        {"AAAAA", false, 5},
        {"=", false, 0},
        {"====", false, 0},
        {"A===", false, 1},
        {"AA=A", false, 2},
        {"AA=", false, 2},
        {"AAA=AAAA", false, 3},
        {"AA==AA==", false, 2},
        {"AAAA====", false, 4},
        {"AAAA=", false, 4},
        {"AB==", false, 1},
        {"AAB=", false, 2},
        {"AAAAQR==", false, 5},
        {"A A=", false, 1},
        {"AAA\n", false, 3},
        {"AAAA\n", false, 4},
        {" AAAA", false, 0},
        {"AAA-", false, 3},
        {"_AAA", false, 0},
        {"AAAA-AAA", false, 4},
        {"A\x80"
         "AA",
         false, 1},
        {"AA\xff"
         "=",
         false, 2},
        {"AAA.", false, 3},
        {"AA=\n", false, 2},
        {"AAA=\n", false, 3},
        {"A", true, 1},
        {"AAAAA", true, 5},
        {"AA==", true, 2},
        {"AAA=", true, 3},
        {"AB", true, 1},
        {"AAB", true, 2},
        {"AA+A", true, 2},
        {"AA/A", true, 2},
        {"AAAA ", true, 4},
        {"A*AA", true, 1},
        {"AA\nA", true, 2},
        {"=", true, 0},
    };
    struct imsg_error err;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct imsg_buf buf = {0};
        enum imsg_status status = imsg_buf_text(&buf, "kept", &err);
        if (status == IMSG_OK)
            status = (bad[i].url ? imsg_base64url_decode : imsg_base64_decode)(imsg_view_str(bad[i].text), &buf, &err);
        tap_ok(status == IMSG_MALFORMED && err.has_offset && err.offset == bad[i].offset &&
                   imsg_view_equal(imsg_buf_view(&buf), imsg_view_str("kept")) && buf.ptr[4] == 0,
               "bad base64%s %zu: %s", bad[i].url ? "url" : "", i, err.text);
        imsg_buf_free(&buf);
    }
    struct imsg_buf buf = {0};
    tap_status(imsg_base64_decode(imsg_view_of("AA\0A", 4), &buf, &err), IMSG_MALFORMED, &err, "a NUL is no digit");
    /* One bad byte anywhere in a long text is found where it is. */
    char text[401];
    bool found = true;
    for (size_t i = 0; i < 400; i++) {
        memset(text, 'A', 400);
        text[i] = i % 2 ? ' ' : '-';
        found = found && imsg_base64_decode(imsg_view_of(text, 400), &buf, &err) == IMSG_MALFORMED && err.offset == i;
    }
    tap_ok(found, "one bad byte at each of 400 places");
    imsg_buf_free(&buf);
}

static void test_utf8(void)
{
    static const char *const good[] = {
        "",
        "plain",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "eight by\xc3\xa4",
        "\xe2\x82\xac 12345678 \xf0\x9f\x98\x80",
    };
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2 ",
        "\xc2\xc2",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe0\xa0",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xe2\x82",
        "\xe2\x28\xa1",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
        "12345678\xff",
        "1234567\xff\x38",
        "12345678\xe2\x82",
        "\xed\xa0\xbd\xed\xb8\x80",
    };
    for (size_t i = 0; i < COUNT(good); i++)
        tap_ok(imsg_utf8_valid(imsg_view_str(good[i])), "UTF-8 %zu", i);
    for (size_t i = 0; i < COUNT(bad); i++)
        tap_ok(!imsg_utf8_valid(imsg_view_str(bad[i])), "not UTF-8 %zu", i);
    tap_ok(imsg_utf8_valid(imsg_view_of("a\0b", 3)), "NUL is a character");
    tap_ok(imsg_utf8_valid(imsg_view_of(NULL, 0)), "an empty view");

    /* Every code point, encoded by the rule, is valid unless a surrogate; every cut of it is not. */
    bool all = true;
    for (uint32_t code = 0x80; code <= 0x10ffff + 16 && all; code++) {
        size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        char text[4];
        uint32_t rest = code;
        for (size_t i = len; i-- > 1; rest >>= 6)
            text[i] = (char)(0x80 | (rest & 0x3f));
        text[0] = (char)((0xf00u >> len & 0xff) | rest);
        bool want = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        all = imsg_utf8_valid(imsg_view_of(text, len)) == want && !imsg_utf8_valid(imsg_view_of(text, len - 1));
    }
    tap_ok(all, "every code point");
}

static void test_escape(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"plain \\ text", "plain \\ text"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\tb\nc\r", "a\\x09b\\x0ac\\x0d"},
        {"\x1b[31m\x07\x7f", "\\x1b[31m\\x07\\x7f"},
        {"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "\\u{0080}\\u{009b}\\u{009f}\xc2\xa0"},
        {"\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f", "\\u{061c}\\u{200e}\\u{200f}"},
        {"\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf", "\\u{202a}\\u{202e}\xe2\x80\xaf"},
        {"\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa", "\\u{2066}\\u{2069}\xe2\x81\xaa"},
        {"\x80\xff", "\\x80\\xff"},
        {"\xe2\x82", "\\xe2\\x82"},
        {"\x9b", "\\x9b"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"\xc0\x80", "\\xc0\\x80"},
        {"\xe2\x80\xc3\xa4", "\\xe2\\x80\xc3\xa4"},
    };
    struct imsg_error err;
    struct imsg_buf buf = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        imsg_buf_clear(&buf);
        tap_status(imsg_escape(imsg_view_str(cases[i].text), &buf, &err), IMSG_OK, &err, "escape %zu", i);
        tap_bytes(imsg_buf_view(&buf), imsg_view_str(cases[i].want), "escaped %zu", i);
    }
    imsg_buf_clear(&buf);
    tap_status(imsg_escape(imsg_view_of("a\0b", 3), &buf, &err), IMSG_OK, &err, "escape a NUL");
    tap_status(imsg_escape(imsg_view_of("c", 1), &buf, &err), IMSG_OK, &err, "escape appends");
    tap_ok(strcmp((char *)buf.ptr, "a\\x00bc") == 0, "to what is there");
    bool harmless = true;
    for (unsigned n = 0; n < 65536; n++) {
        uint8_t two[2] = {(uint8_t)(n >> 8), (uint8_t)n};
        imsg_buf_clear(&buf);
        harmless = harmless && imsg_escape(imsg_view_of(two, 2), &buf, &err) == IMSG_OK &&
                   imsg_utf8_valid(imsg_buf_view(&buf)) && strlen((char *)buf.ptr) == buf.len;
        for (size_t i = 0; i < buf.len; i++)
            harmless =
                harmless && buf.ptr[i] >= 0x20 && buf.ptr[i] != 0x7f && !(buf.ptr[i] == 0xc2 && buf.ptr[i + 1] < 0xa0);
    }
    tap_ok(harmless, "every two bytes come out harmless and UTF-8");
    imsg_buf_clear(&buf);
    tap_status(imsg_escape_lines(imsg_view_str("a\tb\r\n\x1b[2J\x80"), &buf, &err), IMSG_OK, &err, "escape lines");
    tap_ok(strcmp((char *)buf.ptr, "a\tb\\x0d\n\\x1b[2J\\x80") == 0, "tab and newline stay");
    imsg_buf_free(&buf);
}

static void test_begun(void)
{
    static const struct {
        const char *text;
        size_t begun;
    } cases[] = {{"", 0},
                 {"a", 0},
                 {"\xc3", 1},
                 {"a\xc3\xa4", 0},
                 {"\xe2\x82", 2},
                 {"x\xe2", 1},
                 {"\xe2\x82\xac", 0},
                 {"\xf0\x9f\x98", 3},
                 {"\xf0\x9f", 2},
                 {"y\xf0", 1},
                 {"\x80\x80", 0},
                 {"\x80\x80\x80\x80", 0},
                 {"\xe2\x82"
                  "a",
                  0}};
    for (size_t i = 0; i < COUNT(cases); i++)
        tap_ok(imsg_utf8_begun(imsg_view_str(cases[i].text)) == cases[i].begun, "%zu bytes begin a character, %zu",
               cases[i].begun, i);
}

static void test_uuid(void)
{
    static const char *const bad[] = {
        "",
        "0",
        "00000000-0000-0000-0000-00000000000",
        "00000000-0000-0000-0000-0000000000000",
        "00000000-0000-0000-0000-00000000000G",
        "0000000A-0000-0000-0000-000000000000",
        "00000000000000000000000000000000",
        "000000000000-0000-0000-0000-00000000",
        "{0000000-0000-0000-0000-00000000000}",
        "00000000-0000-0000-0000-00000000000 ",
        " 0000000-0000-0000-0000-000000000000",
        "00000000-0000-0000-0000000000000-000",
        "00000000_0000_0000_0000_000000000000",
        "00000000-0000-0000-0000-000000000000\n",
    };
    tap_ok(imsg_uuid_valid("01234567-89ab-cdef-0123-456789abcdef"), "a uuid");
    tap_ok(imsg_uuid_valid("00000000-0000-0000-0000-000000000000"), "a uuid of zeroes");
    for (size_t i = 0; i < COUNT(bad); i++)
        tap_ok(!imsg_uuid_valid(bad[i]), "no uuid: \"%s\"", bad[i][0] ? bad[i] : "(empty)");
    char *copy = NULL;
    struct imsg_error err;
    tap_status(imsg_strdup("copy", &copy, &err), IMSG_OK, &err, "strdup");
    tap_ok(copy && strcmp(copy, "copy") == 0, "is the same text");
    free(copy);
}

int main(void)
{
    test_hex();
    test_base64_round();
    test_base64_canonical();
    test_base64_bad();
    test_utf8();
    test_escape();
    test_begun();
    test_uuid();
    return tap_done();
}
