/* What the files that read and make identities share, and what payload formats use to read and write private keys. */
#ifndef IMSG_FORMAT_IDENTITY_H
#define IMSG_FORMAT_IDENTITY_H

#include "format/format.h"
#include "format/member.h"

/* What identity/1 has beside keys. */
extern const struct imsg_member imsg_identity_members[];

/* imsg_identity_device without proofs: for one's own use, where nothing has to be proven and each costs a signature. */
IMSG_CHECK enum imsg_status imsg_identity_own(const struct imsg_identity *identity, struct imsg_device *out,
                                              struct imsg_error *err);
/* The PEM of a member of "keys"; *out stays as it is where it is not there. `compact`: the key is negated where its
 * point has the larger root (format.md §3). */
IMSG_CHECK enum imsg_status imsg_identity_read_p256(const struct imsg_identity_file *file, const char *member,
                                                    bool compact, struct imsg_p256 **out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_identity_write_p256(const struct imsg_identity_file *file, const char *member,
                                                     const struct imsg_p256 *key, struct imsg_error *err);

#endif
