/* Files into the store as ciphertext. */
#include "attach/attach.h"

#include <magic.h>
#include <string.h>

#include "base/text.h"

/* The name and the media type; `magic` NULL: the database of media types cannot be loaded. */
static enum imsg_status describe_file(magic_t magic, const char *file, struct imsg_attachment *attachment,
                                      struct imsg_error *err)
{
    const char *slash = strrchr(file, '/'), *type = magic ? magic_file(magic, file) : NULL;
    const char *base = slash ? slash + 1 : file;
    enum imsg_status status = IMSG_OK;
    if (strcmp(file, "-") == 0)
        return IMSG_OK;
    if (imsg_utf8_valid(imsg_view_str(base)))
        status = imsg_strdup(base, &attachment->name, err);
    /* "inode/…" is libmagic's type for an empty file and for what is not a regular file: not the type of a content. */
    if (status == IMSG_OK && type && strncmp(type, "inode/", 6) != 0 && imsg_utf8_valid(imsg_view_str(type)))
        status = imsg_strdup(type, &attachment->type, err);
    return status;
}

/* *last is set where the failure will hit the other files too. */
static enum imsg_status put_file(struct attach *run, magic_t magic, const char *file, bool *last,
                                 struct imsg_error *err)
{
    struct cli_input input;
    struct cli_progress progress;
    struct imsg_attachment attachment = {0};
    struct imsg_buf line = {0};
    enum imsg_status status = cli_input_open(&run->cli, file, &input, err);
    if (status != IMSG_OK)
        return status;
    cli_progress_start(&run->cli, file, &progress);
    status = imsg_attachment_put(run->store, (struct imsg_view){0}, input.fd, &progress.how, &attachment, err);
    cli_progress_end(&progress);
    *last = status == IMSG_TEMPORARY;
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s", input.name);
    if (status == IMSG_OK)
        status = describe_file(magic, file, &attachment, err);
    if (status == IMSG_OK)
        status = imsg_attachment_print(&attachment, &line, err);
    if (status == IMSG_OK) {
        status = cli_output_json(&run->out, imsg_buf_view(&line), err);
        if (status == IMSG_OK)
            status = cli_output_flush(&run->out, err);
        *last = status != IMSG_OK;
    }
    imsg_buf_free(&line);
    imsg_attachment_free(&attachment);
    cli_input_close(&input);
    return status;
}

void attach_put_files(struct attach *run)
{
    struct imsg_error err = {0};
    magic_t magic = magic_open(MAGIC_MIME_TYPE | MAGIC_SYMLINK);
    if (magic && magic_load(magic, NULL) != 0) {
        cli_detail(&run->cli, "no types: %s", magic_error(magic));
        magic_close(magic);
        magic = NULL;
    }
    cli_may_read_operands(&run->cli, 1);
    cli_may_use(&run->cli, CLI_STORE, run->store_option);
    cli_confine(&run->cli);
    bool last = false;
    for (int i = 1; i < cli_operands(&run->cli) && !last; i++)
        cli_ok(&run->cli, put_file(run, magic, cli_operand(&run->cli, i), &last, &err), &err);
    if (magic)
        magic_close(magic);
}
