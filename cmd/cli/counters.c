#include "cli/cli.h"

#include <string.h>

#include "client/counters.h"

void cli_counters(struct cli *cli, const uint8_t own_x[static 32], const struct imsg_device *const *devices,
                  size_t count, uint32_t *counters)
{
    struct imsg_error err = {0};
    const char *home = NULL;
    enum imsg_status status = cli_home(cli, &home, &err);

    if (status == IMSG_OK)
        status = imsg_counters_take(home, own_x, devices, count, counters, &err);
    else
        memset(counters, 0, count * sizeof *counters);
    if (status != IMSG_OK)
        cli_note(cli, "%s: message counters may come again", err.text);
}
