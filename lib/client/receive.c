#include "imsg-client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "imsg-net.h"

#define BATCH_MAX IMSG_RELAY_ACKNOWLEDGE_MAX
#define BATCH_BYTES ((size_t)8 << 20) /* of lines; memory stays the same whatever waits */

struct batch {
    struct imsg_arrival arrivals[BATCH_MAX];
    struct imsg_buf lines[BATCH_MAX]; /* what the arrivals' lines point into */
    const char *waiting[BATCH_MAX];   /* their names at the relay, borrowed */
    size_t count, bytes;
};

static void clear_batch(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        imsg_buf_free(&batch->lines[i]);
    batch->count = batch->bytes = 0;
}

void imsg_receiver_free(struct imsg_receiver *receiver)
{
    imsg_strings_free(receiver->known, receiver->known_count);
    receiver->known = NULL;
    receiver->known_count = 0;
}

/* ---- handing out ---- */

static enum imsg_status hand_out(struct imsg_receiver *receiver, const char *name, bool again, struct imsg_error *err)
{
    struct imsg_handed message = {.name = name, .fd = -1, .again = again};
    enum imsg_status status = imsg_inbox_claim(receiver->inbox, name, &message.fd, err);
    if (status != IMSG_OK || message.fd < 0)
        return status;
    status = receiver->hand_out(receiver->context, &message, err);
    if (status == IMSG_OK && !message.stays)
        status = imsg_inbox_finish(receiver->inbox, name, err);
    close(message.fd);
    return status;
}

enum imsg_status imsg_receive_again(struct imsg_receiver *receiver, struct imsg_error *err)
{
    struct imsg_stored *list = NULL;
    size_t count = 0;
    enum imsg_status status = imsg_inbox_list(receiver->inbox, &list, &count, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        /* A process that ended right after it stored the message has not remembered it, and the relay still has it. */
        status = imsg_inbox_remember(receiver->inbox, list[i].name, err);
        if (status == IMSG_OK)
            status = hand_out(receiver, list[i].name, true, err);
    }
    imsg_inbox_list_free(list, count);
    return status;
}

/* ---- from the relay ---- */

static bool was_rejected(const struct imsg_receiver *receiver, const char *waiting)
{
    for (size_t i = 0; i < receiver->known_count; i++)
        if (strcmp(receiver->known[i], waiting) == 0)
            return true;
    return false;
}

static void reject(struct imsg_receiver *receiver, const char *waiting, const struct imsg_error *err)
{
    if (receiver->rejected)
        receiver->rejected(receiver->context, waiting, err);
    char **grown = realloc(receiver->known, (receiver->known_count + 1) * sizeof *grown);
    if (!grown)
        return;
    receiver->known = grown;
    if (imsg_strdup(waiting, &grown[receiver->known_count], NULL) == IMSG_OK)
        receiver->known_count++;
}

static bool is_bad_message(enum imsg_status status)
{
    return status == IMSG_MALFORMED || status == IMSG_UNSUPPORTED || status == IMSG_REFUSED || status == IMSG_PROTOCOL;
}

static enum imsg_status fetch_message(struct imsg_receiver *receiver, const char *waiting, struct batch *batch,
                                      struct imsg_error *err)
{
    struct imsg_arrival *arrival = &batch->arrivals[batch->count];
    struct imsg_buf *line = &batch->lines[batch->count];
    struct imsg_envelope envelope = {0};
    *line = (struct imsg_buf){0};
    enum imsg_status status = imsg_relay_fetch(receiver->relay, receiver->token, waiting, line, err);
    if (status == IMSG_OK)
        status = imsg_envelope_parse(imsg_buf_view(line), &envelope, err);
    if (status == IMSG_OK && memcmp(envelope.to_token, receiver->token, IMSG_TOKEN) != 0)
        status = imsg_fail(err, IMSG_REFUSED, "an envelope for another device");
    imsg_hex(envelope.name, sizeof envelope.name, arrival->name);
    /* Under another name something else may be there by the time that it is acknowledged. */
    if (status == IMSG_OK && strcmp(arrival->name, waiting) != 0)
        status = imsg_fail(err, IMSG_PROTOCOL, "an envelope whose name is %.8s…", arrival->name);
    if (status == IMSG_OK)
        status = imsg_buf_text(line, "\n", err);
    if (status == IMSG_OK) {
        arrival->line = imsg_buf_view(line);
        batch->bytes += line->len;
        batch->waiting[batch->count++] = waiting;
    } else {
        imsg_buf_free(line);
    }
    imsg_envelope_free(&envelope);
    return status;
}

