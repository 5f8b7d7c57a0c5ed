/* Property lists through libplist, as JSON; and what a real client's names in them mean. */
#include "inspect/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#ifdef HAVE_PLIST
#include <plist/plist.h>

#define DEPTH_MAX 64 /* plist_guard lets less through */

static json_t *to_json(plist_t node, unsigned depth);

static json_t *dict_json(plist_t node, unsigned depth)
{
    json_t *object = json_object();
    plist_dict_iter at = NULL;
    plist_dict_new_iter(node, &at);
    for (;;) {
        char *key = NULL;
        plist_t value = NULL;
        plist_dict_next_item(node, at, &key, &value);
        if (!value)
            break;
        json_t *json = to_json(value, depth + 1);
        json_t *name = tree_text(imsg_view_str(key ? key : ""));
        json_object_set_new(object, json_string_value(name), json);
        json_decref(name);
        free(key);
    }
    free(at);
    return object;
}

static json_t *array_json(plist_t node, unsigned depth)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < plist_array_get_size(node); i++)
        json_array_append_new(array, to_json(plist_array_get_item(node, i), depth + 1));
    return array;
}

static json_t *data_json(plist_t node)
{
    uint64_t len = 0;
    const char *bytes = plist_get_data_ptr(node, &len);
    struct imsg_buf text = {0};
    json_t *json = imsg_base64_encode(imsg_view_of(bytes, (size_t)len), &text, NULL) == IMSG_OK
                       ? json_pack("{s:s}", "data", text.ptr ? (const char *)text.ptr : "")
                       : json_null();
    imsg_buf_free(&text);
    return json;
}

/* By pointer and length: the call that copies ends the program where a string holds a NUL. */
static json_t *string_json(plist_t node)
{
    uint64_t len = 0;
    const char *text = plist_get_string_ptr(node, &len);
    return text ? tree_text(imsg_view_of(text, (size_t)len)) : json_null();
}

static json_t *date_json(plist_t node)
{
    char text[21];
#ifdef HAVE_PLIST_UNIX_DATE /* since libplist 2.7, where the other one is deprecated */
    int64_t seconds = 0;
    plist_get_unix_date_val(node, &seconds);
#else
    int32_t since_2001 = 0, micros = 0;
    plist_get_date_val(node, &since_2001, &micros);
    time_t seconds = (time_t)since_2001 + 978307200;
#endif
    imsg_time_format((time_t)seconds, text);
    return json_string(text);
}

static json_t *to_json(plist_t node, unsigned depth)
{
    uint64_t number = 0;
    uint8_t flag = 0;
    double real = 0;
    if (depth > DEPTH_MAX)
        return json_string("(nested too deep)");
    switch (plist_get_node_type(node)) {
    case PLIST_DICT:
        return dict_json(node, depth);
    case PLIST_ARRAY:
        return array_json(node, depth);
    case PLIST_STRING:
        return string_json(node);
    case PLIST_DATA:
        return data_json(node);
    case PLIST_DATE:
        return date_json(node);
    case PLIST_BOOLEAN:
        plist_get_bool_val(node, &flag);
        return json_boolean(flag);
    case PLIST_UINT:
        plist_get_uint_val(node, &number);
        return json_integer((json_int_t)number);
    case PLIST_UID:
        plist_get_uid_val(node, &number);
        return json_pack("{s:I}", "uid", (json_int_t)number);
    case PLIST_REAL:
        plist_get_real_val(node, &real);
        return real == real && real > -1e300 && real < 1e300 ? json_real(real) : json_string("(no number)");
    default:
        return json_null();
    }
}

