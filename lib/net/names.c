/* The names of messages and objects, below the backends that use them. */
#include "imsg-net.h"

#include <stdlib.h>
#include <string.h>

bool imsg_name_is_hash(const char *name)
{
    return strspn(name, "0123456789abcdef") == 64 && name[64] == '\0';
}

void imsg_waiting_free(struct imsg_waiting *waiting)
{
    for (size_t i = 0; i < waiting->count; i++)
        free(waiting->names[i]);
    free(waiting->names);
    *waiting = (struct imsg_waiting){0};
}
