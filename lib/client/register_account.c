/* The account key of a registration: loaded, or made for a handle that nobody registered. */
#include <unistd.h>

#include "client/register.h"

/* Entries of one's own handles must be by it from now on. */
static enum imsg_status trust_account(struct imsg_registration *run, struct imsg_error *err)
{
    char thumbprint[IMSG_THUMBPRINT + 1];
    enum imsg_status status = imsg_account_thumbprint(run->account, thumbprint, err);
    if (status == IMSG_OK)
        imsg_client_set_account(run->client, thumbprint);
    return status;
}

enum imsg_status imsg_register_load_account(struct imsg_registration *run, struct imsg_error *err)
{
    enum imsg_status status = imsg_account_load(&run->account_file, &run->account, err);
    bool may_be_made = run->removal_count == 0 && run->leave_count == 0;
    if (status == IMSG_NO_INPUT)
        return may_be_made ? IMSG_OK : status;
    return status == IMSG_OK ? trust_account(run, err) : status;
}

/* The passphrase of the identity protects the account key, too; without an identity there is none. */
static enum imsg_status find_passphrase(struct imsg_registration *run, struct imsg_view *passphrase,
                                        struct imsg_error *err)
{
    struct imsg_identity *identity = NULL;
    enum imsg_status status = imsg_client_identity(run->client, &identity, err);
    if (status == IMSG_OK)
        *passphrase = imsg_buf_view(&identity->passphrase);
    return status == IMSG_NO_INPUT ? IMSG_OK : status;
}

enum imsg_status imsg_register_make_account(struct imsg_registration *run, struct imsg_error *err)
{
    const char *path = run->account_file.path;
    struct imsg_view passphrase = {0};
    enum imsg_status status = find_passphrase(run, &passphrase, err);
    if (status == IMSG_OK)
        status = imsg_account_create(path, passphrase, &run->account, err);
    if (status == IMSG_CANNOT_CREATE && access(path, F_OK) == 0)
        return imsg_register_load_account(run, err); /* another run was faster */
    if (status == IMSG_OK)
        status = trust_account(run, err);
    if (status == IMSG_OK)
        imsg_client_tell(run->client, &(struct imsg_event){
                                          .kind = IMSG_EVENT_ACCOUNT_MADE, .path = path, .key = run->client->account});
    return status;
}