/* Up to `most` of what waits, from *next on. What is no message stays at the relay and does not stop the rest. */
static enum imsg_status fetch_batch(struct imsg_receiver *receiver, const struct imsg_waiting *waiting, size_t *next,
                                    size_t most, struct batch *batch, struct imsg_error *err)
{
    for (; *next < waiting->count && batch->count < most && batch->bytes < BATCH_BYTES; ++*next) {
        const char *name = waiting->names[*next];
        if (was_rejected(receiver, name))
            continue;
        enum imsg_status status = fetch_message(receiver, name, batch, err);
        if (is_bad_message(status))
            reject(receiver, name, err);
        else if (status != IMSG_OK && status != IMSG_NO_INPUT) /* gone: another process took it meanwhile */
            return status;
    }
    return IMSG_OK;
}

static enum imsg_status deliver_batch(struct imsg_receiver *receiver, struct batch *batch, struct imsg_error *ack_err,
                                      struct imsg_error *err)
{
    struct imsg_error later = {0};
    enum imsg_status status = imsg_inbox_store(receiver->inbox, batch->arrivals, batch->count, err);
    if (status != IMSG_OK)
        return status;
    /* What is stored is handed out even where the relay cannot be told. */
    if (imsg_relay_acknowledge(receiver->relay, receiver->token, batch->waiting, batch->count, &later) != IMSG_OK &&
        ack_err->status == IMSG_OK)
        *ack_err = later;
    for (size_t i = 0; status == IMSG_OK && i < batch->count; i++) {
        const struct imsg_arrival *arrival = &batch->arrivals[i];
        if (!arrival->fresh && receiver->repeated)
            receiver->repeated(receiver->context, arrival->name);
        /* Also what was stored before: that process may have ended before it handed it out. */
        status = hand_out(receiver, arrival->name, !arrival->fresh, err);
    }
    return status;
}

enum imsg_status imsg_receive(struct imsg_receiver *receiver, size_t *taken, bool *more, struct imsg_error *err)
{
    struct imsg_waiting waiting = {0};
    struct imsg_error ack_err = {0}, fetch_err = {0};
    struct batch *batch = calloc(1, sizeof *batch);
    enum imsg_status status = batch ? imsg_relay_list(receiver->relay, receiver->token, &waiting, err)
                                    : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (size_t next = 0, most = 1; status == IMSG_OK && next < waiting.count;) {
        enum imsg_status fetched = fetch_batch(receiver, &waiting, &next, most, batch, &fetch_err);
        if (batch->count > 0)
            status = deliver_batch(receiver, batch, &ack_err, err);
        if (status == IMSG_OK)
            *taken += batch->count;
        if (status == IMSG_OK && fetched != IMSG_OK) {
            status = fetched;
            if (err)
                *err = fetch_err;
        }
        clear_batch(batch);
        most = 2 * most < BATCH_MAX ? 2 * most : BATCH_MAX;
    }
    if (status == IMSG_OK && ack_err.status != IMSG_OK) {
        status = ack_err.status;
        if (err)
            *err = ack_err;
    }
    *more = waiting.more;
    imsg_waiting_free(&waiting);
    free(batch);
    return status;
}
