/* Every member of every JSON document, in turn with a value of each type that it must not have: the document is
 * malformed. Each document has all its optional members. */
#define _XOPEN_SOURCE 700
#include "scratch.h"

#include <jansson.h>

#include "crypto/crypto.h"
#include "format/attachment.h"
#include "format/jws.h"
#include "imsg-net.h"
#include "tap.h"

#define ALICE "mailto:alice@example.com"
#define UUID "0190b5a2-7c1e-4d3a-8f00-112233445566"
#define HEX40 "4fcc620abead184245c0eede5de2b246e1861aa9"
#define HEX64 "4ee5ee9a534cbfad88471a12fa963174ee72ba798ea1671dbca0b67be59e0530"
#define BYTES32 "pHRv+orbbAuPH300p9O/gYDngbMd4Ac/iulQMkUITw4="
#define THUMBPRINT "l7m-ck8mj-MGrGshl5QOUYjmKYrG2u8JBmeMcrM1mfU"
#define DESCRIPTOR                                                                                                     \
    "{\"imsg\":\"attachment/1\",\"uri\":\"imsg-store:" HEX64                                                           \
    "\",\"name\":\"a.jpg\",\"type\":\"image/jpeg\",\"size\":9,"                                                        \
    "\"key\":\"" BYTES32 "\",\"sha1\":\"" HEX40 "\",\"sha256\":\"" HEX64 "\"}"

static struct imsg_error err;
static struct imsg_identity identity;
static struct imsg_p256 *account;
static size_t all_tried, all_taken;

static void must(enum imsg_status status)
{
    if (status != IMSG_OK) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
}

/* ---- the readers ---- */

static enum imsg_status read_identity(struct imsg_view text)
{
    struct imsg_identity out;
    enum imsg_status status = imsg_identity_parse(text, imsg_view_str(""), &out, &err);
    if (status == IMSG_OK)
        imsg_identity_free(&out);
    return status;
}

static enum imsg_status read_device(struct imsg_view text)
{
    struct imsg_device out;
    enum imsg_status status = imsg_device_parse(text, &out, &err);
    if (status == IMSG_OK)
        imsg_device_free(&out);
    return status;
}

static enum imsg_status read_jws(struct imsg_view text)
{
    struct imsg_entry out;
    enum imsg_status status = imsg_entry_parse(text, ALICE, 0, &out, &err);
    if (status == IMSG_OK)
        imsg_entry_free(&out);
    return status;
}

static enum imsg_status read_entry(struct imsg_view text)
{
    struct imsg_buf file = {0};
    must(imsg_jws_sign(account, text, &file, &err));
    enum imsg_status status = read_jws(imsg_buf_view(&file));
    imsg_buf_free(&file);
    return status;
}

static enum imsg_status read_envelope(struct imsg_view text)
{
    struct imsg_envelope out = {0};
    enum imsg_status status = imsg_envelope_parse(text, &out, &err);
    imsg_envelope_free(&out);
    return status;
}

static enum imsg_status read_message(struct imsg_view text)
{
    struct imsg_message out = {0};
    struct imsg_buf plain = {0};
    must(imsg_buf_append(&plain, text.ptr, text.len, &err));
    must(imsg_buf_append(&plain, "\nx", 2, &err));
    enum imsg_status status = imsg_message_parse(imsg_buf_view(&plain), &out, &err);
    imsg_message_free(&out);
    imsg_buf_free(&plain);
    return status;
}

static enum imsg_status read_attachment(struct imsg_view text)
{
    struct imsg_attachment out = {0};
    json_t *object = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    enum imsg_status status = imsg_attachment_from_json(object, &out, &err);
    imsg_attachment_free(&out);
    json_decref(object);
    return status;
}

static enum imsg_status read_stream(struct imsg_view text)
{
    struct imsg_stream_line out;
    return imsg_stream_parse(text, &out, &err);
}

