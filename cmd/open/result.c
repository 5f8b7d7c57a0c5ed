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

/* Append the opened/1 line. `with_content`: not for a sealed file. */
static enum imsg_status print_opened(const struct imsg_opened *opened, bool with_content, struct imsg_buf *line,
                                     struct imsg_error *err)
{
    const struct imsg_envelope *envelope = &opened->envelope;
    const struct imsg_message *message = &opened->message;
    json_t *object = json_object(), *header = NULL;
    enum imsg_status status = imsg_json_set_string(object, "imsg", "opened/1", err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "id", message->id, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "from", message->from, err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "from_token", imsg_view_of(envelope->from_token, IMSG_TOKEN), err);
    if (status == IMSG_OK)
        status = imsg_json_set(object, "sent", json_boolean(opened->own), err);
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

/* Who and when, on stderr. */
static void note_message(const struct open_run *run, const struct imsg_opened *opened)
{
    const struct imsg_message *message = &opened->message;
    cli_note(&run->cli, "%s %s, %s%s%s", opened->own ? "copy of one's own, from" : "from", message->from, message->time,
             message->group_name ? ", group " : "", message->group_name ? message->group_name : "");
    if (message->receipt)
        cli_note(&run->cli, "receipt: %s was %s", message->receipt_of, message->receipt);
    if (!cli_given(&run->cli, 'j'))
        note_attachments(run, message);
}

/* Content and JSON lines do not mix in one output. */
static enum imsg_status fail_not_alone(struct imsg_error *err)
{
    return imsg_fail(err, IMSG_USAGE, "with -j a sealed file is opened alone: its content has the output for itself");
}

/* What goes to a file is out when the file is complete. */
static enum imsg_status note_recorded(struct open_run *run, const struct imsg_opened *opened, struct imsg_error *err)
{
    return opened->recorded && run->out.path
               ? imsg_buf_append(&run->recorded, opened->replay, sizeof opened->replay, err)
               : IMSG_OK;
}

void open_take_back(struct open_run *run)
{
    struct imsg_error err;
    for (size_t at = 0; at < run->recorded.len; at += 32)
        if (imsg_opened_take_back(&run->cli.client, run->recorded.ptr + at, &err) != IMSG_OK)
            cli_report(&run->cli, &err);
}

/* Content that is not text reaches a terminal only if it was asked to. */
enum imsg_status open_write(struct open_run *run, struct imsg_view content, struct imsg_error *err)
{
    return imsg_utf8_valid(content) ? cli_output_text(&run->out, content, true, err)
                                    : cli_output_write(&run->out, content, true, err);
}

enum imsg_status open_message(void *context, const struct imsg_opened *opened, struct imsg_error *err)
{
    struct open_run *run = context;
    struct imsg_view content = opened->message.content;
    struct imsg_buf line = {0};
    enum imsg_status status = IMSG_OK;
    bool json = cli_given(&run->cli, 'j');
    if (json && run->after.len > 0)
        return fail_not_alone(err);
    if (json)
        status = print_opened(opened, true, &line, err);
    if (status == IMSG_OK && json)
        status = cli_output_json(&run->out, imsg_buf_view(&line), err);
    else if (status == IMSG_OK)
        status = open_write(run, content, err);
    if (status == IMSG_OK && !run->out.path) /* message by message, for whoever reads along */
        status = cli_output_flush(&run->out, err);
    if (status == IMSG_OK)
        status = note_recorded(run, opened, err);
    if (status == IMSG_OK)
        note_message(run, opened);
    imsg_buf_free(&line);
    return status;
}

/* ---- sealed files ---- */

/* A chunk that another follows may end inside a character. */
static bool is_text(struct imsg_view content, bool last)
{
    size_t cut = last ? 0 : 3;
    for (size_t i = 0; i <= cut; i++)
        if (imsg_utf8_valid(imsg_view_of(content.ptr, content.len - i)))
            return true;
    return false;
}

enum imsg_status open_file_begin(void *context, const struct imsg_opened *opened, struct imsg_error *err)
{
    const struct open_run *run = context;
    (void)opened;
    if (!cli_given(&run->cli, 'j'))
        return IMSG_OK;
    if (!run->out.path)
        return imsg_fail(err, IMSG_USAGE, "the content of a sealed file does not go into JSON: give it a file with -o");
    return run->out.opened ? fail_not_alone(err) : IMSG_OK;
}

enum imsg_status open_file_chunk(void *context, struct imsg_view content, uint64_t number, bool last,
                                 struct imsg_error *err)
{
    struct open_run *run = context;
    if (number == 0) /* the first tells for all */
        run->file_is_text = is_text(content, last);
    return run->file_is_text ? cli_output_text(&run->out, content, last, err)
                             : cli_output_write(&run->out, content, true, err);
}

enum imsg_status open_file_end(void *context, const struct imsg_opened *opened, struct imsg_error *err)
{
    struct open_run *run = context;
    enum imsg_status status = run->out.path ? IMSG_OK : cli_output_flush(&run->out, err);
    if (status == IMSG_OK && cli_given(&run->cli, 'j'))
        status = print_opened(opened, false, &run->after, err);
    if (status == IMSG_OK)
        status = note_recorded(run, opened, err);
    if (status == IMSG_OK)
        note_message(run, opened);
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

void open_hint_inspect(const struct open_run *run, struct imsg_error *err)
{
    const char *identity = run->cli.identity_path;
    struct imsg_buf command = {0};
    bool is_file = run->operand && strcmp(run->operand, "-") != 0, looks_up = is_file && run->record_count == 0;
    enum imsg_status status = IMSG_OK;
    if (looks_up) {
        status = imsg_buf_text(&command, "imsg-lookup", NULL);
        if (status == IMSG_OK && run->cli.directory_option)
            status = add_word(&command, " -d ", run->cli.directory_option);
        if (status == IMSG_OK)
            status = add_word(&command, " ", err->about);
        if (status == IMSG_OK)
            status = imsg_buf_text(&command, " | ", NULL);
    }
    if (status == IMSG_OK)
        status = imsg_buf_text(&command, "imsg-inspect", NULL);
    if (status == IMSG_OK && identity)
        status = add_word(&command, " -i ", identity);
    for (size_t i = 0; status == IMSG_OK && i < run->record_count; i++)
        status = add_word(&command, " -R ", run->record_files[i]);
    if (status == IMSG_OK && looks_up)
        status = imsg_buf_text(&command, " -R -", NULL);
    if (status == IMSG_OK && run->format)
        status = add_word(&command, " -E ", imsg_format_name(run->format));
    if (status == IMSG_OK && is_file)
        status = add_word(&command, *run->operand == '-' ? " -- " : " ", run->operand);
    if (status == IMSG_OK && command.len < sizeof err->about - 16)
        cli_error_hint(err, "%s shows why", (const char *)command.ptr);
    else
        cli_error_hint(err, "imsg-inspect shows why");
    imsg_buf_free(&command);
}
