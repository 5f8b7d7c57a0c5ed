/* imsg-attach's own parts: files into the store (put.c) and back (get.c); options in imsg-attach.c. */
#ifndef IMSG_CMD_ATTACH_H
#define IMSG_CMD_ATTACH_H

#include "cli/cli.h"
#include "imsg-net.h"

struct attach {
    struct cli cli;
    struct imsg_store *store;
    struct cli_output out;
    const char *store_option, *folder;
    uint64_t max_size; /* bytes of an attachment; get refuses more */
};

/* Encrypt each operand behind "put" into the store, and print a descriptor for it. */
void attach_put_files(struct attach *run);
/* Get the attachments of each line of the input, and print the line with the paths of the files. */
void attach_get_lines(struct attach *run);

#endif
