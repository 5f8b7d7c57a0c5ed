/* imsg-open: verify, decrypt, check; nothing comes out before. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "net/net.h"

enum { OPT_FROM = CLI_KEY_OWN, OPT_RAW };

static const struct cli_option options[] = {
    CLI_OPT_IDENTITY,
    CLI_OPT_DIRECTORY,
    {'R', "records", "FILE", "take the senders' keys from the device records in FILE; no directory", CLI_REPEAT},
    {OPT_FROM, "from", "HANDLE", "refuse messages from anyone else", CLI_REPEAT},
    {'o', "output", "FILE", "write to FILE, complete or not at all", 0},
    {'E', "format", "pair|pair-ec", "payload format, with --raw", 0},
    {OPT_RAW, "raw", NULL, "open one bare payload; needs -E and --from", 0},
    CLI_OPT_JSON,
    CLI_OPTS_KEY,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-open",
    .synopsis = "[-i FILE] [-d LOCATION | -R FILE]... [--from HANDLE]... [-j] [-o FILE] [FILE...]\n--raw -E FORMAT --from HANDLE [-R FILE]... [-o FILE] [FILE]",
    .purpose = "verify and open envelopes sealed for this device",
    .options = options,
    .operands = "FILE",
};

struct open_run {
    struct cli cli;
    const char *identity_path, *directory, *output;
    const char *operand; /* the input being read, or NULL */
    enum imsg_format format;
    char **from; /* --from, canonical */
    size_t from_count;
    const char **record_files;
    size_t record_count;

    struct imsg_identity identity;
    bool unlocked, locked_out; /* locked_out: the keys or records are not to be had, going on makes no sense */
    struct imsg_devices records; /* -R */
    struct imsg_device own;      /* this device: its own records are always known */
    struct cli_trust trust;
    bool trust_open;
    struct imsg_entry entry; /* of the handle looked up last: the messages of one person come in a row */
    struct cli_output out;
};

/* What was found in one input. */
struct tally {
    unsigned mine;
    struct imsg_buf tokens; /* who the others are for, as text */
    unsigned others;
};

/* ---- keys ---- */

/* Only when the first envelope is there: reading comes before unlocking (cli.md). */
static enum imsg_status unlock(struct open_run *run, struct imsg_error *err)
{
    if (run->unlocked)
        return IMSG_OK;
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; status == IMSG_OK && i < run->record_count; i++)
        status = cli_records_read(&run->cli, run->record_files[i], &run->records, err);
    if (status == IMSG_OK)
        status = cli_identity(&run->cli, run->identity_path, &run->identity, err);
    if (status == IMSG_OK)
        status = imsg_identity_device(&run->identity, &run->own, err);
    run->unlocked = status == IMSG_OK;
    run->locked_out = !run->unlocked;
    return status;
}

static bool is_sender(const struct imsg_device *device, const char *from, const uint8_t *token)
{
    return imsg_device_has_handle(device, from) && (!token || memcmp(device->token, token, IMSG_TOKEN) == 0);
}

/* The entry of `from`, kept until another handle is asked for. */
static enum imsg_status look_up(struct open_run *run, const char *from, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (run->entry.handle && strcmp(run->entry.handle, from) == 0)
        return IMSG_OK;
    imsg_entry_free(&run->entry);
    if (!run->trust_open)
        status = cli_trust_open(&run->cli, run->directory, false, &run->trust, err);
    run->trust_open = run->trust_open || status == IMSG_OK;
    if (status == IMSG_OK)
        status = cli_trust_entry(&run->trust, from, &run->entry, NULL, err);
    if (status == IMSG_NO_ACCOUNT) { /* "no account" is an answer about recipients; a sender without one is refused */
        status = imsg_fail(err, IMSG_REFUSED, "sender %s has no account in directory \"%s\"", from,
                           imsg_directory_location(run->trust.directory));
    }
    return status;
}

