/* imsg-inspect: shows every field of any input, with or without a key, and why it does not open. */
#include "inspect/inspect.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "inspect/json_walk.h"
#include "base/text.h"

#define INPUT_MAX ((size_t)16 << 20) /* bytes; the largest form known has 128 KiB, a body unpacked 8 MiB */

static const struct cli_option options[] = {
    CLI_OPT_IDENTITY,
    {'R', "records", "FILE", "device records to check signatures with", CLI_REPEAT},
    {'E', "format", IMSG_FORMAT_NAMES, "payload format (default: guessed)", 0},
    {OPT_HEX, "hex", NULL, "a hex dump of each input too", 0},
    {OPT_SECRETS, "secrets", NULL, "show the private keys of an identity", 0},
    CLI_OPT_JSON,
    CLI_OPTS_KEY,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-inspect",
    .synopsis = "[-i FILE] [-R FILE]... [-E FORMAT] [-j | --hex] [--secrets] [FILE...]",
    .purpose = "take payloads, envelopes, records and keys apart, byte by byte",
    .options = options,
    .operands = "FILE",
};

/* ---- the kind of an input ---- */

static bool all_hex(struct imsg_view text, struct imsg_buf *digits)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)tolower(text.ptr[i]);
        if (isspace((unsigned char)c))
            continue;
        if (!isxdigit((unsigned char)c) || imsg_buf_append(digits, &c, 1, NULL) != IMSG_OK)
            return false;
    }
    return digits->len >= 2 && digits->len % 2 == 0;
}

/* Base64 as tools print it: lines are joined; what is left must be canonical. */
static bool all_base64(struct imsg_view text, struct imsg_buf *bytes)
{
    struct imsg_buf joined = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < text.len; i++)
        if (!isspace(text.ptr[i]))
            ok = imsg_buf_append(&joined, &text.ptr[i], 1, NULL) == IMSG_OK;
    ok = ok && joined.len >= 4 && imsg_base64_decode(imsg_buf_view(&joined), bytes, NULL) == IMSG_OK;
    imsg_buf_free(&joined);
    return ok;
}

static const char *binary_kind(const struct inspect *run, struct imsg_view bytes)
{
    const uint8_t *p = bytes.ptr;
    if (run->format)
        return imsg_format_name(run->format);
    if (is_body(bytes))
        return "body";
    if (bytes.len >= 3 && p[0] == 0x30 && p[1] == 0x81 && p[2] == 0xf6)
        return "public-identity";
    /* A pair-ec payload could begin so too, if its field 1 had 32 bytes; but then field 2 follows with the key. */
    if (bytes.len >= 2 && p[0] == 0x0a && p[1] == 0x20 &&
        (bytes.len < 36 || (p[34] == 0x12 && p[35] == 0x40) || bytes.len <= IMSG_PREKEY_RECORD))
        return "prekey";
    const struct imsg_format *format = imsg_format_guess(bytes);
    return format ? imsg_format_name(format) : "bytes";
}

/* The error for text that is neither JSON nor hex nor base64: the offset where it stops being base64. */
static enum imsg_status fail_as_text(struct imsg_view text, struct imsg_error *err)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    size_t at = 0;
    while (at < text.len && (isspace(text.ptr[at]) || memchr(alphabet, text.ptr[at], sizeof alphabet - 1)))
        at++;
    if (at == text.len)
        return imsg_fail_at(err, IMSG_MALFORMED, at, "text ends where neither hexadecimal nor base64 can end");
    return imsg_fail_at(err, IMSG_MALFORMED, at, "text that is neither JSON nor hexadecimal nor base64");
}

static void inspect_unknown(struct item *item)
{
    struct imsg_error err = {0};
    struct imsg_view bytes = item->bytes;
    json_t *row;
    bool is_text = imsg_utf8_valid(bytes) && !memchr(bytes.ptr, 0, bytes.len);
    enum imsg_status status;
    tree_set(item->json, "kind", json_string(is_text ? "text" : "bytes"));
    row = tree_row(item->json, is_text ? "text" : "bytes", 0, bytes.len, is_text ? "text" : "bytes", NULL);
    if (holds_private_key(bytes)) {
        status = imsg_fail(&err, IMSG_UNSUPPORTED, "a private key in PEM: only one in an identity is shown");
        tree_set(row, "value", json_string("(private)"));
    } else {
        status = is_text ? fail_as_text(bytes, &err)
                         : imsg_fail_at(&err, IMSG_UNSUPPORTED, 0,
                                        "begins like nothing known: no payload, record, key or body");
        tree_set(row, "value", is_text ? tree_text(bytes) : tree_hex(bytes));
    }
    tree_error(item, status, &err);
}

