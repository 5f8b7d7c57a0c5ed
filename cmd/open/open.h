/* imsg-open's own parts: what comes out (result.c), and options and order of work (imsg-open.c). */
#ifndef IMSG_CMD_OPEN_H
#define IMSG_CMD_OPEN_H

#include "cli/cli.h"

enum { OPT_FROM = CLI_KEY_OWN, OPT_RAW, OPT_VERIFY_FIRST, OPT_ONCE, OPT_RAW_TERMINAL };

struct open_run {
    struct cli cli; /* first: callbacks get it */
    const char *output;
    const char *operand;              /* the input being read, or NULL */
    const struct imsg_format *format; /* -E, or NULL */
    char **from;                      /* --from, canonical */
    size_t from_count;
    const char **record_files;
    size_t record_count;

    struct imsg_opener opener;
    struct imsg_devices records; /* -R, read before the identity */
    bool records_read;
    struct cli_output out;
    bool file_is_text;     /* the sealed file being opened, by its first chunk */
    struct imsg_buf after; /* lines for stdout once `out` is complete (-j of a sealed file) */
    struct imsg_buf
        recorded; /* replay keys, 32 bytes each, of what is recorded as opened and goes to a file (--once) */
};

/* ---- result.c ---- what lib/client calls; context is the struct open_run */

/* Content or opened/1 line, and the notes. */
IMSG_CHECK enum imsg_status open_message(void *context, const struct imsg_opened *opened, struct imsg_error *err);
/* Content to the output: binary where it is no text. */
IMSG_CHECK enum imsg_status open_write(struct open_run *run, struct imsg_view content, struct imsg_error *err);
/* A sealed file: may its content be written? Then its content; then its opened/1 line and the notes. */
IMSG_CHECK enum imsg_status open_file_begin(void *context, const struct imsg_opened *opened, struct imsg_error *err);
IMSG_CHECK enum imsg_status open_file_chunk(void *context, struct imsg_view content, uint64_t number, bool last,
                                            struct imsg_error *err);
IMSG_CHECK enum imsg_status open_file_end(void *context, const struct imsg_opened *opened, struct imsg_error *err);
/* The output file was not made: what went into it counts as not opened. */
void open_take_back(struct open_run *run);
/* Give an error with IMSG_HINT_WHY the command that shows the user why. It is made of what the user gave alone, so
 * that it is the same whatever the reason. Where the sender was looked up, it looks up too. */
void open_hint_inspect(const struct open_run *run, struct imsg_error *err);

#endif
