#include "base/url.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 253 /* RFC 1035 §2.3.4, as text */
#define LABEL_MAX 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void imsg_url_scheme(const char *location, char out[static 16])
{
    size_t len = 0;
    while (is_alpha(location[len]) ||
           (len > 0 && (is_digit(location[len]) || (location[len] && strchr("+-.", location[len])))))
        len++;
    /* "a:b" is a good file name, so a scheme needs its slashes. */
    if (len == 0 || strncmp(location + len, "://", 3) != 0) {
        memcpy(out, "file", 5);
        return;
    }
    if (len > 15)
        len = 15; /* no backend has so long a name */
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(location[i] >= 'A' && location[i] <= 'Z' ? location[i] - 'A' + 'a' : location[i]);
    out[len] = 0;
}

static bool is_port(const char *text)
{
    unsigned long port = 0;
    if (*text == '0')
        return false;
    for (size_t i = 0; text[i]; i++) {
        if (!is_digit(text[i]) || i == 5)
            return false;
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

/* Letters, digits and hyphens in non-empty labels. Where the last label is a number, some resolvers take forms like
 * 127.1 or 0x7f000001 for an address: only the plain four numbers pass. */
static bool is_host(const char *host)
{
    const char *label = host;
    struct in_addr address;
    if (strlen(host) > HOST_MAX)
        return false;
    for (;;) {
        size_t len = strcspn(label, ".");
        if (len == 0 || len > LABEL_MAX || label[0] == '-' || label[len - 1] == '-')
            return false;
        for (size_t i = 0; i < len; i++)
            if (!is_alpha(label[i]) && !is_digit(label[i]) && label[i] != '-')
                return false;
        if (!label[len])
            break;
        label += len + 1;
    }
    bool number = is_digit(label[0]) && (label[strspn(label, "0123456789")] == 0 || label[1] == 'x' || label[1] == 'X');
    return !number || inet_pton(AF_INET, host, &address) == 1;
}

/* host or [address], as far as it goes; *end is behind it. */
static bool take_host(const char *text, char host[static HOST_MAX + 2], const char **end)
{
    struct in6_addr address;
    bool bracket = *text == '[';
    size_t len = bracket ? strcspn(++text, "]") : strcspn(text, ":/");
    if (len > HOST_MAX)
        return false;
    memcpy(host, text, len);
    host[len] = 0;
    *end = text + len;
    if (!bracket)
        return is_host(host);
    if (**end != ']')
        return false;
    (*end)++;
    return inet_pton(AF_INET6, host, &address) == 1;
}

bool imsg_url_split_origin(const char *url, const char *scheme, struct imsg_url *out)
{
    struct imsg_url parts = {0};
    char port[8];
    size_t len = strlen(scheme);
    const char *at;
    if (strncmp(url, scheme, len) != 0 || strncmp(url + len, "://", 3) != 0)
        return false;
    if (!take_host(url + len + 3, parts.host, &at))
        return false;
    if (*at == ':') {
        len = strcspn(++at, "/");
        if (len >= sizeof port)
            return false;
        memcpy(port, at, len);
        port[len] = 0;
        if (!is_port(port))
            return false;
        parts.port = (unsigned)strtoul(port, NULL, 10);
        at += len;
    }
    parts.origin = (size_t)(at - url);
    if (*at && *at != '/')
        return false;
    *out = parts;
    return true;
}

bool imsg_url_split(const char *url, const char *scheme, struct imsg_url *out)
{
    struct imsg_url parts;
    if (!imsg_url_split_origin(url, scheme, &parts))
        return false;
    for (const char *at = url + parts.origin; *at; at++)
        if (*at <= ' ' || *at > '~' || strchr("?#\\\"<>^`{|}", *at))
            return false;
    *out = parts;
    return true;
}

bool imsg_url_is_https_origin(const char *url)
{
    struct imsg_url parts;
    return imsg_url_split(url, "https", &parts) && url[parts.origin] == 0;
}

bool imsg_host_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(host, "localhost") == 0;
}
