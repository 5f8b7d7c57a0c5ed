/* The generic half of the relay: limits, and a check that the names of messages are hashes and not paths. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "net/backend.h"
#include "net/remote.h"

static const struct relay_backend *const backends[] = {IMSG_RELAY_ROWS, NULL};

struct imsg_relay {
    const struct relay_backend *backend;
    void *state;
    char *location;
};

static enum imsg_status open_backend(const struct relay_backend *backend, const char *location, struct imsg_net *net,
                                     struct imsg_relay **out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    struct imsg_relay *relay = calloc(1, sizeof *relay);
    if (!relay) {
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        goto out;
    }
    status = imsg_strdup(location, &relay->location, err);
    if (status != IMSG_OK)
        goto out;
    status = backend->open(location, net, &relay->state, err);
    if (status != IMSG_OK)
        goto out;
    relay->backend = backend;
    *out = relay;
    relay = NULL;
out:
    imsg_relay_close(relay);
    return status;
}

enum imsg_status imsg_relay_open(const char *location, struct imsg_net *net, struct imsg_relay **out,
                                 struct imsg_error *err)
{
    char scheme[16];
    size_t i = 0;
    imsg_remote_scheme(location, scheme);
    while (backends[i] && strcmp(backends[i]->scheme, scheme) != 0)
        i++;
    if (!backends[i])
        return imsg_fail(err, IMSG_CONFIG, "relay \"%s\": scheme \"%s\" is not supported", location, scheme);
    return open_backend(backends[i], location, net, out, err);
}

enum imsg_status imsg_relay_open_foreign(const char *location, struct imsg_net *net, struct imsg_relay **out,
                                         struct imsg_error *err)
{
    return open_backend(&imsg_relay_http_foreign, location, net, out, err);
}

enum imsg_status imsg_relay_mailbox(struct imsg_relay *relay, const uint8_t token[static 32], struct imsg_error *err)
{
    char hex[65];
    imsg_hex(token, 32, hex);
    return relay->backend->mailbox(relay->state, hex, err);
}

/* Refuse what no relay accepts. */
static enum imsg_status check_line(const struct imsg_envelope *envelope, struct imsg_view line, struct imsg_error *err)
{
    if (envelope->payload.len > IMSG_RELAY_PAYLOAD_MAX)
        return imsg_fail(err, IMSG_TOO_LONG, "the payload is %zu bytes, a relay takes at most %d",
                         envelope->payload.len, IMSG_RELAY_PAYLOAD_MAX);
    if (line.len > IMSG_LINE_MAX)
        return imsg_fail(err, IMSG_TOO_LONG, "the envelope line is %zu bytes, at most %d are allowed", line.len,
                         IMSG_LINE_MAX);
    /* A newline is white space in JSON, but the relay and the receiver would read two lines. */
    if (line.len == 0 || memchr(line.ptr, '\n', line.len))
        return imsg_fail(err, IMSG_MALFORMED, "the envelope is not one line");
    return IMSG_OK;
}

void imsg_relay_send(struct imsg_relay *relay, const struct imsg_envelope *envelope, struct imsg_view line,
                     imsg_delivered *done, void *context)
{
    struct imsg_error err = {0};
    char token[65], name[65];
    bool twice = false;
    enum imsg_status status = check_line(envelope, line, &err);
    imsg_hex(envelope->to_token, sizeof envelope->to_token, token);
    imsg_hex(envelope->hash, sizeof envelope->hash, name);
    if (status == IMSG_OK && relay->backend->send) {
        const struct relay_message message = {token, name, envelope, line};
        relay->backend->send(relay->state, &message, done, context);
        return;
    }
    if (status == IMSG_OK)
        status = relay->backend->deliver(relay->state, token, name, line, &twice, &err);
    done(context, status, twice, &err);
}

enum imsg_status imsg_relay_settle(struct imsg_relay *relay, size_t most, int input, struct imsg_error *err)
{
    return relay->backend->settle ? relay->backend->settle(relay->state, most, input, err) : IMSG_OK;
}

