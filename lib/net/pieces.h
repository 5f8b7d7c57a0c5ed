/* What happens to a ciphertext on its way in or out, in one pass: both hashes of it, and it is written, decrypted first
 * on the way in. The three run beside each other and beside the reading of the next pieces. Other threads help only
 * with what is large: they begin after the first MiB. */
#ifndef IMSG_NET_PIECES_H
#define IMSG_NET_PIECES_H

#include "imsg.h"

#define IMSG_PIECE ((size_t)512 << 10) /* bytes of one read or write */

struct imsg_pieces_plan {
    int fd; /* where to write, from its position on */
    const uint8_t
        *key; /* 32 bytes: decrypt what is written there (AES-256-CTR, counter from 0); NULL: write it as it is */
    int part; /* a second file, which gets the ciphertext; -1: none */
    unsigned threads; /* the caller's own counted */
};
struct imsg_pieces;
IMSG_CHECK enum imsg_status imsg_pieces_new(const struct imsg_pieces_plan *plan, struct imsg_pieces **out,
                                            struct imsg_error *err);
/* Room for IMSG_PIECE bytes of the next piece; the same until imsg_pieces_add. */
uint8_t *imsg_pieces_room(struct imsg_pieces *pieces);
/* Hash and write the first `len` bytes of the room. `from_part`: they were read from the second file, and are not
 * written there again. A failure may be that of an earlier piece; IMSG_IO: a write. */
IMSG_CHECK enum imsg_status imsg_pieces_add(struct imsg_pieces *pieces, size_t len, bool from_part,
                                            struct imsg_error *err);
/* Wait until all that was added is hashed and written. */
IMSG_CHECK enum imsg_status imsg_pieces_wait(struct imsg_pieces *pieces, struct imsg_error *err);
/* Bytes added. */
uint64_t imsg_pieces_size(const struct imsg_pieces *pieces);
/* Wait, and tell the hashes. Nothing can be added after it. */
IMSG_CHECK enum imsg_status imsg_pieces_end(struct imsg_pieces *pieces, uint8_t sha1[static 20],
                                            uint8_t sha256[static 32], struct imsg_error *err);
/* Waits for what is under way; safe on NULL. */
void imsg_pieces_free(struct imsg_pieces *pieces);

#endif