/* The record whose handles hold `from` and whose token is `token`: never the token alone (formats.md §7). */
static enum imsg_status find_sender(struct open_run *run, const char *from, const uint8_t token[static 32],
                                    const struct imsg_device **out, struct imsg_error *err)
{
    const struct imsg_devices *list = &run->records;
    enum imsg_status status = IMSG_OK;
    char hex[2 * IMSG_TOKEN + 1];
    if (is_sender(&run->own, from, token)) {
        *out = &run->own;
        return IMSG_OK;
    }
    if (run->record_count == 0) {
        status = look_up(run, from, err);
        list = &run->entry.devices;
    }
    for (size_t i = 0; status == IMSG_OK && i < list->count; i++)
        if (is_sender(&list->items[i], from, token)) {
            *out = &list->items[i];
            return IMSG_OK;
        }
    imsg_hex(token, IMSG_TOKEN, hex);
    return status != IMSG_OK ? status
                             : imsg_fail(err, IMSG_REFUSED, "sender %s has no device %.8s… %s", from, hex,
                                         run->record_count ? "in the records given" : "in the directory");
}

static bool expected(const struct open_run *run, const char *from)
{
    for (size_t i = 0; i < run->from_count; i++)
        if (strcmp(run->from[i], from) == 0)
            return true;
    return run->from_count == 0;
}

/* ---- results ---- */

static enum imsg_status header_without_stream(const struct imsg_message *message, json_t **out,
                                              struct imsg_error *err)
{
    json_t *header = json_copy(message->header);
    if (!header)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    json_object_del(header, "stream");
    *out = header;
    return IMSG_OK;
}

static enum imsg_status print_json(struct open_run *run, const struct imsg_envelope *envelope,
                                   const struct imsg_message *message, struct imsg_error *err)
{
    json_t *object = json_object(), *header = NULL;
    struct imsg_buf line = {0};
    enum imsg_status status = imsg_json_set_string(object, "imsg", "opened/1", err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "id", message->id, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "from", message->from, err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "from_token", imsg_view_of(envelope->from_token, IMSG_TOKEN), err);
    if (status == IMSG_OK)
        status = imsg_json_set(object, "sent", json_boolean(imsg_identity_has_handle(&run->identity, message->from)),
                               err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "format", imsg_format_name(envelope->format), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "time", message->time, err);
    if (status == IMSG_OK)
        status = header_without_stream(message, &header, err);
    if (status == IMSG_OK)
        status = imsg_json_set(object, "header", header, err);
    if (status == IMSG_OK)
        status = imsg_utf8_valid(message->content)
                     ? imsg_json_set(object, "content",
                                     json_stringn((const char *)message->content.ptr, message->content.len), err)
                     : imsg_json_set_base64(object, "content_base64", message->content, err);
    if (status == IMSG_OK)
        status = imsg_json_print(object, &line, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&line, "\n", err);
    if (status == IMSG_OK)
        status = cli_output_write(&run->out, imsg_buf_view(&line), false, err);
    imsg_buf_free(&line);
    json_decref(object);
    return status;
}

static void note_attachments(const struct open_run *run, const struct imsg_message *message)
{
    json_t *item;
    size_t i;
    json_array_foreach (json_object_get(message->header, "attachments"), i, item) {
        const char *name = json_string_value(json_object_get(item, "name"));
        cli_note(&run->cli, "attachment \"%s\" (%lld bytes) not fetched: imsg-open -j … | imsg-attach get",
                 name ? name : "without a name", (long long)json_integer_value(json_object_get(item, "size")));
    }
}

static void note_message(const struct open_run *run, const struct imsg_message *message)
{
    json_t *receipt = json_object_get(message->header, "receipt");
    bool own = imsg_identity_has_handle(&run->identity, message->from);
    cli_note(&run->cli, "%s %s, %s%s%s", own ? "copy of one's own, from" : "from", message->from, message->time,
             message->group_name ? ", group " : "", message->group_name ? message->group_name : "");
    if (receipt)
        cli_note(&run->cli, "receipt: %s was %s", json_string_value(json_object_get(receipt, "of")),
                 json_string_value(json_object_get(receipt, "what")));
    if (!cli_given(&run->cli, 'j'))
        note_attachments(run, message);
}

