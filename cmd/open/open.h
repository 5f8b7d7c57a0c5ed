/* imsg-open's own parts: keys and senders (sender.c), what comes out (result.c), lines of envelopes (lines.c), the
 * chunks of a sealed file (sealed.c), and options and --raw (imsg-open.c). */
#ifndef IMSG_CMD_OPEN_H
#define IMSG_CMD_OPEN_H

#include "cli/cli.h"

enum { OPT_FROM = CLI_KEY_OWN, OPT_RAW, OPT_VERIFY_FIRST };

#define OPEN_ENTRIES 16 /* senders whose entries are kept: those of a group, say, taking turns */

struct open_run {
    struct cli cli;
    const char *identity_path, *directory, *output;
    const char *operand; /* the input being read, or NULL */
    const struct imsg_format *format;
    char **from; /* --from, canonical */
    size_t from_count;
    const char **record_files;
    size_t record_count;

    struct imsg_identity identity;
    bool unlocked, locked_out;   /* locked_out: the keys or records are not to be had, going on makes no sense */
    struct imsg_devices records; /* -R */
    struct imsg_device own;      /* this device: its own records are always known */
    struct cli_trust trust;
    bool trust_open;
    struct imsg_entry entries[OPEN_ENTRIES]; /* of the handles looked up last */
    size_t entry_next;                       /* the one to make room next */
    struct cli_output out;
    struct imsg_buf after; /* lines for stdout once `out` is complete (-j of a sealed file) */
};

/* ---- sender.c ---- */

/* Load keys and records, once: reading comes before unlocking (cli.md). */
IMSG_CHECK enum imsg_status open_unlock(struct open_run *run, struct imsg_error *err);
/* True unless --from names others only. */
bool open_expects(const struct open_run *run, const char *from);
/* The devices of a handle, from its entry in the directory. Valid until OPEN_ENTRIES other handles were looked up. */
IMSG_CHECK enum imsg_status open_look_up(struct open_run *run, const char *from, const struct imsg_devices **out,
                                         struct imsg_error *err);
/* True if looking up `from` could end the life of devices given out before. */
bool open_would_forget(const struct open_run *run, const char *from);
/* The record whose handles hold `from` and whose token is `token`: never the token alone (formats.md §7). Valid as long
 * as what open_look_up gives. */
IMSG_CHECK enum imsg_status open_find_sender(struct open_run *run, const char *from, const uint8_t token[static 32],
                                             const struct imsg_device **out, struct imsg_error *err);

/* ---- result.c ---- */

/* Content or opened/1 line, and the notes. */
IMSG_CHECK enum imsg_status open_release(struct open_run *run, const struct imsg_envelope *envelope,
                                         const struct imsg_message *message, struct imsg_error *err);
/* Append the opened/1 line. `with_content`: not for a sealed file. */
IMSG_CHECK enum imsg_status open_print(const struct open_run *run, const struct imsg_envelope *envelope,
                                       const struct imsg_message *message, bool with_content, struct imsg_buf *line,
                                       struct imsg_error *err);
/* The failure of -j with a sealed file and anything else: content and JSON lines do not mix in one output. */
IMSG_CHECK enum imsg_status open_not_alone(struct imsg_error *err);
/* Who and when, on stderr. */
void open_note(const struct open_run *run, const struct imsg_message *message);
/* The command that shows the user why: made of what was given alone, so that it is the same whatever the reason. Where
 * the sender was looked up, it looks up too. */
void open_hint_inspect(const struct open_run *run, const char *from, struct imsg_error *err);

/* ---- lines.c ---- */

/* Envelopes, one a line, or a sealed file. What is wrong with one is reported; a failure ends the run. */
IMSG_CHECK enum imsg_status open_lines(struct open_run *run, const struct cli_input *input, struct imsg_error *err);

/* ---- sealed.c ---- */

/* This device's envelope of a sealed file, opened, until its stream/1 line comes. */
struct open_sealed {
    bool held;
    uint64_t line;
    struct imsg_envelope envelope;
    struct imsg_message message;
    uint8_t auth[65]; /* the auth key of the record that verified it */
};
/* The chunks: `ahead` was read already, the rest is in the input. Each is written out when its signature and tag were
 * verified, or all after all were with --verify-first. */
IMSG_CHECK enum imsg_status open_chunks(struct open_run *run, const struct open_sealed *sealed,
                                        const struct cli_input *input, struct imsg_view ahead, struct imsg_error *err);
void open_sealed_free(struct open_sealed *sealed);

#endif
