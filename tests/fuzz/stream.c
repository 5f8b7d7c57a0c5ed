/* Sealed files (lib/format/stream.c).
 *   L line                             a stream/1 line
 *   C number, at (2), mask, content    the last chunk with this content, sealed, the byte at `at` changed by mask
 *   O number, last, chunk              bytes that claim to be a chunk
 * max_len 4096 */
#include <stdlib.h>

#include "crypto/crypto.h"
#include "format/trace.h"
#include "fuzz.h"

static const char id[] = "6f668a43-3901-4e37-ad3b-4c62ad860bba";
static const uint8_t key[32] = {1, 2, 3};

static struct imsg_stream *stream_of(bool with_key)
{
    struct imsg_stream_line line;
    struct imsg_stream *stream = NULL;
    MUST_OK(imsg_stream_commit(id, key, &line, &fuzz_err));
    MUST_OK(imsg_stream_new(with_key ? key : NULL, &line, &stream, &fuzz_err));
    return stream;
}

static void line(struct imsg_view input)
{
    struct imsg_stream_line found, again;
    struct imsg_buf text = {0};
    struct imsg_error err = {0};
    fuzz_paint(&found, sizeof found);
    enum imsg_status status = imsg_stream_parse(input, &found, &err);
    if (status != IMSG_OK) {
        fuzz_refused_document(status, &err, input);
        MUST(fuzz_untouched(&found, sizeof found));
        return;
    }
    MUST_OK(imsg_stream_print(&found, &text, &fuzz_err));
    MUST(imsg_stream_is(imsg_buf_view(&text)));
    MUST_OK(imsg_stream_parse(imsg_view_of(text.ptr, text.len - 1), &again, &fuzz_err));
    MUST(memcmp(&found, &again, sizeof found) == 0);
    imsg_buf_free(&text);
}

/* Opened or refused, at once and step by step: the same, and what is refused is not there any more. */
static enum imsg_status both(const struct imsg_p256 *auth, uint64_t number, bool last, struct imsg_view chunk,
                             uint8_t *content)
{
    struct imsg_stream *stream = stream_of(true), *without = stream_of(false);
    struct imsg_trace trace = {0};
    struct imsg_error err = {0};
    uint8_t *copy = malloc(chunk.len);
    MUST(copy != NULL);
    memcpy(copy, chunk.ptr, chunk.len);
    const struct imsg_chunk shown = {number, last, copy, chunk.len}, opened = {number, last, content, chunk.len};
    enum imsg_status signature = imsg_stream_open_traced(without, imsg_p256_point(auth), &shown, &trace, &err);
    MUST(memcmp(copy, chunk.ptr, chunk.len) == 0);
    imsg_trace_free(&trace);
    enum imsg_status traced = imsg_stream_open_traced(stream, imsg_p256_point(auth), &shown, &trace, &err);
    MUST(traced == IMSG_OK ? signature == IMSG_OK : signature != IMSG_OK || trace.why == IMSG_BAD_TAG);
    imsg_trace_free(&trace);
    memcpy(content, chunk.ptr, chunk.len);
    enum imsg_status status = imsg_stream_open(stream, imsg_p256_point(auth), &opened, &err);
    MUST(status == traced);
    MUST(status == IMSG_OK || status == IMSG_REFUSED);
    for (size_t i = 0; status != IMSG_OK && i < chunk.len; i++)
        MUST(content[i] == 0);
    MUST(status != IMSG_OK || memcmp(content, copy, chunk.len - IMSG_STREAM_EXTRA) == 0);
    imsg_stream_free(stream);
    imsg_stream_free(without);
    free(copy);
    return status;
}

static void changed(const struct imsg_p256 *auth, struct imsg_view input)
{
    uint8_t number = input.ptr[0], mask = input.ptr[3];
    size_t at = (size_t)input.ptr[1] << 8 | input.ptr[2];
    struct imsg_view content = imsg_view_of(input.ptr + 4, input.len - 4);
    size_t len = content.len + IMSG_STREAM_EXTRA;
    struct imsg_stream *stream = stream_of(true);
    uint8_t *chunk = malloc(len), *out = malloc(len);
    MUST(chunk && out);
    memcpy(chunk, content.ptr, content.len);
    MUST_OK(imsg_stream_seal(stream, auth, &(struct imsg_chunk){number, true, chunk, content.len}, &fuzz_err));
    chunk[at % len] ^= mask;
    enum imsg_status status = both(auth, number, true, imsg_view_of(chunk, len), out);
    bool fits = content.len > 0 || number == 0;
    MUST(status == (mask == 0 && fits ? IMSG_OK : IMSG_REFUSED));
    MUST(status != IMSG_OK || memcmp(out, content.ptr, content.len) == 0);
    imsg_stream_free(stream);
    free(chunk);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct imsg_p256 *auth;
    struct imsg_view input = imsg_view_of(data, size);
    if (!auth)
        MUST_OK(imsg_p256_generate_compact(&auth, &fuzz_err));
    if (fuzz_mode(&input, 'L')) {
        line(input);
    } else if (fuzz_mode(&input, 'C') && input.len >= 4) {
        changed(auth, input);
    } else if (fuzz_mode(&input, 'O') && input.len >= 2 + IMSG_STREAM_EXTRA) {
        uint8_t *out = malloc(input.len);
        MUST(out != NULL);
        MUST(both(auth, input.ptr[0], input.ptr[1] & 1, imsg_view_of(input.ptr + 2, input.len - 2), out) ==
             IMSG_REFUSED);
        free(out);
    }
    return 0;
}
