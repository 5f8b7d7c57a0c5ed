/* Systems of which no more is known than POSIX: nothing is given up. */
#include "cli/sandbox.h"

void sandbox_start(struct sandbox *sandbox, enum sandbox_network network)
{
    *sandbox = (struct sandbox){.network = network, .rules = -1};
}

bool sandbox_allow(const struct sandbox *sandbox, const char *path, enum sandbox_access access)
{
    (void)sandbox;
    (void)path;
    (void)access;
    return true;
}

void sandbox_close(struct sandbox *sandbox)
{
    (void)sandbox;
}
