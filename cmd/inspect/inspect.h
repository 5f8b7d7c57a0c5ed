/* imsg-inspect's own parts. Everything that is found goes into one JSON tree, "inspection/1"; -j prints it, and the
 * view for people is made from it and nothing else, so that the two cannot differ. imsg-inspect(1) documents every
 * member: what is there stays as it is.
 *
 *   {"imsg":"inspection/1","input":NAME,"line":N,"kind":KIND,"number":N,"last":…,"at":N,
 *    "encoding":"binary|hex|base64|text","length":N,"chunks":N,"content_length":N,
 *    "fields":[ROW…],"values":{NAME:HEX…},"checks":[{"name":…,"ok":…,"after":…,"device":N,"note":…}…],
 *    "inner":{"kind":KIND,"length":N,"fields":[ROW…]},"counter":N,"retired":TIME,"account":…,"summary":…,"body":…,
 *    "plaintext":{…inspection…},"note":TEXT,
 *    "error":{"status":NAME,"offset":N,"text":…},"verdict":{"status":N,"text":…}}
 *   ROW: {"offset":N,"length":N,"field":NAME,"number":N,"encoding":…,"decoded_length":N,"kind":KIND,"value":…,
 *         "hex":true,"seconds":N,"time":TIME,"meaning":TEXT,"fields":[ROW…]}
 */
#ifndef IMSG_CMD_INSPECT_H
#define IMSG_CMD_INSPECT_H

#include "base/json.h"
#include "cli/cli.h"
#include "format/format.h"

enum { OPT_HEX = CLI_KEY_OWN, OPT_SECRETS };

/* What the lines of a sealed file tell about its chunks. */
struct sealed {
    bool is;       /* the input is one */
    bool whole;    /* its stream/1 line makes sense: what follows are chunks */
    unsigned mine; /* envelopes for this device */
    bool held;     /* one of them is opened: key and id are its header's */
    uint8_t key[32];
    char id[37];
    struct imsg_stream_line line;
    bool has_auth; /* the sender is known */
    uint8_t auth[65];
};

struct inspect {
    struct cli cli;
    const char *identity_path;
    const char **record_files;
    size_t record_count;
    const struct imsg_format *format; /* -E */
    bool secrets, colour, tty;
    unsigned columns; /* of the terminal; 0: not known, or none */
    struct imsg_identity identity;
    struct imsg_device own;
    bool unlocked, default_tried;
    struct imsg_devices records;
    struct sealed sealed;
    struct cli_output out;
};

/* One thing being inspected. */
struct item {
    struct inspect *run;
    json_t *json;           /* the inspection */
    struct imsg_view bytes; /* of this level: what the offsets count in */
    unsigned depth;         /* things inside things: plaintext of an envelope, of gzip … */
    enum imsg_status status;
};

/* ---- tree.c ---- building */

/* Without memory there is no inspection, rather than one with holes: not ok ends the program with 70. */
void tree_need(bool ok);
/* A new inspection of `kind` over `bytes`. */
struct item tree_start(struct inspect *run, const char *kind, struct imsg_view bytes);
/* Of what `outer` holds. */
struct item tree_inside(const struct item *outer, struct imsg_view bytes);
/* Append a row to parent["fields"]; `value` is stolen, NULL leaves it out. The meaning comes from the table in
 * meaning.c or the format, by the kind and the field's name. Returns the row, borrowed. */
json_t *tree_row(json_t *parent, const char *kind, size_t offset, size_t length, const char *field, json_t *value);
json_t *tree_hex(struct imsg_view bytes);  /* a JSON string of hex */
json_t *tree_text(struct imsg_view bytes); /* of text, or hex where it is not UTF-8 */
/* The value of a row that is text if it is UTF-8; else it is hex, and the row says so. */
void tree_row_text(json_t *row, struct imsg_view bytes);
void tree_value(json_t *inspection, const char *name, struct imsg_view bytes);
/* Returns the check, borrowed. */
json_t *tree_check(json_t *inspection, const char *name, bool ok, const char *note);
/* The first check that failed, or NULL. */
const json_t *tree_failed(const json_t *inspection);
void tree_note(json_t *inspection, const char *fmt, ...) IMSG_PRINTF(2, 3); /* several are joined by "; " */
void tree_error(struct item *item, enum imsg_status status, const struct imsg_error *err);
void tree_verdict(struct item *item, enum imsg_status status, const char *fmt, ...) IMSG_PRINTF(3, 4);
void tree_set(json_t *object, const char *member, json_t *value); /* steals; aborts the run on lack of memory */
/* The same inspection with its members in the order above; `inspection` is stolen. */
json_t *tree_ordered(json_t *inspection);
/* Short text for a field of a kind, or NULL; kinds "value" and "check" are those of values and checks. */
const char *meaning_of(const char *kind, const char *field);
/* A PEM private key is in there: shown only with --secrets. */
bool holds_private_key(struct imsg_view bytes);

