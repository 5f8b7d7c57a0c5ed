/* What a message is made of: its content, its attachments, and the message it answers. */
#include "seal/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* Bytes are read only as far as a message can hold, and one more to know that there is more. */
enum imsg_status seal_read_content(struct seal *run, struct imsg_error *err)
{
    const char *file = cli_operand(&run->cli, 0);
    bool none = !file && (run->receipt || (run->attach && strcmp(run->attach, "-") == 0));
    run->input.fd = -1;
    if (none)
        return IMSG_OK;
    enum imsg_status status = cli_input_open(&run->cli, file, &run->input, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_read_some(run->input.fd, IMSG_FORMAT_MAX + 1, &run->message.content, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s", run->input.name);
    return status;
}

enum imsg_status seal_read_records(struct seal *run, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < run->record_count; i++)
        status = cli_records_read(&run->cli, run->record_files[i], &run->records, err);
    return status;
}

/* Descriptors, one a line, as imsg-attach put prints them. A message with one of them missing would be another message:
 * here a bad line ends the run. */
enum imsg_status seal_read_descriptors(struct seal *run, struct imsg_error *err)
{
    struct cli_input input;
    struct imsg_lines lines;
    struct imsg_view line;
    bool more = true;
    enum imsg_status status = cli_input_open(&run->cli, run->attach, &input, err);
    if (status != IMSG_OK)
        return status;
    imsg_lines_start(&lines, input.fd, IMSG_LINE_MAX);
    while (status == IMSG_OK) {
        json_t *object = NULL;
        struct imsg_attachment attachment = {0};
        status = imsg_lines_next(&lines, &line, &more, NULL, err);
        if (status != IMSG_OK || !more)
            break;
        if (line.len == 0)
            continue;
        status = imsg_json_parse(line, IMSG_LINE_MAX, &object, err);
        if (status == IMSG_OK)
            status = imsg_attachment_from_json(object, &attachment, err);
        if (status == IMSG_OK)
            status = imsg_draft_attach(&run->message, &attachment, err);
        imsg_attachment_free(&attachment);
        json_decref(object);
    }
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s: line %llu", input.name, (unsigned long long)lines.number);
    else if (run->message.attachment_count == 0)
        status = imsg_fail(err, IMSG_NO_INPUT, "%s: no descriptor to attach", input.name);
    imsg_lines_free(&lines);
    cli_input_close(&input);
    return status;
}

enum imsg_status seal_add_handle(struct seal *run, const char *handle, struct imsg_error *err)
{
    for (size_t i = 0; i < run->handle_count; i++)
        if (strcmp(run->handles[i], handle) == 0)
            return IMSG_OK;
    char **grown = realloc(run->handles, (run->handle_count + 1) * sizeof *grown);
    if (!grown)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    run->handles = grown;
    enum imsg_status status = imsg_strdup(handle, &grown[run->handle_count], err);
    run->handle_count += status == IMSG_OK;
    return status;
}

static enum imsg_status use_header(struct seal *run, const json_t *header, struct imsg_error *err)
{
    char *from = NULL, **to = NULL;
    size_t count = 0;
    json_t *group = NULL;
    enum imsg_status status = imsg_json_uuid(header, "id", IMSG_REQUIRED, &run->message.reply_to, err);
    if (status == IMSG_OK)
        status = imsg_json_handle(header, "from", IMSG_REQUIRED, &from, err);
    if (status == IMSG_OK)
        status = imsg_json_handles(header, "to", &to, &count, err);
    if (status == IMSG_OK)
        status = imsg_json_object(header, "group", IMSG_OPTIONAL, &group, err);
    if (status == IMSG_OK && group)
        status = imsg_json_string(group, "name", IMSG_REQUIRED, &run->message.group_name, err);
    if (status == IMSG_OK && !imsg_identity_has_handle(run->cli.client.identity, from))
        status = seal_add_handle(run, from, err);
    if (!run->receipt) /* a receipt is for the sender alone */
        for (size_t i = 0; status == IMSG_OK && i < count; i++)
            if (!imsg_identity_has_handle(run->cli.client.identity, to[i]))
                status = seal_add_handle(run, to[i], err);
    if (status == IMSG_OK && run->handle_count == 0 && run->record_count == 0) /* a note to oneself */
        status = seal_add_handle(run, from, err);
    imsg_strings_free(to, count);
    free(from);
    return status;
}

enum imsg_status seal_read_reply(struct seal *run, struct imsg_buf *line, struct imsg_error *err)
{
    struct cli_input input;
    struct imsg_lines lines;
    struct imsg_view view;
    bool more = false;
    enum imsg_status status = cli_input_open(&run->cli, run->reply_path, &input, err);
    if (status != IMSG_OK)
        return status;
    imsg_lines_start(&lines, input.fd, IMSG_LINE_MAX);
    status = imsg_lines_next(&lines, &view, &more, NULL, err);
    if (status == IMSG_OK && !more)
        status = imsg_fail(err, IMSG_MALFORMED, "empty, not a line of imsg-open -j");
    if (status == IMSG_OK)
        status = imsg_buf_append(line, view.ptr, view.len, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s", input.name);
    imsg_lines_free(&lines);
    cli_input_close(&input);
    return status;
}

enum imsg_status seal_use_reply(struct seal *run, struct imsg_view line, struct imsg_error *err)
{
    json_t *opened = NULL, *header = NULL;
    enum imsg_status status = imsg_json_document(line, IMSG_LINE_MAX, "opened/1", &opened, err);
    if (status == IMSG_OK)
        status = imsg_json_object(opened, "header", IMSG_REQUIRED, &header, err);
    if (status == IMSG_OK)
        status = use_header(run, header, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "\"%s\"", run->reply_path);
    json_decref(opened);
    return status;
}

/* Only content of a message may be over a limit: there, -S or -s helps. */
void seal_hint_too_long(const struct seal *run, struct imsg_draft *draft)
{
    if (draft->status == IMSG_TOO_LONG && !run->sealer.raw && !cli_given(&run->cli, 'S'))
        cli_error_hint(&draft->err, "-S sends it as an attachment through the store%s",
                       draft->line ? "" : ", -s makes a sealed file of any size");
}
