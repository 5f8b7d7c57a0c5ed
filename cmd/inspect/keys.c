/* The keys and records that imsg-inspect was given. */
#include "inspect/inspect.h"

#include <stdlib.h>
#include <sys/stat.h>

bool inspect_has_keys(const struct inspect *run)
{
    return run->identity.handle_count > 0;
}

static enum imsg_status load_identity(struct inspect *run, struct imsg_error *err)
{
    enum imsg_status status = cli_identity(&run->cli, run->identity_path, &run->identity, err);
    if (status == IMSG_OK)
        status = imsg_identity_device(&run->identity, &run->own, err);
    return status;
}

enum imsg_status inspect_unlock(struct inspect *run, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (run->unlocked)
        return IMSG_OK;
    if (run->identity_path)
        status = load_identity(run, err);
    for (size_t i = 0; status == IMSG_OK && i < run->record_count; i++)
        status = cli_records_read(&run->cli, run->record_files[i], &run->records, err);
    run->unlocked = status == IMSG_OK;
    return status;
}

void inspect_default_keys(struct inspect *run)
{
    struct imsg_error err = {0};
    struct stat st;
    char *standard = NULL;
    if (run->identity_path || run->default_tried)
        return;
    run->default_tried = true;
    enum imsg_status status = cli_home_path(&run->cli, "identity.json", &standard, &err);
    if (status == IMSG_OK && stat(standard, &st) == 0)
        status = load_identity(run, &err);
    cli_ok(&run->cli, status, &err);
    free(standard);
}
