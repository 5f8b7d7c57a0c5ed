/* A code is for one person and as many handles as a person has; only its hash is kept. */
#include "serve/invite.h"

#include "base/text.h"
#include "crypto/crypto.h"
#include "serve/storage/storage.h"

#define CODE_BYTES (INVITE_CODE / 2) /* 80 bits: nobody guesses one over the network */
#define HANDLES 10                   /* entries one code may make */

enum imsg_status invite_hash(const char *code, uint8_t hash[static 32], struct imsg_error *err)
{
    return imsg_sha256(imsg_view_str(code), hash, err);
}

enum imsg_status invite_make(struct storage *storage, char code[static INVITE_CODE + 1], struct imsg_error *err)
{
    uint8_t random[CODE_BYTES], hash[32];
    enum imsg_status status = imsg_random(random, sizeof random, err);
    if (status != IMSG_OK)
        return status;
    imsg_hex(random, sizeof random, code);
    status = invite_hash(code, hash, err);
    return status == IMSG_OK ? storage_add_invite(storage, hash, HANDLES, err) : status;
}
