/* The account key. Its file begins with the PUBLIC KEY block, so that the key is known without the passphrase that
 * signing needs. */
#include "client/client.h"
#include "crypto/crypto.h"

#define ROLE "account key"

/* What the file holds: the bytes, the point if it is written in front, and the private key that follows it. */
struct account_file {
    struct imsg_buf bytes;
    uint8_t point[65];
    bool has_point;
    struct imsg_view private_key;
};

static enum imsg_status read_account(const struct imsg_key_file *file, struct account_file *out, struct imsg_error *err)
{
    enum imsg_status status = imsg_key_file_read(file, ROLE, &out->bytes, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_p256_public_from_pem(imsg_buf_view(&out->bytes), out->point, &out->has_point, &out->private_key, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, ROLE " \"%s\"", file->path);
    return status;
}

static enum imsg_status parse_account(const struct account_file *file, struct imsg_view passphrase,
                                      struct imsg_p256 **out, struct imsg_error *err)
{
    struct imsg_p256 *key = NULL;
    enum imsg_status status = imsg_p256_from_pem(file->private_key, passphrase, &key, err);
    if (status == IMSG_OK && file->has_point &&
        !imsg_view_equal(imsg_view_of(file->point, 65), imsg_view_of(imsg_p256_point(key), 65)))
        status = imsg_fail(err, IMSG_MALFORMED, "its public key is not that of its private key");
    if (status == IMSG_OK)
        *out = key;
    else
        imsg_p256_free(key);
    return status;
}

enum imsg_status imsg_account_load(const struct imsg_key_file *file, struct imsg_p256 **out, struct imsg_error *err)
{
    struct account_file read = {0};
    struct imsg_buf passphrase = {0};
    enum imsg_status status = read_account(file, &read, err);
    if (status == IMSG_OK && imsg_pem_is_encrypted(read.private_key))
        status = imsg_key_file_passphrase(file, ROLE, &passphrase, err);
    if (status != IMSG_OK)
        goto out;
    status = parse_account(&read, imsg_buf_view(&passphrase), out, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, ROLE " \"%s\"", file->path);
out:
    imsg_buf_free(&read.bytes);
    imsg_buf_free(&passphrase);
    return status;
}

enum imsg_status imsg_account_load_thumbprint(const struct imsg_key_file *file, char out[static IMSG_THUMBPRINT + 1],
                                              struct imsg_error *err)
{
    struct account_file read = {0};
    struct imsg_p256 *key = NULL;
    enum imsg_status status = read_account(file, &read, err);
    if (status != IMSG_OK)
        goto out;
    if (read.has_point) {
        status = imsg_thumbprint(read.point, out, err);
    } else if (imsg_pem_is_encrypted(read.private_key)) {
        out[0] = '\0';
    } else {
        status = parse_account(&read, (struct imsg_view){0}, &key, err);
        if (status == IMSG_OK)
            status = imsg_account_thumbprint(key, out, err);
        else
            imsg_error_prefix(err, ROLE " \"%s\"", file->path);
    }
out:
    imsg_p256_free(key);
    imsg_buf_free(&read.bytes);
    return status;
}

enum imsg_status imsg_account_create(const char *path, struct imsg_view passphrase, struct imsg_p256 **out,
                                     struct imsg_error *err)
{
    struct imsg_p256 *key = NULL;
    struct imsg_buf pem = {0};
    enum imsg_status status = imsg_p256_generate(&key, err);
    if (status == IMSG_OK)
        status = imsg_p256_public_to_pem(imsg_p256_point(key), &pem, err);
    if (status == IMSG_OK)
        status = imsg_p256_to_pem(key, passphrase, &pem, err);
    if (status == IMSG_OK)
        status = imsg_key_file_create(path, imsg_buf_view(&pem), err);
    if (status == IMSG_OK) {
        *out = key;
        key = NULL;
    }
    imsg_p256_free(key);
    imsg_buf_free(&pem);
    return status;
}

enum imsg_status imsg_account_thumbprint(const struct imsg_p256 *account, char out[static IMSG_THUMBPRINT + 1],
                                         struct imsg_error *err)
{
    return imsg_thumbprint(imsg_p256_point(account), out, err);
}

void imsg_account_free(struct imsg_p256 *account)
{
    imsg_p256_free(account);
}
