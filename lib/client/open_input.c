/* An input of envelopes, one a line, or a sealed file: parsed and given their senders in order, opened on all
 * threads, given out and told in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "base/pipeline.h"
#include "base/text.h"
#include "client/once.h"
#include "client/open.h"
#include "format/format.h"

#define JOBS_EACH 8  /* envelopes under way for every thread */
#define OTHERS_MAX 8 /* devices that are named where nothing was for this one */

/* One line. */
struct job {
    struct imsg_opener *opener;
    struct imsg_opening opening;
    uint64_t line;
    bool cut; /* it has no newline */
};

/* One input. */
struct reading {
    struct imsg_opener *opener;
    const struct imsg_input *input;
    struct imsg_lines lines;
    struct imsg_view stream; /* the line that begins a binary part */
    bool is_stream, cut;
    unsigned mine, failed, others;  /* envelopes for this device, those of them that failed, all the rest */
    struct imsg_buf tokens;         /* who the others are for, as text */
    char from[IMSG_HANDLE_MAX + 1]; /* of the last envelope for this device */
    struct imsg_opened sealed;      /* this device's envelope of a sealed file, until its stream/1 line comes */
    uint64_t sealed_line;           /* 0: there is none */
};

/* ---- results, in order ---- */

static void tell_refused(struct reading *reading, uint64_t line)
{
    struct imsg_error err = {0};
    (void)imsg_fail(&err, IMSG_REFUSED, "refused");
    imsg_error_suggest(&err, IMSG_HINT_WHY, reading->from);
    imsg_opener_tell(reading->opener, line, false, &err);
}

static void tell_nothing_here(struct reading *reading)
{
    struct imsg_error err = {0};
    char own[2 * IMSG_TOKEN + 1];
    imsg_hex(reading->opener->client->identity->token, IMSG_TOKEN, own);
    (void)imsg_fail(&err, IMSG_REFUSED, "no envelope for this device (token %.4s…; there are for %s%s)", own,
                    (const char *)reading->tokens.ptr, reading->others > OTHERS_MAX ? ", …" : "");
    imsg_opener_tell(reading->opener, 0, false, &err);
}

/* The output, or memory, is not to be had: going on makes no sense. */
static bool ends_run(enum imsg_status status)
{
    return status == IMSG_IO || status == IMSG_CANNOT_CREATE || status == IMSG_NO_MEMORY || status == IMSG_INTERNAL ||
           status == IMSG_USAGE;
}

/* Recorded first: a process that ends in between loses the message rather than giving it out twice, and who asked for
 * it can let it through (imsg_opener.retry). */
static enum imsg_status give_out(struct imsg_opener *opener, struct imsg_opened *opened, struct imsg_error *err)
{
    enum imsg_status status = opener->once ? imsg_once_record(opener->client, opener->retry, opened, err) : IMSG_OK;
    if (status != IMSG_OK)
        return status;
    status = opener->message(opener->context, opened, err);
    if (status != IMSG_OK && opened->recorded)
        (void)!imsg_opened_take_back(opener->client, opened->replay, NULL);
    return status;
}

/* A device under two account keys has an envelope of a sealed file for each of the handles. */
static bool is_for_other_handle(const struct imsg_opened *sealed, const struct imsg_opened *opened)
{
    return strcmp(sealed->envelope.to, opened->envelope.to) != 0 &&
           strcmp(sealed->message.id, opened->message.id) == 0 &&
           memcmp(sealed->message.stream_key, opened->message.stream_key, sizeof opened->message.stream_key) == 0;
}

static enum imsg_status line_finish(void *context, void *argument, struct imsg_error *err)
{
    struct reading *reading = context;
    struct job *job = argument;
    struct imsg_opening *opening = &job->opening;
    struct imsg_opener *opener = reading->opener;
    enum imsg_status status = opening->status;
    if (opener->once && opening->to_open && imsg_opening_count(opener, opening, err) != IMSG_OK)
        return err->status;
    if (status == IMSG_OK && opening->to_open)
        status = imsg_opener_pin_sender(opener, opening->sender, &opening->err);
    if (status == IMSG_OK && opening->to_open && opening->opened.message.has_stream) {
        if (reading->sealed_line && is_for_other_handle(&reading->sealed, &opening->opened)) {
            reading->mine--;
        } else if (reading->sealed_line) {
            status = imsg_fail(&opening->err, IMSG_REFUSED, "a second envelope of a sealed file");
        } else {
            reading->sealed_line = job->line;
            reading->sealed = opening->opened;
            opening->opened = (struct imsg_opened){0};
        }
    } else if (status == IMSG_OK && opening->to_open) {
        status = give_out(opener, &opening->opened, &opening->err);
    }
    if (status != IMSG_OK && ends_run(status)) {
        *err = opening->err;
    } else if (status != IMSG_OK) {
        reading->failed += opening->mine;
        imsg_opener_tell(opener, job->line, job->cut, &opening->err);
        status = IMSG_OK;
    }
    imsg_opening_clear(opening);
    return status;
}

