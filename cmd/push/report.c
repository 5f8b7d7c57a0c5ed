/* What is printed for an envelope: its receipt or an error; and the lines that were not delivered. */
#include "push/push.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"

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

void push_check_undelivered(struct push *run, enum imsg_status status, const struct imsg_error *err)
{
    if (cli_ok(&run->cli, status, err))
        return;
    run->not_kept = true;
    /* In place of an earlier status: 75, for one, would mean that FILE has the lines to push again. */
    run->cli.status = imsg_status_exit(status);
}

static void keep_line(struct push *run, struct imsg_view line)
{
    struct imsg_error err = {0};
    if (!run->undelivered_path || run->not_kept)
        return;
    enum imsg_status status = cli_output_write(&run->undelivered, line, false, &err);
    if (status == IMSG_OK)
        status = cli_output_write(&run->undelivered, imsg_view_str("\n"), false, &err);
    push_check_undelivered(run, status, &err);
}

void push_report(struct push *run, struct job *job)
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
        keep_line(run, imsg_buf_view(&job->line));
}