static void inspect_binary(struct item *item, const char *kind)
{
    if (strcmp(kind, "body") == 0)
        inspect_body(item);
    else if (imsg_format_of(kind))
        inspect_payload(item, imsg_format_of(kind));
    else if (strcmp(kind, "prekey") == 0)
        inspect_prekey(item);
    else if (strcmp(kind, "public-identity") == 0)
        inspect_public_identity(item);
    else
        inspect_unknown(item);
}

/* ---- one thing ---- */

static enum imsg_status inspect_bytes(struct inspect *run, struct imsg_view bytes, const struct source *source,
                                      const char *encoding, struct imsg_error *err)
{
    const char *kind = binary_kind(run, bytes);
    struct item item = tree_start(run, kind, bytes);
    inspect_binary(&item, kind);
    return inspection_report(&item, source, 0, encoding, err);
}

/* ---- JSON: one object a line, or spread over lines ---- */

/* Bytes of the first one: to the end of the line its object ends in; where none ends, to the next line that begins
 * with one. */
static size_t json_extent(struct imsg_view text)
{
    struct imsg_json_walk cursor = {.done = false};
    struct imsg_json_item found;
    bool more = text.ptr[0] == '{' && imsg_json_walk(text, 0, &cursor, NULL) == IMSG_OK;
    bool is_object = more;
    while (more && imsg_json_walk_next(&cursor, &found, &more, NULL) == IMSG_OK)
        continue;
    const uint8_t *from = text.ptr + (cursor.done ? cursor.at : 0), *end = text.ptr + text.len;
    for (const uint8_t *newline; (newline = memchr(from, '\n', (size_t)(end - from))) != NULL; from = newline + 1)
        if (cursor.done || !is_object || (newline + 1 < end && newline[1] == '{'))
            return (size_t)(newline + 1 - text.ptr);
    return text.len;
}

static struct imsg_view skip_space(struct imsg_view text, unsigned *line)
{
    while (text.len > 0 && isspace(text.ptr[0])) {
        *line += text.ptr[0] == '\n';
        text = imsg_view_of(text.ptr + 1, text.len - 1);
    }
    return text;
}

/* `fd`: where the rest of a sealed file is read from; -1: the text is all. */
static enum imsg_status inspect_json(struct inspect *run, struct imsg_view text, int fd, const struct source *source,
                                     struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    unsigned line = 1, ignored = 0;
    bool first = true, last = false;
    const uint8_t *start = text.ptr;
    run->sealed = (struct sealed){.is = is_sealed_file(text)};
    text = skip_space(text, &line);
    while (status == IMSG_OK && text.len > 0) {
        size_t extent = json_extent(text), len = extent;
        struct imsg_view rest = skip_space(imsg_view_of(text.ptr + extent, text.len - extent), &ignored);
        last = rest.len == 0;
        while (len > 0 && isspace(text.ptr[len - 1]))
            len--;
        struct item item = tree_start(run, "json", imsg_view_of(text.ptr, len));
        inspect_document(&item);
        bool is_stream = strcmp(json_string_value(json_object_get(item.json, "kind")), "stream/1") == 0;
        status = inspection_report(&item, source, first && last ? 0 : line, "text", err);
        if (is_stream) { /* behind it there is no more text */
            text = imsg_view_of(text.ptr + extent, text.len - extent);
            if (status == IMSG_OK && run->sealed.whole)
                status = inspect_sealed(run, text, fd, (uint64_t)(text.ptr - start), source, err);
            break;
        }
        for (const uint8_t *p = text.ptr; p < text.ptr + extent; p++)
            line += *p == '\n';
        text = skip_space(imsg_view_of(text.ptr + extent, text.len - extent), &line);
        first = false;
    }
    return status;
}

/* A document, also one whose first line is damaged; not a message/1, which is a body: content follows its line. */
static bool is_json(struct imsg_view bytes)
{
    size_t at = 0;
    if (is_body(bytes))
        return false;
    while (at < bytes.len && isspace(bytes.ptr[at]))
        at++;
    if (at < bytes.len && bytes.ptr[at] == '{')
        return true;
    if (!imsg_utf8_valid(bytes))
        return false;
    for (const uint8_t *p = bytes.ptr; (p = memchr(p, '\n', (size_t)(bytes.ptr + bytes.len - p))) != NULL; p++)
        if (p + 1 < bytes.ptr + bytes.len && p[1] == '{')
            return true;
    return false;
}

/* ---- inputs ---- */

