/* The options that every tool has. */
#include "cli/cli.h"

static const struct cli_option common[] = {
    {'q', "quiet", NULL, "say nothing but errors", 0},
    {'v', "verbose", NULL, "say more", 0},
    {'h', "help", NULL, "print this help", 0},
    {'V', "version", NULL, "print the version", 0},
    CLI_END,
};

const struct cli_option *cli_common_options(void)
{
    return common;
}
