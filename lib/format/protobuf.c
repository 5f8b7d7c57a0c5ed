/* Protobuf's wire format, strictly (protobuf.h says what is refused). */
#include "format/protobuf.h"

#include <stdio.h>

enum { NUMBER_MAX = 536870911, /* 2^29 - 1, protobuf's own limit */ VARINT_MAX = 10 };

static enum imsg_status read_varint(struct imsg_pb_reader *reader, uint64_t *out, struct imsg_error *err)
{
    uint64_t value = 0;
    size_t at = reader->at;
    uint8_t byte;
    unsigned shift = 0;
    do {
        if (at == reader->bytes.len)
            return imsg_fail_at(err, IMSG_MALFORMED, at, "protobuf ends inside a varint");
        byte = reader->bytes.ptr[at++];
        /* The tenth byte has room for one bit; its continuation bit is refused here too. */
        if (shift == 63 && byte > 1)
            return imsg_fail_at(err, IMSG_MALFORMED, reader->at, "protobuf varint is over 64 bits");
        value |= (uint64_t)(byte & 0x7F) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    reader->at = at;
    *out = value;
    return IMSG_OK;
}

/* Read up to the value, whose length is found. *cut: fewer bytes are left than that. */
static enum imsg_status value_len(struct imsg_pb_reader *reader, struct imsg_pb_field *field, uint64_t *len, bool *cut,
                                  struct imsg_error *err)
{
    size_t start = reader->at;
    enum imsg_status status = IMSG_OK;
    switch (field->wire) {
    case IMSG_PB_VARINT:
        status = read_varint(reader, &field->varint, err);
        *len = reader->at - start;
        reader->at = start;
        return status;
    case IMSG_PB_FIXED64:
        *len = 8;
        break;
    case IMSG_PB_FIXED32:
        *len = 4;
        break;
    case IMSG_PB_BYTES:
        status = read_varint(reader, len, err);
        break;
    default:
        return imsg_fail_at(err, IMSG_MALFORMED, field->tag, "protobuf field %u has wire type %d", field->number,
                            (int)field->wire);
    }
    if (status != IMSG_OK)
        return status;
    size_t left = reader->bytes.len - reader->at;
    *cut = *len > left;
    if (*cut)
        return imsg_fail_at(err, IMSG_MALFORMED, start, "protobuf field %u of %llu bytes exceeds the %zu bytes left",
                            field->number, (unsigned long long)*len, left);
    return IMSG_OK;
}

/* ---- layouts ---- */

static void field_name(const struct imsg_pb_name *names, uint32_t number, char out[static 40])
{
    snprintf(out, 40, "field_%u", number);
    for (; names && names->number != 0; names++)
        if (names->number == number)
            snprintf(out, 40, "%s", names->name);
}

/* The tag and the length before a value, and the value, `shown` bytes of the `len` that were announced. */
static void lay_out_field(const struct imsg_pb_reader *reader, const struct imsg_pb_field *field, uint64_t len,
                          size_t shown)
{
    static const char *const wires[] = {
        [IMSG_PB_VARINT] = "a number", [IMSG_PB_FIXED64] = "8 bytes", [IMSG_PB_FIXED32] = "4 bytes"};
    char name[40], tag_name[48];
    field_name(reader->names, field->number, name);
    snprintf(tag_name, sizeof tag_name, "%s_tag", name);
    struct imsg_layout_part *part = imsg_layout_add(
        reader->layout, tag_name, (struct imsg_field){field->tag, field->at.offset - field->tag}, IMSG_SHOWN_HEX);
    if (part && field->wire == IMSG_PB_BYTES)
        snprintf(part->note, sizeof part->note, "protobuf: field %u, %llu bytes", field->number,
                 (unsigned long long)len);
    else if (part)
        snprintf(part->note, sizeof part->note, "protobuf: field %u, %s", field->number, wires[field->wire]);
    if (shown < len && shown == 0)
        return;
    part = imsg_layout_add(reader->layout, name, (struct imsg_field){field->at.offset, shown},
                           field->wire == IMSG_PB_VARINT ? IMSG_SHOWN_NUMBER : IMSG_SHOWN_HEX);
    if (part) {
        part->number = field->varint;
        part->field = shown < len ? 0 : field->number;
    }
}

static void lay_out_rest(const struct imsg_pb_reader *reader)
{
    size_t left = reader->bytes.len - reader->at;
    if (left > 0)
        (void)imsg_layout_add(reader->layout, "unreadable", (struct imsg_field){reader->at, left}, IMSG_SHOWN_HEX);
}

void imsg_pb_lay_out(struct imsg_pb_reader *reader)
{
    struct imsg_pb_field field;
    for (bool more = true; more;)
        if (imsg_pb_next(reader, &field, &more, NULL) != IMSG_OK)
            break;
}

/* ---- fields ---- */

enum imsg_status imsg_pb_next(struct imsg_pb_reader *reader, struct imsg_pb_field *field, bool *more,
                              struct imsg_error *err)
{
    struct imsg_pb_reader ahead = *reader;
    struct imsg_pb_field found = {.tag = reader->at};
    uint64_t tag, len = 0;
    bool cut = false;
    if (reader->at == reader->bytes.len) {
        *more = false;
        return IMSG_OK;
    }
    enum imsg_status status = read_varint(&ahead, &tag, err);
    if (status == IMSG_OK && (tag >> 3 == 0 || tag >> 3 > NUMBER_MAX))
        status =
            imsg_fail_at(err, IMSG_MALFORMED, reader->at, "protobuf field number %llu", (unsigned long long)(tag >> 3));
    if (status == IMSG_OK) {
        found.number = (uint32_t)(tag >> 3);
        found.wire = (enum imsg_pb_wire)(tag & 7);
        status = value_len(&ahead, &found, &len, &cut, err);
    }
    found.at.offset = ahead.at;
    if (status != IMSG_OK) {
        if (cut)
            lay_out_field(reader, &found, len, ahead.bytes.len - ahead.at);
        else
            lay_out_rest(reader);
        return status;
    }
    found.at.len = (size_t)len;
    found.bytes = imsg_view_of(ahead.bytes.ptr + ahead.at, found.at.len);
    if (reader->layout)
        lay_out_field(reader, &found, len, found.at.len);
    ahead.at += found.at.len;
    *reader = ahead;
    *field = found;
    *more = true;
    return IMSG_OK;
}

enum imsg_status imsg_pb_expect(const struct imsg_pb_field *field, enum imsg_pb_wire wire, struct imsg_error *err)
{
    if (field->wire != wire)
        return imsg_fail_at(err, IMSG_MALFORMED, field->tag, "protobuf field %u has wire type %d, not %d",
                            field->number, (int)field->wire, (int)wire);
    return IMSG_OK;
}

static size_t write_varint(uint8_t out[static VARINT_MAX], uint64_t value)
{
    size_t len = 0;
    while (value > 0x7F) {
        out[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[len++] = (uint8_t)value;
    return len;
}

size_t imsg_pb_varint_len(uint64_t value)
{
    uint8_t scratch[VARINT_MAX];
    return write_varint(scratch, value);
}

static enum imsg_status put_pair(struct imsg_buf *out, uint32_t number, enum imsg_pb_wire wire, uint64_t value,
                                 struct imsg_error *err)
{
    uint8_t bytes[2 * VARINT_MAX];
    size_t len = write_varint(bytes, (uint64_t)number << 3 | wire);
    len += write_varint(bytes + len, value);
    return imsg_buf_append(out, bytes, len, err);
}

enum imsg_status imsg_pb_put_varint(struct imsg_buf *out, uint32_t number, uint64_t value, struct imsg_error *err)
{
    return put_pair(out, number, IMSG_PB_VARINT, value, err);
}

enum imsg_status imsg_pb_put_head(struct imsg_buf *out, uint32_t number, size_t len, struct imsg_error *err)
{
    return put_pair(out, number, IMSG_PB_BYTES, len, err);
}

enum imsg_status imsg_pb_put_bytes(struct imsg_buf *out, uint32_t number, struct imsg_view bytes,
                                   struct imsg_error *err)
{
    /* Room for both first, so that a failure leaves no head without its bytes. */
    enum imsg_status status = imsg_buf_reserve(out, 2 * VARINT_MAX + bytes.len, err);
    if (status == IMSG_OK)
        status = imsg_pb_put_head(out, number, bytes.len, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(out, bytes.ptr, bytes.len, err);
    return status;
}
