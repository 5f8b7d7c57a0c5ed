/* The text forms: base64, hex, UTF-8, escaping, times, handles, uuids, URLs (lib/base). All of them see every input.
 * max_len 512 */
#include "base/text.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/url.h"
#include "fuzz.h"

typedef enum imsg_status coder(struct imsg_view in, struct imsg_buf *out, struct imsg_error *err);

/* Canonical: no two texts mean the same bytes, and every run of bytes has a text. */
static void base64(struct imsg_view input, coder *encode, coder *decode)
{
    struct imsg_buf bytes = {0}, text = {0};
    struct imsg_error err = {0};
    enum imsg_status status = decode(input, &bytes, &err);
    if (status == IMSG_OK) {
        MUST_OK(encode(imsg_buf_view(&bytes), &text, &fuzz_err));
        MUST(imsg_view_equal(imsg_buf_view(&text), input));
    } else {
        fuzz_refused(status, &err, input.len);
        MUST(status == IMSG_MALFORMED && err.has_offset && bytes.len == 0);
    }
    imsg_buf_clear(&text);
    imsg_buf_clear(&bytes);
    MUST_OK(encode(input, &text, &fuzz_err));
    MUST_OK(decode(imsg_buf_view(&text), &bytes, &fuzz_err));
    MUST(imsg_view_equal(imsg_buf_view(&bytes), input));
    imsg_buf_free(&bytes);
    imsg_buf_free(&text);
}

static void hex(struct imsg_view input)
{
    uint8_t bytes[256];
    struct imsg_buf text = {0};
    struct imsg_error err = {0};
    size_t len = input.len / 2 < sizeof bytes ? input.len / 2 : sizeof bytes;
    enum imsg_status status = imsg_hex_decode(input, bytes, len, &err);
    if (status == IMSG_OK) {
        MUST_OK(imsg_hex_encode(imsg_view_of(bytes, len), &text, &fuzz_err));
        MUST(imsg_view_equal(imsg_buf_view(&text), input));
    } else {
        fuzz_refused(status, &err, input.len);
    }
    imsg_buf_free(&text);
}

static bool shows_control(struct imsg_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t *p = text.ptr + i;
        size_t left = text.len - i;
        if (*p < 0x20 || *p == 0x7f || (left > 1 && p[0] == 0xc2 && p[1] < 0xa0) || /* C0, DEL, C1 */
            (left > 1 && p[0] == 0xd8 && p[1] == 0x9c) ||                           /* U+061C */
            (left > 2 && p[0] == 0xe2 && p[1] == 0x80 &&
             (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xaa && p[2] <= 0xae))) ||       /* U+200E, 200F, 202A…202E */
            (left > 2 && p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)) /* U+2066…2069 */
            return true;
    }
    return false;
}

static void utf8(struct imsg_view input)
{
    struct imsg_buf once = {0}, twice = {0};
    json_t *judge = json_stringn((const char *)input.ptr, input.len); /* NULL unless UTF-8 */
    MUST(imsg_utf8_valid(input) == (judge != NULL));
    json_decref(judge);
    MUST_OK(imsg_escape(input, &once, &fuzz_err));
    MUST(!shows_control(imsg_buf_view(&once)) && imsg_utf8_valid(imsg_buf_view(&once)));
    if (imsg_utf8_valid(input) && !shows_control(input))
        MUST(imsg_view_equal(imsg_buf_view(&once), input));
    MUST_OK(imsg_escape(imsg_buf_view(&once), &twice, &fuzz_err));
    MUST(imsg_view_equal(imsg_buf_view(&once), imsg_buf_view(&twice)));
    imsg_buf_free(&once);
    imsg_buf_free(&twice);
}

