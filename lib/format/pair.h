/* "pair" (format.md §2): pair.c parses, seals and opens, pair_keys.c has its keys and its row. */
#ifndef IMSG_FORMAT_PAIR_H
#define IMSG_FORMAT_PAIR_H

#include "format/format.h"

/* Views point into the payload parsed. */
struct imsg_pair {
    struct imsg_view body;      /* what the signature covers */
    struct imsg_view block;     /* first 160 bytes of body */
    struct imsg_view rest;      /* body after the block */
    struct imsg_view signature; /* strict DER is checked when verifying */
    struct imsg_field f_version, f_body_length, f_body, f_block, f_rest, f_signature_length, f_signature;
};
/* The layout (may be NULL) is filled in also where the payload is refused. */
IMSG_CHECK enum imsg_status imsg_pair_parse(struct imsg_view payload, struct imsg_pair *out, struct imsg_layout *layout,
                                            struct imsg_error *err);
/* Seal `message` (at most IMSG_FORMAT_MAX bytes). Appends the payload to *out. */
IMSG_CHECK enum imsg_status imsg_pair_seal(const struct imsg_p256 *sender_signing,
                                           const struct imsg_public_identity *sender,
                                           const struct imsg_public_identity *recipient, struct imsg_view message,
                                           struct imsg_buf *out, struct imsg_error *err);
/* Check the signature alone: IMSG_BAD_SIGNATURE or IMSG_OK. Uses no secret. */
IMSG_CHECK enum imsg_status imsg_pair_verify(const struct imsg_pair *pair, const struct imsg_public_identity *sender,
                                             struct imsg_error *err);

struct imsg_pair_keys {
    const struct imsg_rsa *encryption; /* the recipient's private key */
    const struct imsg_public_identity *recipient;
    const struct imsg_public_identity *sender; /* with a trace or NULL: signature and tag are not checked */
};
/* Verify, then open; appends the message to *out. Classes: bad-signature, not-for-this-key, malformed (fewer than 16
 * bytes in the block), bad-tag. After an OAEP failure it goes on with a random key, so that it costs the same. */
IMSG_CHECK enum imsg_status imsg_pair_open(const struct imsg_pair *pair, const struct imsg_pair_keys *keys,
                                           struct imsg_buf *out, struct imsg_trace *trace, struct imsg_error *err);

#endif
