/* imsg-keygen's own parts: fingerprints (fingerprints.c), and all else (imsg-keygen.c). */
#ifndef IMSG_CMD_KEYGEN_H
#define IMSG_CMD_KEYGEN_H

#include "cli/cli.h"

struct keygen {
    struct cli cli;
    const char *output, *name, *relay, *identity, *account;
};

/* -F: print the fingerprints of the identity and of the account key. */
IMSG_CHECK enum imsg_status keygen_fingerprints(struct keygen *run, struct imsg_error *err);

#endif
