/* envelope/1: a payload with its routing, readable by everybody, authenticated by nothing (format.md §7). */
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/format.h"
#include "format/member.h"

#define AT(member) offsetof(struct imsg_envelope, member)

static const struct imsg_member members[] = {
    IMSG_ROW("id", UUID, REQUIRED, AT(id)),
    IMSG_ROW("from", HANDLE, REQUIRED, AT(from)),
    IMSG_ROW("from_token", HEX, REQUIRED, AT(from_token), .len = IMSG_TOKEN),
    IMSG_ROW("to", HANDLE, REQUIRED, AT(to)),
    IMSG_ROW("to_token", HEX, REQUIRED, AT(to_token), .len = IMSG_TOKEN),
    IMSG_ROW("format", FORMAT, REQUIRED, AT(format)),
    IMSG_ROW("time", TIME, REQUIRED, AT(time)),
    IMSG_ROW("relay", RELAY, OPTIONAL, AT(relay)),
    IMSG_ROW("payload", PAYLOAD, REQUIRED, AT(payload), .max = IMSG_PAYLOAD_MAX),
    {0},
};

/* Of everything that the envelope says, so that nobody who saw a payload can take its place with another id or time. */
static enum imsg_status set_name(void *out, struct imsg_error *err)
{
    struct imsg_envelope *envelope = out;
    char from_token[2 * IMSG_TOKEN + 1], to_token[2 * IMSG_TOKEN + 1];
    imsg_hex(envelope->from_token, IMSG_TOKEN, from_token);
    imsg_hex(envelope->to_token, IMSG_TOKEN, to_token);
    const struct imsg_view parts[] = {
        imsg_view_str(envelope->id),   imsg_view_str(envelope->from),
        imsg_view_str(from_token),     imsg_view_str(envelope->to),
        imsg_view_str(to_token),       imsg_view_str(imsg_format_name(envelope->format)),
        imsg_view_str(envelope->time), imsg_buf_view(&envelope->payload),
    };
    return imsg_sha256_sized("imsg envelope/1\n", parts, sizeof parts / sizeof parts[0], envelope->name, err);
}

static const struct imsg_document document = {
    .kind = "envelope/1", .members = members, .size = sizeof(struct imsg_envelope), .complete = set_name};

enum imsg_status imsg_envelope_parse(struct imsg_view line, struct imsg_envelope *out, struct imsg_error *err)
{
    struct imsg_envelope envelope = {0};
    json_t *object = NULL;
    enum imsg_status status = imsg_json_document(line, IMSG_LINE_MAX, document.kind, &object, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_document_read(&document, object, &envelope, err);
    if (status == IMSG_OK)
        *out = envelope;
    else
        imsg_error_prefix(err, "envelope");
    json_decref(object);
    return status;
}

void imsg_envelope_free(struct imsg_envelope *envelope)
{
    imsg_document_free(&document, envelope);
}

enum imsg_status imsg_envelope_print(const struct imsg_envelope *envelope, struct imsg_buf *out, struct imsg_error *err)
{
    return imsg_document_print(&document, envelope, out, err);
}
