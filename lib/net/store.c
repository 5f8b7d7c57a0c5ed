/* The generic half of the store: it picks the engine and enforces the size limit. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "net/backend.h"
#include "net/remote.h"

static const struct store_backend *const backends[] = {IMSG_STORE_ROWS, NULL};

struct imsg_store {
    const struct store_backend *backend;
    void *state;
    char *location;
    struct imsg_net *net;
};

enum imsg_status imsg_store_open(const char *location, struct imsg_net *net, struct imsg_store **out,
                                 struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    char scheme[16];
    size_t i = 0;
    struct imsg_store *store = calloc(1, sizeof *store);
    if (!store) {
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        goto out;
    }
    imsg_remote_scheme(location, scheme);
    while (backends[i] && strcmp(backends[i]->scheme, scheme) != 0)
        i++;
    if (!backends[i]) {
        status = imsg_fail(err, IMSG_CONFIG, "store \"%s\": scheme \"%s\" is not supported", location, scheme);
        goto out;
    }
    status = imsg_strdup(location, &store->location, err);
    if (status != IMSG_OK)
        goto out;
    status = backends[i]->open(location, net, &store->state, err);
    if (status != IMSG_OK)
        goto out;
    store->backend = backends[i];
    store->net = net;
    *out = store;
    store = NULL;
out:
    imsg_store_close(store);
    return status;
}

enum imsg_status imsg_store_begin(struct imsg_store *store, struct imsg_store_put *put, struct imsg_error *err)
{
    struct imsg_store_put begun = {.fd = -1};
    enum imsg_status status = store->backend->begin(store->state, &begun, err);
    if (status == IMSG_OK)
        *put = begun;
    return status;
}

static void release_put(struct imsg_store_put *put)
{
    if (put->fd >= 0)
        close(put->fd);
    free(put->temp);
    *put = (struct imsg_store_put){.fd = -1};
}

enum imsg_status imsg_store_commit(struct imsg_store *store, struct imsg_store_put *put,
                                   const uint8_t sha256[static 32], char **uri, struct imsg_error *err)
{
    char hex[65];
    imsg_hex(sha256, 32, hex);
    enum imsg_status status = store->backend->commit(store->state, put, hex, uri, err);
    release_put(put);
    return status;
}

void imsg_store_abort(struct imsg_store *store, struct imsg_store_put *put)
{
    if (put->fd < 0)
        return;
    if (store->backend->discard)
        store->backend->discard(store->state, put);
    release_put(put);
}

struct counted {
    const char *location;
    uint64_t left;
    const struct imsg_store_read *read;
};

static enum imsg_status count_bytes(void *opaque, struct imsg_view piece, struct imsg_error *err)
{
    struct counted *counted = opaque;
    if (piece.len > counted->left)
        return imsg_fail(err, IMSG_PROTOCOL, "store \"%s\": the object is larger than %llu bytes", counted->location,
                         (unsigned long long)counted->read->max);
    counted->left -= piece.len;
    return counted->read->sink(counted->read->context, piece, err);
}

/* An https URL leads to a server, whatever one's own store is. */
static bool is_foreign(const struct imsg_store *store, const char *uri)
{
    return store->net && strncmp(uri, "https://", 8) == 0 && strcmp(store->backend->scheme, "https") != 0;
}

enum imsg_status imsg_store_open_object(struct imsg_store *store, const char *uri, int *fd, struct imsg_error *err)
{
    *fd = -1;
    if (!store->backend->open_object || is_foreign(store, uri))
        return IMSG_OK;
    return store->backend->open_object(store->state, uri, fd, err);
}

enum imsg_status imsg_store_get(struct imsg_store *store, const struct imsg_store_read *read, struct imsg_error *err)
{
    struct counted counted = {store->location, read->from < read->max ? read->max - read->from : 0, read};
    struct imsg_store_read inner = *read;
    inner.sink = count_bytes;
    inner.context = &counted;
    if (is_foreign(store, read->uri))
        return imsg_store_get_foreign(store->net, &inner, err);
    return store->backend->get(store->state, &inner, err);
}

void imsg_store_close(struct imsg_store *store)
{
    if (!store)
        return;
    if (store->backend)
        store->backend->close(store->state);
    free(store->location);
    free(store);
}
