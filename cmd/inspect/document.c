/* JSON documents: every member with its place, and what is encoded inside decoded and shown with offsets of its own. */
#include "inspect/inspect.h"

#include <stdio.h>
#include <string.h>

#include "inspect/json_walk.h"
#include "base/text.h"

#define NESTING_MAX 12 /* levels of rows; documents of ours have 8 at most */

/* A container in a JSON text. */
struct place {
    const char *kind; /* of what the container is, or is in */
    struct imsg_view text;
    size_t at;
    unsigned depth;
};

static void walk(struct item *item, json_t *parent, const struct place *place);

static struct imsg_view slice(struct imsg_view text, struct imsg_field field)
{
    return imsg_view_of(text.ptr + field.offset, field.len);
}

/* The value of a scalar; of a container, or of what is no JSON, its text. */
static void set_scalar(json_t *row, struct imsg_view text, const struct imsg_json_item *found)
{
    struct imsg_view all = slice(text, found->value);
    json_t *value = json_loadb((const char *)all.ptr, all.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (value && !json_is_object(value) && !json_is_array(value)) {
        tree_set(row, "value", value);
        return;
    }
    json_decref(value);
    tree_row_text(row, all);
}

/* ---- what is encoded inside a string ---- */

typedef void rows_of(json_t *parent, struct imsg_view bytes);

/* By its first bytes, whatever the envelope says. */
static void rows_envelope_payload(json_t *parent, struct imsg_view bytes)
{
    const struct imsg_format *format = imsg_format_guess(bytes);
    if (!format) {
        tree_set(parent, "value", tree_hex(bytes));
        return;
    }
    tree_set(parent, "kind", json_string(imsg_format_name(format)));
    (void)!rows_payload(parent, format, bytes, NULL);
}

static const struct encoded {
    const char *kind, *field;
    bool url;          /* base64url */
    const char *inner; /* kind of what is inside, or NULL */
    rows_of *rows;     /* of binary inside; NULL: JSON where `inner` is given, else shown as hex */
} encodings[] = {
    {"envelope/1", "payload", false, NULL, rows_envelope_payload},
    {"device/1", "identity", false, "public-identity", rows_public_identity},
    {"device/1", "device_key", false, NULL, NULL},
    {"device/1", "prekey", false, "prekey", rows_prekey},
    {"identity/1", "prekey_record", false, "prekey", rows_prekey},
    {"attachment/1", "key", false, NULL, NULL},
    {"message/1.stream", "key", false, NULL, NULL},
    {"opened/1", "content_base64", false, NULL, NULL},
    {"jws", "payload", true, "entry/1", NULL},
    {"jws", "protected", true, "jws-header", NULL},
    {"jws", "signature", true, NULL, NULL},
    {"jws-header.jwk", "x", true, NULL, NULL},
    {"jws-header.jwk", "y", true, NULL, NULL},
};

static const struct encoded *encoding_of(const char *kind, const char *field)
{
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++)
        if (strcmp(encodings[i].kind, kind) == 0 && strcmp(encodings[i].field, field) == 0)
            return &encodings[i];
    return NULL;
}

/* Decode into a row: as nested rows, or as hex. What does not decode keeps its text. */
static bool decode_row(struct item *item, json_t *row, const struct encoded *how, struct imsg_view text, unsigned depth)
{
    struct imsg_buf bytes = {0};
    enum imsg_status status =
        how->url ? imsg_base64url_decode(text, &bytes, NULL) : imsg_base64_decode(text, &bytes, NULL);
    if (status == IMSG_OK) {
        struct imsg_view decoded = imsg_buf_view(&bytes);
        tree_set(row, "encoding", json_string(how->url ? "base64url" : "base64"));
        tree_set(row, "decoded_length", json_integer((json_int_t)decoded.len));
        if (how->inner)
            tree_set(row, "kind", json_string(how->inner));
        if (how->rows) {
            how->rows(row, decoded);
        } else if (how->inner) {
            walk(item, row, &(struct place){how->inner, decoded, 0, depth + 1});
        } else {
            tree_set(row, "value", tree_hex(decoded));
        }
    }
    imsg_buf_free(&bytes);
    return status == IMSG_OK;
}

/* ---- rows ---- */

/* The kind of an object in a document: its own "imsg", or the place it stands in. */
static void kind_inside(struct imsg_view text, const struct imsg_json_item *found, const char *kind, const char *field,
                        char out[static 80])
{
    struct imsg_view all = slice(text, found->value);
    json_t *object = found->kind == '{' ? json_loadb((const char *)all.ptr, all.len, JSON_ALLOW_NUL, NULL) : NULL;
    const char *own = json_string_value(json_object_get(object, "imsg"));
    if (own && strlen(own) < 40)
        snprintf(out, 80, "%s", own);
    else if (strcmp(field, "header") == 0 && strcmp(kind, "opened/1") == 0)
        snprintf(out, 80, "message/1");
    else if (field[0] == '[')
        snprintf(out, 80, "%s", kind);
    else
        snprintf(out, 80, "%.36s.%.36s", kind, field);
    json_decref(object);
}

