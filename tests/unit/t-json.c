/* JSON: parsing, members, printing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    struct imsg_error err = {.text = ""};
    if (imsg_json_parse(imsg_view_str(text), IMSG_LINE_MAX, &value, &err) != IMSG_OK)
        tap_ok(false, "%s: %s", text, err.text);
    return value;
}

static void test_parse_good(void)
{
    static const char *const good[] = {
        "{}",
        " \t\r\n{} \t\r\n",
        "{\"a\":1}",
        "{\"a\":[[[[[[[1]]]]]]]}",
        "{\"a\":{\"b\":{\"c\":{\"d\":[[[{}]]]}}}}",
        "{\"a\":\"[[[[[[[[[[[[\"}",
        "{\"a\":\"\\\"[[[[[[[[[[[[\\\\\"}",
        "{\"a\\\\\":[],\"b\":[[[[[[[]]]]]]]}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":1.5e3,\"b\":null,\"c\":true}",
        "{\"\xc3\xa4\":\"\\ud83d\\ude00\"}",
        "{\"a\":[{},{},{},{},{},{},{},{},{},[],[]]}",
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        struct imsg_error err;
        json_t *value = NULL;
        tap_status(imsg_json_parse(imsg_view_str(good[i]), 64, &value, &err), IMSG_OK, &err, "good JSON %zu", i);
        json_decref(value);
    }
}

static void test_parse_bad(void)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "at byte 0: JSON ends too early"},
        {" ", "at byte 1: JSON ends too early"},
        {"{", "at byte 1: JSON ends too early"},
        {"{\"a\":1", "at byte 6: JSON ends too early"},
        {"{\"a\":\"x", "at byte 7: JSON ends too early"},
        {"[]", "not a JSON object"},
        {"[{}]", "not a JSON object"},
        {"1", "not valid JSON"},
        {"\"a\"", "not valid JSON"},
        {"null", "not valid JSON"},
        {"{} {}", "at byte 4: something follows"},
        {"{}x", "at byte 3: something follows"},
        {"{},", "at byte 3: something follows"},
        {"{}}", "at byte 3: something follows"},
        {"{\"a\":1,\"a\":1}", "appears twice"},
        {"{\"a\":1,\"\\u0061\":2}", "appears twice"},
        {"{\"a\":{\"b\":1,\"b\":2}}", "appears twice"},
        {"{\"a\":[{\"b\":1,\"b\":2}]}", "appears twice"},
        {"{\"a\\u0000\":1}", "holds a NUL"},
        {"{\"a\":1,}", "not valid JSON"},
        {"{a:1}", "not valid JSON"},
        {"{'a':1}", "not valid JSON"},
        {"{\"a\":01}", "not valid JSON"},
        {"{\"a\":+1}", "not valid JSON"},
        {"{\"a\":NaN}", "not valid JSON"},
        {"{\"a\":1//\n}", "not valid JSON"},
        {"{\"a\":\"\t\"}", "not valid JSON"},
        {"{\"a\":\"\\x41\"}", "not valid JSON"},
        {"{\"a\":\"\\ud800\"}", "not valid JSON"},
        {"{\"a\":\"\\udc00\"}", "not valid JSON"},
        {"{\"a\":99999999999999999999}", "too big"},
        {"{\"a\":1e999}", "too big"},
        {"{\"a\":\"\xff\"}", "not UTF-8"},
        {"{\"a\":\"\xed\xa0\x80\"}", "not UTF-8"},
        {"{\"a\":\"\xc0\x80\"}", "not UTF-8"},
        {"\xef\xbb\xbf{}", "not valid JSON"},
        {"{\"a\":[[[[[[[[1]]]]]]]]}", "at byte 12: JSON nested deeper than 8"},
        {"{\"a\":\"\\\\\",\"b\":[[[[[[[[", "at byte 21: JSON nested deeper than 8"},
        {"[[[[[[[[[[[[[[[[[[[[[[[", "at byte 8: JSON nested deeper than 8"},
        {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}", "at byte 40: JSON nested"},
        {"}}}}[[[[[[[[[", "at byte 12: JSON nested deeper than 8"},
        {"{\"a\":\"0123456789012345678901234567890123456789012345678901234567\"}", "66 bytes is over the limit of 64"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct imsg_error err = {.text = ""};
        json_t *value = (json_t *)&err;
        enum imsg_status status = imsg_json_parse(imsg_view_str(bad[i].text), 64, &value, &err);
        tap_ok(status == IMSG_MALFORMED && value == (json_t *)&err && strstr(err.text, bad[i].says),
               "bad JSON %zu (%s): %s", i, bad[i].says, err.text);
    }
    struct imsg_error err;
    json_t *value = NULL;
    tap_status(imsg_json_parse(imsg_view_of("{}\0", 3), 64, &value, &err), IMSG_MALFORMED, &err,
               "NUL after the object");
    tap_status(imsg_json_parse(imsg_view_of("{\"a\":\"\0\"}", 9), 64, &value, &err), IMSG_MALFORMED, &err,
               "NUL in a string");
    /* Where jansson steps over it, and says nothing. */
    static const struct {
        const char *text;
        size_t len, at;
    } nul[] = {
        {"{\"a\":1\0}", 8, 6},     {"{\"a\":-1.5e3\0}", 13, 11}, {"{\"a\":true\0}", 11, 9},
        {"{\"a\":null\0}", 11, 9}, {"{\"a\":[1\0]}", 10, 7},     {"{\"a\":1\0,\"b\":2}", 14, 6},
    };
    for (size_t i = 0; i < COUNT(nul); i++) {
        char says[32];
        (void)snprintf(says, sizeof says, "at byte %zu: not valid JSON", nul[i].at);
        err = (struct imsg_error){.text = ""};
        value = NULL;
        enum imsg_status status = imsg_json_parse(imsg_view_of(nul[i].text, nul[i].len), 64, &value, &err);
        tap_ok(status == IMSG_MALFORMED && !value && strstr(err.text, says), "a NUL behind a value, %zu: %s", i,
               err.text);
    }
    tap_status(imsg_json_parse(imsg_view_of("{}{", 2), 64, &value, &err), IMSG_OK, &err, "a view ends where it ends");
    json_decref(value);
    tap_status(imsg_json_parse(imsg_view_str("{\"k\":\"SECRET\",}"), 64, &value, &err), IMSG_MALFORMED, &err, "fault");
    tap_status(imsg_json_parse(imsg_view_str("{\"SECRET\" \"SECRET\"}"), 64, &value, &err), IMSG_MALFORMED, &err,
               "fault");
    tap_ok(!strstr(err.text, "SECRET"), "a fault's text quotes nothing of the input: %s", err.text);

    /* What would take the square of its length if brackets or backslashes were looked at twice. */
    static char deep[IMSG_LINE_MAX];
    static const char *const fill[] = {"[", "\\", "\"", "\\\"", "{\"a\":"};
    for (size_t i = 0; i < COUNT(fill); i++) {
        for (size_t at = 0; at < sizeof deep; at++)
            deep[at] = fill[i][at % strlen(fill[i])];
        tap_status(imsg_json_parse(imsg_view_of(deep, sizeof deep), sizeof deep, &value, &err), IMSG_MALFORMED, &err,
                   "a mebibyte of %s", fill[i]);
        deep[0] = '{';
        deep[1] = '"';
        tap_status(imsg_json_parse(imsg_view_of(deep, sizeof deep), sizeof deep, &value, &err), IMSG_MALFORMED, &err,
                   "and in a string");
    }
}

