/* What the files of lib/client share. */
#ifndef IMSG_CLIENT_CLIENT_H
#define IMSG_CLIENT_CLIENT_H

#include "imsg-client.h"

/* Hand an event to the caller, if there is a callback for it. */
void imsg_client_tell(const struct imsg_client *client, const struct imsg_event *event);
/* Threads to work on: at least one. */
unsigned imsg_client_threads(const struct imsg_client *client);
/* The client's home; and the path of a file in it, the caller's. */
IMSG_CHECK enum imsg_status imsg_client_home(const struct imsg_client *client, const char **home,
                                             struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_client_path(const struct imsg_client *client, const char *name, char **path,
                                             struct imsg_error *err);
/* Ask for the passphrase of a key file. `role` names the file in the question. */
IMSG_CHECK enum imsg_status imsg_key_file_passphrase(const struct imsg_key_file *file, const char *role,
                                                     struct imsg_buf *out, struct imsg_error *err);

/* ---- own.c ---- */

/* Is this the thumbprint of this user's account key, of which account.pem is in the home, or which the identity names?
 * NULL: is that key known? */
bool imsg_client_account_is(struct imsg_client *client, const char *thumbprint);
/* IMSG_REFUSED: the handle is one's own, and the entry is not by one's own account key. */
IMSG_CHECK enum imsg_status imsg_client_check_own(struct imsg_client *client, const char *handle,
                                                  const struct imsg_entry *entry, struct imsg_error *err);
/* Two entries are kept of each handle of this user's account: the newest that was pinned or signed, and the newest that
 * was signed here. `file` is the entry as the directory has it. A kept entry that does not verify: IMSG_CONFIG. */
enum imsg_kept { IMSG_KEPT_NEWEST, IMSG_KEPT_SIGNED };
IMSG_CHECK enum imsg_status imsg_kept_write(const struct imsg_client *client, const char *handle, enum imsg_kept which,
                                            struct imsg_view file, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_kept_read(const struct imsg_client *client, const char *handle, enum imsg_kept which,
                                           struct imsg_entry *out, bool *found, struct imsg_error *err);

/* ---- trust.c ---- */

/* What a look-up makes of the pin. */
enum imsg_pinning {
    IMSG_PIN_NOTHING,     /* the pin stays as it is, or is not made: imsg_client_pin_seen may follow */
    IMSG_PIN_UNCONFIRMED, /* made or moved on; one that is new is marked, and the next look-up tells of it again */
    IMSG_PIN_CONFIRMED,
};
/* What the directory serves for a handle, and what was pinned before. {0} is a start. */
struct imsg_sighting {
    bool exists; /* entry and raw, its bytes, are filled in */
    struct imsg_entry entry;
    struct imsg_buf raw;
    bool pinned; /* pin is filled in */
    struct imsg_pin pin;
};
/* Look up a handle. IMSG_NO_ACCOUNT, IMSG_REFUSED and IMSG_ROLLBACK are verdicts: then too *out is what they are about.
 * In any case *out is freed by the caller. */
IMSG_CHECK enum imsg_status imsg_client_see(struct imsg_client *client, const char *handle, enum imsg_pinning how,
                                            struct imsg_sighting *out, struct imsg_error *err);
void imsg_sighting_free(struct imsg_sighting *sighting);
/* Make the pin of a sighting, or move it on, after all: what is pinned now is judged again. Then sighting->pin is it.
 */
IMSG_CHECK enum imsg_status imsg_client_pin_seen(struct imsg_client *client, const char *handle, enum imsg_pinning how,
                                                 struct imsg_sighting *sighting, struct imsg_error *err);
/* Tell of the records that do not verify, and take them out. */
void imsg_client_drop_unproven(const struct imsg_client *client, struct imsg_entry *entry);
/* Keep an entry of one's own that was just written, whose bytes are `file`, and move the pin on to it; never back. */
IMSG_CHECK enum imsg_status imsg_client_pin_written(struct imsg_client *client, const struct imsg_entry *entry,
                                                    struct imsg_view file, struct imsg_error *err);
/* pins.json of the home, locked until imsg_pins_close. */
IMSG_CHECK enum imsg_status imsg_client_pins(const struct imsg_client *client, struct imsg_pins *pins,
                                             struct imsg_error *err);

#endif
