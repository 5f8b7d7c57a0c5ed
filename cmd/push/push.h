/* imsg-push's own parts: envelopes to their relays (deliver.c), and what is printed for each (report.c); options and
 * inputs in imsg-push.c. */
#ifndef IMSG_CMD_PUSH_H
#define IMSG_CMD_PUSH_H

#include "cli/cli.h"
#include "imsg-net.h"

struct push {
    struct cli cli;
    const char *relay_option, *undelivered_path;
    char *configured; /* the location of --relay or the configured relay, once needed */
    struct relays {
        struct imsg_relay **items;
        size_t count;
    } relays; /* open ones: envelopes are grouped by where they go */
    struct cli_output receipts, undelivered;
    bool no_receipts, not_kept; /* writing one failed: said once, and delivering goes on */
    unsigned lines;
    struct job *jobs, **last; /* envelopes read, in order, up to the first without a result and beyond */
    size_t under_way;
};

/* A line and its result. Results are reported in the order of the lines, in whatever order they arrive. */
struct job {
    struct job *next;
    struct push *run;
    struct imsg_buf line;
    struct imsg_envelope envelope;
    bool parsed, done, duplicate;
    const struct imsg_relay *relay;
    enum imsg_status status;
    struct imsg_error err;
    const char *input;
    uint64_t number; /* of the line in it */
};

/* Deliver the envelopes of an input. A line that fails is reported with its number and kept for --undelivered, and the
 * next one is tried. */
IMSG_CHECK enum imsg_status push_input(struct push *run, const struct cli_input *input, struct imsg_error *err);
/* Report the result of a line: a receipt, or an error and the line itself. */
void push_report(struct push *run, struct job *job);
/* Report the result of a write to --undelivered. */
void push_check_undelivered(struct push *run, enum imsg_status status, const struct imsg_error *err);

#endif
