/* What the files that seal share. */
#ifndef IMSG_CLIENT_SEAL_H
#define IMSG_CLIENT_SEAL_H

#include "client/client.h"

struct imsg_target {
    const struct imsg_device *device;
    const char *to; /* as the envelope says it */
    const struct imsg_format *format;
    uint32_t counter;
    bool left_out; /* its record is at fault, which an event told */
};

/* What is known of a handle that was looked up. */
struct imsg_person {
    char *handle;
    struct imsg_devices devices;
    bool proven;                       /* every record has passed imsg_device_verify; else each is verified */
    char account[IMSG_THUMBPRINT + 1]; /* who signed the entry */
    bool copies_judged, may_copy;      /* of the sender himself: whether his other devices get copies */
};

/* Tell what failed for one recipient of the draft, who is left out. */
void imsg_draft_leave_out(const struct imsg_sealer *sealer, struct imsg_draft *draft, const struct imsg_error *err);

#endif