/* An attribute's value, with the five entities of XML put back. */
static json_t *attribute_value(struct imsg_view text)
{
    static const struct {
        const char *entity;
        char is;
    } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    struct imsg_buf plain = {0};
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < text.len;) {
        size_t len = 1;
        char c = (char)text.ptr[i];
        for (size_t k = 0; c == '&' && len == 1 && k < sizeof entities / sizeof entities[0]; k++) {
            size_t n = strlen(entities[k].entity);
            if (text.len - i >= n && memcmp(text.ptr + i, entities[k].entity, n) == 0) {
                c = entities[k].is;
                len = n;
                break;
            }
        }
        status = imsg_buf_append(&plain, &c, 1, NULL);
        i += len;
    }
    json_t *value = status == IMSG_OK ? tree_text(imsg_buf_view(&plain)) : NULL;
    imsg_buf_free(&plain);
    return value;
}

/* name="value" pairs of one <FILE …> element of the XML form of a message; *after: behind its ">". */
static json_t *attributes(const char *at, const char *end, const char **after)
{
    json_t *object = json_object();
    for (;;) {
        const char *name, *close;
        char key[64];
        while (at < end && strchr(" \t\r\n/", *at))
            at++;
        for (name = at; at < end && !strchr("= \t\r\n/>", *at);)
            at++;
        size_t len = (size_t)(at - name);
        if (len == 0 || end - at < 2 || at[0] != '=' || (at[1] != '"' && at[1] != '\''))
            break;
        close = memchr(at + 2, at[1], (size_t)(end - at - 2));
        if (!close)
            break;
        if (len < sizeof key) {
            memcpy(key, name, len);
            key[len] = '\0';
            tree_set(object, key, attribute_value(imsg_view_of(at + 2, (size_t)(close - at - 2))));
        }
        at = close + 1;
    }
    *after = at;
    return object;
}

static json_t *embedded_files(const char *xml)
{
    json_t *files = json_array();
    const char *end = xml + strlen(xml);
    for (const char *at = xml; (at = strstr(at, "<FILE")) != NULL;) {
        at += 5;
        if (*at && strchr(" \t\r\n/>", *at))
            json_array_append_new(files, attributes(at, end, &at));
    }
    return files;
}

/* The short names of the real system's message bodies. */
static void summarize(json_t *inspection, json_t *body)
{
    static const struct {
        const char *key, *name;
    } names[] = {{"t", "text"},  {"p", "participants"}, {"gid", "group"}, {"n", "group_name"},
                 {"r", "after"}, {"tg", "reply_to"},    {"s", "subject"}, {"iid", "effect"}};
    json_t *summary = json_object();
    const char *xml = json_string_value(json_object_get(body, "x"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (json_object_get(body, names[i].key))
            tree_set(summary, names[i].name, json_incref(json_object_get(body, names[i].key)));
    if (xml) {
        json_t *files = embedded_files(xml);
        if (json_array_size(files) > 0)
            tree_set(summary, "attachments", json_incref(files));
        json_decref(files);
    }
    if (json_object_size(summary) > 0)
        tree_set(inspection, "summary", json_incref(summary));
    json_decref(summary);
}

enum imsg_status plist_show(json_t *inspection, struct imsg_view bytes, struct imsg_error *err)
{
    plist_t root = NULL;
    enum imsg_status status = plist_guard(bytes, err);
    if (status != IMSG_OK)
        return status;
    /* Not plist_from_memory: it has three arguments before libplist 2.3 and four since. */
    if (bytes.ptr[0] == 'b')
        plist_from_bin((const char *)bytes.ptr, (uint32_t)bytes.len, &root);
    else
        plist_from_xml((const char *)bytes.ptr, (uint32_t)bytes.len, &root);
    if (!root)
        return imsg_fail(err, IMSG_MALFORMED, "the property list does not parse");
    json_t *body = to_json(root, 0);
    plist_free(root);
    tree_set(inspection, "body", body);
    if (json_is_object(body))
        summarize(inspection, body);
    return IMSG_OK;
}
#else
enum imsg_status plist_show(json_t *inspection, struct imsg_view bytes, struct imsg_error *err)
{
    (void)inspection;
    enum imsg_status status = plist_guard(bytes, err);
    return status != IMSG_OK ? status
                             : imsg_fail(err, IMSG_UNSUPPORTED, "built without libplist: property lists are not shown");
}
#endif
