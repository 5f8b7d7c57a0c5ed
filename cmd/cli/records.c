#include "cli/cli.h"

#include "base/json.h"

enum imsg_status cli_records_read(struct cli *cli, const char *operand, struct imsg_devices *list,
                                  struct imsg_error *err)
{
    struct cli_input input;
    struct imsg_lines lines;
    struct imsg_view line;
    bool more = true;
    enum imsg_status status = cli_input_open(cli, operand, &input, err);
    if (status != IMSG_OK)
        return status;
    imsg_lines_start(&lines, input.fd, IMSG_LINE_MAX);
    while (more) {
        struct imsg_device device = {0};
        status = imsg_lines_next(&lines, &line, &more, NULL, err);
        if (status == IMSG_OK && (!more || line.len == 0))
            continue;
        if (status == IMSG_OK)
            status = imsg_device_parse(line, &device, err);
        if (status == IMSG_OK)
            status = imsg_devices_add(list, &device, err);
        if (status == IMSG_IO || status == IMSG_NO_MEMORY)
            break;
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "%s: line %llu", input.name, (unsigned long long)lines.number);
            cli_report(cli, err);
            status = IMSG_OK;
        }
    }
    imsg_lines_free(&lines);
    cli_input_close(&input);
    return status;
}
