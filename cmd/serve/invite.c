/* Invites: a code is for one person, that is for the first account key that comes with it, and for as many handles as a
 * person has. Only its hash is kept. */
#include "serve/serve.h"

#include <string.h>

#include "base/text.h"

#define CODE_BYTES 10 /* 80 bits: nobody guesses one over the network */
#define HANDLES 10    /* entries one code may make */

enum imsg_status invite_hash(const char *code, uint8_t hash[static 32], struct imsg_error *err)
{
    return imsg_sha256(imsg_view_str(code), hash, err);
}

enum imsg_status invite_make(struct database *db, char code[static 2 * CODE_BYTES + 1], struct imsg_error *err)
{
    uint8_t random[CODE_BYTES], hash[32];
    enum imsg_status status = imsg_random(random, sizeof random, err);
    imsg_hex(random, sizeof random, code);
    if (status == IMSG_OK)
        status = invite_hash(code, hash, err);
    database_blob(db, SQL_INVITE_ADD, 1, imsg_view_of(hash, sizeof hash));
    database_number(db, SQL_INVITE_ADD, 2, HANDLES);
    return status == IMSG_OK ? database_run(db, SQL_INVITE_ADD, err) : status;
}

static enum imsg_status found(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    (void)err;
    *(bool *)context = sqlite3_column_int(row, 0) != 0;
    return IMSG_OK;
}

enum imsg_status invite_any(struct database *db, bool *any, struct imsg_error *err)
{
    return database_each(db, "SELECT EXISTS(SELECT 1 FROM invite) OR EXISTS(SELECT 1 FROM entry)", found, any, err);
}

struct invite_job {
    struct job job;
    const uint8_t *hash;
    const char *account;
    bool refused;
};

static enum imsg_status use_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct invite_job *invite = (struct invite_job *)job;
    struct imsg_view hash = imsg_view_of(invite->hash, 32);
    enum imsg_status status = IMSG_OK;
    invite->refused = true;
    database_blob(&serve->db, SQL_INVITE_GET, 1, hash);
    if (database_row(&serve->db, SQL_INVITE_GET, &status, err)) {
        sqlite3_stmt *row = serve->db.statements[SQL_INVITE_GET];
        const char *account = (const char *)sqlite3_column_text(row, 0);
        invite->refused = sqlite3_column_int(row, 1) <= 0 || (account && strcmp(account, invite->account) != 0);
    }
    database_reset(&serve->db, SQL_INVITE_GET);
    if (status != IMSG_OK || invite->refused)
        return status;
    database_blob(&serve->db, SQL_INVITE_USE, 1, hash);
    sqlite3_bind_text(serve->db.statements[SQL_INVITE_USE], 2, invite->account, -1, SQLITE_STATIC);
    return database_run(&serve->db, SQL_INVITE_USE, err);
}

enum imsg_status invite_use(struct serve *serve, const uint8_t code_hash[static 32], const char *thumbprint,
                            struct imsg_error *err)
{
    struct invite_job invite = {.job = {.run = use_run}, .hash = code_hash, .account = thumbprint};
    enum imsg_status status = queue_wait(&serve->writer, &invite.job);
    if (status != IMSG_OK)
        return imsg_fail(err, status, "the invite cannot be written");
    return invite.refused ? imsg_fail(err, IMSG_REFUSED, "the invite is not known, or used") : IMSG_OK;
}

static enum imsg_status return_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    database_blob(&serve->db, SQL_INVITE_RETURN, 1, imsg_view_of(((struct invite_job *)job)->hash, 32));
    return database_run(&serve->db, SQL_INVITE_RETURN, err);
}

void invite_return(struct serve *serve, const uint8_t code_hash[static 32])
{
    struct invite_job invite = {.job = {.run = return_run}, .hash = code_hash};
    (void)!queue_wait(&serve->writer, &invite.job); /* the writer has said why not */
}
