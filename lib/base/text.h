/* Hex, base64, UTF-8, times: the text forms of format.md §7, strict in reading. */
#ifndef IMSG_BASE_TEXT_H
#define IMSG_BASE_TEXT_H

#include "imsg.h"

/* Append lower-case hex. */
IMSG_CHECK enum imsg_status imsg_hex_encode(struct imsg_view bytes, struct imsg_buf *out, struct imsg_error *err);
/* Fixed size: out gets 2 * len characters and a NUL. */
void imsg_hex(const uint8_t *bytes, size_t len, char *out);
/* Exactly `len` bytes from 2 * len lower-case hex digits; IMSG_MALFORMED otherwise. */
IMSG_CHECK enum imsg_status imsg_hex_decode(struct imsg_view text, uint8_t *out, size_t len, struct imsg_error *err);

/* RFC 4648 §4, padded. */
IMSG_CHECK enum imsg_status imsg_base64_encode(struct imsg_view bytes, struct imsg_buf *out, struct imsg_error *err);
/* Canonical only: padded, no white space, spare bits zero. Offset of the first bad character in err. */
IMSG_CHECK enum imsg_status imsg_base64_decode(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err);
/* RFC 4648 §5 without padding (JWS); the same strictness. */
IMSG_CHECK enum imsg_status imsg_base64url_encode(struct imsg_view bytes, struct imsg_buf *out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_base64url_decode(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err);

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). NUL is a character like any other. */
bool imsg_utf8_valid(struct imsg_view text);
/* Bytes at the end of `text` that begin a character, whose other bytes are to follow: 0 to 3. */
size_t imsg_utf8_begun(struct imsg_view text);
/* Append `text` with what may harm a terminal escaped: C0 (also tab and newline), DEL, C1, bidi controls, bytes that
 * are no UTF-8, as \xNN or \u{NNNN}; a backslash stays. */
IMSG_CHECK enum imsg_status imsg_escape(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err);
/* The same for text of several lines: newline and tab stay. */
IMSG_CHECK enum imsg_status imsg_escape_lines(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err);
/* Same for JSON, which means the same afterwards: \uNNNN. There is no C0 in its strings, and between them it stays. */
IMSG_CHECK enum imsg_status imsg_escape_json(struct imsg_view text, struct imsg_buf *out, struct imsg_error *err);

/* RFC 3339, UTC, "2026-11-24T03:20:00Z" (20 characters and a NUL). */
void imsg_time_format(time_t when, char out[static 21]);
/* Reads exactly that form (fractions of a second allowed and ignored); IMSG_MALFORMED otherwise. */
IMSG_CHECK enum imsg_status imsg_time_parse(const char *text, time_t *out, struct imsg_error *err);
/* The clock. The only place that asks it. */
time_t imsg_now(void);
/* Milliseconds since some moment in the past, for waiting: nobody sets this clock. */
uint64_t imsg_monotonic(void);
/* Lower-case 8-4-4-4-12 hex, any version. */
bool imsg_uuid_valid(const char *text);
/* strdup with an error. */
IMSG_CHECK enum imsg_status imsg_strdup(const char *text, char **out, struct imsg_error *err);

#endif
