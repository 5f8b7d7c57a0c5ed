/* Hex, base64, UTF-8. Hand-written because library decoders are lax: two texts must never mean the same bytes. */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

void imsg_hex(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        *out++ = hex_digits[bytes[i] >> 4];
        *out++ = hex_digits[bytes[i] & 15];
    }
    *out = 0;
}

enum imsg_status imsg_hex_encode(struct imsg_view bytes, struct imsg_buf *out, struct imsg_error *err)
{
    if (bytes.len > SIZE_MAX / 2)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = imsg_buf_reserve(out, 2 * bytes.len, err);
    if (status == IMSG_OK) {
        imsg_hex(bytes.ptr, bytes.len, (char *)out->ptr + out->len);
        out->len += 2 * bytes.len;
    }
    return status;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum imsg_status imsg_hex_decode(struct imsg_view text, uint8_t *out, size_t len, struct imsg_error *err)
{
    for (size_t i = 0; i < text.len; i++)
        if (hex_value(text.ptr[i]) < 0)
            return imsg_fail_at(err, IMSG_MALFORMED, i, "not a lower-case hex digit");
    if (text.len % 2 != 0 || text.len / 2 != len)
        return imsg_fail(err, IMSG_MALFORMED, "%zu hex digits, not %zu", text.len, 2 * len);
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(hex_value(text.ptr[2 * i]) << 4 | hex_value(text.ptr[2 * i + 1]));
    return IMSG_OK;
}

/* A digit's value in the low six bits, and one bit for each alphabet it belongs to, so that one AND over many digits
 * tells whether all of them were good. */
enum alphabet { STANDARD = 0x40, URL = 0x80 };
/* clang-format off */
static const uint8_t base64_values[256] = {
    ['+'] = STANDARD | 62, ['/'] = STANDARD | 63, ['-'] = URL | 62, ['_'] = URL | 63,
    ['A'] = 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc,
            0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9,
    ['a'] = 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6,
            0xe7, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf2, 0xf3,
    ['0'] = 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd,
};
/* clang-format on */
static const char base64_standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static enum imsg_status encode(struct imsg_view bytes, enum alphabet alphabet, struct imsg_buf *out,
                               struct imsg_error *err)
{
    const char *digits = alphabet == URL ? base64_url : base64_standard;
    if (bytes.len > SIZE_MAX / 2)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = imsg_buf_reserve(out, bytes.len / 3 * 4 + 4, err);
    if (status != IMSG_OK)
        return status;

    const uint8_t *in = bytes.ptr;
    uint8_t *to = out->ptr + out->len;
    size_t left = bytes.len;
    for (; left >= 3; left -= 3, in += 3) {
        uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *to++ = (uint8_t)digits[group >> 18];
        *to++ = (uint8_t)digits[group >> 12 & 63];
        *to++ = (uint8_t)digits[group >> 6 & 63];
        *to++ = (uint8_t)digits[group & 63];
    }
    if (left > 0) {
        uint32_t group = (uint32_t)in[0] << 16 | (left == 2 ? (uint32_t)in[1] << 8 : 0);
        *to++ = (uint8_t)digits[group >> 18];
        *to++ = (uint8_t)digits[group >> 12 & 63];
        if (left == 2)
            *to++ = (uint8_t)digits[group >> 6 & 63];
        else if (alphabet == STANDARD)
            *to++ = '=';
        if (alphabet == STANDARD)
            *to++ = '=';
    }
    *to = 0;
    out->len = (size_t)(to - out->ptr);
    return IMSG_OK;
}

/* Why a text was refused: runs once more, slowly, on that path only. */
static enum imsg_status decode_fault(struct imsg_view text, enum alphabet alphabet, struct imsg_error *err)
{
    size_t len = text.len;
    for (size_t i = 0; i < len; i++) {
        bool pad_place =
            alphabet == STANDARD && len % 4 == 0 && (i == len - 1 || (i == len - 2 && text.ptr[len - 1] == '='));
        if (!(base64_values[text.ptr[i]] & alphabet) && !(pad_place && text.ptr[i] == '='))
            return imsg_fail_at(err, IMSG_MALFORMED, i, "not a base64 character here");
    }
    if (len % 4 == 1 || (alphabet == STANDARD && len % 4 != 0))
        return imsg_fail_at(err, IMSG_MALFORMED, len, "base64 ends too early");
    while (text.ptr[len - 1] == '=')
        len--;
    return imsg_fail_at(err, IMSG_MALFORMED, len - 1, "spare bits of the last base64 character are not zero");
}

static enum imsg_status decode(struct imsg_view text, enum alphabet alphabet, struct imsg_buf *out,
                               struct imsg_error *err)
{
    size_t count = text.len; /* digits, without padding */
    if (alphabet == STANDARD && count % 4 != 0)
        return decode_fault(text, alphabet, err);
    if (alphabet == STANDARD && count > 0 && text.ptr[count - 1] == '=') {
        count--;
        if (text.ptr[count - 1] == '=')
            count--;
    }
    size_t tail = count % 4, len = count / 4 * 3 + (tail > 0 ? tail - 1 : 0);
    if (tail == 1)
        return decode_fault(text, alphabet, err);
    enum imsg_status status = imsg_buf_reserve(out, len, err);
    if (status != IMSG_OK)
        return status;

