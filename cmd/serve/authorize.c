/* Bearer tokens (lib/format/bearer.h) and how often each device may ask.
 *
 * A client uses one token for minutes. A verified token is remembered by the hash of its text, so that the next request
 * needs no signature check; only its times are checked again. Both tables have a fixed size, and a new item overwrites
 * the old one of its slot: an attacker who fills them costs others a signature check, or shares a rate with them for a
 * while. */
#include "serve/authorize.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/bearer.h"
#include "serve/reply.h"
#include "serve/serve.h"

#define CACHE_SLOTS 4096
#define RATE_SLOTS 8192
#define CLOCK_SKEW 300 /* seconds: iat may be so far from our clock */
#define RATE_BURST 10  /* seconds' worth of requests at once */

struct known {
    bool used;
    uint8_t text[32]; /* SHA-256 of the token as it came */
    uint8_t token[IMSG_TOKEN];
    int64_t issued, expires, not_before;
};
struct bearer_cache {
    pthread_mutex_t lock;
    struct known slots[CACHE_SLOTS];
};

struct rate {
    uint8_t token[IMSG_TOKEN];
    int64_t when; /* imsg_monotonic */
    double left;  /* requests */
};
struct rates {
    pthread_mutex_t lock;
    struct rate slots[RATE_SLOTS];
};

enum imsg_status authorizer_start(struct authorizer *authorizer, struct imsg_error *err)
{
    authorizer->cache = calloc(1, sizeof *authorizer->cache);
    authorizer->rates = calloc(1, sizeof *authorizer->rates);
    if (!authorizer->cache || !authorizer->rates)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    pthread_mutex_init(&authorizer->cache->lock, NULL);
    pthread_mutex_init(&authorizer->rates->lock, NULL);
    return IMSG_OK;
}

void authorizer_free(struct authorizer *authorizer)
{
    free(authorizer->cache);
    free(authorizer->rates);
    *authorizer = (struct authorizer){0};
}

static size_t slot_of(const uint8_t hash[static 32], size_t slots)
{
    uint32_t number;
    memcpy(&number, hash, sizeof number);
    return number % slots;
}

/* The reason to refuse a token; NULL: its signature is right, and its audience one of our origins. */
static const char *verify_bearer(struct serve *serve, struct imsg_view text, struct known *known)
{
    struct bearer_cache *cache = serve->authorizer.cache;
    struct imsg_bearer bearer;
    uint8_t hash[32];
    if (imsg_sha256(text, hash, NULL) != IMSG_OK)
        return "InternalServerError";
    struct known *slot = &cache->slots[slot_of(hash, CACHE_SLOTS)];
    pthread_mutex_lock(&cache->lock);
    bool found = slot->used && memcmp(slot->text, hash, sizeof hash) == 0;
    if (found)
        *known = *slot;
    pthread_mutex_unlock(&cache->lock);
    if (found)
        return NULL;
    /* The audience is compared with our own origins, never with the Host header, which a hostile relay that replays a
     * token can set. */
    if (imsg_bearer_parse(text, &bearer, NULL) != IMSG_OK || !origins_has(&serve->origins, bearer.audience))
        return "InvalidProviderToken";
    *known = (struct known){
        .used = true, .issued = bearer.issued, .expires = bearer.expires, .not_before = bearer.not_before};
    memcpy(known->text, hash, sizeof hash);
    memcpy(known->token, bearer.token, sizeof bearer.token);
    pthread_mutex_lock(&cache->lock);
    *slot = *known;
    pthread_mutex_unlock(&cache->lock);
    return NULL;
}

/* The reason to refuse the request's bearer token; NULL: it is good, and *token the device that signed it. */
static const char *examine_bearer(struct request *request, uint8_t token[static 32])
{
    const char *text = request_header(request, "Authorization");
    struct known known;
    int64_t now = imsg_now();
    /* Blanks at the end of a header's value are not part of it: "bearer" alone is a token of no bytes. */
    if (!text || strncasecmp(text, "bearer", 6) != 0 || (text[6] && text[6] != ' '))
        return "MissingProviderToken";
    text += 6 + strspn(text + 6, " ");
    const char *reason = verify_bearer(request->serve, imsg_view_str(text), &known);
    if (reason)
        return reason;
    if (known.issued < now - CLOCK_SKEW || known.issued > now + CLOCK_SKEW || known.expires <= now ||
        known.not_before > now + CLOCK_SKEW)
        return "ExpiredProviderToken";
    memcpy(token, known.token, IMSG_TOKEN);
    return NULL;
}

/* False: answered with 429. */
static bool rate_allows(struct request *request, const uint8_t token[static 32])
{
    struct serve *serve = request->serve;
    struct rates *rates = serve->authorizer.rates;
    double rate = (double)serve->rate;
    int64_t now = (int64_t)imsg_monotonic();
    if (serve->rate == 0)
        return true;
    pthread_mutex_lock(&rates->lock);
    struct rate *slot = &rates->slots[slot_of(token, RATE_SLOTS)];
    if (memcmp(slot->token, token, IMSG_TOKEN) != 0 && (slot->when == 0 || now - slot->when > RATE_BURST * 1000)) {
        memcpy(slot->token, token, IMSG_TOKEN); /* the device that had it may send a full burst again anyway */
        slot->left = rate * RATE_BURST;
    } else {
        slot->left += (double)(now - slot->when) / 1000 * rate;
    }
    if (slot->left > rate * RATE_BURST)
        slot->left = rate * RATE_BURST;
    slot->when = now;
    bool allowed = slot->left >= 1;
    if (allowed)
        slot->left -= 1;
    pthread_mutex_unlock(&rates->lock);
    if (!allowed) {
        serve->metrics.limited++;
        reply_later(request, MHD_HTTP_TOO_MANY_REQUESTS, "TooManyRequests", 1);
    }
    return allowed;
}

bool authorize_sender(struct request *request)
{
    const char *reason = examine_bearer(request, request->sender);
    if (!reason)
        return rate_allows(request, request->sender);
    request->serve->metrics.refused_tokens++;
    if (strcmp(reason, "InternalServerError") == 0)
        reply_reason(request, MHD_HTTP_INTERNAL_SERVER_ERROR, reason);
    else
        reply_reason(request, MHD_HTTP_FORBIDDEN, reason);
    return false;
}
