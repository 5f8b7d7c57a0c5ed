/* JWS (RFC 7515) with a protected header of exactly alg ES256 and the public jwk: the flattened one with exactly the
 * members payload, protected, signature (format.md §7 entry/1), and the compact one of bearer tokens. */
#ifndef IMSG_FORMAT_JWS_H
#define IMSG_FORMAT_JWS_H

#include "imsg.h"

/* Check the shape and the signature over the bytes received. *payload gets the payload's bytes, account the jwk's
 * point: it proves nothing until the caller compares it with a pin. IMSG_MALFORMED, IMSG_BAD_SIGNATURE. */
IMSG_CHECK enum imsg_status imsg_jws_verify(struct imsg_view file, struct imsg_buf *payload, uint8_t account[static 65],
                                            struct imsg_error *err);
/* Append the JWS as one line. */
IMSG_CHECK enum imsg_status imsg_jws_sign(const struct imsg_p256 *account, struct imsg_view payload,
                                          struct imsg_buf *out, struct imsg_error *err);

/* The same for the compact serialization, whose header may also hold "typ":"JWT". */
IMSG_CHECK enum imsg_status imsg_jws_verify_compact(struct imsg_view text, struct imsg_buf *payload,
                                                    uint8_t key[static 65], struct imsg_error *err);
/* Append it; no newline. */
IMSG_CHECK enum imsg_status imsg_jws_sign_compact(const struct imsg_p256 *key, struct imsg_view payload,
                                                  struct imsg_buf *out, struct imsg_error *err);

#endif
