/* Every single bit of 20 envelope lines flipped: none opens, nothing is released. Plainly every 7th bit (so that each
 * of the eight places in a byte is met), under valgrind every 61st, as all would take minutes; DEEP=1 takes each. */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "user.h"

#define ENVELOPES 20

static struct imsg_error err;
static size_t flips, failures; /* of all envelopes */

static void must(enum imsg_status status)
{
    if (status != IMSG_OK) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
}

static void make_line(const struct user *from, const struct user *to, const struct imsg_format *format, size_t size,
                      struct imsg_buf *line)
{
    char content[64], *handles[] = {to->identity.handles[0]};
    struct imsg_buf plain = {0}, payload = {0};
    memset(content, 'x', sizeof content);
    struct imsg_message message = {
        .from = from->identity.handles[0], .to = handles, .to_count = 1, .content = imsg_view_of(content, size)};
    must(imsg_message_print(&message, &plain, &err));
    const struct imsg_seal_how how = {.format = format, .limit = to->device.limit};
    must(imsg_seal_payload(&from->identity, &to->device, &how, imsg_buf_view(&plain), &payload, &err));
    struct imsg_envelope envelope = {.id = message.id,
                                     .from = message.from,
                                     .to = handles[0],
                                     .time = message.time,
                                     .format = format,
                                     .payload = payload};
    memcpy(envelope.from_token, from->identity.token, IMSG_TOKEN);
    memcpy(envelope.to_token, to->identity.token, IMSG_TOKEN);
    must(imsg_envelope_print(&envelope, line, &err));
    line->len--; /* the newline */
    imsg_buf_free(&plain);
    imsg_buf_free(&payload);
}

/* As imsg-open does it: the sender's record by handle and token. */
static bool opens(struct user *to, const struct user *from, struct imsg_view line, size_t *released)
{
    struct imsg_envelope envelope = {0};
    struct imsg_message message = {0};
    bool opened = false;
    *released = 0;
    if (imsg_envelope_parse(line, &envelope, &err) == IMSG_OK) {
        opened = imsg_open_envelope(&to->identity, &from->device, &envelope, &message, &err) == IMSG_OK;
        *released = message.plaintext.len;
        imsg_message_free(&message);
    }
    imsg_envelope_free(&envelope);
    return opened;
}

/* Whether all that was changed is the last byte of a "pair-ec" payload, its sender's version, which is not signed. */
static bool changes_version(const struct imsg_buf *payload, struct imsg_view line)
{
    struct imsg_envelope envelope = {0};
    bool same = imsg_envelope_parse(line, &envelope, &err) == IMSG_OK && envelope.payload.len == payload->len &&
                strcmp(imsg_format_name(envelope.format), "pair-ec") == 0 &&
                memcmp(envelope.payload.ptr, payload->ptr, payload->len - 1) == 0;
    imsg_envelope_free(&envelope);
    return same;
}

static void flip_all(struct user *to, const struct user *from, struct imsg_buf *line, size_t step, size_t number)
{
    size_t opened = 0, released = 0, tried = 0, plain = 0;
    struct imsg_envelope whole = {0};
    must(imsg_envelope_parse(imsg_buf_view(line), &whole, &err));
    tap_ok(opens(to, from, imsg_buf_view(line), &plain), "envelope %zu opens as it is", number);
    for (size_t bit = number % step; bit < line->len * 8; bit += step, tried++) {
        line->ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (opens(to, from, imsg_buf_view(line), &plain) && !changes_version(&whole.payload, imsg_buf_view(line))) {
            opened++;
            released += plain;
        }
        line->ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    imsg_envelope_free(&whole);
    flips += tried;
    failures += opened;
    tap_ok(opened == 0 && released == 0, "envelope %zu: none of %zu flips opens, no byte is released", number, tried);
}

int main(void)
{
    size_t step = getenv("VALGRIND") ? 61 : getenv("DEEP") ? 1 : 7;
    struct user alice = {0}, bob = {0};
    make_user(&alice, "mailto:alice@example.com");
    make_user(&bob, "mailto:bob@example.com");
    for (size_t i = 0; i < ENVELOPES; i++) {
        struct imsg_buf line = {0};
        make_line(&alice, &bob, imsg_format_of(i % 2 ? "pair" : "pair-ec"), i * 3, &line);
        flip_all(&bob, &alice, &line, step, i);
        imsg_buf_free(&line);
    }
    free_user(&alice);
    free_user(&bob);
    tap_quality("A flipped bit of an envelope's line, 20 envelopes of both formats: refused, nothing out", flips,
                failures);
    return tap_done();
}
