/* Shared by the files that check a device's keys once and use them often. */
#ifndef IMSG_FORMAT_DEVICE_H
#define IMSG_FORMAT_DEVICE_H

#include "imsg.h"

/* imsg_prekey_verify where the device key's point is known; the prekey's goes to `point`. */
IMSG_CHECK enum imsg_status imsg_prekey_verify_by(const struct imsg_prekey *prekey, const uint8_t device[static 65],
                                                  uint8_t point[static 65], struct imsg_error *err);
/* The prekey's point of a device that offers "pair-ec", after imsg_device_check said yes. The device's. */
const uint8_t *imsg_device_prekey(const struct imsg_device *device);

#endif
