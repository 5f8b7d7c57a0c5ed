/* From drafts and their targets to envelopes: one job for each device, on all threads, put together in order. */
#include "client/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/pipeline.h"
#include "base/text.h"
#include "client/counters.h"
#include "crypto/crypto.h"

#define JOBS_EACH 8 /* devices under way for every thread */
#define WORTH_IT 4  /* devices from which on another thread pays */

/* ---- one device ---- */

struct job {
    const struct imsg_sealer *sealer;
    struct imsg_draft *draft;
    struct imsg_target *target;
    struct imsg_buf payload, line;
    enum imsg_status status;
    struct imsg_error err;
};

static void job_seal(void *argument)
{
    struct job *job = argument;
    const struct imsg_identity *identity = job->sealer->client->identity;
    const struct imsg_draft *draft = job->draft;
    const struct imsg_target *target = job->target;
    const struct imsg_device *device = target->device;
    bool raw = job->sealer->raw;
    /* What a relay takes limits neither a bare payload nor the envelopes of a sealed file. */
    const struct imsg_seal_how how = {
        .format = target->format, .counter = target->counter, .limit = raw || draft->stream_key ? 0 : device->limit};
    job->status = imsg_seal_payload(identity, device, &how, imsg_buf_view(&draft->plaintext),
                                    raw ? &job->line : &job->payload, &job->err);
    if (job->status != IMSG_OK || raw)
        return;
    struct imsg_envelope envelope = {.id = draft->id,
                                     .from = identity->handles[0],
                                     .to = target->to,
                                     .time = draft->time,
                                     .relay = device->relay,
                                     .format = target->format,
                                     .payload = job->payload};
    memcpy(envelope.from_token, identity->token, IMSG_TOKEN);
    memcpy(envelope.to_token, device->token, IMSG_TOKEN);
    job->status = imsg_envelope_print(&envelope, &job->line, &job->err);
}

/* A device whose own record is at fault is told and left out; any other failure is the draft's. */
static enum imsg_status job_finish(void *context, void *argument, struct imsg_error *err)
{
    struct job *job = argument;
    struct imsg_draft *draft = job->draft;
    char token[2 * IMSG_TOKEN + 1];
    enum imsg_status status = job->status;
    (void)context;
    (void)err;
    if (status == IMSG_OK)
        status = imsg_buf_append(&draft->lines, job->line.ptr, job->line.len, &job->err);
    if (status == IMSG_BAD_SIGNATURE || status == IMSG_MALFORMED || status == IMSG_REFUSED) {
        imsg_hex(job->target->device->token, IMSG_TOKEN, token);
        imsg_error_prefix(&job->err, "device %.8s… of %s", token, job->target->to);
        imsg_draft_leave_out(job->sealer, draft, &job->err);
        job->target->left_out = true;
    } else if (status != IMSG_OK && draft->status == IMSG_OK) {
        draft->status = status;
        draft->err = job->err;
    }
    imsg_buf_clear(&job->payload);
    imsg_buf_clear(&job->line);
    return IMSG_OK;
}

static void job_clear(void *argument)
{
    struct job *job = argument;
    imsg_buf_free(&job->payload);
    imsg_buf_free(&job->line);
}

/* ---- all devices of all drafts ---- */

struct walk {
    const struct imsg_sealer *sealer;
    struct imsg_draft *drafts;
    size_t count, draft, target;
};

static enum imsg_status job_next(void *context, void *argument, bool busy, enum imsg_pipeline_step *step,
                                 struct imsg_error *err)
{
    struct walk *walk = context;
    struct job *job = argument;
    (void)busy;
    (void)err;
    for (; walk->draft < walk->count; walk->draft++, walk->target = 0) {
        struct imsg_draft *draft = &walk->drafts[walk->draft];
        while (draft->status == IMSG_OK && walk->target < draft->target_count) {
            struct imsg_target *target = &draft->targets[walk->target++];
            if (target->left_out)
                continue;
            job->sealer = walk->sealer;
            job->draft = draft;
            job->target = target;
            *step = IMSG_STEP_JOB;
            return IMSG_OK;
        }
    }
    *step = IMSG_STEP_END;
    return IMSG_OK;
}

static enum imsg_status seal_targets(const struct imsg_sealer *sealer, struct imsg_draft *drafts, size_t count,
                                     size_t targets, struct imsg_error *err)
{
    struct walk walk = {.sealer = sealer, .drafts = drafts, .count = count};
    unsigned threads = targets >= WORTH_IT ? imsg_client_threads(sealer->client) : 1;
    const struct imsg_pipeline pipeline = {
        .threads = threads,
        .depth = imsg_pipeline_depth(threads, JOBS_EACH),
        .job_size = sizeof(struct job),
        .read = job_next,
        .work = job_seal,
        .finish = job_finish,
        .clear = job_clear,
        .context = &walk,
    };
    return imsg_pipeline_run(&pipeline, err);
}

