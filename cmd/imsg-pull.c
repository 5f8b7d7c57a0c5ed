/* imsg-pull: from the relay into the inbox, safe there before the relay forgets it. */
#include "cli/cli.h"
#include "pull/pull.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "imsg-client.h"
#include "imsg-net.h"

enum { OPT_RELAY = CLI_KEY_RELAY, OPT_NEW = CLI_KEY_OWN };

static const struct cli_option options[] = {
    CLI_OPT_IDENTITY,
    CLI_OPT_RELAY,
    {'w', "wait", NULL, "keep waiting for more", 0},
    {'x', "exec", "COMMAND", "run COMMAND for each envelope, on its standard input, instead of printing", 0},
    {OPT_NEW, "new", NULL, "go through the envelopes that stayed in inbox/new, without fetching", 0},
    CLI_OPTS_KEY,
    CLI_OPTS_NET,
    CLI_END,
};
static const struct cli_tool tool = {
    .name = "imsg-pull",
    .synopsis = "[-i FILE] [--relay LOCATION] [-w] [-x COMMAND]\n--new [-x COMMAND]",
    .purpose = "receive this device's envelopes from the relay",
    .options = options,
    .operands = "",
};

#define LOOK_AGAIN 300 /* seconds of one wait; the relay itself looks more often */

struct pull {
    struct cli cli;
    const char *relay_option, *command;
    int runner; /* of the command, or -1 */
    struct imsg_inbox inbox;
    struct imsg_receiver receiver;
    struct cli_output out;
};

/* ---- what is done with a message ---- */

static enum imsg_status run_command(struct pull *run, struct imsg_handed *message, struct imsg_error *err)
{
    int code = 0;
    enum imsg_status status = runner_run(run->runner, message, &code, err);
    if (status != IMSG_OK)
        return status;
    message->stays = code == imsg_status_exit(IMSG_TEMPORARY);
    if (message->stays)
        cli_error(&run->cli, IMSG_TEMPORARY,
                  "%.8s…: the command asks for another try (status 75): the message stays in inbox/new", message->name);
    else if (code != 0)
        cli_error(&run->cli, IMSG_REFUSED, "%.8s…: the command ended with status %d", message->name, code);
    return IMSG_OK;
}

static enum imsg_status print_envelope(struct pull *run, int fd, struct imsg_error *err)
{
    struct imsg_buf line = {0};
    enum imsg_status status = imsg_read_all(fd, IMSG_LINE_MAX + 1, &line, err);
    if (status == IMSG_OK)
        status = cli_output_json(&run->out, imsg_buf_view(&line), err);
    if (status == IMSG_OK)
        status = cli_output_flush(&run->out, err);
    imsg_buf_free(&line);
    return status;
}

static enum imsg_status hand_out(void *context, struct imsg_handed *message, struct imsg_error *err)
{
    struct pull *run = context;
    return run->command ? run_command(run, message, err) : print_envelope(run, message->fd, err);
}

static void report_rejected(void *context, const char *waiting, const struct imsg_error *why)
{
    struct pull *run = context;
    struct imsg_error err = *why;
    err.status = IMSG_PROTOCOL; /* whatever is wrong with the message, the relay should not have accepted it */
    imsg_error_prefix(&err, "relay \"%s\": %.8s…", imsg_relay_location(run->receiver.relay), waiting);
    cli_report(&run->cli, &err);
}

static void report_repeated(void *context, const char *name)
{
    struct pull *run = context;
    cli_detail(&run->cli, "%.8s… came before: acknowledged", name);
}

/* ---- rounds ---- */

static enum imsg_status receive_waiting(struct pull *run, struct imsg_error *err)
{
    struct imsg_receiver *receiver = &run->receiver;
    char *location = NULL;
    struct imsg_net *net = NULL;
    enum imsg_status status = cli_service(&run->cli, CLI_RELAY, run->relay_option, &location, err);
    if (status == IMSG_OK)
        status = cli_net(&run->cli, &net, err);
    if (status == IMSG_OK)
        status = imsg_relay_open(location, net, &receiver->relay, err);
    if (status == IMSG_OK)
        status = imsg_relay_mailbox(receiver->relay, receiver->token, err);
    for (bool waits = cli_given(&run->cli, 'w'), again = true; again && status == IMSG_OK;) {
        size_t taken = 0;
        bool more = false;
        status = imsg_receive(receiver, &taken, &more, err);
        again = waits || (more && taken > 0);
        if (status == IMSG_OK && waits && taken == 0)
            status = imsg_relay_wait(receiver->relay, receiver->token, LOOK_AGAIN, err);
    }
    free(location);
    return status;
}

static void note_left(struct pull *run)
{
    struct imsg_stored *list = NULL;
    size_t count = 0;
    if (imsg_inbox_list(&run->inbox, &list, &count, NULL) == IMSG_OK && count > 0)
        cli_note(&run->cli, "%zu message%s in inbox/new: imsg-pull --new goes through them", count,
                 count == 1 ? "" : "s");
    imsg_inbox_list_free(list, count);
}

static enum imsg_status confine(struct pull *run, struct imsg_error *err)
{
    enum imsg_status status = run->command ? runner_start(run->command, &run->runner, err) : IMSG_OK;
    run->cli.waits = cli_given(&run->cli, 'w');
    if (!cli_given(&run->cli, OPT_NEW))
        cli_may_use(&run->cli, CLI_RELAY, run->relay_option);
    cli_confine(&run->cli);
    if (run->command)
        cli_detail(&run->cli, "not confined: the command, which may need any file, system call or network");
    return status;
}

int main(int argc, char **argv)
{
    struct pull run = {.runner = -1};
    struct imsg_error err = {0};
    const char *arg;
    char *home = NULL;
    run.receiver = (struct imsg_receiver){.inbox = &run.inbox,
                                          .hand_out = hand_out,
                                          .rejected = report_rejected,
                                          .repeated = report_repeated,
                                          .context = &run};
    cli_start(&run.cli, &tool, argc, argv);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        switch (key) {
        case 'i':
            run.cli.identity_path = arg;
            break;
        case CLI_KEY_RELAY:
            run.relay_option = arg;
            break;
        case 'x':
            run.command = arg;
            break;
        }
    }
    cli_exclusive(&run.cli, OPT_NEW, 'w', 0);
    cli_exclusive(&run.cli, OPT_NEW, CLI_KEY_RELAY, 0);
    if (cli_operands(&run.cli) > 0)
        cli_usage(&run.cli, "takes no operand: \"%s\"", cli_operand(&run.cli, 0));
    enum imsg_status status = confine(&run, &err);
    cli_output_start(&run.cli, &run.out, NULL);
    if (status == IMSG_OK)
        status = cli_identity_token(&run.cli, run.cli.identity_path, run.receiver.token, &err);
    if (status == IMSG_OK)
        status = cli_home_path(&run.cli, "", &home, &err);
    if (status == IMSG_OK)
        status = imsg_inbox_open(&run.inbox, home, &err);
    if (status == IMSG_OK)
        status = cli_given(&run.cli, OPT_NEW) ? imsg_receive_again(&run.receiver, &err) : receive_waiting(&run, &err);
    cli_ok(&run.cli, status, &err);
    if (run.inbox.new_path)
        note_left(&run);
    cli_ok(&run.cli, cli_output_finish(&run.out, true, &err), &err);
    imsg_relay_close(run.receiver.relay);
    imsg_receiver_free(&run.receiver);
    imsg_inbox_free(&run.inbox);
    free(home);
    if (run.runner >= 0)
        close(run.runner);
    return cli_finish(&run.cli);
}
