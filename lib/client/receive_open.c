/* Receiving and opening in one: the inbox of the client's home, and an opener for what comes out of it. */
#include <string.h>

#include "client/open.h"

#define WAIT_SECONDS 60 /* at most, for one answer of the relay */

static enum imsg_status open_stored(void *context, struct imsg_handed *message, struct imsg_error *err)
{
    struct imsg_opener *opener = context;
    const struct imsg_input input = {.fd = message->fd, .name = message->name};
    opener->retry = message->again ? message->name : NULL;
    opener->postponed = false;
    enum imsg_status status = imsg_open_input(opener, &input, err);
    opener->retry = NULL;
    message->stays = opener->postponed;
    return status;
}

static void tell_rejected(void *context, const char *waiting, const struct imsg_error *err)
{
    (void)waiting;
    imsg_opener_tell(context, 0, false, err);
}

static enum imsg_status receive(struct imsg_receiver *receiver, bool wait, struct imsg_error *err)
{
    enum imsg_status status = imsg_receive_again(receiver, err);
    bool more = true;
    while (status == IMSG_OK && (more || wait)) {
        size_t taken = 0;
        status = imsg_receive(receiver, &taken, &more, err);
        if (status == IMSG_OK && wait && taken == 0)
            status = imsg_relay_wait(receiver->relay, receiver->token, WAIT_SECONDS, err);
    }
    return status;
}

enum imsg_status imsg_receive_and_open(struct imsg_opener *opener, struct imsg_relay *relay, bool wait,
                                       struct imsg_error *err)
{
    struct imsg_inbox inbox = {0};
    struct imsg_receiver receiver = {
        .inbox = &inbox, .relay = relay, .hand_out = open_stored, .rejected = tell_rejected, .context = opener};
    struct imsg_identity *identity;
    const char *home = NULL;
    enum imsg_status status = imsg_client_identity(opener->client, &identity, err);
    if (status == IMSG_OK) {
        memcpy(receiver.token, identity->token, sizeof receiver.token);
        status = imsg_client_home(opener->client, &home, err);
    }
    if (status == IMSG_OK)
        status = imsg_inbox_open(&inbox, home, err);
    if (status == IMSG_OK)
        status = receive(&receiver, wait, err);
    imsg_receiver_free(&receiver);
    imsg_inbox_free(&inbox);
    return status;
}
