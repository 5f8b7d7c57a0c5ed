/* Envelopes, one a line: parsed and given their sender in order, opened on all cores, released and reported in order.
 */
#include "open/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/pool.h"
#include "base/text.h"

#define JOBS_EACH 8 /* envelopes under way for every core */

/* One line. */
struct job {
    struct open_run *run;
    uint64_t line;
    bool cut;     /* it has no newline */
    bool mine;    /* for this device */
    bool to_open; /* its sender is known */
    bool ends;    /* the keys are not to be had: nothing after it is worth a try */
    struct imsg_envelope envelope;
    const struct imsg_device *sender;
    struct imsg_message message;
    enum imsg_status status;
    struct imsg_error err;
};

/* One input. */
struct reading {
    struct open_run *run;
    const struct cli_input *input;
    struct imsg_lines lines;
    struct imsg_pool *pool;
    struct job *jobs;
    size_t depth, given;
    unsigned mine, failed, others;  /* envelopes for this device, those of them that were refused, all the rest */
    struct imsg_buf tokens;         /* who the others are for, as text */
    char from[IMSG_HANDLE_MAX + 1]; /* of the last envelope for this device */
    struct open_sealed sealed;
};

/* Going on makes no sense: the output, or memory, is not to be had. */
static bool ends_run(enum imsg_status status)
{
    return status == IMSG_IO || status == IMSG_CANNOT_CREATE || status == IMSG_NO_MEMORY || status == IMSG_INTERNAL ||
           status == IMSG_USAGE;
}

/* On any thread. */
static void open_job(void *argument)
{
    struct job *job = argument;
    if (job->to_open)
        job->status =
            imsg_open_envelope(&job->run->identity, job->sender, &job->envelope, &job->message, NULL, &job->err);
}

/* ---- results, in order ---- */

static void report(struct reading *reading, uint64_t line, bool cut, struct imsg_error *err)
{
    imsg_error_prefix(err, "%s: line %llu%s", reading->input->name, (unsigned long long)line,
                      err->status == IMSG_MALFORMED && cut ? " (cut short)" : "");
    cli_report(&reading->run->cli, err);
}

static void report_refused(struct reading *reading, uint64_t line)
{
    struct imsg_error err = {0};
    (void)imsg_fail(&err, IMSG_REFUSED, "refused");
    open_hint_inspect(reading->run, reading->from, &err);
    report(reading, line, false, &err);
}

/* The envelope of a sealed file waits for the rest of it. */
static void hold(struct reading *reading, struct job *job)
{
    struct open_sealed *sealed = &reading->sealed;
    *sealed = (struct open_sealed){.held = true, .line = job->line};
    sealed->envelope = job->envelope;
    sealed->message = job->message;
    memcpy(sealed->auth, job->sender->auth, sizeof sealed->auth);
    job->envelope = (struct imsg_envelope){0};
    job->message = (struct imsg_message){0};
}

static enum imsg_status finish(struct reading *reading, struct job *job, struct imsg_error *err)
{
    struct open_run *run = reading->run;
    enum imsg_status status = job->status;
    if (status == IMSG_OK && job->to_open && job->message.has_stream) {
        if (!reading->sealed.held)
            hold(reading, job);
    } else if (status == IMSG_OK && job->to_open) {
        status = open_release(run, &job->envelope, &job->message, &job->err);
    }
    if (status == IMSG_REFUSED && job->to_open)
        open_hint_inspect(run, job->envelope.from, &job->err);
    if (status != IMSG_OK && (job->ends || ends_run(status))) {
        *err = job->err;
    } else if (status != IMSG_OK) {
        reading->failed += job->mine;
        report(reading, job->line, job->cut, &job->err);
        status = IMSG_OK;
    }
    imsg_message_free(&job->message);
    imsg_envelope_free(&job->envelope);
    return status;
}

static enum imsg_status finish_all(struct reading *reading, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (struct job *job; status == IMSG_OK && (job = imsg_pool_next(reading->pool));)
        status = finish(reading, job, err);
    return status;
}

/* ---- lines, in order ---- */

static enum imsg_status remember_other(struct reading *reading, const struct imsg_envelope *envelope,
                                       struct imsg_error *err)
{
    char hex[2 * IMSG_TOKEN + 1], text[32];
    imsg_hex(envelope->to_token, IMSG_TOKEN, hex);
    snprintf(text, sizeof text, "%s%.4s…", reading->others ? ", " : "", hex);
    return reading->others++ < 8 ? imsg_buf_text(&reading->tokens, text, err) : IMSG_OK;
}

static enum imsg_status nothing_here(struct reading *reading, struct imsg_error *err)
{
    char own[2 * IMSG_TOKEN + 1];
    imsg_hex(reading->run->identity.token, IMSG_TOKEN, own);
    return imsg_fail(err, IMSG_REFUSED, "%s: no envelope for this device (token %.4s…; there are for %s%s)",
                     reading->input->name, own, (const char *)reading->tokens.ptr, reading->others > 8 ? ", …" : "");
}

/* Everything about an envelope that needs no private key. */
static enum imsg_status prepare(struct reading *reading, struct imsg_view line, struct job *job, struct imsg_error *err)
{
    struct open_run *run = reading->run;
    enum imsg_status status = imsg_envelope_parse(line, &job->envelope, err);
    if (status == IMSG_OK)
        status = open_unlock(run, err);
    if (status != IMSG_OK)
        return status;
    if (memcmp(job->envelope.to_token, run->identity.token, IMSG_TOKEN) != 0)
        return remember_other(reading, &job->envelope, err);
    job->mine = true;
    reading->mine++;
    snprintf(reading->from, sizeof reading->from, "%s", job->envelope.from);
    if (!open_expects(run, job->envelope.from))
        return imsg_fail(err, IMSG_REFUSED, "from %s, who is not expected (--from)", job->envelope.from);
    if (open_would_forget(run, job->envelope.from)) /* senders that jobs under way still need */
        status = finish_all(reading, err);
    if (status == IMSG_OK)
        status = open_find_sender(run, job->envelope.from, job->envelope.from_token, &job->sender, err);
    job->to_open = status == IMSG_OK;
    return status;
}

