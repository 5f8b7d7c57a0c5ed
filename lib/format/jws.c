/* JWS (RFC 7515) with ES256 and the public key inside, in two shapes only: flattened around a
 * directory entry (format.md §7), and compact as a bearer token (format/bearer.h). */
#include "format/jws.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/document.h"

/* The object must have exactly these members, and may have `optional` (NULL: none). */
static enum imsg_status require_members(const json_t *object, const char *const *names, size_t count,
                                        const char *optional, const char *role, struct imsg_error *err)
{
    const char *key;
    json_t *value;
    size_t known = 0;
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        bool found = false;
        for (size_t i = 0; i < count; i++)
            found |= strcmp(key, names[i]) == 0;
        if (!found && !(optional && strcmp(key, optional) == 0))
            return imsg_fail(err, IMSG_MALFORMED, "%s has a member \"%.64s\" that does not belong there", role, key);
        known += found;
    }
    return known == count ? IMSG_OK : imsg_fail(err, IMSG_MALFORMED, "%s lacks a member", role);
}

static enum imsg_status require_value(const json_t *object, const char *member, enum imsg_need need, const char *value,
                                      struct imsg_error *err)
{
    const char *text = NULL;
    enum imsg_status status = imsg_json_peek(object, member, need, &text, err);
    if (status == IMSG_OK && text && strcmp(text, value) != 0)
        status = imsg_fail(err, IMSG_MALFORMED, "%s is \"%.64s\", not \"%s\"", member, text, value);
    return status;
}

static enum imsg_status base64url_fixed(struct imsg_view text, const char *role, uint8_t *out, size_t len,
                                        struct imsg_error *err)
{
    struct imsg_buf bytes = {0};
    enum imsg_status status = imsg_base64url_decode(text, &bytes, err);
    if (status == IMSG_OK && bytes.len != len)
        status = imsg_fail(err, IMSG_MALFORMED, "%zu bytes, not %zu", bytes.len, len);
    if (status == IMSG_OK)
        memcpy(out, bytes.ptr, len);
    else
        imsg_error_prefix(err, "%s", role);
    imsg_buf_free(&bytes);
    return status;
}

static enum imsg_status base64url_member(const json_t *object, const char *member, uint8_t *out, size_t len,
                                         struct imsg_error *err)
{
    const char *text = NULL;
    enum imsg_status status = imsg_json_peek(object, member, IMSG_REQUIRED, &text, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "%s", member);
        return status;
    }
    return base64url_fixed(imsg_view_str(text), member, out, len, err);
}

/* What the two serializations carry, still encoded, borrowed from the text. */
struct parts {
    struct imsg_view protected, payload, signature;
};

/* The protected header: alg ES256 and a public P-256 jwk, nothing else; in a token also "typ":"JWT". */
static enum imsg_status parse_protected(struct imsg_view text, bool is_token, uint8_t point[static 65],
                                        struct imsg_error *err)
{
    static const char *const header[] = {"alg", "jwk"};
    static const char *const jwk_members[] = {"kty", "crv", "x", "y"};
    json_t *object = NULL, *jwk = NULL;
    enum imsg_status status = imsg_json_parse(text, IMSG_ENTRY_MAX, &object, err);
    if (status == IMSG_OK)
        status = require_members(object, header, 2, is_token ? "typ" : NULL, "protected header", err);
    if (status == IMSG_OK)
        status = require_value(object, "alg", IMSG_REQUIRED, "ES256", err);
    if (status == IMSG_OK)
        status = require_value(object, "typ", IMSG_OPTIONAL, "JWT", err);
    if (status == IMSG_OK)
        status = imsg_json_object(object, "jwk", IMSG_REQUIRED, &jwk, err);
    if (status == IMSG_OK)
        status = require_members(jwk, jwk_members, 4, NULL, "jwk", err);
    if (status == IMSG_OK)
        status = require_value(jwk, "kty", IMSG_REQUIRED, "EC", err);
    if (status == IMSG_OK)
        status = require_value(jwk, "crv", IMSG_REQUIRED, "P-256", err);
    if (status == IMSG_OK)
        status = base64url_member(jwk, "x", point + 1, 32, err);
    if (status == IMSG_OK)
        status = base64url_member(jwk, "y", point + 33, 32, err);
    point[0] = 0x04;
    if (status == IMSG_OK)
        status = imsg_p256_check(point, err);
    json_decref(object);
    return status;
}

static enum imsg_status signing_digest(struct imsg_view protected, struct imsg_view payload, uint8_t digest[static 32],
                                       struct imsg_error *err)
{
    struct imsg_view covered[] = {protected, imsg_view_str("."), payload};
    return imsg_sha256_parts(covered, 3, digest, err);
}

