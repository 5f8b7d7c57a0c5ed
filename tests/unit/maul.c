#include "maul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "format/pair.h"

static struct imsg_error err;

static void must(enum imsg_status status)
{
    if (status != IMSG_OK) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
}

/* xorshift: the same cases for the same seed, but for the keys. Below `end`. */
static size_t pick(struct maul *maul, size_t end)
{
    maul->random ^= maul->random << 13;
    maul->random ^= maul->random >> 7;
    maul->random ^= maul->random << 17;
    return (size_t)(maul->random % end);
}

/* ---- what is mauled ---- */

static void seal_payload(const struct user *from, const struct user *to, const struct imsg_format *format,
                         struct imsg_view plain, struct imsg_buf *out)
{
    const struct imsg_seal_how how = {.format = format};
    must(imsg_seal_payload(&from->identity, &to->device, &how, plain, out, &err));
}

/* The i-th genuine message; its content is longer each time, so that "pair" has messages inside its block and beyond.
 */
static void genuine_make(struct maul *maul, struct maul_pool *pool, size_t i)
{
    char content[256], *handles[] = {maul->bob.identity.handles[0]};
    struct imsg_buf line = {0}, payload = {0};
    memset(content, 'x', sizeof content);
    struct imsg_message message = {.from = maul->alice.identity.handles[0],
                                   .to = handles,
                                   .to_count = 1,
                                   .content = imsg_view_of(content, i * 30)};
    must(imsg_message_print(&message, &pool->plaintext[i], &err));
    seal_payload(&maul->alice, &maul->bob, pool->format, imsg_buf_view(&pool->plaintext[i]), &payload);
    struct imsg_envelope envelope = {.id = message.id,
                                     .from = message.from,
                                     .to = handles[0],
                                     .time = message.time,
                                     .format = pool->format,
                                     .payload = payload};
    memcpy(envelope.from_token, maul->alice.identity.token, IMSG_TOKEN);
    memcpy(envelope.to_token, maul->bob.identity.token, IMSG_TOKEN);
    must(imsg_envelope_print(&envelope, &line, &err));
    must(imsg_envelope_parse(imsg_view_of(line.ptr, line.len - 1), &pool->genuine[i], &err));
    must(imsg_envelope_replay_key(&pool->genuine[i], pool->replay[i], &err));
    imsg_buf_free(&line);
    imsg_buf_free(&payload);
}

static void pool_make(struct maul *maul, struct maul_pool *pool)
{
    for (size_t i = 0; i < MAUL_GENUINE; i++)
        genuine_make(maul, pool, i);
    struct imsg_view plain = imsg_buf_view(&pool->plaintext[0]);
    seal_payload(&maul->alice, &maul->carol, pool->format, plain, &pool->misplaced[0]);
    seal_payload(&maul->mallory, &maul->bob, pool->format, plain, &pool->misplaced[1]);
    seal_payload(&maul->alice, &maul->bob, pool->format, imsg_view_str("bplist00"), &pool->misplaced[2]);
    seal_payload(&maul->alice, &maul->bob, pool->format, imsg_view_of(plain.ptr, plain.len / 2), &pool->misplaced[3]);
}

void maul_start(struct maul *maul, uint64_t seed)
{
    *maul = (struct maul){.random = seed ? seed : 1};
    make_user(&maul->alice, "mailto:alice@example.com");
    make_user(&maul->bob, "mailto:bob@example.com");
    make_user(&maul->carol, "mailto:carol@example.com");
    make_user(&maul->mallory, "mailto:mallory@example.com");
    maul->pools[0].format = imsg_format_of("pair-ec");
    maul->pools[1].format = imsg_format_of("pair");
    pool_make(maul, &maul->pools[0]);
    pool_make(maul, &maul->pools[1]);
}

static void pool_free(struct maul_pool *pool)
{
    for (size_t i = 0; i < MAUL_GENUINE; i++) {
        imsg_envelope_free(&pool->genuine[i]);
        imsg_buf_free(&pool->plaintext[i]);
    }
    for (size_t i = 0; i < MAUL_FALSE; i++)
        imsg_buf_free(&pool->misplaced[i]);
}

