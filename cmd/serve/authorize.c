/* Bearer tokens (lib/format/bearer.h) and how often each device and each address may ask (rates.h).
 *
 * A client uses one token for minutes. A verified token is remembered by the hash of its text, so that the next request
 * needs no signature check; only its times are checked again. The table has a fixed size, and a new item overwrites the
 * old one of its slot: an attacker who fills it costs others a signature check. How many signatures are checked for an
 * address is limited, whoever the tokens say that they are. */
#include "serve/authorize.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/bearer.h"
#include "serve/rates.h"
#include "serve/reply.h"
#include "serve/serve.h"

#define CACHE_SLOTS 65536
#define CLOCK_SKEW 300 /* seconds: iat may be so far from our clock */

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

enum imsg_status authorizer_start(struct authorizer *authorizer, struct imsg_error *err)
{
    authorizer->cache = calloc(1, sizeof *authorizer->cache);
    if (!authorizer->cache)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    pthread_mutex_init(&authorizer->cache->lock, NULL);
    return rates_start(&authorizer->rates, err);
}

void authorizer_free(struct authorizer *authorizer)
{
    free(authorizer->cache);
    rates_free(authorizer->rates);
    *authorizer = (struct authorizer){0};
}

static size_t slot_of(const uint8_t hash[static 32], size_t slots)
{
    uint32_t number;
    memcpy(&number, hash, sizeof number);
    return number % slots;
}

static bool rate_allows(struct request *request, enum rate_kind kind, const uint8_t who[static 32], uint64_t rate)
{
    bool allowed = rates_allow(request->serve->authorizer.rates, kind, who, rate);
    if (!allowed) {
        request->serve->metrics.limited++;
        reply_later(request, MHD_HTTP_TOO_MANY_REQUESTS, "TooManyRequests", 1);
    }
    return allowed;
}

bool authorize_check(struct request *request)
{
    return rate_allows(request, RATE_CHECKS, request_source(request), request->serve->rate);
}

/* The reason to refuse a token; NULL: its signature is right, and its audience one of our origins. */
static const char *verify_bearer(struct request *request, struct imsg_view text, struct known *known)
{
    struct serve *serve = request->serve;
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
    if (!authorize_check(request))
        return "TooManyRequests";
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
    const char *reason = verify_bearer(request, imsg_view_str(text), &known);
    if (reason)
        return reason;
    if (known.issued < now - CLOCK_SKEW || known.issued > now + CLOCK_SKEW || known.expires <= now ||
        known.not_before > now + CLOCK_SKEW)
        return "ExpiredProviderToken";
    memcpy(token, known.token, IMSG_TOKEN);
    return NULL;
}

/* Strangers can make as many tokens as they like, so all strangers of an address count as one device. */
static bool sender_rate_allows(struct request *request)
{
    struct serve *serve = request->serve;
    struct mailbox mailbox;
    struct imsg_error err = {0};
    enum imsg_status status = storage_read_mailbox(serve->storage, request->sender, &mailbox, &err);
    if (status != IMSG_OK) {
        cli_note(serve->cli, "%s", err.text);
        reply_failure(request, status);
        return false;
    }
    return mailbox.limit > 0 ? rate_allows(request, RATE_DEVICE, request->sender, serve->rate)
                             : rate_allows(request, RATE_STRANGERS, request_source(request), serve->stranger_rate);
}

bool authorize_sender(struct request *request)
{
    const char *reason = examine_bearer(request, request->sender);
    if (!reason)
        return sender_rate_allows(request);
    if (request->response)
        return false; /* too many already */
    request->serve->metrics.refused_tokens++;
    if (strcmp(reason, "InternalServerError") == 0)
        reply_reason(request, MHD_HTTP_INTERNAL_SERVER_ERROR, reason);
    else
        reply_reason(request, MHD_HTTP_FORBIDDEN, reason);
    return false;
}
