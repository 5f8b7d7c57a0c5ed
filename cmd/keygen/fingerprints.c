/* What two people compare to be sure of each other's keys. */
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "keygen/keygen.h"

/* The thumbprint that the identity names, else that of account.pem; "" where there is neither. */
static enum imsg_status account_thumbprint(struct keygen *run, const struct imsg_identity *identity,
                                           char out[static IMSG_THUMBPRINT + 1], struct imsg_error *err)
{
    out[0] = '\0';
    if (identity->account) {
        memcpy(out, identity->account, IMSG_THUMBPRINT + 1);
        return IMSG_OK;
    }
    enum imsg_status status = cli_account_thumbprint(&run->cli, NULL, out, err);
    return status == IMSG_NO_INPUT ? IMSG_OK : status;
}

static enum imsg_status fingerprint_json(const char *account, const char *token, const char *hash, struct imsg_buf *out,
                                         struct imsg_error *err)
{
    json_t *object = json_object();
    enum imsg_status status = imsg_json_set_string(object, "imsg", "fingerprint/1", err);
    if (status == IMSG_OK && account[0])
        status = imsg_json_set_string(object, "account", account, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "token", token, err);
    if (status == IMSG_OK && hash[0])
        status = imsg_json_set_string(object, "identity", hash, err);
    if (status == IMSG_OK)
        status = imsg_json_print(object, out, err);
    json_decref(object);
    return status == IMSG_OK ? imsg_buf_text(out, "\n", err) : status;
}

static enum imsg_status fingerprint_line(const char *label, const char *value, struct imsg_buf *out,
                                         struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    const char *parts[] = {label, value, "\n"};
    for (size_t i = 0; value[0] && status == IMSG_OK && i < 3; i++)
        status = imsg_buf_text(out, parts[i], err);
    return status;
}

enum imsg_status keygen_fingerprints(struct keygen *run, struct imsg_error *err)
{
    struct imsg_identity identity = {0};
    struct imsg_buf text = {0};
    struct cli_output out;
    char account[IMSG_THUMBPRINT + 1], token[2 * IMSG_TOKEN + 1], hash[65] = "";
    cli_output_start(&run->cli, &out, NULL);
    enum imsg_status status = cli_identity(&run->cli, run->identity, &identity, err);
    if (status == IMSG_OK)
        status = account_thumbprint(run, &identity, account, err);
    if (status != IMSG_OK)
        goto out;
    imsg_hex(identity.token, sizeof identity.token, token);
    if (imsg_identity_hash(&identity))
        imsg_hex(imsg_identity_hash(&identity), 32, hash);
    if (cli_given(&run->cli, 'j')) {
        status = fingerprint_json(account, token, hash, &text, err);
    } else {
        status = fingerprint_line("account  ", account, &text, err);
        if (status == IMSG_OK)
            status = fingerprint_line("device   ", token, &text, err);
        if (status == IMSG_OK)
            status = fingerprint_line("identity ", hash, &text, err);
    }
    if (status == IMSG_OK)
        status = cli_output_write(&out, imsg_buf_view(&text), false, err);
    if (status == IMSG_OK)
        status = cli_output_finish(&out, true, err);
out:
    imsg_buf_free(&text);
    imsg_identity_free(&identity);
    return status;
}
