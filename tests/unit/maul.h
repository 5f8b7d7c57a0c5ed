/* Messages that were changed after they were sealed, or never were right, in many ways: for t-mauled.c. */
#ifndef MAUL_H
#define MAUL_H

#include "imsg.h"
#include "user.h"

enum { MAUL_GENUINE = 8, MAUL_FALSE = 4 };

/* Everything is from alice to bob, in one format. */
struct maul_pool {
    const struct imsg_format *format;
    struct imsg_envelope genuine[MAUL_GENUINE];
    uint8_t replay[MAUL_GENUINE][32];
    struct imsg_buf plaintext[MAUL_GENUINE]; /* of each */
    /* Payloads that do not belong to their place in the envelope of genuine[0]. */
    struct imsg_buf misplaced[MAUL_FALSE];
};
/* bob's device opens what alice sealed; carol and mallory are others. */
struct maul {
    struct user alice, bob, carol, mallory;
    struct maul_pool pools[2]; /* "pair-ec", "pair" */
    uint64_t random;           /* the state, not 0 */
};
/* Fails by ending the program. */
void maul_start(struct maul *maul, uint64_t seed);
void maul_free(struct maul *maul);

struct maul_case {
    const char *how;
    const struct maul_pool *pool;
    size_t number; /* of the genuine envelope that it was made of */
};
/* The next mauled line, without a newline. Some of them mean what the genuine one meant: maul_means_same. */
void maul_next(struct maul *maul, struct maul_case *which, struct imsg_buf *line);
/* Whether what was opened is the message that was sealed: only what no key protects was changed, such as a space in the
 * line or the version byte of "pair-ec". */
bool maul_means_same(const struct maul_case *which, const struct imsg_envelope *envelope,
                     const struct imsg_message *message);

#endif
