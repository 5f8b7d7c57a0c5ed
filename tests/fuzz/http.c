/* HTTP answers: the header lines and the body as libcurl hands them over (lib/net/http_receive.c, http_answer.c).
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

/* The reason in an answer's body prints nothing but itself. */
static void check_reason(const struct imsg_http_answer *answer)
{
    char reason[IMSG_REASON_MAX];
    MUST(answer->status < 1000);
    imsg_http_reason(imsg_buf_view(&answer->body), reason);
    for (const char *at = reason; *at; at++)
        MUST(*at >= ' ' && *at <= 'z');
}

/* An entity tag that is taken prints nothing but itself. */
static void check_etag(struct imsg_view value)
{
    char etag[IMSG_ETAG_MAX], again[IMSG_ETAG_MAX];
    MUST(!imsg_http_etag(value, etag) || (imsg_http_etag(imsg_view_str(etag), again) && fuzz_same(etag, again)));
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
        struct imsg_view line = fuzz_take(&input, len);
        check_etag(line);
        transfer_header(&transfer, line);
        if (len <= 2)
            break;
    }
    while (more && input.len > 0)
        more = transfer_body(&transfer, fuzz_take(&input, piece));
    MUST(transfer.given - before == sum && transfer.given <= 1000);
    MUST(transfer.answer.body.len <= 4096);
    MUST(!(transfer.over && request.cut) && !(transfer.answer.cut && !request.cut));
    check_reason(&transfer.answer);
    if (transfer.answer.status / 100 != 2)
        MUST(imsg_http_refused(&request, &transfer.answer, &err) != IMSG_OK && err.text[0]);
    imsg_http_answer_free(&transfer.answer);
    return 0;
}
