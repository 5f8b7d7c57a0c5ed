/* imsg-seal: one message, sealed for every device it should reach. */
#include "seal/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "net/net.h"

static const struct cli_option options[] = {
    CLI_OPT_IDENTITY,
    CLI_OPT_DIRECTORY,
    {'r', "recipient", "HANDLE", "seal for every device of HANDLE, looked up and pinned", CLI_REPEAT},
    {'R', "records", "FILE", "seal for exactly the device records in FILE; no directory", CLI_REPEAT},
    {'a', "attach", "FILE", "attach the descriptors in FILE (imsg-attach put); - is standard input", 0},
    {'o', "output", "FILE", "write to FILE, complete or not at all", 0},
    {'E', "format", "pair|pair-ec", "force a payload format (default: the best each device offers)", 0},
    {'T', "type", "TYPE", "media type of the content (default: text/plain, or application/octet-stream)", 0},
    {'g', "group", "NAME", "send to the group of this name and these participants", 0},
    {OPT_REPLY, "reply", "FILE", "answer a message: a line of imsg-open -j gives participants, group and id", 0},
    {OPT_RECEIPT, "receipt", "delivered|read", "with --reply: send a receipt for it", 0},
    {'S', "store-large", NULL, "send content over a device's limit as an attachment through the store", 0},
    CLI_OPT_STORE,
    {OPT_NO_SELF, "no-self", NULL, "leave out this user's other devices", 0},
    {OPT_RAW, "raw", NULL, "print the bare payload of the bare content for one device; needs -E", 0},
    CLI_OPTS_KEY,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-seal",
    .synopsis = "[-i FILE] (-r HANDLE | -R FILE)... [-a FILE] [-o FILE] [FILE]\n--reply FILE [--receipt delivered|read] [FILE]\n--raw -E FORMAT (-r HANDLE | -R FILE) [FILE]",
    .purpose = "seal and sign a message for every device of its recipients",
    .options = options,
    .operands = "FILE",
};

struct sealing {
    char id[37], time[21];
    struct imsg_buf plaintext, lines;
    uint32_t *counters;
};

