/* Shared by identity.c and identity_make.c. */
#ifndef IMSG_FORMAT_IDENTITY_H
#define IMSG_FORMAT_IDENTITY_H

#include "imsg.h"

/* Fill in has_pair, has_pair_ec, identity and device_x from the keys. */
IMSG_CHECK enum imsg_status imsg_identity_derive(struct imsg_identity *identity, struct imsg_error *err);

#endif
