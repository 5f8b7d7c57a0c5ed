/* Chained hashing by the token's own first bytes. A token is a SHA-256 of keys that its holder chose: to put many
 * tokens into one slot, somebody must generate 2^n keys for n equal bits, so chains stay short in practice. */
#include "serve/tokens.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 1024

enum imsg_status tokens_start(struct tokens *tokens, struct imsg_error *err)
{
    *tokens = (struct tokens){.size = FIRST_SIZE};
    tokens->slots = calloc(tokens->size, sizeof(struct token_item *));
    return tokens->slots ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

void tokens_free(struct tokens *tokens)
{
    for (size_t i = 0; tokens->slots && i < tokens->size; i++) {
        for (struct token_item *item = tokens->slots[i], *next; item; item = next) {
            next = item->next;
            free(item);
        }
    }
    free(tokens->slots);
    *tokens = (struct tokens){0};
}

static size_t slot_of(const struct tokens *tokens, const uint8_t token[static 32])
{
    size_t slot;
    memcpy(&slot, token, sizeof slot);
    return slot & (tokens->size - 1);
}

static void tokens_grow(struct tokens *tokens)
{
    struct tokens larger = {.size = tokens->size * 2, .used = tokens->used};
    larger.slots = calloc(larger.size, sizeof(struct token_item *));
    if (!larger.slots)
        return; /* longer chains, then */
    for (size_t i = 0; i < tokens->size; i++) {
        for (struct token_item *item = tokens->slots[i], *next; item; item = next) {
            next = item->next;
            size_t slot = slot_of(&larger, item->token);
            item->next = larger.slots[slot];
            larger.slots[slot] = item;
        }
    }
    free(tokens->slots);
    *tokens = larger;
}

void *tokens_find(struct tokens *tokens, const uint8_t token[static 32], size_t size)
{
    struct token_item *item = tokens->slots[slot_of(tokens, token)];
    while (item && memcmp(item->token, token, IMSG_TOKEN) != 0)
        item = item->next;
    if (item || size == 0)
        return item;
    if (tokens->used >= tokens->size)
        tokens_grow(tokens);
    item = calloc(1, size);
    if (!item)
        return NULL;
    size_t slot = slot_of(tokens, token);
    memcpy(item->token, token, IMSG_TOKEN);
    item->next = tokens->slots[slot];
    tokens->slots[slot] = item;
    tokens->used++;
    return item;
}

void tokens_drop(struct tokens *tokens, struct token_item *item)
{
    struct token_item **link = &tokens->slots[slot_of(tokens, item->token)];
    while (*link != item)
        link = &(*link)->next;
    *link = item->next;
    tokens->used--;
    free(item);
}
