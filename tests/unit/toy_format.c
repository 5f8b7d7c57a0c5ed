/* "toy": a payload format that protects nothing, to show that one is a file and a row. Its keys are its own, in records
 * and identities:
 *
 *   identity  keys.toy: the secret, 32 bytes, hex
 *   record    toy: SHA-256 of the secret, the key, and the sum of its bytes mod 256 as the "signature", base64
 *   payload   "T" || tag[32] || ciphertext      tag = HMAC(key, message || token of the sender), XOR with key and
 * counter
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "crypto/crypto.h"
#include "toy_format.h"

enum { KEY = 32, TAG = 32, HEAD = 1 + TAG };

struct keys {
    uint8_t secret[KEY]; /* of an identity */
    uint8_t key[KEY];
    uint8_t sum;
};

struct parts {
    struct imsg_view tag, ciphertext;
};

static struct keys *keys_of(void *const *slots)
{
    return slots[imsg_format_slot(&toy_format)];
}

static enum imsg_status new_keys(void **slots, struct keys **out, struct imsg_error *err)
{
    *out = slots[imsg_format_slot(&toy_format)] = calloc(1, sizeof **out);
    return *out ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

static uint8_t sum_of(const uint8_t key[static KEY])
{
    uint8_t sum = 0;
    for (size_t i = 0; i < KEY; i++)
        sum = (uint8_t)(sum + key[i]);
    return sum;
}

static enum imsg_status derive(struct keys *keys, struct imsg_error *err)
{
    enum imsg_status status = imsg_sha256(imsg_view_of(keys->secret, KEY), keys->key, err);
    keys->sum = sum_of(keys->key);
    return status;
}

/* ---- keys ---- */

static bool offered_by(const struct imsg_device *device)
{
    return keys_of(device->keys) != NULL;
}

static enum imsg_status read_record(const json_t *record, struct imsg_device *device, struct imsg_error *err)
{
    uint8_t bytes[KEY + 1];
    bool found = false;
    struct keys *keys = NULL;
    enum imsg_status status = imsg_json_base64(record, "toy", bytes, sizeof bytes, &found, err);
    if (status == IMSG_OK && found)
        status = new_keys(device->keys, &keys, err);
    if (keys) {
        memcpy(keys->key, bytes, KEY);
        keys->sum = bytes[KEY];
    }
    return status;
}

static enum imsg_status check_record(const struct imsg_device *device, struct imsg_error *err)
{
    const struct keys *keys = keys_of(device->keys);
    if (!keys || sum_of(keys->key) == keys->sum)
        return IMSG_OK;
    return imsg_fail(err, IMSG_BAD_SIGNATURE, "the toy key has another sum");
}

static enum imsg_status write_record(const struct imsg_identity *identity, json_t *record, struct imsg_error *err)
{
    const struct keys *keys = keys_of(identity->keys);
    uint8_t bytes[KEY + 1];
    if (!keys)
        return IMSG_OK;
    memcpy(bytes, keys->key, KEY);
    bytes[KEY] = keys->sum;
    return imsg_json_set_base64(record, "toy", imsg_view_of(bytes, sizeof bytes), err);
}

static void trace_record(const struct imsg_device *device, struct imsg_trace *trace)
{
    const struct keys *keys = keys_of(device->keys);
    if (keys)
        imsg_trace_value(trace, "toy_key", imsg_view_of(keys->key, KEY));
}

static void free_record(struct imsg_device *device)
{
    free(keys_of(device->keys));
}

static bool usable_by(const struct imsg_identity *identity)
{
    return keys_of(identity->keys) != NULL;
}

static enum imsg_status read_identity(const struct imsg_identity_file *file, struct imsg_identity *identity,
                                      struct imsg_error *err)
{
    uint8_t secret[KEY];
    bool found = false;
    struct keys *keys = NULL;
    enum imsg_status status = imsg_json_hex(file->keys, "toy", secret, sizeof secret, &found, err);
    if (status == IMSG_OK && found)
        status = new_keys(identity->keys, &keys, err);
    if (!keys)
        return status;
    memcpy(keys->secret, secret, KEY);
    return derive(keys, err);
}

static enum imsg_status write_identity(const struct imsg_identity *identity, const struct imsg_identity_file *file,
                                       struct imsg_error *err)
{
    const struct keys *keys = keys_of(identity->keys);
    return keys ? imsg_json_set_hex(file->keys, "toy", imsg_view_of(keys->secret, KEY), err) : IMSG_OK;
}

static void trace_identity(const struct imsg_identity *identity, bool private_keys, struct imsg_trace *trace)
{
    const struct keys *keys = keys_of(identity->keys);
    if (keys)
        imsg_trace_value(trace, private_keys ? "toy_secret" : "toy_key",
                         imsg_view_of(private_keys ? keys->secret : keys->key, KEY));
}

static enum imsg_status generate_keys(struct imsg_identity *identity, struct imsg_error *err)
{
    struct keys *keys = NULL;
    enum imsg_status status = new_keys(identity->keys, &keys, err);
    if (status == IMSG_OK)
        status = imsg_random(keys->secret, KEY, err);
    return status == IMSG_OK ? derive(keys, err) : status;
}

static void free_identity(struct imsg_identity *identity)
{
    free(keys_of(identity->keys));
}

/* ---- payloads ---- */

static bool begins(struct imsg_view payload)
{
    return payload.len > 0 && payload.ptr[0] == 'T';
}

static enum imsg_status parse(struct imsg_view payload, void *parts, struct imsg_layout *layout, struct imsg_error *err)
{
    struct parts *out = parts;
    size_t tag = payload.len < HEAD ? payload.len - (payload.len > 0) : TAG;
    if (payload.len > 0)
        (void)imsg_layout_add(layout, "version", (struct imsg_field){0, 1}, IMSG_SHOWN_HEX);
    if (payload.len > 1)
        (void)imsg_layout_add(layout, "tag", (struct imsg_field){1, tag}, IMSG_SHOWN_HEX);
    if (payload.len > HEAD)
        (void)imsg_layout_add(layout, "ciphertext", (struct imsg_field){HEAD, payload.len - HEAD}, IMSG_SHOWN_HEX);
    if (!begins(payload))
        return imsg_fail_at(err, IMSG_UNSUPPORTED, 0, "no toy");
    if (payload.len < HEAD)
        return imsg_fail_at(err, IMSG_MALFORMED, payload.len, "payload ends inside the tag");
    out->tag = imsg_view_of(payload.ptr + 1, TAG);
    out->ciphertext = imsg_view_of(payload.ptr + HEAD, payload.len - HEAD);
    return IMSG_OK;
}

static bool may_be_from(const void *parts, const struct imsg_device *device)
{
    (void)parts;
    return offered_by(device);
}

static void crypt(const struct keys *keys, const uint8_t *in, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(in[i] ^ keys->key[i % KEY] ^ i);
}

static enum imsg_status tag_of(const struct keys *keys, struct imsg_view message, const uint8_t token[static 32],
                               uint8_t tag[static TAG], struct imsg_error *err)
{
    const struct imsg_view parts[] = {message, imsg_view_of(token, IMSG_TOKEN)};
    return imsg_hmac_sha256(imsg_view_of(keys->key, KEY), parts, 2, tag, err);
}

static size_t replay_parts(const void *parts, struct imsg_view out[static IMSG_REPLAY_PARTS])
{
    const struct parts *found = parts;
    out[0] = found->tag;
    out[1] = found->ciphertext;
    return 2;
}

static enum imsg_status seal(const struct imsg_identity *sender, const struct imsg_device *device, uint32_t counter,
                             struct imsg_view plaintext, struct imsg_buf *out, struct imsg_error *err)
{
    const struct keys *keys = keys_of(device->keys);
    enum imsg_status status = imsg_buf_reserve(out, HEAD + plaintext.len, err);
    (void)counter;
    if (status != IMSG_OK)
        return status;
    uint8_t *payload = out->ptr + out->len;
    status = tag_of(keys, plaintext, sender->token, payload + 1, err);
    if (status != IMSG_OK)
        return status;
    payload[0] = 'T';
    crypt(keys, plaintext.ptr, payload + HEAD, plaintext.len);
    out->len += HEAD + plaintext.len;
    return IMSG_OK;
}

static enum imsg_status open_parts(struct imsg_identity *identity, const struct imsg_device *sender, const void *parts,
                                   struct imsg_buf *plaintext, struct imsg_trace *trace, struct imsg_error *err)
{
    const struct parts *found = parts;
    const struct keys *keys = identity ? keys_of(identity->keys) : NULL;
    uint8_t tag[TAG] = {0};
    size_t before = plaintext->len, len = found->ciphertext.len;
    if (!keys)
        return imsg_fail(err, IMSG_NOT_FOR_THIS_KEY, "no toy key");
    if (trace)
        trace->key_fits = true;
    enum imsg_status status = imsg_buf_reserve(plaintext, len, err);
    if (status != IMSG_OK)
        return status;
    imsg_trace_value(trace, "toy_key", imsg_view_of(keys->key, KEY));
    crypt(keys, found->ciphertext.ptr, plaintext->ptr + before, len);
    imsg_trace_value(trace, "plaintext", imsg_view_of(plaintext->ptr + before, len));
    status = sender ? tag_of(keys, imsg_view_of(plaintext->ptr + before, len), sender->token, tag, err)
                    : imsg_fail(err, IMSG_REFUSED, "the sender is not known");
    if (status == IMSG_OK && !imsg_trace_check(trace, "toy_tag", memcmp(tag, found->tag.ptr, TAG) == 0, "another tag"))
        status = imsg_fail(err, IMSG_BAD_TAG, "another tag");
    if (status == IMSG_OK)
        plaintext->len += len;
    return status;
}

static const struct imsg_meaning meanings[] = {
    {"toy", "tag", "binds message and sender"},
    {"value", "toy_key", "no secret at all"},
    {"check", "toy_tag", "the tag is that of the message"},
    {0},
};

const struct imsg_format toy_format = {
    .name = "toy",
    .payload_limit = 20000,
    .meanings = meanings,
    .offered_by = offered_by,
    .read_record = read_record,
    .check_name = "toy_sum",
    .check_record = check_record,
    .write_record = write_record,
    .trace_record = trace_record,
    .free_record = free_record,
    .usable_by = usable_by,
    .read_identity = read_identity,
    .write_identity = write_identity,
    .trace_identity = trace_identity,
    .generate_keys = generate_keys,
    .free_identity = free_identity,
    .parts_size = sizeof(struct parts),
    .begins = begins,
    .parse = parse,
    .may_be_from = may_be_from,
    .replay_parts = replay_parts,
    .seal = seal,
    .open = open_parts,
};
