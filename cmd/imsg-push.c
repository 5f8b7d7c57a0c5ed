/* imsg-push: delivers envelopes to their relays, and keeps those that cannot be delivered. */
#include "push/push.h"

#include <stdlib.h>
#include <string.h>

enum { OPT_RELAY = CLI_KEY_RELAY, OPT_UNDELIVERED = CLI_KEY_OWN };

static const struct cli_option options[] = {
    CLI_OPT_RELAY,
    {'i', "identity", "FILE", "this device's private keys, for a relay that asks who sends", 0},
    {OPT_UNDELIVERED, "undelivered", "FILE",
     "write what was not delivered to FILE, as it came in; - is standard output", 0},
    {'j', "json", NULL, "print a receipt object for each envelope", 0},
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-push",
    .synopsis = "[--relay LOCATION] [-i FILE] [-j] [--undelivered FILE] [FILE...]",
    .purpose = "deliver envelopes to the relay",
    .options = options,
    .operands = "FILE",
};

static void push_all(struct push *run)
{
    struct imsg_error err = {0};
    int count = cli_operands(&run->cli);
    run->last = &run->jobs;
    for (int i = 0; i < (count ? count : 1); i++) {
        struct cli_input input;
        if (!cli_ok(&run->cli, cli_input_open(&run->cli, cli_operand(&run->cli, i), &input, &err), &err))
            continue;
        enum imsg_status status = push_input(run, &input, &err);
        if (status != IMSG_OK)
            imsg_error_prefix(&err, "%s", input.name);
        cli_ok(&run->cli, status, &err);
        cli_input_close(&input);
    }
    if (run->lines == 0 && run->cli.status == 0)
        cli_error(&run->cli, IMSG_NO_INPUT, "no envelope to push");
}

int main(int argc, char **argv)
{
    struct push run = {.lines = 0};
    struct imsg_error err = {0};
    const char *arg;
    cli_start(&run.cli, &tool, argc, argv);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        if (key == CLI_KEY_RELAY)
            run.relay_option = arg;
        else if (key == OPT_UNDELIVERED)
            run.undelivered_path = arg;
        else if (key == 'i')
            run.cli.identity_path = arg;
    }
    bool both = run.undelivered_path && strcmp(run.undelivered_path, "-") == 0 && cli_given(&run.cli, 'j');
    if (both)
        cli_usage(&run.cli, "--json and --undelivered - both write to standard output");
    cli_output_start(&run.cli, &run.receipts, NULL);
    cli_output_start(&run.cli, &run.undelivered, run.undelivered_path);
    for (int i = 0; i == 0 || i < cli_operands(&run.cli); i++)
        cli_output_not_input(&run.cli, &run.undelivered, cli_operand(&run.cli, i));
    cli_output_not_keys(&run.cli, &run.undelivered, run.cli.identity_path);
    cli_may_read_operands(&run.cli, 0);
    cli_may_replace(&run.cli, run.undelivered_path);
    cli_may_use(&run.cli, CLI_RELAY, run.relay_option);
    if (!run.relay_option) /* any envelope may name a server */
        cli_may_talk(&run.cli);
    cli_confine(&run.cli);
    push_all(&run);
    cli_ok(&run.cli, cli_output_finish(&run.receipts, !run.no_receipts, &err), &err);
    push_check_undelivered(&run, cli_output_finish(&run.undelivered, run.undelivered_path && !run.not_kept, &err),
                           &err);
    for (size_t i = 0; i < run.relays.count; i++)
        imsg_relay_close(run.relays.items[i]);
    free(run.relays.items);
    free(run.configured);
    return cli_finish(&run.cli);
}
