/* /store/SHA256: ciphertexts. */
#ifndef IMSG_SERVE_STORE_H
#define IMSG_SERVE_STORE_H

#include "serve/request.h"
#include "serve/tokens.h"

struct serve;
extern const struct verb store_verbs[]; /* ends with a NULL method */

/* ---- quota.c: room for blobs. In this process's memory: bytes of files, and what uploads under way reserved ---- */

struct quota {
    pthread_mutex_t lock;
    struct tokens devices;   /* of struct reserved */
    uint64_t used, reserved; /* bytes of all files; announced by all uploads under way */
    uint64_t max, device_max;
};
IMSG_CHECK enum imsg_status quota_start(struct quota *quota, struct imsg_error *err);
void quota_free(struct quota *quota);
/* Reserve room for a device that has `stored` bytes in the store. False: there is none, or no memory. */
IMSG_CHECK bool quota_reserve(struct quota *quota, const uint8_t token[static 32], uint64_t stored, uint64_t bytes);
/* Give back what was reserved. */
void quota_release(struct quota *quota, const uint8_t token[static 32], uint64_t bytes);
/* Files came, or went. */
void quota_add_used(struct quota *quota, int64_t bytes);
uint64_t quota_used(struct quota *quota);

/* ---- blobs.c: the files of the store as a whole ---- */

/* DATA/store/xx/HASH */
IMSG_CHECK enum imsg_status blob_path(const struct serve *serve, const uint8_t hash[static 32], char **path,
                                      struct imsg_error *err);
/* Delete what uploads left behind, and make files and rows agree. */
IMSG_CHECK enum imsg_status blobs_start(struct serve *serve, struct imsg_error *err);
/* Delete blobs whose time is over. */
void blobs_expire(struct serve *serve);

#endif
