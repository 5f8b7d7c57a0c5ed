/* Sealed files (format.md §8): every chunk in its place, and what somebody who has the key can do. */
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "format/trace.h"
#include "tap.h"
#include "vector.h"

#define CHUNK ((size_t)IMSG_STREAM_CHUNK)
#define EXTRA ((size_t)IMSG_STREAM_EXTRA)

static const char id[] = "0190b5a2-7c1e-4d3a-8f00-112233445566", other_id[] = "0190b5a2-7c1e-4d3a-8f00-112233445567";
static const uint8_t key[32] = {1, 2, 3}, other_key[32] = {1, 2, 4};
static struct imsg_p256 *alice, *mallory;
static struct imsg_error err;

static struct imsg_stream *stream_of(const uint8_t *with, const char *of)
{
    struct imsg_stream_line line;
    struct imsg_stream *stream = NULL;
    if (imsg_stream_commit(of, with, &line, &err) != IMSG_OK || imsg_stream_new(with, &line, &stream, &err) != IMSG_OK)
        abort();
    return stream;
}

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

/* A chunk of len bytes of content, sealed by `signer`. */
static uint8_t *sealed(struct imsg_stream *stream, const struct imsg_p256 *signer, uint64_t number, bool last,
                       size_t len)
{
    uint8_t *chunk = malloc(len + EXTRA);
    if (!chunk)
        abort();
    for (size_t i = 0; i < len; i++)
        chunk[i] = byte_at(i);
    if (imsg_stream_seal(stream, signer, &(struct imsg_chunk){number, last, chunk, len}, &err) != IMSG_OK)
        abort();
    return chunk;
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Opens a copy; a refusal leaves nothing of the chunk. */
static bool refused(struct imsg_stream *stream, uint64_t number, bool last, const uint8_t *chunk, size_t len,
                    enum imsg_status want)
{
    uint8_t *copy = malloc(len + 1);
    struct imsg_trace trace = {0};
    const struct imsg_chunk place = {number, last, copy, len};
    if (!copy)
        abort();
    memcpy(copy, chunk, len);
    bool good = imsg_stream_open_traced(stream, imsg_p256_point(alice), &place, &trace, &err) == IMSG_REFUSED &&
                trace.why == want;
    memcpy(copy, chunk, len);
    good = good && imsg_stream_open(stream, imsg_p256_point(alice), &place, &err) == IMSG_REFUSED &&
           strcmp(err.text, "refused") == 0 && all_zero(copy, len);
    imsg_trace_free(&trace);
    free(copy);
    return good;
}

static void round_trips(void)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 65535, 65536, 65537, CHUNK - 1, CHUNK};
    struct imsg_stream *stream = stream_of(key, id);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t number = i == 0 ? 0 : 1ull << (6 * i);
        bool same = true;
        uint8_t *chunk = sealed(stream, alice, number, true, sizes[i]);
        bool hidden = sizes[i] < 15 || chunk[7] != byte_at(7) || chunk[8] != byte_at(8);
        tap_status(imsg_stream_open(stream, imsg_p256_point(alice),
                                    &(struct imsg_chunk){number, true, chunk, sizes[i] + EXTRA}, &err),
                   IMSG_OK, &err, "%zu bytes as chunk %llu", sizes[i], (unsigned long long)number);
        for (size_t k = 0; k < sizes[i]; k++)
            same = same && chunk[k] == byte_at(k);
        tap_ok(same && hidden, "come back as they were");
        free(chunk);
    }
    imsg_stream_free(stream);
}

