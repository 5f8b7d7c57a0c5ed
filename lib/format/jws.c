/* The flattened JWS around a directory entry (RFC 7515), only in the one shape formats.md allows. */
#include "format/jws.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/document.h"

#define FILE_MAX 1048576 /* bytes */

/* Exactly these members, all of them strings or objects fetched by the caller. */
static enum imsg_status exactly(const json_t *object, const char *const *names, size_t count, const char *role,
                                struct imsg_error *err)
{
    const char *key;
    json_t *value;
    size_t known = 0;
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        bool found = false;
        for (size_t i = 0; i < count; i++)
            found |= strcmp(key, names[i]) == 0;
        if (!found)
            return imsg_fail(err, IMSG_MALFORMED, "%s has a member \"%.64s\" that does not belong there", role, key);
        known++;
    }
    return known == count ? IMSG_OK : imsg_fail(err, IMSG_MALFORMED, "%s lacks a member", role);
}

static enum imsg_status want(const json_t *object, const char *member, const char *value, struct imsg_error *err)
{
    const char *text = NULL;
    enum imsg_status status = imsg_json_peek(object, member, IMSG_REQUIRED, &text, err);
    if (status == IMSG_OK && strcmp(text, value) != 0)
        status = imsg_fail(err, IMSG_MALFORMED, "%s is \"%.64s\", not \"%s\"", member, text, value);
    return status;
}

static enum imsg_status base64url_member(const json_t *object, const char *member, uint8_t *out, size_t len,
                                         struct imsg_error *err)
{
    const char *text = NULL;
    struct imsg_buf bytes = {0};
    enum imsg_status status = imsg_json_peek(object, member, IMSG_REQUIRED, &text, err);
    if (status == IMSG_OK)
        status = imsg_base64url_decode(imsg_view_str(text), &bytes, err);
    if (status == IMSG_OK && bytes.len != len)
        status = imsg_fail(err, IMSG_MALFORMED, "%zu bytes, not %zu", bytes.len, len);
    if (status == IMSG_OK)
        memcpy(out, bytes.ptr, len);
    else
        imsg_error_prefix(err, "%s", member);
    imsg_buf_free(&bytes);
    return status;
}

/* The protected header: alg ES256 and a public P-256 jwk, nothing else. */
static enum imsg_status parse_protected(struct imsg_view text, uint8_t account[static 65], struct imsg_error *err)
{
    static const char *const header[] = {"alg", "jwk"};
    static const char *const jwk_members[] = {"kty", "crv", "x", "y"};
    json_t *object = NULL, *jwk = NULL;
    enum imsg_status status = imsg_json_parse(text, FILE_MAX, &object, err);
    if (status == IMSG_OK)
        status = exactly(object, header, 2, "protected header", err);
    if (status == IMSG_OK)
        status = want(object, "alg", "ES256", err);
    if (status == IMSG_OK)
        status = imsg_json_object(object, "jwk", IMSG_REQUIRED, &jwk, err);
    if (status == IMSG_OK)
        status = exactly(jwk, jwk_members, 4, "jwk", err);
    if (status == IMSG_OK)
        status = want(jwk, "kty", "EC", err);
    if (status == IMSG_OK)
        status = want(jwk, "crv", "P-256", err);
    if (status == IMSG_OK)
        status = base64url_member(jwk, "x", account + 1, 32, err);
    if (status == IMSG_OK)
        status = base64url_member(jwk, "y", account + 33, 32, err);
    account[0] = 0x04;
    if (status == IMSG_OK)
        status = imsg_p256_check(account, err);
    json_decref(object);
    return status;
}

static enum imsg_status signing_digest(const char *protected, const char *payload, uint8_t digest[static 32],
                                       struct imsg_error *err)
{
    struct imsg_view parts[] = {imsg_view_str(protected), imsg_view_str("."), imsg_view_str(payload)};
    return imsg_sha256_parts(parts, 3, digest, err);
}

enum imsg_status imsg_jws_verify(struct imsg_view file, struct imsg_buf *payload, uint8_t account[static 65],
                                 struct imsg_error *err)
{
    static const char *const members[] = {"payload", "protected", "signature"};
    json_t *object = NULL;
    const char *body = NULL, *protected = NULL;
    struct imsg_buf header = {0}, bytes = {0};
    uint8_t signature[64], digest[32], point[65];
    enum imsg_status status = imsg_json_parse(file, FILE_MAX, &object, err);
    if (status != IMSG_OK)
        return status;
    status = exactly(object, members, 3, "JWS", err);
    if (status == IMSG_OK)
        status = imsg_json_peek(object, "payload", IMSG_REQUIRED, &body, err);
    if (status == IMSG_OK)
        status = imsg_json_peek(object, "protected", IMSG_REQUIRED, &protected, err);
    if (status == IMSG_OK)
        status = imsg_base64url_decode(imsg_view_str(protected), &header, err);
    if (status == IMSG_OK)
        status = parse_protected(imsg_buf_view(&header), point, err);
    if (status == IMSG_OK)
        status = base64url_member(object, "signature", signature, sizeof signature, err);
    if (status == IMSG_OK)
        status = imsg_base64url_decode(imsg_view_str(body), &bytes, err);
    if (status == IMSG_OK)
        status = signing_digest(protected, body, digest, err);
    if (status == IMSG_OK)
        status = imsg_p256_verify(point, imsg_view_of(digest, sizeof digest), signature, err);
    if (status != IMSG_OK && err)
        err->has_offset = false; /* it counted from the start of a member, not of the file */
    if (status == IMSG_OK) {
        *payload = bytes;
        bytes = (struct imsg_buf){0};
        memcpy(account, point, sizeof point);
    }
    imsg_buf_free(&bytes);
    imsg_buf_free(&header);
    json_decref(object);
    return status;
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

enum imsg_status imsg_jws_sign(const struct imsg_p256 *account, struct imsg_view payload, struct imsg_buf *out,
                               struct imsg_error *err)
{
    json_t *object = json_object();
    struct imsg_buf header = {0};
    uint8_t digest[32], signature[64];
    enum imsg_status status = make_protected(imsg_p256_point(account), &header, err);
    if (status == IMSG_OK)
        status = set_base64url(object, "payload", payload, err);
    if (status == IMSG_OK)
        status = set_base64url(object, "protected", imsg_buf_view(&header), err);
    if (status == IMSG_OK)
        status = signing_digest(json_string_value(json_object_get(object, "protected")),
                                json_string_value(json_object_get(object, "payload")), digest, err);
    if (status == IMSG_OK)
        status = imsg_p256_sign(account, imsg_view_of(digest, sizeof digest), signature, err);
    if (status == IMSG_OK)
        status = set_base64url(object, "signature", imsg_view_of(signature, sizeof signature), err);
    if (status == IMSG_OK)
        status = imsg_document_line(object, out, err);
    imsg_buf_free(&header);
    json_decref(object);
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
