/* A strict reader of protobuf's wire format that knows where each field stood, and the two writers that are needed.
 * No schema: the caller looks at the numbers. Refused: field number 0 or over 2^29 - 1, groups (wire types 3 and 4),
 * wire types 6 and 7, varints of more than 10 bytes or 64 bits, anything that runs past the end. A varint longer than
 * it need be is read, as every protobuf reader does. */
#ifndef IMSG_FORMAT_PROTOBUF_H
#define IMSG_FORMAT_PROTOBUF_H

#include "format/layout.h"

struct imsg_pb_name {
    uint32_t number;
    const char *name;
};

struct imsg_pb_reader { /* {.bytes = …} to start */
    struct imsg_view bytes;
    size_t at;                        /* of the next field's tag */
    struct imsg_layout *layout;       /* gets every field that is read, or NULL */
    const struct imsg_pb_name *names; /* of the fields in the layout, up to one with number 0; others are field_N */
};

enum imsg_pb_wire { IMSG_PB_VARINT = 0, IMSG_PB_FIXED64 = 1, IMSG_PB_BYTES = 2, IMSG_PB_FIXED32 = 5 };

struct imsg_pb_field {
    uint32_t number;
    enum imsg_pb_wire wire;
    size_t tag;             /* offset of the tag */
    struct imsg_field at;   /* of the value: without tag and length */
    struct imsg_view bytes; /* the same as a view */
    uint64_t varint;        /* if wire is IMSG_PB_VARINT */
};

/* The next field and *more = true, or *more = false at the end. IMSG_MALFORMED with the offset; the layout then gets
 * the rest of the bytes: as a field that is cut off, or as "unreadable". */
IMSG_CHECK enum imsg_status imsg_pb_next(struct imsg_pb_reader *reader, struct imsg_pb_field *field, bool *more,
                                         struct imsg_error *err);
/* IMSG_MALFORMED at the field's tag unless its wire type is `wire`. */
IMSG_CHECK enum imsg_status imsg_pb_expect(const struct imsg_pb_field *field, enum imsg_pb_wire wire,
                                           struct imsg_error *err);
/* Read to the end for the layout alone. */
void imsg_pb_lay_out(struct imsg_pb_reader *reader);

/* Bytes that a varint takes, 1 to 10. */
size_t imsg_pb_varint_len(uint64_t value);
/* Append field `number` as a varint; as length and bytes. */
IMSG_CHECK enum imsg_status imsg_pb_put_varint(struct imsg_buf *out, uint32_t number, uint64_t value,
                                               struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_pb_put_bytes(struct imsg_buf *out, uint32_t number, struct imsg_view bytes,
                                              struct imsg_error *err);
/* The tag and the length alone: `len` bytes must follow. */
IMSG_CHECK enum imsg_status imsg_pb_put_head(struct imsg_buf *out, uint32_t number, size_t len, struct imsg_error *err);

#endif