/* Text that comes in two pieces is escaped as it would be in one. */
static void lines_in_pieces(struct imsg_view input)
{
    struct imsg_buf once = {0}, parts = {0};
    size_t cut = input.len / 2;
    cut -= imsg_utf8_begun(imsg_view_of(input.ptr, cut));
    MUST_OK(imsg_escape_lines(input, &once, &fuzz_err));
    MUST_OK(imsg_escape_lines(imsg_view_of(input.ptr, cut), &parts, &fuzz_err));
    MUST_OK(imsg_escape_lines(imsg_view_of(input.ptr + cut, input.len - cut), &parts, &fuzz_err));
    MUST(imsg_view_equal(imsg_buf_view(&once), imsg_buf_view(&parts)) && imsg_utf8_valid(imsg_buf_view(&once)));
    for (size_t i = 0; i < once.len; i++)
        MUST((once.ptr[i] >= 0x20 && once.ptr[i] != 0x7f) || once.ptr[i] == '\n' || once.ptr[i] == '\t');
    imsg_buf_free(&once);
    imsg_buf_free(&parts);
}

static void times(const char *text)
{
    time_t when = 0, again = 0;
    char form[21];
    struct imsg_error err = {0};
    enum imsg_status status = imsg_time_parse(text, &when, &err);
    if (status != IMSG_OK) {
        fuzz_refused(status, &err, strlen(text));
        return;
    }
    imsg_time_format(when, form);
    MUST_OK(imsg_time_parse(form, &again, &fuzz_err));
    /* A leap second is the second after it, which at the end of year 9999 has no form. */
    MUST(again == when || strncmp(text, "9999-12-31T23:59:60", 19) == 0);
    MUST(strncmp(text, form, 19) == 0 || strncmp(text + 17, "60", 2) == 0);
}

/* What a canonical handle is, said in another way than lib/base/handle.c does. */
static bool looks_canonical(const char *handle)
{
    static const char digits[] = "0123456789";
    const char *rest = handle + strlen(strncmp(handle, "tel:+", 5) == 0 ? "tel:+" : "mailto:");
    size_t at = strcspn(rest, "@");
    if (strncmp(handle, "tel:+", 5) == 0)
        return rest[0] != '0' && strlen(rest) >= 2 && strlen(rest) <= 15 && rest[strspn(rest, digits)] == 0;
    for (const char *p = rest; *p; p++) {
        if (*p <= ' ' || *p > '~' || (*p >= 'A' && *p <= 'Z'))
            return false;
    }
    return strncmp(handle, "mailto:", 7) == 0 && at > 0 && rest[at] && rest[at + 1] && !strchr(rest + at + 1, '@');
}

static void handles(const char *text)
{
    char *first = NULL, *second = NULL;
    struct imsg_error err = {0};
    enum imsg_status status = imsg_handle_canonical(text, &first, &err);
    MUST(!imsg_handle_is_canonical(text) || status == IMSG_OK);
    if (status != IMSG_OK) {
        fuzz_refused(status, &err, strlen(text));
        return;
    }
    MUST(imsg_handle_is(text) && imsg_handle_is_canonical(first) && looks_canonical(first) &&
         strlen(first) <= IMSG_HANDLE_MAX);
    MUST(imsg_handle_is_canonical(text) == (strcmp(text, first) == 0));
    MUST_OK(imsg_handle_canonical(first, &second, &fuzz_err));
    MUST(strcmp(first, second) == 0);
    free(first);
    free(second);
}

static void urls(const char *text)
{
    char scheme[16];
    fuzz_paint(scheme, sizeof scheme);
    imsg_url_scheme(text, scheme);
    MUST(memchr(scheme, 0, sizeof scheme) != NULL && scheme[0] != 0);
    if (!imsg_url_is_https_origin(text))
        return;
    const char *origin = text + strlen("https://");
    MUST(strcmp(scheme, "https") == 0 && !strpbrk(origin, "/?#@%\\ \t\r\n") && strlen(origin) < 300);
    MUST(origin[0] == '[' || (!strchr("-.:", origin[0]) && !strstr(origin, "..") && !strstr(origin, ".-")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_view input = imsg_view_of(data, size);
    char *text = fuzz_string(input);
    base64(input, imsg_base64_encode, imsg_base64_decode);
    base64(input, imsg_base64url_encode, imsg_base64url_decode);
    hex(input);
    utf8(input);
    lines_in_pieces(input);
    times(text);
    handles(text);
    urls(text);
    MUST(!imsg_uuid_valid(text) || strlen(text) == 36);
    free(text);
    return 0;
}
