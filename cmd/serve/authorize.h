/* Bearer tokens, and how often each device may ask. */
#ifndef IMSG_SERVE_AUTHORIZE_H
#define IMSG_SERVE_AUTHORIZE_H

#include "imsg.h"

struct request;
struct bearer_cache;
struct rates;
struct authorizer {
    struct bearer_cache *cache;
    struct rates *rates;
};
IMSG_CHECK enum imsg_status authorizer_start(struct authorizer *authorizer, struct imsg_error *err);
void authorizer_free(struct authorizer *authorizer);
/* A signature is to be checked for the address of the request. False: it had too many checked; answered with 429. */
bool authorize_check(struct request *request);
/* Set request->sender to the device that signed the bearer token, and count its request. False: answered with 403 or
 * 429. */
bool authorize_sender(struct request *request);

#endif
