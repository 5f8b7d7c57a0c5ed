/* From messages and targets to envelopes: one job for each device, on all cores, put together in order. */
#include "seal/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "net/net.h"

#define JOBS_EACH 8 /* devices under way for every core */
#define WORTH_IT 4  /* devices from which on another thread pays */

/* One device. */
struct job {
    const struct seal *run;
    struct seal_message *message;
    struct seal_target *target;
    struct imsg_buf payload, line;
    enum imsg_status status;
    struct imsg_error err;
};

static void seal_job(void *argument)
{
    struct job *job = argument;
    const struct seal *run = job->run;
    const struct seal_message *message = job->message;
    const struct seal_target *target = job->target;
    const struct imsg_device *device = target->device;
    bool raw = cli_given(&run->cli, OPT_RAW);
    /* What a relay takes is no limit of a bare payload, nor of a sealed file. */
    const struct imsg_seal_how how = {
        target->format, target->counter, raw || message->stream_key ? 0 : device->limit};
    job->status = imsg_seal_payload(&run->identity, device, &how, imsg_buf_view(&message->plaintext),
                                    raw ? &job->line : &job->payload, &job->err);
    if (job->status != IMSG_OK || raw)
        return;
    struct imsg_envelope envelope = {.id = message->id,
                                     .from = run->identity.handles[0],
                                     .to = target->to,
                                     .time = message->time,
                                     .relay = device->relay,
                                     .format = target->format,
                                     .payload = job->payload};
    memcpy(envelope.from_token, run->identity.token, IMSG_TOKEN);
    memcpy(envelope.to_token, device->token, IMSG_TOKEN);
    job->status = imsg_envelope_print(&envelope, &job->line, &job->err);
}

/* A device whose own record is at fault is named and left out; anything else is the message's end. */
static void finish(struct seal *run, struct job *job)
{
    struct seal_message *message = job->message;
    char token[2 * IMSG_TOKEN + 1];
    enum imsg_status status = job->status;
    if (status == IMSG_OK)
        status = imsg_buf_append(&message->lines, job->line.ptr, job->line.len, &job->err);
    if (status == IMSG_BAD_SIGNATURE || status == IMSG_MALFORMED || status == IMSG_REFUSED) {
        imsg_hex(job->target->device->token, IMSG_TOKEN, token);
        imsg_error_prefix(&job->err, "device %.8s… of %s", token, job->target->to);
        seal_report(run, message, &job->err);
        job->target->left_out = true;
    } else if (status != IMSG_OK && message->status == IMSG_OK) {
        message->status = status;
        message->err = job->err;
    }
    imsg_buf_clear(&job->payload);
    imsg_buf_clear(&job->line);
}

static enum imsg_status seal_targets(struct seal *run, struct seal_message *messages, size_t count, size_t targets,
                                     struct imsg_error *err)
{
    unsigned threads = targets >= WORTH_IT ? cli_jobs(&run->cli) : 1;
    size_t depth = threads > 1 ? (size_t)threads * JOBS_EACH : 1, given = 0;
    struct imsg_pool *pool = NULL;
    struct job *jobs = calloc(depth, sizeof *jobs), *done;
    if (!jobs)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = imsg_pool_new(threads, depth, seal_job, &pool, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++)
        for (size_t k = 0; k < messages[i].target_count && messages[i].status == IMSG_OK; k++) {
            if (messages[i].targets[k].left_out)
                continue;
            if (imsg_pool_full(pool))
                finish(run, imsg_pool_next(pool));
            struct job *job = &jobs[given++ % depth];
            job->run = run;
            job->message = &messages[i];
            job->target = &messages[i].targets[k];
            imsg_pool_add(pool, job);
        }
    while (status == IMSG_OK && (done = imsg_pool_next(pool)))
        finish(run, done);
    imsg_pool_free(pool);
    for (size_t i = 0; i < depth; i++) {
        imsg_buf_free(&jobs[i].payload);
        imsg_buf_free(&jobs[i].line);
    }
    free(jobs);
    return status;
}

