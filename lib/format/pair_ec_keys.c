/* "pair-ec": its keys in records and identities, and its row. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "format/device.h"
#include "format/identity.h"
#include "format/pair_ec.h"

/* ---- device records ---- */

static bool offered_by(const struct imsg_device *device)
{
    return device->has_pair_ec;
}

static enum imsg_status read_prekey(const char *text, struct imsg_prekey *out, struct imsg_error *err)
{
    struct imsg_buf bytes = {0};
    enum imsg_status status = imsg_base64_decode(imsg_view_str(text), &bytes, err);
    if (status == IMSG_OK)
        status = imsg_prekey_parse(imsg_buf_view(&bytes), out, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "prekey");
    imsg_buf_free(&bytes);
    return status;
}

static enum imsg_status read_record(const json_t *record, struct imsg_device *device, struct imsg_error *err)
{
    const char *prekey = NULL;
    bool has_key = false;
    enum imsg_status status = imsg_json_base64(record, "device_key", device->device_x, X, &has_key, err);
    if (status == IMSG_OK)
        status = imsg_json_peek(record, "prekey", IMSG_OPTIONAL, &prekey, err);
    if (status != IMSG_OK)
        return status;
    if (has_key != (prekey != NULL))
        return imsg_fail(err, IMSG_MALFORMED, "device_key and prekey go together");
    if (!has_key)
        return IMSG_OK;
    device->has_device_key = device->has_pair_ec = true;
    status = imsg_p256_lift(device->device_x, device->auth, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "device_key");
        return status;
    }
    return read_prekey(prekey, &device->prekey, err);
}

/* The prekey's point, after check_record succeeded. */
static const uint8_t *checked_prekey(const struct imsg_device *device)
{
    return __atomic_load_n(&device->prekey_point, __ATOMIC_ACQUIRE);
}

/* A success is kept, as the prekey's point. It is the one member of a record that changes while other threads read it.
 */
