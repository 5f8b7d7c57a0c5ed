/* What the files that open share. */
#ifndef IMSG_CLIENT_OPEN_H
#define IMSG_CLIENT_OPEN_H

#include "client/client.h"

/* Load the identity and make its record, once. An envelope is parsed first: nothing is unlocked for an empty input. */
IMSG_CHECK enum imsg_status imsg_opener_unlock(struct imsg_opener *opener, struct imsg_error *err);
/* True unless others alone are expected. */
bool imsg_opener_expects(const struct imsg_opener *opener, const char *from);
/* IMSG_REFUSED where that is so. */
IMSG_CHECK enum imsg_status imsg_opener_check_expected(const struct imsg_opener *opener, const char *from,
                                                       struct imsg_error *err);
/* The entry of a handle, its records not yet verified. Valid until IMSG_OPENER_ENTRIES others were looked up. */
IMSG_CHECK enum imsg_status imsg_opener_look_up(struct imsg_opener *opener, const char *from,
                                                const struct imsg_entry **out, struct imsg_error *err);
/* True if looking up `from` could end the life of devices given out before. */
bool imsg_opener_would_forget(struct imsg_opener *opener, const char *from);
/* The record whose handles hold the envelope's sender and whose token is the sender's: never the token alone
 * (format.md §7). It has passed imsg_device_verify; IMSG_REFUSED where none has. Valid as long as what
 * imsg_opener_look_up gives. */
IMSG_CHECK enum imsg_status imsg_opener_find_sender(struct imsg_opener *opener, const struct imsg_envelope *envelope,
                                                    const struct imsg_device **out, struct imsg_error *err);

/* All that comes before decryption: the envelope is parsed, then the identity unlocked, then the envelope must be
 * for this device (*mine), its sender expected, and his record known. */
struct imsg_opening {
    struct imsg_opened opened;
    const struct imsg_device *sender;
    bool parsed;                      /* opened.envelope is filled in */
    bool mine;                        /* for this device */
    bool to_open;                     /* its sender's record is known */
    char account[2 * IMSG_TOKEN + 1]; /* with imsg_opener.once, as do the next two; see imsg_opener_account */
    bool held;                        /* too many of the account's payloads failed to open */
    bool failed;                      /* as did this one */
    enum imsg_status status;
    struct imsg_error err;
};
/* Whose failures to open are counted together: the thumbprint of the account key that signed the sender's entry or, of
 * records that the caller gave, the sender's token. */
void imsg_opener_account(struct imsg_opener *opener, const struct imsg_envelope *envelope,
                         char out[static 2 * IMSG_TOKEN + 1]);
void imsg_opened_free(struct imsg_opened *opened);
/* Verify and decrypt; on any thread. */
void imsg_opening_decrypt(struct imsg_opener *opener, struct imsg_opening *opening);
void imsg_opening_clear(struct imsg_opening *opening);

/* ---- open_once.c: with imsg_opener.once ---- */

/* Before the payload is opened: set `held` if too many of the account failed. No other payload of a format that counts
 * failures may be under way. */
IMSG_CHECK enum imsg_status imsg_opening_hold(struct imsg_opener *opener, struct imsg_opening *opening,
                                              struct imsg_error *err);
/* In place of opening one that is held; on any thread. A bad signature is refused as ever. */
void imsg_opening_refuse_held(struct imsg_opening *opening);
/* After it was opened, or not: set replay key and `failed`; on any thread. */
void imsg_opening_judge(struct imsg_opening *opening);
/* Then, on the caller's thread: count the failure, or know the account from now on. */
IMSG_CHECK enum imsg_status imsg_opening_count(struct imsg_opener *opener, const struct imsg_opening *opening,
                                               struct imsg_error *err);

/* The chunks of a sealed file, whose line is committed to the header's key: `ahead` was read already, the rest is in
 * the input. Each is given out when its signature and tag were verified, or all after all were where verify_first is
 * set. */
IMSG_CHECK enum imsg_status imsg_open_file(struct imsg_opener *opener, struct imsg_opened *opened,
                                           const struct imsg_stream_line *line, const struct imsg_input *input,
                                           struct imsg_view ahead, struct imsg_error *err);
/* Tell a failure of line `line` (0: of the input as a whole); sets opener->postponed if it may pass by itself. */
void imsg_opener_tell(struct imsg_opener *opener, uint64_t line, bool cut, const struct imsg_error *err);

#endif