/* ---- rows.c, document.c: rows of what is there, in parent["fields"] ---- */

void rows_layout(json_t *parent, const char *kind, struct imsg_view bytes, const struct imsg_layout *layout);
/* The failure of the format's parser. */
IMSG_CHECK enum imsg_status rows_payload(json_t *parent, const struct imsg_format *format, struct imsg_view bytes,
                                         struct imsg_error *err);
void rows_prekey(json_t *parent, struct imsg_view bytes);
void rows_public_identity(json_t *parent, struct imsg_view bytes);
/* Of a JSON text, with nested forms decoded. */
void rows_document(struct item *item, const char *kind, struct imsg_view text);

/* ---- judge.c, payload.c, opening.c, body.c, document.c: each fills an item ---- */

/* A JSON document: its rows, and the library's own parser as the judge. */
void inspect_document(struct item *item);
/* Payload, prekey record and public identity standing alone, with keys where there are any. */
void inspect_payload(struct item *item, const struct imsg_format *format);
void inspect_prekey(struct item *item);
void inspect_public_identity(struct item *item);
/* What opening goes through: values, checks, plaintext, verdict. `sender` may be NULL (not known), and `envelope` (a
 * bare payload). */
void inspect_opening(struct item *item, struct imsg_payload payload, const struct imsg_device *sender,
                     const struct imsg_envelope *envelope);
/* A message body: message/1, a property list (gzip'd or not), text. */
void inspect_body(struct item *item);
/* A message/1 with its content. */
void inspect_message(struct item *item);
/* A property list as JSON ("body"), with the names of the real system spelled out ("summary"). */
IMSG_CHECK enum imsg_status plist_show(json_t *inspection, struct imsg_view bytes, struct imsg_error *err);
/* Whether it may be given to a parser that follows references and recurses (plist_guard.c). */
IMSG_CHECK enum imsg_status plist_guard(struct imsg_view bytes, struct imsg_error *err);
/* True if the bytes look like a body inspect_body knows by its first bytes. */
bool is_body(struct imsg_view bytes);

/* sealed.c: is there a stream/1 line? */
bool is_sealed_file(struct imsg_view bytes);
/* That line, as the judge of its kind. */
void judge_stream(struct item *item, struct imsg_error *err);
/* The chunks: `first`, and then what is left in fd; `at` is where they begin in the input. */
struct source;
IMSG_CHECK enum imsg_status inspect_sealed(struct inspect *run, struct imsg_view first, int fd, uint64_t at,
                                           const struct source *source, struct imsg_error *err);
/* The steps of a trace, as values and checks, those of one name left out (NULL: none) (opening.c). */
void inspect_trace(json_t *inspection, const struct imsg_trace *trace, const char *but);

/* ---- report.c ---- */

struct source {
    const char *operand; /* "-": standard input */
    const char *name;    /* for messages */
};
/* Name it, print it, keep its status; `line` 0: it is the only one. The item's tree is freed. */
IMSG_CHECK enum imsg_status inspection_report(struct item *item, const struct source *source, unsigned line,
                                              const char *encoding, struct imsg_error *err);

/* ---- input.c ---- */

/* Everything in an input; `fd`: where the rest of a sealed file is read from; -1: the bytes are all. */
IMSG_CHECK enum imsg_status inspect_contents(struct inspect *run, struct imsg_view bytes, int fd,
                                             const struct source *source, struct imsg_error *err);

/* ---- keys.c ---- */

/* Load -i and -R, once. */
IMSG_CHECK enum imsg_status inspect_unlock(struct inspect *run, struct imsg_error *err);
/* Without -i: the default identity if there is one, once, when something is met that it may open. That it cannot be
 * read is reported and keeps nothing else from being shown. */
void inspect_default_keys(struct inspect *run);
bool inspect_has_keys(const struct inspect *run);

/* ---- view.c, hex_dump.c ---- */

IMSG_CHECK enum imsg_status view_print(struct inspect *run, const json_t *inspection, struct imsg_buf *out,
                                       struct imsg_error *err);
IMSG_CHECK enum imsg_status view_hex_dump(struct imsg_view bytes, struct imsg_buf *out, struct imsg_error *err);

#endif
