/* The message counters of "pair-ec" (docs/format.md §5): how many messages this device has sealed for a prekey of a
 * device.
 *
 * They are in the file `counters` of the home, 8192 sets of 8 slots of 16 bytes:
 *
 *     tag      12 bytes   bytes 4 to 15 of SHA-256(own device_x || recipient's device_x || recipient's prekey_x)
 *     counter   4 bytes   the next one, big endian
 *
 * A counter's set is the number in bytes 0 to 3 of that hash modulo 8192; a slot of zeros is free. Each set has its
 * slots in the order of their last use. A counter that is used moves to the front of its set; a new one goes there too,
 * and the last slot of a full set falls out: that counter begins at 0 again. So sealing for one device reads and writes
 * 128 bytes, whatever the file holds. The file is sparse, and never over 1 MiB.
 *
 * A counter is information for the receiver, nothing rests on it. So the file is not synced, and one of another size is
 * replaced. */
#ifndef IMSG_CLIENT_COUNTERS_H
#define IMSG_CLIENT_COUNTERS_H

#include "imsg.h"

/* The next counter for each of the devices, in their order; one that is there twice counts twice. Both reading and
 * writing are under a lock on the file, so that processes do not give out a counter twice. Whatever the status,
 * counters has `count` values to seal with, 0 where they could not be read; unless it is IMSG_OK, they may come again.
 * IMSG_TEMPORARY: another process has had the lock for two seconds. */
IMSG_CHECK enum imsg_status imsg_counters_take(const char *home, const uint8_t own_x[static 32],
                                               const struct imsg_device *const *devices, size_t count,
                                               uint32_t *counters, struct imsg_error *err);

#endif