/* For all of them at once: the file is locked and written once. */
static enum imsg_status take_counters(const struct imsg_sealer *sealer, struct imsg_draft *drafts, size_t count,
                                      size_t targets, struct imsg_error *err)
{
    const struct imsg_client *client = sealer->client;
    const char *home = NULL;
    struct imsg_error lost;
    size_t n = 0;
    uint32_t *counters = calloc(targets, sizeof *counters);
    const struct imsg_device **devices = calloc(targets, sizeof *devices);
    bool ok = counters && devices;
    for (size_t i = 0; ok && i < count; i++)
        for (size_t k = 0; k < drafts[i].target_count; k++)
            if (imsg_format_counts(drafts[i].targets[k].format))
                devices[n++] = drafts[i].targets[k].device;
    if (ok && n > 0 &&
        (imsg_client_home(client, &home, &lost) != IMSG_OK ||
         imsg_counters_take(home, client->identity->device_x, devices, n, counters, &lost) != IMSG_OK))
        imsg_client_tell(client, &(struct imsg_event){.kind = IMSG_EVENT_COUNTERS, .error = &lost});
    n = 0;
    for (size_t i = 0; ok && i < count; i++)
        for (size_t k = 0; k < drafts[i].target_count; k++)
            if (imsg_format_counts(drafts[i].targets[k].format))
                drafts[i].targets[k].counter = counters[n++];
    free(counters);
    free(devices);
    return ok ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

/* ---- the plaintext ---- */

/* Content that is too long for a message may have been read only in part, and then end inside a character. */
static bool is_text(struct imsg_view content)
{
    size_t cut = content.len > IMSG_FORMAT_MAX ? 3 : 0;
    for (size_t i = 0; i <= cut; i++)
        if (imsg_utf8_valid(imsg_view_of(content.ptr, content.len - i)))
            return true;
    return false;
}

const char *imsg_content_type(struct imsg_view content)
{
    if (content.len == 0)
        return NULL;
    return is_text(content) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

static enum imsg_status print_plaintext(const struct imsg_sealer *sealer, struct imsg_draft *draft,
                                        struct imsg_view content, const char *type, struct imsg_error *err)
{
    struct imsg_message message = {.id = draft->id,
                                   .from = sealer->client->identity->handles[0],
                                   .time = draft->time,
                                   .to = draft->to,
                                   .to_count = draft->to_count,
                                   .type = type,
                                   .group_id = draft->receipt ? NULL : draft->group_id,
                                   .group_name = draft->receipt ? NULL : draft->group_name,
                                   .reply_to = draft->receipt ? NULL : draft->reply_to,
                                   .receipt = draft->receipt,
                                   .receipt_of = draft->receipt ? draft->reply_to : NULL,
                                   .attachments = draft->attachments,
                                   .attachment_count = draft->attachment_count,
                                   .has_stream = draft->stream_key != NULL,
                                   .content = content};
    if (draft->stream_key)
        memcpy(message.stream_key, draft->stream_key, sizeof message.stream_key);
    imsg_buf_clear(&draft->plaintext);
    enum imsg_status status = imsg_message_print(&message, &draft->plaintext, err);
    imsg_wipe(message.stream_key, sizeof message.stream_key);
    return status;
}

/* The id of the group of this name and these participants. */
static enum imsg_status name_group(const struct imsg_sealer *sealer, struct imsg_draft *draft, struct imsg_error *err)
{
    char id[37];
    const char **all = calloc(draft->to_count + 1, sizeof *all);
    if (!all)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < draft->to_count; i++)
        all[i] = draft->to[i];
    all[draft->to_count] = sealer->client->identity->handles[0];
    enum imsg_status status = imsg_group_id(all, draft->to_count + 1, draft->group_name, id, err);
    free(all);
    return status == IMSG_OK ? imsg_strdup(id, &draft->group_id, err) : status;
}

/* What the caller left to the library. */
static enum imsg_status complete(const struct imsg_sealer *sealer, struct imsg_draft *draft, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (draft->group_name && !draft->group_id)
        status = name_group(sealer, draft, err);
    if (!draft->time[0])
        imsg_time_format(imsg_now(), draft->time);
    if (status == IMSG_OK && !draft->id[0])
        status = imsg_uuid_v4(draft->id, err);
    return status;
}

/* Header and content; for a sealed file the header alone; for a bare payload the content alone. */
static enum imsg_status prepare(const struct imsg_sealer *sealer, struct imsg_draft *draft, struct imsg_error *err)
{
    struct imsg_view content = imsg_buf_view(&draft->content);
    const char *type = draft->type ? draft->type : imsg_content_type(content);
    enum imsg_status status = complete(sealer, draft, err);
    if (status != IMSG_OK)
        return status;
    if (draft->stream_key)
        return print_plaintext(sealer, draft, (struct imsg_view){0}, type, err);
    if (content.len > IMSG_FORMAT_MAX)
        return imsg_fail(err, IMSG_TOO_LONG, "more than %d bytes", IMSG_FORMAT_MAX);
    if (!sealer->raw)
        return print_plaintext(sealer, draft, content, type, err);
    imsg_buf_clear(&draft->plaintext);
    return imsg_buf_append(&draft->plaintext, content.ptr, content.len, err);
}

/* ---- content over a limit ---- */

enum imsg_status imsg_draft_attach(struct imsg_draft *draft, struct imsg_attachment *attachment, struct imsg_error *err)
{
    struct imsg_attachment *grown =
        realloc(draft->attachments, (draft->attachment_count + 1) * sizeof *draft->attachments);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    draft->attachments = grown;
    grown[draft->attachment_count++] = *attachment;
    *attachment = (struct imsg_attachment){0};
    return IMSG_OK;
}

/* Put the content, all of it, into an attachment. */
static enum imsg_status store_content(const struct imsg_sealer *sealer, struct imsg_draft *draft,
                                      struct imsg_error *err)
{
    struct imsg_attachment attachment = {0};
    const char *type = draft->type ? draft->type : imsg_content_type(imsg_buf_view(&draft->content));
    enum imsg_status status = sealer->store(sealer->context, draft, &attachment, err);
    if (status == IMSG_OK && type && !attachment.type)
        status = imsg_strdup(type, &attachment.type, err);
    if (status == IMSG_OK)
        status = imsg_draft_attach(draft, &attachment, err);
    imsg_attachment_free(&attachment);
    return status;
}

/* Seal once more, with the content in the store if the caller allows that. */
static enum imsg_status retry(const struct imsg_sealer *sealer, struct imsg_draft *draft, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (sealer->store) {
        imsg_buf_clear(&draft->lines);
        draft->status = store_content(sealer, draft, &draft->err);
        if (draft->status == IMSG_OK)
            draft->status = print_plaintext(sealer, draft, (struct imsg_view){0}, NULL, &draft->err);
        if (draft->status == IMSG_OK)
            status = seal_targets(sealer, draft, 1, draft->target_count, err);
    }
    if (draft->status == IMSG_TOO_LONG)
        imsg_error_prefix(&draft->err, "content too long");
    return status;
}

/* ---- drafts ---- */

enum imsg_status imsg_seal_drafts(struct imsg_sealer *sealer, struct imsg_draft *drafts, size_t count,
                                  struct imsg_error *err)
{
    struct imsg_identity *identity;
    size_t targets = 0;
    if (count == 0) /* then no key is unlocked */
        return IMSG_OK;
    enum imsg_status status = imsg_client_identity(sealer->client, &identity, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        drafts[i].status = prepare(sealer, &drafts[i], &drafts[i].err);
        targets += drafts[i].target_count;
    }
    if (status != IMSG_OK || targets == 0)
        return status;
    status = take_counters(sealer, drafts, count, targets, err);
    if (status == IMSG_OK)
        status = seal_targets(sealer, drafts, count, targets, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++)
        if (drafts[i].status == IMSG_TOO_LONG)
            status = retry(sealer, &drafts[i], err);
    return status;
}

enum imsg_status imsg_seal(struct imsg_sealer *sealer, struct imsg_draft *draft, char *const *handles, size_t count,
                           struct imsg_error *err)
{
    enum imsg_status status = imsg_draft_address(sealer, draft, handles, count, err);
    if (status == IMSG_OK && draft->target_count == 0 && !draft->partial)
        return imsg_fail(err, IMSG_NO_ACCOUNT, "no device to seal for");
    if (status == IMSG_OK && draft->target_count == 0) { /* events told why */
        draft->status = draft->err.status;
        return imsg_fail(err, draft->status, "no recipient can be reached");
    }
    if (status == IMSG_OK)
        status = imsg_seal_drafts(sealer, draft, 1, err);
    if (status == IMSG_OK && draft->status != IMSG_OK) {
        status = draft->status;
        if (err)
            *err = draft->err;
    }
    return status;
}

enum imsg_status imsg_draft_deliver(const struct imsg_draft *draft, struct imsg_relay *relay, struct imsg_error *err)
{
    struct imsg_view left = imsg_buf_view(&draft->lines);
    enum imsg_status status = IMSG_OK;
    while (status == IMSG_OK && left.len > 0) {
        struct imsg_envelope envelope = {0};
        const uint8_t *newline = memchr(left.ptr, '\n', left.len);
        struct imsg_view line = imsg_view_of(left.ptr, newline ? (size_t)(newline - left.ptr) : left.len);
        status = imsg_envelope_parse(line, &envelope, err);
        if (status == IMSG_OK)
            status = imsg_relay_deliver(relay, &envelope, line, NULL, err);
        imsg_envelope_free(&envelope);
        size_t done = line.len + (newline != NULL);
        left = imsg_view_of(left.ptr + done, left.len - done);
    }
    return status;
}

void imsg_draft_free(struct imsg_draft *draft)
{
    imsg_strings_free(draft->to, draft->to_count);
    imsg_buf_free(&draft->content);
    free(draft->type);
    free(draft->group_id);
    free(draft->group_name);
    free(draft->reply_to);
    for (size_t i = 0; i < draft->attachment_count; i++)
        imsg_attachment_free(&draft->attachments[i]);
    free(draft->attachments);
    free(draft->targets);
    json_decref(draft->found);
    imsg_buf_free(&draft->plaintext);
    imsg_buf_free(&draft->lines);
    *draft = (struct imsg_draft){0};
}
