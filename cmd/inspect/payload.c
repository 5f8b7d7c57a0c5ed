/* The binary forms, row by row. A form that is cut or damaged is shown up to there. */
#include "inspect/inspect.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/protobuf.h"

/* `length` bytes at `offset`, as hex; fewer where the bytes end. False if nothing is left after it. */
static bool hex_row(json_t *parent, const char *kind, struct imsg_view bytes, size_t offset, size_t length,
                    const char *field)
{
    size_t left = offset < bytes.len ? bytes.len - offset : 0;
    if (left == 0)
        return false;
    size_t shown = length < left ? length : left;
    tree_row(parent, kind, offset, shown, field, tree_hex(imsg_view_of(bytes.ptr + offset, shown)));
    return length <= left;
}

static void number_row(json_t *parent, const char *kind, size_t offset, size_t length, const char *field,
                       uint64_t number)
{
    tree_row(parent, kind, offset, length, field, json_integer((json_int_t)number));
}

void rows_pair(json_t *parent, struct imsg_view bytes)
{
    if (!hex_row(parent, "pair", bytes, 0, 1, "version"))
        return;
    if (bytes.len < 3) {
        hex_row(parent, "pair", bytes, 1, 2, "body_length");
        return;
    }
    size_t body = (size_t)bytes.ptr[1] << 8 | bytes.ptr[2];
    number_row(parent, "pair", 1, 2, "body_length", body);
    size_t shown = body < bytes.len - 3 ? body : bytes.len - 3;
    if (shown == 0)
        return;
    json_t *row = tree_row(parent, "pair", 3, shown, "body", NULL);
    struct imsg_view inside = imsg_view_of(bytes.ptr, 3 + shown);
    if (hex_row(row, "pair", inside, 3, 160, "rsa_block"))
        hex_row(row, "pair", inside, 163, inside.len - 163, "ciphertext_rest");
    size_t at = 3 + body;
    if (at >= bytes.len)
        return;
    number_row(parent, "pair", at, 1, "signature_length", bytes.ptr[at]);
    size_t signature = bytes.ptr[at];
    if (hex_row(parent, "pair", bytes, at + 1, signature, "signature_der") && at + 1 + signature < bytes.len)
        hex_row(parent, "pair", bytes, at + 1 + signature, bytes.len - at - 1 - signature, "trailing");
}

typedef void field_rows(json_t *row, const char *kind, struct imsg_view bytes, const struct imsg_pb_field *field);

static void validator_rows(json_t *row, const char *kind, struct imsg_view bytes, const struct imsg_pb_field *field)
{
    static const struct {
        const char *name;
        size_t offset, length;
    } parts[] = {{"sender_hint", 0, 2}, {"device_hint", 2, 2}, {"prekey_hint", 4, 2}, {"version", 6, 1}};
    if (strcmp(kind, "pair-ec") != 0 || field->number != 99 || field->at.len != 7)
        return;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        hex_row(row, kind, bytes, field->at.offset + parts[i].offset, parts[i].length, parts[i].name);
}

/* The fields a protobuf may have, by number. */
struct known {
    const char *kind;
    const uint32_t *numbers;
    const char *const *names;
    size_t count;
    field_rows *nested;
};

static void field_name(const struct known *known, uint32_t number, char out[static 40])
{
    snprintf(out, 40, "field_%u", number);
    for (size_t i = 0; i < known->count; i++)
        if (known->numbers[i] == number)
            snprintf(out, 40, "%s", known->names[i]);
}

/* Tag and length, which protobuf puts before each value. */
static void head_row(json_t *parent, const struct known *known, struct imsg_view bytes, size_t at, size_t end,
                     uint32_t number, unsigned wire, uint64_t length)
{
    static const char *const wires[] = {"a number", "8 bytes", "", "", "", "4 bytes"};
    char name[40], field[48], meaning[80];
    field_name(known, number, name);
    snprintf(field, sizeof field, "%s_tag", name);
    snprintf(meaning, sizeof meaning, wire == IMSG_PB_BYTES ? "protobuf: field %u, %llu bytes" : "protobuf: field %u, ",
             number, (unsigned long long)length);
    if (wire != IMSG_PB_BYTES)
        strcat(meaning, wires[wire]);
    json_t *row = tree_row(parent, known->kind, at, end - at, field, tree_hex(imsg_view_of(bytes.ptr + at, end - at)));
    tree_set(row, "meaning", json_string(meaning));
}

