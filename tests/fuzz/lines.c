/* Lines from a descriptor (lib/base/io.c), compared with the same split by hand. The first byte is the longest line,
 * the second how many bytes each read gets.
 * max_len 2048 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "fuzz.h"

#define PACKETS_MAX 64 /* what the socket holds before anybody reads is limited */

/* Each packet is one read. */
static int start_sending(struct imsg_view bytes, size_t step)
{
    int ends[2];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    for (size_t sent = 0; bytes.len > 0; sent++) {
        struct imsg_view packet = fuzz_take(&bytes, sent + 1 == PACKETS_MAX ? bytes.len : step);
        MUST(write(ends[1], packet.ptr, packet.len) == (ssize_t)packet.len);
    }
    close(ends[1]);
    return ends[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_view input = imsg_view_of(data, size);
    struct imsg_lines lines;
    uint64_t number = 0;
    if (size < 2)
        return 0;
    size_t max = data[0], step = (size_t)data[1] + 1;
    fuzz_take(&input, 2);
    imsg_lines_start(&lines, start_sending(input, step), max);
    for (bool more = true; more;) {
        struct imsg_view line = {0}, rest = input;
        struct imsg_error err = {0};
        bool cut = false;
        const uint8_t *newline = rest.len > 0 ? memchr(rest.ptr, '\n', rest.len) : NULL;
        struct imsg_view want = fuzz_take(&rest, newline ? (size_t)(newline - rest.ptr) : rest.len);
        enum imsg_status status = imsg_lines_next(&lines, &line, &more, &cut, &err);
        if (input.len == 0) {
            MUST(status == IMSG_OK && !more && lines.number == number);
            break;
        }
        MUST(more && lines.number == ++number);
        MUST(status == (want.len > max ? IMSG_TOO_LONG : IMSG_OK));
        if (want.len == 1 && want.ptr[0] == '\r') /* the contract of imsg_lines_next */
            want.len = 0;
        if (status == IMSG_OK)
            MUST(imsg_view_equal(line, want) && cut == !newline);
        else
            fuzz_refused(status, &err, size);
        fuzz_take(&rest, newline ? 1 : 0);
        input = rest;
    }
    close(lines.fd);
    imsg_lines_free(&lines);
    return 0;
}
