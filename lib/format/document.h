/* What the JSON documents share inside lib/format. */
#ifndef IMSG_FORMAT_DOCUMENT_H
#define IMSG_FORMAT_DOCUMENT_H

#include "base/json.h"
#include "imsg.h"

/* A fresh {"imsg":kind}. */
IMSG_CHECK enum imsg_status imsg_document_new(const char *kind, json_t **out, struct imsg_error *err);
/* Append `document` as one line, newline included. */
IMSG_CHECK enum imsg_status imsg_document_line(const json_t *document, struct imsg_buf *out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_json_set_strings(json_t *object, const char *member, char *const *strings,
                                                  size_t count, struct imsg_error *err);
/* A relay: https://host[:port] only; anything else is IMSG_MALFORMED. */
IMSG_CHECK enum imsg_status imsg_json_relay(const json_t *object, const char *member, enum imsg_need need, char **out,
                                            struct imsg_error *err);
/* token = SHA-256 of the auth key's 65 bytes. */
IMSG_CHECK enum imsg_status imsg_token_of(const uint8_t auth[static 65], uint8_t token[static 32],
                                          struct imsg_error *err);
/* Overwrite every string below `value` with zeros: they may be private keys. */
void imsg_json_wipe(json_t *value);

#endif