static bool varint(struct imsg_view bytes, size_t *at, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 63 && *at < bytes.len; shift += 7) {
        uint8_t byte = bytes.ptr[(*at)++];
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* The field at which the protobuf stops making sense, as far as it goes: mostly one whose end is cut off. */
static void cut_rows(json_t *parent, const struct known *known, struct imsg_view bytes, size_t start)
{
    uint64_t tag = 0, length = 0;
    size_t at = start;
    char name[40];
    bool head = varint(bytes, &at, &tag) && tag >> 3 > 0 && tag >> 3 <= UINT32_MAX >> 3;
    unsigned wire = (unsigned)(tag & 7);
    if (head && wire == IMSG_PB_BYTES)
        head = varint(bytes, &at, &length);
    else
        head = head && (wire == IMSG_PB_FIXED64 || wire == IMSG_PB_FIXED32);
    if (!head) {
        hex_row(parent, known->kind, bytes, start, bytes.len - start, "unreadable");
        return;
    }
    field_name(known, (uint32_t)(tag >> 3), name);
    head_row(parent, known, bytes, start, at, (uint32_t)(tag >> 3), wire, length);
    hex_row(parent, known->kind, bytes, at, bytes.len - at, name);
}

static void rows_protobuf(json_t *parent, const struct known *known, struct imsg_view bytes)
{
    struct imsg_pb_reader reader = {bytes, 0};
    struct imsg_pb_field field;
    bool more;
    char name[40];
    if (bytes.len > IMSG_PAYLOAD_MAX) { /* nothing of these forms is, and two bytes can be a field */
        hex_row(parent, known->kind, bytes, 0, bytes.len, "unreadable");
        return;
    }
    while (imsg_pb_next(&reader, &field, &more, NULL) == IMSG_OK && more) {
        json_t *value = field.wire == IMSG_PB_VARINT ? json_integer((json_int_t)field.varint) : tree_hex(field.bytes);
        field_name(known, field.number, name);
        head_row(parent, known, bytes, field.tag, field.at.offset, field.number, field.wire, field.at.len);
        json_t *row = tree_row(parent, known->kind, field.at.offset, field.at.len, name, value);
        tree_set(row, "number", json_integer(field.number));
        if (known->nested)
            known->nested(row, known->kind, bytes, &field);
    }
    if (reader.at < bytes.len)
        cut_rows(parent, known, bytes, reader.at);
}

void rows_pair_ec(json_t *parent, struct imsg_view bytes)
{
    static const uint32_t numbers[] = {1, 2, 3, 99};
    static const char *const names[] = {"payload", "ephemeral_x", "signature", "validator"};
    static const struct known known = {"pair-ec", numbers, names, 4, validator_rows};
    rows_protobuf(parent, &known, bytes);
}

void rows_inner(json_t *parent, struct imsg_view bytes)
{
    static const uint32_t numbers[] = {1, 2, 3, 99};
    static const char *const names[] = {"message", "counter", "kt_gossip_data", "debug_info"};
    static const struct known known = {"pair-ec.inner", numbers, names, 4, NULL};
    rows_protobuf(parent, &known, bytes);
}

static void time_rows(json_t *row, const char *kind, struct imsg_view bytes, const struct imsg_pb_field *field)
{
    (void)kind;
    (void)bytes;
    if (field->number != 3 || field->wire != IMSG_PB_FIXED64)
        return;
    uint64_t bits = 0;
    double seconds;
    for (size_t i = 8; i-- > 0;)
        bits = bits << 8 | field->bytes.ptr[i];
    memcpy(&seconds, &bits, sizeof seconds);
    if (!(seconds > -1e300 && seconds < 1e300)) /* JSON has no other numbers */
        return;
    tree_set(row, "seconds", json_real(seconds));
    if (seconds >= 0 && seconds < 253402300800.0) { /* the year 10000 */
        char text[21];
        imsg_time_format((time_t)seconds, text);
        tree_set(row, "time", json_string(text));
    }
}

void rows_prekey(json_t *parent, struct imsg_view bytes)
{
    static const uint32_t numbers[] = {1, 2, 3};
    static const char *const names[] = {"prekey_x", "signature", "time"};
    static const struct known known = {"prekey", numbers, names, 3, time_rows};
    rows_protobuf(parent, &known, bytes);
}

void rows_public_identity(json_t *parent, struct imsg_view bytes)
{
    static const struct {
        const char *name;
        size_t length;
    } parts[] = {{"header", 3},      {"signing_header", 4}, {"signing_pub", 65},
                 {"rsa_header", 12}, {"rsa_n", 160},        {"rsa_e", 5}};
    size_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; at += parts[i].length, i++)
        if (!hex_row(parent, "public-identity", bytes, at, parts[i].length, parts[i].name))
            return;
    if (at < bytes.len)
        hex_row(parent, "public-identity", bytes, at, bytes.len - at, "trailing");
}