void maul_free(struct maul *maul)
{
    pool_free(&maul->pools[0]);
    pool_free(&maul->pools[1]);
    free_user(&maul->alice);
    free_user(&maul->bob);
    free_user(&maul->carol);
    free_user(&maul->mallory);
}

/* ---- bytes, of a payload or of a line ---- */

static void append(struct imsg_buf *out, const uint8_t *bytes, size_t len)
{
    must(imsg_buf_append(out, bytes, len, &err));
}

static void copy_all(struct imsg_view in, struct imsg_buf *out)
{
    append(out, in.ptr, in.len);
}

static void change_bit(struct maul *maul, struct imsg_view in, struct imsg_buf *out)
{
    copy_all(in, out);
    size_t bit = pick(maul, in.len * 8);
    out->ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static void change_bytes(struct maul *maul, struct imsg_view in, struct imsg_buf *out)
{
    copy_all(in, out);
    for (size_t count = 1 + pick(maul, 8); count > 0; count--)
        out->ptr[pick(maul, in.len)] = (uint8_t)pick(maul, 256);
}

static void cut(struct maul *maul, struct imsg_view in, struct imsg_buf *out)
{
    append(out, in.ptr, 1 + pick(maul, in.len - 1));
}

static void insert_bytes(struct maul *maul, struct imsg_view in, struct imsg_buf *out)
{
    size_t at = pick(maul, in.len + 1);
    append(out, in.ptr, at);
    for (size_t count = 1 + pick(maul, 16); count > 0; count--)
        append(out, &(uint8_t){(uint8_t)pick(maul, 256)}, 1);
    append(out, in.ptr + at, in.len - at);
}

static void remove_bytes(struct maul *maul, struct imsg_view in, struct imsg_buf *out)
{
    size_t at = pick(maul, in.len), len = 1 + pick(maul, in.len - at);
    if (len == in.len)
        len--;
    append(out, in.ptr, at);
    append(out, in.ptr + at + len, in.len - at - len);
}

static void repeat_bytes(struct maul *maul, struct imsg_view in, struct imsg_buf *out)
{
    size_t at = pick(maul, in.len), len = 1 + pick(maul, in.len - at);
    append(out, in.ptr, at + len);
    append(out, in.ptr + at, in.len - at);
}

typedef void maul_bytes(struct maul *maul, struct imsg_view in, struct imsg_buf *out);
static const struct {
    const char *name;
    maul_bytes *change;
} changes[] = {{"a bit", change_bit},      {"bytes", change_bytes},   {"cut", cut},
               {"inserted", insert_bytes}, {"removed", remove_bytes}, {"repeated", repeat_bytes}};
enum { CHANGES = sizeof changes / sizeof *changes };

/* ---- messages ---- */

/* The beginning of one genuine payload and the end of another. */
static void splice(struct maul *maul, const struct maul_case *which, struct imsg_buf *out)
{
    struct imsg_view in = imsg_buf_view(&which->pool->genuine[which->number].payload);
    size_t other = (which->number + 1 + pick(maul, MAUL_GENUINE - 1)) % MAUL_GENUINE, at = pick(maul, in.len);
    struct imsg_view end = imsg_buf_view(&which->pool->genuine[other].payload);
    append(out, in.ptr, at);
    if (at < end.len)
        append(out, end.ptr + at, end.len - at);
}

/* What the genuine sender may do, and nobody else: sign a changed body. Of "pair", where the signature covers no
 * secret. */
static void sign_changed(struct maul *maul, const struct maul_case *which, struct imsg_buf *out)
{
    struct imsg_view in = imsg_buf_view(&which->pool->genuine[which->number].payload);
    struct imsg_pair pair;
    uint8_t digest[20], signature[72];
    size_t len;
    must(imsg_pair_parse(in, &pair, NULL, &err));
    size_t start = (size_t)(pair.body.ptr - in.ptr);
    append(out, in.ptr, start + pair.body.len);
    size_t bit = pick(maul, pair.body.len * 8);
    out->ptr[start + bit / 8] ^= (uint8_t)(1 << bit % 8);
    must(imsg_sha1(imsg_view_of(out->ptr + start, pair.body.len), digest, &err));
    must(imsg_p256_sign_der(maul->alice.identity.signing, imsg_view_of(digest, sizeof digest), signature, &len, &err));
    append(out, &(uint8_t){(uint8_t)len}, 1);
    append(out, signature, len);
}

/* An envelope member of the right form that is not the header's. */
static void reroute(struct maul *maul, struct imsg_envelope *envelope, char id[static 37], char time[static 21])
{
    switch (pick(maul, 4)) {
    case 0:
        snprintf(id, 37, "00000000-0000-4000-8000-%012zx", pick(maul, (size_t)1 << 48));
        envelope->id = id;
        break;
    case 1:
        snprintf(time, 21, "20%02zu-01-01T00:%02zu:%02zuZ", pick(maul, 26), pick(maul, 60), pick(maul, 60));
        envelope->time = time;
        break;
    case 2:
        envelope->from = maul->carol.identity.handles[0];
        break;
    default:
        memcpy(envelope->from_token, maul->mallory.identity.token, IMSG_TOKEN);
    }
}

void maul_next(struct maul *maul, struct maul_case *which, struct imsg_buf *line)
{
    *which = (struct maul_case){.pool = &maul->pools[pick(maul, 2)], .number = pick(maul, MAUL_GENUINE)};
    struct imsg_envelope envelope = which->pool->genuine[which->number];
    struct imsg_buf payload = {0}, whole = {0};
    char id[37], time[21];
    size_t kind = pick(maul, 12), change = pick(maul, CHANGES);
    if (kind == 0) { /* the line itself */
        which->how = "the line";
        must(imsg_envelope_print(&envelope, &whole, &err));
        changes[change].change(maul, imsg_view_of(whole.ptr, whole.len - 1), line);
    } else if (kind == 1) {
        which->how = "spliced";
        splice(maul, which, &payload);
    } else if (kind == 2) {
        which->how = "rerouted";
        copy_all(imsg_buf_view(&envelope.payload), &payload);
        reroute(maul, &envelope, id, time);
    } else if (kind == 3) {
        which->how = "another's payload";
        which->number = 0;
        envelope = which->pool->genuine[0];
        copy_all(imsg_buf_view(&which->pool->misplaced[pick(maul, MAUL_FALSE)]), &payload);
    } else if (kind <= 5 && strcmp(imsg_format_name(which->pool->format), "pair") == 0) {
        which->how = "changed and signed by its sender";
        sign_changed(maul, which, &payload);
    } else {
        which->how = changes[change].name;
        changes[change].change(maul, imsg_buf_view(&envelope.payload), &payload);
    }
    if (payload.len > 0) {
        envelope.payload = payload;
        must(imsg_envelope_print(&envelope, line, &err));
        line->len--;
    }
    imsg_buf_free(&payload);
    imsg_buf_free(&whole);
}

bool maul_means_same(const struct maul_case *which, const struct imsg_envelope *envelope,
                     const struct imsg_message *message)
{
    const struct imsg_envelope *genuine = &which->pool->genuine[which->number];
    uint8_t replay[32];
    return imsg_view_equal(imsg_buf_view(&message->plaintext), imsg_buf_view(&which->pool->plaintext[which->number])) &&
           imsg_envelope_replay_key(envelope, replay, &err) == IMSG_OK &&
           memcmp(replay, which->pool->replay[which->number], sizeof replay) == 0 &&
           strcmp(envelope->id, genuine->id) == 0 && strcmp(envelope->from, genuine->from) == 0 &&
           strcmp(envelope->time, genuine->time) == 0 &&
           memcmp(envelope->from_token, genuine->from_token, IMSG_TOKEN) == 0;
}
