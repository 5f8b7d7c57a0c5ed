/* Prints an inspection, as JSON or as the view for people, and keeps its status. */
#include "inspect/inspect.h"

#include <stdlib.h>
#include <string.h>

static enum imsg_status add_hex_dump(struct inspect *run, const struct item *item, struct imsg_buf *text,
                                     struct imsg_error *err)
{
    if (!run->secrets && holds_private_key(item->bytes))
        return imsg_buf_text(text, "hex dump left out: it holds private keys; --secrets shows it\n", err);
    return view_hex_dump(item->bytes, text, err);
}

/* One line. On a terminal it is ASCII only: then no string holds a control sequence (JSON escapes the other control
 * characters itself). */
static enum imsg_status print_json(const struct inspect *run, const json_t *json, struct imsg_buf *out,
                                   struct imsg_error *err)
{
    if (!run->tty)
        return imsg_json_print(json, out, err);
    char *ascii = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);
    enum imsg_status status = ascii ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "cannot print JSON: out of memory");
    for (const char *at = ascii; status == IMSG_OK && *at;) {
        size_t plain = strcspn(at, "\177");
        status = imsg_buf_append(out, at, plain, err);
        if (status == IMSG_OK && at[plain])
            status = imsg_buf_text(out, "\\u007f", err);
        at += plain + (at[plain] != '\0');
    }
    free(ascii);
    return status;
}

static enum imsg_status print_item(struct inspect *run, const struct item *item, struct imsg_error *err)
{
    struct imsg_buf text = {0};
    enum imsg_status status;
    if (cli_given(&run->cli, 'j')) {
        status = print_json(run, item->json, &text, err);
        if (status == IMSG_OK)
            status = imsg_buf_text(&text, "\n", err);
    } else {
        status = view_print(run, item->json, &text, err);
        if (status == IMSG_OK && cli_given(&run->cli, OPT_HEX))
            status = add_hex_dump(run, item, &text, err);
    }
    if (status == IMSG_OK)
        status = cli_output_write(&run->out, imsg_buf_view(&text), false, err);
    if (status == IMSG_OK)
        status = cli_output_flush(&run->out, err);
    imsg_buf_free(&text);
    return status;
}

/* The error of an inspection, or of the one inside it. */
static const char *error_text(const json_t *inspection)
{
    const json_t *error = NULL;
    for (; inspection && !error; inspection = json_object_get(inspection, "plaintext"))
        error = json_object_get(inspection, "error");
    return error ? json_string_value(json_object_get(error, "text")) : NULL;
}

enum imsg_status inspection_report(struct item *item, const struct source *source, unsigned line, const char *encoding,
                                   struct imsg_error *err)
{
    struct inspect *run = item->run;
    tree_set(item->json, "input", tree_text(imsg_view_str(source->operand)));
    tree_set(item->json, "encoding", json_string(encoding));
    if (line > 0)
        tree_set(item->json, "line", json_integer(line));
    item->json = tree_ordered(item->json);
    const char *text = error_text(item->json);
    enum imsg_status status = print_item(run, item, err);
    if (status == IMSG_OK && text && line > 0)
        cli_error(&run->cli, item->status, "%s: line %u: %s", source->name, line, text);
    else if (status == IMSG_OK && text)
        cli_error(&run->cli, item->status, "%s: %s", source->name, text);
    else if (status == IMSG_OK && item->status != IMSG_OK && run->cli.status == 0)
        run->cli.status = imsg_status_exit(item->status); /* the printed verdict gives the reason */
    json_decref(item->json);
    return status;
}