/* ---- lines, in order ---- */

static bool is_own_token(const struct reading *reading, const struct imsg_envelope *envelope)
{
    return memcmp(envelope->to_token, reading->opener->client->identity->token, IMSG_TOKEN) == 0;
}

/* For another device; or for this one under a handle that it does not have, as another's entry may list it. */
static enum imsg_status remember_other(struct reading *reading, const struct imsg_envelope *envelope,
                                       struct imsg_error *err)
{
    char hex[2 * IMSG_TOKEN + 1], text[IMSG_HANDLE_MAX + 8];
    const char *separator = reading->others ? ", " : "";
    imsg_hex(envelope->to_token, IMSG_TOKEN, hex);
    if (is_own_token(reading, envelope))
        snprintf(text, sizeof text, "%s%s", separator, envelope->to);
    else
        snprintf(text, sizeof text, "%s%.4s…", separator, hex);
    return reading->others++ < OTHERS_MAX ? imsg_buf_text(&reading->tokens, text, err) : IMSG_OK;
}

/* Whether jobs under way must be finished before this envelope is prepared: its sender's record would take the place of
 * one that they need, or the failures among them are not counted yet. */
static bool must_wait(struct imsg_opener *opener, const struct imsg_envelope *envelope)
{
    return imsg_opener_expects(opener, envelope->from) &&
           (imsg_opener_would_forget(opener, envelope->from) || (opener->once && envelope->format->failures_a_day > 0));
}

/* Everything about an envelope that needs no private key. *later: not yet. */
static enum imsg_status line_prepare(struct reading *reading, struct imsg_opening *opening, bool busy, bool *later,
                                     struct imsg_error *err)
{
    struct imsg_opener *opener = reading->opener;
    const struct imsg_envelope *envelope = &opening->opened.envelope;
    if (!is_own_token(reading, envelope) || !imsg_identity_has_handle(opener->client->identity, envelope->to))
        return remember_other(reading, envelope, err);
    *later = busy && must_wait(opener, envelope);
    if (*later)
        return IMSG_OK;
    opening->mine = true;
    reading->mine++;
    snprintf(reading->from, sizeof reading->from, "%s", envelope->from);
    enum imsg_status status = imsg_opener_check_expected(opener, envelope->from, err);
    if (status == IMSG_OK)
        status = imsg_opener_find_sender(opener, envelope, &opening->sender, err);
    if (status == IMSG_OK && opener->once)
        status = imsg_opening_hold(opener, opening, err);
    opening->to_open = status == IMSG_OK;
    if (opening->to_open)
        opening->own = imsg_opener_is_own(opener, envelope, opening->sender);
    return status;
}

/* The next line that is not empty. */
static enum imsg_status next_line(struct reading *reading, struct imsg_view *line, bool *more, struct imsg_error *err)
{
    enum imsg_status status;
    do {
        status = imsg_lines_next(&reading->lines, line, more, &reading->cut, err);
    } while (status == IMSG_OK && *more && line->len == 0);
    return status;
}

static enum imsg_status line_read(void *context, void *argument, bool busy, enum imsg_pipeline_step *step,
                                  struct imsg_error *err)
{
    struct reading *reading = context;
    struct job *job = argument;
    struct imsg_opening *opening = &job->opening;
    struct imsg_view line = {0}; /* an overlong line is not given out */
    bool more = true, later = false;
    enum imsg_status status = IMSG_OK;
    *step = IMSG_STEP_LATER;
    if (!opening->parsed) {
        if (busy && imsg_lines_would_wait(&reading->lines))
            return IMSG_OK;
        status = next_line(reading, &line, &more, err);
        reading->is_stream = status == IMSG_OK && more && imsg_stream_is(line);
        if (reading->is_stream)
            reading->stream = line;
        *step = more && !reading->is_stream ? IMSG_STEP_JOB : IMSG_STEP_END;
        if (status == IMSG_IO || status == IMSG_NO_MEMORY || *step == IMSG_STEP_END)
            return status;
        job->opener = reading->opener;
        job->line = reading->lines.number;
        job->cut = reading->cut;
        if (status == IMSG_OK)
            status = imsg_envelope_parse(line, &opening->opened.envelope, err);
        if (status == IMSG_OK && imsg_opener_unlock(reading->opener, err) != IMSG_OK)
            return err->status; /* without keys nothing that follows is worth a try */
        opening->parsed = status == IMSG_OK;
    }
    if (opening->parsed)
        status = line_prepare(reading, opening, busy, &later, err);
    *step = later ? IMSG_STEP_LATER : IMSG_STEP_JOB;
    opening->status = status;
    if (status != IMSG_OK)
        opening->err = *err;
    return IMSG_OK;
}