/* Content goes out as it is, but nothing unprintable reaches a terminal by accident: text is escaped by no one else. */
static enum imsg_status release(struct open_run *run, const struct imsg_envelope *envelope,
                                const struct imsg_message *message, struct imsg_error *err)
{
    enum imsg_status status;
    if (cli_given(&run->cli, 'j'))
        status = print_json(run, envelope, message, err);
    else
        status = cli_output_write(&run->out, message->content, !imsg_utf8_valid(message->content), err);
    if (status == IMSG_OK && !run->out.path) /* message by message, for whoever reads along */
        status = cli_output_flush(&run->out, err);
    if (status == IMSG_OK)
        note_message(run, message);
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

/* The command that shows the user why: made of what was given alone, so that it is the same whatever the reason. Where
 * the sender was looked up, it looks up too. */
static void hint_inspect(const struct open_run *run, const char *from, struct imsg_error *err)
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

/* ---- one envelope ---- */

static enum imsg_status open_mine(struct open_run *run, const struct imsg_envelope *envelope, struct imsg_error *err)
{
    const struct imsg_device *sender = NULL;
    struct imsg_buf plaintext = {0};
    struct imsg_message message = {0};
    enum imsg_status status = IMSG_OK;
    if (!expected(run, envelope->from))
        status = imsg_fail(err, IMSG_REFUSED, "from %s, who is not expected (--from)", envelope->from);
    if (status == IMSG_OK)
        status = find_sender(run, envelope->from, envelope->from_token, &sender, err);
    if (status == IMSG_OK) {
        status = imsg_open_envelope(&run->identity, sender, envelope, &plaintext, &message, NULL, err);
        if (status == IMSG_REFUSED)
            hint_inspect(run, envelope->from, err);
    }
    if (status == IMSG_OK)
        status = release(run, envelope, &message, err);
    imsg_message_free(&message);
    imsg_buf_free(&plaintext);
    return status;
}

static enum imsg_status remember_other(struct tally *tally, const struct imsg_envelope *envelope,
                                       struct imsg_error *err)
{
    char hex[2 * IMSG_TOKEN + 1], text[32];
    imsg_hex(envelope->to_token, IMSG_TOKEN, hex);
    snprintf(text, sizeof text, "%s%.4s…", tally->others ? ", " : "", hex);
    return tally->others++ < 8 ? imsg_buf_text(&tally->tokens, text, err) : IMSG_OK;
}

static bool is_stream(struct imsg_view line)
{
    static const char start[] = "{\"imsg\":\"stream/";
    return line.len >= sizeof start - 1 && memcmp(line.ptr, start, sizeof start - 1) == 0;
}

static enum imsg_status open_line(struct open_run *run, struct imsg_view line, struct tally *tally,
                                  struct imsg_error *err)
{
    struct imsg_envelope envelope = {0};
    enum imsg_status status = is_stream(line) ? imsg_fail(err, IMSG_UNSUPPORTED, "sealed files are not supported")
                                              : imsg_envelope_parse(line, &envelope, err);
    if (status == IMSG_OK)
        status = unlock(run, err);
    if (status == IMSG_OK && memcmp(envelope.to_token, run->identity.token, IMSG_TOKEN) != 0) {
        status = remember_other(tally, &envelope, err);
    } else if (status == IMSG_OK) {
        tally->mine++;
        status = open_mine(run, &envelope, err);
    }
    imsg_envelope_free(&envelope);
    return status;
}

/* True where going on makes no sense: the keys or the output are not to be had. */
static bool ends_run(const struct open_run *run, enum imsg_status status)
{
    return status == IMSG_IO || status == IMSG_CANNOT_CREATE || status == IMSG_NO_MEMORY || status == IMSG_INTERNAL ||
           status == IMSG_USAGE || run->locked_out;
}

static enum imsg_status nothing_here(const struct open_run *run, const struct tally *tally, const char *name,
                                     struct imsg_error *err)
{
    char own[2 * IMSG_TOKEN + 1];
    imsg_hex(run->identity.token, IMSG_TOKEN, own);
    return imsg_fail(err, IMSG_REFUSED, "%s: no envelope for this device (token %.4s…; there are for %s%s)", name,
                     own, (const char *)tally->tokens.ptr, tally->others > 8 ? ", …" : "");
}

static enum imsg_status open_input(struct open_run *run, const struct cli_input *input, struct imsg_error *err)
{
    struct imsg_lines lines;
    struct imsg_view line = {0};
    struct tally tally = {0};
    bool more = true, cut = false;
    enum imsg_status status = IMSG_OK;
    imsg_lines_start(&lines, input->fd, IMSG_LINE_MAX);
    while (more) {
        line.len = 0; /* an overlong line is not given out, and the one before it is gone */
        status = imsg_lines_next(&lines, &line, &more, &cut, err);
        if (status == IMSG_OK && (!more || line.len == 0))
            continue;
        if (status == IMSG_OK)
            status = open_line(run, line, &tally, err);
        if (status == IMSG_OK)
            continue;
        if (ends_run(run, status))
            break;
        imsg_error_prefix(err, "%s: line %llu%s", input->name, (unsigned long long)lines.number,
                          status == IMSG_MALFORMED && cut ? " (cut short)" : "");
        cli_report(&run->cli, err);
        status = IMSG_OK;
        if (is_stream(line)) /* what follows is binary */
            break;
    }
    if (status == IMSG_OK && tally.mine == 0 && tally.others > 0) {
        status = nothing_here(run, &tally, input->name, err);
        cli_report(&run->cli, err);
        status = IMSG_OK;
    }
    imsg_buf_free(&tally.tokens);
    imsg_lines_free(&lines);
    return status;
}

/* ---- --raw ---- */

/* Every record of the handle is tried: a bare payload does not say which device sealed it. */
static enum imsg_status open_raw(struct open_run *run, const struct cli_input *input, struct imsg_error *err)
{
    struct imsg_buf payload = {0}, plaintext = {0};
    const struct imsg_devices *list = &run->records;
    const char *from = run->from[0];
    bool tried = false;
    enum imsg_status status = imsg_read_all(input->fd, IMSG_PAYLOAD_MAX, &payload, err);
    if (status == IMSG_TOO_LONG)
        status = imsg_fail(err, IMSG_MALFORMED, "larger than a payload can be (%d bytes)", IMSG_PAYLOAD_MAX);
    if (status != IMSG_OK)
        goto out;
    status = unlock(run, err);
    if (status == IMSG_OK && run->record_count == 0 && !imsg_device_has_handle(&run->own, from)) {
        status = look_up(run, from, err);
        list = &run->entry.devices;
    }
    if (status != IMSG_OK)
        goto out;
    status = imsg_fail(err, IMSG_REFUSED, "no record of %s to verify with", from);
    for (size_t i = 0; i <= list->count && status != IMSG_OK; i++) {
        const struct imsg_device *sender = i < list->count ? &list->items[i] : &run->own;
        if (!imsg_device_has_handle(sender, from) || !imsg_device_offers(sender, run->format))
            continue;
        tried = true;
        status = imsg_open_payload(&run->identity, sender, run->format, imsg_buf_view(&payload), &plaintext, NULL, err);
        if (status != IMSG_REFUSED)
            break;
    }
    if (status == IMSG_OK)
        status = cli_output_write(&run->out, imsg_buf_view(&plaintext), !imsg_utf8_valid(imsg_buf_view(&plaintext)),
                                  err);
    if (status == IMSG_REFUSED && tried)
        hint_inspect(run, from, err);
out:
    if (status != IMSG_OK && (tried || status == IMSG_MALFORMED) && !run->locked_out)
        imsg_error_prefix(err, "%s", input->name);
    imsg_buf_free(&payload);
    imsg_buf_free(&plaintext);
    return status;
}

/* ---- options ---- */

static void run_inputs(struct open_run *run)
{
    struct imsg_error err = {0};
    int count = cli_operands(&run->cli);
    enum imsg_status status = IMSG_OK;
    for (int i = 0; i < (count ? count : 1) && status == IMSG_OK; i++) {
        struct cli_input input;
        run->operand = cli_operand(&run->cli, i);
        status = cli_input_open(&run->cli, run->operand, &input, &err);
        if (status != IMSG_OK) {
            cli_report(&run->cli, &err);
            status = IMSG_OK; /* the other files still count */
            continue;
        }
        status = cli_given(&run->cli, OPT_RAW) ? open_raw(run, &input, &err) : open_input(run, &input, &err);
        cli_ok(&run->cli, status, &err);
        cli_input_close(&input);
    }
}

static void check(const struct open_run *run)
{
    const struct cli *cli = &run->cli;
    int stdin_uses = cli_operands(cli) == 0;
    cli_exclusive(cli, OPT_RAW, 'j', 0);
    cli_exclusive(cli, 'd', 'R', 0);
    if (cli_given(cli, OPT_RAW) && !run->format)
        cli_usage(cli, "--raw needs -E pair or -E pair-ec");
    if (cli_given(cli, OPT_RAW) && run->from_count != 1)
        cli_usage(cli, "--raw needs one --from HANDLE");
    if (cli_given(cli, OPT_RAW) && cli_operands(cli) > 1)
        cli_usage(cli, "--raw opens one FILE, not %d", cli_operands(cli));
    if (run->format && !cli_given(cli, OPT_RAW))
        cli_usage(cli, "--format goes with --raw: an envelope names its own");
    for (int i = 0; i < cli_operands(cli); i++) {
        stdin_uses += strcmp(cli_operand(cli, i), "-") == 0;
        cli_output_not_input(cli, &run->out, cli_operand(cli, i));
    }
    if (cli_operands(cli) == 0)
        cli_output_not_input(cli, &run->out, NULL);
    for (size_t i = 0; i < run->record_count; i++) {
        stdin_uses += strcmp(run->record_files[i], "-") == 0;
        cli_output_not_input(cli, &run->out, run->record_files[i]);
    }
    if (run->identity_path)
        cli_output_not_input(cli, &run->out, run->identity_path);
    stdin_uses += run->identity_path && strcmp(run->identity_path, "-") == 0;
    if (stdin_uses > 1)
        cli_usage(cli, "standard input can be only one of the inputs");
}

static void take_from(struct open_run *run, const char *arg)
{
    struct imsg_error err = {0};
    if (!imsg_handle_is(arg))
        cli_usage(&run->cli, "\"%s\" is a name, not a handle (an email address or +NUMBER)", arg);
    if (imsg_handle_canonical(arg, &run->from[run->from_count], &err) != IMSG_OK)
        cli_usage(&run->cli, "\"%s\": %s", arg, err.text);
    run->from_count++;
}

int main(int argc, char **argv)
{
    struct open_run run = {.record_count = 0};
    struct imsg_error err = {0};
    const char *arg;
    cli_start(&run.cli, &tool, argc, argv);
    run.from = calloc((size_t)argc, sizeof *run.from);
    run.record_files = calloc((size_t)argc, sizeof *run.record_files);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        switch (key) {
        case 'i':
            run.identity_path = arg;
            break;
        case 'd':
            run.directory = arg;
            break;
        case 'R':
            run.record_files[run.record_count++] = arg;
            break;
        case OPT_FROM:
            take_from(&run, arg);
            break;
        case 'o':
            run.output = arg;
            break;
        case 'E':
            run.format = imsg_format_of(arg);
            break;
        }
    }
    cli_output_start(&run.cli, &run.out, run.output);
    check(&run);
    cli_sandbox();
    run_inputs(&run);
    /* A file is replaced only if nothing failed, in the records either; what went to stdout is out. */
    cli_ok(&run.cli, cli_output_finish(&run.out, run.cli.status == 0 || !run.out.path, &err), &err);
    imsg_entry_free(&run.entry);
    if (run.trust_open)
        cli_trust_close(&run.trust);
    imsg_devices_free(&run.records);
    imsg_device_free(&run.own);
    imsg_identity_free(&run.identity);
    imsg_strings_free(run.from, run.from_count);
    free(run.record_files);
    return cli_finish(&run.cli);
}