    const uint8_t *in = text.ptr;
    uint8_t *to = out->ptr + out->len;
    unsigned good = alphabet, spare = 0;
    for (size_t groups = count / 4; groups > 0; groups--, in += 4) {
        unsigned a = base64_values[in[0]], b = base64_values[in[1]];
        unsigned c = base64_values[in[2]], d = base64_values[in[3]];
        good &= a & b & c & d;
        *to++ = (uint8_t)(a << 2 | (b >> 4 & 3));
        *to++ = (uint8_t)(b << 4 | (c >> 2 & 15));
        *to++ = (uint8_t)(c << 6 | (d & 63));
    }
    if (tail > 0) {
        unsigned a = base64_values[in[0]], b = base64_values[in[1]];
        unsigned c = tail == 3 ? base64_values[in[2]] : (unsigned)alphabet;
        good &= a & b & c;
        spare = tail == 3 ? c & 3 : b & 15;
        *to++ = (uint8_t)(a << 2 | (b >> 4 & 3));
        if (tail == 3)
            *to++ = (uint8_t)(b << 4 | (c >> 2 & 15));
    }
    if (!good || spare) {
        imsg_wipe(out->ptr + out->len, len);
        return decode_fault(text, alphabet, err);
    }
    *to = 0;
    out->len += len;
    return IMSG_OK;
}

enum imsg_status imsg_base64_encode(struct imsg_view bytes, struct imsg_buf *out, struct imsg_error *err)
{
    return encode(bytes, STANDARD, out, err);
}

enum imsg_status imsg_base64_decode(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err)
{
    return decode(text, STANDARD, out, err);
}

enum imsg_status imsg_base64url_encode(struct imsg_view bytes, struct imsg_buf *out, struct imsg_error *err)
{
    return encode(bytes, URL, out, err);
}

enum imsg_status imsg_base64url_decode(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err)
{
    return decode(text, URL, out, err);
}

/* Length of the well-formed sequence at p, 0 if there is none (RFC 3629 §4). */
static size_t utf8_sequence(const uint8_t *p, size_t left, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    size_t need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < need)
        return 0;
    uint32_t value = p[0] & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    if (value < least[need] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return need;
}

bool imsg_utf8_valid(struct imsg_view text)
{
    size_t i = 0;
    while (i < text.len) {
        uint64_t word;
        uint32_t code;
        if (text.len - i >= sizeof word) {
            memcpy(&word, text.ptr + i, sizeof word);
            if (!(word & UINT64_C(0x8080808080808080))) {
                i += sizeof word;
                continue;
            }
        }
        size_t len = utf8_sequence(text.ptr + i, text.len - i, &code);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

static bool harmful(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c || code == 0x200e || code == 0x200f ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* `keep_lines`: newline and tab stay. */
static enum imsg_status escape_all(struct imsg_view text, bool keep_lines, struct imsg_buf *out, struct imsg_error *err)
{
    /* \xNN for one byte is the worst; \u{NNNN} stands for two or three. */
    if (text.len > SIZE_MAX / 4)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = imsg_buf_reserve(out, 4 * text.len, err);
    if (status != IMSG_OK)
        return status;
    for (size_t i = 0, len; i < text.len; i += len) {
        uint32_t code = 0;
        char escape[16];
        len = utf8_sequence(text.ptr + i, text.len - i, &code);
        const void *from = text.ptr + i;
        size_t count = len;
        if (len == 1 && keep_lines && (code == '\n' || code == '\t')) {
            /* as it is */
        } else if (len <= 1 && (len == 0 || harmful(code))) {
            count = (size_t)snprintf(escape, sizeof escape, "\\x%02x", text.ptr[i]);
            from = escape;
            len = 1;
        } else if (harmful(code)) {
            count = (size_t)snprintf(escape, sizeof escape, "\\u{%04x}", (unsigned)code);
            from = escape;
        }
        memcpy(out->ptr + out->len, from, count);
        out->len += count;
    }
    out->ptr[out->len] = 0;
    return IMSG_OK;
}

enum imsg_status imsg_escape(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err)
{
    return escape_all(text, false, out, err);
}

enum imsg_status imsg_escape_lines(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err)
{
    return escape_all(text, true, out, err);
}

size_t imsg_utf8_begun(struct imsg_view text)
{
    for (size_t back = 1; back <= 3 && back <= text.len; back++) {
        uint8_t byte = text.ptr[text.len - back];
        if ((byte & 0xc0) == 0x80)
            continue;
        size_t need = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        return need > back ? back : 0;
    }
    return 0;
}

enum imsg_status imsg_escape_json(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0, len; status == IMSG_OK && i < text.len; i += len) {
        uint32_t code = 0;
        char escape[8];
        len = utf8_sequence(text.ptr + i, text.len - i, &code);
        len = len ? len : 1;
        if (code > 0x20 && harmful(code)) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(code & 0xffff));
            status = imsg_buf_text(out, escape, err);
        } else {
            status = imsg_buf_append(out, text.ptr + i, len, err);
        }
    }
    return status;
}

bool imsg_uuid_valid(const char *text)
{
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : hex_value((uint8_t)text[i]) < 0)
            return false;
    }
    return text[36] == 0;
}

enum imsg_status imsg_strdup(const char *text, char **out, struct imsg_error *err)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (!copy)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    memcpy(copy, text, size);
    *out = copy;
    return IMSG_OK;
}
