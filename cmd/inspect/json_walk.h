/* Where each member of a JSON text stands: offsets, which jansson does not keep. For showing, not for deciding: what a
 * document means is read by base/json.h alone. Works on damaged text as far as it makes sense. No recursion. */
#ifndef IMSG_CMD_JSON_WALK_H
#define IMSG_CMD_JSON_WALK_H

#include "imsg.h"

struct imsg_json_walk {
    struct imsg_view text;
    size_t at;
    bool object, started, done;
};

struct imsg_json_item {
    struct imsg_field key;   /* of an object's member: between the quotes; {0,0} in an array */
    struct imsg_field value; /* all of it, quotes and brackets included */
    struct imsg_field inner; /* of a string: between the quotes; else as value */
    char kind;               /* '{' '[' '"' '0' (a number) 't' 'f' 'n' */
};

/* Begin with the container at `at` (white space before it is skipped). IMSG_MALFORMED if it is neither { nor [. */
IMSG_CHECK enum imsg_status imsg_json_walk(struct imsg_view text, size_t at, struct imsg_json_walk *out,
                                           struct imsg_error *err);
/* The next item and *more = true; *more = false at the closing bracket, which walk->at then stands behind.
 * IMSG_MALFORMED with the offset where the text stops making sense. */
IMSG_CHECK enum imsg_status imsg_json_walk_next(struct imsg_json_walk *walk, struct imsg_json_item *item, bool *more,
                                                struct imsg_error *err);

#endif