/* ---- standing alone ---- */

/* Who may have sealed a bare payload: the record that verifies, or that the validator names; else the first that offers
 * the format; NULL if there is none. */
static const struct imsg_device *likely_sender(const struct inspect *run, enum imsg_format format,
                                               struct imsg_view payload)
{
    struct imsg_pair pair;
    struct imsg_pair_ec pair_ec;
    const struct imsg_device *first = NULL;
    for (size_t i = 0; i <= run->records.count; i++) {
        const struct imsg_device *device = i < run->records.count ? &run->records.items[i] : &run->own;
        if (!imsg_device_offers(device, format))
            continue;
        if (format == IMSG_PAIR && imsg_pair_parse(payload, &pair, NULL) == IMSG_OK &&
            imsg_pair_verify(&pair, &device->identity, NULL) == IMSG_OK)
            return device;
        if (format == IMSG_PAIR_EC && imsg_pair_ec_parse(payload, &pair_ec, NULL) == IMSG_OK &&
            memcmp(pair_ec.validator, device->device_x, 2) == 0)
            return device;
        if (!first && i < run->records.count)
            first = device;
    }
    return first;
}

void inspect_payload(struct item *item, enum imsg_format format)
{
    struct imsg_error err = {0};
    struct imsg_pair pair;
    struct imsg_pair_ec pair_ec;
    enum imsg_status status = format == IMSG_PAIR ? imsg_pair_parse(item->bytes, &pair, &err)
                                                  : imsg_pair_ec_parse(item->bytes, &pair_ec, &err);
    if (format == IMSG_PAIR)
        rows_pair(item->json, item->bytes);
    else
        rows_pair_ec(item->json, item->bytes);
    if (status != IMSG_OK) {
        tree_error(item, status, &err);
        return;
    }
    inspect_default_keys(item->run);
    inspect_opening(item, format, item->bytes, likely_sender(item->run, format, item->bytes), NULL);
}

/* A record alone does not say whose it is: every device key known is tried. */
static void check_prekey(struct item *item, const struct imsg_prekey *prekey)
{
    const struct inspect *run = item->run;
    size_t keys = 0;
    bool ok = false;
    for (size_t i = 0; i <= run->records.count && !ok; i++) {
        const struct imsg_device *device = i < run->records.count ? &run->records.items[i] : &run->own;
        if (!device->has_pair_ec)
            continue;
        keys++;
        ok = imsg_prekey_verify(prekey, device->device_x, NULL) == IMSG_OK;
        if (ok)
            tree_value(item->json, "device_x", imsg_view_of(device->device_x, sizeof device->device_x));
    }
    if (keys == 0) {
        tree_note(item->json, "signature: not checked, give -R RECORDS");
        return;
    }
    tree_check(item->json, "prekey_signature", ok, "not by a device key of the records given");
    if (!ok)
        tree_verdict(item, IMSG_BAD_SIGNATURE, "no record given has the key that signed it");
}

void inspect_prekey(struct item *item)
{
    struct imsg_error err = {0};
    struct imsg_prekey prekey;
    uint8_t point[65];
    rows_prekey(item->json, item->bytes);
    enum imsg_status status = imsg_prekey_parse(item->bytes, &prekey, &err);
    if (status == IMSG_OK && imsg_p256_lift(prekey.x, point, NULL) != IMSG_OK)
        status = imsg_fail_at(&err, IMSG_MALFORMED, 2, "prekey_x is no point of the curve");
    if (status == IMSG_OK)
        check_prekey(item, &prekey);
    else
        tree_error(item, status, &err);
}

void inspect_public_identity(struct item *item)
{
    struct imsg_error err = {0};
    struct imsg_public_identity identity;
    rows_public_identity(item->json, item->bytes);
    enum imsg_status status = imsg_public_identity_parse(item->bytes, &identity, &err);
    if (status == IMSG_OK)
        tree_value(item->json, "identity_hash", imsg_view_of(identity.hash, sizeof identity.hash));
    else
        tree_error(item, status, &err);
}
