/* imsg-push: envelopes to the relay; what cannot be delivered is not lost. */
#include "cli/cli.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "imsg-net.h"

#define UNDER_WAY 256 /* envelopes read that have no result yet */

enum { OPT_RELAY = CLI_KEY_RELAY, OPT_UNDELIVERED = CLI_KEY_OWN };

static const struct cli_option options[] = {
    CLI_OPT_RELAY,
    {'i', "identity", "FILE", "this device's private keys, for a relay that asks who sends", 0},
    {OPT_UNDELIVERED, "undelivered", "FILE",
     "write what was not delivered to FILE, as it came in; - is standard output", 0},
    {'j', "json", NULL, "print a receipt object for each envelope", 0},
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-push",
    .synopsis = "[--relay LOCATION] [-i FILE] [-j] [--undelivered FILE] [FILE...]",
    .purpose = "deliver envelopes to the relay",
    .options = options,
    .operands = "FILE",
};

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

/* A line and what became of it. Results are told in the order of the lines, whatever came back first. */
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

static enum imsg_status print_receipt(struct push *run, const struct imsg_envelope *envelope,
                                      const struct imsg_relay *relay, bool duplicate, const struct imsg_error *failure,
                                      struct imsg_error *err)
{
    json_t *object = json_object();
    struct imsg_buf line = {0};
    enum imsg_status status = imsg_json_set_string(object, "imsg", "receipt/1", err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "id", envelope->id, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "to", envelope->to, err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "to_token", imsg_view_of(envelope->to_token, IMSG_TOKEN), err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "payload", imsg_view_of(envelope->hash, sizeof envelope->hash), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "status",
                                      failure     ? "failed"
                                      : duplicate ? "duplicate"
                                                  : "delivered",
                                      err);
    if (status == IMSG_OK && relay)
        status = imsg_json_set_string(object, "relay", imsg_relay_location(relay), err);
    if (status == IMSG_OK && failure && imsg_utf8_valid(imsg_view_str(failure->text)))
        status = imsg_json_set_string(object, "error", failure->text, err);
    if (status == IMSG_OK)
        status = imsg_json_print(object, &line, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&line, "\n", err);
    if (status == IMSG_OK)
        status = cli_output_json(&run->receipts, imsg_buf_view(&line), err);
    if (status == IMSG_OK)
        status = cli_output_flush(&run->receipts, err);
    imsg_buf_free(&line);
    json_decref(object);
    return status;
}

/* After a write for --undelivered. */
static void keep_ok(struct push *run, enum imsg_status status, const struct imsg_error *err)
{
    if (cli_ok(&run->cli, status, err))
        return;
    run->not_kept = true;
    /* Whatever failed before, 75 for one: it would say that there is something to push again. */
    run->cli.status = imsg_status_exit(status);
}

static void keep(struct push *run, struct imsg_view line)
{
    struct imsg_error err = {0};
    if (!run->undelivered_path || run->not_kept)
        return;
    enum imsg_status status = cli_output_write(&run->undelivered, line, false, &err);
    if (status == IMSG_OK)
        status = cli_output_write(&run->undelivered, imsg_view_str("\n"), false, &err);
    keep_ok(run, status, &err);
}

/* Tell what became of a line: a receipt, or an error and the line itself. */
static void tell(struct push *run, struct job *job)
{
    struct imsg_error late = {0};
    bool failed = job->status != IMSG_OK;
    if (failed && job->relay && strncmp(job->err.text, "relay \"", 7) != 0)
        imsg_error_prefix(&job->err, "relay \"%s\"", imsg_relay_location(job->relay));
    if (job->parsed && cli_given(&run->cli, 'j') && !run->no_receipts)
        run->no_receipts = !cli_ok(
            &run->cli, print_receipt(run, &job->envelope, job->relay, job->duplicate, failed ? &job->err : NULL, &late),
            &late);
    if (!failed)
        return;
    imsg_error_prefix(&job->err, "%s: line %llu", job->input, (unsigned long long)job->number);
    cli_report(&run->cli, &job->err);
    if (job->line.len > 0)
        keep(run, imsg_buf_view(&job->line));
}

