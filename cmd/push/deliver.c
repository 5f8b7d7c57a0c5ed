/* Envelopes to their relays: many under way at once, results in the order of the lines. */
#include "push/push.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define UNDER_WAY 256 /* envelopes read that have no result yet */

/* The open relay at `location`; `own`: the user named it, not an envelope. */
static enum imsg_status relay_at(struct push *run, const char *location, bool own, struct imsg_relay **out,
                                 struct imsg_error *err)
{
    struct imsg_relay *relay = NULL;
    struct imsg_net *net = NULL;
    for (size_t i = 0; i < run->relays.count; i++)
        if (strcmp(imsg_relay_location(run->relays.items[i]), location) == 0) {
            *out = run->relays.items[i];
            return IMSG_OK;
        }
    struct imsg_relay **grown = realloc(run->relays.items, (run->relays.count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    run->relays.items = grown;
    enum imsg_status status = cli_net(&run->cli, &net, err);
    if (status == IMSG_OK)
        status =
            own ? imsg_relay_open(location, net, &relay, err) : imsg_relay_open_foreign(location, net, &relay, err);
    if (status == IMSG_OK)
        *out = grown[run->relays.count++] = relay;
    return status;
}

/* --relay, else the envelope's own, else the configured one. */
static enum imsg_status choose_relay(struct push *run, const struct imsg_envelope *envelope, struct imsg_relay **out,
                                     struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (!run->relay_option && envelope->relay)
        return relay_at(run, envelope->relay, false, out, err);
    if (!run->configured)
        status = cli_service(&run->cli, CLI_RELAY, run->relay_option, &run->configured, err);
    return status == IMSG_OK ? relay_at(run, run->configured, true, out, err) : status;
}

/* Report the results up to the first line that has none yet, and free their jobs. */
static void report_done(struct push *run)
{
    while (run->jobs && run->jobs->done) {
        struct job *job = run->jobs;
        push_report(run, job);
        run->jobs = job->next;
        imsg_envelope_free(&job->envelope);
        imsg_buf_free(&job->line);
        free(job);
    }
    if (!run->jobs)
        run->last = &run->jobs;
}

static void delivered(void *context, enum imsg_status status, bool duplicate, struct imsg_error *err)
{
    struct job *job = context;
    job->status = status;
    job->duplicate = duplicate;
    if (status != IMSG_OK)
        job->err = *err;
    job->done = true;
    job->run->under_way--;
}

/* Go on until at most `most` are under way, or more can be read from `input`. */
static enum imsg_status settle(struct push *run, size_t most, int input, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && run->under_way > most && i < run->relays.count; i++)
        status = imsg_relay_settle(run->relays.items[i], most / run->relays.count, input, err);
    if (status != IMSG_OK) /* none of them will get a result */
        for (struct job *job = run->jobs; job; job = job->next)
            if (!job->done)
                delivered(job, status, false, err);
    report_done(run);
    return status;
}

/* `line` with ptr NULL: it is longer than any envelope, and err says so. */
static enum imsg_status push_line(struct push *run, struct imsg_view line, const char *input, uint64_t number,
                                  struct imsg_error *err)
{
    struct imsg_relay *relay = NULL;
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    job->run = run;
    job->input = input;
    job->number = number;
    *run->last = job;
    run->last = &job->next;
    job->status = line.ptr ? imsg_buf_append(&job->line, line.ptr, line.len, &job->err) : err->status;
    if (!line.ptr)
        job->err = *err;
    if (job->status == IMSG_OK)
        job->status = imsg_envelope_parse(line, &job->envelope, &job->err);
    job->parsed = job->status == IMSG_OK;
    if (job->parsed)
        job->status = choose_relay(run, &job->envelope, &relay, &job->err);
    job->relay = relay;
    if (job->status == IMSG_OK) {
        run->under_way++;
        imsg_relay_send(relay, &job->envelope, line, delivered, job);
    } else {
        job->done = true;
    }
    return settle(run, UNDER_WAY - 1, -1, err);
}

/* Can a line be read without blocking? */
static bool is_ready(const struct imsg_lines *lines)
{
    struct pollfd input = {.fd = lines->fd, .events = POLLIN};
    const uint8_t *from = lines->buf.ptr ? lines->buf.ptr + lines->start : NULL;
    return lines->eof || (from && memchr(from, '\n', lines->buf.len - lines->start)) || poll(&input, 1, 0) > 0;
}

enum imsg_status push_input(struct push *run, const struct cli_input *input, struct imsg_error *err)
{
    struct imsg_lines lines;
    struct imsg_view line;
    bool more = true;
    enum imsg_status status = IMSG_OK;
    imsg_lines_start(&lines, input->fd, IMSG_LINE_MAX);
    while (more && status == IMSG_OK) {
        /* While envelopes are under way, do not block in reading from a slow writer. */
        while (status == IMSG_OK && run->under_way > 0 && !is_ready(&lines))
            status = settle(run, 0, input->fd, err);
        if (status != IMSG_OK)
            break;
        status = imsg_lines_next(&lines, &line, &more, NULL, err);
        bool whole = status == IMSG_OK; /* an overlong line is no envelope, and is not kept */
        if (whole && (!more || line.len == 0))
            continue;
        if (!whole && status != IMSG_TOO_LONG)
            break;
        run->lines++;
        status = push_line(run, whole ? line : (struct imsg_view){0}, input->name, lines.number, err);
    }
    imsg_lines_free(&lines);
    struct imsg_error late = {0};
    enum imsg_status end = settle(run, 0, -1, status == IMSG_OK ? err : &late);
    return status == IMSG_OK ? end : status;
}
