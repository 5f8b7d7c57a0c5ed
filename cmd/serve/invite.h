/* Invite codes. */
#ifndef IMSG_SERVE_INVITE_H
#define IMSG_SERVE_INVITE_H

#include "imsg.h"

#define INVITE_CODE 20 /* characters */

struct storage;
/* Make a code and store its hash. */
IMSG_CHECK enum imsg_status invite_make(struct storage *storage, char code[static INVITE_CODE + 1],
                                        struct imsg_error *err);
IMSG_CHECK enum imsg_status invite_hash(const char *code, uint8_t hash[static 32], struct imsg_error *err);

#endif
