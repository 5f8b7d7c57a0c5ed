/* imsg-seal's own parts: options (options.c), what is sealed (input.c), a message for every line (each.c), and the
 * order of work (imsg-seal.c). */
#ifndef IMSG_CMD_SEAL_H
#define IMSG_CMD_SEAL_H

#include "base/json.h"
#include "cli/cli.h"

enum { OPT_STORE = CLI_KEY_STORE, OPT_REPLY = CLI_KEY_OWN, OPT_RECEIPT, OPT_RAW, OPT_NO_SELF, OPT_EACH };

struct seal {
    struct cli cli;
    const char *attach, *output, *type, *group, *reply_path, *receipt, *store;
    char **handles; /* of -r, canonical; those of --reply are added */
    size_t handle_count;
    const char **record_files;
    size_t record_count;

    struct cli_input input;      /* the content's, open while more than fits a message may be in it */
    struct imsg_devices records; /* of -R, as read */
    struct imsg_sealer sealer;
    struct imsg_draft message; /* the only one, unless --each */
    struct cli_output out;
};

/* ---- options.c ---- */

extern const struct cli_tool seal_tool;
/* Read and check all options; a wrong one ends the program with 64. */
void seal_read_options(struct seal *run);
/* Give up what these options do not need. */
void seal_confine(struct seal *run);

/* ---- input.c ---- stdin first: all of this, and the records, are read before keys are unlocked */

/* The content, as far as a message can hold it and one byte more. */
IMSG_CHECK enum imsg_status seal_read_content(struct seal *run, struct imsg_error *err);
/* --attach: descriptors into the message's attachments. */
IMSG_CHECK enum imsg_status seal_read_descriptors(struct seal *run, struct imsg_error *err);
/* -R: records into run->records. A bad line is reported, the rest goes on. */
IMSG_CHECK enum imsg_status seal_read_records(struct seal *run, struct imsg_error *err);
/* --reply: the first line of the file. */
IMSG_CHECK enum imsg_status seal_read_reply(struct seal *run, struct imsg_buf *line, struct imsg_error *err);
/* Use its participants, group and id; the identity must be loaded. */
IMSG_CHECK enum imsg_status seal_use_reply(struct seal *run, struct imsg_view line, struct imsg_error *err);
/* Another handle to look up, once. */
IMSG_CHECK enum imsg_status seal_add_handle(struct seal *run, const char *handle, struct imsg_error *err);

/* The hint to what takes longer content, where a draft's was too long. */
void seal_hint_too_long(const struct seal *run, struct imsg_draft *draft);

/* ---- each.c ---- */

/* --each: a message for every line of the input, to run->out. */
IMSG_CHECK enum imsg_status seal_each(struct seal *run, struct imsg_error *err);

#endif
