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
/* The devices of a handle, from its entry in the directory. Valid until IMSG_OPENER_ENTRIES others were looked up. */
IMSG_CHECK enum imsg_status imsg_opener_look_up(struct imsg_opener *opener, const char *from,
                                                const struct imsg_devices **out, struct imsg_error *err);
/* True if looking up `from` could end the life of devices given out before. */
bool imsg_opener_would_forget(struct imsg_opener *opener, const char *from);
/* The record whose handles hold the envelope's sender and whose token is the sender's: never the token alone
 * (format.md §7). Valid as long as what imsg_opener_look_up gives. */
IMSG_CHECK enum imsg_status imsg_opener_find_sender(struct imsg_opener *opener, const struct imsg_envelope *envelope,
                                                    const struct imsg_device **out, struct imsg_error *err);

/* All that comes before decryption: the envelope is parsed, then the identity unlocked, then the envelope must be
 * for this device (*mine), its sender expected, and his record known. */
struct imsg_opening {
    struct imsg_opened opened;
    const struct imsg_device *sender;
    bool parsed;  /* opened.envelope is filled in */
    bool mine;    /* for this device */
    bool to_open; /* its sender's record is known */
    enum imsg_status status;
    struct imsg_error err;
};
void imsg_opened_free(struct imsg_opened *opened);
/* Verify and decrypt; on any thread. */
void imsg_opening_decrypt(struct imsg_opener *opener, struct imsg_opening *opening);
void imsg_opening_clear(struct imsg_opening *opening);

/* The chunks of a sealed file: `ahead` was read already, the rest is in the input. Each is given out when its
 * signature and tag were verified, or all after all were where verify_first is set. */
IMSG_CHECK enum imsg_status imsg_open_file(struct imsg_opener *opener, const struct imsg_opened *opened,
                                           const struct imsg_input *input, struct imsg_view ahead,
                                           struct imsg_error *err);
/* Tell a failure of line `line` (0: of the input as a whole). */
void imsg_opener_tell(const struct imsg_opener *opener, uint64_t line, bool cut, const struct imsg_error *err);

#endif
