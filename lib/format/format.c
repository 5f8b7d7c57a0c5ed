/* The payload formats there are, and what is asked of all of them. */
#include "format/format.h"

#include <stdlib.h>
#include <string.h>

#ifdef IMSG_EXTRA_FORMAT /* a row more, for the tests */
extern const struct imsg_format IMSG_EXTRA_FORMAT;
#endif

static const struct imsg_format *const formats[] = {
#ifdef IMSG_EXTRA_FORMAT
    &IMSG_EXTRA_FORMAT,
#endif
    IMSG_FORMAT_ROWS,
};

enum { COUNT = sizeof formats / sizeof formats[0] };
_Static_assert(COUNT <= IMSG_FORMATS_MAX, "a slot for the keys of each");

const struct imsg_format *imsg_format_at(size_t i)
{
    return i < COUNT ? formats[i] : NULL;
}

const struct imsg_format *imsg_format_from_last(size_t i)
{
    return i < COUNT ? formats[COUNT - 1 - i] : NULL;
}

size_t imsg_format_slot(const struct imsg_format *format)
{
    size_t i = 0;
    while (i < COUNT - 1 && formats[i] != format)
        i++;
    return i;
}

const char *imsg_format_name(const struct imsg_format *format)
{
    return format ? format->name : "none";
}

const struct imsg_format *imsg_format_of(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

bool imsg_format_counts(const struct imsg_format *format)
{
    return format->counts;
}

const struct imsg_format *imsg_format_best(const struct imsg_identity *sender, const struct imsg_device *device)
{
    for (size_t i = 0; i < COUNT; i++)
        if (formats[i]->usable_by(sender) && formats[i]->offered_by(device))
            return formats[i];
    return NULL;
}

bool imsg_device_offers(const struct imsg_device *device, const struct imsg_format *format)
{
    return format && format->offered_by(device);
}

bool imsg_identity_has_keys(const struct imsg_identity *identity, const struct imsg_format *format)
{
    return format && format->usable_by(identity);
}

const struct imsg_format *imsg_format_guess(struct imsg_view payload)
{
    for (size_t i = 0; i < COUNT; i++)
        if (formats[i]->begins(payload))
            return formats[i];
    return NULL;
}

enum imsg_status imsg_format_lay_out(const struct imsg_format *format, struct imsg_view payload,
                                     struct imsg_layout *layout, struct imsg_error *err)
{
    void *parts = malloc(format->parts_size);
    enum imsg_status status =
        parts ? format->parse(payload, parts, layout, err) : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    free(parts);
    return status;
}

bool imsg_format_may_be_from(const struct imsg_format *format, struct imsg_view payload,
                             const struct imsg_device *device)
{
    void *parts = malloc(format->parts_size);
    bool may = parts && format->parse(payload, parts, NULL, NULL) == IMSG_OK && format->may_be_from(parts, device);
    free(parts);
    return may;
}