/* All from the first on that have a result. */
static void tell_done(struct push *run)
{
    while (run->jobs && run->jobs->done) {
        struct job *job = run->jobs;
        tell(run, job);
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

/* Until at most `most` are under way, or more can be read from `input`. */
static enum imsg_status settle(struct push *run, size_t most, int input, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && run->under_way > most && i < run->relays.count; i++)
        status = imsg_relay_settle(run->relays.items[i], most / run->relays.count, input, err);
    if (status != IMSG_OK) /* nothing moves any more */
        for (struct job *job = run->jobs; job; job = job->next)
            if (!job->done)
                delivered(job, status, false, err);
    tell_done(run);
    return status;
}

/* `line` with ptr NULL: one that is too long to be anybody's envelope, with its error in err. */
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

/* Can a line be had without waiting? */
static bool is_ready(const struct imsg_lines *lines)
{
    struct pollfd input = {.fd = lines->fd, .events = POLLIN};
    const uint8_t *from = lines->buf.ptr ? lines->buf.ptr + lines->start : NULL;
    return lines->eof || (from && memchr(from, '\n', lines->buf.len - lines->start)) || poll(&input, 1, 0) > 0;
}

/* Every line is tried; what fails is reported with its number and kept for --undelivered. */
static enum imsg_status push_input(struct push *run, const struct cli_input *input, struct imsg_error *err)
{
    struct imsg_lines lines;
    struct imsg_view line;
    bool more = true;
    enum imsg_status status = IMSG_OK;
    imsg_lines_start(&lines, input->fd, IMSG_LINE_MAX);
    while (more && status == IMSG_OK) {
        /* Whoever writes slowly is not waited for while there is something to do. */
        while (status == IMSG_OK && run->under_way > 0 && !is_ready(&lines))
            status = settle(run, 0, input->fd, err);
        if (status != IMSG_OK)
            break;
        status = imsg_lines_next(&lines, &line, &more, NULL, err);
        bool whole = status == IMSG_OK; /* an overlong line cannot be kept either: it is nobody's envelope */
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

static void push_all(struct push *run)
{
    struct imsg_error err = {0};
    int count = cli_operands(&run->cli);
    run->last = &run->jobs;
    for (int i = 0; i < (count ? count : 1); i++) {
        struct cli_input input;
        if (!cli_ok(&run->cli, cli_input_open(&run->cli, cli_operand(&run->cli, i), &input, &err), &err))
            continue;
        enum imsg_status status = push_input(run, &input, &err);
        if (status != IMSG_OK)
            imsg_error_prefix(&err, "%s", input.name);
        cli_ok(&run->cli, status, &err);
        cli_input_close(&input);
    }
    if (run->lines == 0 && run->cli.status == 0)
        cli_error(&run->cli, IMSG_NO_INPUT, "not one envelope to push");
}

int main(int argc, char **argv)
{
    struct push run = {.lines = 0};
    struct imsg_error err = {0};
    const char *arg;
    cli_start(&run.cli, &tool, argc, argv);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        if (key == CLI_KEY_RELAY)
            run.relay_option = arg;
        else if (key == OPT_UNDELIVERED)
            run.undelivered_path = arg;
        else if (key == 'i')
            run.cli.identity_path = arg;
    }
    bool both = run.undelivered_path && strcmp(run.undelivered_path, "-") == 0 && cli_given(&run.cli, 'j');
    if (both)
        cli_usage(&run.cli, "--json and --undelivered - both want standard output");
    cli_output_start(&run.cli, &run.receipts, NULL);
    cli_output_start(&run.cli, &run.undelivered, run.undelivered_path);
    for (int i = 0; i == 0 || i < cli_operands(&run.cli); i++)
        cli_output_not_input(&run.cli, &run.undelivered, cli_operand(&run.cli, i));
    cli_output_not_keys(&run.cli, &run.undelivered, run.cli.identity_path);
    cli_may_read_operands(&run.cli, 0);
    cli_may_replace(&run.cli, run.undelivered_path);
    cli_may_use(&run.cli, CLI_RELAY, run.relay_option);
    if (!run.relay_option) /* any envelope may name a server */
        cli_may_talk(&run.cli);
    cli_confine(&run.cli);
    push_all(&run);
    cli_ok(&run.cli, cli_output_finish(&run.receipts, !run.no_receipts, &err), &err);
    keep_ok(&run, cli_output_finish(&run.undelivered, run.undelivered_path && !run.not_kept, &err), &err);
    for (size_t i = 0; i < run.relays.count; i++)
        imsg_relay_close(run.relays.items[i]);
    free(run.relays.items);
    free(run.configured);
    return cli_finish(&run.cli);
}