static void test_kind(void)
{
    static const struct {
        const char *text;
        enum imsg_status status;
        const char *says;
    } cases[] = {
        {"{\"imsg\":\"device/1\"}", IMSG_OK, ""},
        {"{\"x\":1,\"imsg\":\"device/1\"}", IMSG_OK, ""},
        {"{\"imsg\":\"device/2\"}", IMSG_UNSUPPORTED, "version \"device/2\""},
        {"{\"imsg\":\"device/10\"}", IMSG_UNSUPPORTED, "version \"device/10\""},
        {"{\"imsg\":\"entry/1\"}", IMSG_MALFORMED, "is a \"entry/1\", not a \"device/1\""},
        {"{\"imsg\":\"entry/2\"}", IMSG_MALFORMED, "is a \"entry/2\""},
        {"{\"imsg\":\"device/01\"}", IMSG_MALFORMED, "is a"},
        {"{\"imsg\":\"device/\"}", IMSG_MALFORMED, "is a"},
        {"{\"imsg\":\"device/1a\"}", IMSG_MALFORMED, "is a"},
        {"{\"imsg\":\"device/-1\"}", IMSG_MALFORMED, "is a"},
        {"{\"imsg\":\"device\"}", IMSG_MALFORMED, "is a"},
        {"{\"imsg\":\"devices/1\"}", IMSG_MALFORMED, "is a"},
        {"{\"imsg\":\"Device/1\"}", IMSG_MALFORMED, "is a"},
        {"{\"imsg\":\"\"}", IMSG_MALFORMED, "is a"},
        {"{\"imsg\":1}", IMSG_MALFORMED, "is not a string"},
        {"{\"imsg\":null}", IMSG_MALFORMED, "is not a string"},
        {"{\"imsg\":\"device/1\\u0000\"}", IMSG_MALFORMED, "NUL"},
        {"{}", IMSG_MALFORMED, "no member \"imsg\""},
        {"[]", IMSG_MALFORMED, "not a JSON object"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct imsg_error err = {.text = ""};
        json_t *value = NULL;
        enum imsg_status status = imsg_json_document(imsg_view_str(cases[i].text), 100, "device/1", &value, &err);
        tap_status(status, cases[i].status, &err, "document %s", cases[i].text);
        tap_ok((status == IMSG_OK) == (value != NULL) && strstr(err.text, cases[i].says), "says: %s", err.text);
        json_decref(value);
    }
}

static const char members[] =
    "{\"text\":\"abc\",\"empty\":\"\",\"nul\":\"a\\u0000b\",\"zero\":0,\"one\":1,\"minus\":-1,\"real\":1.0,"
    "\"huge\":9223372036854775807,\"true\":true,\"null\":null,\"object\":{},\"array\":[],"
    "\"b64\":\"AAEC\",\"b64pad\":\"AAE=\",\"b64bits\":\"AAF=\",\"b64url\":\"-_-_\",\"b64space\":\"AA C\","
    "\"hex\":\"000102\",\"HEX\":\"0001AB\",\"hexodd\":\"00010\","
    "\"uuid\":\"01234567-89ab-cdef-0123-456789abcdef\",\"UUID\":\"01234567-89AB-cdef-0123-456789abcdef\","
    "\"time\":\"2026-11-24T03:20:00Z\",\"notime\":\"2026-11-24T03:20:00\","
    "\"handle\":\"mailto:a@b\",\"HANDLE\":\"mailto:A@b\"}";

typedef enum imsg_status getter(const json_t *object, const char *member, enum imsg_need need, char **out,
                                struct imsg_error *err);

static void test_strings(const json_t *object)
{
    static const struct {
        getter *get;
        const char *name;
        const char *good[3];
        const char *bad[14];
    } cases[] = {
        {imsg_json_string,
         "string",
         {"text", "empty", "b64"},
         {"nul", "zero", "real", "true", "null", "object", "array"}},
        {imsg_json_uuid, "uuid", {"uuid"}, {"UUID", "text", "empty", "nul", "zero", "null", "array", "time"}},
        {imsg_json_time, "time", {"time"}, {"notime", "text", "empty", "nul", "zero", "null", "object", "uuid"}},
        {imsg_json_handle, "handle", {"handle"}, {"HANDLE", "text", "empty", "nul", "one", "null", "true", "uuid"}},
    };
    struct imsg_error err;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t j = 0; j < COUNT(cases[i].good) && cases[i].good[j]; j++) {
            char *out = NULL;
            const char *peeked = NULL;
            tap_status(cases[i].get(object, cases[i].good[j], IMSG_REQUIRED, &out, &err), IMSG_OK, &err, "%s: %s",
                       cases[i].name, cases[i].good[j]);
            tap_ok(imsg_json_peek(object, cases[i].good[j], IMSG_REQUIRED, &peeked, &err) == IMSG_OK && out && peeked &&
                       strcmp(out, peeked) == 0,
                   "peek sees the same");
            free(out);
        }
        for (size_t j = 0; j < COUNT(cases[i].bad) && cases[i].bad[j]; j++) {
            for (int need = IMSG_OPTIONAL; need <= IMSG_REQUIRED; need++) {
                char *out = (char *)"untouched";
                enum imsg_status status = cases[i].get(object, cases[i].bad[j], (enum imsg_need)need, &out, &err);
                tap_ok(status == IMSG_MALFORMED && strcmp(out, "untouched") == 0 && strstr(err.text, cases[i].bad[j]),
                       "%s: %s", cases[i].name, err.text);
            }
        }
        char *out = (char *)"untouched";
        tap_status(cases[i].get(object, "absent", IMSG_REQUIRED, &out, &err), IMSG_MALFORMED, &err, "%s: absent",
                   cases[i].name);
        tap_ok(strcmp(out, "untouched") == 0 && strstr(err.text, "no member \"absent\""), "says: %s", err.text);
        tap_status(cases[i].get(object, "absent", IMSG_OPTIONAL, &out, &err), IMSG_OK, &err, "%s: optional",
                   cases[i].name);
        tap_ok(!out, "gives NULL");
    }
}

