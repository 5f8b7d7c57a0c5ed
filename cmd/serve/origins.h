/* The origins that this server answers for, and its certificate. */
#ifndef IMSG_SERVE_ORIGINS_H
#define IMSG_SERVE_ORIGINS_H

#include "imsg.h"

#define PEM_MAX 1048576 /* bytes of a certificate or key file */

struct origins {
    char **items;
    size_t count;
};
/* Lower case, no default port. IMSG_CONFIG: not http(s)://host[:port]. */
IMSG_CHECK enum imsg_status origins_add(struct origins *origins, const char *origin, struct imsg_error *err);
/* https://NAME:PORT for each name of the certificate. */
IMSG_CHECK enum imsg_status origins_of_certificate(struct origins *origins, struct imsg_view pem, unsigned port,
                                                   struct imsg_error *err);
bool origins_has(const struct origins *origins, const char *origin);
void origins_free(struct origins *origins);
/* DATA/cert.pem and DATA/key.pem, made where they are missing. */
IMSG_CHECK enum imsg_status certificate_own(const char *folder, struct imsg_buf *cert, struct imsg_buf *key,
                                            struct imsg_error *err);

#endif
