/* Sealed files: chunks that are each encrypted and signed by themselves (format.md §8).
 *
 * The signature covers a hash of ciphertext and tag, never the tag alone: every recipient has the key, and with the key
 * another ciphertext for the same GCM tag can be made. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/member.h"
#include "format/trace.h"

enum { KEY = 32, UUID = 16, NONCE = 12, TAG = 16, SIGNATURE = 64, COMMITMENT = 32 };
_Static_assert(TAG + SIGNATURE == IMSG_STREAM_EXTRA, "what stands behind each chunk");

static const char cipher_name[] = "aes-256-gcm";
static const char start[] = "{\"imsg\":\"stream/";

struct imsg_stream {
    struct imsg_gcm *gcm;
    uint8_t id[UUID];
    uint8_t commitment[COMMITMENT];
};

/* The stream/1 line. */
struct line {
    json_t *json;
    const char *id, *cipher;
    uint64_t chunk;
    uint8_t commitment[COMMITMENT];
};

static const struct imsg_member members[] = {
    IMSG_ROW("id", UUID, REQUIRED, offsetof(struct line, id)),
    IMSG_ROW("cipher", TEXT, REQUIRED, offsetof(struct line, cipher)),
    IMSG_ROW("chunk", NUMBER, REQUIRED, offsetof(struct line, chunk), .min = 1, .max = INT64_MAX),
    IMSG_ROW("commitment", HEX, REQUIRED, offsetof(struct line, commitment), .len = COMMITMENT),
    {0},
};

static enum imsg_status check_line(void *out, struct imsg_error *err)
{
    const struct line *line = out;
    if (strcmp(line->cipher, cipher_name) != 0)
        return imsg_fail(err, IMSG_UNSUPPORTED, "cipher \"%.64s\" is not known", line->cipher);
    if (line->chunk != IMSG_STREAM_CHUNK)
        return imsg_fail(err, IMSG_UNSUPPORTED, "chunks of %llu bytes, not %d", (unsigned long long)line->chunk,
                         IMSG_STREAM_CHUNK);
    return IMSG_OK;
}

static const struct imsg_document document = {
    .kind = "stream/1", .members = members, .size = sizeof(struct line), .complete = check_line};

enum imsg_status imsg_stream_print(const struct imsg_stream_line *stream, struct imsg_buf *out, struct imsg_error *err)
{
    struct line line = {.id = stream->id, .cipher = cipher_name, .chunk = IMSG_STREAM_CHUNK};
    memcpy(line.commitment, stream->commitment, sizeof line.commitment);
    return imsg_document_print(&document, &line, out, err);
}

bool imsg_stream_is(struct imsg_view line)
{
    return line.len >= sizeof start - 1 && memcmp(line.ptr, start, sizeof start - 1) == 0;
}

enum imsg_status imsg_stream_parse(struct imsg_view text, struct imsg_stream_line *out, struct imsg_error *err)
{
    json_t *object = NULL;
    struct line line = {0};
    enum imsg_status status = imsg_json_parse(text, IMSG_LINE_MAX, &object, err);
    if (status == IMSG_OK)
        status = imsg_document_read(&document, object, &line, err);
    if (status == IMSG_OK) {
        memcpy(out->id, line.id, sizeof out->id);
        memcpy(out->commitment, line.commitment, sizeof out->commitment);
        imsg_document_free(&document, &line);
    } else {
        imsg_error_prefix(err, "sealed file");
    }
    json_decref(object);
    return status;
}

/* The 16 bytes a uuid's text stands for. */
static enum imsg_status uuid_bytes(const char *text, uint8_t out[static UUID], struct imsg_error *err)
{
    char hex[2 * UUID];
    size_t n = 0;
    if (!imsg_uuid_valid(text))
        return imsg_fail(err, IMSG_MALFORMED, "\"%.40s\" is no uuid", text);
    for (; *text; text++)
        if (*text != '-')
            hex[n++] = *text;
    return imsg_hex_decode(imsg_view_of(hex, n), out, UUID, err);
}

static enum imsg_status commit(const uint8_t id[static UUID], const uint8_t key[static KEY],
                               uint8_t out[static COMMITMENT], struct imsg_error *err)
{
    return imsg_hkdf_sha256(imsg_view_of(key, KEY), imsg_view_of(id, UUID), imsg_view_str("imsg stream/1 commitment"),
                            out, COMMITMENT, err);
}