static enum imsg_status read_pins(struct imsg_view text)
{
    char path[sizeof scratch + 16];
    struct imsg_pins pins;
    struct imsg_pin pin;
    bool found = false;
    snprintf(path, sizeof path, "%s/pins.json", scratch);
    FILE *file = fopen(path, "w");
    if (!file || fwrite(text.ptr, 1, text.len, file) != text.len || fclose(file) != 0)
        abort();
    enum imsg_status status = imsg_pins_open(path, &pins, &err);
    if (status == IMSG_OK) {
        status = imsg_pins_get(&pins, ALICE, &pin, &found, &err);
        imsg_pins_close(&pins);
    }
    return status == IMSG_OK && !found ? IMSG_REFUSED : status;
}

/* ---- the documents ---- */

struct document {
    const char *name;
    enum imsg_status (*read)(struct imsg_view text);
    json_t *json;
    size_t tried, taken;
};

static json_t *parsed(struct imsg_view text)
{
    json_t *json = json_loadb((const char *)text.ptr, text.len, JSON_DISABLE_EOF_CHECK, NULL);
    if (!json)
        abort();
    return json;
}

static json_t *identity_document(void)
{
    struct imsg_buf text = {0};
    must(imsg_identity_print(&identity, &text, &err));
    json_t *json = parsed(imsg_buf_view(&text));
    imsg_buf_free(&text);
    return json;
}

static json_t *device_document(void)
{
    struct imsg_device device;
    struct imsg_buf text = {0};
    must(imsg_identity_device(&identity, &device, &err));
    must(imsg_device_print(&device, NULL, &text, &err));
    json_t *json = parsed(imsg_buf_view(&text));
    json_object_set_new(json, "limit", json_integer(16384));
    imsg_device_free(&device);
    imsg_buf_free(&text);
    return json;
}

static json_t *entry_document(void)
{
    json_t *json =
        parsed(imsg_view_str("{\"imsg\":\"entry/1\",\"handle\":\"" ALICE "\",\"seq\":3,\"prev\":\"" HEX64
                             "\",\"updated\":\"2026-11-24T03:20:00Z\",\"expires\":\"2099-11-24T03:20:00Z\"}"));
    json_object_set_new(json, "devices", json_pack("[o]", device_document()));
    return json;
}

static json_t *jws_document(void)
{
    struct imsg_buf file = {0};
    json_t *entry = entry_document();
    char *text = json_dumps(entry, JSON_COMPACT);
    must(imsg_jws_sign(account, imsg_view_str(text), &file, &err));
    json_t *json = parsed(imsg_buf_view(&file));
    imsg_buf_free(&file);
    free(text);
    json_decref(entry);
    return json;
}

/* ---- wrong types ---- */

static enum imsg_status read_again(const struct document *document)
{
    char *text = json_dumps(document->json, JSON_COMPACT);
    if (!text)
        abort();
    enum imsg_status status = document->read(imsg_view_str(text));
    free(text);
    return status;
}

static bool same_type(const json_t *a, const json_t *b)
{
    return json_typeof(a) == json_typeof(b) || (json_is_boolean(a) && json_is_boolean(b));
}

static void put(json_t *parent, const char *key, size_t index, json_t *value)
{
    int failed = key ? json_object_set(parent, key, value) : json_array_set(parent, index, value);
    if (failed)
        abort();
}

static void try_types(struct document *document, json_t *parent, const char *key, size_t index)
{
    static const char *const values[] = {"null", "true", "7", "7.0", "\"text\"", "[]", "{}"};
    json_t *right = json_incref(key ? json_object_get(parent, key) : json_array_get(parent, index));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_t *wrong = json_loads(values[i], JSON_DECODE_ANY, NULL);
        bool first_entry = key && strcmp(key, "prev") == 0 && json_is_null(wrong); /* the one null that has a meaning */
        if (!same_type(right, wrong) && !first_entry) {
            put(parent, key, index, wrong);
            enum imsg_status status = read_again(document);
            document->tried++;
            if (status != IMSG_MALFORMED && status != IMSG_UNSUPPORTED && status != IMSG_CONFIG) {
                document->taken++;
                printf("# %s: %s%zu = %s: %s\n", document->name, key ? key : "item ", index, values[i],
                       imsg_status_name(status));
            }
        }
        json_decref(wrong);
    }
    put(parent, key, index, right);
    json_decref(right);
}

