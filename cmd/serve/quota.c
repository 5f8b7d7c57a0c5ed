/* Room in the store. What is stored is known by the files and rows; what uploads under way have reserved only here, so
 * that two of them cannot both take the last of it. */
#include "serve/store.h"

struct reserved { /* by uploads of one device */
    struct token_item item;
    uint64_t bytes;
};

enum imsg_status quota_start(struct quota *quota, struct imsg_error *err)
{
    pthread_mutex_init(&quota->lock, NULL);
    return tokens_start(&quota->devices, err);
}

void quota_free(struct quota *quota)
{
    tokens_free(&quota->devices);
}

static bool fits(uint64_t used, uint64_t bytes, uint64_t max)
{
    return bytes <= max && used <= max - bytes;
}

bool quota_reserve(struct quota *quota, const uint8_t token[static 32], uint64_t stored, uint64_t bytes)
{
    pthread_mutex_lock(&quota->lock);
    struct reserved *reserved = tokens_find(&quota->devices, token, sizeof *reserved);
    bool good = reserved && fits(stored + reserved->bytes, bytes, quota->device_max) &&
                fits(quota->used + quota->reserved, bytes, quota->max);
    if (good) {
        reserved->bytes += bytes;
        quota->reserved += bytes;
    }
    pthread_mutex_unlock(&quota->lock);
    return good;
}

void quota_release(struct quota *quota, const uint8_t token[static 32], uint64_t bytes)
{
    pthread_mutex_lock(&quota->lock);
    struct reserved *reserved = tokens_find(&quota->devices, token, 0);
    if (reserved) {
        reserved->bytes -= bytes;
        quota->reserved -= bytes;
    }
    pthread_mutex_unlock(&quota->lock);
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
