/* imsg-seal's own parts: what is sealed (input.c), for whom (recipients.c), and the sealing (imsg-seal.c). */
#ifndef IMSG_CMD_SEAL_H
#define IMSG_CMD_SEAL_H

#include "base/json.h"
#include "cli/cli.h"

enum { OPT_STORE = CLI_KEY_STORE, OPT_REPLY = CLI_KEY_OWN, OPT_RECEIPT, OPT_RAW, OPT_NO_SELF };

/* One device to seal for. */
struct target {
    const struct imsg_device *device;
    const char *to; /* as the envelope says it */
    enum imsg_format format;
};

struct seal {
    struct cli cli;
    const char *identity_path, *directory, *attach, *output, *type, *group, *reply_path, *receipt, *store;
    enum imsg_format format; /* forced, or NONE */
    char **handles;          /* of -r, canonical; those of --reply are added */
    size_t handle_count;
    const char **record_files;
    size_t record_count;

    struct imsg_identity identity;
    struct cli_input input; /* the content's, open while more than fits a message may be in it */
    struct imsg_buf content;
    json_t *attachments;
    char *reply_id, *group_id, *group_name;
    struct imsg_devices records; /* of -R, as read */
    struct imsg_devices devices; /* owns what the targets point to: complete before the first target is made */
    const char **device_to;      /* per device: the handle it is reached by */
    char **to;                   /* the header's */
    size_t to_count;
    struct target *targets;
    size_t target_count;
};

/* ---- input.c ---- stdin first: all of this, and the records, are read before keys are unlocked */

/* The content, as far as a message can hold it and one byte more. */
IMSG_CHECK enum imsg_status seal_read_content(struct seal *run, struct imsg_error *err);
/* --attach: descriptors into run->attachments. */
IMSG_CHECK enum imsg_status seal_read_descriptors(struct seal *run, struct imsg_error *err);
/* --reply: the first line of the file. */
IMSG_CHECK enum imsg_status seal_read_reply(struct seal *run, struct imsg_buf *line, struct imsg_error *err);
/* Take participants, group and id from it; the identity must be loaded. */
IMSG_CHECK enum imsg_status seal_use_reply(struct seal *run, struct imsg_view line, struct imsg_error *err);

/* ---- recipients.c ---- */

/* Another handle to look up, once. */
IMSG_CHECK enum imsg_status seal_add_handle(struct seal *run, const char *handle, struct imsg_error *err);
/* -R: records into run->records. A bad line is reported, the rest goes on. */
IMSG_CHECK enum imsg_status seal_read_records(struct seal *run, struct imsg_error *err);
/* From handles and records to targets. Who cannot be reached is reported, the rest goes on. */
IMSG_CHECK enum imsg_status seal_find_targets(struct seal *run, struct imsg_error *err);

#endif
