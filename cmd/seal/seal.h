/* imsg-seal's own parts: what is sealed (input.c, each.c), for whom (recipients.c), the sealing (sealing.c), the chunks
 * of a sealed file (sealed_file.c), and options and order of work (imsg-seal.c). */
#ifndef IMSG_CMD_SEAL_H
#define IMSG_CMD_SEAL_H

#include "base/json.h"
#include "cli/cli.h"

enum { OPT_STORE = CLI_KEY_STORE, OPT_REPLY = CLI_KEY_OWN, OPT_RECEIPT, OPT_RAW, OPT_NO_SELF, OPT_EACH };

/* One device to seal for. */
struct seal_target {
    const struct imsg_device *device;
    const char *to; /* as the envelope says it */
    const struct imsg_format *format;
    uint32_t counter;
    bool left_out; /* its record is at fault, which was reported */
};

/* One message and what becomes of it. All of it is its own but for the devices. */
struct seal_message {
    uint64_t line; /* of --each; 0: the only message */
    char id[37], time[21];
    char **to; /* the header's */
    size_t to_count;
    struct imsg_buf content;
    char *type, *group_id, *group_name, *reply_id;
    const char *receipt;       /* "delivered" or "read" */
    json_t *attachments;       /* an array */
    const uint8_t *stream_key; /* of a sealed file */
    struct seal_target *targets;
    size_t target_count, target_cap;
    json_t *tokens; /* the targets' tokens, to find one quickly */
    bool partial;   /* somebody could not be reached, which was reported */
    struct imsg_buf plaintext;
    struct imsg_buf lines;     /* envelopes, or the bare payload of --raw */
    enum imsg_status status;   /* why it was not sealed */
    struct imsg_error err;
};

/* What is known of a handle. */
struct seal_person {
    char *handle;
    struct imsg_devices devices;
};

struct seal {
    struct cli cli;
    const char *identity_path, *directory, *attach, *output, *type, *group, *reply_path, *receipt, *store;
    const struct imsg_format *format; /* forced, or NULL */
    char **handles;          /* of -r, canonical; those of --reply are added */
    size_t handle_count;
    const char **record_files;
    size_t record_count;

    struct imsg_identity identity;
    struct cli_input input; /* the content's, open while more than fits a message may be in it */
    struct imsg_devices records; /* of -R, as read */
    struct cli_trust trust;
    bool trust_open;
    struct seal_person **people; /* looked up, in order */
    size_t person_count;
    json_t *person_index; /* handle -> place in people */
    struct seal_message message; /* the only one, unless --each */
    struct cli_output out;
};

/* ---- input.c ---- stdin first: all of this, and the records, are read before keys are unlocked */

/* The content, as far as a message can hold it and one byte more. */
IMSG_CHECK enum imsg_status seal_read_content(struct seal *run, struct imsg_error *err);
/* --attach: descriptors into the message's attachments. */
IMSG_CHECK enum imsg_status seal_read_descriptors(struct seal *run, struct imsg_error *err);
/* --reply: the first line of the file. */
IMSG_CHECK enum imsg_status seal_read_reply(struct seal *run, struct imsg_buf *line, struct imsg_error *err);
/* Take participants, group and id from it; the identity must be loaded. */
IMSG_CHECK enum imsg_status seal_use_reply(struct seal *run, struct imsg_view line, struct imsg_error *err);
/* The content's type where none was given: the caller's. NULL for empty content. */
const char *seal_content_type(struct imsg_view content);

/* ---- recipients.c ---- */

/* Another handle to look up, once. */
IMSG_CHECK enum imsg_status seal_add_handle(struct seal *run, const char *handle, struct imsg_error *err);
/* -R: records into run->records. A bad line is reported, the rest goes on. */
IMSG_CHECK enum imsg_status seal_read_records(struct seal *run, struct imsg_error *err);
/* A handle of the header, once. */
IMSG_CHECK enum imsg_status seal_add_to(struct seal_message *message, const char *handle, struct imsg_error *err);
/* Report what failed for one recipient of the message, who is left out. */
void seal_report(struct seal *run, struct seal_message *message, struct imsg_error *err);
/* The message's targets: the devices of these handles, of the sender's own other devices, and the records of -R, all of
 * them or (`by_handle`, --each) those of the handles and no directory. Who cannot be reached is reported, the rest goes
 * on. */
IMSG_CHECK enum imsg_status seal_find_targets(struct seal *run, struct seal_message *message, char *const *handles,
                                              size_t count, bool by_handle, struct imsg_error *err);

/* ---- sealing.c ---- */

/* The id of the group called message->group_name of these participants. */
IMSG_CHECK enum imsg_status seal_name_group(const struct seal *run, struct seal_message *message,
                                            struct imsg_error *err);
/* Id and time. */
IMSG_CHECK enum imsg_status seal_stamp(struct seal_message *message, struct imsg_error *err);
/* Seal each message for its targets, on all cores. What becomes of each stands in its status and lines. */
IMSG_CHECK enum imsg_status seal_messages(struct seal *run, struct seal_message *messages, size_t count,
                                          struct imsg_error *err);
void seal_message_free(struct seal_message *message);

/* ---- sealed_file.c ---- */

/* -s: envelopes, stream/1 line and chunks to run->out. The message's content is the beginning of what is sealed. */
IMSG_CHECK enum imsg_status seal_file(struct seal *run, struct imsg_error *err);

/* ---- each.c ---- */

/* --each: a message for every line of the input, to run->out. */
IMSG_CHECK enum imsg_status seal_each(struct seal *run, struct imsg_error *err);

#endif
