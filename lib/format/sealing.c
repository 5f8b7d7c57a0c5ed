/* From a plaintext to a payload for one device, and from an envelope back to a verified message. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "format/format.h"

enum imsg_status imsg_seal_payload(const struct imsg_identity *sender, const struct imsg_device *device,
                                   const struct imsg_seal_how *how, struct imsg_view plaintext, struct imsg_buf *out,
                                   struct imsg_error *err)
{
    const struct imsg_format *format = how->format ? how->format : imsg_format_best(sender, device);
    size_t before = out->len;
    if (!format)
        return imsg_fail(err, IMSG_REFUSED, "the device offers no format that this identity has keys for");
    if (!format->offered_by(device))
        return imsg_fail(err, IMSG_REFUSED, "the device does not offer %s", format->name);
    if (!format->usable_by(sender))
        return imsg_fail(err, IMSG_REFUSED, "this identity has no keys for %s", format->name);
    /* A record with a key that is not signed as it should be is not sealed for in any format. */
    enum imsg_status status = imsg_device_check(device, err);
    if (status == IMSG_OK)
        status = format->seal(sender, device, how->counter, plaintext, out, err);
    if (status == IMSG_OK && how->limit && out->len - before > how->limit) {
        size_t size = out->len - before;
        out->len = before;
        status = imsg_fail(err, IMSG_TOO_LONG, "a payload of %zu bytes is over the device's limit of %llu", size,
                           (unsigned long long)how->limit);
    }
    return status;
}

/* Every failure from the signature on looks like this from outside: telling them apart is a decryption oracle. */
static enum imsg_status refuse(enum imsg_status why, struct imsg_trace *trace, struct imsg_error *err)
{
    if (trace)
        trace->why = why;
    if (why == IMSG_NO_MEMORY || why == IMSG_INTERNAL)
        return why;
    return imsg_fail(err, IMSG_REFUSED, "refused");
}

enum imsg_status imsg_open_payload_traced(struct imsg_identity *identity, const struct imsg_device *sender,
                                          struct imsg_payload payload, struct imsg_buf *plaintext,
                                          struct imsg_trace *trace, struct imsg_error *err)
{
    void *parts = malloc(payload.format->parts_size);
    if (!parts)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = payload.format->parse(payload.bytes, parts, NULL, err);
    if (status != IMSG_OK) {
        if (trace)
            trace->why = status;
        imsg_error_prefix(err, "%s payload", payload.format->name);
        goto out;
    }
    status = payload.format->open(identity, sender, parts, plaintext, trace, err);
    if (status == IMSG_UNSUPPORTED) { /* it shows without a key */
        if (trace)
            trace->why = status;
        imsg_error_prefix(err, "%s payload", payload.format->name);
    } else if (status != IMSG_OK) {
        status = refuse(status, trace, err);
    }
out:
    free(parts);
    return status;
}

enum imsg_status imsg_open_payload(struct imsg_identity *identity, const struct imsg_device *sender,
                                   struct imsg_payload payload, struct imsg_buf *plaintext, struct imsg_error *err)
{
    return imsg_open_payload_traced(identity, sender, payload, plaintext, NULL, err);
}

/* ---- envelopes ---- */

static bool among(const char *handle, char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], handle) == 0)
            return true;
    return false;
}

/* Whether the envelope is from this sender and for this device: what shows before any key is used. With a trace both
 * may be NULL. */
static bool routing_fits(const struct imsg_identity *identity, const struct imsg_device *sender,
                         const struct imsg_envelope *envelope, struct imsg_trace *trace)
{
    char token[2 * IMSG_TOKEN + 1], note[320] = "";
    bool to_token = identity && memcmp(envelope->to_token, identity->token, IMSG_TOKEN) == 0;
    bool to = identity && imsg_identity_has_handle(identity, envelope->to);
    bool from = sender && memcmp(sender->token, envelope->from_token, IMSG_TOKEN) == 0 &&
                imsg_device_has_handle(sender, envelope->from);
    if (trace && identity) {
        imsg_trace_check(trace, "to_token", to_token, "the envelope is for another device");
        imsg_trace_check(trace, "to", to, "the envelope's recipient is not a handle of this device");
    }
    if (trace) {
        imsg_hex(envelope->from_token, IMSG_TOKEN, token);
        snprintf(note, sizeof note, "no record given has handle %.250s and token %.8s…", envelope->from, token);
        imsg_trace_check(trace, "sender", from, note);
    }
    return to_token && to && from;
}

