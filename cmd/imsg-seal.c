/* imsg-seal: a message, or many, or a file of any size, sealed for every device it should reach. */
#include "seal/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static enum imsg_status write_out(struct seal *run, enum imsg_status status, struct imsg_error *err)
{
    struct imsg_error late;
    enum imsg_status finished = cli_output_finish(&run->out, status == IMSG_OK, status == IMSG_OK ? err : &late);
    return status == IMSG_OK ? finished : status;
}

/* What the options say about the message; -g goes before the group of --reply. */
static enum imsg_status describe(struct seal *run, struct imsg_draft *message, struct imsg_error *err)
{
    enum imsg_status status = run->type ? imsg_strdup(run->type, &message->type, err) : IMSG_OK;
    message->receipt = run->receipt;
    if (status != IMSG_OK || !run->group)
        return status;
    free(message->group_name);
    message->group_name = NULL;
    return imsg_strdup(run->group, &message->group_name, err);
}

/* -S: the content, and what is left in its input, into the store. */
static enum imsg_status store_content(void *context, struct imsg_draft *draft, struct imsg_attachment *out,
                                      struct imsg_error *err)
{
    struct seal *run = context;
    struct imsg_store *store = NULL;
    struct imsg_net *net = NULL;
    struct cli_progress progress;
    char *location = NULL;
    bool only = draft->line == 0;
    const char *file = only ? cli_operand(&run->cli, 0) : NULL, *slash = file ? strrchr(file, '/') : NULL;
    const char *base = slash ? slash + 1 : file;
    enum imsg_status status = cli_service(&run->cli, CLI_STORE, run->store, &location, err);
    if (status == IMSG_OK)
        status = cli_net(&run->cli, &net, err);
    if (status == IMSG_OK)
        status = imsg_store_open(location, net, &store, err);
    if (status == IMSG_OK) {
        cli_progress_start(&run->cli, file ? file : "-", &progress);
        status = imsg_attachment_put(store, imsg_buf_view(&draft->content), only ? run->input.fd : -1, &progress.how,
                                     out, err);
        cli_progress_end(&progress);
    }
    if (status == IMSG_OK && file && strcmp(file, "-") != 0 && imsg_utf8_valid(imsg_view_str(base)))
        status = imsg_strdup(base, &out->name, err);
    imsg_store_close(store);
    free(location);
    return status;
}

static enum imsg_status write_chunk(void *context, struct imsg_view bytes, struct imsg_error *err)
{
    struct seal *run = context;
    return cli_output_write(&run->out, bytes, true, err);
}

/* All recipients or nothing: a bad line of -R counts too. */
static enum imsg_status seal_stream(struct seal *run, struct imsg_error *err)
{
    const struct imsg_input input = {.fd = run->input.fd, .name = run->input.name};
    run->message.partial = run->cli.status != 0;
    enum imsg_status status = imsg_seal_file(&run->sealer, &run->message, &input, write_chunk, run, err);
    return run->message.partial ? status : write_out(run, status, err);
}

/* One message, or one sealed file. */
static enum imsg_status seal_one(struct seal *run, struct imsg_error *err)
{
    struct imsg_draft *message = &run->message;
    bool raw = run->sealer.raw;
    enum imsg_status status = imsg_draft_address(&run->sealer, message, run->handles, run->handle_count, err);
    if (status != IMSG_OK)
        return status;
    if (raw && message->target_count != 1 && run->cli.status == 0)
        return imsg_fail(err, IMSG_USAGE, "--raw seals for exactly one device that offers %s, not %zu",
                         imsg_format_name(run->sealer.format), message->target_count);
    if (message->target_count == 0) /* what is missing has been said, or there was nothing */
        return run->cli.status ? IMSG_OK : imsg_fail(err, IMSG_NO_INPUT, "no device record to seal for");
    if (raw && message->target_count != 1)
        return IMSG_OK;
    status = describe(run, message, err);
    if (status == IMSG_OK && cli_given(&run->cli, 's'))
        return seal_stream(run, err);
    if (status == IMSG_OK)
        status = imsg_seal_drafts(&run->sealer, message, 1, err);
    if (status == IMSG_OK && message->status != IMSG_OK) {
        seal_hint_too_long(run, message);
        *err = message->err;
        status = message->status;
    }
    if (status != IMSG_OK || message->lines.len == 0)
        return status;
    status = cli_output_write(&run->out, imsg_buf_view(&message->lines), raw, err);
    return write_out(run, status, err);
}

static void start_sealer(struct seal *run)
{
    struct imsg_sealer *sealer = &run->sealer;
    sealer->client = &run->cli.client;
    sealer->raw = cli_given(&run->cli, OPT_RAW);
    sealer->no_self = cli_given(&run->cli, OPT_NO_SELF);
    sealer->records = run->record_count ? &run->records : NULL;
    sealer->records_are_directory = cli_given(&run->cli, OPT_EACH);
    sealer->store = cli_given(&run->cli, 'S') ? store_content : NULL;
    sealer->context = run;
    cli_client(&run->cli);
}

/* Everything from stdin is read before keys are unlocked or state is looked at. */
static enum imsg_status work(struct seal *run, struct imsg_error *err)
{
    struct imsg_buf reply = {0};
    struct imsg_identity *identity;
    enum imsg_status status = seal_read_content(run, err);
    if (status == IMSG_OK && run->reply_path)
        status = seal_read_reply(run, &reply, err);
    if (status == IMSG_OK && run->attach)
        status = seal_read_descriptors(run, err);
    if (status == IMSG_OK)
        status = seal_read_records(run, err);
    start_sealer(run);
    if (status == IMSG_OK)
        status = imsg_client_identity(&run->cli.client, &identity, err);
    if (status == IMSG_OK && run->reply_path)
        status = seal_use_reply(run, imsg_buf_view(&reply), err);
    if (status == IMSG_OK)
        status = seal_one(run, err);
    imsg_buf_free(&reply);
    return status;
}

static enum imsg_status work_each(struct seal *run, struct imsg_error *err)
{
    enum imsg_status status = seal_read_records(run, err);
    start_sealer(run);
    return status == IMSG_OK ? write_out(run, seal_each(run, err), err) : status;
}

static void free_all(struct seal *run)
{
    imsg_draft_free(&run->message);
    imsg_sealer_free(&run->sealer);
    imsg_devices_free(&run->records);
    imsg_strings_free(run->handles, run->handle_count);
    free(run->record_files);
}

int main(int argc, char **argv)
{
    struct seal run = {.input = {.fd = -1}};
    struct imsg_error err = {0};
    cli_start(&run.cli, &seal_tool, argc, argv);
    run.record_files = calloc((size_t)argc, sizeof *run.record_files);
    seal_read_options(&run);
    seal_confine(&run);
    cli_ok(&run.cli, cli_given(&run.cli, OPT_EACH) ? work_each(&run, &err) : work(&run, &err), &err);
    cli_input_close(&run.input);
    free_all(&run);
    return cli_finish(&run.cli);
}
