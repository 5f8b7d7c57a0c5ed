/* --each: one message for each line of the input. Lines that are there already are taken together, so that a program
 * that writes one and waits has its answer, and one that writes thousands keeps all cores busy. */
#include "seal/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define TOGETHER 256     /* messages sealed in one round … */
#define TARGETS_MAX 4096 /* … or a few more devices than this */

static enum imsg_status parse_to(const json_t *object, char ***handles, size_t *count, struct imsg_error *err)
{
    json_t *to = NULL, *item;
    size_t i;
    enum imsg_status status = imsg_json_array(object, "to", IMSG_REQUIRED, &to, err);
    if (status == IMSG_OK && json_array_size(to) == 0)
        status = imsg_fail(err, IMSG_MALFORMED, "\"to\" has no handle");
    if (status == IMSG_OK && !(*handles = calloc(json_array_size(to), sizeof **handles)))
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status != IMSG_OK)
        return status;
    json_array_foreach (to, i, item) {
        const char *text = json_string_value(item);
        if (!text || !imsg_handle_is(text))
            return imsg_fail(err, IMSG_MALFORMED, "\"to\" holds something that is no handle");
        status = imsg_handle_canonical(text, &(*handles)[*count], err);
        if (status != IMSG_OK)
            return status;
        ++*count;
    }
    return IMSG_OK;
}

static enum imsg_status parse_content(const json_t *object, struct imsg_draft *message, struct imsg_error *err)
{
    const json_t *text = json_object_get(object, "content"); /* the only string that may hold a NUL */
    const char *base64 = NULL;
    enum imsg_status status = imsg_json_peek(object, "content_base64", IMSG_OPTIONAL, &base64, err);
    if (status == IMSG_OK && text && !json_is_string(text))
        status = imsg_fail(err, IMSG_MALFORMED, "member \"content\" is not a string");
    if (status == IMSG_OK && text && base64)
        status = imsg_fail(err, IMSG_MALFORMED, "content and content_base64 are both there");
    if (status == IMSG_OK && text)
        status = imsg_buf_append(&message->content, json_string_value(text), json_string_length(text), err);
    if (status == IMSG_OK && base64)
        status = imsg_base64_decode(imsg_view_str(base64), &message->content, err);
    return status;
}

static enum imsg_status parse_receipt(const json_t *object, struct imsg_draft *message, struct imsg_error *err)
{
    json_t *receipt = NULL;
    const char *what = NULL;
    enum imsg_status status = imsg_json_object(object, "receipt", IMSG_OPTIONAL, &receipt, err);
    if (status != IMSG_OK || !receipt)
        return status;
    free(message->reply_to);
    message->reply_to = NULL;
    status = imsg_json_uuid(receipt, "of", IMSG_REQUIRED, &message->reply_to, err);
    if (status == IMSG_OK)
        status = imsg_json_peek(receipt, "what", IMSG_REQUIRED, &what, err);
    if (status != IMSG_OK)
        return status;
    message->receipt = strcmp(what, "read") == 0 ? "read" : strcmp(what, "delivered") == 0 ? "delivered" : NULL;
    return message->receipt ? IMSG_OK : imsg_fail(err, IMSG_MALFORMED, "receipt of kind \"%.64s\"", what);
}

static enum imsg_status parse_attachments(const json_t *object, struct imsg_draft *message, struct imsg_error *err)
{
    json_t *array = NULL, *item;
    size_t i;
    enum imsg_status status = imsg_json_array(object, "attachments", IMSG_OPTIONAL, &array, err);
    if (status != IMSG_OK || !array)
        return status;
    json_array_foreach (array, i, item) {
        struct imsg_attachment attachment = {0};
        status = json_is_object(item) ? imsg_attachment_from_json(item, &attachment, err)
                                      : imsg_fail(err, IMSG_MALFORMED, "attachment %zu is no object", i);
        if (status == IMSG_OK)
            status = imsg_draft_attach(message, &attachment, err);
        imsg_attachment_free(&attachment);
        if (status != IMSG_OK)
            return status;
    }
    return IMSG_OK;
}

/* A group by its name; its id follows from the participants. */
static enum imsg_status parse_group(const json_t *object, struct imsg_draft *message, struct imsg_error *err)
{
    json_t *group = NULL;
    enum imsg_status status = imsg_json_object(object, "group", IMSG_OPTIONAL, &group, err);
    if (status != IMSG_OK || !group)
        return status;
    return imsg_json_string(group, "name", IMSG_REQUIRED, &message->group_name, err);
}

