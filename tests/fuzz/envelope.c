/* envelope/1 lines (lib/format/envelope.c).
 * max_len 8192 */
#include "fuzz.h"

static void prints_the_same(const struct imsg_envelope *first)
{
    struct imsg_envelope second;
    struct imsg_buf line = {0};
    MUST_OK(imsg_envelope_print(first, &line, &fuzz_err));
    MUST(line.len > 0 && memchr(line.ptr, '\n', line.len) == line.ptr + line.len - 1);
    MUST_OK(imsg_envelope_parse(imsg_buf_view(&line), &second, &fuzz_err));
    MUST(fuzz_same(first->id, second.id) && fuzz_same(first->time, second.time));
    MUST(fuzz_same(first->from, second.from) && fuzz_same(first->to, second.to));
    MUST(fuzz_same(first->relay, second.relay) && first->format == second.format);
    MUST(memcmp(first->from_token, second.from_token, IMSG_TOKEN) == 0);
    MUST(memcmp(first->to_token, second.to_token, IMSG_TOKEN) == 0);
    MUST(imsg_view_equal(imsg_buf_view(&first->payload), imsg_buf_view(&second.payload)));
    MUST(memcmp(first->name, second.name, sizeof first->name) == 0);
    imsg_envelope_free(&second);
    imsg_buf_free(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_envelope envelope;
    struct imsg_error err = {0};
    uint8_t key[32];
    fuzz_paint(&envelope, sizeof envelope);
    enum imsg_status status = imsg_envelope_parse(imsg_view_of(data, size), &envelope, &err);
    if (status != IMSG_OK) {
        fuzz_refused_document(status, &err, imsg_view_of(data, size));
        MUST(fuzz_untouched(&envelope, sizeof envelope));
        return 0;
    }
    MUST(envelope.payload.len > 0 && envelope.payload.len <= IMSG_PAYLOAD_MAX);
    prints_the_same(&envelope);
    status = imsg_envelope_replay_key(&envelope, key, &err);
    MUST(status == IMSG_OK || status == IMSG_MALFORMED || status == IMSG_UNSUPPORTED);
    imsg_envelope_free(&envelope);
    return 0;
}
