/* The failures that are counted so that a short tag cannot be guessed: those of payloads that the sender signed. A bad
 * signature is found without a secret, and counts for nobody. */
#include <string.h>

#include "client/once.h"
#include "client/open.h"
#include "format/format.h"

/* By its signature, where that shows without a private key. */
static bool is_signed(const struct imsg_opening *opening)
{
    const struct imsg_envelope *envelope = &opening->opened.envelope;
    return imsg_format_may_be_from(envelope->format, imsg_buf_view(&envelope->payload), opening->sender);
}

enum imsg_status imsg_opening_hold(struct imsg_opener *opener, struct imsg_opening *opening, struct imsg_error *err)
{
    const struct imsg_envelope *envelope = &opening->opened.envelope;
    size_t count = 0;
    imsg_opener_account(opener, envelope, opening->account);
    if (envelope->format->failures_a_day == 0)
        return IMSG_OK;
    enum imsg_status status = imsg_failures_count(opener->client, opening->account, &count, err);
    opening->held = status == IMSG_OK && count >= envelope->format->failures_a_day;
    return status;
}

void imsg_opening_refuse_held(struct imsg_opening *opening)
{
    const struct imsg_envelope *envelope = &opening->opened.envelope;
    if (is_signed(opening))
        opening->status =
            imsg_fail(&opening->err, IMSG_TEMPORARY, "\"%s\" messages from %s wait: too many did not open in a day",
                      imsg_format_name(envelope->format), envelope->from);
    else
        opening->status = imsg_fail(&opening->err, IMSG_REFUSED, "refused");
}

void imsg_opening_judge(struct imsg_opening *opening)
{
    struct imsg_opened *opened = &opening->opened;
    struct imsg_error err;
    if (opening->status != IMSG_OK && opening->status != IMSG_REFUSED)
        return;
    enum imsg_status status = imsg_envelope_replay_key(&opened->envelope, opened->replay, &err);
    if (opening->status == IMSG_REFUSED) {
        opening->failed = status == IMSG_OK && opened->envelope.format->failures_a_day > 0 && is_signed(opening);
    } else if (status != IMSG_OK) {
        opening->status = status;
        opening->err = err;
    }
}

enum imsg_status imsg_opening_count(struct imsg_opener *opener, const struct imsg_opening *opening,
                                    struct imsg_error *err)
{
    const uint8_t *replay = opening->opened.replay;
    bool recorded = false;
    if (opening->status == IMSG_OK)
        return imsg_failures_begin(opener->client, opening->account, err);
    if (!opening->failed)
        return IMSG_OK;
    /* What opened once is no guess, whatever envelope is around it now. */
    enum imsg_status status = imsg_once_look_up(opener->client, replay, &recorded, err);
    return status == IMSG_OK && !recorded ? imsg_failures_add(opener->client, opening->account, replay, err) : status;
}