/* Key, nonce and what is signed, from format.md with the primitives alone. */
static void as_written(void)
{
    static const uint8_t uuid[16] = {0x01, 0x90, 0xb5, 0xa2, 0x7c, 0x1e, 0x4d, 0x3a,
                                     0x8f, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66};
    static const uint8_t nonce[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1}; /* number 258, the last */
    struct imsg_stream *stream = stream_of(key, id);
    struct imsg_gcm *gcm = NULL;
    uint8_t derived[32], commitment[32], plain[100], hash[32], inner[32];
    uint8_t *chunk = sealed(stream, alice, 258, true, 100);
    if (imsg_hkdf_sha256(imsg_view_of(key, 32), imsg_view_of(uuid, 16), imsg_view_str("imsg stream/1"), derived, 32,
                         &err) != IMSG_OK ||
        imsg_hkdf_sha256(imsg_view_of(key, 32), imsg_view_of(uuid, 16), imsg_view_str("imsg stream/1 commitment"),
                         commitment, 32, &err) != IMSG_OK ||
        imsg_gcm_new(derived, &gcm, &err) != IMSG_OK)
        abort();
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){{0}, chunk, plain, 100}, chunk + 100, &err), IMSG_OK,
               &err, "key and nonce are those of the format");
    tap_ok(plain[0] == byte_at(0) && plain[99] == byte_at(99), "and so is the content");
    const struct imsg_view parts[] = {imsg_view_str("imsg stream/1 chunk\n"), imsg_view_of(uuid, 16),
                                      imsg_view_of(commitment, 32), imsg_view_of(nonce, 12), imsg_view_of(inner, 32)};
    if (imsg_sha256(imsg_view_of(chunk, 116), inner, &err) != IMSG_OK ||
        imsg_sha256_parts(parts, 5, hash, &err) != IMSG_OK)
        abort();
    tap_status(imsg_p256_verify(imsg_p256_point(alice), imsg_view_of(hash, 32), chunk + 116, &err), IMSG_OK, &err,
               "the signature is over what the format says");
    imsg_gcm_free(gcm);
    free(chunk);
    imsg_stream_free(stream);
}

static void misplaced(void)
{
    struct imsg_stream *stream = stream_of(key, id), *other = stream_of(key, other_id),
                       *third = stream_of(other_key, id);
    uint8_t *first = sealed(stream, alice, 0, false, CHUNK), *last = sealed(stream, alice, 1, true, 100);
    tap_ok(refused(stream, 1, false, first, CHUNK + EXTRA, IMSG_BAD_SIGNATURE), "a chunk in another's place");
    tap_ok(refused(stream, 0, true, first, CHUNK + EXTRA, IMSG_BAD_SIGNATURE), "one that is not the last, as the last");
    tap_ok(refused(stream, 1, false, last, 100 + EXTRA, IMSG_MALFORMED), "a short one that is not the last");
    tap_ok(refused(stream, 0, true, last, 100 + EXTRA, IMSG_BAD_SIGNATURE), "the last as the only one");
    tap_ok(refused(other, 1, true, last, 100 + EXTRA, IMSG_BAD_SIGNATURE), "another file's chunk, the key the same");
    tap_ok(refused(third, 1, true, last, 100 + EXTRA, IMSG_BAD_SIGNATURE), "another key");
    for (size_t len = 0; len <= EXTRA + 99; len += len == EXTRA ? 98 : 1)
        if (!refused(stream, 1, true, last, len, len <= EXTRA ? IMSG_MALFORMED : IMSG_BAD_SIGNATURE)) {
            tap_ok(false, "cut to %zu bytes", len);
            break;
        }
    uint8_t *longer = malloc(CHUNK + EXTRA + 1);
    if (!longer)
        abort();
    memcpy(longer, first, CHUNK + EXTRA);
    longer[CHUNK + EXTRA] = 0;
    tap_ok(refused(stream, 0, true, longer, CHUNK + EXTRA + 1, IMSG_MALFORMED), "one byte too long");
    free(longer);
    uint8_t *empty = sealed(stream, alice, 1, true, 0);
    tap_ok(refused(stream, 1, true, empty, EXTRA, IMSG_MALFORMED), "an empty last chunk of content that is not empty");
    free(empty);
    free(first);
    free(last);
    imsg_stream_free(stream);
    imsg_stream_free(other);
    imsg_stream_free(third);
}

