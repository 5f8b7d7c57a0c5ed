/* The view for people: made from the JSON tree alone. */
#include "inspect/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define VALUE_WIDTH 36 /* columns of a value in a table; the whole is in -j */
#define FIELD_MIN 12
#define FIELD_MAX 28
#define NUMBERS 19 /* columns of offset and length with what is around them */
#define MEANING 48 /* columns a meaning wants beside the value; else it goes below */
#define DIGITS 128 /* of a value, on a terminal */

struct view {
    const struct inspect *run;
    struct imsg_buf *out;
    size_t field_width;
    enum imsg_status status;
    struct imsg_error *err;
};

static void put(struct view *view, const char *text)
{
    if (view->status == IMSG_OK)
        view->status = imsg_buf_text(view->out, text, view->err);
}

static void putf(struct view *view, const char *fmt, ...) IMSG_PRINTF(2, 3);
static void putf(struct view *view, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put(view, text);
}

static void colour(struct view *view, const char *code)
{
    if (view->run->colour)
        putf(view, "\033[%sm", code);
}

/* Text from outside: escaped. */
static void put_outside(struct view *view, const char *text)
{
    if (view->status == IMSG_OK)
        view->status = imsg_escape(imsg_view_str(text), view->out, view->err);
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

static long long number_of(const json_t *object, const char *member)
{
    return (long long)json_integer_value(json_object_get(object, member));
}

/* A value for a table: at most VALUE_WIDTH characters. */
static void short_value(const json_t *row, char out[static 512])
{
    const json_t *value = json_object_get(row, "value");
    struct imsg_buf text = {0};
    if (json_is_string(value))
        (void)!imsg_escape(imsg_view_of(json_string_value(value), json_string_length(value)), &text, NULL);
    else if (value)
        (void)!imsg_json_print(value, &text, NULL);
    else if (json_object_get(row, "decoded_length"))
        (void)!imsg_buf_text(&text, "(decoded below)", NULL);
    const char *all = text.ptr ? (const char *)text.ptr : "";
    size_t shown = 0, bytes = 0;
    while (all[bytes] && shown < VALUE_WIDTH - 1) { /* whole characters */
        do
            bytes++;
        while (((unsigned char)all[bytes] & 0xc0) == 0x80);
        shown++;
    }
    bool cut = all[bytes] && all[bytes + 1];
    snprintf(out, 512, "%.*s%s", (int)(bytes < 480 ? bytes : 480), all, cut ? "…" : all[bytes] ? all + bytes : "");
    imsg_buf_free(&text);
}

static size_t columns(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void pad(struct view *view, const char *text, size_t width)
{
    for (size_t n = columns(text); n < width; n++)
        put(view, " ");
}

static void spaces(struct view *view, size_t n)
{
    while (n-- > 0)
        put(view, " ");
}

static size_t widest_field(const json_t *parent, unsigned depth)
{
    const json_t *row;
    size_t i, widest = FIELD_MIN;
    json_array_foreach (json_object_get(parent, "fields"), i, row) {
        size_t own = columns(text_of(row, "field")) + 2 * depth, inner = widest_field(row, depth + 1);
        own = own > inner ? own : inner;
        widest = own > widest ? own : widest;
    }
    return widest < FIELD_MAX ? widest : FIELD_MAX;
}

/* Beside the value, or below on a terminal that is too narrow. */
static void print_meaning(struct view *view, const json_t *row, const char *value)
{
    bool below =
        view->run->columns > 0 && view->run->columns < NUMBERS + view->field_width + 1 + VALUE_WIDTH + 2 + MEANING;
    if (!text_of(row, "meaning")[0])
        return;
    if (below) {
        put(view, "\n");
        spaces(view, NUMBERS + 4);
    } else {
        pad(view, value, VALUE_WIDTH);
        put(view, "  ");
    }
    colour(view, "2");
    if (text_of(row, "time")[0] && json_object_get(row, "seconds"))
        putf(view, "%s; ", text_of(row, "time"));
    put(view, text_of(row, "meaning"));
    colour(view, "0");
}

static void print_rows(struct view *view, const json_t *parent, unsigned depth)
{
    const json_t *row;
    size_t i;
    char value[512], field[256];
    json_array_foreach (json_object_get(parent, "fields"), i, row) {
        struct imsg_buf name = {0};
        (void)!imsg_escape(imsg_view_str(text_of(row, "field")), &name, NULL);
        snprintf(field, sizeof field, "%*s%s", (int)(2 * depth), "", name.ptr ? (const char *)name.ptr : "");
        imsg_buf_free(&name);
        short_value(row, value);
        putf(view, "%8lld %7lld  ", number_of(row, "offset"), number_of(row, "length"));
        colour(view, "36");
        put(view, field);
        colour(view, "0");
        if (value[0] || text_of(row, "meaning")[0]) {
            pad(view, field, view->field_width);
            put(view, " ");
        }
        put(view, value);
        print_meaning(view, row, value);
        put(view, "\n");
        if (json_object_get(row, "decoded_length") && json_object_get(row, "fields")) {
            spaces(view, NUMBERS - 1 + 2 * depth);
            colour(view, "2");
            putf(view, "%s decoded: %s%s%lld bytes, offsets within them", text_of(row, "encoding"),
                 text_of(row, "kind"), text_of(row, "kind")[0] ? ", " : "", number_of(row, "decoded_length"));
            colour(view, "0");
            put(view, "\n");
        }
        print_rows(view, row, depth + 1);
    }
}

static void print_table(struct view *view, const json_t *inspection)
{
    if (json_array_size(json_object_get(inspection, "fields")) == 0)
        return;
    view->field_width = widest_field(inspection, 0);
    colour(view, "2");
    putf(view, "  offset  length  %-*s %-*s  meaning", (int)view->field_width, "field", VALUE_WIDTH, "value");
    colour(view, "0");
    put(view, "\n");
    print_rows(view, inspection, 0);
}

/* ---- the steps: values in the order they were found, each check behind the value it follows ---- */

static void print_step(struct view *view, const char *name, const char *middle, const char *code, const char *meaning)
{
    put(view, "  ");
    colour(view, "36");
    put(view, name);
    colour(view, "0");
    pad(view, name, 20);
    spaces(view, 1 + (strlen(middle) < 6 ? 6 - strlen(middle) : 0));
    colour(view, code);
    put(view, middle);
    colour(view, "0");
    if (meaning) {
        put(view, "  ");
        colour(view, "2");
        put(view, meaning);
        colour(view, "0");
    }
}

static void print_value(struct view *view, const char *name, const char *hex)
{
    size_t len = strlen(hex);
    char bytes[32];
    snprintf(bytes, sizeof bytes, "%zu", len / 2);
    print_step(view, name, bytes, "0", meaning_of("value", name));
    if (len > 0)
        put(view, "\n      ");
    if (view->run->tty && len > DIGITS + 4)
        putf(view, "%.*s…", DIGITS, hex);
    else
        put(view, hex);
    put(view, "\n");
}

/* The checks behind value `after`; "": those before all values. */
static void print_checks(struct view *view, const json_t *checks, const char *after)
{
    const json_t *check;
    size_t i;
    char name[20 + 1 + IMSG_HANDLE_MAX + 1];
    json_array_foreach (checks, i, check) {
        bool ok = json_is_true(json_object_get(check, "ok"));
        if (strcmp(text_of(check, "after"), after) != 0)
            continue;
        snprintf(name, sizeof name, "%.60s", text_of(check, "name"));
        if (json_object_get(check, "device"))
            snprintf(name, sizeof name, "%.48s [%lld]", text_of(check, "name"), number_of(check, "device"));
        else if (json_object_get(check, "handle"))
            snprintf(name, sizeof name, "%.20s %.254s", text_of(check, "name"), text_of(check, "handle"));
        if (!ok && text_of(check, "note")[0]) {
            print_step(view, name, "no", "1;31", NULL);
            put(view, "  ");
            put_outside(view, text_of(check, "note"));
        } else {
            print_step(view, name, ok ? "yes" : "no", ok ? "32" : "1;31", meaning_of("check", text_of(check, "name")));
        }
        put(view, "\n");
    }
}

static void print_steps(struct view *view, const json_t *inspection)
{
    const char *name;
    json_t *value, *values = json_object_get(inspection, "values"), *checks = json_object_get(inspection, "checks");
    if (json_object_size(values) == 0 && json_array_size(checks) == 0)
        return;
    put(view, "values and checks\n");
    print_checks(view, checks, "");
    json_object_foreach (values, name, value) {
        print_value(view, name, json_string_value(value));
        print_checks(view, checks, name);
    }
}

/* ---- text ---- */

/* Line by line, so that only the newlines are newlines. */
static void put_lines(struct view *view, const char *text)
{
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\n");
        put(view, "  ");
        if (view->status == IMSG_OK)
            view->status = imsg_escape(imsg_view_of(text, (size_t)(end - text)), view->out, view->err);
        put(view, "\n");
    }
}

/* Indented JSON, for bodies: a property list has no rows of its own. */
static void print_json(struct view *view, const json_t *inspection, const char *member)
{
    const json_t *value = json_object_get(inspection, member);
    char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
    if (!text)
        return;
    putf(view, "%s\n", member);
    put_lines(view, text);
    free(text);
}

/* A text that did not fit into its column: a message's content, a text body. */
static void print_text(struct view *view, const json_t *inspection)
{
    const json_t *row;
    size_t i;
    json_array_foreach (json_object_get(inspection, "fields"), i, row) {
        const char *field = text_of(row, "field"), *value = text_of(row, "value");
        if ((strcmp(field, "content") != 0 && strcmp(field, "text") != 0) || json_object_get(row, "hex"))
            continue;
        if (strchr(value, '\n') || columns(value) > VALUE_WIDTH) {
            putf(view, "%s\n", field);
            put_lines(view, value);
        }
    }
}

static void print_title(struct view *view, const json_t *inspection)
{
    const char *input = text_of(inspection, "input");
    colour(view, "1");
    if (strcmp(input, "-") == 0) {
        put(view, "standard input");
    } else if (input[0]) {
        put(view, "\"");
        put_outside(view, input);
        put(view, "\"");
    } else {
        put(view, "plaintext");
    }
    if (json_object_get(inspection, "line"))
        putf(view, " line %lld", number_of(inspection, "line"));
    if (json_object_get(inspection, "at"))
        putf(view, " byte %lld", number_of(inspection, "at"));
    put(view, ": ");
    put_outside(view, text_of(inspection, "kind"));
    if (json_object_get(inspection, "number"))
        putf(view, " %lld%s", number_of(inspection, "number"),
             json_is_true(json_object_get(inspection, "last")) ? ", the last" : "");
    colour(view, "0");
    putf(view, ", %lld bytes", number_of(inspection, "length"));
    if (text_of(inspection, "encoding")[0])
        putf(view, " (%s)", text_of(inspection, "encoding"));
    if (json_object_get(inspection, "chunks"))
        putf(view, ": %lld chunk%s, %lld bytes of content", number_of(inspection, "chunks"),
             number_of(inspection, "chunks") == 1 ? "" : "s", number_of(inspection, "content_length"));
    put(view, "\n");
}

static void print_line(struct view *view, const char *label, const char *text, const char *code)
{
    if (!text[0])
        return;
    putf(view, "%s: ", label);
    colour(view, code);
    put_outside(view, text);
    colour(view, "0");
    put(view, "\n");
}

static void print_inspection(struct view *view, const json_t *inspection)
{
    const json_t *inner = json_object_get(inspection, "inner"), *inside = json_object_get(inspection, "plaintext");
    const json_t *verdict = json_object_get(inspection, "verdict");
    print_title(view, inspection);
    print_table(view, inspection);
    print_text(view, inspection);
    print_steps(view, inspection);
    if (inner) {
        putf(view, "inner: %s, %lld bytes\n", text_of(inner, "kind"), number_of(inner, "length"));
        print_table(view, inner);
    }
    if (json_object_get(inspection, "counter"))
        putf(view, "counter: %lld\n", number_of(inspection, "counter"));
    print_line(view, "opened with a prekey retired", text_of(inspection, "retired"), "0");
    print_line(view, "account", text_of(inspection, "account"), "0");
    print_json(view, inspection, "summary");
    print_json(view, inspection, "body");
    if (inside)
        print_inspection(view, inside);
    print_line(view, "note", text_of(inspection, "note"), "0");
    print_line(view, "error", text_of(json_object_get(inspection, "error"), "text"), "31");
    print_line(view, "verdict", text_of(verdict, "text"), number_of(verdict, "status") ? "31" : "32");
}

enum imsg_status view_print(struct inspect *run, const json_t *inspection, struct imsg_buf *out, struct imsg_error *err)
{
    struct view view = {.run = run, .out = out, .err = err};
    print_inspection(&view, inspection);
    return view.status;
}
