/* What happens to a ciphertext on its way in or out: both hashes of it, and it is written, piece by piece while the
 * next one is being read. Work on more than one core pays only for what is large: the others begin after the first MiB.
 */
#ifndef IMSG_NET_PIECES_H
#define IMSG_NET_PIECES_H

#include "imsg.h"

#define IMSG_PIECE ((size_t)256 << 10) /* bytes of one read or write */

struct imsg_pieces;
/* To `fd` at its position. `threads` counts the caller's own. */
IMSG_CHECK enum imsg_status imsg_pieces_new(int fd, unsigned threads, struct imsg_pieces **out, struct imsg_error *err);
/* Room for IMSG_PIECE bytes; the same until imsg_pieces_give. */
uint8_t *imsg_pieces_room(struct imsg_pieces *pieces);
/* Hash the first `len` bytes of the room, and write them unless they are there already (`write` false). A failure may
 * be that of an earlier piece; IMSG_IO: the write. */
IMSG_CHECK enum imsg_status imsg_pieces_give(struct imsg_pieces *pieces, size_t len, bool write,
                                             struct imsg_error *err);
/* Wait until all that was given is done. */
IMSG_CHECK enum imsg_status imsg_pieces_settle(struct imsg_pieces *pieces, struct imsg_error *err);
/* Bytes given. */
uint64_t imsg_pieces_size(const struct imsg_pieces *pieces);
/* All is done when it comes back, whatever it says; the hashes are spent. */
IMSG_CHECK enum imsg_status imsg_pieces_end(struct imsg_pieces *pieces, uint8_t sha1[static 20],
                                            uint8_t sha256[static 32], struct imsg_error *err);
/* Waits for what is under way; safe on NULL. */
void imsg_pieces_free(struct imsg_pieces *pieces);

/* Decrypt the first `size` bytes of the file where they are (AES-256-CTR, counter from 0). */
IMSG_CHECK enum imsg_status imsg_pieces_decrypt(int fd, uint64_t size, const uint8_t key[static 32], unsigned threads,
                                                struct imsg_error *err);

#endif
