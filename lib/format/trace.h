/* The steps of opening: every value and every check in order, under the names of the test vectors. Functions that take
 * a trace take NULL too, and then keep nothing. With a trace, opening goes on after a check that failed, as far as that
 * is possible, and returns the first failure. A trace holds secrets: imsg_trace_free wipes. */
#ifndef IMSG_FORMAT_TRACE_H
#define IMSG_FORMAT_TRACE_H

#include "format/layout.h"

enum imsg_step_kind {
    IMSG_STEP_VALUE,  /* bytes */
    IMSG_STEP_TEXT,   /* bytes that are text */
    IMSG_STEP_NUMBER, /* number */
    IMSG_STEP_CHECK,  /* ok, and note where it failed */
};

struct imsg_step {
    const char *name;
    enum imsg_step_kind kind;
    struct imsg_buf bytes;
    uint64_t number;
    bool ok;
    char note[320]; /* why a check failed */
};

struct imsg_trace { /* {0} is empty */
    struct imsg_step *steps;
    size_t count, cap;
    struct imsg_layout inner; /* of the value "inner", where a format has a form of its own inside the ciphertext */
    bool key_fits;            /* the payload is for this identity, as far as the keys show it */
    enum imsg_status why;     /* the class of a refusal (format.md §6) */
    bool incomplete;          /* memory ran out: steps are missing */
};

void imsg_trace_value(struct imsg_trace *trace, const char *name, struct imsg_view bytes);
void imsg_trace_text(struct imsg_trace *trace, const char *name, const char *text);
void imsg_trace_number(struct imsg_trace *trace, const char *name, uint64_t number);
/* Returns ok. */
bool imsg_trace_check(struct imsg_trace *trace, const char *name, bool ok, const char *note);
/* The last step of this name and kind, or NULL. */
const struct imsg_step *imsg_trace_find(const struct imsg_trace *trace, const char *name, enum imsg_step_kind kind);
/* How many steps there are, to cut the trace back to later. */
size_t imsg_trace_mark(const struct imsg_trace *trace);
/* Forget all steps after the mark, the inner layout, and that a key fitted. */
void imsg_trace_cut(struct imsg_trace *trace, size_t mark);
void imsg_trace_free(struct imsg_trace *trace);

/* ---- opening with a trace: the functions of imsg.h without "_traced" call these with NULL ---- */

/* trace->why has the class of a refusal. identity and sender may be NULL: only what needs no keys is checked. */
IMSG_CHECK enum imsg_status imsg_open_payload_traced(struct imsg_identity *identity, const struct imsg_device *sender,
                                                     struct imsg_payload payload, struct imsg_buf *plaintext,
                                                     struct imsg_trace *trace, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_open_envelope_traced(struct imsg_identity *identity, const struct imsg_device *sender,
                                                      const struct imsg_envelope *envelope,
                                                      struct imsg_message *message, struct imsg_trace *trace,
                                                      struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_stream_new_traced(const uint8_t *key, const struct imsg_stream_line *line,
                                                   struct imsg_trace *trace, struct imsg_stream **out,
                                                   struct imsg_error *err);
/* With a trace nothing is wiped, and it goes on after a failed check, except a wrong length. auth may then be NULL: the
 * signature is not checked. */
IMSG_CHECK enum imsg_status imsg_stream_open_traced(struct imsg_stream *stream, const uint8_t *auth,
                                                    const struct imsg_chunk *chunk, struct imsg_trace *trace,
                                                    struct imsg_error *err);

#endif