static enum imsg_status give(struct reading *reading, struct imsg_view line, enum imsg_status status, bool cut,
                             struct imsg_error *err)
{
    if (imsg_pool_full(reading->pool)) {
        struct imsg_error late = {0};
        enum imsg_status finished = finish(reading, imsg_pool_next(reading->pool), &late);
        if (finished != IMSG_OK) {
            *err = late;
            return finished;
        }
    }
    struct job *job = &reading->jobs[reading->given++ % reading->depth];
    job->run = reading->run;
    job->line = reading->lines.number;
    job->cut = cut;
    job->mine = job->to_open = false;
    job->err = *err;
    job->status = status;
    if (status == IMSG_OK)
        job->status = prepare(reading, line, job, &job->err);
    job->ends = reading->run->locked_out;
    bool ends = job->ends || ends_run(job->status); /* from now on the job is another thread's */
    imsg_pool_add(reading->pool, job);
    return ends ? finish_all(reading, err) : IMSG_OK;
}

/* The line that begins the binary part: what follows is the sealed file's, or nobody's. */
static enum imsg_status open_stream(struct reading *reading, struct imsg_view line, bool cut, struct imsg_error *err)
{
    const struct open_sealed *sealed = &reading->sealed;
    const struct imsg_lines *lines = &reading->lines;
    char id[37];
    uint64_t number = lines->number;
    enum imsg_status status = imsg_stream_parse(line, id, err);
    if (status == IMSG_OK && reading->mine + reading->others == 0)
        status = imsg_fail(err, IMSG_MALFORMED, "a sealed file without an envelope");
    if (status != IMSG_OK) {
        report(reading, number, cut, err);
    } else if (reading->mine == 0) {
        (void)!nothing_here(reading, err);
        cli_report(&reading->run->cli, err);
    } else if (reading->mine > 1) {
        (void)imsg_fail(err, IMSG_REFUSED, "a sealed file has one envelope for each device, not %u", reading->mine);
        report(reading, number, false, err);
    } else if (sealed->held && strcmp(id, sealed->message.id) == 0) {
        return open_chunks(reading->run, sealed, reading->input,
                           imsg_view_of(lines->buf.ptr + lines->start, lines->buf.len - lines->start), err);
    } else if (sealed->held || reading->failed == 0) { /* else the reason was told */
        report_refused(reading, number);
    }
    return IMSG_OK;
}

static enum imsg_status read_lines(struct reading *reading, bool *is_stream, struct imsg_error *err)
{
    struct imsg_lines *lines = &reading->lines;
    enum imsg_status status = IMSG_OK;
    for (bool more = true, cut = false; status == IMSG_OK && more;) {
        struct imsg_view line = {0}; /* an overlong line is not given out */
        if (imsg_lines_would_wait(lines))
            status = finish_all(reading, err);
        if (status != IMSG_OK)
            break;
        struct imsg_error late = {0};
        status = imsg_lines_next(lines, &line, &more, &cut, &late);
        if (status == IMSG_OK && (!more || line.len == 0))
            continue;
        *is_stream = status == IMSG_OK && imsg_stream_is(line);
        if (*is_stream) {
            status = finish_all(reading, err);
            return status == IMSG_OK ? open_stream(reading, line, cut, err) : status;
        }
        status = give(reading, line, status, cut, &late);
        if (status != IMSG_OK)
            *err = late;
    }
    return status == IMSG_OK ? finish_all(reading, err) : status;
}

static enum imsg_status start(struct reading *reading, struct imsg_error *err)
{
    unsigned threads = cli_jobs(&reading->run->cli);
    imsg_lines_start(&reading->lines, reading->input->fd, IMSG_LINE_MAX);
    reading->depth = threads > 1 ? (size_t)threads * JOBS_EACH : 1;
    reading->jobs = calloc(reading->depth, sizeof *reading->jobs);
    if (!reading->jobs)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    return imsg_pool_new(threads, reading->depth, open_job, &reading->pool, err);
}

enum imsg_status open_lines(struct open_run *run, const struct cli_input *input, struct imsg_error *err)
{
    struct reading reading = {.run = run, .input = input};
    bool is_stream = false;
    enum imsg_status status = start(&reading, err);
    if (status == IMSG_OK)
        status = read_lines(&reading, &is_stream, err);
    if (status == IMSG_OK && !is_stream && reading.sealed.held) /* a sealed file's envelope, and no sealed file */
        report_refused(&reading, reading.sealed.line);
    if (status == IMSG_OK && !is_stream && reading.mine == 0 && reading.others > 0) {
        (void)!nothing_here(&reading, err);
        cli_report(&run->cli, err);
    }
    imsg_pool_free(reading.pool);
    for (size_t i = 0; reading.jobs && i < reading.depth; i++) {
        imsg_message_free(&reading.jobs[i].message);
        imsg_envelope_free(&reading.jobs[i].envelope);
    }
    free(reading.jobs);
    open_sealed_free(&reading.sealed);
    imsg_buf_free(&reading.tokens);
    imsg_lines_free(&reading.lines);
    return status;
}
