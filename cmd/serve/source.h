/* Where a request comes from: the address of the connection, or what a trusted proxy says of it. */
#ifndef IMSG_SERVE_SOURCE_H
#define IMSG_SERVE_SOURCE_H

#include "imsg.h"

#define PROXIES_MAX 16

struct request;

struct network {         /* addresses that begin with the same bits */
    uint8_t address[16]; /* IPv6; an IPv4 address as ::ffff:a.b.c.d */
    unsigned bits;
};
struct proxies { /* whose X-Forwarded-For is believed */
    struct network items[PROXIES_MAX];
    size_t count;
    bool local;         /* whoever connects over a Unix socket */
    uint8_t secret[32]; /* random: keys the hash of addresses */
};
IMSG_CHECK enum imsg_status proxies_start(struct proxies *proxies, struct imsg_error *err);
/* ADDRESS, ADDRESS/BITS, or "unix". IMSG_CONFIG: it is none of these, or there are too many. */
IMSG_CHECK enum imsg_status proxies_add(struct proxies *proxies, const char *text, struct imsg_error *err);
/* A keyed hash of the client's address, of the first 64 bits for IPv6: what limits for an address count by. It is kept
 * in the request. */
const uint8_t *request_source(struct request *request);
bool request_is_from_loopback(const struct request *request); /* a Unix socket counts as loopback */

#endif
