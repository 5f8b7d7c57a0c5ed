/* JSON documents as tables: one row for each member says its name, its kind, whether it must be there and which member
 * of the struct holds it. Rows read, check, write and free.
 *
 * A struct that a table describes begins with `json_t *json`: the whole document where it was read, else NULL. Strings,
 * lists and buffers that were read belong to the struct; what is written stays the caller's. */
#ifndef IMSG_FORMAT_MEMBER_H
#define IMSG_FORMAT_MEMBER_H

#include "base/json.h"
#include "imsg.h"

enum imsg_member_kind {
    IMSG_MEMBER_TEXT,        /* const char *; NULL: not there, like the next six */
    IMSG_MEMBER_UUID,        /* lower case */
    IMSG_MEMBER_TIME,        /* RFC 3339 */
    IMSG_MEMBER_HANDLE,      /* canonical */
    IMSG_MEMBER_RELAY,       /* https://host[:port] */
    IMSG_MEMBER_WORD,        /* one of `words` */
    IMSG_MEMBER_THUMBPRINT,  /* of a key: base64url of 32 bytes */
    IMSG_MEMBER_FORMAT,      /* const struct imsg_format *: its name */
    IMSG_MEMBER_HANDLES,     /* char **, and size_t at `more`: canonical, distinct, at least one */
    IMSG_MEMBER_NUMBER,      /* uint64_t from min to max; 0: not there, if it is optional */
    IMSG_MEMBER_HEX,         /* uint8_t[len]; bool at `more`, if any: it is there */
    IMSG_MEMBER_BASE64,      /* the same */
    IMSG_MEMBER_NULL_OR_HEX, /* the same; written as null where it is not there */
    IMSG_MEMBER_PAYLOAD,     /* struct imsg_buf of 1 to `max` bytes: base64 */
    IMSG_MEMBER_BLOBS,       /* struct imsg_buf *, and size_t at `more`: an array of base64, each 1 to `max` bytes */
    IMSG_MEMBER_OBJECT,      /* its members are `inner`'s, in the same struct; written where one of them is there */
    IMSG_MEMBER_LIST, /* pointer to structs, and size_t at `more`: an array of at most `max` documents of the kind
                       * `element`; one that was read is written as it was read */
    IMSG_MEMBER_REST, /* no member: where those of json are written that no row has */
};

struct imsg_document;

struct imsg_member {
    const char *name; /* NULL ends a table */
    enum imsg_member_kind kind;
    enum imsg_need need;
    size_t at, more; /* offsets in the struct; more 0: none */
    size_t len;      /* bytes */
    uint64_t min, max;
    const char *const *words; /* up to NULL */
    const struct imsg_member *inner;
    const struct imsg_document *element;
};

/* IMSG_ROW("from_token", HEX, REQUIRED, offsetof(…), .len = 32); the designated members are the kind's. */
/* clang-format off */
#define IMSG_ROW(json_name, KIND, NEED, ...) \
    {.name = json_name, .kind = IMSG_MEMBER_##KIND, .need = IMSG_##NEED, .at = __VA_ARGS__}
/* clang-format on */

struct imsg_document {
    const char *kind; /* "message/1" */
    const struct imsg_member *members;
    size_t size; /* of the struct */
    /* What rows cannot say, or NULL: read more and check, after all rows; free more, before all rows. */
    enum imsg_status (*complete)(void *out, struct imsg_error *err);
    void (*release)(void *from);
};

/* Read the members of an object. On failure what was read so far is in *out, to be freed. */
IMSG_CHECK enum imsg_status imsg_members_read(const struct imsg_member *members, const json_t *object, void *out,
                                              struct imsg_error *err);
/* Add them to an object, in the order of the rows. */
IMSG_CHECK enum imsg_status imsg_members_write(const struct imsg_member *members, const void *from, json_t *object,
                                               struct imsg_error *err);
/* IMSG_MALFORMED unless the text is one of the words of a WORD row, or a thumbprint of a THUMBPRINT row. */
IMSG_CHECK enum imsg_status imsg_member_check_word(const struct imsg_member *member, const char *text,
                                                   struct imsg_error *err);
/* Free what the struct owns but for json, and wipe what is binary. */
void imsg_members_free(const struct imsg_member *members, void *from);

/* Read a whole document of this kind; *out gets its own reference to the object. On failure *out is zeros, and err
 * tells no offset. */
IMSG_CHECK enum imsg_status imsg_document_read(const struct imsg_document *document, json_t *object, void *out,
                                               struct imsg_error *err);
/* A new object of this kind. */
IMSG_CHECK enum imsg_status imsg_document_write(const struct imsg_document *document, const void *from, json_t **out,
                                                struct imsg_error *err);
/* Append it as one line, newline included. */
IMSG_CHECK enum imsg_status imsg_document_print(const struct imsg_document *document, const void *from,
                                                struct imsg_buf *out, struct imsg_error *err);
/* Free what the struct owns, json included; then it is zeros. */
void imsg_document_free(const struct imsg_document *document, void *from);

#endif
