#include "base/url.h"

#include <arpa/inet.h>
#include <string.h>

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

bool imsg_url_is_https_origin(const char *url)
{
    static const char scheme[] = "https://";
    char host[HOST_MAX + 2];
    struct in6_addr address;
    if (strncmp(url, scheme, strlen(scheme)) != 0)
        return false;
    url += strlen(scheme);
    bool bracket = *url == '[';
    size_t len = bracket ? strcspn(++url, "]") : strcspn(url, ":");
    if (len >= sizeof host)
        return false;
    memcpy(host, url, len);
    host[len] = 0;
    url += len;
    if (bracket) {
        if (*url++ != ']' || inet_pton(AF_INET6, host, &address) != 1)
            return false;
    } else if (!is_host(host)) {
        return false;
    }
    return *url == 0 || (*url == ':' && is_port(url + 1));
}
