/* Files of the store, decrypted, into a folder. */
#include "attach/attach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define NAME_MAX_BYTES 200

/* The sender's file name is only a suggestion. This takes its last component and replaces characters that hide a file,
 * look like an option or control a terminal. Where no name is left it is the start of the ciphertext's hash. */
static void make_safe_name(const struct imsg_attachment *attachment, char out[static NAME_MAX_BYTES + 1])
{
    const char *name = attachment->name ? attachment->name : "";
    struct imsg_buf escaped = {0};
    for (const char *at = name; *at; at++)
        if (*at == '/' || *at == '\\')
            name = at + 1;
    size_t len = strlen(name);
    if (len > NAME_MAX_BYTES) { /* keep the end, and with it the extension */
        name += len - NAME_MAX_BYTES;
        while (((unsigned char)*name & 0xc0) == 0x80)
            name++;
    }
    /* imsg_escape writes a backslash only where something had to be escaped: those become '_'. */
    bool ok = imsg_escape(imsg_view_str(name), &escaped, NULL) == IMSG_OK && escaped.len <= NAME_MAX_BYTES;
    snprintf(out, NAME_MAX_BYTES + 1, "%s", ok && escaped.ptr ? (const char *)escaped.ptr : "");
    for (char *at = out; *at; at++)
        if (*at == '\\')
            *at = '_';
    if (out[0] == '.' || out[0] == '-')
        out[0] = '_';
    if (!out[0])
        imsg_hex(attachment->sha256, 8, out);
    imsg_buf_free(&escaped);
}

/* The size that the descriptor names: the object cannot be larger, which imsg_attachment_get sees to. */
static enum imsg_status check_size(const struct attach *run, const struct imsg_attachment *attachment, const char *name,
                                   struct imsg_error *err)
{
    if (attachment->size <= run->max_size)
        return IMSG_OK;
    imsg_fail(err, IMSG_REFUSED, "attachment \"%s\": %llu bytes, more than %llu", name,
              (unsigned long long)attachment->size, (unsigned long long)run->max_size);
    cli_error_hint(err, "--max-size SIZE allows more");
    return IMSG_REFUSED;
}

static enum imsg_status get_attachment(struct attach *run, json_t *descriptor, struct imsg_error *err)
{
    struct imsg_attachment attachment = {0};
    struct cli_progress progress;
    char name[NAME_MAX_BYTES + 1], *path = NULL;
    const struct imsg_attachment_place place = {run->folder, name};
    enum imsg_status status = imsg_attachment_from_json(descriptor, &attachment, err);
    if (status != IMSG_OK)
        return status;
    make_safe_name(&attachment, name);
    status = check_size(run, &attachment, name, err);
    if (status != IMSG_OK)
        goto out;
    cli_progress_start(&run->cli, name, &progress);
    status = imsg_attachment_get(run->store, &attachment, &place, &progress.how, &path, err);
    cli_progress_end(&progress);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "attachment \"%s\"", name);
    if (status == IMSG_OK)
        status = imsg_json_set_string(descriptor, "path", path, err);
out:
    imsg_attachment_free(&attachment);
    free(path);
    return status;
}

/* The descriptors in a verified message. */
static enum imsg_status get_message_attachments(struct attach *run, json_t *opened, struct imsg_error *err)
{
    json_t *header = NULL, *array = NULL, *item;
    size_t i;
    enum imsg_status status = imsg_json_object(opened, "header", IMSG_REQUIRED, &header, err);
    if (status == IMSG_OK)
        status = imsg_json_array(header, "attachments", IMSG_OPTIONAL, &array, err);
    if (status != IMSG_OK || !array)
        return status;
    json_array_foreach (array, i, item) {
        status = json_is_object(item) ? get_attachment(run, item, err)
                                      : imsg_fail(err, IMSG_MALFORMED, "an item of \"attachments\" is no object");
        if (status != IMSG_OK)
            return status;
    }
    if (json_array_size(array) == 1)
        status = imsg_json_set(opened, "path", json_incref(json_object_get(json_array_get(array, 0), "path")), err);
    return status;
}

static enum imsg_status get_line(struct attach *run, struct imsg_view line, struct imsg_error *err)
{
    json_t *object = NULL;
    struct imsg_buf text = {0};
    const char *kind = NULL;
    enum imsg_status status = imsg_json_parse(line, IMSG_LINE_MAX, &object, err);
    if (status == IMSG_OK)
        status = imsg_json_peek(object, "imsg", IMSG_REQUIRED, &kind, err);
    if (status == IMSG_OK)
        status = strncmp(kind, "opened/", 7) == 0 ? imsg_json_kind(object, "opened/1", err)
                                                  : imsg_json_kind(object, "attachment/1", err);
    if (status == IMSG_OK)
        status = strcmp(kind, "opened/1") == 0 ? get_message_attachments(run, object, err)
                                               : get_attachment(run, object, err);
    if (status == IMSG_OK)
        status = imsg_json_print(object, &text, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&text, "\n", err);
    if (status == IMSG_OK)
        status = cli_output_json(&run->out, imsg_buf_view(&text), err);
    if (status == IMSG_OK)
        status = cli_output_flush(&run->out, err);
    imsg_buf_free(&text);
    json_decref(object);
    return status;
}

void attach_get_lines(struct attach *run)
{
    struct imsg_error err = {0};
    struct imsg_lines lines;
    struct imsg_view line;
    struct cli_input input;
    bool more = true;
    cli_may_read_operands(&run->cli, 1);
    cli_may_write(&run->cli, run->folder);
    cli_may_use(&run->cli, CLI_STORE, run->store_option);
    cli_may_talk(&run->cli); /* a descriptor may name any server */
    cli_confine(&run->cli);
    if (!cli_ok(&run->cli, cli_input_open(&run->cli, cli_operand(&run->cli, 1), &input, &err), &err))
        return;
    imsg_lines_start(&lines, input.fd, IMSG_LINE_MAX);
    while (more) {
        enum imsg_status status = imsg_lines_next(&lines, &line, &more, NULL, &err);
        if (status == IMSG_OK && (!more || line.len == 0))
            continue;
        if (status == IMSG_OK)
            status = get_line(run, line, &err);
        if (status == IMSG_OK)
            continue;
        imsg_error_prefix(&err, "%s: line %llu", input.name, (unsigned long long)lines.number);
        cli_report(&run->cli, &err);
        if (status == IMSG_IO || status == IMSG_CANNOT_CREATE || status == IMSG_NO_MEMORY)
            break;
    }
    imsg_lines_free(&lines);
    cli_input_close(&input);
}
