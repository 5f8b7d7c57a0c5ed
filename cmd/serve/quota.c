/* What is stored is known by the files and rows, or is nothing for bodies; what is reserved is known only here, so that
 * two who ask at once cannot both get the last of it. */
#include "serve/quota.h"

struct holding {
    struct token_item item; /* the holder */
    uint64_t bytes;         /* reserved; never zero while the lock is free */
};

enum imsg_status quota_start(struct quota *quota, struct imsg_error *err)
{
    pthread_mutex_init(&quota->lock, NULL);
    return tokens_start(&quota->holders, err);
}

void quota_free(struct quota *quota)
{
    tokens_free(&quota->holders);
}

static bool fits(uint64_t used, uint64_t bytes, uint64_t max)
{
    return bytes <= max && used <= max - bytes;
}

static bool holder_fits(struct quota *quota, const struct holding *holding, uint64_t stored, uint64_t bytes)
{
    return fits(stored + (holding ? holding->bytes : 0), bytes, quota->holder_max) &&
           fits(quota->used + quota->reserved, bytes, quota->max);
}

bool quota_reserve(struct quota *quota, const uint8_t holder[static 32], uint64_t stored, uint64_t bytes)
{
    if (bytes == 0)
        return true;
    pthread_mutex_lock(&quota->lock);
    struct holding *holding = tokens_find(&quota->holders, holder, 0);
    bool good = holder_fits(quota, holding, stored, bytes);
    if (good && !holding) {
        holding = tokens_find(&quota->holders, holder, sizeof *holding);
        good = holding != NULL;
    }
    if (good) {
        holding->bytes += bytes;
        quota->reserved += bytes;
    }
    pthread_mutex_unlock(&quota->lock);
    return good;
}

void quota_release(struct quota *quota, const uint8_t holder[static 32], uint64_t bytes)
{
    pthread_mutex_lock(&quota->lock);
    struct holding *holding = tokens_find(&quota->holders, holder, 0);
    if (holding) {
        holding->bytes -= bytes;
        quota->reserved -= bytes;
    }
    if (holding && holding->bytes == 0)
        tokens_drop(&quota->holders, &holding->item);
    pthread_mutex_unlock(&quota->lock);
}

bool quota_fits(struct quota *quota, const uint8_t holder[static 32], uint64_t stored, uint64_t bytes)
{
    pthread_mutex_lock(&quota->lock);
    bool good = holder_fits(quota, tokens_find(&quota->holders, holder, 0), stored, bytes);
    pthread_mutex_unlock(&quota->lock);
    return good;
}

void quota_add_used(struct quota *quota, int64_t bytes)
{
    pthread_mutex_lock(&quota->lock);
    quota->used += (uint64_t)bytes;
    pthread_mutex_unlock(&quota->lock);
}

uint64_t quota_used(struct quota *quota)
{
    pthread_mutex_lock(&quota->lock);
    uint64_t used = quota->used;
    pthread_mutex_unlock(&quota->lock);
    return used;
}

uint64_t quota_reserved(struct quota *quota)
{
    pthread_mutex_lock(&quota->lock);
    uint64_t reserved = quota->reserved;
    pthread_mutex_unlock(&quota->lock);
    return reserved;
}
