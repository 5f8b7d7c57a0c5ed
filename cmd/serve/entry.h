/* /imsg/v1/h/xx/HASH.json: the directory. */
#ifndef IMSG_SERVE_ENTRY_H
#define IMSG_SERVE_ENTRY_H

#include "serve/request.h"

enum registration { REGISTER_DEFAULT, REGISTER_OPEN, REGISTER_INVITE, REGISTER_CLOSED };
extern const struct verb entry_verbs[]; /* ends with a NULL method */

#endif
