/* envelope/1: a payload with its routing, readable by everybody, authenticated by nothing (formats.md §7). */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/document.h"

static enum imsg_status parse_payload(const json_t *object, struct imsg_envelope *envelope, struct imsg_error *err)
{
    const char *text = NULL;
    enum imsg_status status = imsg_json_peek(object, "payload", IMSG_REQUIRED, &text, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_base64_decode(imsg_view_str(text), &envelope->payload, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "payload");
        return status;
    }
    if (envelope->payload.len == 0 || envelope->payload.len > IMSG_PAYLOAD_MAX)
        return imsg_fail(err, IMSG_MALFORMED, "payload of %zu bytes, not 1 to %d", envelope->payload.len,
                         IMSG_PAYLOAD_MAX);
    return imsg_sha256(imsg_buf_view(&envelope->payload), envelope->hash, err);
}

static enum imsg_status parse_members(const json_t *object, struct imsg_envelope *envelope, struct imsg_error *err)
{
    const char *format = NULL;
    enum imsg_status status = imsg_json_uuid(object, "id", IMSG_REQUIRED, &envelope->id, err);
    if (status == IMSG_OK)
        status = imsg_json_handle(object, "from", IMSG_REQUIRED, &envelope->from, err);
    if (status == IMSG_OK)
        status = imsg_json_hex(object, "from_token", IMSG_REQUIRED, envelope->from_token, IMSG_TOKEN, NULL, err);
    if (status == IMSG_OK)
        status = imsg_json_handle(object, "to", IMSG_REQUIRED, &envelope->to, err);
    if (status == IMSG_OK)
        status = imsg_json_hex(object, "to_token", IMSG_REQUIRED, envelope->to_token, IMSG_TOKEN, NULL, err);
    if (status == IMSG_OK)
        status = imsg_json_peek(object, "format", IMSG_REQUIRED, &format, err);
    if (status == IMSG_OK && (envelope->format = imsg_format_of(format)) == IMSG_FORMAT_NONE)
        status = imsg_fail(err, IMSG_UNSUPPORTED, "format \"%.64s\" is not known", format);
    if (status == IMSG_OK)
        status = imsg_json_time(object, "time", IMSG_REQUIRED, &envelope->time, err);
    if (status == IMSG_OK)
        status = imsg_json_relay(object, &envelope->relay, err);
    return status == IMSG_OK ? parse_payload(object, envelope, err) : status;
}

enum imsg_status imsg_envelope_parse(struct imsg_view line, struct imsg_envelope *out, struct imsg_error *err)
{
    struct imsg_envelope envelope = {0};
    enum imsg_status status = imsg_json_document(line, IMSG_LINE_MAX, "envelope/1", &envelope.json, err);
    if (status == IMSG_OK) {
        status = parse_members(envelope.json, &envelope, err);
        if (status != IMSG_OK) {
            if (err)
                err->has_offset = false; /* of a member, not of the line */
            imsg_error_prefix(err, "envelope");
        }
    }
    if (status != IMSG_OK)
        imsg_envelope_free(&envelope);
    else
        *out = envelope;
    return status;
}

void imsg_envelope_free(struct imsg_envelope *envelope)
{
    json_decref(envelope->json);
    free(envelope->id);
    free(envelope->from);
    free(envelope->to);
    free(envelope->time);
    free(envelope->relay);
    imsg_buf_free(&envelope->payload);
    *envelope = (struct imsg_envelope){0};
}

enum imsg_status imsg_envelope_print(const char *id, const char *from, const uint8_t from_token[static 32],
                                     const char *to, const uint8_t to_token[static 32], enum imsg_format format,
                                     const char *time, const char *relay, struct imsg_view payload,
                                     struct imsg_buf *out, struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_document_new("envelope/1", &object, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "id", id, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "from", from, err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "from_token", imsg_view_of(from_token, IMSG_TOKEN), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "to", to, err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "to_token", imsg_view_of(to_token, IMSG_TOKEN), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "format", imsg_format_name(format), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "time", time, err);
    if (status == IMSG_OK && relay)
        status = imsg_json_set_string(object, "relay", relay, err);
    if (status == IMSG_OK)
        status = imsg_json_set_base64(object, "payload", payload, err);
    if (status == IMSG_OK)
        status = imsg_document_line(object, out, err);
    json_decref(object);
    return status;
}
