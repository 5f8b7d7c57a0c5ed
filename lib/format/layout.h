/* Where each field of a binary form stands. A parser that is given a layout fills it in as it reads, also where it
 * refuses the form, as far as that could be read: a view of the form shows these offsets and reads nothing by itself.
 * Parsers take NULL from everybody else, and then nothing is kept. */
#ifndef IMSG_FORMAT_LAYOUT_H
#define IMSG_FORMAT_LAYOUT_H

#include "imsg.h"

enum imsg_shown {
    IMSG_SHOWN_HEX,    /* the bytes */
    IMSG_SHOWN_NUMBER, /* the number that they stand for */
    IMSG_SHOWN_PARTS,  /* nothing but the parts inside */
};

struct imsg_layout_part {
    char name[48];
    struct imsg_field at;
    enum imsg_shown shown;
    bool inside;     /* it is a part of the last one before it that is not inside another */
    uint64_t number; /* of IMSG_SHOWN_NUMBER */
    uint32_t field;  /* the number of a protobuf field; 0: it is none */
    char note[64];   /* what it is, where the form's name and its own do not tell; else "" */
};

struct imsg_layout { /* {0} is empty */
    struct imsg_layout_part *parts;
    size_t count, cap;
    bool incomplete; /* memory ran out: parts are missing */
};

/* Append a part, which the caller may change until the next one. NULL without a layout, or without memory. */
struct imsg_layout_part *imsg_layout_add(struct imsg_layout *layout, const char *name, struct imsg_field at,
                                         enum imsg_shown shown);
/* A part shown as hex that lies inside the part before it. */
void imsg_layout_add_inside(struct imsg_layout *layout, const char *name, struct imsg_field at);
void imsg_layout_free(struct imsg_layout *layout);

#endif
