/* A third payload format is a file and a row: with that of toy_format.c in the table (lib/format/format.c compiled with
 * IMSG_EXTRA_FORMAT) identities and records have its keys, messages are sealed and opened with it, and imsg-inspect
 * takes it apart, while nothing else in the tree knows of it. */
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "inspect/inspect.h"
#include "tap.h"
#include "toy_format.h"
#include "user.h"

static struct imsg_error err;

static void must(enum imsg_status status)
{
    if (status != IMSG_OK)
        abort();
}

static void table(void)
{
    tap_ok(imsg_format_at(0) == &toy_format && imsg_format_at(1) == imsg_format_of("pair-ec") &&
               imsg_format_at(2) == imsg_format_of("pair") && !imsg_format_at(3),
           "the table has a row more");
    tap_ok(imsg_format_of("toy") == &toy_format && strcmp(imsg_format_name(&toy_format), "toy") == 0,
           "it is found by its name");
    tap_ok(imsg_format_slot(&toy_format) != imsg_format_slot(imsg_format_of("pair")), "its keys have their own slot");
}

/* What is written reads again, with the toy's keys in it. */
static void keys(const struct user *user)
{
    struct imsg_buf file = {0}, record = {0};
    struct imsg_identity again = {0};
    struct imsg_device device = {0};
    must(imsg_identity_print(&user->identity, &file, &err));
    tap_ok(strstr((const char *)file.ptr, "\"toy\":\"") != NULL, "an identity has the toy's secret");
    tap_status(imsg_identity_parse(imsg_buf_view(&file), imsg_view_str(""), &again, &err), IMSG_OK, &err,
               "it reads again");
    tap_ok(imsg_identity_has_keys(&again, &toy_format), "and has the toy's keys");
    must(imsg_device_print(&user->device, NULL, &record, &err));
    tap_status(imsg_device_parse(imsg_buf_view(&record), &device, &err), IMSG_OK, &err, "a record reads again");
    tap_ok(imsg_device_offers(&device, &toy_format) && imsg_format_best(&again, &device) == &toy_format,
           "and offers the toy, before the others");
    imsg_device_free(&device);
    static const char limit[] = "\"limit\":16384,";
    char *at = strstr((char *)record.ptr, limit);
    if (tap_ok(at != NULL, "a record states its limit")) {
        memset(at, ' ', sizeof limit - 1);
        tap_status(imsg_device_parse(imsg_buf_view(&record), &device, &err), IMSG_OK, &err, "one that does not reads");
        tap_ok(device.limit == IMSG_RELAY_PAYLOAD_MAX, "and then takes what a relay takes, whatever the toy's limit");
        imsg_device_free(&device);
    }
    imsg_identity_free(&again);
    imsg_buf_free(&file);
    imsg_buf_free(&record);
}

/* A record whose key fails its format's check is sealed for in no format. */
static void bad_record(const struct user *from, const struct user *to)
{
    struct imsg_buf record = {0}, out = {0};
    struct imsg_device device = {0};
    const struct imsg_seal_how toy = {.format = &toy_format}, other = {.format = imsg_format_of("pair")};
    must(imsg_device_print(&to->device, NULL, &record, &err));
    char *toy_member = strstr((char *)record.ptr, "\"toy\":\"") + strlen("\"toy\":\"");
    *toy_member = *toy_member == 'A' ? 'B' : 'A'; /* six bits of the key's first byte */
    must(imsg_device_parse(imsg_buf_view(&record), &device, &err));
    tap_status(imsg_seal_payload(&from->identity, &device, &toy, imsg_view_str("hello"), &out, &err),
               IMSG_BAD_SIGNATURE, &err, "a record with a bad toy key");
    tap_status(imsg_seal_payload(&from->identity, &device, &other, imsg_view_str("hello"), &out, &err),
               IMSG_BAD_SIGNATURE, &err, "is refused for the other formats too");
    imsg_device_free(&device);
    imsg_buf_free(&record);
    imsg_buf_free(&out);
}

static void seal(const struct user *from, const struct user *to, struct imsg_buf *line)
{
    char *handles[] = {to->identity.handles[0]};
    struct imsg_message message = {
        .from = from->identity.handles[0], .to = handles, .to_count = 1, .content = imsg_view_str("hello")};
    const struct imsg_seal_how how = {.limit = to->device.limit};
    struct imsg_buf plain = {0}, payload = {0};
    must(imsg_message_print(&message, &plain, &err));
    must(imsg_seal_payload(&from->identity, &to->device, &how, imsg_buf_view(&plain), &payload, &err));
    tap_ok(payload.ptr[0] == 'T', "sealed in the best format, which is the toy");
    struct imsg_envelope envelope = {.id = message.id,
                                     .from = message.from,
                                     .to = handles[0],
                                     .time = message.time,
                                     .format = &toy_format,
                                     .payload = payload};
    memcpy(envelope.from_token, from->identity.token, IMSG_TOKEN);
    memcpy(envelope.to_token, to->identity.token, IMSG_TOKEN);
    must(imsg_envelope_print(&envelope, line, &err));
    line->len--; /* the newline */
    imsg_buf_free(&plain);
    imsg_buf_free(&payload);
}

