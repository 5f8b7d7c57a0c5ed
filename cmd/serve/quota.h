/* Room that is shared: bytes of the store, and bytes of request bodies in memory. In this process's memory only. */
#ifndef IMSG_SERVE_QUOTA_H
#define IMSG_SERVE_QUOTA_H

#include <pthread.h>

#include "serve/tokens.h"

struct quota {
    pthread_mutex_t lock;
    struct tokens holders;   /* of struct holding: who has reserved something */
    uint64_t used, reserved; /* bytes in all: stored already; reserved */
    uint64_t max;            /* of both together */
    uint64_t holder_max;     /* of one holder */
};
IMSG_CHECK enum imsg_status quota_start(struct quota *quota, struct imsg_error *err);
void quota_free(struct quota *quota);
/* Reserve room for a holder that has `stored` bytes already. False: there is none, or no memory. */
IMSG_CHECK bool quota_reserve(struct quota *quota, const uint8_t holder[static 32], uint64_t stored, uint64_t bytes);
/* Give back what was reserved. */
void quota_release(struct quota *quota, const uint8_t holder[static 32], uint64_t bytes);
/* Would there be room now? Nothing is reserved. */
bool quota_fits(struct quota *quota, const uint8_t holder[static 32], uint64_t stored, uint64_t bytes);
/* Bytes were stored, or deleted. */
void quota_add_used(struct quota *quota, int64_t bytes);
uint64_t quota_used(struct quota *quota);
uint64_t quota_reserved(struct quota *quota);

#endif
