/* imsg-push: envelopes to the relay; what cannot be delivered is not lost. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "net/net.h"

enum { OPT_RELAY = CLI_KEY_RELAY, OPT_UNDELIVERED = CLI_KEY_OWN };

static const struct cli_option options[] = {
    CLI_OPT_RELAY,
    {'i', "identity", "FILE", "this device's private keys, for a relay that asks who sends", 0},
    {OPT_UNDELIVERED, "undelivered", "FILE", "write what was not delivered to FILE, as it came in; - is standard output", 0},
    {'j', "json", NULL, "print a receipt object for each envelope", 0},
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
};

/* The open relay at `location`. */
static enum imsg_status relay_at(struct push *run, const char *location, struct imsg_relay **out,
                                 struct imsg_error *err)
{
    struct imsg_relay *relay = NULL;
    for (size_t i = 0; i < run->relays.count; i++)
        if (strcmp(imsg_relay_location(run->relays.items[i]), location) == 0) {
            *out = run->relays.items[i];
            return IMSG_OK;
        }
    struct imsg_relay **grown = realloc(run->relays.items, (run->relays.count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    run->relays.items = grown;
    enum imsg_status status = imsg_relay_open(location, &relay, err);
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
        return relay_at(run, envelope->relay, out, err);
    if (!run->configured)
        status = cli_service(&run->cli, CLI_RELAY, run->relay_option, &run->configured, err);
    return status == IMSG_OK ? relay_at(run, run->configured, out, err) : status;
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
        status = imsg_json_set_string(object, "status", failure ? "failed" : duplicate ? "duplicate" : "delivered", err);
    if (status == IMSG_OK && relay)
        status = imsg_json_set_string(object, "relay", imsg_relay_location(relay), err);
    if (status == IMSG_OK && failure && imsg_utf8_valid(imsg_view_str(failure->text)))
        status = imsg_json_set_string(object, "error", failure->text, err);
    if (status == IMSG_OK)
        status = imsg_json_print(object, &line, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&line, "\n", err);
    if (status == IMSG_OK)
        status = cli_output_write(&run->receipts, imsg_buf_view(&line), false, err);
    if (status == IMSG_OK)
        status = cli_output_flush(&run->receipts, err);
    imsg_buf_free(&line);
    json_decref(object);
    return status;
}

/* IMSG_OK: delivered. */
static enum imsg_status push_line(struct push *run, struct imsg_view line, struct imsg_error *err)
{
    struct imsg_envelope envelope = {0};
    struct imsg_relay *relay = NULL;
    struct imsg_error late = {0};
    bool duplicate = false, parsed;
    enum imsg_status status = imsg_envelope_parse(line, &envelope, err);
    parsed = status == IMSG_OK;
    if (status == IMSG_OK)
        status = choose_relay(run, &envelope, &relay, err);
    if (status == IMSG_OK) {
        status = imsg_relay_deliver(relay, &envelope, line, &duplicate, err);
        if (status != IMSG_OK)
            imsg_error_prefix(err, "relay \"%s\"", imsg_relay_location(relay));
    }
    if (parsed && cli_given(&run->cli, 'j') && !run->no_receipts)
        run->no_receipts = !cli_ok(
            &run->cli, print_receipt(run, &envelope, relay, duplicate, status == IMSG_OK ? NULL : err, &late), &late);
    imsg_envelope_free(&envelope);
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

/* Every line is tried; what fails is reported with its number and kept for --undelivered. */
static enum imsg_status push_input(struct push *run, const struct cli_input *input, struct imsg_error *err)
{
    struct imsg_lines lines;
    struct imsg_view line;
    bool more = true;
    enum imsg_status status = IMSG_OK;
    imsg_lines_start(&lines, input->fd, IMSG_LINE_MAX);
    while (more) {
        status = imsg_lines_next(&lines, &line, &more, NULL, err);
        bool whole = status == IMSG_OK; /* an overlong line cannot be kept either: it is nobody's envelope */
        if (whole && (!more || line.len == 0))
            continue;
        if (!whole && status != IMSG_TOO_LONG)
            break;
        run->lines++;
        if (whole)
            status = push_line(run, line, err);
        if (status == IMSG_OK)
            continue;
        imsg_error_prefix(err, "%s: line %llu", input->name, (unsigned long long)lines.number);
        cli_report(&run->cli, err);
        if (whole)
            keep(run, line);
        status = IMSG_OK;
    }
    imsg_lines_free(&lines);
    return status;
}

static void push_all(struct push *run)
{
    struct imsg_error err = {0};
    int count = cli_operands(&run->cli);
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
    }
    bool both = run.undelivered_path && strcmp(run.undelivered_path, "-") == 0 && cli_given(&run.cli, 'j');
    if (both)
        cli_usage(&run.cli, "--json and --undelivered - both want standard output");
    cli_output_start(&run.cli, &run.receipts, NULL);
    cli_output_start(&run.cli, &run.undelivered, run.undelivered_path);
    for (int i = 0; i == 0 || i < cli_operands(&run.cli); i++)
        cli_output_not_input(&run.cli, &run.undelivered, cli_operand(&run.cli, i));
    cli_sandbox();
    push_all(&run);
    cli_ok(&run.cli, cli_output_finish(&run.receipts, !run.no_receipts, &err), &err);
    keep_ok(&run, cli_output_finish(&run.undelivered, run.undelivered_path && !run.not_kept, &err), &err);
    for (size_t i = 0; i < run.relays.count; i++)
        imsg_relay_close(run.relays.items[i]);
    free(run.relays.items);
    free(run.configured);
    return cli_finish(&run.cli);
}
