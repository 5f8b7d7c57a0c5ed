#include "inspect/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void tree_need(bool ok)
{
    if (!ok) {
        fputs("imsg-inspect: error: out of memory\n", stderr);
        exit(imsg_status_exit(IMSG_NO_MEMORY));
    }
}

void tree_set(json_t *object, const char *member, json_t *value)
{
    tree_need(value && json_object_set_new(object, member, value) == 0);
}

static json_t *list_in(json_t *object, const char *member)
{
    if (!json_object_get(object, member))
        tree_set(object, member, json_array());
    return json_object_get(object, member);
}

struct item tree_start(struct inspect *run, const char *kind, struct imsg_view bytes)
{
    struct item item = {.run = run, .json = json_object(), .bytes = bytes};
    tree_need(item.json != NULL);
    tree_set(item.json, "imsg", json_string("inspection/1"));
    tree_set(item.json, "kind", json_string(kind));
    tree_set(item.json, "length", json_integer((json_int_t)bytes.len));
    return item;
}

struct item tree_inside(const struct item *outer, struct imsg_view bytes)
{
    struct item item = tree_start(outer->run, "body", bytes);
    item.depth = outer->depth + 1;
    return item;
}

json_t *tree_hex(struct imsg_view bytes)
{
    struct imsg_buf hex = {0};
    tree_need(imsg_hex_encode(bytes, &hex, NULL) == IMSG_OK);
    json_t *text = json_stringn(hex.ptr ? (const char *)hex.ptr : "", hex.len);
    imsg_buf_free(&hex);
    return text;
}

json_t *tree_text(struct imsg_view bytes)
{
    return imsg_utf8_valid(bytes) ? json_stringn(bytes.ptr ? (const char *)bytes.ptr : "", bytes.len) : tree_hex(bytes);
}

void tree_row_text(json_t *row, struct imsg_view bytes)
{
    tree_set(row, "value", tree_text(bytes));
    if (!imsg_utf8_valid(bytes))
        tree_set(row, "hex", json_true());
}

json_t *tree_row(json_t *parent, const char *kind, size_t offset, size_t length, const char *field, json_t *value)
{
    json_t *row = json_object();
    const char *meaning = meaning_of(kind, field);
    tree_need(row != NULL);
    tree_set(row, "offset", json_integer((json_int_t)offset));
    tree_set(row, "length", json_integer((json_int_t)length));
    tree_set(row, "field", json_string(field));
    if (value)
        tree_set(row, "value", value);
    if (meaning)
        tree_set(row, "meaning", json_string(meaning));
    tree_need(json_array_append_new(list_in(parent, "fields"), row) == 0);
    return row;
}

void tree_value(json_t *inspection, const char *name, struct imsg_view bytes)
{
    if (!json_object_get(inspection, "values"))
        tree_set(inspection, "values", json_object());
    tree_set(json_object_get(inspection, "values"), name, tree_hex(bytes));
}

/* Name of the value that was found last, or NULL. */
static const char *last_value(json_t *inspection)
{
    const char *name, *last = NULL;
    json_t *value;
    json_object_foreach (json_object_get(inspection, "values"), name, value)
        last = name;
    return last;
}

json_t *tree_check(json_t *inspection, const char *name, bool ok, const char *note)
{
    json_t *check = json_pack("{s:s,s:b}", "name", name, "ok", ok);
    const char *after = last_value(inspection);
    tree_need(check != NULL);
    if (after)
        tree_set(check, "after", json_string(after));
    if (!ok && note)
        tree_set(check, "note", tree_text(imsg_view_str(note)));
    tree_need(json_array_append_new(list_in(inspection, "checks"), check) == 0);
    return check;
}

const json_t *tree_failed(const json_t *inspection)
{
    const json_t *check;
    size_t i;
    json_array_foreach (json_object_get(inspection, "checks"), i, check)
        if (!json_is_true(json_object_get(check, "ok")))
            return check;
    return NULL;
}

void tree_note(json_t *inspection, const char *fmt, ...)
{
    const char *before = json_string_value(json_object_get(inspection, "note"));
    char text[512];
    va_list args;
    size_t len = before ? (size_t)snprintf(text, sizeof text, "%.200s; ", before) : 0;
    va_start(args, fmt);
    vsnprintf(text + len, sizeof text - len, fmt, args);
    va_end(args);
    tree_set(inspection, "note", tree_text(imsg_view_str(text)));
}

void tree_error(struct item *item, enum imsg_status status, const struct imsg_error *err)
{
    json_t *error = json_object();
    tree_need(error != NULL);
    tree_set(error, "status", json_string(imsg_status_name(status)));
    if (err->has_offset)
        tree_set(error, "offset", json_integer((json_int_t)err->offset));
    tree_set(error, "text", tree_text(imsg_view_str(err->text)));
    tree_set(item->json, "error", error);
    if (item->status == IMSG_OK)
        item->status = status;
}

void tree_verdict(struct item *item, enum imsg_status status, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    json_t *verdict = json_object();
    tree_need(verdict != NULL);
    tree_set(verdict, "status", json_integer(imsg_status_exit(status)));
    tree_set(verdict, "text", tree_text(imsg_view_str(text)));
    tree_set(item->json, "verdict", verdict);
    if (item->status == IMSG_OK)
        item->status = status;
}

json_t *tree_ordered(json_t *inspection)
{
    static const char *const order[] = {"imsg",    "input",    "line",      "kind",    "number",         "last",
                                        "at",      "encoding", "length",    "chunks",  "content_length", "fields",
                                        "values",  "checks",   "inner",     "counter", "retired",        "account",
                                        "summary", "body",     "plaintext", "note",    "error",          "verdict"};
    json_t *ordered = json_object();
    tree_need(ordered != NULL);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        json_t *member = json_incref(json_object_get(inspection, order[i]));
        if (member)
            tree_set(ordered, order[i], strcmp(order[i], "plaintext") == 0 ? tree_ordered(member) : member);
    }
    json_decref(inspection);
    return ordered;
}

bool holds_private_key(struct imsg_view bytes)
{
    static const char mark[] = "PRIVATE KEY-----";
    const uint8_t *end = bytes.ptr + bytes.len;
    for (const uint8_t *at = bytes.ptr; bytes.len >= sizeof mark - 1 && at <= end - (sizeof mark - 1); at++) {
        at = memchr(at, 'P', (size_t)(end - at) - (sizeof mark - 2));
        if (!at)
            return false;
        if (memcmp(at, mark, sizeof mark - 1) == 0)
            return true;
    }
    return false;
}
