/* Opening each message once: what was opened is remembered for ever, by its replay key, in files of the home:
 *
 *   opened/ab/cdef…    the replay key in hex; the file has the name of the envelope that was opened
 *   failures/ACCOUNT   there is one for each account that something was accepted from, and one, "others", for all the
 *                      rest: what failed to open lately, for the budgets of formats with a short tag (format.h)
 *
 * ACCOUNT is the thumbprint of an account key or, of records that the caller gave, the token of a device. */
#ifndef IMSG_CLIENT_ONCE_H
#define IMSG_CLIENT_ONCE_H

#include "imsg-client.h"

/* Record that the message is opened now, durably, and set opened->recorded. IMSG_REFUSED: it was opened before. That
 * which was recorded for the envelope of the name `retry` (or NULL) is let through. Of several processes that record
 * one message at the same time one succeeds. */
IMSG_CHECK enum imsg_status imsg_once_record(const struct imsg_client *client, const char *retry,
                                             struct imsg_opened *opened, struct imsg_error *err);
/* Was a message with this replay key opened? */
IMSG_CHECK enum imsg_status imsg_once_look_up(const struct imsg_client *client, const uint8_t replay[static 32],
                                              bool *recorded, struct imsg_error *err);

/* Something was accepted from this account: its failures are counted apart from now on. */
IMSG_CHECK enum imsg_status imsg_failures_begin(const struct imsg_client *client, const char *account,
                                                struct imsg_error *err);
/* A payload of the account failed to open; one replay key counts once. */
IMSG_CHECK enum imsg_status imsg_failures_add(const struct imsg_client *client, const char *account,
                                              const uint8_t replay[static 32], struct imsg_error *err);
/* How many of the account failed since a day began with the first of them. */
IMSG_CHECK enum imsg_status imsg_failures_count(const struct imsg_client *client, const char *account, size_t *count,
                                                struct imsg_error *err);

#endif