/* a * b in the field of GCM (SP 800-38D §6.3), bit 0 the leftmost. */
static void field_multiply(const uint8_t a[static 16], const uint8_t b[static 16], uint8_t out[static 16])
{
    uint8_t v[16], z[16] = {0};
    memcpy(v, b, 16);
    for (unsigned bit = 0; bit < 128; bit++) {
        bool odd = v[15] & 1;
        for (size_t i = 0; i < 16 && a[bit / 8] >> (7 - bit % 8) & 1; i++)
            z[i] ^= v[i];
        for (size_t i = 15; i > 0; i--)
            v[i] = (uint8_t)(v[i] >> 1 | v[i - 1] << 7);
        v[0] = (uint8_t)(v[0] >> 1);
        if (odd)
            v[0] ^= 0xe1;
    }
    memcpy(out, z, 16);
}

/* Another ciphertext with the same tag: a difference d in one block is undone by d * H in the next. */
static void match_tag(const uint8_t derived[static 32], uint8_t *ciphertext)
{
    static const uint8_t zero[16], difference[16] = {0x20, 0xff};
    uint8_t h[16], undo[16];
    if (imsg_aes256_ctr64(derived, zero, zero, h, 16, &err) != IMSG_OK)
        abort();
    field_multiply(difference, h, undo);
    for (size_t i = 0; i < 16; i++) {
        ciphertext[i] ^= difference[i];
        ciphertext[16 + i] ^= undo[i];
    }
}

/* A co-recipient has the key: he encrypts what he likes, and finds other ciphertexts for the sender's tag. What he does
 * not have is the sender's signature. */
static void forged(void)
{
    enum { LEN = 64 };
    static const uint8_t nonce[12] = {[11] = 1};
    struct imsg_stream *stream = stream_of(key, id);
    struct imsg_gcm *gcm = NULL;
    uint8_t derived[32], plain[LEN];
    uint8_t *genuine = sealed(stream, alice, 0, true, LEN), *forgery = sealed(stream, mallory, 0, true, LEN);
    static const uint8_t uuid[16] = {0x01, 0x90, 0xb5, 0xa2, 0x7c, 0x1e, 0x4d, 0x3a,
                                     0x8f, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66};
    tap_ok(refused(stream, 0, true, forgery, LEN + EXTRA, IMSG_BAD_SIGNATURE), "a chunk that a co-recipient signed");
    if (imsg_hkdf_sha256(imsg_view_of(key, 32), imsg_view_of(uuid, 16), imsg_view_str("imsg stream/1"), derived, 32,
                         &err) != IMSG_OK ||
        imsg_gcm_new(derived, &gcm, &err) != IMSG_OK)
        abort();
    memcpy(forgery, genuine, LEN + EXTRA);
    match_tag(derived, forgery);
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){{0}, forgery, plain, LEN}, forgery + LEN, &err),
               IMSG_OK, &err, "another ciphertext with the sender's tag");
    tap_ok(plain[0] == (byte_at(0) ^ 0x20), "decrypts to another content");
    tap_ok(refused(stream, 0, true, forgery, LEN + EXTRA, IMSG_BAD_SIGNATURE), "and is refused all the same");
    imsg_gcm_free(gcm);
    free(genuine);
    free(forgery);
    imsg_stream_free(stream);
}

static void flips(void)
{
    enum { LEN = 5 };
    struct imsg_stream *stream = stream_of(key, id);
    uint8_t *chunk = sealed(stream, alice, 0, true, LEN);
    size_t opened = 0;
    for (size_t bit = 0; bit < 8 * (LEN + EXTRA); bit++) {
        uint8_t copy[LEN + IMSG_STREAM_EXTRA];
        memcpy(copy, chunk, sizeof copy);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        opened += imsg_stream_open(stream, imsg_p256_point(alice), &(struct imsg_chunk){0, true, copy, sizeof copy},
                                   &err) == IMSG_OK;
    }
    tap_ok(opened == 0, "every bit of a chunk flipped: %zu open", opened);
    free(chunk);
    imsg_stream_free(stream);
}