static const char private_note[] = "(private: --secrets shows it)";

static bool is_private(const char *kind, const char *field)
{
    return strcmp(kind, "identity/1.keys") == 0 ||
           (strcmp(kind, "identity/1.retired") == 0 && strcmp(field, "prekey") == 0);
}

static void member_row(struct item *item, json_t *parent, const struct place *place, const struct imsg_json_item *found,
                       const char *field)
{
    const char *kind = place->kind;
    struct imsg_view text = place->text;
    const struct encoded *how = found->kind == '"' ? encoding_of(kind, field) : NULL;
    char inner[80];
    json_t *row = tree_row(parent, kind, found->value.offset, found->value.len, field, NULL);
    bool leaf = found->value.len <= 2 || (found->kind != '{' && found->kind != '[');
    if (!item->run->secrets && (is_private(kind, field) || (leaf && holds_private_key(slice(text, found->value))))) {
        tree_set(row, "value", json_string(private_note));
    } else if (how && decode_row(item, row, how, slice(text, found->inner), place->depth)) {
        /* shown decoded */
    } else if (!leaf) {
        kind_inside(text, found, kind, field, inner);
        walk(item, row, &(struct place){inner, text, found->value.offset, place->depth + 1});
    } else {
        set_scalar(row, text, found);
    }
}

/* What is left where a document stops making sense. */
static void unreadable_row(const struct item *item, json_t *parent, const char *kind, struct imsg_view rest, size_t at)
{
    json_t *row = tree_row(parent, kind, at, rest.len, "unreadable", NULL);
    bool is_secret = strncmp(kind, "identity/", 9) == 0 || holds_private_key(rest);
    if (is_secret && !item->run->secrets)
        tree_set(row, "value", json_string(private_note));
    else
        tree_row_text(row, rest);
}

/* Rows of the container, as far as its text makes sense. */
static void walk(struct item *item, json_t *parent, const struct place *place)
{
    const char *kind = place->kind;
    struct imsg_view text = place->text;
    size_t at = place->at;
    struct imsg_json_walk cursor;
    struct imsg_json_item found;
    enum imsg_status status = IMSG_OK;
    bool more = false;
    char field[80];
    if (text.len > IMSG_LINE_MAX) { /* no document is: a million rows of it would take gigabytes */
        unreadable_row(item, parent, kind, imsg_view_of(text.ptr + at, text.len - at), at);
        return;
    }
    if (place->depth > NESTING_MAX || imsg_json_walk(text, at, &cursor, NULL) != IMSG_OK)
        return;
    for (unsigned i = 0; (status = imsg_json_walk_next(&cursor, &found, &more, NULL)) == IMSG_OK && more; i++) {
        struct imsg_view key = slice(text, found.key);
        if (!cursor.object)
            snprintf(field, sizeof field, "[%u]", i);
        else if (imsg_utf8_valid(key))
            snprintf(field, sizeof field, "%.*s", (int)(key.len < 60 ? key.len : 60), (const char *)key.ptr);
        else
            snprintf(field, sizeof field, "member %u", i);
        if (!imsg_utf8_valid(imsg_view_str(field))) /* cut inside a character */
            snprintf(field, sizeof field, "member %u", i);
        member_row(item, parent, place, &found, field);
    }
    if (status != IMSG_OK && cursor.at < text.len)
        unreadable_row(item, parent, kind, imsg_view_of(text.ptr + cursor.at, text.len - cursor.at), cursor.at);
}

void rows_document(struct item *item, const char *kind, struct imsg_view text)
{
    walk(item, item->json, &(struct place){kind, text, 0, 0});
}

void inspect_message(struct item *item)
{
    struct imsg_error err = {0};
    struct imsg_message message = {0};
    const uint8_t *newline = memchr(item->bytes.ptr, '\n', item->bytes.len);
    size_t header = newline ? (size_t)(newline - item->bytes.ptr) : item->bytes.len;
    tree_set(item->json, "kind", json_string("message/1"));
    rows_document(item, "message/1", imsg_view_of(item->bytes.ptr, header));
    if (newline)
        tree_row_text(tree_row(item->json, "message/1", header + 1, item->bytes.len - header - 1, "content", NULL),
                      imsg_view_of(newline + 1, item->bytes.len - header - 1));
    enum imsg_status status = imsg_message_parse(item->bytes, &message, &err);
    if (status != IMSG_OK)
        tree_error(item, status, &err);
    imsg_message_free(&message);
}