/* Check the header, then the signature over the bytes received; only then decode the payload. */
static enum imsg_status verify_parts(const struct parts *parts, bool is_token, struct imsg_buf *payload,
                                     uint8_t key[static 65], struct imsg_error *err)
{
    struct imsg_buf header = {0}, bytes = {0};
    uint8_t signature[64], digest[32], point[65];
    enum imsg_status status = imsg_base64url_decode(parts->protected, &header, err);
    if (status == IMSG_OK)
        status = parse_protected(imsg_buf_view(&header), is_token, point, err);
    if (status == IMSG_OK)
        status = base64url_fixed(parts->signature, "signature", signature, sizeof signature, err);
    if (status == IMSG_OK)
        status = imsg_base64url_decode(parts->payload, &bytes, err);
    if (status == IMSG_OK)
        status = signing_digest(parts->protected, parts->payload, digest, err);
    if (status == IMSG_OK)
        status = imsg_p256_verify(point, imsg_view_of(digest, sizeof digest), signature, err);
    if (status != IMSG_OK && err)
        err->has_offset = false; /* it counted from the start of a part, not of the text */
    if (status == IMSG_OK) {
        *payload = bytes;
        bytes = (struct imsg_buf){0};
        memcpy(key, point, sizeof point);
    }
    imsg_buf_free(&bytes);
    imsg_buf_free(&header);
    return status;
}

enum imsg_status imsg_jws_verify(struct imsg_view file, struct imsg_buf *payload, uint8_t account[static 65],
                                 struct imsg_error *err)
{
    static const char *const members[] = {"payload", "protected", "signature"};
    json_t *object = NULL;
    const char *text[3] = {NULL, NULL, NULL};
    enum imsg_status status = imsg_json_parse(file, IMSG_ENTRY_MAX, &object, err);
    if (status != IMSG_OK)
        return status;
    status = require_members(object, members, 3, NULL, "JWS", err);
    for (size_t i = 0; i < 3 && status == IMSG_OK; i++)
        status = imsg_json_peek(object, members[i], IMSG_REQUIRED, &text[i], err);
    if (status == IMSG_OK) {
        struct parts parts = {.payload = imsg_view_str(text[0]),
                              .protected = imsg_view_str(text[1]),
                              .signature = imsg_view_str(text[2])};
        status = verify_parts(&parts, false, payload, account, err);
    }
    json_decref(object);
    return status;
}

/* Up to the next dot, or to the end; *more tells whether there was a dot. */
static struct imsg_view until_dot(struct imsg_view *text, bool *more)
{
    const uint8_t *dot = text->len > 0 ? memchr(text->ptr, '.', text->len) : NULL;
    struct imsg_view part = imsg_view_of(text->ptr, dot ? (size_t)(dot - text->ptr) : text->len);
    *more = dot != NULL;
    size_t taken = part.len + (dot != NULL);
    *text = imsg_view_of(text->ptr + taken, text->len - taken);
    return part;
}

enum imsg_status imsg_jws_verify_compact(struct imsg_view text, struct imsg_buf *payload, uint8_t key[static 65],
                                         struct imsg_error *err)
{
    bool first = false, second = false, third = false;
    struct parts parts = {.protected = until_dot(&text, &first)};
    parts.payload = until_dot(&text, &second);
    parts.signature = until_dot(&text, &third);
    if (!first || !second || third)
        return imsg_fail(err, IMSG_MALFORMED, "not three parts with dots between them");
    return verify_parts(&parts, true, payload, key, err);
}

static enum imsg_status set_base64url(json_t *object, const char *member, struct imsg_view bytes,
                                      struct imsg_error *err)
{
    struct imsg_buf text = {0};
    enum imsg_status status = imsg_base64url_encode(bytes, &text, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, member, (const char *)text.ptr, err);
    imsg_buf_free(&text);
    return status;
}