enum imsg_status imsg_stream_commit(const char *id, const uint8_t key[static KEY], struct imsg_stream_line *out,
                                    struct imsg_error *err)
{
    uint8_t uuid[UUID], commitment[COMMITMENT];
    enum imsg_status status = uuid_bytes(id, uuid, err);
    if (status == IMSG_OK)
        status = commit(uuid, key, commitment, err);
    if (status == IMSG_OK) {
        memcpy(out->id, id, sizeof out->id);
        memcpy(out->commitment, commitment, sizeof out->commitment);
    }
    return status;
}

static enum imsg_status check_commitment(const struct imsg_stream *stream, const uint8_t key[static KEY],
                                         struct imsg_trace *trace, struct imsg_error *err)
{
    uint8_t commitment[COMMITMENT] = {0};
    enum imsg_status status = commit(stream->id, key, commitment, err);
    if (status != IMSG_OK)
        return status;
    imsg_trace_value(trace, "stream_key", imsg_view_of(key, KEY));
    imsg_trace_value(trace, "commitment", imsg_view_of(commitment, sizeof commitment));
    bool fits = imsg_trace_check(trace, "commitment", memcmp(commitment, stream->commitment, sizeof commitment) == 0,
                                 "the line is not committed to the header's key");
    return fits || trace ? IMSG_OK : imsg_fail(err, IMSG_REFUSED, "refused");
}

static enum imsg_status derive(struct imsg_stream *stream, const uint8_t key[static KEY], struct imsg_trace *trace,
                               struct imsg_error *err)
{
    uint8_t derived[KEY];
    enum imsg_status status = imsg_hkdf_sha256(imsg_view_of(key, KEY), imsg_view_of(stream->id, UUID),
                                               imsg_view_str("imsg stream/1"), derived, sizeof derived, err);
    if (status == IMSG_OK) {
        imsg_trace_value(trace, "chunk_key", imsg_view_of(derived, sizeof derived));
        status = imsg_gcm_new(derived, &stream->gcm, err);
    }
    imsg_wipe(derived, sizeof derived);
    return status;
}

enum imsg_status imsg_stream_new_traced(const uint8_t *key, const struct imsg_stream_line *line,
                                        struct imsg_trace *trace, struct imsg_stream **out, struct imsg_error *err)
{
    struct imsg_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    memcpy(stream->commitment, line->commitment, sizeof stream->commitment);
    enum imsg_status status = uuid_bytes(line->id, stream->id, err);
    if (status == IMSG_OK && key)
        status = check_commitment(stream, key, trace, err);
    if (status == IMSG_OK && key)
        status = derive(stream, key, trace, err);
    if (status == IMSG_OK)
        *out = stream;
    else
        imsg_stream_free(stream);
    return status;
}

enum imsg_status imsg_stream_new(const uint8_t *key, const struct imsg_stream_line *line, struct imsg_stream **out,
                                 struct imsg_error *err)
{
    return imsg_stream_new_traced(key, line, NULL, out, err);
}

void imsg_stream_free(struct imsg_stream *stream)
{
    if (stream)
        imsg_gcm_free(stream->gcm);
    free(stream);
}

/* 11 bytes of number, which a u64 never fills, and whether it is the last. */
static void make_nonce(uint64_t number, bool last, uint8_t nonce[static NONCE])
{
    memset(nonce, 0, NONCE);
    for (size_t i = 0; i < 8; i++)
        nonce[10 - i] = (uint8_t)(number >> (8 * i));
    nonce[NONCE - 1] = last;
}

/* What is signed, hashed: the file, its key, the place in it, the ciphertext with its tag. */
static enum imsg_status signed_hash(const struct imsg_stream *stream, const uint8_t nonce[static NONCE],
                                    struct imsg_view sealed, struct imsg_trace *trace, uint8_t hash[static 32],
                                    struct imsg_error *err)
{
    uint8_t inner[32] = {0};
    enum imsg_status status = imsg_sha256(sealed, inner, err);
    imsg_trace_value(trace, "nonce", imsg_view_of(nonce, NONCE));
    imsg_trace_value(trace, "sealed_sha256", imsg_view_of(inner, sizeof inner));
    const struct imsg_view parts[] = {imsg_view_str("imsg stream/1 chunk\n"), imsg_view_of(stream->id, UUID),
                                      imsg_view_of(stream->commitment, COMMITMENT), imsg_view_of(nonce, NONCE),
                                      imsg_view_of(inner, sizeof inner)};
    return status == IMSG_OK ? imsg_sha256_parts(parts, 5, hash, err) : status;
}

