/* The verbs of /3/device. */
#include "serve/device.h"

#include "imsg-net.h"

#define LINE_MAX_BYTES 32768 /* of an envelope: base64 of the largest payload, and room for what stands around it */
#define NAME_LINE 65         /* bytes: 64 hex digits and a newline */

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
