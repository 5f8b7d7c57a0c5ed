/* jansson with the rules of format.md §7: duplicates refused, depth at most 8, every member type-checked.
 *
 * Getters take the object, the member's name and whether it is required. A member that is there with another type is
 * IMSG_MALFORMED; one that is absent is IMSG_MALFORMED if required, else IMSG_OK with *out NULL / untouched. Strings
 * with a NUL inside are malformed. The text names the member. */
#ifndef IMSG_BASE_JSON_H
#define IMSG_BASE_JSON_H

#include <jansson.h>

#include "imsg.h"

#define IMSG_LINE_MAX 1048576 /* bytes of one JSON line */
#define IMSG_JSON_DEPTH 8
#define IMSG_JSON_INTEGER_MAX ((UINT64_C(1) << 53) - 1) /* what every JSON reader holds exactly */

/* Parse one object, nothing after it but white space. In err the offset where the token at fault ends. *out is a new
 * reference. */
IMSG_CHECK enum imsg_status imsg_json_parse(struct imsg_view text, size_t max, json_t **out, struct imsg_error *err);
/* Parse and demand that "imsg" is `kind`, for example "device/1": another type is IMSG_MALFORMED ("is a X, not a Y"),
 * another version of the same type IMSG_UNSUPPORTED. */
IMSG_CHECK enum imsg_status imsg_json_document(struct imsg_view text, size_t max, const char *kind, json_t **out,
                                               struct imsg_error *err);
/* The same check on an object already parsed. */
IMSG_CHECK enum imsg_status imsg_json_kind(const json_t *object, const char *kind, struct imsg_error *err);
/* Append compact text, members in insertion order, no newline. */
IMSG_CHECK enum imsg_status imsg_json_print(const json_t *value, struct imsg_buf *out, struct imsg_error *err);

enum imsg_need { IMSG_OPTIONAL, IMSG_REQUIRED };

/* *out: a copy, the caller's; must be NULL or free-able before (it is overwritten, not freed). */
IMSG_CHECK enum imsg_status imsg_json_string(const json_t *object, const char *member, enum imsg_need need, char **out,
                                             struct imsg_error *err);
/* Borrowed from the object. */
IMSG_CHECK enum imsg_status imsg_json_peek(const json_t *object, const char *member, enum imsg_need need,
                                           const char **out, struct imsg_error *err);
struct imsg_range {
    uint64_t min, max;
};
IMSG_CHECK enum imsg_status imsg_json_integer(const json_t *object, const char *member, enum imsg_need need,
                                              struct imsg_range range, uint64_t *out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_json_object(const json_t *object, const char *member, enum imsg_need need,
                                             json_t **out, struct imsg_error *err); /* borrowed */
IMSG_CHECK enum imsg_status imsg_json_array(const json_t *object, const char *member, enum imsg_need need, json_t **out,
                                            struct imsg_error *err); /* borrowed */
/* Canonical base64 of exactly len bytes. found NULL: it is required; else it is optional, and *found tells whether it
 * was there. */
IMSG_CHECK enum imsg_status imsg_json_base64(const json_t *object, const char *member, uint8_t *out, size_t len,
                                             bool *found, struct imsg_error *err);
/* The same for lower-case hex. */
IMSG_CHECK enum imsg_status imsg_json_hex(const json_t *object, const char *member, uint8_t *out, size_t len,
                                          bool *found, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_json_uuid(const json_t *object, const char *member, enum imsg_need need, char **out,
                                           struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_json_time(const json_t *object, const char *member, enum imsg_need need, char **out,
                                           struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_json_handle(const json_t *object, const char *member, enum imsg_need need, char **out,
                                             struct imsg_error *err); /* canonical form demanded */
/* A non-empty array of canonical handles without repetition. Free with imsg_strings_free. */
IMSG_CHECK enum imsg_status imsg_json_handles(const json_t *object, const char *member, char ***out, size_t *count,
                                              struct imsg_error *err);
void imsg_strings_free(char **strings, size_t count);

/* Building: set a member to a new value and report lack of memory. `value` is stolen, also on failure; a NULL value
 * (failed json_string etc.) is IMSG_NO_MEMORY. Text that is not UTF-8 is reported as IMSG_MALFORMED. */
IMSG_CHECK enum imsg_status imsg_json_set(json_t *object, const char *member, json_t *value, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_json_set_string(json_t *object, const char *member, const char *text,
                                                 struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_json_set_base64(json_t *object, const char *member, struct imsg_view bytes,
                                                 struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_json_set_hex(json_t *object, const char *member, struct imsg_view bytes,
                                              struct imsg_error *err);

#endif