/* {"crv":"P-256","kty":"EC","x":…,"y":…}: members in the order RFC 7638 hashes them. */
static enum imsg_status make_jwk(const uint8_t point[static 65], json_t **out, struct imsg_error *err)
{
    json_t *jwk = json_object();
    enum imsg_status status = imsg_json_set_string(jwk, "crv", "P-256", err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(jwk, "kty", "EC", err);
    if (status == IMSG_OK)
        status = set_base64url(jwk, "x", imsg_view_of(point + 1, 32), err);
    if (status == IMSG_OK)
        status = set_base64url(jwk, "y", imsg_view_of(point + 33, 32), err);
    if (status != IMSG_OK)
        json_decref(jwk);
    else
        *out = jwk;
    return status;
}

static enum imsg_status make_protected(const uint8_t point[static 65], struct imsg_buf *out, struct imsg_error *err)
{
    json_t *header = json_object(), *jwk = NULL;
    enum imsg_status status = imsg_json_set_string(header, "alg", "ES256", err);
    if (status == IMSG_OK)
        status = make_jwk(point, &jwk, err);
    if (status == IMSG_OK)
        status = imsg_json_set(header, "jwk", jwk, err);
    if (status == IMSG_OK)
        status = imsg_json_print(header, out, err);
    json_decref(header);
    return status;
}

/* The three parts, each encoded, in buffers of their own. */
static enum imsg_status sign_parts(const struct imsg_p256 *key, struct imsg_view payload, struct imsg_buf *protected,
                                   struct imsg_buf *body, struct imsg_buf *signature, struct imsg_error *err)
{
    struct imsg_buf header = {0};
    uint8_t digest[32], raw[64];
    enum imsg_status status = make_protected(imsg_p256_point(key), &header, err);
    if (status == IMSG_OK)
        status = imsg_base64url_encode(imsg_buf_view(&header), protected, err);
    if (status == IMSG_OK)
        status = imsg_base64url_encode(payload, body, err);
    if (status == IMSG_OK)
        status = signing_digest(imsg_buf_view(protected), imsg_buf_view(body), digest, err);
    if (status == IMSG_OK)
        status = imsg_p256_sign(key, imsg_view_of(digest, sizeof digest), raw, err);
    if (status == IMSG_OK)
        status = imsg_base64url_encode(imsg_view_of(raw, sizeof raw), signature, err);
    imsg_buf_free(&header);
    return status;
}

static const char *text_of(const struct imsg_buf *buf)
{
    return buf->ptr ? (const char *)buf->ptr : "";
}

enum imsg_status imsg_jws_sign(const struct imsg_p256 *account, struct imsg_view payload, struct imsg_buf *out,
                               struct imsg_error *err)
{
    json_t *object = json_object();
    struct imsg_buf protected = {0}, body = {0}, signature = {0};
    enum imsg_status status = sign_parts(account, payload, &protected, &body, &signature, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "payload", text_of(&body), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "protected", text_of(&protected), err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "signature", text_of(&signature), err);
    if (status == IMSG_OK)
        status = imsg_document_line(object, out, err);
    imsg_buf_free(&protected);
    imsg_buf_free(&body);
    imsg_buf_free(&signature);
    json_decref(object);
    return status;
}

enum imsg_status imsg_jws_sign_compact(const struct imsg_p256 *key, struct imsg_view payload, struct imsg_buf *out,
                                       struct imsg_error *err)
{
    struct imsg_buf protected = {0}, body = {0}, signature = {0};
    enum imsg_status status = sign_parts(key, payload, &protected, &body, &signature, err);
    if (status == IMSG_OK) /* nothing below fails after a part was written */
        status = imsg_buf_reserve(out, protected.len + body.len + signature.len + 2, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(out, text_of(&protected), err);
    if (status == IMSG_OK)
        status = imsg_buf_text(out, ".", err);
    if (status == IMSG_OK)
        status = imsg_buf_text(out, text_of(&body), err);
    if (status == IMSG_OK)
        status = imsg_buf_text(out, ".", err);
    if (status == IMSG_OK)
        status = imsg_buf_text(out, text_of(&signature), err);
    imsg_buf_free(&protected);
    imsg_buf_free(&body);
    imsg_buf_free(&signature);
    return status;
}

enum imsg_status imsg_thumbprint(const uint8_t point[static 65], char out[static IMSG_THUMBPRINT + 1],
                                 struct imsg_error *err)
{
    json_t *jwk = NULL;
    struct imsg_buf text = {0}, encoded = {0};
    uint8_t hash[32];
    enum imsg_status status = make_jwk(point, &jwk, err);
    if (status == IMSG_OK)
        status = imsg_json_print(jwk, &text, err);
    if (status == IMSG_OK)
        status = imsg_sha256(imsg_buf_view(&text), hash, err);
    if (status == IMSG_OK)
        status = imsg_base64url_encode(imsg_view_of(hash, sizeof hash), &encoded, err);
    if (status == IMSG_OK)
        memcpy(out, encoded.ptr, IMSG_THUMBPRINT + 1);
    imsg_buf_free(&text);
    imsg_buf_free(&encoded);
    json_decref(jwk);
    return status;
}
