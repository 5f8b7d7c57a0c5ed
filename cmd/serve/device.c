/* What the verbs of /3/device share: path, sender, mailbox. */
#include "serve/device.h"

#include <string.h>

#include "serve/reply.h"
#include "serve/serve.h"

#define LINE_MAX_BYTES 32768 /* of an envelope: base64 of the largest payload, and room for what stands around it */
#define NAME_LINE 65         /* bytes: 64 hex digits and a newline */

bool device_path(struct request *request, uint8_t token[static 32], const char **after)
{
    bool good = route_hash(request->tail, token);
    if (good)
        *after = request->tail + 64;
    else
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadDeviceToken");
    return good;
}

bool device_mailbox(struct request *request, const uint8_t token[static 32], struct mailbox *out)
{
    struct imsg_error err = {0};
    enum imsg_status status = storage_read_mailbox(request->serve->storage, token, out, &err);
    if (status != IMSG_OK) {
        cli_note(request->serve->cli, "%s", err.text);
        reply_failure(request, status);
    } else if (out->limit == 0) {
        reply_unregistered(request, out->gone);
    }
    return status == IMSG_OK && out->limit > 0;
}

bool device_is_own(struct request *request, const uint8_t token[static 32])
{
    struct mailbox mailbox;
    if (!authorize_sender(request))
        return false;
    if (memcmp(token, request->sender, IMSG_TOKEN) != 0) {
        request->serve->metrics.refused_tokens++;
        reply_reason(request, MHD_HTTP_FORBIDDEN, "InvalidProviderToken");
        return false;
    }
    return device_mailbox(request, token, &mailbox);
}

const struct verb device_verbs[] = {
    {.method = "POST",
     .suffix = "/acknowledge",
     .body_max = IMSG_RELAY_ACKNOWLEDGE_MAX * NAME_LINE,
     .state_size = sizeof(struct acknowledgement),
     .begin = acknowledge_many_begin,
     .end = acknowledge_many_end,
     .woken = acknowledge_woken},
    {.method = "POST",
     .body_max = LINE_MAX_BYTES,
     .state_size = sizeof(struct delivery),
     .begin = delivery_begin,
     .end = delivery_end,
     .woken = delivery_woken},
    {.method = "GET", .state_size = sizeof(struct fetch), .end = fetch_end, .woken = fetch_woken},
    {.method = "DELETE",
     .state_size = sizeof(struct acknowledgement),
     .end = acknowledge_one_end,
     .woken = acknowledge_woken},
    {.method = NULL},
};
