/* HTTP answers: the header lines and the body as libcurl hands them over (lib/net/http_take.c, http_answer.c).
 * max_len 2048
 *
 * The input is lines, then an empty one, then the body; how it falls into pieces is up to its first byte. */
#include "fuzz.h"
#include "net/http_transfer.h"

static enum imsg_status swallow(void *context, struct imsg_view piece, struct imsg_error *err)
{
    size_t *sum = context;
    (void)err;
    *sum += piece.len;
    return IMSG_OK;
}

/* What is kept of a header prints nothing but itself. */
static void check_kept(const struct transfer *transfer)
{
    char again[IMSG_ETAG_MAX], reason[IMSG_REASON_MAX];
    const struct imsg_http_answer *answer = &transfer->answer;
    MUST(answer->status < 1000);
    MUST(!answer->etag[0] || (imsg_http_etag(imsg_view_str(answer->etag), again) && fuzz_same(answer->etag, again)));
    MUST(!transfer->has_retry_after || transfer->retry_after <= 366 * 86400);
    imsg_http_reason(imsg_buf_view(&answer->body), reason);
    for (const char *at = reason; *at; at++)
        MUST(*at >= ' ' && *at <= 'z');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_view input = imsg_view_of(data, size);
    size_t sum = 0, piece = size > 0 ? (size_t)data[0] % 61 + 1 : 1;
    struct imsg_http_request request = {.role = "relay", .place = "x", .method = "GET", .fd = -1, .max = 1000};
    struct transfer transfer = {.request = &request};
    struct imsg_error err = {0};
    bool more = true;
    request.cut = size > 1 && data[1] & 1;
    if (size > 0 && data[0] & 1) {
        request.sink = swallow;
        request.context = &sum;
        transfer.given = size % 7; /* as after a try that broke off */
    }
    uint64_t before = transfer.given;
    while (input.len > 0) {
        const uint8_t *end = memchr(input.ptr, '\n', input.len);
        size_t len = end ? (size_t)(end - input.ptr) + 1 : input.len;
        transfer_header(&transfer, fuzz_take(&input, len));
        if (len <= 2)
            break;
    }
    while (more && input.len > 0)
        more = transfer_body(&transfer, fuzz_take(&input, piece));
    MUST(transfer.given - before == sum && transfer.given <= 1000);
    MUST(transfer.answer.body.len <= 4096);
    MUST(!(transfer.over && request.cut) && !(transfer.answer.cut && !request.cut));
    check_kept(&transfer);
    if (transfer.answer.status / 100 != 2)
        MUST(imsg_http_refused(&request, &transfer.answer, &err) != IMSG_OK && err.text[0]);
    imsg_http_answer_free(&transfer.answer);
    return 0;
}
