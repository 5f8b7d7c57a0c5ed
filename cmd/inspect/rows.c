/* The binary forms, row by row, where the library's parsers say that their fields are. A form that is cut or damaged is
 * shown up to there. */
#include "inspect/inspect.h"

#include "base/text.h"
#include "format/device.h"

void rows_layout(json_t *parent, const char *kind, struct imsg_view bytes, const struct imsg_layout *layout)
{
    json_t *outer = NULL;
    tree_need(!layout->incomplete);
    for (size_t i = 0; i < layout->count; i++) {
        const struct imsg_layout_part *part = &layout->parts[i];
        json_t *value = NULL;
        if (part->shown == IMSG_SHOWN_HEX)
            value = tree_hex(imsg_view_of(bytes.ptr + part->at.offset, part->at.len));
        else if (part->shown == IMSG_SHOWN_NUMBER)
            value = json_integer((json_int_t)part->number);
        json_t *row =
            tree_row(part->inside && outer ? outer : parent, kind, part->at.offset, part->at.len, part->name, value);
        if (part->field)
            tree_set(row, "number", json_integer(part->field));
        if (part->note[0])
            tree_set(row, "meaning", json_string(part->note));
        if (!part->inside)
            outer = row;
    }
}

enum imsg_status rows_payload(json_t *parent, const struct imsg_format *format, struct imsg_view bytes,
                              struct imsg_error *err)
{
    struct imsg_layout layout = {0};
    enum imsg_status status = imsg_format_lay_out(format, bytes, &layout, err);
    rows_layout(parent, imsg_format_name(format), bytes, &layout);
    imsg_layout_free(&layout);
    return status;
}

/* The time in a prekey record, read. */
static void set_time(json_t *row, const uint8_t bytes[static 8])
{
    double seconds = imsg_prekey_seconds(bytes);
    if (!(seconds > -1e300 && seconds < 1e300)) /* JSON has no other numbers */
        return;
    tree_set(row, "seconds", json_real(seconds));
    if (seconds >= 0 && seconds < 253402300800.0) { /* the year 10000 */
        char text[21];
        imsg_time_format((time_t)seconds, text);
        tree_set(row, "time", json_string(text));
    }
}

void rows_prekey(json_t *parent, struct imsg_view bytes)
{
    struct imsg_layout layout = {0};
    json_t *rows;
    imsg_prekey_lay_out(bytes, &layout);
    rows_layout(parent, "prekey", bytes, &layout);
    rows = json_object_get(parent, "fields");
    for (size_t i = 0; i < layout.count; i++)
        if (layout.parts[i].field == IMSG_PREKEY_TIME && layout.parts[i].at.len == 8)
            set_time(json_array_get(rows, i), bytes.ptr + layout.parts[i].at.offset);
    imsg_layout_free(&layout);
}

void rows_public_identity(json_t *parent, struct imsg_view bytes)
{
    struct imsg_layout layout = {0};
    imsg_public_identity_lay_out(bytes, &layout);
    rows_layout(parent, "public-identity", bytes, &layout);
    imsg_layout_free(&layout);
}
