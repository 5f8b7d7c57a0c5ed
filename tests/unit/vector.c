#define _DEFAULT_SOURCE /* getentropy */
/* RAND_set_rand_method is the only way to fix the seed that OpenSSL's OAEP draws for itself. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "vector.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/crypto.h"

static _Noreturn void IMSG_PRINTF(1, 2) broken(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("Bail out! tests/vectors: ");
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    exit(1);
}

/* ---- JSON ---- */

json_t *vector_load(const char *name)
{
    const char *folder = getenv("IMSG_VECTORS");
    char path[4096];
    json_error_t why;
    snprintf(path, sizeof path, "%s/%s.json", folder ? folder : "tests/vectors", name);
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!json)
        broken("%s: %s", path, why.text);
    return json;
}

const json_t *vector_member(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    if (!value)
        broken("there is no \"%s\"", member);
    return value;
}

const char *vector_string(const json_t *object, const char *member)
{
    const char *text = json_string_value(vector_member(object, member));
    if (!text)
        broken("\"%s\" is no string", member);
    return text;
}

const char *vector_string_or(const json_t *object, const char *member, const char *otherwise)
{
    return json_object_get(object, member) ? vector_string(object, member) : otherwise;
}

void vector_hex(const json_t *object, const char *member, struct imsg_buf *out)
{
    const char *text = vector_string(object, member);
    size_t len = strlen(text) / 2;
    struct imsg_error err;
    imsg_buf_clear(out);
    if (imsg_buf_reserve(out, len + 1, &err) != IMSG_OK ||
        imsg_hex_decode(imsg_view_str(text), out->ptr, len, &err) != IMSG_OK)
        broken("\"%s\": %s", member, err.text);
    out->len = len;
}

void vector_hex_fixed(const json_t *object, const char *member, uint8_t *out, size_t len)
{
    struct imsg_error err;
    if (imsg_hex_decode(imsg_view_str(vector_string(object, member)), out, len, &err) != IMSG_OK)
        broken("\"%s\": %s", member, err.text);
}

enum imsg_status vector_class(const char *name)
{
    for (int i = IMSG_OK; i <= IMSG_BAD_TAG; i++) {
        if (strcmp(name, imsg_status_name((enum imsg_status)i)) == 0)
            return (enum imsg_status)i;
    }
    broken("\"%s\" is no failure class", name);
}

bool vector_allows(const json_t *vector, enum imsg_status got, bool *also)
{
    const json_t *value;
    size_t i;
    *also = false;
    if (vector_class(vector_string(vector, "expect")) == got)
        return true;
    json_array_foreach (json_object_get(vector, "also_ok"), i, value) {
        if (vector_class(json_string_value(value)) == got) {
            *also = true;
            return true;
        }
    }
    return false;
}

/* ---- Devices ---- */

static struct vector_device devices[4];
static size_t device_count;

struct imsg_p256 *vector_p256(const json_t *object, const char *member)
{
    struct imsg_p256 *key = NULL;
    struct imsg_error err;
    if (imsg_p256_from_pem(imsg_view_str(vector_string(object, member)), imsg_view_str(""), &key, &err) != IMSG_OK ||
        imsg_p256_make_compact(key, &err) != IMSG_OK)
        broken("\"%s\": %s", member, err.text);
    return key;
}

static void read_device(const json_t *json, const char *name, struct vector_device *out)
{
    struct imsg_error err;
    struct imsg_buf bytes = {0};
    snprintf(out->name, sizeof out->name, "%s", name);
    if (imsg_p256_from_pem(imsg_view_str(vector_string(json, "signing_pkcs8_pem")), imsg_view_str(""), &out->signing,
                           &err) != IMSG_OK ||
        imsg_rsa_from_pem(imsg_view_str(vector_string(json, "encryption_pkcs8_pem")), imsg_view_str(""),
                          &out->encryption, &err) != IMSG_OK)
        broken("%s's \"pair\" keys: %s", name, err.text);
    out->device = vector_p256(json, "device_pkcs8_pem");
    out->prekey = vector_p256(json, "prekey_pkcs8_pem");
    vector_hex(json, "identity", &bytes);
    if (imsg_public_identity_parse(imsg_buf_view(&bytes), &out->identity, &err) != IMSG_OK)
        broken("%s's identity: %s", name, err.text);
    vector_hex(json, "prekey_record", &bytes);
    if (imsg_prekey_parse(imsg_buf_view(&bytes), &out->record, &err) != IMSG_OK)
        broken("%s's prekey record: %s", name, err.text);
    imsg_buf_free(&bytes);
}

const struct vector_device *vector_device(const char *name)
{
    if (device_count == 0) {
        json_t *keys = vector_load("keys"), *json;
        const char *who;
        json_object_foreach (keys, who, json) {
            if (device_count == sizeof devices / sizeof devices[0])
                broken("keys.json has more than %zu devices", device_count);
            read_device(json, who, &devices[device_count++]);
        }
        json_decref(keys);
    }
    for (size_t i = 0; i < device_count; i++) {
        if (strcmp(devices[i].name, name) == 0)
            return &devices[i];
    }
    broken("keys.json has no \"%s\"", name);
}

void vector_devices_free(void)
{
    for (size_t i = 0; i < device_count; i++) {
        imsg_p256_free(devices[i].signing);
        imsg_p256_free(devices[i].device);
        imsg_p256_free(devices[i].prekey);
        imsg_rsa_free(devices[i].encryption);
    }
    memset(devices, 0, sizeof devices);
    device_count = 0;
}

/* ---- Randomness ---- */

static struct {
    uint8_t bytes[512];
    size_t len;
} queue[8];
static size_t queue_head, queue_tail;

static int serve(unsigned char *out, int wanted)
{
    size_t len = (size_t)wanted;
    if (queue_head < queue_tail && queue[queue_head].len == len) {
        memcpy(out, queue[queue_head++].bytes, len);
        return 1;
    }
    for (size_t at = 0, part; at < len; at += part) {
        part = len - at < 256 ? len - at : 256; /* getentropy's limit */
        if (getentropy(out + at, part) != 0)
            return 0;
    }
    return 1;
}

static int status(void)
{
    return 1;
}

void vector_random_start(void)
{
    static const RAND_METHOD method = {.bytes = serve, .pseudorand = serve, .status = status};
    imsg_crypto_start_process();
    if (RAND_set_rand_method(&method) != 1)
        broken("OpenSSL took no other random method");
}

void vector_random_queue(const void *bytes, size_t len)
{
    if (queue_tail == sizeof queue / sizeof queue[0] || len > sizeof queue[0].bytes)
        broken("no room for %zu random bytes", len);
    memcpy(queue[queue_tail].bytes, bytes, len);
    queue[queue_tail++].len = len;
}

size_t vector_random_left(void)
{
    size_t left = queue_tail - queue_head;
    queue_head = queue_tail = 0;
    return left;
}