static bool is_same(struct imsg_trace *trace, const char *check, const char *header, const char *envelope)
{
    char note[320] = "";
    bool same = strcmp(header, envelope) == 0;
    if (trace && !same)
        snprintf(note, sizeof note, "the header says %.250s", header);
    return imsg_trace_check(trace, check, same, note);
}

/* The envelope's routing is unauthenticated: it must say what the sealed header says (format.md §7). */
static bool header_agrees(const struct imsg_message *message, const struct imsg_envelope *envelope,
                          struct imsg_trace *trace)
{
    bool id = is_same(trace, "header_id", message->id, envelope->id);
    bool from = is_same(trace, "header_from", message->from, envelope->from);
    bool time = is_same(trace, "header_time", message->time, envelope->time);
    bool to = imsg_trace_check(trace, "header_to",
                               among(envelope->to, message->to, message->to_count) ||
                                   strcmp(envelope->to, message->from) == 0,
                               "the envelope's recipient is not in the header");
    /* Nobody speaks into a group that he is not in. */
    bool group = !message->group_id ||
                 imsg_trace_check(trace, "group", imsg_message_group_fits(message),
                                  message->receipt ? "a receipt belongs to no group"
                                                   : "the group's id is not that of these participants and this name");
    return id && from && time && to && group;
}

/* The payload, with all that is known. In an envelope for another device the steps with this identity's keys are of
 * interest only where they fit. */
static enum imsg_status open_routed(struct imsg_identity *identity, const struct imsg_device *sender,
                                    const struct imsg_envelope *envelope, struct imsg_buf *plaintext,
                                    struct imsg_trace *trace, struct imsg_error *err)
{
    struct imsg_payload payload = {envelope->format, imsg_buf_view(&envelope->payload)};
    size_t mark = imsg_trace_mark(trace);
    enum imsg_status status = imsg_open_payload_traced(identity, sender, payload, plaintext, trace, err);
    if (trace && !trace->key_fits && identity && memcmp(envelope->to_token, identity->token, IMSG_TOKEN) != 0) {
        imsg_trace_cut(trace, mark);
        status = imsg_open_payload_traced(NULL, sender, payload, plaintext, trace, err);
    }
    return status;
}

enum imsg_status imsg_open_envelope_traced(struct imsg_identity *identity, const struct imsg_device *sender,
                                           const struct imsg_envelope *envelope, struct imsg_message *message,
                                           struct imsg_trace *trace, struct imsg_error *err)
{
    struct imsg_message opened = {0};
    struct imsg_buf plaintext = {0};
    struct imsg_error header_err = {0};
    enum imsg_status status = IMSG_REFUSED;
    bool routed = routing_fits(identity, sender, envelope, trace);
    if (!routed && !trace)
        return refuse(status, trace, err);
    status = open_routed(identity, sender, envelope, &plaintext, trace, err);
    /* With a trace also what was decrypted after a check had failed. */
    const struct imsg_step *decrypted = trace ? imsg_trace_find(trace, "plaintext", IMSG_STEP_VALUE) : NULL;
    if (status == IMSG_OK || decrypted) {
        struct imsg_view bytes = imsg_buf_view(decrypted ? &decrypted->bytes : &plaintext);
        enum imsg_status header = imsg_message_parse(bytes, &opened, &header_err);
        imsg_trace_check(trace, "message", header == IMSG_OK, header_err.text);
        if (header == IMSG_OK && !header_agrees(&opened, envelope, trace))
            header = IMSG_REFUSED;
        if (status == IMSG_OK && header != IMSG_OK)
            status = refuse(header, trace, err);
    }
    if (!routed)
        status = refuse(IMSG_REFUSED, trace, err);
    if (status == IMSG_OK) {
        size_t content = plaintext.len - opened.content.len; /* the same place, in our copy */
        opened.content = imsg_view_of(plaintext.ptr + content, opened.content.len);
        opened.plaintext = plaintext;
        *message = opened;
        return IMSG_OK;
    }
    imsg_message_free(&opened);
    imsg_buf_free(&plaintext);
    return status;
}

enum imsg_status imsg_open_envelope(struct imsg_identity *identity, const struct imsg_device *sender,
                                    const struct imsg_envelope *envelope, struct imsg_message *message,
                                    struct imsg_error *err)
{
    return imsg_open_envelope_traced(identity, sender, envelope, message, NULL, err);
}