static enum imsg_status take_counters(struct seal *run, struct sealing *now, struct imsg_error *err)
{
    size_t count = 0;
    uint32_t *counters = calloc(run->target_count, sizeof *counters);
    const struct imsg_device **devices = calloc(run->target_count, sizeof *devices);
    now->counters = calloc(run->target_count, sizeof *now->counters);
    if (counters && devices && now->counters) {
        for (size_t i = 0; i < run->target_count; i++)
            if (run->targets[i].format == IMSG_PAIR_EC)
                devices[count++] = run->targets[i].device;
        if (count > 0)
            cli_counters(&run->cli, run->identity.device_x, devices, count, counters);
        for (size_t i = 0, k = 0; i < run->target_count; i++)
            if (run->targets[i].format == IMSG_PAIR_EC)
                now->counters[i] = counters[k++];
    }
    bool ok = counters && devices && now->counters;
    free(counters);
    free(devices);
    return ok ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

static enum imsg_status seal_one(struct seal *run, struct sealing *now, size_t i, struct imsg_error *err)
{
    const struct target *target = &run->targets[i];
    struct imsg_buf payload = {0};
    bool raw = cli_given(&run->cli, OPT_RAW);
    enum imsg_status status = imsg_seal_payload(&run->identity, target->device, target->format, now->counters[i],
                                                raw ? 0 : target->device->limit, imsg_buf_view(&now->plaintext),
                                                raw ? &now->lines : &payload, err);
    if (status == IMSG_OK && !raw)
        status = imsg_envelope_print(now->id, run->identity.handles[0], run->identity.token, target->to,
                                     target->device->token, target->format, now->time, target->device->relay,
                                     imsg_buf_view(&payload), &now->lines, err);
    imsg_buf_free(&payload);
    return status;
}

static enum imsg_status seal_all(struct seal *run, struct sealing *now, struct imsg_error *err)
{
    enum imsg_status status = now->counters ? IMSG_OK : take_counters(run, now, err);
    imsg_buf_clear(&now->lines);
    for (size_t i = 0; status == IMSG_OK && i < run->target_count; i++)
        status = seal_one(run, now, i, err);
    return status;
}

static enum imsg_status write_plaintext(struct seal *run, struct sealing *now, struct imsg_view content,
                                        const char *type, struct imsg_error *err)
{
    struct imsg_compose compose = {.id = now->id,
                                   .from = run->identity.handles[0],
                                   .time = now->time,
                                   .to = run->to,
                                   .to_count = run->to_count,
                                   .type = type,
                                   .group_id = run->group_id,
                                   .group_name = run->group_name,
                                   .reply_to = run->reply_id,
                                   .receipt = run->receipt,
                                   .attachments = run->attachments};
    imsg_buf_clear(&now->plaintext);
    return imsg_message_print(&compose, content, &now->plaintext, err);
}

/* Of content too long for a message only the beginning was read, which may end inside a character. */
static bool is_text(const struct seal *run)
{
    size_t cut = run->content.len > IMSG_FORMAT_MAX ? 3 : 0;
    for (size_t i = 0; i <= cut; i++)
        if (imsg_utf8_valid(imsg_view_of(run->content.ptr, run->content.len - i)))
            return true;
    return false;
}

static const char *content_type(const struct seal *run)
{
    if (run->type)
        return run->type;
    if (run->content.len == 0)
        return NULL;
    return is_text(run) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

/* -S: the content, all of it, becomes an attachment. */
static enum imsg_status store_content(struct seal *run, struct imsg_error *err)
{
    struct imsg_store *store = NULL;
    struct imsg_attachment attachment = {0};
    struct imsg_buf line = {0};
    json_t *object = NULL;
    char *location = NULL;
    const char *file = cli_operand(&run->cli, 0), *slash = file ? strrchr(file, '/') : NULL;
    enum imsg_status status = cli_service(&run->cli, CLI_STORE, run->store, &location, err);
    if (status == IMSG_OK)
        status = imsg_store_open(location, &store, err);
    if (status == IMSG_OK)
        status = imsg_attachment_put(store, imsg_buf_view(&run->content), run->input.fd, &attachment, err);
    if (status == IMSG_OK && file && strcmp(file, "-") != 0)
        status = imsg_strdup(slash ? slash + 1 : file, &attachment.name, err);
    if (status == IMSG_OK)
        status = imsg_strdup(content_type(run), &attachment.type, err);
    if (status == IMSG_OK)
        status = imsg_attachment_print(&attachment, &line, err);
    if (status == IMSG_OK)
        status = imsg_json_parse(imsg_buf_view(&line), IMSG_LINE_MAX, &object, err);
    if (status == IMSG_OK && json_array_append(run->attachments, object) != 0)
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    json_decref(object);
    imsg_buf_free(&line);
    imsg_attachment_free(&attachment);
    imsg_store_close(store);
    free(location);
    return status;
}

static enum imsg_status too_long(const struct seal *run, struct imsg_error *err)
{
    imsg_error_prefix(err, "content too long");
    if (!cli_given(&run->cli, OPT_RAW) && !cli_given(&run->cli, 'S'))
        imsg_error_hint(err, "-S sends it as an attachment through the store");
    return IMSG_TOO_LONG;
}

static enum imsg_status seal_message(struct seal *run, struct sealing *now, struct imsg_error *err)
{
    bool over = run->content.len > IMSG_FORMAT_MAX;
    enum imsg_status status = IMSG_OK;
    if (over) {
        status = imsg_fail(err, IMSG_TOO_LONG, "more than %d bytes", IMSG_FORMAT_MAX);
    } else if (cli_given(&run->cli, OPT_RAW)) {
        imsg_buf_clear(&now->plaintext);
        status = imsg_buf_append(&now->plaintext, run->content.ptr, run->content.len, err);
    } else {
        status = write_plaintext(run, now, imsg_buf_view(&run->content), content_type(run), err);
    }
    if (status == IMSG_OK)
        status = seal_all(run, now, err);
    if (status == IMSG_TOO_LONG && cli_given(&run->cli, 'S')) {
        status = store_content(run, err);
        if (status == IMSG_OK)
            status = write_plaintext(run, now, (struct imsg_view){0}, NULL, err);
        if (status == IMSG_OK)
            status = seal_all(run, now, err);
    }
    return status == IMSG_TOO_LONG ? too_long(run, err) : status;
}

static enum imsg_status name_group(struct seal *run, struct imsg_error *err)
{
    char id[37];
    if (!run->group)
        return IMSG_OK;
    const char **all = calloc(run->to_count + 1, sizeof *all);
    if (!all)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < run->to_count; i++)
        all[i] = run->to[i];
    all[run->to_count] = run->identity.handles[0];
    free(run->group_id);
    free(run->group_name);
    run->group_id = run->group_name = NULL;
    enum imsg_status status = imsg_group_id(all, run->to_count + 1, run->group, id, err);
    if (status == IMSG_OK)
        status = imsg_strdup(id, &run->group_id, err);
    if (status == IMSG_OK)
        status = imsg_strdup(run->group, &run->group_name, err);
    free(all);
    return status;
}

static enum imsg_status write_out(struct seal *run, const struct imsg_buf *lines, struct imsg_error *err)
{
    struct cli_output out;
    struct imsg_error late;
    cli_output_start(&run->cli, &out, run->output);
    enum imsg_status status = cli_output_write(&out, imsg_buf_view(lines), cli_given(&run->cli, OPT_RAW), err);
    enum imsg_status finished = cli_output_finish(&out, status == IMSG_OK, status == IMSG_OK ? err : &late);
    return status == IMSG_OK ? finished : status;
}

/* Everything from stdin is read before keys are unlocked or state is looked at (cli.md). */
static enum imsg_status work(struct seal *run, struct imsg_error *err)
{
    struct sealing now = {.id = ""};
    struct imsg_buf reply = {0};
    enum imsg_status status = seal_read_content(run, err);
    if (status == IMSG_OK && run->reply_path)
        status = seal_read_reply(run, &reply, err);
    if (status == IMSG_OK && run->attach)
        status = seal_read_descriptors(run, err);
    if (status == IMSG_OK)
        status = seal_read_records(run, err);
    if (status == IMSG_OK)
        status = cli_identity(&run->cli, run->identity_path, &run->identity, err);
    if (status == IMSG_OK && run->reply_path)
        status = seal_use_reply(run, imsg_buf_view(&reply), err);
    if (status == IMSG_OK)
        status = seal_find_targets(run, err);
    if (status != IMSG_OK || run->target_count == 0 || (cli_given(&run->cli, OPT_RAW) && run->target_count != 1))
        goto out;
    status = name_group(run, err);
    if (status == IMSG_OK)
        status = imsg_uuid_v4(now.id, err);
    imsg_time_format(imsg_now(), now.time);
    if (status == IMSG_OK)
        status = seal_message(run, &now, err);
    if (status == IMSG_OK)
        status = write_out(run, &now.lines, err);
out:
    imsg_buf_free(&reply);
    imsg_buf_free(&now.plaintext);
    imsg_buf_free(&now.lines);
    free(now.counters);
    return status;
}

/* ---- options ---- */

static int uses_of_stdin(const struct seal *run)
{
    const char *file = cli_operand(&run->cli, 0);
    int uses = 0;
    const char *paths[] = {run->attach, run->reply_path, run->identity_path, file};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        uses += paths[i] && strcmp(paths[i], "-") == 0;
    for (size_t i = 0; i < run->record_count; i++)
        uses += strcmp(run->record_files[i], "-") == 0;
    bool content_by_default = !file && !run->receipt && !(run->attach && strcmp(run->attach, "-") == 0);
    return uses + content_by_default;
}

static void check(const struct seal *run)
{
    const struct cli *cli = &run->cli;
    struct cli_output out;
    if (run->handle_count + run->record_count == 0 && !run->reply_path)
        cli_usage(cli, "no recipient: -r HANDLE or -R FILE");
    if (cli_operands(cli) > 1)
        cli_usage(cli, "one FILE at most, not %d", cli_operands(cli));
    cli_exclusive(cli, OPT_RAW, 'a', 0);
    cli_exclusive(cli, OPT_RAW, 'T', 0);
    cli_exclusive(cli, OPT_RAW, 'g', 0);
    cli_exclusive(cli, OPT_RAW, 'S', 0);
    cli_exclusive(cli, OPT_RAW, OPT_REPLY, 0);
    cli_exclusive(cli, OPT_RECEIPT, 'g', 0);
    cli_exclusive(cli, OPT_RECEIPT, 'a', 0);
    if (cli_given(cli, OPT_RAW) && !run->format)
        cli_usage(cli, "--raw needs -E pair or -E pair-ec");
    if (run->receipt && !run->reply_path)
        cli_usage(cli, "--receipt goes with --reply");
    if (run->store && !cli_given(cli, 'S'))
        cli_usage(cli, "--store goes with -S");
    if (run->group && !run->group[0])
        cli_usage(cli, "--group needs a name");
    if ((run->group && !imsg_utf8_valid(imsg_view_str(run->group))) ||
        (run->type && !imsg_utf8_valid(imsg_view_str(run->type))))
        cli_usage(cli, "--group and --type take UTF-8 text");
    if (uses_of_stdin(run) > 1)
        cli_usage(cli, "standard input can be only one of the inputs");
    cli_output_start((struct cli *)(uintptr_t)cli, &out, run->output);
    const char *inputs[] = {cli_operand(cli, 0), run->attach, run->reply_path, run->identity_path};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        if (inputs[i] || i == 0)
            cli_output_not_input(cli, &out, inputs[i]);
    for (size_t i = 0; i < run->record_count; i++)
        cli_output_not_input(cli, &out, run->record_files[i]);
}

static void take_handle(struct seal *run, const char *arg)
{
    struct imsg_error err = {0};
    char *handle = NULL;
    if (!imsg_handle_is(arg))
        cli_usage(&run->cli, "\"%s\" is a name, not a handle (an email address or +NUMBER)", arg);
    if (imsg_handle_canonical(arg, &handle, &err) != IMSG_OK)
        cli_usage(&run->cli, "\"%s\": %s", arg, err.text);
    if (seal_add_handle(run, handle, &err) != IMSG_OK)
        cli_usage(&run->cli, "%s", err.text);
    free(handle);
}

static void take_options(struct seal *run)
{
    const char *arg;
    for (int key; (key = cli_next(&run->cli, &arg)) != -1;) {
        switch (key) {
        case 'i':
            run->identity_path = arg;
            break;
        case 'd':
            run->directory = arg;
            break;
        case 'r':
            take_handle(run, arg);
            break;
        case 'R':
            run->record_files[run->record_count++] = arg;
            break;
        case 'a':
            run->attach = arg;
            break;
        case 'o':
            run->output = arg;
            break;
        case 'E':
            run->format = imsg_format_of(arg);
            break;
        case 'T':
            run->type = arg;
            break;
        case 'g':
            run->group = arg;
            break;
        case OPT_REPLY:
            run->reply_path = arg;
            break;
        case OPT_RECEIPT:
            run->receipt = arg;
            break;
        case OPT_STORE:
            run->store = arg;
            break;
        }
    }
}

int main(int argc, char **argv)
{
    struct seal run = {.input = {.fd = -1}};
    struct imsg_error err = {0};
    cli_start(&run.cli, &tool, argc, argv);
    run.record_files = calloc((size_t)argc, sizeof *run.record_files);
    run.attachments = json_array();
    take_options(&run);
    check(&run);
    cli_sandbox();
    cli_ok(&run.cli, work(&run, &err), &err);
    cli_input_close(&run.input);
    imsg_identity_free(&run.identity);
    imsg_devices_free(&run.devices);
    imsg_devices_free(&run.records);
    imsg_buf_free(&run.content);
    imsg_strings_free(run.handles, run.handle_count);
    imsg_strings_free(run.to, run.to_count);
    json_decref(run.attachments);
    free(run.record_files);
    free(run.device_to);
    free(run.targets);
    free(run.reply_id);
    free(run.group_id);
    free(run.group_name);
    return cli_finish(&run.cli);
}
