/* What the verbs of /3/device share: path, sender, mailbox. */
#include "serve/device.h"

#include <string.h>

#include "serve/reply.h"
#include "serve/serve.h"

bool device_path(struct request *request, uint8_t token[static 32], const char **after)
{
    bool good = hash_decode(request->tail, token);
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
    if (!device_mailbox(request, token, &mailbox) || !authorize_sender(request))
        return false;
    if (memcmp(token, request->sender, IMSG_TOKEN) != 0) {
        request->serve->metrics.refused_tokens++;
        reply_reason(request, MHD_HTTP_FORBIDDEN, "InvalidProviderToken");
        return false;
    }
    return true;
}
