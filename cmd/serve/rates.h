/* How often each device and each address may ask. */
#ifndef IMSG_SERVE_RATES_H
#define IMSG_SERVE_RATES_H

#include "imsg.h"

struct rates;

enum rate_kind {
    RATE_DEVICE,   /* requests of a device; `who` is its token */
    RATE_CHECKS,   /* signatures that an address lets us check; `who` is its hash (source.h) */
    RATE_STRANGERS /* requests of all strangers of an address */
};
IMSG_CHECK enum imsg_status rates_start(struct rates **out, struct imsg_error *err);
void rates_free(struct rates *rates);
/* Count one. False: there were too many: more than `rate` a second on average, or ten seconds' worth at once. */
IMSG_CHECK bool rates_allow(struct rates *rates, enum rate_kind kind, const uint8_t who[static 32], uint64_t rate);

#endif
