/* The JSON walker: places of members, damage with its offset, and nothing read outside, whatever the text. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "inspect/json_walk.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool is(const char *text, struct imsg_field field, const char *want)
{
    return field.len == strlen(want) && memcmp(text + field.offset, want, field.len) == 0;
}

static void test_object(void)
{
    static const char text[] = " { \"a\" : 1 ,\"b\\\"\":\"x\\\\\" , \"c\":[1,{\"d\":\"]}\"}],\"d\":{},\n\"e\":-1.5e+3,"
                               "\"f\":true,\"\":null } tail";
    static const struct {
        const char *key, *value, *inner;
        char kind;
    } want[] = {
        {"a", "1", "1", '0'},
        {"b\\\"", "\"x\\\\\"", "x\\\\", '"'},
        {"c", "[1,{\"d\":\"]}\"}]", "[1,{\"d\":\"]}\"}]", '['},
        {"d", "{}", "{}", '{'},
        {"e", "-1.5e+3", "-1.5e+3", '0'},
        {"f", "true", "true", 't'},
        {"", "null", "null", 'n'},
    };
    struct imsg_json_walk walk;
    struct imsg_json_item item;
    struct imsg_error err;
    bool more = false;
    tap_status(imsg_json_walk(imsg_view_str(text), 0, &walk, &err), IMSG_OK, &err, "an object begins");
    tap_ok(walk.object && !walk.done, "it is an object");
    for (size_t i = 0; i < COUNT(want); i++) {
        enum imsg_status status = imsg_json_walk_next(&walk, &item, &more, &err);
        tap_ok(status == IMSG_OK && more && is(text, item.key, want[i].key) && is(text, item.value, want[i].value) &&
                   is(text, item.inner, want[i].inner) && item.kind == want[i].kind,
               "member %zu, \"%s\"", i, want[i].key);
    }
    tap_status(imsg_json_walk_next(&walk, &item, &more, &err), IMSG_OK, &err, "the end of the object");
    tap_ok(!more && walk.done && strcmp(text + walk.at, " tail") == 0, "the walk stands behind the bracket");
}

static void test_array(void)
{
    static const char text[] = "x[\"a\", [ ] ,{\"b\":1}]";
    static const char *const want[] = {"\"a\"", "[ ]", "{\"b\":1}"};
    struct imsg_json_walk walk;
    struct imsg_json_item item;
    struct imsg_error err;
    bool more = false;
    tap_status(imsg_json_walk(imsg_view_str(text), 0, &walk, &err), IMSG_MALFORMED, &err, "x is no container");
    tap_status(imsg_json_walk(imsg_view_str(text), 1, &walk, &err), IMSG_OK, &err, "an array inside a text");
    tap_ok(!walk.object, "it is an array");
    for (size_t i = 0; i < COUNT(want); i++)
        tap_ok(imsg_json_walk_next(&walk, &item, &more, &err) == IMSG_OK && more && item.key.len == 0 &&
                   is(text, item.value, want[i]),
               "element %zu", i);
    tap_ok(imsg_json_walk_next(&walk, &item, &more, &err) == IMSG_OK && !more && walk.at == strlen(text),
           "the end of the array");
    /* A nested one, from the place its item gave. */
    tap_ok(imsg_json_walk(imsg_view_str(text), item.value.offset, &walk, &err) == IMSG_OK &&
               imsg_json_walk_next(&walk, &item, &more, &err) == IMSG_OK && more && is(text, item.key, "b"),
           "an object inside the array");
}

/* Walk to the end or the fault; the number of items, and whether all places were inside the text. */
static enum imsg_status walk_all(struct imsg_view text, size_t *items, bool *inside, struct imsg_error *err)
{
    struct imsg_json_walk walk;
    struct imsg_json_item item;
    bool more = true;
    size_t behind = 0;
    *items = 0;
    *inside = true;
    enum imsg_status status = imsg_json_walk(text, 0, &walk, err);
    while (status == IMSG_OK && more) {
        status = imsg_json_walk_next(&walk, &item, &more, err);
        *inside = *inside && walk.at <= text.len;
        if (status != IMSG_OK || !more)
            break;
        ++*items;
        *inside = *inside && item.value.len > 0 && item.value.offset >= behind && item.value.offset <= text.len &&
                  item.value.len <= text.len - item.value.offset && item.inner.offset >= item.value.offset &&
                  item.inner.len <= item.value.len &&
                  item.inner.offset + item.inner.len <= item.value.offset + item.value.len &&
                  item.key.offset <= text.len && item.key.len <= text.len - item.key.offset;
        behind = item.value.offset + item.value.len;
    }
    if (status != IMSG_OK)
        *inside = *inside && err->has_offset && err->offset <= text.len;
    return status;
}

