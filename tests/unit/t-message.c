/* message/1, written and read by its table of members (lib/format/message.c, member.h): it comes back whole, what is
 * not given is not written, id and time are made where they are left out, and what is no message is told from a damaged
 * one. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "tap.h"

static struct imsg_error err;
static const char id[] = "6f668a43-3901-4e37-ad3b-4c62ad860bba", other[] = "46c5f121-f26e-416d-8a0d-be21d19fa1bc";

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static void print(struct imsg_message *message, struct imsg_buf *out)
{
    if (imsg_message_print(message, out, &err) != IMSG_OK)
        abort();
}

static struct imsg_message base_of(char **to)
{
    return (struct imsg_message){.id = id,
                                 .from = "mailto:alice@example.com",
                                 .time = "2026-11-24T03:20:00Z",
                                 .to = to,
                                 .to_count = 2,
                                 .content = imsg_view_str("hello")};
}

static void whole(char **to)
{
    struct imsg_attachment attachment = {.uri = (char[]){"imsg-store:00"}, .name = (char[]){"photo.jpg"}, .size = 7};
    struct imsg_message message = base_of(to), read = {0};
    struct imsg_buf text = {0}, again = {0};
    message.type = "text/plain";
    message.group_id = other;
    message.group_name = "climbers";
    message.reply_to = other;
    message.receipt = "read";
    message.receipt_of = other;
    message.attachments = &attachment;
    message.attachment_count = 1;
    message.has_stream = true;
    memset(message.stream_key, 5, sizeof message.stream_key);
    memset(attachment.key, 7, sizeof attachment.key);
    print(&message, &text);
    tap_status(imsg_message_parse(imsg_buf_view(&text), &read, &err), IMSG_OK, &err, "a message with everything reads");
    tap_ok(same(read.id, id) && same(read.from, message.from) && same(read.time, message.time) &&
               same(read.type, "text/plain") && read.to_count == 2 && same(read.to[1], to[1]),
           "id, from, time, type, to");
    tap_ok(same(read.group_id, other) && same(read.group_name, "climbers") && same(read.reply_to, other),
           "group, reply");
    tap_ok(same(read.receipt, "read") && same(read.receipt_of, other), "receipt");
    tap_ok(read.attachment_count == 1 && same(read.attachments[0].uri, "imsg-store:00") &&
               same(read.attachments[0].name, "photo.jpg") && !read.attachments[0].type &&
               read.attachments[0].size == 7 && read.attachments[0].key[31] == 7,
           "attachments, as structs");
    tap_ok(read.has_stream && memcmp(read.stream_key, message.stream_key, 32) == 0, "the key of a sealed file");
    tap_bytes(read.content, imsg_view_str("hello"), "the content");
    print(&read, &again);
    tap_bytes(imsg_buf_view(&again), imsg_buf_view(&text), "written again it is the same");
    imsg_message_free(&read);
    tap_ok(!read.id && !read.header && !read.attachments, "freed it is empty");
    imsg_buf_clear(&text);
    message.receipt = "eaten";
    tap_status(imsg_message_print(&message, &text, &err), IMSG_MALFORMED, &err, "a receipt of no kind is not written");
    tap_ok(text.len == 0, "nor anything else");
    imsg_buf_free(&text);
    imsg_buf_free(&again);
}

static void nothing_more(char **to)
{
    static const char want[] = "{\"imsg\":\"message/1\",\"id\":\"6f668a43-3901-4e37-ad3b-4c62ad860bba\","
                               "\"from\":\"mailto:alice@example.com\","
                               "\"to\":[\"mailto:bob@example.com\",\"tel:+15550100\"],"
                               "\"time\":\"2026-11-24T03:20:00Z\"}\nhello";
    struct imsg_message message = base_of(to);
    struct imsg_buf text = {0};
    print(&message, &text);
    tap_bytes(imsg_buf_view(&text), imsg_view_str(want), "what is not given is not written");
    imsg_buf_clear(&text);
    message.group_id = other;
    tap_status(imsg_message_print(&message, &text, &err), IMSG_INTERNAL, &err, "half a group");
    imsg_buf_free(&text);
}

static void made(char **to)
{
    struct imsg_message message = base_of(to), read = {0};
    struct imsg_buf text = {0};
    time_t when = 0;
    message.id = message.time = NULL;
    print(&message, &text);
    tap_ok(message.id && imsg_uuid_valid(message.id), "an id is made");
    tap_ok(message.time && imsg_time_parse(message.time, &when, &err) == IMSG_OK && when <= imsg_now(), "and a time");
    tap_status(imsg_message_parse(imsg_buf_view(&text), &read, &err), IMSG_OK, &err, "it reads");
    tap_ok(same(read.id, message.id) && same(read.time, message.time), "with both");
    imsg_message_free(&read);
    imsg_buf_free(&text);
}

#define HEAD "{\"imsg\":\"message/1\",\"id\":\"6f668a43-3901-4e37-ad3b-4c62ad860bba\",\"from\":\"tel:+1555\","
#define START HEAD "\"to\":[\"tel:+1556\"],\"time\":\"2026-11-24T03:20:00Z\""

static void refused(void)
{
    static const struct {
        const char *text, *what;
        enum imsg_status want;
    } cases[] = {
        {"hello\n", "other text", IMSG_UNSUPPORTED},
        {START "}", "no newline", IMSG_MALFORMED},
        {HEAD "\"time\":\"2026-11-24T03:20:00Z\"}\n", "no recipients", IMSG_MALFORMED},
        {START ",\"reply_to\":\"x\"}\n", "a reply to no uuid", IMSG_MALFORMED},
        {START ",\"receipt\":{\"of\":\"6f668a43-3901-4e37-ad3b-4c62ad860bba\",\"what\":\"eaten\"}}\n",
         "a receipt of no kind", IMSG_MALFORMED},
        {START ",\"receipt\":{\"what\":\"read\"}}\n", "a receipt of no message", IMSG_MALFORMED},
        {START ",\"group\":{\"id\":\"6f668a43-3901-4e37-ad3b-4c62ad860bba\"}}\n", "a group without a name",
         IMSG_MALFORMED},
        {START ",\"group\":[]}\n", "a group that is no object", IMSG_MALFORMED},
        {START ",\"attachments\":[7]}\n", "an attachment that is no object", IMSG_MALFORMED},
        {START ",\"attachments\":[{\"imsg\":\"attachment/1\"}]}\n", "an attachment without members", IMSG_MALFORMED},
        {START ",\"stream\":{}}\n", "a stream without a key", IMSG_MALFORMED},
        {START ",\"type\":null}\n", "a type that is null", IMSG_MALFORMED},
        {START ",\"whatever\":null}\n", "an unknown member", IMSG_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct imsg_message message = {0};
        tap_status(imsg_message_parse(imsg_view_str(cases[i].text), &message, &err), cases[i].want, &err, "%s",
                   cases[i].what);
        if (cases[i].want == IMSG_OK)
            imsg_message_free(&message);
    }
}

int main(void)
{
    char *to[] = {(char[]){"mailto:bob@example.com"}, (char[]){"tel:+15550100"}};
    whole(to);
    nothing_more(to);
    made(to);
    refused();
    return tap_done();
}