static void open_line(struct user *to, const struct user *from, struct imsg_view line)
{
    struct imsg_envelope envelope = {0};
    struct imsg_message message = {0};
    must(imsg_envelope_parse(line, &envelope, &err));
    tap_ok(envelope.format == &toy_format, "the envelope says toy");
    tap_status(imsg_open_envelope(&to->identity, &from->device, &envelope, &message, &err), IMSG_OK, &err, "it opens");
    tap_bytes(message.content, imsg_view_str("hello"), "and holds what was sealed");
    imsg_message_free(&message);
    envelope.payload.ptr[5] ^= 1; /* in the tag */
    tap_status(imsg_open_envelope(&to->identity, &from->device, &envelope, &message, &err), IMSG_REFUSED, &err,
               "with another tag it does not");
    tap_ok(strcmp(err.text, "refused") == 0, "and nothing tells why");
    envelope.payload.len = 20;
    tap_status(imsg_open_envelope(&to->identity, &from->device, &envelope, &message, &err), IMSG_MALFORMED, &err,
               "cut inside the tag it is malformed");
    imsg_envelope_free(&envelope);
}

/* ---- imsg-inspect ---- */

static const char *string_at(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

/* The item of an array whose `member` is `want`. */
static const json_t *find_in(const json_t *array, const char *member, const char *want)
{
    const json_t *item;
    size_t i;
    json_array_foreach (array, i, item)
        if (strcmp(string_at(item, member), want) == 0)
            return item;
    return NULL;
}

static void inspect_line(struct inspect *run, struct imsg_view line)
{
    struct item item = tree_start(run, "json", line);
    inspect_document(&item);
    const json_t *payload = find_in(json_object_get(item.json, "fields"), "field", "payload");
    const json_t *tag = find_in(json_object_get(payload, "fields"), "field", "tag");
    tap_ok(strcmp(string_at(payload, "kind"), "toy") == 0, "inspect: the payload is a toy");
    tap_ok(json_integer_value(json_object_get(tag, "offset")) == 1 &&
               json_integer_value(json_object_get(tag, "length")) == 32 &&
               strcmp(string_at(tag, "meaning"), "binds message and sender") == 0,
           "inspect: its parser's offsets, its row's words");
    tap_ok(json_is_true(json_object_get(find_in(json_object_get(item.json, "checks"), "name", "toy_tag"), "ok")),
           "inspect: its check");
    tap_ok(json_object_get(json_object_get(item.json, "values"), "toy_key") != NULL, "inspect: its value");
    const json_t *inside = json_object_get(item.json, "plaintext");
    tap_ok(strcmp(string_at(inside, "kind"), "message/1") == 0, "inspect: what was sealed");
    tap_ok(strcmp(string_at(json_object_get(item.json, "verdict"), "text"), "imsg-open accepts it") == 0,
           "inspect: the verdict");
    json_decref(item.json);
}

static void inspect_bare(struct inspect *run, struct imsg_view line)
{
    struct imsg_envelope envelope = {0};
    must(imsg_envelope_parse(line, &envelope, &err));
    struct imsg_view payload = imsg_buf_view(&envelope.payload);
    tap_ok(imsg_format_guess(payload) == &toy_format, "a bare payload looks like a toy");
    struct item item = tree_start(run, "toy", payload);
    inspect_payload(&item, &toy_format);
    tap_ok(item.status == IMSG_OK && json_object_get(item.json, "plaintext"), "inspect: and opens");
    json_decref(item.json);
    imsg_envelope_free(&envelope);
}

static void inspect_record(struct inspect *run, const struct imsg_device *device)
{
    struct imsg_buf record = {0};
    must(imsg_device_print(device, NULL, &record, &err));
    struct item item = tree_start(run, "json", imsg_view_of(record.ptr, record.len - 1));
    inspect_document(&item);
    tap_ok(json_is_true(json_object_get(find_in(json_object_get(item.json, "checks"), "name", "toy_sum"), "ok")) &&
               json_object_get(json_object_get(item.json, "values"), "toy_key"),
           "inspect: a record's toy key, checked");
    json_decref(item.json);
    imsg_buf_free(&record);
}

static void inspect_all(struct user *from, struct user *to, struct imsg_view line)
{
    struct inspect run = {.unlocked = true, .default_tried = true, .record_count = 1};
    struct imsg_device copy = {0};
    must(imsg_identity_device(&from->identity, &copy, &err));
    must(imsg_devices_add(&run.records, &copy, &err));
    run.identity = to->identity; /* lent */
    inspect_line(&run, line);
    inspect_bare(&run, line);
    inspect_record(&run, &from->device);
    imsg_devices_free(&run.records);
}

int main(void)
{
    struct user alice = {0}, bob = {0};
    struct imsg_buf line = {0};
    table();
    make_user(&alice, "mailto:alice@example.com");
    make_user(&bob, "mailto:bob@example.com");
    keys(&alice);
    bad_record(&alice, &bob);
    seal(&alice, &bob, &line);
    open_line(&bob, &alice, imsg_buf_view(&line));
    inspect_all(&alice, &bob, imsg_buf_view(&line));
    imsg_buf_free(&line);
    free_user(&alice);
    free_user(&bob);
    return tap_done();
}