static void line(const char *text, enum imsg_status want)
{
    struct imsg_stream_line got = {0};
    tap_status(imsg_stream_parse(imsg_view_str(text), &got, &err), want, &err, "%s", text);
    if (want == IMSG_OK)
        tap_ok(strcmp(got.id, id) == 0 && got.commitment[31] == 0x33, "its id and commitment");
}

#define EIGHT "33333333"
#define COMMITMENT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT

static void lines(void)
{
    struct imsg_buf out = {0};
    struct imsg_stream_line made = {0};
    memcpy(made.id, id, sizeof made.id);
    memset(made.commitment, 0x33, sizeof made.commitment);
    tap_status(imsg_stream_print(&made, &out, &err), IMSG_OK, &err, "the line");
    tap_bytes(imsg_buf_view(&out),
              imsg_view_str("{\"imsg\":\"stream/1\",\"id\":\"0190b5a2-7c1e-4d3a-8f00-112233445566\","
                            "\"cipher\":\"aes-256-gcm\",\"chunk\":1048576,\"commitment\":\"" COMMITMENT "\"}\n"),
              "as the format has it");
    tap_ok(imsg_stream_is(imsg_buf_view(&out)) && !imsg_stream_is(imsg_view_str("{\"imsg\":\"envelope/1\"}")) &&
               !imsg_stream_is(imsg_view_str("{\"imsg\":\"str")),
           "is known by how it starts");
#define LINE(id, cipher, chunk)                                                                                        \
    "{\"imsg\":\"stream/1\",\"commitment\":\"" COMMITMENT "\",\"id\":\"" id "\",\"cipher\":\"" cipher                  \
    "\",\"chunk\":" chunk "}"
#define ID "0190b5a2-7c1e-4d3a-8f00-112233445566"
    line(LINE(ID, "aes-256-gcm", "1048576"), IMSG_OK);
    line(LINE(ID, "aes-256-gcm", "1048576,\"new\":1"), IMSG_OK);
    line(LINE(ID, "aes-128-gcm", "1048576"), IMSG_UNSUPPORTED);
    line(LINE(ID, "aes-256-gcm", "65536"), IMSG_UNSUPPORTED);
    line(LINE(ID, "aes-256-gcm", "\"1048576\""), IMSG_MALFORMED);
    line(LINE(ID, "aes-256-gcm", "-1"), IMSG_MALFORMED);
    line(LINE("none", "aes-256-gcm", "1048576"), IMSG_MALFORMED);
    line("{\"imsg\":\"stream/2\",\"id\":\"" ID "\",\"cipher\":\"aes-256-gcm\",\"chunk\":1048576}", IMSG_UNSUPPORTED);
    line("{\"imsg\":\"stream/1\"}", IMSG_MALFORMED);
    line("{\"imsg\":\"stream/1\",\"id\":\"" ID "\",\"cipher\":\"aes-256-gcm\",\"chunk\":1048576}", IMSG_MALFORMED);
    imsg_buf_free(&out);
}

int main(void)
{
    struct imsg_stream *stream = NULL;
    uint8_t chunk[200] = {0};
    if (imsg_p256_generate(&alice, &err) != IMSG_OK || imsg_p256_generate(&mallory, &err) != IMSG_OK)
        abort();
    lines();
    round_trips();
    as_written();
    misplaced();
    forged();
    flips();
    struct imsg_stream_line made = {0};
    tap_status(imsg_stream_commit("not a uuid", key, &made, &err), IMSG_MALFORMED, &err, "an id that is no uuid");
    tap_status(imsg_stream_commit(id, other_key, &made, &err), IMSG_OK, &err, "a line of one key");
    tap_status(imsg_stream_new(key, &made, &stream, &err), IMSG_REFUSED, &err, "another key does not fit it");
    stream = stream_of(key, id);
    tap_status(imsg_stream_seal(stream, alice, &(struct imsg_chunk){0, false, chunk, 100}, &err), IMSG_INTERNAL, &err,
               "a short chunk that is not the last is not sealed");
    imsg_stream_free(stream);
    imsg_stream_free(NULL);
    imsg_p256_free(alice);
    imsg_p256_free(mallory);
    return tap_done();
}