static enum imsg_status check_record(const struct imsg_device *device, struct imsg_error *err)
{
    uint8_t **slot = &((struct imsg_device *)(uintptr_t)device)->prekey_point, *none = NULL;
    if (!device->has_pair_ec || checked_prekey(device))
        return IMSG_OK;
    uint8_t *point = malloc(65);
    enum imsg_status status = point ? imsg_prekey_verify_by(&device->prekey, device->auth, point, err)
                                    : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK && __atomic_compare_exchange_n(slot, &none, point, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return IMSG_OK;
    free(point); /* it failed, or another thread was first */
    return status;
}

static enum imsg_status write_record(const struct imsg_identity *identity, json_t *record, struct imsg_error *err)
{
    if (!identity->has_pair_ec)
        return IMSG_OK;
    enum imsg_status status = imsg_json_set_base64(record, "device_key", imsg_view_of(identity->device_x, X), err);
    if (status == IMSG_OK)
        status =
            imsg_json_set_base64(record, "prekey", imsg_view_of(identity->prekey_record.raw, IMSG_PREKEY_RECORD), err);
    if (status == IMSG_OK)
        status = imsg_json_set(record, "limit", json_integer(imsg_format_pair_ec.payload_limit), err);
    return status;
}

static void free_record(struct imsg_device *device)
{
    free(device->prekey_point);
}

/* ---- identities ---- */

static bool usable_by(const struct imsg_identity *identity)
{
    return identity->has_pair_ec;
}

static void derive(struct imsg_identity *identity)
{
    identity->has_pair_ec = true;
    memcpy(identity->device_x, imsg_p256_point(identity->device) + 1, X);
}

static enum imsg_status read_identity(const struct imsg_identity_file *file, struct imsg_identity *identity,
                                      struct imsg_error *err)
{
    uint8_t record[IMSG_PREKEY_RECORD];
    bool has_record = false;
    enum imsg_status status = imsg_identity_read_p256(file, "device", true, &identity->device, err);
    if (status == IMSG_OK)
        status = imsg_identity_read_p256(file, "prekey", true, &identity->prekey, err);
    if (status == IMSG_OK)
        status = imsg_json_base64(file->document, "prekey_record", record, sizeof record, &has_record, err);
    if (status != IMSG_OK)
        return status;
    if (!identity->device != !identity->prekey || !identity->prekey != !has_record)
        return imsg_fail(err, IMSG_MALFORMED, "keys \"device\" and \"prekey\" and the prekey_record go together");
    if (!has_record)
        return IMSG_OK;
    derive(identity);
    status = imsg_prekey_parse(imsg_view_of(record, sizeof record), &identity->prekey_record, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "prekey_record");
    return status;
}

static enum imsg_status write_identity(const struct imsg_identity *identity, const struct imsg_identity_file *file,
                                       struct imsg_error *err)
{
    if (!identity->has_pair_ec)
        return IMSG_OK;
    enum imsg_status status = imsg_identity_write_p256(file, "device", identity->device, err);
    if (status == IMSG_OK)
        status = imsg_identity_write_p256(file, "prekey", identity->prekey, err);
    if (status == IMSG_OK)
        status = imsg_json_set_base64(file->document, "prekey_record",
                                      imsg_view_of(identity->prekey_record.raw, IMSG_PREKEY_RECORD), err);
    return status;
}

static void trace_identity(const struct imsg_identity *identity, bool private_keys, struct imsg_trace *trace)
{
    if (identity->has_pair_ec && private_keys) {
        imsg_trace_value(trace, "device_d", imsg_view_of(imsg_p256_scalar(identity->device), 32));
        imsg_trace_value(trace, "prekey_d", imsg_view_of(imsg_p256_scalar(identity->prekey), 32));
    } else if (identity->has_pair_ec) {
        imsg_trace_value(trace, "device_x", imsg_view_of(identity->device_x, X));
        imsg_trace_value(trace, "prekey_x", imsg_view_of(imsg_p256_point(identity->prekey) + 1, X));
        imsg_trace_value(trace, "prekey_record", imsg_view_of(identity->prekey_record.raw, IMSG_PREKEY_RECORD));
    }
}

static enum imsg_status replace_prekey(struct imsg_identity *identity, struct imsg_error *err)
{
    struct imsg_p256 *prekey = NULL;
    enum imsg_status status = imsg_p256_generate_compact(&prekey, err);
    if (status == IMSG_OK)
        status = imsg_prekey_make(identity->device, imsg_p256_point(prekey) + 1, (double)imsg_now(),
                                  &identity->prekey_record, err);
    if (status != IMSG_OK) {
        imsg_p256_free(prekey);
        return status;
    }
    imsg_p256_free(identity->prekey);
    identity->prekey = prekey;
    return IMSG_OK;
}

static enum imsg_status generate_keys(struct imsg_identity *identity, struct imsg_error *err)
{
    enum imsg_status status = imsg_p256_generate_compact(&identity->device, err);
    if (status == IMSG_OK)
        status = replace_prekey(identity, err);
    if (status == IMSG_OK)
        derive(identity);
    return status;
}

static enum imsg_status rotate_keys(struct imsg_identity *identity, struct imsg_error *err)
{
    struct imsg_buf pem = {0};
    char *text = NULL, *when = NULL, now[21];
    enum imsg_status status;
    struct imsg_retired *grown = realloc(identity->retired, (identity->retired_count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    identity->retired = grown;
    imsg_time_format(imsg_now(), now);
    status = imsg_p256_to_pem(identity->prekey, imsg_buf_view(&identity->passphrase), &pem, err);
    if (status == IMSG_OK)
        status = imsg_strdup((const char *)pem.ptr, &text, err);
    if (status == IMSG_OK)
        status = imsg_strdup(now, &when, err);
    if (status == IMSG_OK)
        status = replace_prekey(identity, err);
    if (status == IMSG_OK) {
        grown[identity->retired_count++] = (struct imsg_retired){.pem = text, .retired = when};
    } else {
        if (text)
            imsg_wipe(text, strlen(text));
        free(text);
        free(when);
    }
    imsg_buf_free(&pem);
    return status;
}

static void free_identity(struct imsg_identity *identity)
{
    imsg_p256_free(identity->device);
    imsg_p256_free(identity->prekey);
}

/* ---- payloads ---- */

static bool begins(struct imsg_view payload)
{
    return payload.len > 0 && payload.ptr[0] == (OUTER_PAYLOAD << 3 | 2);
}

static enum imsg_status parse(struct imsg_view payload, void *parts, struct imsg_layout *layout, struct imsg_error *err)
{
    return imsg_pair_ec_parse(payload, parts, layout, err);
}

static bool may_be_from(const void *parts, const struct imsg_device *device)
{
    const struct imsg_pair_ec *pair_ec = parts;
    return device->has_pair_ec && memcmp(pair_ec->validator, device->device_x, 2) == 0;
}

static size_t replay_parts(const void *parts, struct imsg_view out[static IMSG_REPLAY_PARTS])
{
    const struct imsg_pair_ec *pair_ec = parts;
    out[0] = imsg_view_of(pair_ec->ephemeral_x, sizeof pair_ec->ephemeral_x);
    out[1] = pair_ec->payload;
    return 2;
}

static enum imsg_status seal(const struct imsg_identity *sender, const struct imsg_device *device, uint32_t counter,
                             struct imsg_view plaintext, struct imsg_buf *out, struct imsg_error *err)
{
    const struct imsg_pair_ec_recipient recipient = {device->device_x, checked_prekey(device), counter};
    return imsg_pair_ec_seal(sender->device, &recipient, plaintext, out, err);
}

/* Prekey number i, newest first: the one in use, then the retired ones; NULL for one that cannot be loaded, so that a
 * damaged old key does not hide the others. */
static const struct imsg_p256 *prekey_number(struct imsg_identity *identity, size_t i)
{
    struct imsg_p256 *retired = NULL;
    if (i == 0)
        return identity->prekey;
    return imsg_identity_retired(identity, identity->retired_count - i, &retired, NULL) == IMSG_OK ? retired : NULL;
}

static enum imsg_status open_parts(struct imsg_identity *identity, const struct imsg_device *sender, const void *parts,
                                   struct imsg_buf *plaintext, struct imsg_trace *trace, struct imsg_error *err)
{
    const struct imsg_pair_ec *pair_ec = parts;
    struct imsg_pair_ec_keys keys = {.sender = sender && sender->has_pair_ec ? sender->auth : NULL};
    enum imsg_status version = imsg_pair_ec_check_version(pair_ec, trace, err), status = IMSG_NOT_FOR_THIS_KEY;
    size_t mark = imsg_trace_mark(trace), before = plaintext->len;
    bool tried = false;
    if (version != IMSG_OK && !trace)
        return version;
    if (!identity || !identity->has_pair_ec)
        return version != IMSG_OK ? version
                                  : imsg_fail(err, IMSG_NOT_FOR_THIS_KEY, "the identity has no keys for \"pair-ec\"");
    if (!keys.sender && !trace)
        return imsg_fail(err, IMSG_BAD_SIGNATURE, "the sender has no keys for \"pair-ec\"");
    keys.device_x = identity->device_x;
    /* Two bytes of the validator say which prekey: another with the same two is tried when the first does not fit. */
    for (size_t i = 0; i <= identity->retired_count && status != IMSG_OK; i++) {
        keys.prekey = prekey_number(identity, i);
        if (!keys.prekey || memcmp(imsg_p256_point(keys.prekey) + 1, pair_ec->validator + 4, 2) != 0)
            continue;
        tried = true;
        imsg_trace_cut(trace, mark);
        if (i > 0)
            imsg_trace_text(trace, "retired", identity->retired[identity->retired_count - i].retired);
        status = imsg_pair_ec_open(pair_ec, &keys, plaintext, trace, err);
    }
    if (!tried) { /* it will be refused, but must not be faster than other refusals */
        keys.prekey = identity->prekey;
        status = imsg_pair_ec_open(pair_ec, &keys, plaintext, trace, err);
    }
    if (version != IMSG_OK) { /* with a trace: it went on to show the rest */
        plaintext->len = before;
        status = version;
    }
    return status;
}

static const struct imsg_meaning meanings[] = {
    {"pair-ec", "payload", "field 1: AES-256-CTR ciphertext of the padded inner message; signed"},
    {"pair-ec", "ephemeral_x", "field 2: the sender's one-time key, compact; signed"},
    {"pair-ec", "signature", "field 3: r||s by the sender's device key, over secret, keys and payload"},
    {"pair-ec", "validator", "field 99: a hint who it is from and for; not signed"},
    {"pair-ec", "sender_hint", "first 2 bytes of the sender's device key"},
    {"pair-ec", "device_hint", "first 2 bytes of the recipient's device key"},
    {"pair-ec", "prekey_hint", "first 2 bytes of the recipient's prekey"},
    {"pair-ec", "version", "the sender's protocol version: 0c, or more in newer clients"},
    {"pair-ec.inner", "message", "field 1: the plaintext; left out when empty"},
    {"pair-ec.inner", "counter", "field 2: the sender's count of messages to this prekey"},
    {"pair-ec.inner", "kt_gossip_data", "field 3: for key transparency; ignored here"},
    {"pair-ec.inner", "debug_info", "field 99: ignored"},
    {"prekey", "prekey_x", "field 1: the prekey, compact; signed"},
    {"prekey", "signature", "field 2: r||s by the device key, over NGMPrekeySignature, prekey and time"},
    {"prekey", "time", "field 3: f64, little endian, Unix seconds; signed"},
    {"device/1", "prekey", "signed key that \"pair-ec\" messages are sealed for"},
    {"identity/1", "prekey_record", "the signed public half of the prekey"},
    {"identity/1", "retired", "earlier prekeys, kept to open late messages"},
    {"identity/1.keys", "prekey", "P-256: opens \"pair-ec\""},
    {"identity/1.retired", "prekey", "P-256: opens messages sealed for it"},
    {"identity/1.retired", "retired", "when it was replaced"},
    {"value", "prekey_x", "the recipient's prekey, compact: its private half opens this"},
    {"value", "prekey_record", "the signed prekey, 109 bytes"},
    {"value", "prekey_d", "private: scalar of the prekey"},
    {"value", "validator", "field 99, as received: whom it is from and for"},
    {"value", "ephemeral_x", "the sender's one-time key, compact"},
    {"value", "secret", "x of ECDH(ephemeral key, prekey)"},
    {"value", "signed_data", "secret, prekey_x, ephemeral_x, device_x, payload: what is signed"},
    {"value", "signed_sha256", "SHA-256 of signed_data: what ECDSA signs"},
    {"value", "hkdf_key", "HKDF-SHA256(secret, salt LastPawn-MessageKeys), bytes 0 to 31: AES-256 key"},
    {"value", "hkdf_iv", "the same, bytes 32 to 47: first counter block"},
    {"value", "payload", "field 1, as received: the ciphertext"},
    {"value", "inner_padded", "payload under AES-256-CTR: inner, padding, u32 length of padding"},
    {"value", "padding", "random bytes, no meaning"},
    {"value", "inner", "protobuf with the message and the counter"},
    {"check", "validator_version", "byte 6 of the validator is 0c to 63"},
    {"check", "validator_device", "bytes 2 and 3 of the validator are this device key's"},
    {"check", "validator_prekey", "bytes 4 and 5 are those of one of this device's prekeys"},
    {"check", "validator_sender", "bytes 0 and 1 are the sender's device key's"},
    {"check", "prekey_signature", "the prekey is signed by the device key"},
    {"check", "inner", "padding length fits, and what is left is a protobuf"},
    {0},
};

const struct imsg_format imsg_format_pair_ec = {
    .name = "pair-ec",
    .payload_limit = IMSG_RELAY_PAYLOAD_MAX,
    .counts = true,
    .meanings = meanings,
    .offered_by = offered_by,
    .read_record = read_record,
    .check_name = "prekey_signature",
    .check_record = check_record,
    .write_record = write_record,
    .free_record = free_record,
    .usable_by = usable_by,
    .read_identity = read_identity,
    .write_identity = write_identity,
    .trace_identity = trace_identity,
    .generate_keys = generate_keys,
    .rotate_keys = rotate_keys,
    .free_identity = free_identity,
    .parts_size = sizeof(struct imsg_pair_ec),
    .begins = begins,
    .parse = parse,
    .may_be_from = may_be_from,
    .replay_parts = replay_parts,
    .seal = seal,
    .open = open_parts,
};
