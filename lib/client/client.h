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
/* imsg_client_look_up without its check of the records. `prove`: they are checked unless they were when this payload
 * was pinned, and entry->proven tells whether all have passed; those that did not are still there. */
IMSG_CHECK enum imsg_status imsg_client_find_entry(struct imsg_client *client, const char *handle, bool prove,
                                                   struct imsg_entry *entry, struct imsg_buf *raw,
                                                   struct imsg_error *err);
/* pins.json of the home, locked until imsg_pins_close. */
IMSG_CHECK enum imsg_status imsg_client_pins(const struct imsg_client *client, struct imsg_pins *pins,
                                             struct imsg_error *err);

#endif
