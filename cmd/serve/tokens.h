/* A hash table by device token, or by another name of 32 bytes that is a hash. */
#ifndef IMSG_SERVE_TOKENS_H
#define IMSG_SERVE_TOKENS_H

#include "imsg.h"

struct token_item { /* the first member of what a table holds */
    struct token_item *next;
    uint8_t token[IMSG_TOKEN];
};
struct tokens {
    struct token_item **slots;
    size_t size, used; /* size is a power of two */
};
IMSG_CHECK enum imsg_status tokens_start(struct tokens *tokens, struct imsg_error *err);
void tokens_free(struct tokens *tokens);
/* The item of a token; where it is missing, a new one of `size` zeroed bytes if size > 0. NULL: missing, or no memory.
 * An item stays where it is until it is dropped. The caller holds a lock. */
void *tokens_find(struct tokens *tokens, const uint8_t token[static 32], size_t size);
/* Take the item out of the table, and free it. */
void tokens_drop(struct tokens *tokens, struct token_item *item);

#endif