static void test_integers(const json_t *object)
{
    static const struct {
        const char *member;
        uint64_t min, max;
        bool good;
    } cases[] = {
        {"zero", 0, 0, true},
        {"one", 0, 1, true},
        {"one", 1, UINT64_MAX, true},
        {"huge", 0, INT64_MAX, true},
        {"zero", 1, 5, false},
        {"one", 0, 0, false},
        {"one", 2, 5, false},
        {"minus", 0, UINT64_MAX, false},
        {"huge", 0, INT64_MAX - 1, false},
        {"real", 0, 5, false},
        {"text", 0, 5, false},
        {"true", 0, 5, false},
        {"null", 0, 5, false},
        {"array", 0, 5, false},
        {"absent", 0, 5, false},
    };
    struct imsg_error err;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t out = 77;
        enum imsg_status status = imsg_json_integer(object, cases[i].member, IMSG_REQUIRED,
                                                    (struct imsg_range){cases[i].min, cases[i].max}, &out, &err);
        tap_ok(cases[i].good ? status == IMSG_OK && out != 77 : status == IMSG_MALFORMED && out == 77,
               "integer %zu: %s", i, cases[i].member);
    }
    uint64_t out = 77;
    tap_status(imsg_json_integer(object, "absent", IMSG_OPTIONAL, (struct imsg_range){0, 5}, &out, &err), IMSG_OK, &err,
               "optional");
    tap_ok(out == 77, "leaves the value");
    tap_status(imsg_json_integer(object, "null", IMSG_OPTIONAL, (struct imsg_range){0, 5}, &out, &err), IMSG_MALFORMED,
               &err, "null is there");
}