/* For all of them at once: the file is locked and written once. */
static enum imsg_status take_counters(struct seal *run, struct seal_message *messages, size_t count, size_t targets,
                                      struct imsg_error *err)
{
    size_t n = 0;
    uint32_t *counters = calloc(targets, sizeof *counters);
    const struct imsg_device **devices = calloc(targets, sizeof *devices);
    bool ok = counters && devices;
    for (size_t i = 0; ok && i < count; i++)
        for (size_t k = 0; k < messages[i].target_count; k++)
            if (imsg_format_counts(messages[i].targets[k].format))
                devices[n++] = messages[i].targets[k].device;
    if (ok && n > 0)
        cli_counters(&run->cli, run->identity.device_x, devices, n, counters);
    n = 0;
    for (size_t i = 0; ok && i < count; i++)
        for (size_t k = 0; k < messages[i].target_count; k++)
            if (imsg_format_counts(messages[i].targets[k].format))
                messages[i].targets[k].counter = counters[n++];
    free(counters);
    free(devices);
    return ok ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

/* The descriptors of the message's attachments; the caller frees them. */
static enum imsg_status read_attachments(const struct seal_message *message, struct imsg_message *out,
                                         struct imsg_error *err)
{
    json_t *item;
    size_t i;
    enum imsg_status status = IMSG_OK;
    if (json_array_size(message->attachments) == 0)
        return IMSG_OK;
    out->attachments = calloc(json_array_size(message->attachments), sizeof *out->attachments);
    if (!out->attachments)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    json_array_foreach (message->attachments, i, item) {
        status = imsg_attachment_from_json(item, &out->attachments[i], err);
        if (status != IMSG_OK)
            break;
        out->attachment_count++;
    }
    return status;
}

static enum imsg_status write_plaintext(struct seal *run, struct seal_message *message, struct imsg_view content,
                                        const char *type, struct imsg_error *err)
{
    struct imsg_message sealed = {.id = message->id,
                                  .from = run->identity.handles[0],
                                  .time = message->time,
                                  .to = message->to,
                                  .to_count = message->to_count,
                                  .type = type,
                                  .group_id = message->group_id,
                                  .group_name = message->group_name,
                                  .reply_to = message->receipt ? NULL : message->reply_id,
                                  .receipt = message->receipt,
                                  .receipt_of = message->receipt ? message->reply_id : NULL,
                                  .has_stream = message->stream_key != NULL,
                                  .content = content};
    if (message->stream_key)
        memcpy(sealed.stream_key, message->stream_key, sizeof sealed.stream_key);
    imsg_buf_clear(&message->plaintext);
    enum imsg_status status = read_attachments(message, &sealed, err);
    if (status == IMSG_OK)
        status = imsg_message_print(&sealed, &message->plaintext, err);
    for (size_t i = 0; i < sealed.attachment_count; i++)
        imsg_attachment_free(&sealed.attachments[i]);
    free(sealed.attachments);
    imsg_wipe(sealed.stream_key, sizeof sealed.stream_key);
    return status;
}

/* Header and content, or for a sealed file the header alone, or with --raw the content alone. */
static enum imsg_status prepare(struct seal *run, struct seal_message *message)
{
    struct imsg_view content = imsg_buf_view(&message->content);
    const char *type = message->type ? message->type : seal_content_type(content);
    if (message->stream_key)
        return write_plaintext(run, message, (struct imsg_view){0}, type, &message->err);
    if (content.len > IMSG_FORMAT_MAX)
        return imsg_fail(&message->err, IMSG_TOO_LONG, "more than %d bytes", IMSG_FORMAT_MAX);
    if (!cli_given(&run->cli, OPT_RAW))
        return write_plaintext(run, message, content, type, &message->err);
    imsg_buf_clear(&message->plaintext);
    return imsg_buf_append(&message->plaintext, content.ptr, content.len, &message->err);
}

/* ---- -S ---- */

/* The content, all of it, becomes an attachment. */
static enum imsg_status store_content(struct seal *run, struct seal_message *message, struct imsg_error *err)
{
    struct imsg_store *store = NULL;
    struct imsg_net *net = NULL;
    struct imsg_attachment attachment = {0};
    struct imsg_buf line = {0};
    json_t *object = NULL;
    char *location = NULL;
    bool only = message->line == 0;
    struct imsg_view content = imsg_buf_view(&message->content);
    const char *file = only ? cli_operand(&run->cli, 0) : NULL, *slash = file ? strrchr(file, '/') : NULL;
    const char *type = message->type ? message->type : seal_content_type(content);
    enum imsg_status status = cli_service(&run->cli, CLI_STORE, run->store, &location, err);
    if (status == IMSG_OK)
        status = cli_net(&run->cli, &net, err);
    cli_net_identity(&run->cli, &run->identity);
    if (status == IMSG_OK)
        status = imsg_store_open(location, net, &store, err);
    if (status == IMSG_OK) {
        struct cli_progress progress;
        cli_progress_start(&run->cli, file ? file : "-", &progress);
        status = imsg_attachment_put(store, content, only ? run->input.fd : -1, &progress.how, &attachment, err);
        cli_progress_end(&progress);
    }
    const char *base = slash ? slash + 1 : file;
    if (status == IMSG_OK && file && strcmp(file, "-") != 0 && imsg_utf8_valid(imsg_view_str(base)))
        status = imsg_strdup(base, &attachment.name, err);
    if (status == IMSG_OK && type)
        status = imsg_strdup(type, &attachment.type, err);
    if (status == IMSG_OK)
        status = imsg_attachment_print(&attachment, &line, err);
    if (status == IMSG_OK)
        status = imsg_json_parse(imsg_buf_view(&line), IMSG_LINE_MAX, &object, err);
    if (status == IMSG_OK && json_array_append(message->attachments, object) != 0)
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    json_decref(object);
    imsg_buf_free(&line);
    imsg_attachment_free(&attachment);
    imsg_store_close(store);
    free(location);
    return status;
}

static void too_long(struct seal *run, struct seal_message *message)
{
    imsg_error_prefix(&message->err, "content too long");
    if (!cli_given(&run->cli, OPT_RAW) && !cli_given(&run->cli, 'S'))
        imsg_error_hint(&message->err, "-S sends it as an attachment through the store%s",
                        message->line ? "" : ", -s makes a sealed file of any size");
}

/* A message over a limit: by way of the store, if that was allowed. */
static enum imsg_status retry(struct seal *run, struct seal_message *message, struct imsg_error *err)
{
    if (cli_given(&run->cli, 'S')) {
        imsg_buf_clear(&message->lines);
        message->status = store_content(run, message, &message->err);
        if (message->status == IMSG_OK)
            message->status = write_plaintext(run, message, (struct imsg_view){0}, NULL, &message->err);
        if (message->status == IMSG_OK) {
            enum imsg_status status = seal_targets(run, message, 1, message->target_count, err);
            if (status != IMSG_OK)
                return status;
        }
    }
    if (message->status == IMSG_TOO_LONG)
        too_long(run, message);
    return IMSG_OK;
}

enum imsg_status seal_name_group(const struct seal *run, struct seal_message *message, struct imsg_error *err)
{
    char id[37];
    const char **all = calloc(message->to_count + 1, sizeof *all);
    if (!all)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < message->to_count; i++)
        all[i] = message->to[i];
    all[message->to_count] = run->identity.handles[0];
    enum imsg_status status = imsg_group_id(all, message->to_count + 1, message->group_name, id, err);
    free(all);
    free(message->group_id);
    message->group_id = NULL;
    return status == IMSG_OK ? imsg_strdup(id, &message->group_id, err) : status;
}