static void test_damage(void)
{
    static const struct {
        const char *text;
        size_t offset, items;
        const char *says;
    } bad[] = {
        {"", 0, 0, "neither { nor ["},
        {"  1", 2, 0, "neither { nor ["},
        {"{", 1, 0, "the text ends inside an object"},
        {"[1,", 3, 1, "the text ends where a value should be"},
        {"[1", 2, 1, "the text ends inside an array"},
        {"{\"a\":1 \"b\":2}", 7, 1, "neither a comma nor the end"},
        {"{\"a\":1,}", 7, 1, "no member name"},
        {"{a:1}", 1, 0, "no member name"},
        {"{\"a\" 1}", 5, 0, "no colon after a member name"},
        {"{\"a\"", 4, 0, "no colon after a member name"},
        {"{\"a\":}", 5, 0, "no value"},
        {"{\"a\":\"b", 7, 0, "the text ends inside a string"},
        {"{\"a\":\"b\\", 8, 0, "the text ends inside a string"},
        {"{\"a\":\"b\\\"", 9, 0, "the text ends inside a string"},
        {"{\"a\":\"b\nc\"}", 7, 0, "a control character in a string"},
        {"{\"a\":[1,2}", 9, 0, "a bracket that closes another kind"},
        {"{\"a\":[1,[2]", 11, 0, "the text ends inside brackets"},
        {"{\"a\":[\"b\"", 9, 0, "the text ends inside brackets"},
        {"{]", 1, 0, "no member name"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct imsg_error err = {.text = ""};
        size_t items;
        bool inside;
        enum imsg_status status = walk_all(imsg_view_str(bad[i].text), &items, &inside, &err);
        if (!tap_ok(status == IMSG_MALFORMED && inside && err.offset == bad[i].offset && items == bad[i].items &&
                        strstr(err.text, bad[i].says) != NULL,
                    "damage %zu", i))
            tap_ok(false, "%s: %zu items, %s", bad[i].text, items, err.text);
    }
}

static void test_depth(void)
{
    char text[400] = "[";
    struct imsg_error err = {.text = ""};
    size_t items;
    bool inside;
    for (size_t depth = 63; depth <= 65; depth++) {
        memset(text + 1, '[', depth);
        memset(text + 1 + depth, ']', depth + 1);
        enum imsg_status status = walk_all(imsg_view_of(text, 2 * depth + 2), &items, &inside, &err);
        tap_ok(status == (depth <= 64 ? IMSG_OK : IMSG_MALFORMED) && inside, "%zu brackets in one value", depth);
    }
}

static const char *const documents[] = {
    "{\"imsg\":\"envelope/1\",\"id\":\"x\\u0041\\\"\",\"n\":[1,-2.5e3,{\"a\":{}}],\"t\":true,\"f\":false,\"z\":null}",
    " [ \"a\\\\\" , [ [ ] ] , { \"b\" : \"\\\\\\\"\" } ] ",
    "{\"\":\"\",\"\\\\\":[\"{\",\"}\",\"[\",\"]\"]}\n",
};

/* The text in a block of exactly its size, where a tool that watches memory sees every byte too far. */
static bool stays_inside(const uint8_t *text, size_t len, enum imsg_status *status)
{
    struct imsg_error err = {.text = ""};
    size_t items;
    bool inside = false;
    uint8_t *exact = malloc(len > 0 ? len : 1);
    if (!exact)
        return false;
    memcpy(exact, text, len);
    *status = walk_all(imsg_view_of(exact, len), &items, &inside, &err);
    free(exact);
    return inside;
}

static void test_every_cut_and_byte(void)
{
    uint8_t text[256];
    enum imsg_status status;
    for (size_t i = 0; i < COUNT(documents); i++) {
        size_t len = strlen(documents[i]), ends = len;
        bool inside = true, refused = true;
        while (documents[i][ends - 1] == ' ' || documents[i][ends - 1] == '\n')
            ends--;
        memcpy(text, documents[i], len);
        for (size_t cut = 0; cut <= len; cut++) {
            inside = stays_inside(text, cut, &status) && inside;
            refused = refused && status == (cut < ends ? IMSG_MALFORMED : IMSG_OK);
        }
        tap_ok(inside, "document %zu, cut anywhere: nothing outside", i);
        tap_ok(refused, "document %zu, cut anywhere: malformed, and only then", i);
        inside = true;
        for (size_t at = 0; at < len; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                text[at] = (uint8_t)byte;
                inside = stays_inside(text, len, &status) && inside;
                text[at] = (uint8_t)documents[i][at];
            }
        tap_ok(inside, "document %zu, every byte another: nothing outside", i);
    }
}

/* What jansson takes, the walker takes, with as many members. */
static void test_same_as_json(void)
{
    for (size_t i = 0; i < COUNT(documents); i++) {
        struct imsg_error err = {.text = ""};
        size_t items;
        bool inside;
        json_t *value = json_loads(documents[i], 0, NULL);
        enum imsg_status status = walk_all(imsg_view_str(documents[i]), &items, &inside, &err);
        tap_ok(value && status == IMSG_OK && inside &&
                   items == (json_is_object(value) ? json_object_size(value) : json_array_size(value)),
               "document %zu has the members that jansson finds", i);
        json_decref(value);
    }
}

int main(void)
{
    test_object();
    test_array();
    test_damage();
    test_depth();
    test_every_cut_and_byte();
    test_same_as_json();
    return tap_done();
}