static void test_containers(const json_t *object)
{
    static const char *const others[] = {"text", "zero", "null", "true"};
    struct imsg_error err;
    json_t *out = NULL;
    tap_ok(imsg_json_object(object, "object", IMSG_REQUIRED, &out, &err) == IMSG_OK && json_is_object(out), "object");
    tap_ok(imsg_json_array(object, "array", IMSG_REQUIRED, &out, &err) == IMSG_OK && json_is_array(out), "array");
    json_t *kept = out;
    tap_status(imsg_json_object(object, "array", IMSG_OPTIONAL, &out, &err), IMSG_MALFORMED, &err, "array as object");
    tap_status(imsg_json_array(object, "object", IMSG_OPTIONAL, &out, &err), IMSG_MALFORMED, &err, "object as array");
    for (size_t i = 0; i < COUNT(others); i++) {
        tap_status(imsg_json_object(object, others[i], IMSG_OPTIONAL, &out, &err), IMSG_MALFORMED, &err, "no object");
        tap_status(imsg_json_array(object, others[i], IMSG_OPTIONAL, &out, &err), IMSG_MALFORMED, &err, "no array");
    }
    tap_status(imsg_json_object(object, "absent", IMSG_REQUIRED, &out, &err), IMSG_MALFORMED, &err, "no member");
    tap_status(imsg_json_array(object, "absent", IMSG_REQUIRED, &out, &err), IMSG_MALFORMED, &err, "no member");
    tap_ok(out == kept, "failures leave the output");
    tap_ok(imsg_json_object(object, "absent", IMSG_OPTIONAL, &out, &err) == IMSG_OK && !out, "optional object");
    out = kept;
    tap_ok(imsg_json_array(object, "absent", IMSG_OPTIONAL, &out, &err) == IMSG_OK && !out, "optional array");
}

