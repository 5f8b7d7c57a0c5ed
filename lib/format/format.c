/* The names of the payload formats, as envelopes and command lines spell them. */
#include <string.h>

#include "imsg.h"

static const char *const names[] = {[IMSG_FORMAT_NONE] = "none", [IMSG_PAIR] = "pair", [IMSG_PAIR_EC] = "pair-ec"};

const char *imsg_format_name(enum imsg_format format)
{
    return format == IMSG_PAIR || format == IMSG_PAIR_EC ? names[format] : names[IMSG_FORMAT_NONE];
}

enum imsg_format imsg_format_of(const char *name)
{
    if (strcmp(name, names[IMSG_PAIR]) == 0)
        return IMSG_PAIR;
    if (strcmp(name, names[IMSG_PAIR_EC]) == 0)
        return IMSG_PAIR_EC;
    return IMSG_FORMAT_NONE;
}
