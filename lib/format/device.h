/* Public keys in records: what is needed of them beyond imsg.h. */
#ifndef IMSG_FORMAT_DEVICE_H
#define IMSG_FORMAT_DEVICE_H

#include "format/layout.h"
#include "format/member.h"

extern const struct imsg_document imsg_device_document;

/* imsg_prekey_verify where the device key's point is known; the prekey's goes to `point`: to find it again costs as
 * much as a signature. */
IMSG_CHECK enum imsg_status imsg_prekey_verify_by(const struct imsg_prekey *prekey, const uint8_t device[static 65],
                                                  uint8_t point[static 65], struct imsg_error *err);
enum { IMSG_PREKEY_TIME = 3 }; /* the field's number */
/* The fields of what is meant as a prekey record, as far as they can be read. */
void imsg_prekey_lay_out(struct imsg_view bytes, struct imsg_layout *layout);
/* The Unix time that a prekey's 8 bytes of time stand for; any double, not a number included. */
double imsg_prekey_seconds(const uint8_t time_bytes[static 8]);
/* The same for a public identity. */
void imsg_public_identity_lay_out(struct imsg_view bytes, struct imsg_layout *layout);

#endif