static enum imsg_status inspect_decoded(struct inspect *run, struct imsg_view bytes, int fd,
                                        const struct source *source, struct imsg_error *err)
{
    struct imsg_buf digits = {0}, decoded = {0};
    enum imsg_status status;
    if (bytes.len == 0)
        return imsg_fail(err, IMSG_MALFORMED, "%s: empty", source->name);
    if (is_json(bytes)) {
        status = inspect_json(run, bytes, fd, source, err);
    } else if (all_hex(bytes, &digits)) {
        status = imsg_buf_reserve(&decoded, digits.len / 2, err);
        if (status == IMSG_OK)
            status = imsg_hex_decode(imsg_buf_view(&digits), decoded.ptr, digits.len / 2, err);
        if (status == IMSG_OK)
            status = inspect_bytes(run, imsg_view_of(decoded.ptr, digits.len / 2), source, "hex", err);
    } else if (all_base64(bytes, &decoded)) {
        status = inspect_bytes(run, imsg_buf_view(&decoded), source, "base64", err);
    } else {
        status = inspect_bytes(run, bytes, source, imsg_utf8_valid(bytes) ? "text" : "binary", err);
    }
    imsg_buf_free(&digits);
    imsg_buf_free(&decoded);
    return status;
}

static enum imsg_status inspect_input(struct inspect *run, const char *operand, bool *locked_out,
                                      struct imsg_error *err)
{
    struct cli_input input;
    struct imsg_buf bytes = {0};
    enum imsg_status status = cli_input_open(&run->cli, operand, &input, err);
    if (status != IMSG_OK)
        return status;
    struct source source = {operand ? operand : "-", input.name};
    status = imsg_read_some(input.fd, INPUT_MAX + 1, &bytes, err);
    bool more = bytes.len > INPUT_MAX;
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s", input.name);
    else if (more && !is_sealed_file(imsg_buf_view(&bytes)))
        status = imsg_fail(err, IMSG_MALFORMED, "%s: larger than anything known (%zu bytes)", input.name, INPUT_MAX);
    if (status == IMSG_OK) {
        status = inspect_unlock(run, err);
        *locked_out = status != IMSG_OK;
    }
    if (status == IMSG_OK)
        status = inspect_decoded(run, imsg_buf_view(&bytes), more ? input.fd : -1, &source, err);
    if (bytes.ptr)
        imsg_wipe(bytes.ptr, bytes.len);
    imsg_buf_free(&bytes);
    cli_input_close(&input);
    return status;
}

static void check_options(const struct inspect *run)
{
    const struct cli *cli = &run->cli;
    int stdin_uses = cli_operands(cli) == 0;
    cli_exclusive(cli, 'j', OPT_HEX, 0);
    for (int i = 0; i < cli_operands(cli); i++)
        stdin_uses += strcmp(cli_operand(cli, i), "-") == 0;
    for (size_t i = 0; i < run->record_count; i++)
        stdin_uses += strcmp(run->record_files[i], "-") == 0;
    stdin_uses += run->identity_path && strcmp(run->identity_path, "-") == 0;
    if (stdin_uses > 1)
        cli_usage(cli, "standard input can be only one of the inputs");
}

/* NO_COLOR (no-color.org) and dumb terminals are respected. */
static bool want_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static unsigned terminal_columns(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int main(int argc, char **argv)
{
    struct inspect run = {.secrets = false};
    struct imsg_error err = {0};
    const char *arg;
    bool locked_out = false;
    cli_start(&run.cli, &tool, argc, argv);
    run.record_files = calloc((size_t)argc, sizeof *run.record_files);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        switch (key) {
        case 'i':
            run.identity_path = arg;
            break;
        case 'R':
            run.record_files[run.record_count++] = arg;
            break;
        case 'E':
            run.format = imsg_format_of(arg);
            break;
        case OPT_SECRETS:
            run.secrets = true;
            break;
        }
    }
    check_options(&run);
    run.tty = isatty(STDOUT_FILENO);
    run.colour = want_colour();
    run.columns = terminal_columns();
    cli_may_read_operands(&run.cli, 0);
    for (size_t i = 0; i < run.record_count; i++)
        cli_may_read(&run.cli, run.record_files[i]);
    cli_may_read(&run.cli, run.identity_path);
    run.cli.no_home = true;
    cli_confine(&run.cli);
    cli_output_start(&run.cli, &run.out, NULL);
    int count = cli_operands(&run.cli);
    for (int i = 0; i < (count ? count : 1) && !locked_out; i++) {
        enum imsg_status status = inspect_input(&run, cli_operand(&run.cli, i), &locked_out, &err);
        if (!cli_ok(&run.cli, status, &err) && status == IMSG_IO)
            break;
    }
    cli_ok(&run.cli, cli_output_finish(&run.out, true, &err), &err);
    imsg_devices_free(&run.records);
    imsg_device_free(&run.own);
    imsg_identity_free(&run.identity);
    free(run.record_files);
    return cli_finish(&run.cli);
}
