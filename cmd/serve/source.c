/* A client can send an X-Forwarded-For of its own, and each proxy adds the address it was called from at the end. So
 * the list is read from its end, as long as the one who wrote the next address is a trusted proxy. */
#include "serve/source.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "crypto/crypto.h"
#include "serve/serve.h"

#define NETWORK_BYTES 8 /* of an IPv6 address: one network, which usually is one customer */

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum imsg_status proxies_start(struct proxies *proxies, struct imsg_error *err)
{
    return imsg_random(proxies->secret, sizeof proxies->secret, err);
}

static bool parse_address(const char *text, uint8_t out[static 16])
{
    memcpy(out, mapped, sizeof mapped);
    return inet_pton(AF_INET, text, out + sizeof mapped) == 1 || inet_pton(AF_INET6, text, out) == 1;
}

enum imsg_status proxies_add(struct proxies *proxies, const char *text, struct imsg_error *err)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    struct network network = {.bits = 128};
    if (strcmp(text, "unix") == 0) {
        proxies->local = true;
        return IMSG_OK;
    }
    snprintf(address, sizeof address, "%.*s", (int)(len < sizeof address ? len : 0), text);
    bool good = parse_address(address, network.address);
    if (good && slash) {
        char *end = NULL;
        unsigned long most = strchr(address, ':') ? 128 : 32;
        unsigned long bits = slash[1] >= '0' && slash[1] <= '9' ? strtoul(slash + 1, &end, 10) : 129;
        good = bits <= most && !*end;
        network.bits = (unsigned)(128 - most + bits);
    }
    if (!good)
        return imsg_fail(err, IMSG_CONFIG, "\"%s\" is not an address, a network like 10.0.0.0/8, or \"unix\"", text);
    if (proxies->count == PROXIES_MAX)
        return imsg_fail(err, IMSG_CONFIG, "more than %d proxies", PROXIES_MAX);
    proxies->items[proxies->count++] = network;
    return IMSG_OK;
}

static bool network_has(const struct network *network, const uint8_t address[static 16])
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    return memcmp(network->address, address, whole) == 0 &&
           (rest == 0 || (network->address[whole] ^ address[whole]) >> (8 - rest) == 0);
}

struct client {
    uint8_t address[16];
    bool local; /* a Unix socket: there is no address */
};

static bool client_is_proxy(const struct proxies *proxies, const struct client *client)
{
    if (client->local)
        return proxies->local;
    for (size_t i = 0; i < proxies->count; i++)
        if (network_has(&proxies->items[i], client->address))
            return true;
    return false;
}

static struct client client_of_connection(const struct request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct client client = {.local = true};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (info && info->client_addr && info->client_addr->sa_family == AF_INET) {
        memcpy(&v4, info->client_addr, sizeof v4);
        client.local = false;
        memcpy(client.address, mapped, sizeof mapped);
        memcpy(client.address + sizeof mapped, &v4.sin_addr, 4);
    } else if (info && info->client_addr && info->client_addr->sa_family == AF_INET6) {
        memcpy(&v6, info->client_addr, sizeof v6);
        client.local = false;
        memcpy(client.address, &v6.sin6_addr, 16);
    }
    return client;
}

struct forwarded { /* the values of X-Forwarded-For, one list */
    char text[4096];
    size_t len;
    bool good;
};

static enum MHD_Result collect_forwarded(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct forwarded *list = context;
    (void)kind;
    if (strcasecmp(name, "X-Forwarded-For") != 0)
        return MHD_YES;
    int len = snprintf(list->text + list->len, sizeof list->text - list->len, ",%s", value ? value : "");
    list->good = len > 0 && (size_t)len < sizeof list->text - list->len;
    list->len += list->good ? (size_t)len : 0;
    return list->good ? MHD_YES : MHD_NO;
}

/* Cut the last address off the list. False: none is left, or it is none. */
static bool last_address(struct forwarded *list, uint8_t out[static 16])
{
    char *comma = strrchr(list->text, ',');
    if (!comma)
        return false;
    char *start = comma + 1 + strspn(comma + 1, " \t");
    start[strcspn(start, " \t")] = 0;
    bool good = parse_address(start, out);
    *comma = 0;
    return good;
}

static struct client find_client(const struct request *request)
{
    const struct proxies *proxies = &request->serve->proxies;
    struct client client = client_of_connection(request);
    struct forwarded list = {.good = true};
    uint8_t next[16];
    if (!client_is_proxy(proxies, &client))
        return client;
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, collect_forwarded, &list);
    while (list.good && client_is_proxy(proxies, &client) && last_address(&list, next)) {
        client.local = false;
        memcpy(client.address, next, sizeof next);
    }
    return client;
}

const uint8_t *request_source(struct request *request)
{
    if (request->has_source)
        return request->source;
    struct client client = find_client(request);
    bool v4 = memcmp(client.address, mapped, sizeof mapped) == 0;
    const struct imsg_view parts[] = {
        imsg_view_of(request->serve->proxies.secret, sizeof request->serve->proxies.secret),
        imsg_view_of(client.address, v4 ? sizeof client.address : NETWORK_BYTES),
    };
    /* Where the hash fails, all addresses count as one. */
    request->has_source = imsg_sha256_parts(parts, 2, request->source, NULL) == IMSG_OK;
    return request->source;
}

bool request_is_from_loopback(const struct request *request)
{
    struct client client = find_client(request);
    bool v4 = memcmp(client.address, mapped, sizeof mapped) == 0;
    struct in6_addr v6;
    memcpy(&v6, client.address, sizeof v6);
    return client.local || (v4 ? client.address[12] == 127 : IN6_IS_ADDR_LOOPBACK(&v6));
}
