/* What an entry's file says, for who serves it. */
#ifndef IMSG_SERVE_ENTRY_PARSE_H
#define IMSG_SERVE_ENTRY_PARSE_H

#include "serve/storage/storage.h"

/* The handle of an entry whose signature is right; the caller's. */
IMSG_CHECK enum imsg_status entry_handle(struct imsg_view file, char **handle, struct imsg_error *err);
bool entry_is_named(const char *handle, const uint8_t hash[static 32]);
/* The thumbprint of its account key as bytes. */
IMSG_CHECK enum imsg_status entry_account(const struct imsg_entry *entry, uint8_t out[static 32],
                                          struct imsg_error *err);
/* The devices it lists; a limit above IMSG_RELAY_PAYLOAD_MAX counts as that. */
size_t entry_listed(const struct imsg_entry *entry, struct listed out[static IMSG_DEVICES_MAX]);

#endif
