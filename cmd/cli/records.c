/* Device records from a file or standard input. */
#include "cli/cli.h"

struct reading {
    struct cli *cli;
    const struct cli_input *input;
};

static void report_line(void *context, uint64_t line, struct imsg_error *err)
{
    const struct reading *reading = context;
    imsg_error_prefix(err, "%s: line %llu", reading->input->name, (unsigned long long)line);
    cli_report(reading->cli, err);
}

enum imsg_status cli_records_read(struct cli *cli, const char *operand, struct imsg_devices *list,
                                  struct imsg_error *err)
{
    struct cli_input input;
    struct reading reading = {.cli = cli, .input = &input};
    enum imsg_status status = cli_input_open(cli, operand, &input, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_records_read(input.fd, cli_jobs(cli), list, report_line, &reading, err);
    cli_input_close(&input);
    return status;
}
