/* A directory on a web host. Reading needs no more than a host of static files: an entry seen before is kept with its
 * ETag and used only where the host says, each time, that it still is the same. Writing is a PUT on the
 * condition that the entry still is the one that was read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "net/backend.h"
#include "net/remote.h"

#define CONDITION (IMSG_ETAG_MAX + 32) /* bytes of the header, with its NUL */
#define TIMEOUT 60                     /* seconds for one try: an entry is small */
#define CACHE_HEAD "imsg-cache/1 "
#define CACHE_EXTRA 512 /* bytes of a cache file before the entry */

struct state {
    struct imsg_remote remote;
    char *path; /* of the entry read last, */
    char etag[IMSG_ETAG_MAX];
    struct imsg_buf entry; /* and what was read */
};

static void http_close(void *opaque)
{
    struct state *state = opaque;
    if (!state)
        return;
    imsg_remote_free(&state->remote);
    imsg_buf_free(&state->entry);
    free(state->path);
    free(state);
}

static enum imsg_status http_open(const char *location, struct imsg_net *net, bool create, void **out,
                                  struct imsg_error *err)
{
    (void)create;
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = imsg_remote_open(&state->remote, "directory", location, net, true, err);
    if (status == IMSG_OK)
        *out = state;
    else
        http_close(state);
    return status;
}

/* ---- cache: a line with the ETag, then the entry ---- */

static enum imsg_status cache_path(const struct state *state, const char *url, char **path, struct imsg_error *err)
{
    uint8_t hash[32];
    char name[80];
    snprintf(name, sizeof name, "directory/");
    enum imsg_status status = imsg_sha256(imsg_view_str(url), hash, err);
    if (status != IMSG_OK)
        return status;
    imsg_hex(hash, sizeof hash, name + strlen(name));
    return imsg_path_join(state->remote.net->cache, name, path, err);
}

/* A cache that cannot be read is an empty one. */
static void cache_read(const struct state *state, const char *url, size_t max, char etag[static IMSG_ETAG_MAX],
                       struct imsg_buf *entry)
{
    char *path = NULL;
    struct imsg_buf file = {0};
    size_t head = strlen(CACHE_HEAD);
    etag[0] = '\0';
    if (!state->remote.net->cache || cache_path(state, url, &path, NULL) != IMSG_OK ||
        imsg_read_file(path, max + CACHE_EXTRA, &file, NULL) != IMSG_OK)
        goto out;
    const uint8_t *end = file.len > 0 ? memchr(file.ptr, '\n', file.len) : NULL;
    if (!end || (size_t)(end - file.ptr) <= head || memcmp(file.ptr, CACHE_HEAD, head) != 0 ||
        !imsg_http_etag(imsg_view_of(file.ptr + head, (size_t)(end - file.ptr) - head), etag))
        goto out;
    end++;
    if (imsg_buf_append(entry, end, file.len - (size_t)(end - file.ptr), NULL) != IMSG_OK)
        etag[0] = '\0';
out:
    imsg_buf_free(&file);
    free(path);
}

/* A cache that cannot be written only costs the next reader a transfer. */
static void cache_write(const struct state *state, const char *url, const char *etag, struct imsg_view entry)
{
    char *path = NULL, *folder = NULL;
    struct imsg_buf file = {0};
    if (state->remote.net->cache && cache_path(state, url, &path, NULL) == IMSG_OK &&
        imsg_path_join(state->remote.net->cache, "directory", &folder, NULL) == IMSG_OK &&
        imsg_make_folders(folder, 0700, NULL) == IMSG_OK && imsg_buf_text(&file, CACHE_HEAD, NULL) == IMSG_OK &&
        imsg_buf_text(&file, etag, NULL) == IMSG_OK && imsg_buf_text(&file, "\n", NULL) == IMSG_OK &&
        imsg_buf_append(&file, entry.ptr, entry.len, NULL) == IMSG_OK &&
        imsg_write_file(path, imsg_buf_view(&file), 0600, IMSG_REPLACE, NULL) != IMSG_OK) {
        /* see above */
    }
    imsg_buf_free(&file);
    free(folder);
    free(path);
}

/* ---- get ---- */

/* Remember what was read for a put. */
static enum imsg_status keep_entry(struct state *state, const char *path, const char *etag, struct imsg_view entry,
                                   struct imsg_error *err)
{
    char *copy = NULL;
    enum imsg_status status = imsg_strdup(path, &copy, err);
    imsg_buf_clear(&state->entry);
    free(state->path);
    state->path = copy;
    snprintf(state->etag, sizeof state->etag, "%s", etag);
    return status == IMSG_OK ? imsg_buf_append(&state->entry, entry.ptr, entry.len, err) : status;
}

static enum imsg_status ask_server(struct state *state, const char *url, size_t max, const char *cached_etag,
                                   struct imsg_http_answer *answer, struct imsg_error *err)
{
    char condition[CONDITION];
    struct imsg_http_request request = imsg_remote_request(&state->remote, "GET", url);
    request.max = max;
    request.timeout = TIMEOUT;
    snprintf(condition, sizeof condition, "if-none-match: %s", cached_etag);
    if (cached_etag[0])
        request.headers[0] = condition;
    enum imsg_status status = imsg_http_do(state->remote.net, &request, answer, err);
    if (status != IMSG_OK)
        return status;
    bool known = answer->status == 200 || answer->status == 404 || answer->status == 410 ||
                 (answer->status == 304 && cached_etag[0]);
    return known ? IMSG_OK : imsg_http_refused(&request, answer, err);
}

