/* A store in a bucket of S3, or of what speaks as it does: s3://BUCKET[/PREFIX], objects at PREFIX/<sha256>. Requests
 * are signed by libcurl (Signature Version 4), the body's hash being the object's own name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/text.h"
#include "base/url.h"
#include "net/backend.h"
#include "net/remote.h"

#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" /* SHA-256 of no bytes */

struct bucket {
    struct imsg_net *net;
    const struct imsg_s3 *s3; /* the caller's */
    char *location;           /* s3://BUCKET[/PREFIX], no slash at its end */
    char *base;               /* the same as an http(s) URL */
    struct imsg_buf session;  /* a header, or empty */
};

static void s3_close(void *opaque)
{
    struct bucket *bucket = opaque;
    if (!bucket)
        return;
    free(bucket->location);
    free(bucket->base);
    imsg_buf_free(&bucket->session);
    free(bucket);
}

/* Only characters that need no escape in a URL: the server may escape others differently when it checks the signature.
 */
static bool is_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
    return text[strspn(text, plain)] == 0 && !strstr(text, "//") && !strstr(text, "/../") && !strstr(text, "/./");
}

/* The rules for the names of buckets, as far as they keep other characters out of a URL's host. */
static bool is_bucket(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!good && !((c == '-' || c == '.') && i > 0 && i + 1 < len))
            return false;
    }
    return len >= 3 && len <= 63;
}

/* With an endpoint of one's own the bucket stands in the path; at Amazon in the host, where its certificate allows. */
static enum imsg_status make_base(const struct bucket *bucket, struct imsg_buf *base, struct imsg_error *err)
{
    const struct imsg_s3 *s3 = bucket->s3;
    const char *rest = bucket->location + strlen("s3://");
    size_t len = strcspn(rest, "/");
    char host[200];
    if (s3->endpoint) {
        size_t end = strlen(s3->endpoint);
        while (end > 0 && s3->endpoint[end - 1] == '/')
            end--;
        enum imsg_status status = imsg_buf_append(base, s3->endpoint, end, err);
        if (status == IMSG_OK)
            status = imsg_buf_text(base, "/", err);
        return status == IMSG_OK ? imsg_buf_text(base, rest, err) : status;
    }
    if (memchr(rest, '.', len))
        snprintf(host, sizeof host, "https://s3.%.60s.amazonaws.com/", s3->region);
    else
        snprintf(host, sizeof host, "https://%.*s.s3.%.60s.amazonaws.com", (int)len, rest, s3->region);
    enum imsg_status status = imsg_buf_text(base, host, err);
    return status == IMSG_OK ? imsg_buf_text(base, memchr(rest, '.', len) ? rest : rest + len, err) : status;
}

static enum imsg_status set_up_bucket(struct bucket *bucket, struct imsg_error *err)
{
    struct imsg_buf base = {0};
    enum imsg_status status = make_base(bucket, &base, err);
    if (status == IMSG_OK)
        status = imsg_net_trust(bucket->net, (const char *)base.ptr, err);
    if (status == IMSG_OK && bucket->s3->session) {
        status = imsg_buf_text(&bucket->session, "x-amz-security-token: ", err);
        if (status == IMSG_OK)
            status = imsg_buf_text(&bucket->session, bucket->s3->session, err);
    }
    if (status == IMSG_OK)
        status = imsg_http_load(err);
    if (status == IMSG_OK)
        bucket->base = (char *)base.ptr;
    else
        imsg_buf_free(&base);
    return status;
}

static enum imsg_status s3_open(const char *location, struct imsg_net *net, void **out, struct imsg_error *err)
{
    struct bucket *bucket = calloc(1, sizeof *bucket);
    const char *rest = location + strlen("s3://");
    size_t len = strlen(location);
    enum imsg_status status = IMSG_OK;
    if (!bucket)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (!is_plain(rest) || !is_bucket(rest, strcspn(rest, "/")))
        status = imsg_fail(err, IMSG_CONFIG, "store \"%s\" is not like s3://bucket/prefix", location);
    else if (!net || !net->s3)
        status = imsg_fail(err, IMSG_CONFIG, "store \"%s\": no credentials", location);
    if (status == IMSG_OK)
        status = net->s3(net->context, &bucket->s3, err);
    bucket->net = net;
    if (status == IMSG_OK)
        status = imsg_strdup(location, &bucket->location, err);
    if (status == IMSG_OK) {
        while (bucket->location[len - 1] == '/')
            bucket->location[--len] = 0;
        status = set_up_bucket(bucket, err);
    }
    if (status == IMSG_OK)
        *out = bucket;
    else
        s3_close(bucket);
    return status;
}

/* `condition`: one more header, or NULL. */
static struct imsg_http_request request_for(const struct bucket *bucket, const char *method, const char *url,
                                            const char *hash, const char *condition)
{
    struct imsg_http_request request = {
        .role = "store", .place = bucket->location, .method = method, .url = url, .fd = -1};
    size_t i = 0;
    request.s3 = bucket->s3;
    request.headers[i++] = hash;
    if (condition)
        request.headers[i++] = condition;
    if (bucket->session.len > 0)
        request.headers[i] = (const char *)bucket->session.ptr;
    return request;
}

static enum imsg_status s3_begin(void *opaque, struct imsg_store_put *put, struct imsg_error *err)
{
    const struct bucket *bucket = opaque;
    return imsg_store_temp(bucket->net, put, err);
}

static enum imsg_status s3_commit(void *opaque, struct imsg_store_put *put, const char *sha256, char **uri,
                                  struct imsg_error *err)
{
    struct bucket *bucket = opaque;
    struct imsg_http_request request;
    char *url = NULL, hash[100];
    enum imsg_status status = imsg_path_join(bucket->base, sha256, &url, err);
    if (status != IMSG_OK)
        return status;
    snprintf(hash, sizeof hash, "x-amz-content-sha256: %s", sha256);
    request = request_for(bucket, "PUT", url, hash, "if-none-match: *");
    /* 412: an object of this name is there, and a name is a hash. */
    status = imsg_store_send(bucket->net, &request, put, 412, err);
    if (status == IMSG_OK)
        status = imsg_path_join(bucket->location, sha256, uri, err);
    free(url);
    return status;
}

static enum imsg_status s3_get(void *opaque, const struct imsg_store_read *read, struct imsg_error *err)
{
    struct bucket *bucket = opaque;
    const char *uri = read->uri;
    struct imsg_http_request request;
    char *url = NULL;
    size_t len = strlen(bucket->location);
    if (strncmp(uri, bucket->location, len) != 0 || uri[len] != '/' || !imsg_name_is_hash(uri + len + 1))
        return imsg_store_get_foreign(bucket->net, read, err);
    enum imsg_status status = imsg_path_join(bucket->base, uri + len + 1, &url, err);
    if (status != IMSG_OK)
        return status;
    request = request_for(bucket, "GET", url, "x-amz-content-sha256: " NOTHING, NULL);
    status = imsg_store_fetch(bucket->net, &request, read, err);
    free(url);
    return status;
}

const struct store_backend imsg_store_s3 = {
    .scheme = "s3",
    .open = s3_open,
    .begin = s3_begin,
    .commit = s3_commit,
    .get = s3_get,
    .close = s3_close,
};
