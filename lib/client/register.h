/* What the files of registration share. */
#ifndef IMSG_CLIENT_REGISTER_H
#define IMSG_CLIENT_REGISTER_H

#include "client/client.h"

/* register_account.c: load the account key, which another run may have made meanwhile; or make it. */
IMSG_CHECK enum imsg_status imsg_register_load_account(struct imsg_registration *run, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_register_make_account(struct imsg_registration *run, struct imsg_error *err);

/* register_devices.c: fill in run->prepared, once. The account key is known. */
IMSG_CHECK enum imsg_status imsg_register_prepare(struct imsg_registration *run, struct imsg_error *err);
/* Take out of `devices` what is to be removed; put in the records of `handle`. *changed is set where that changes
 * something. */
IMSG_CHECK enum imsg_status imsg_register_remove(struct imsg_registration *run, struct imsg_devices *devices,
                                                 bool *changed, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_register_add(const struct imsg_registration *run, const char *handle,
                                              struct imsg_devices *devices, bool *changed, struct imsg_error *err);
bool imsg_register_leaves(const struct imsg_registration *run, const char *handle);

/* register_entry.c: read the entry of a handle, change, sign and write it: once. IMSG_CONFLICT: somebody else was
 * faster. */
IMSG_CHECK enum imsg_status imsg_register_entry(struct imsg_registration *run, const char *handle,
                                                struct imsg_error *err);

#endif
