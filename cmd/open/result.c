/* What comes out of a message that was verified, and the hint to where a refusal is explained. */
#include "open/open.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

static enum imsg_status header_without_stream(const struct imsg_message *message, json_t **out, struct imsg_error *err)
{
    json_t *header = json_copy(message->header);
    if (!header)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    json_object_del(header, "stream");
    *out = header;
    return IMSG_OK;
}

static enum imsg_status set_content(json_t *object, struct imsg_view content, struct imsg_error *err)
{
    return imsg_utf8_valid(content)
               ? imsg_json_set(object, "content", json_stringn((const char *)content.ptr, content.len), err)
               : imsg_json_set_base64(object, "content_base64", content, err);
}

enum imsg_status open_print(const struct open_run *run, const struct imsg_envelope *envelope,
                            const struct imsg_message *message, bool with_content, struct imsg_buf *line,
                            struct imsg_error *err)
{
    json_t *object = json_object(), *header = NULL;
    enum imsg_status status = imsg_json_set_string(object, "imsg", "opened/1", err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "id", message->id, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "from", message->from, err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "from_token", imsg_view_of(envelope->from_token, IMSG_TOKEN), err);
    if (status == IMSG_OK)
        status =
            imsg_json_set(object, "sent", json_boolean(imsg_identity_has_handle(&run->identity, message->from)), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "format", imsg_format_name(envelope->format), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "time", message->time, err);
    if (status == IMSG_OK)
        status = header_without_stream(message, &header, err);
    if (status == IMSG_OK)
        status = imsg_json_set(object, "header", header, err);
    if (status == IMSG_OK && with_content)
        status = set_content(object, message->content, err);
    if (status == IMSG_OK)
        status = imsg_json_print(object, line, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(line, "\n", err);
    json_decref(object);
    return status;
}

static void note_attachments(const struct open_run *run, const struct imsg_message *message)
{
    for (size_t i = 0; i < message->attachment_count; i++) {
        const struct imsg_attachment *attachment = &message->attachments[i];
        cli_note(&run->cli, "attachment \"%s\" (%llu bytes) not fetched: imsg-open -j … | imsg-attach get",
                 attachment->name ? attachment->name : "without a name", (unsigned long long)attachment->size);
    }
}

void open_note(const struct open_run *run, const struct imsg_message *message)
{
    bool own = imsg_identity_has_handle(&run->identity, message->from);
    cli_note(&run->cli, "%s %s, %s%s%s", own ? "copy of one's own, from" : "from", message->from, message->time,
             message->group_name ? ", group " : "", message->group_name ? message->group_name : "");
    if (message->receipt)
        cli_note(&run->cli, "receipt: %s was %s", message->receipt_of, message->receipt);
    if (!cli_given(&run->cli, 'j'))
        note_attachments(run, message);
}

enum imsg_status open_not_alone(struct imsg_error *err)
{
    return imsg_fail(err, IMSG_USAGE, "with -j a sealed file is opened alone: its content has the output for itself");
}

/* Content goes out as it is, but nothing unprintable reaches a terminal by accident: text is escaped by no one else. */
enum imsg_status open_release(struct open_run *run, const struct imsg_envelope *envelope,
                              const struct imsg_message *message, struct imsg_error *err)
{
    struct imsg_buf line = {0};
    enum imsg_status status = IMSG_OK;
    bool json = cli_given(&run->cli, 'j');
    if (json && run->after.len > 0)
        return open_not_alone(err);
    if (json)
        status = open_print(run, envelope, message, true, &line, err);
    if (status == IMSG_OK && json)
        status = cli_output_json(&run->out, imsg_buf_view(&line), err);
    else if (status == IMSG_OK)
        status = cli_output_write(&run->out, message->content, !imsg_utf8_valid(message->content), err);
    if (status == IMSG_OK && !run->out.path) /* message by message, for whoever reads along */
        status = cli_output_flush(&run->out, err);
    if (status == IMSG_OK)
        open_note(run, message);
    imsg_buf_free(&line);
    return status;
}

/* ---- refusals ---- */

static enum imsg_status add_word(struct imsg_buf *command, const char *before, const char *word)
{
    char *quoted = NULL;
    enum imsg_status status = cli_shell_word(word, &quoted, NULL);
    if (status == IMSG_OK)
        status = imsg_buf_text(command, before, NULL);
    if (status == IMSG_OK)
        status = imsg_buf_text(command, quoted, NULL);
    free(quoted);
    return status;
}

void open_hint_inspect(const struct open_run *run, const char *from, struct imsg_error *err)
{
    struct imsg_buf command = {0};
    bool is_file = run->operand && strcmp(run->operand, "-") != 0, looks_up = is_file && run->record_count == 0;
    enum imsg_status status = IMSG_OK;
    if (looks_up) {
        status = imsg_buf_text(&command, "imsg-lookup", NULL);
        if (status == IMSG_OK && run->directory)
            status = add_word(&command, " -d ", run->directory);
        if (status == IMSG_OK)
            status = add_word(&command, " ", from);
        if (status == IMSG_OK)
            status = imsg_buf_text(&command, " | ", NULL);
    }
    if (status == IMSG_OK)
        status = imsg_buf_text(&command, "imsg-inspect", NULL);
    if (status == IMSG_OK && run->identity_path)
        status = add_word(&command, " -i ", run->identity_path);
    for (size_t i = 0; status == IMSG_OK && i < run->record_count; i++)
        status = add_word(&command, " -R ", run->record_files[i]);
    if (status == IMSG_OK && looks_up)
        status = imsg_buf_text(&command, " -R -", NULL);
    if (status == IMSG_OK && run->format)
        status = add_word(&command, " -E ", imsg_format_name(run->format));
    if (status == IMSG_OK && is_file)
        status = add_word(&command, *run->operand == '-' ? " -- " : " ", run->operand);
    if (status == IMSG_OK && command.len < sizeof err->hint - 16)
        imsg_error_hint(err, "%s shows why", (const char *)command.ptr);
    else
        imsg_error_hint(err, "imsg-inspect shows why");
    imsg_buf_free(&command);
}
