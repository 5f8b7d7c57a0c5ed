/* imsg-attach: files into the store as ciphertext, and back. */
#include "cli/cli.h"

#include <magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "imsg-net.h"

enum { OPT_ALLOW_PRIVATE = CLI_KEY_OWN };

static const struct cli_option options[] = {
    CLI_OPT_STORE,
    {'o', "output", "DIR", "get: put the files into DIR (default: the current folder)", 0},
    {OPT_ALLOW_PRIVATE, "allow-private", NULL, "get: from addresses that are not public too", 0},
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-attach",
    .synopsis = "put [--store LOCATION] FILE...\nget [--store LOCATION] [--allow-private] [-o DIR] [FILE]",
    .purpose = "encrypt files into the store, and get them back",
    .options = options,
    .operands = "FILE",
    .commands = "put|get",
};

#define NAME_MAX_BYTES 200

struct attach {
    struct cli cli;
    struct imsg_store *store;
    struct cli_output out;
    const char *store_option, *folder;
    magic_t magic; /* NULL: the database of media types cannot be loaded */
};

/* ---- put ---- */

static enum imsg_status describe_file(struct attach *run, const char *file, struct imsg_attachment *attachment,
                                      struct imsg_error *err)
{
    const char *slash = strrchr(file, '/'), *type = run->magic ? magic_file(run->magic, file) : NULL;
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
static enum imsg_status put_file(struct attach *run, const char *file, bool *last, struct imsg_error *err)
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
        status = describe_file(run, file, &attachment, err);
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

static void put_files(struct attach *run)
{
    struct imsg_error err = {0};
    run->magic = magic_open(MAGIC_MIME_TYPE | MAGIC_SYMLINK);
    if (run->magic && magic_load(run->magic, NULL) != 0) {
        cli_detail(&run->cli, "no types: %s", magic_error(run->magic));
        magic_close(run->magic);
        run->magic = NULL;
    }
    cli_may_read_operands(&run->cli, 1);
    cli_may_use(&run->cli, CLI_STORE, run->store_option);
    cli_confine(&run->cli);
    bool last = false;
    for (int i = 1; i < cli_operands(&run->cli) && !last; i++)
        cli_ok(&run->cli, put_file(run, cli_operand(&run->cli, i), &last, &err), &err);
    if (run->magic)
        magic_close(run->magic);
}

/* ---- get ---- */

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

static enum imsg_status get_attachment(struct attach *run, json_t *descriptor, struct imsg_error *err)
{
    struct imsg_attachment attachment = {0};
    struct cli_progress progress;
    char name[NAME_MAX_BYTES + 1], *path = NULL;
    enum imsg_status status = imsg_attachment_from_json(descriptor, &attachment, err);
    if (status != IMSG_OK)
        return status;
    make_safe_name(&attachment, name);
    cli_progress_start(&run->cli, name, &progress);
    status = imsg_attachment_get(run->store, &attachment, run->folder, name, &progress.how, &path, err);
    cli_progress_end(&progress);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "attachment \"%s\"", name);
    if (status == IMSG_OK)
        status = imsg_json_set_string(descriptor, "path", path, err);
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
        status =
            json_is_object(item) ? get_attachment(run, item, err) : imsg_fail(err, IMSG_MALFORMED, "no descriptor");
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

static void get_lines(struct attach *run)
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

int main(int argc, char **argv)
{
    struct attach run = {.folder = "."};
    struct imsg_error err = {0};
    const char *arg;
    char *location = NULL;
    struct imsg_net *net = NULL;
    cli_start(&run.cli, &tool, argc, argv);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        if (key == CLI_KEY_STORE)
            run.store_option = arg;
        else if (key == 'o')
            run.folder = arg;
        else if (key == OPT_ALLOW_PRIVATE)
            run.cli.net.allow_private = true;
    }
    const char *command = cli_operand(&run.cli, 0);
    bool putting = command && strcmp(command, "put") == 0;
    if (!putting && !(command && strcmp(command, "get") == 0))
        cli_usage(&run.cli, "say put or get first");
    if (putting && cli_operands(&run.cli) < 2)
        cli_usage(&run.cli, "put needs a FILE");
    if (putting && cli_given(&run.cli, 'o'))
        cli_usage(&run.cli, "--output goes with get");
    if (putting && run.cli.net.allow_private)
        cli_usage(&run.cli, "--allow-private goes with get");
    if (!putting && cli_operands(&run.cli) > 2)
        cli_usage(&run.cli, "get takes one FILE at most");
    cli_output_start(&run.cli, &run.out, NULL);
    enum imsg_status status = cli_service(&run.cli, CLI_STORE, run.store_option, &location, &err);
    if (status == IMSG_OK)
        status = cli_net(&run.cli, &net, &err);
    run.cli.auth_optional = true; /* a plain web host needs no bearer token */
    if (status == IMSG_OK)
        status = imsg_store_open(location, net, &run.store, &err);
    if (cli_ok(&run.cli, status, &err)) {
        if (putting)
            put_files(&run);
        else
            get_lines(&run);
    }
    cli_ok(&run.cli, cli_output_finish(&run.out, true, &err), &err);
    imsg_store_close(run.store);
    free(location);
    return cli_finish(&run.cli);
}