/* From a line to a message with its targets. */
static enum imsg_status parse_line(struct seal *run, struct imsg_view line, struct imsg_draft *message,
                                   struct imsg_error *err)
{
    json_t *object = NULL;
    char **handles = NULL;
    size_t count = 0;
    enum imsg_status status = imsg_json_parse(line, IMSG_LINE_MAX, &object, err);
    if (status == IMSG_OK)
        status = parse_to(object, &handles, &count, err);
    if (status == IMSG_OK)
        status = parse_content(object, message, err);
    if (status == IMSG_OK)
        status = imsg_json_string(object, "type", IMSG_OPTIONAL, &message->type, err);
    if (status == IMSG_OK)
        status = imsg_json_uuid(object, "reply_to", IMSG_OPTIONAL, &message->reply_to, err);
    if (status == IMSG_OK)
        status = parse_receipt(object, message, err);
    if (status == IMSG_OK)
        status = parse_attachments(object, message, err);
    if (status == IMSG_OK)
        status = parse_group(object, message, err);
    if (status == IMSG_OK)
        status = imsg_draft_address(&run->sealer, message, handles, count, err);
    imsg_strings_free(handles, count);
    json_decref(object);
    return status;
}

/* One round. */
struct round {
    struct imsg_draft messages[TOGETHER];
    size_t count, targets;
    bool end;
};

static void report_line(struct seal *run, const struct imsg_draft *message, const struct imsg_error *err)
{
    cli_event(&run->cli, &(struct imsg_event){.kind = IMSG_EVENT_FAILED, .line = message->line, .error = err});
}

/* The lines that are there; a bad one is reported and the rest goes on. */
static enum imsg_status read_round(struct seal *run, struct imsg_lines *lines, struct round *round,
                                   struct imsg_error *err)
{
    struct imsg_identity *identity;
    enum imsg_status status = IMSG_OK;
    while (round->count < TOGETHER && round->targets < TARGETS_MAX) {
        struct imsg_draft *message = &round->messages[round->count];
        struct imsg_view line = {0};
        bool more = true;
        if (round->count > 0 && imsg_lines_would_wait(lines))
            return IMSG_OK;
        status = imsg_lines_next(lines, &line, &more, NULL, err);
        round->end = status == IMSG_OK && !more;
        if (round->end || status == IMSG_IO || status == IMSG_NO_MEMORY)
            return status;
        if (status == IMSG_OK && line.len == 0)
            continue;
        message->line = lines->number;
        if (status == IMSG_OK) {
            status = imsg_client_identity(&run->cli.client, &identity, err);
            if (status != IMSG_OK)
                return status;
            status = parse_line(run, line, message, err);
        }
        if (status == IMSG_NO_MEMORY || status == IMSG_INTERNAL)
            return status;
        round->targets += message->target_count;
        if (status == IMSG_OK && message->target_count > 0) {
            round->count++;
            continue;
        }
        if (status != IMSG_OK)
            report_line(run, message, err);
        imsg_draft_free(message);
    }
    return IMSG_OK;
}

static enum imsg_status write_round(struct seal *run, struct round *round, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < round->count; i++) {
        struct imsg_draft *message = &round->messages[i];
        seal_hint_too_long(run, message);
        if (message->status == IMSG_OK)
            status = cli_output_write(&run->out, imsg_buf_view(&message->lines), false, err);
        else
            report_line(run, message, &message->err);
    }
    if (status == IMSG_OK && !run->out.path)
        status = cli_output_flush(&run->out, err);
    return status;
}

enum imsg_status seal_each(struct seal *run, struct imsg_error *err)
{
    struct imsg_lines lines;
    struct round *round = calloc(1, sizeof *round);
    enum imsg_status status = round ? cli_input_open(&run->cli, cli_operand(&run->cli, 0), &run->input, err)
                                    : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status != IMSG_OK) {
        free(round);
        return status;
    }
    run->cli.event_input = run->input.name;
    imsg_lines_start(&lines, run->input.fd, IMSG_LINE_MAX);
    while (status == IMSG_OK && !round->end) {
        round->count = round->targets = 0;
        status = read_round(run, &lines, round, err);
        if (status == IMSG_OK)
            status = imsg_seal_drafts(&run->sealer, round->messages, round->count, err);
        if (status == IMSG_OK)
            status = write_round(run, round, err);
        for (size_t i = 0; i < TOGETHER; i++)
            imsg_draft_free(&round->messages[i]);
    }
    imsg_lines_free(&lines);
    free(round);
    return status;
}