static void test_bytes(const json_t *object)
{
    static const struct {
        const char *member;
        size_t len;
        bool hex;
    } bad[] = {
        {"b64", 2, false},     {"b64", 4, false},    {"b64", 1, false},      {"b64pad", 3, false}, {"b64pad", 1, false},
        {"b64bits", 2, false}, {"b64url", 3, false}, {"b64space", 3, false}, {"empty", 3, false},  {"text", 3, false},
        {"nul", 3, false},     {"zero", 1, false},   {"null", 1, false},     {"array", 1, false},  {"absent", 1, false},
        {"hex", 2, true},      {"hex", 4, true},     {"HEX", 3, true},       {"hexodd", 3, true},  {"hexodd", 2, true},
        {"empty", 1, true},    {"text", 1, true},    {"nul", 1, true},       {"zero", 1, true},    {"null", 1, true},
        {"absent", 1, true},   {"b64", 2, true},
    };
    struct imsg_error err;
    uint8_t out[8] = {0};
    bool found = false;
    tap_status(imsg_json_base64(object, "b64", out, 3, &found, &err), IMSG_OK, &err, "base64");
    tap_ok(found && memcmp(out, "\0\1\2", 4) == 0, "its bytes");
    tap_status(imsg_json_base64(object, "b64pad", out, 2, NULL, &err), IMSG_OK, &err, "padded");
    tap_status(imsg_json_base64(object, "empty", out, 0, NULL, &err), IMSG_OK, &err, "no bytes");
    memset(out, 9, sizeof out);
    found = false;
    tap_status(imsg_json_hex(object, "hex", out, 3, &found, &err), IMSG_OK, &err, "hex");
    tap_ok(found && memcmp(out, "\0\1\2\x09", 4) == 0, "its bytes");
    for (size_t i = 0; i < COUNT(bad); i++) {
        memset(out, 0xa5, sizeof out);
        found = true;
        bool *optional = strcmp(bad[i].member, "absent") == 0 ? NULL : &found;
        enum imsg_status status =
            (bad[i].hex ? imsg_json_hex : imsg_json_base64)(object, bad[i].member, out, bad[i].len, optional, &err);
        tap_ok(status == IMSG_MALFORMED && found && out[0] == 0xa5 && out[7] == 0xa5 && !err.has_offset,
               "bad bytes %zu: %s", i, err.text);
    }
    tap_ok(imsg_json_base64(object, "absent", out, 3, &found, &err) == IMSG_OK && !found && out[0] == 0xa5,
           "optional base64");
    found = true;
    tap_ok(imsg_json_hex(object, "absent", out, 3, &found, &err) == IMSG_OK && !found && out[0] == 0xa5,
           "optional hex");
}

static void test_handles(void)
{
    static const char *const bad[] = {
        "{}",
        "{\"h\":null}",
        "{\"h\":\"mailto:a@b\"}",
        "{\"h\":[]}",
        "{\"h\":{}}",
        "{\"h\":[1]}",
        "{\"h\":[null]}",
        "{\"h\":[\"mailto:A@b\"]}",
        "{\"h\":[\"a@b\"]}",
        "{\"h\":[\"\"]}",
        "{\"h\":[\"mailto:a@b\",\"mailto:a@b\"]}",
        "{\"h\":[\"tel:+12\",\"mailto:a@b\",\"tel:+12\"]}",
        "{\"h\":[\"mailto:a@b\",\"x\"]}",
        "{\"h\":[\"mailto:a@b\\u0000\"]}",
        "{\"h\":[[\"mailto:a@b\"]]}",
    };
    struct imsg_error err;
    char **out = NULL;
    size_t count = 7;
    for (size_t i = 0; i < COUNT(bad); i++) {
        json_t *object = parse(bad[i]);
        enum imsg_status status = imsg_json_handles(object, "h", &out, &count, &err);
        tap_ok(status == IMSG_MALFORMED && !out && count == 7, "bad handles %s: %s", bad[i], err.text);
        json_decref(object);
    }
    json_t *object = parse("{\"h\":[\"tel:+12\",\"mailto:a@b\"]}");
    tap_status(imsg_json_handles(object, "h", &out, &count, &err), IMSG_OK, &err, "two handles");
    tap_ok(count == 2 && strcmp(out[0], "tel:+12") == 0 && strcmp(out[1], "mailto:a@b") == 0, "in their order");
    imsg_strings_free(out, count);
    imsg_strings_free(NULL, 3);
    json_decref(object);

    json_t *array = json_array();
    for (unsigned i = 0; i < 70000; i++) {
        char handle[32];
        snprintf(handle, sizeof handle, "tel:+9%09u", i * 7919 % 70001);
        json_array_append_new(array, json_string(handle));
    }
    object = json_object();
    json_object_set(object, "h", array);
    tap_status(imsg_json_handles(object, "h", &out, &count, &err), IMSG_OK, &err, "70,000 handles, quickly");
    imsg_strings_free(out, count);
    json_array_append(array, json_array_get(array, 12345));
    tap_status(imsg_json_handles(object, "h", &out, &count, &err), IMSG_MALFORMED, &err, "one of them twice");
    json_decref(array);
    json_decref(object);
}