enum imsg_status imsg_stream_seal(struct imsg_stream *stream, const struct imsg_p256 *auth,
                                  const struct imsg_chunk *chunk, struct imsg_error *err)
{
    uint8_t nonce[NONCE], hash[32], *bytes = chunk->bytes;
    size_t len = chunk->len;
    if (len > IMSG_STREAM_CHUNK || (!chunk->last && len < IMSG_STREAM_CHUNK))
        return imsg_fail(err, IMSG_INTERNAL, "a chunk of %zu bytes cannot be sealed", len);
    make_nonce(chunk->number, chunk->last, nonce);
    enum imsg_status status =
        imsg_gcm_seal(stream->gcm, nonce, &(struct imsg_gcm_data){{0}, bytes, bytes, len}, bytes + len, err);
    if (status == IMSG_OK)
        status = signed_hash(stream, nonce, imsg_view_of(bytes, len + TAG), NULL, hash, err);
    if (status == IMSG_OK)
        status = imsg_p256_sign(auth, imsg_view_of(hash, sizeof hash), bytes + len + TAG, err);
    if (status != IMSG_OK)
        imsg_wipe(bytes, len);
    return status;
}

/* Whether a chunk at this place can have this length: only the last may be short, and it is empty only where the
 * content is. */
static bool length_fits(const struct imsg_chunk *chunk)
{
    const size_t full = IMSG_STREAM_CHUNK + IMSG_STREAM_EXTRA;
    if (!chunk->last)
        return chunk->len == full;
    return chunk->len <= full && chunk->len >= IMSG_STREAM_EXTRA + (chunk->number > 0);
}

/* The signature and then the tag, with the class of the first that fails. */
static enum imsg_status open_chunk(struct imsg_stream *stream, const uint8_t *auth, const struct imsg_chunk *chunk,
                                   struct imsg_trace *trace, struct imsg_error *err)
{
    uint8_t nonce[NONCE], hash[32];
    struct imsg_error late;
    size_t content = chunk->len - IMSG_STREAM_EXTRA;
    uint8_t *bytes = chunk->bytes, *tag = bytes + content, *signature = tag + TAG;
    make_nonce(chunk->number, chunk->last, nonce);
    if (!imsg_trace_check(trace, "chunk_length", length_fits(chunk),
                          chunk->last ? "no length that the last chunk can have" : "no length that a chunk can have"))
        return imsg_fail(err, IMSG_MALFORMED, "chunk %llu has %zu bytes", (unsigned long long)chunk->number,
                         chunk->len);
    enum imsg_status status = signed_hash(stream, nonce, imsg_view_of(bytes, content + TAG), trace, hash, err), opened;
    if (status != IMSG_OK)
        return status;
    imsg_trace_value(trace, "chunk_sha256", imsg_view_of(hash, sizeof hash));
    imsg_trace_value(trace, "signature", imsg_view_of(signature, SIGNATURE));
    if (auth) {
        status = imsg_p256_verify(auth, imsg_view_of(hash, sizeof hash), signature, err);
        imsg_trace_check(trace, "signature", status == IMSG_OK, "not the sender's over this chunk at this place");
    }
    imsg_trace_value(trace, "gcm_tag", imsg_view_of(tag, TAG));
    if (!stream->gcm || (status != IMSG_OK && !trace))
        return status;
    opened = imsg_gcm_open(stream->gcm, nonce, &(struct imsg_gcm_data){{0}, bytes, bytes, content}, tag,
                           status == IMSG_OK ? err : &late);
    imsg_trace_check(trace, "gcm_tag", opened == IMSG_OK, "not that of this ciphertext, under this key, at this place");
    return status == IMSG_OK ? opened : status;
}

enum imsg_status imsg_stream_open_traced(struct imsg_stream *stream, const uint8_t *auth,
                                         const struct imsg_chunk *chunk, struct imsg_trace *trace,
                                         struct imsg_error *err)
{
    enum imsg_status status = open_chunk(stream, auth, chunk, trace, err);
    if (status == IMSG_OK)
        return status;
    if (stream->gcm && !trace)
        imsg_wipe(chunk->bytes, chunk->len);
    if (trace)
        trace->why = status;
    if (status == IMSG_NO_MEMORY || status == IMSG_INTERNAL)
        return status;
    return imsg_fail(err, IMSG_REFUSED, "refused");
}

enum imsg_status imsg_stream_open(struct imsg_stream *stream, const uint8_t *auth, const struct imsg_chunk *chunk,
                                  struct imsg_error *err)
{
    return imsg_stream_open_traced(stream, auth, chunk, NULL, err);
}
