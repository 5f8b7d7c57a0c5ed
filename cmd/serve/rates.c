/* A bucket for each device and each address that asked in the last ten seconds. After ten seconds without a request a
 * bucket is full, as a new one is, and it is dropped.
 *
 * A bucket is found by a keyed hash of its whole name: it is shared with nobody, and nobody can choose a key or an
 * address so that it is found slowly. */
#include "serve/rates.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "serve/tokens.h"

#define BURST 10           /* seconds' worth of requests at once */
#define BUCKETS_MAX 262144 /* then the one that was not used for the longest time is dropped */
#define DROPS 4            /* at most, of old ones for a new one */

struct bucket {
    struct token_item item; /* its name is the keyed hash */
    struct bucket *older, *newer;
    int64_t when; /* imsg_monotonic */
    double left;  /* requests */
};
struct rates {
    pthread_mutex_t lock;
    struct tokens buckets;
    struct bucket *oldest, *newest; /* by their last use */
    uint8_t secret[32];
};

enum imsg_status rates_start(struct rates **out, struct imsg_error *err)
{
    struct rates *rates = *out = calloc(1, sizeof *rates);
    if (!rates)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    pthread_mutex_init(&rates->lock, NULL);
    enum imsg_status status = imsg_random(rates->secret, sizeof rates->secret, err);
    return status == IMSG_OK ? tokens_start(&rates->buckets, err) : status;
}

void rates_free(struct rates *rates)
{
    if (rates)
        tokens_free(&rates->buckets);
    free(rates);
}

static void bucket_unlink(struct rates *rates, struct bucket *bucket)
{
    *(bucket->older ? &bucket->older->newer : &rates->oldest) = bucket->newer;
    *(bucket->newer ? &bucket->newer->older : &rates->newest) = bucket->older;
}

static void bucket_append(struct rates *rates, struct bucket *bucket)
{
    bucket->older = rates->newest;
    bucket->newer = NULL;
    *(rates->newest ? &rates->newest->newer : &rates->oldest) = bucket;
    rates->newest = bucket;
}

static void drop_old_buckets(struct rates *rates, int64_t now)
{
    for (int i = 0; i < DROPS && rates->oldest; i++) {
        struct bucket *bucket = rates->oldest;
        if (now - bucket->when <= BURST * 1000 && rates->buckets.used < BUCKETS_MAX)
            return;
        bucket_unlink(rates, bucket);
        tokens_drop(&rates->buckets, &bucket->item);
    }
}

/* The bucket of this name, filled up to now and the newest; NULL: no memory. */
static struct bucket *bucket_find(struct rates *rates, const uint8_t name[static 32], double rate, int64_t now)
{
    struct bucket *bucket = tokens_find(&rates->buckets, name, 0);
    if (bucket) {
        bucket_unlink(rates, bucket);
        bucket->left += (double)(now - bucket->when) / 1000 * rate;
    } else {
        drop_old_buckets(rates, now);
        bucket = tokens_find(&rates->buckets, name, sizeof *bucket);
        if (!bucket)
            return NULL;
        bucket->left = rate * BURST;
    }
    if (bucket->left > rate * BURST)
        bucket->left = rate * BURST;
    bucket->when = now;
    bucket_append(rates, bucket);
    return bucket;
}

bool rates_allow(struct rates *rates, enum rate_kind kind, const uint8_t who[static 32], uint64_t rate)
{
    const uint8_t kind_byte = (uint8_t)kind;
    uint8_t name[32];
    const struct imsg_view parts[] = {imsg_view_of(rates->secret, sizeof rates->secret), imsg_view_of(&kind_byte, 1),
                                      imsg_view_of(who, 32)};
    if (rate == 0)
        return true;
    if (imsg_sha256_parts(parts, 3, name, NULL) != IMSG_OK)
        return false;
    pthread_mutex_lock(&rates->lock);
    struct bucket *bucket = bucket_find(rates, name, (double)rate, (int64_t)imsg_monotonic());
    bool allowed = bucket && bucket->left >= 1;
    if (allowed)
        bucket->left -= 1;
    pthread_mutex_unlock(&rates->lock);
    return allowed;
}
