/* Bytes as a hex dump: offset, sixteen bytes, and the printable ones as text. */
#include "inspect/inspect.h"

#include <stdio.h>

enum imsg_status view_hex_dump(struct imsg_view bytes, struct imsg_buf *out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (size_t at = 0; status == IMSG_OK && at < bytes.len; at += 16) {
        char line[96];
        size_t n = (size_t)snprintf(line, sizeof line, "  %08zx ", at);
        for (size_t i = 0; i < 16; i++) {
            const char *gap = i % 8 == 0 ? " " : "";
            n += at + i < bytes.len ? (size_t)snprintf(line + n, sizeof line - n, "%s%02x ", gap, bytes.ptr[at + i])
                                    : (size_t)snprintf(line + n, sizeof line - n, "%s   ", gap);
        }
        n += (size_t)snprintf(line + n, sizeof line - n, " |");
        for (size_t i = 0; i < 16 && at + i < bytes.len; i++) {
            uint8_t c = bytes.ptr[at + i];
            line[n++] = (char)(c >= 0x20 && c < 0x7f ? c : '.');
        }
        line[n++] = '|';
        line[n++] = '\n';
        status = imsg_buf_append(out, line, n, err);
    }
    return status;
}