static void line_open(void *argument)
{
    struct job *job = argument;
    if (job->opening.to_open)
        imsg_opening_decrypt(job->opener, &job->opening);
}

static void line_clear(void *argument)
{
    struct job *job = argument;
    imsg_opened_free(&job->opening.opened);
}

/* ---- sealed files ---- */

/* Whether the envelope is that of the file with this line, which is committed to the envelope's key. */
static bool belongs(const struct imsg_message *message, const struct imsg_stream_line *line)
{
    struct imsg_stream *stream = NULL;
    bool fits =
        strcmp(line->id, message->id) == 0 && imsg_stream_new(message->stream_key, line, &stream, NULL) == IMSG_OK;
    imsg_stream_free(stream);
    return fits;
}

/* The line that begins the binary part. What follows it belongs to the sealed file whose envelope came before. */
static enum imsg_status open_stream(struct reading *reading, struct imsg_error *err)
{
    const struct imsg_lines *lines = &reading->lines;
    struct imsg_opener *opener = reading->opener;
    bool held = reading->sealed_line != 0;
    struct imsg_stream_line line;
    enum imsg_status status = imsg_stream_parse(reading->stream, &line, err);
    if (status == IMSG_OK && reading->mine + reading->others == 0)
        status = imsg_fail(err, IMSG_MALFORMED, "a sealed file without an envelope");
    bool many = reading->mine > 1, told = many && reading->failed > 0;
    if (status == IMSG_OK && many)
        status = imsg_fail(err, IMSG_REFUSED, "a sealed file has one envelope for each device, not %u", reading->mine);
    if (status != IMSG_OK && !told)
        imsg_opener_tell(opener, lines->number, reading->cut, err);
    else if (status != IMSG_OK)
        return IMSG_OK;
    else if (reading->mine == 0)
        tell_nothing_here(reading);
    else if (held && opener->file_chunk && belongs(&reading->sealed.message, &line))
        return imsg_open_file(opener, &reading->sealed, &line, reading->input,
                              imsg_view_of(lines->buf.ptr + lines->start, lines->buf.len - lines->start), err);
    else if (held || reading->failed == 0) /* else the envelope's failure was told */
        tell_refused(reading, lines->number);
    return IMSG_OK;
}

enum imsg_status imsg_open_input(struct imsg_opener *opener, const struct imsg_input *input, struct imsg_error *err)
{
    struct reading reading = {.opener = opener, .input = input};
    struct imsg_error unheard;
    unsigned threads = imsg_client_threads(opener->client);
    const struct imsg_pipeline pipeline = {
        .threads = threads,
        .depth = imsg_pipeline_depth(threads, JOBS_EACH),
        .job_size = sizeof(struct job),
        .read = line_read,
        .work = line_open,
        .finish = line_finish,
        .clear = line_clear,
        .context = &reading,
    };
    if (!err)
        err = &unheard;
    imsg_lines_start(&reading.lines, input->fd, IMSG_LINE_MAX);
    enum imsg_status status = imsg_pipeline_run(&pipeline, err);
    if (status == IMSG_OK && reading.is_stream)
        status = open_stream(&reading, err);
    else if (status == IMSG_OK && reading.sealed_line) /* the envelope of a sealed file, and no sealed file */
        tell_refused(&reading, reading.sealed_line);
    if (status == IMSG_OK && !reading.is_stream && reading.mine == 0 && reading.others > 0)
        tell_nothing_here(&reading);
    imsg_opened_free(&reading.sealed);
    imsg_buf_free(&reading.tokens);
    imsg_lines_free(&reading.lines);
    return status;
}
