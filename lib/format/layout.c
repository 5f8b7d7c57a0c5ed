#include "format/layout.h"

#include <stdio.h>
#include <stdlib.h>

struct imsg_layout_part *imsg_layout_add(struct imsg_layout *layout, const char *name, struct imsg_field at,
                                         enum imsg_shown shown)
{
    if (!layout)
        return NULL;
    if (layout->count == layout->cap) {
        size_t cap = layout->cap ? 2 * layout->cap : 16;
        struct imsg_layout_part *parts = realloc(layout->parts, cap * sizeof *parts);
        if (!parts) {
            layout->incomplete = true;
            return NULL;
        }
        layout->parts = parts;
        layout->cap = cap;
    }
    struct imsg_layout_part *part = &layout->parts[layout->count++];
    *part = (struct imsg_layout_part){.at = at, .shown = shown};
    snprintf(part->name, sizeof part->name, "%s", name);
    return part;
}

void imsg_layout_add_inside(struct imsg_layout *layout, const char *name, struct imsg_field at)
{
    struct imsg_layout_part *part = imsg_layout_add(layout, name, at, IMSG_SHOWN_HEX);
    if (part)
        part->inside = true;
}

void imsg_layout_free(struct imsg_layout *layout)
{
    free(layout->parts);
    *layout = (struct imsg_layout){0};
}