static void test_print(void)
{
    static const char want[] =
        "{\"imsg\":\"device/1\",\"z\":\"/\xc3\xa4\\n\\\"\",\"a\":[1,true,null],\"b\":\"AAEC\",\"h\":\"000102\"}";
    struct imsg_error err;
    struct imsg_buf out = {0};
    json_t *object = json_object();
    struct imsg_view bytes = imsg_view_of("\0\1\2", 3);
    tap_status(imsg_json_set_string(object, "imsg", "device/1", &err), IMSG_OK, &err, "set a string");
    tap_status(imsg_json_set_string(object, "z", "/\xc3\xa4\n\"", &err), IMSG_OK, &err, "set another");
    tap_status(imsg_json_set(object, "a", json_pack("[i,b,n]", 1, 1), &err), IMSG_OK, &err, "set an array");
    tap_status(imsg_json_set_base64(object, "b", bytes, &err), IMSG_OK, &err, "set base64");
    tap_status(imsg_json_set_hex(object, "h", bytes, &err), IMSG_OK, &err, "set hex");
    tap_status(imsg_json_set_string(object, "bad", "\xff", &err), IMSG_MALFORMED, &err, "text that is not UTF-8");
    tap_status(imsg_json_set_string(object, "\xff", "x", &err), IMSG_MALFORMED, &err, "a name that is not UTF-8");
    tap_status(imsg_json_set(object, "\xff", json_integer(1), &err), IMSG_MALFORMED, &err, "its value is released");
    tap_status(imsg_json_set(object, "none", NULL, &err), IMSG_NO_MEMORY, &err, "no value");
    tap_status(imsg_json_set(object, "\xff", NULL, &err), IMSG_MALFORMED, &err, "neither");
    tap_status(imsg_buf_text(&out, "> ", &err), IMSG_OK, &err, "something before");
    tap_status(imsg_json_print(object, &out, &err), IMSG_OK, &err, "print");
    tap_bytes(imsg_view_of(out.ptr + 2, out.len - 2), imsg_view_str(want), "compact, in order: %s",
              (char *)out.ptr + 2);

    json_t *back = NULL;
    tap_status(imsg_json_document(imsg_view_str(want), 200, "device/1", &back, &err), IMSG_OK, &err, "parse it again");
    tap_ok(json_equal(object, back), "is the same");
    imsg_buf_clear(&out);
    tap_status(imsg_json_print(back, &out, &err), IMSG_OK, &err, "print that");
    tap_bytes(imsg_buf_view(&out), imsg_view_str(want), "the order survives");
    tap_status(imsg_json_set_string(back, "imsg", "device/1", &err), IMSG_OK, &err, "set a member again");
    imsg_buf_clear(&out);
    tap_status(imsg_json_print(back, &out, &err), IMSG_OK, &err, "print");
    tap_bytes(imsg_buf_view(&out), imsg_view_str(want), "it keeps its place");

    imsg_buf_clear(&out);
    tap_status(imsg_buf_text(&out, "kept", &err), IMSG_OK, &err, "something before");
    json_t *loop = json_array();
    json_array_append(loop, back);
    json_object_set(back, "loop", loop);
    tap_ok(imsg_json_print(back, &out, &err) != IMSG_OK, "what holds itself cannot be printed");
    tap_bytes(imsg_buf_view(&out), imsg_view_str("kept"), "and nothing is left of the try");
    json_object_del(back, "loop");
    json_decref(loop);
    json_decref(back);
    json_decref(object);
    imsg_buf_free(&out);
}

int main(void)
{
    test_parse_good();
    test_parse_bad();
    test_kind();
    json_t *object = parse(members);
    test_strings(object);
    test_integers(object);
    test_containers(object);
    test_bytes(object);
    json_decref(object);
    test_handles();
    test_print();
    return tap_done();
}