static enum imsg_status http_get(void *opaque, const char *path, size_t max, struct imsg_buf *out, bool *found,
                                 struct imsg_error *err)
{
    struct state *state = opaque;
    struct imsg_http_answer answer = {0};
    struct imsg_buf cached = {0};
    char *url = NULL, etag[IMSG_ETAG_MAX];
    struct imsg_view entry;
    enum imsg_status status = imsg_remote_url(&state->remote, path, &url, err);
    if (status != IMSG_OK)
        goto out;
    cache_read(state, url, max, etag, &cached);
    status = ask_server(state, url, max, etag, &answer, err);
    if (status != IMSG_OK)
        goto out;
    if (answer.status != 304)
        snprintf(etag, sizeof etag, "%s", answer.etag);
    *found = answer.status == 200 || answer.status == 304;
    entry = answer.status == 304   ? imsg_buf_view(&cached)
            : answer.status == 200 ? imsg_buf_view(&answer.body)
                                   : (struct imsg_view){0};
    status = keep_entry(state, path, *found ? etag : "", entry, err);
    if (status == IMSG_OK && answer.status == 200 && etag[0])
        cache_write(state, url, etag, entry);
    if (status == IMSG_OK)
        status = imsg_buf_append(out, entry.ptr, entry.len, err);
out:
    imsg_http_answer_free(&answer);
    imsg_buf_free(&cached);
    free(url);
    return status;
}

/* ---- put ---- */

static enum imsg_status report_conflict(const struct state *state, struct imsg_error *err)
{
    return imsg_fail(err, IMSG_CONFLICT, "directory \"%s\": the entry was changed meanwhile", state->remote.location);
}

/* The condition under which `previous` is what is on file: read it again unless it was read last. */
static enum imsg_status condition_for(struct state *state, const char *path, size_t max, struct imsg_view previous,
                                      char condition[static CONDITION], struct imsg_error *err)
{
    struct imsg_buf current = {0};
    bool found = false;
    enum imsg_status status = IMSG_OK;
    if (previous.len == 0) {
        snprintf(condition, CONDITION, "if-none-match: *");
        return IMSG_OK;
    }
    if (!state->path || strcmp(state->path, path) != 0 || !imsg_view_equal(imsg_buf_view(&state->entry), previous))
        status = http_get(state, path, max, &current, &found, err);
    imsg_buf_free(&current);
    if (status != IMSG_OK)
        return status;
    if (!imsg_view_equal(imsg_buf_view(&state->entry), previous))
        return report_conflict(state, err);
    if (!state->etag[0])
        return imsg_fail(err, IMSG_PROTOCOL, "directory \"%s\" gives no ETag, so nothing is changed there safely",
                         state->remote.location);
    snprintf(condition, CONDITION, "if-match: %s", state->etag);
    return IMSG_OK;
}

/* 412 also comes where this process changed the entry itself and the answer to its first try was lost. */
static enum imsg_status was_it_us(struct state *state, const char *path, size_t max, struct imsg_view entry,
                                  struct imsg_error *err)
{
    struct imsg_buf current = {0};
    bool found = false;
    enum imsg_status status = http_get(state, path, max, &current, &found, err);
    if (status == IMSG_OK && !imsg_view_equal(imsg_buf_view(&current), entry))
        status = report_conflict(state, err);
    imsg_buf_free(&current);
    return status;
}

static enum imsg_status http_put(void *opaque, const char *path, size_t max, struct imsg_view previous,
                                 struct imsg_view entry, struct imsg_error *err)
{
    struct state *state = opaque;
    struct imsg_http_answer answer = {0};
    char *url = NULL, condition[CONDITION], invite[256];
    const char *code = state->remote.net->invite;
    size_t n = 2;
    enum imsg_status status = condition_for(state, path, max, previous, condition, err);
    if (status == IMSG_OK)
        status = imsg_remote_url(&state->remote, path, &url, err);
    if (status != IMSG_OK)
        goto out;
    struct imsg_http_request request = imsg_remote_request(&state->remote, "PUT", url);
    request.body = entry;
    request.timeout = TIMEOUT;
    request.headers[0] = condition;
    request.headers[1] = "content-type: application/json";
    if (code) {
        snprintf(invite, sizeof invite, "imsg-invite: %s", code);
        request.headers[n++] = invite;
    }
    request.max = max;
    status = imsg_http_do(state->remote.net, &request, &answer, err);
    if (status != IMSG_OK)
        goto out;
    if (answer.status == 412 || answer.status == 409) {
        status = was_it_us(state, path, max, entry, err);
    } else if (answer.status != 200 && answer.status != 201 && answer.status != 204) {
        status = imsg_http_refused(&request, &answer, err);
        if (answer.status == 403 && !code)
            imsg_error_suggest(err, IMSG_HINT_INVITE, NULL);
    }
out:
    imsg_http_answer_free(&answer);
    free(url);
    return status;
}

const struct directory_backend imsg_directory_http = {
    .scheme = "https",
    .open = http_open,
    .get = http_get,
    .put = http_put,
    .close = http_close,
};