static void try_all(struct document *document, json_t *value)
{
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            try_types(document, value, NULL, i);
            try_all(document, json_array_get(value, i));
        }
    } else if (json_is_object(value)) {
        json_t *keys = json_deep_copy(value), *ignored;
        const char *key;
        json_object_foreach (keys, key, ignored) {
            try_types(document, value, key, 0);
            try_all(document, json_object_get(value, key));
        }
        json_decref(keys);
    }
}

static void try_document(const char *name, enum imsg_status (*read)(struct imsg_view text), json_t *json)
{
    struct document document = {.name = name, .read = read, .json = json};
    tap_status(read_again(&document), IMSG_OK, &err, "%s is read as it is", name);
    try_all(&document, json);
    tap_status(read_again(&document), IMSG_OK, &err, "%s: nothing else was changed", name);
    tap_ok(document.tried > 0 && document.taken == 0, "%s: %zu values of wrong types, %zu taken", name, document.tried,
           document.taken);
    all_tried += document.tried;
    all_taken += document.taken;
    json_decref(json);
}

int main(void)
{
    const char *handle = ALICE;
    scratch_make();
    must(imsg_identity_generate(&handle, 1, "laptop", "https://relay.example", &identity, &err));
    must(imsg_identity_rotate(&identity, &err));
    must(imsg_identity_set_account(&identity, THUMBPRINT, &err));
    must(imsg_p256_generate(&account, &err));
    try_document("identity/1", read_identity, identity_document());
    try_document("device/1", read_device, device_document());
    try_document("entry/1", read_entry, entry_document());
    try_document("its signature", read_jws, jws_document());
    try_document("envelope/1", read_envelope,
                 parsed(imsg_view_str("{\"imsg\":\"envelope/1\",\"id\":\"" UUID "\",\"from\":\"" ALICE
                                      "\",\"from_token\":\"" HEX64 "\",\"to\":\"" ALICE "\",\"to_token\":\"" HEX64
                                      "\",\"format\":\"pair\",\"time\":\"2026-11-24T03:20:00Z\","
                                      "\"relay\":\"https://relay.example\",\"payload\":\"AAAA\"}")));
    try_document("message/1", read_message,
                 parsed(imsg_view_str(
                     "{\"imsg\":\"message/1\",\"id\":\"" UUID "\",\"from\":\"" ALICE "\",\"to\":[\"" ALICE "\"],"
                     "\"time\":\"2026-11-24T03:20:00Z\",\"type\":\"text/plain\",\"group\":{\"id\":\"" UUID
                     "\",\"name\":\"lunch\"},\"reply_to\":\"" UUID "\",\"receipt\":{\"of\":\"" UUID
                     "\",\"what\":\"read\"},\"attachments\":[" DESCRIPTOR "],\"stream\":{\"key\":\"" BYTES32 "\"}}")));
    try_document("attachment/1", read_attachment, parsed(imsg_view_str(DESCRIPTOR)));
    try_document("stream/1", read_stream,
                 parsed(imsg_view_str("{\"imsg\":\"stream/1\",\"id\":\"" UUID "\",\"cipher\":\"aes-256-gcm\","
                                      "\"chunk\":1048576,\"commitment\":\"" HEX64 "\"}")));
    try_document("pins/1", read_pins,
                 parsed(imsg_view_str("{\"imsg\":\"pins/1\",\"pins\":{\"" ALICE "\":{\"account\":\"" THUMBPRINT
                                      "\",\"seq\":3,\"payload\":\"" HEX64 "\"}}}")));
    tap_quality("A member of a JSON document with a value of a wrong type: malformed", all_tried, all_taken);
    imsg_p256_free(account);
    imsg_identity_free(&identity);
    scratch_remove();
    return tap_done();
}
