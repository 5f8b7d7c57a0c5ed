/* TAP for the unit tests: one program per area, a plan at the end. */
#ifndef TAP_H
#define TAP_H

#include "imsg.h"

/* One test point; returns `pass`. */
bool tap_ok(bool pass, const char *fmt, ...) IMSG_PRINTF(2, 3);
/* The status expected; prints both names and err's text where they differ. */
bool tap_status(enum imsg_status got, enum imsg_status want, const struct imsg_error *err, const char *fmt, ...)
    IMSG_PRINTF(4, 5);
bool tap_bytes(struct imsg_view got, struct imsg_view want, const char *fmt, ...) IMSG_PRINTF(3, 4);
void tap_skip(const char *why, const char *fmt, ...) IMSG_PRINTF(2, 3);
/* Points that failed so far. */
size_t tap_failed(void);
/* A row of the table of docs/quality.md (tests/quality). No test point. */
void tap_quality(const char *property, size_t cases, size_t failures);
/* Prints the plan; main returns its value. */
int tap_done(void);

#endif
