/* /store/SHA256: ciphertexts. */
#ifndef IMSG_SERVE_STORE_H
#define IMSG_SERVE_STORE_H

#include "serve/request.h"

struct serve;
extern const struct verb store_verbs[]; /* ends with a NULL method */

/* ---- blobs.c: the files of the store as a whole ---- */

/* DATA/store/xx/HASH */
IMSG_CHECK enum imsg_status blob_path(const struct serve *serve, const uint8_t hash[static 32], char **path,
                                      struct imsg_error *err);
/* Delete what uploads left behind, and make files and rows agree. */
IMSG_CHECK enum imsg_status blobs_start(struct serve *serve, struct imsg_error *err);
/* Delete blobs whose time is over. */
void blobs_expire(struct serve *serve);

#endif
