/* Origins are compared in one spelling. The self-signed certificate is for trials and for clients that pin it. */
#include "serve/origins.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "base/url.h"
#include "crypto/crypto.h"

#define OWN_DAYS 3650 /* it is pinned, not renewed */

/* The spelling that is compared: http or https, host in lower case, no default port, no slash. NULL: not an origin. */
static char *spelling(const char *origin)
{
    char scheme[16], as_https[320];
    imsg_url_scheme(origin, scheme);
    bool https = strcmp(scheme, "https") == 0;
    if (!https && strcmp(scheme, "http") != 0)
        return NULL;
    const char *host = strstr(origin, "://") + 3;
    size_t len = strlen(host);
    if (len > 0 && host[len - 1] == '/')
        len--;
    if (len == 0 || len > 255 || snprintf(as_https, sizeof as_https, "https://%.*s", (int)len, host) < 0 ||
        !imsg_url_is_https_origin(as_https))
        return NULL;
    const char *port = https ? ":443" : ":80";
    size_t port_len = strlen(port);
    if (len > port_len && strncmp(host + len - port_len, port, port_len) == 0)
        len -= port_len;
    char *out = malloc(strlen(scheme) + 3 + len + 1);
    if (!out)
        return NULL;
    int start = sprintf(out, "%s://", scheme);
    for (size_t i = 0; i < len; i++)
        out[(size_t)start + i] = (char)tolower((unsigned char)host[i]);
    out[(size_t)start + len] = 0;
    return out;
}

enum imsg_status origins_add(struct origins *origins, const char *origin, struct imsg_error *err)
{
    char *text = spelling(origin);
    if (!text)
        return imsg_fail(err, IMSG_CONFIG, "\"%s\" is no origin: https://host[:port] and nothing after it", origin);
    char **items = realloc(origins->items, (origins->count + 1) * sizeof *items);
    if (!items) {
        free(text);
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    }
    origins->items = items;
    items[origins->count++] = text;
    return IMSG_OK;
}

bool origins_has(const struct origins *origins, const char *origin)
{
    bool found = false;
    char *text = spelling(origin);
    for (size_t i = 0; text && i < origins->count; i++)
        found |= strcmp(origins->items[i], text) == 0;
    free(text);
    return found;
}

void origins_free(struct origins *origins)
{
    for (size_t i = 0; i < origins->count; i++)
        free(origins->items[i]);
    free(origins->items);
    *origins = (struct origins){0};
}

struct naming {
    struct origins *origins;
    unsigned port;
};

static enum imsg_status add_name(void *context, const char *name, struct imsg_error *err)
{
    struct naming *naming = context;
    char origin[IMSG_CERTIFICATE_NAME + 32];
    bool bracket = strchr(name, ':') != NULL;
    snprintf(origin, sizeof origin, "https://%s%s%s:%u", bracket ? "[" : "", name, bracket ? "]" : "", naming->port);
    /* A wildcard (*.example.org) is not one origin, so it is left out. */
    return strchr(name, '*') || !imsg_url_is_https_origin(origin) ? IMSG_OK : origins_add(naming->origins, origin, err);
}

enum imsg_status origins_of_certificate(struct origins *origins, struct imsg_view pem, unsigned port,
                                        struct imsg_error *err)
{
    struct naming naming = {origins, port};
    return imsg_certificate_names(pem, add_name, &naming, err);
}

/* ---- our own certificate ---- */

static enum imsg_status make_own(const char *cert_path, const char *key_path, struct imsg_error *err)
{
    char host[256] = "";
    const char *names[4] = {"localhost", "127.0.0.1", "::1", host};
    struct imsg_p256 *key = NULL;
    struct imsg_buf key_pem = {0}, cert_pem = {0};
    size_t count = 3;
    char origin[300];
    if (gethostname(host, sizeof host - 1) == 0 && strcmp(host, "localhost") != 0) {
        snprintf(origin, sizeof origin, "https://%s", host);
        count += imsg_url_is_https_origin(origin);
    }
    enum imsg_status status = imsg_p256_generate(&key, err);
    if (status == IMSG_OK)
        status = imsg_p256_to_pem(key, (struct imsg_view){0}, &key_pem, err);
    if (status == IMSG_OK)
        status =
            imsg_certificate_make(key, &(struct imsg_certificate){names, count, imsg_now(), OWN_DAYS}, &cert_pem, err);
    /* The key first: a certificate that is there is not made again, so its key must be there too. */
    if (status == IMSG_OK)
        status = imsg_write_file(key_path, imsg_buf_view(&key_pem), 0600, IMSG_REPLACE, err);
    if (status == IMSG_OK)
        status = imsg_write_file(cert_path, imsg_buf_view(&cert_pem), 0644, IMSG_REPLACE, err);
    imsg_p256_free(key);
    imsg_buf_free(&key_pem);
    imsg_buf_free(&cert_pem);
    return status;
}

enum imsg_status certificate_own(const char *folder, struct imsg_buf *cert, struct imsg_buf *key,
                                 struct imsg_error *err)
{
    char *cert_path = NULL, *key_path = NULL;
    enum imsg_status status = imsg_path_join(folder, "cert.pem", &cert_path, err);
    if (status == IMSG_OK)
        status = imsg_path_join(folder, "key.pem", &key_path, err);
    if (status == IMSG_OK && access(cert_path, F_OK) != 0)
        status = make_own(cert_path, key_path, err);
    if (status == IMSG_OK)
        status = imsg_read_file(cert_path, PEM_MAX, cert, err);
    if (status == IMSG_OK)
        status = imsg_read_file(key_path, PEM_MAX, key, err);
    free(cert_path);
    free(key_path);
    return status;
}
