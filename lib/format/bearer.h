/* Bearer tokens of the relay and the store: a JWT (RFC 7519), compact JWS ES256 by a device's auth key.
 *
 *   protected header  {"alg":"ES256","jwk":{"crv":"P-256","kty":"EC","x":…,"y":…}}
 *   payload           {"iss":"<token, hex>","aud":"https://host[:port]","iat":<Unix seconds>}
 *
 * The key proves itself: its point's SHA-256 is the token. So a token speaks for its device on any server, which is why
 * a server must compare `audience` with its own origins, never with what the client says. */
#ifndef IMSG_FORMAT_BEARER_H
#define IMSG_FORMAT_BEARER_H

#include "imsg.h"

#define IMSG_BEARER_MAX 2048 /* bytes of a token; one of ours has about 450 */

struct imsg_bearer {
    uint8_t token[IMSG_TOKEN]; /* iss: the device */
    char audience[256];        /* aud: the origin it was made for */
    int64_t issued;            /* iat, Unix seconds */
    int64_t expires;           /* exp, INT64_MAX where there is none */
    int64_t not_before;        /* nbf, INT64_MIN where there is none */
};

/* Append a token for `audience` (an origin, at most 255 bytes), issued `now`. */
IMSG_CHECK enum imsg_status imsg_bearer_make(const struct imsg_p256 *auth, const char *audience, time_t now,
                                             struct imsg_buf *out, struct imsg_error *err);
/* Check shape and signature, and that iss is the SHA-256 of the jwk's point. Header: exactly alg and jwk, and
 * optionally typ JWT. Payload: iss, aud (one string) and iat (an integer) are required, exp and nbf integers where they
 * are there, other members are ignored, duplicates refused. The caller compares audience and the times with its own.
 * IMSG_MALFORMED, IMSG_BAD_SIGNATURE. */
IMSG_CHECK enum imsg_status imsg_bearer_parse(struct imsg_view text, struct imsg_bearer *out, struct imsg_error *err);

#endif