enum imsg_status seal_stamp(struct seal_message *message, struct imsg_error *err)
{
    imsg_time_format(imsg_now(), message->time);
    return imsg_uuid_v4(message->id, err);
}

enum imsg_status seal_messages(struct seal *run, struct seal_message *messages, size_t count, struct imsg_error *err)
{
    size_t targets = 0;
    for (size_t i = 0; i < count; i++) {
        messages[i].status = prepare(run, &messages[i]);
        targets += messages[i].target_count;
    }
    if (targets == 0)
        return IMSG_OK;
    enum imsg_status status = take_counters(run, messages, count, targets, err);
    if (status == IMSG_OK)
        status = seal_targets(run, messages, count, targets, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++)
        if (messages[i].status == IMSG_TOO_LONG)
            status = retry(run, &messages[i], err);
    return status;
}

void seal_message_free(struct seal_message *message)
{
    imsg_strings_free(message->to, message->to_count);
    imsg_buf_free(&message->content);
    free(message->type);
    free(message->group_id);
    free(message->group_name);
    free(message->reply_id);
    json_decref(message->attachments);
    free(message->targets);
    json_decref(message->tokens);
    imsg_buf_free(&message->plaintext);
    imsg_buf_free(&message->lines);
    *message = (struct seal_message){0};
}
