/* message/1, header line and content (lib/format/message.c).
 * max_len 4096 */
#include <jansson.h>

#include "fuzz.h"

static void prints_the_same(struct imsg_message *first)
{
    struct imsg_message second;
    struct imsg_buf plain = {0};
    MUST_OK(imsg_message_print(first, &plain, &fuzz_err));
    MUST_OK(imsg_message_parse(imsg_buf_view(&plain), &second, &fuzz_err));
    MUST(fuzz_same(first->id, second.id) && fuzz_same(first->from, second.from));
    MUST(fuzz_same(first->time, second.time) && fuzz_same(first->type, second.type));
    MUST(fuzz_same(first->group_id, second.group_id) && fuzz_same(first->group_name, second.group_name));
    MUST(fuzz_same(first->reply_to, second.reply_to) && fuzz_same(first->receipt, second.receipt));
    MUST(fuzz_same(first->receipt_of, second.receipt_of) && first->attachment_count == second.attachment_count);
    MUST(first->has_stream == second.has_stream && memcmp(first->stream_key, second.stream_key, 32) == 0);
    MUST(first->to_count == second.to_count);
    for (size_t i = 0; i < first->to_count; i++)
        MUST(fuzz_same(first->to[i], second.to[i]));
    MUST(imsg_view_equal(first->content, second.content));
    imsg_message_free(&second);
    imsg_buf_free(&plain);
}

/* The order and repetition of participants do not count. */
static void names_its_group(const struct imsg_message *message)
{
    const char *name = message->group_name ? message->group_name : "";
    const char *const some[] = {message->from, message->to[0], message->from};
    char one[37], other[37];
    MUST_OK(imsg_group_id(some, 2, name, one, &fuzz_err));
    MUST_OK(imsg_group_id(some + 1, 2, name, other, &fuzz_err));
    MUST(strcmp(one, other) == 0);
    MUST_OK(imsg_group_id(some, 3, name, other, &fuzz_err));
    MUST(strcmp(one, other) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char start[] = "{\"imsg\":\"message/";
    bool ours = size >= sizeof start - 1 && memcmp(data, start, sizeof start - 1) == 0;
    struct imsg_message message;
    struct imsg_error err = {0};
    fuzz_paint(&message, sizeof message);
    enum imsg_status status = imsg_message_parse(imsg_view_of(data, size), &message, &err);
    if (status != IMSG_OK) {
        const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
        fuzz_refused(status, &err, size);
        if (newline)
            fuzz_refused_document(status, &err, imsg_view_of(data, (size_t)(newline - data)));
        MUST(status == (ours ? IMSG_MALFORMED : IMSG_UNSUPPORTED));
        MUST(fuzz_untouched(&message, sizeof message));
        return 0;
    }
    MUST(message.content.ptr[-1] == '\n' && message.content.ptr + message.content.len == data + size);
    MUST(memchr(data, '\n', size) == message.content.ptr - 1);
    prints_the_same(&message);
    names_its_group(&message);
    imsg_message_free(&message);
    return 0;
}