struct one {
    enum imsg_status status;
    bool duplicate;
    struct imsg_error *err;
};

static void keep_result(void *context, enum imsg_status status, bool duplicate, struct imsg_error *err)
{
    struct one *one = context;
    one->status = status;
    one->duplicate = duplicate;
    if (status != IMSG_OK && one->err)
        *one->err = *err;
}

enum imsg_status imsg_relay_deliver(struct imsg_relay *relay, const struct imsg_envelope *envelope,
                                    struct imsg_view line, bool *duplicate, struct imsg_error *err)
{
    struct one one = {.status = IMSG_INTERNAL, .err = err};
    imsg_relay_send(relay, envelope, line, keep_result, &one);
    enum imsg_status status = imsg_relay_settle(relay, 0, -1, err);
    if (status == IMSG_OK)
        status = one.status;
    if (status == IMSG_OK && duplicate)
        *duplicate = one.duplicate;
    return status;
}

enum imsg_status imsg_relay_list(struct imsg_relay *relay, const uint8_t token[static 32], struct imsg_waiting *out,
                                 struct imsg_error *err)
{
    char hex[65];
    imsg_hex(token, 32, hex);
    return relay->backend->list(relay->state, hex, out, err);
}

enum imsg_status imsg_relay_fetch(struct imsg_relay *relay, const uint8_t token[static 32], const char *name,
                                  struct imsg_buf *out, struct imsg_error *err)
{
    char hex[65];
    struct imsg_buf line = {0};
    enum imsg_status status;
    if (!imsg_name_is_hash(name)) {
        status = imsg_fail(err, IMSG_MALFORMED, "\"%s\" is not the name of a message", name);
        goto out;
    }
    imsg_hex(token, 32, hex);
    status = relay->backend->fetch(relay->state, hex, name, IMSG_LINE_MAX + 1, &line, err);
    if (status != IMSG_OK)
        goto out;
    if (line.len > 0 && line.ptr[line.len - 1] == '\n')
        line.len--;
    if (line.len == 0 || line.len > IMSG_LINE_MAX || memchr(line.ptr, '\n', line.len))
        status = imsg_fail(err, IMSG_PROTOCOL, "relay \"%s\": message %.8s… is not one line of at most %d bytes",
                           relay->location, name, IMSG_LINE_MAX);
    else
        status = imsg_buf_append(out, line.ptr, line.len, err);
out:
    imsg_buf_free(&line);
    return status;
}

enum imsg_status imsg_relay_acknowledge(struct imsg_relay *relay, const uint8_t token[static 32],
                                        const char *const *names, size_t count, struct imsg_error *err)
{
    char hex[65];
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; i < count; i++)
        if (!imsg_name_is_hash(names[i]))
            return imsg_fail(err, IMSG_MALFORMED, "\"%s\" is not the name of a message", names[i]);
    imsg_hex(token, 32, hex);
    for (size_t at = 0, len; status == IMSG_OK && at < count; at += len) {
        len = count - at < IMSG_RELAY_ACKNOWLEDGE_MAX ? count - at : IMSG_RELAY_ACKNOWLEDGE_MAX;
        status = relay->backend->acknowledge(relay->state, hex, names + at, len, err);
    }
    return status;
}

enum imsg_status imsg_relay_wait(struct imsg_relay *relay, const uint8_t token[static 32], unsigned seconds,
                                 struct imsg_error *err)
{
    char hex[65];
    imsg_hex(token, 32, hex);
    return relay->backend->wait(relay->state, hex, seconds, err);
}

const char *imsg_relay_location(const struct imsg_relay *relay)
{
    return relay->location;
}

void imsg_relay_close(struct imsg_relay *relay)
{
    if (!relay)
        return;
    if (relay->backend)
        relay->backend->close(relay->state);
    free(relay->location);
    free(relay);
}
