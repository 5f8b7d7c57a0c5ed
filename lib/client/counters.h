/* The counters of pair-ec (formats.md §5), kept in the home. */
#ifndef IMSG_CLIENT_COUNTERS_H
#define IMSG_CLIENT_COUNTERS_H

#include "imsg.h"

/* The next counter for each of the devices. They are written back without fsync: sending never fails for them.
 * false: they could not be kept, and may repeat. */
bool imsg_counters_take(const char *home, const uint8_t own_x[static 32], const struct imsg_device *const *devices,
                        size_t count, uint32_t *counters);

#endif
