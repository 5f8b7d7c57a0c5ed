/* imsg-pull: from the relay into the inbox, safe there before the relay forgets it. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "imsg-net.h"
#include "pull/inbox.h"

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
    const char *identity_path, *relay_option, *command;
    uint8_t token[IMSG_TOKEN];
    struct imsg_relay *relay;
    struct inbox inbox;
    char **reported; /* names at the relay that cannot be taken: said once, left where they are */
    size_t reported_count;
    struct cli_output out;
};

/* ---- from the relay into inbox/new ---- */

/* One waiting message: stored, acknowledged. `name` gets its own name, the payload's hash; "" if another run took the
 * message. */
static enum imsg_status take(struct pull *run, const char *waiting, char name[static 65], struct imsg_error *err)
{
    struct imsg_buf line = {0};
    struct imsg_envelope envelope = {0};
    bool fresh = false;
    name[0] = '\0';
    enum imsg_status status = imsg_relay_fetch(run->relay, run->token, waiting, &line, err);
    if (status == IMSG_NO_INPUT) { /* taken by another run meanwhile */
        imsg_buf_free(&line);
        return IMSG_OK;
    }
    if (status == IMSG_OK)
        status = imsg_envelope_parse(imsg_buf_view(&line), &envelope, err);
    if (status == IMSG_OK && memcmp(envelope.to_token, run->token, IMSG_TOKEN) != 0)
        status = imsg_fail(err, IMSG_REFUSED, "an envelope for another device");
    if (status == IMSG_OK) {
        imsg_hex(envelope.hash, sizeof envelope.hash, name);
        status = inbox_store(&run->inbox, imsg_buf_view(&line), name, &fresh, err);
    }
    if (status == IMSG_OK)
        status = imsg_relay_ack(run->relay, run->token, waiting, err);
    if (status == IMSG_OK && !fresh)
        cli_detail(&run->cli, "%.8s… came before: acknowledged", name);
    imsg_envelope_free(&envelope);
    imsg_buf_free(&line);
    return status;
}

/* ---- out of inbox/new ---- */

/* sh -c COMMAND with the stored envelope as its standard input. */
static enum imsg_status run_command(struct pull *run, const char *name, int fd, bool *stays, struct imsg_error *err)
{
    int result = 0;
    pid_t child = fork();
    if (child < 0)
        return imsg_fail(err, IMSG_TEMPORARY, "cannot start a process: %s", strerror(errno));
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        if (dup2(fd, STDIN_FILENO) == STDIN_FILENO)
            execl("/bin/sh", "sh", "-c", run->command, (char *)NULL);
        _exit(127);
    }
    while (waitpid(child, &result, 0) < 0)
        if (errno != EINTR)
            return imsg_fail(err, IMSG_INTERNAL, "wait: %s", strerror(errno));
    int code = WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
    *stays = code == imsg_status_exit(IMSG_TEMPORARY);
    if (*stays)
        cli_error(&run->cli, IMSG_TEMPORARY, "%.8s…: the command wants to be asked again: stays in inbox/new", name);
    else if (code != 0)
        cli_error(&run->cli, IMSG_REFUSED, "%.8s…: the command ended with status %d", name, code);
    return IMSG_OK;
}

static enum imsg_status print(struct pull *run, int fd, struct imsg_error *err)
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

/* Still the file of that name, not one another run has moved on? */
static bool same_file(int fd, const char *path)
{
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_dev == named.st_dev &&
           mine.st_ino == named.st_ino;
}

/* Print, or run the command; then it is done and moves to inbox/cur. The lock on the file itself keeps two runs from
 * handing out one message; the command inherits it. */
static enum imsg_status hand_out(struct pull *run, const char *name, struct imsg_error *err)
{
    char *from = NULL, *to = NULL;
    bool stays = false;
    int fd = -1;
    enum imsg_status status = imsg_path_join(run->inbox.new, name, &from, err);
    if (status == IMSG_OK)
        status = imsg_path_join(run->inbox.cur, name, &to, err);
    if (status != IMSG_OK)
        goto out;
    fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        goto out;
    if (fd < 0) {
        status = imsg_fail(err, IMSG_IO, "\"%s\": %s", from, strerror(errno));
        goto out;
    }
    int locked;
    do
        locked = flock(fd, LOCK_EX | LOCK_NB);
    while (locked != 0 && errno == EINTR);
    if (locked != 0) {
        if (errno != EWOULDBLOCK)
            status = imsg_fail(err, IMSG_IO, "\"%s\": cannot lock: %s", from, strerror(errno));
        goto out;
    }
    if (!same_file(fd, from))
        goto out;
    status = run->command ? run_command(run, name, fd, &stays, err) : print(run, fd, err);
    if (status == IMSG_OK && !stays && rename(from, to) != 0)
        status = imsg_fail(err, IMSG_IO, "\"%s\": %s", to, strerror(errno));
out:
    if (fd >= 0)
        close(fd);
    free(from);
    free(to);
    return status;
}

/* ---- rounds ---- */

static bool was_reported(const struct pull *run, const char *name)
{
    for (size_t i = 0; i < run->reported_count; i++)
        if (strcmp(run->reported[i], name) == 0)
            return true;
    return false;
}

static void report_waiting(struct pull *run, const char *name, struct imsg_error *err)
{
    char **grown = realloc(run->reported, (run->reported_count + 1) * sizeof *grown);
    err->status = IMSG_PROTOCOL; /* whatever is wrong with it: it is the relay that should not have it */
    imsg_error_prefix(err, "relay \"%s\": %.8s…", imsg_relay_location(run->relay), name);
    cli_report(&run->cli, err);
    if (!grown)
        return;
    run->reported = grown;
    if (imsg_strdup(name, &grown[run->reported_count], NULL) == IMSG_OK)
        run->reported_count++;
}

/* What waits now, or the start of it where it is very much. What is malformed stays at the relay and does not stop the
 * rest. */
static enum imsg_status round_of(struct pull *run, size_t *taken, bool *more, struct imsg_error *err)
{
    struct imsg_waiting waiting = {0};
    struct imsg_error later = {0};
    char name[65];
    enum imsg_status status = imsg_relay_list(run->relay, run->token, &waiting, err);
    for (size_t i = 0; status == IMSG_OK && i < waiting.count; i++) {
        if (was_reported(run, waiting.names[i]))
            continue;
        status = take(run, waiting.names[i], name, err);
        /* Also what came before: a run may have ended between storing it and handing it out. */
        if (status == IMSG_OK && name[0])
            status = hand_out(run, name, err);
        if (status == IMSG_MALFORMED || status == IMSG_UNSUPPORTED || status == IMSG_REFUSED ||
            status == IMSG_PROTOCOL) {
            report_waiting(run, waiting.names[i], err);
            status = IMSG_OK;
            continue;
        }
        *taken += status == IMSG_OK;
    }
    /* Whatever failed: what is stored is acknowledged. */
    enum imsg_status told = imsg_relay_settle(run->relay, 0, -1, status == IMSG_OK ? err : &later);
    *more = waiting.more;
    imsg_waiting_free(&waiting);
    return status == IMSG_OK ? told : status;
}

static enum imsg_status receive(struct pull *run, struct imsg_error *err)
{
    char *location = NULL;
    struct imsg_net *net = NULL;
    run->cli.auth_path = run->identity_path;
    enum imsg_status status = cli_service(&run->cli, CLI_RELAY, run->relay_option, &location, err);
    if (status == IMSG_OK)
        status = cli_net(&run->cli, &net, err);
    if (status == IMSG_OK)
        status = imsg_relay_open(location, net, &run->relay, err);
    if (status == IMSG_OK)
        status = imsg_relay_mailbox(run->relay, run->token, err);
    for (bool waits = cli_given(&run->cli, 'w'), again = true; again && status == IMSG_OK;) {
        size_t taken = 0;
        bool more = false;
        status = round_of(run, &taken, &more, err);
        again = waits || (more && taken > 0);
        if (status == IMSG_OK && waits && taken == 0)
            status = imsg_relay_wait(run->relay, run->token, LOOK_AGAIN, err);
    }
    free(location);
    return status;
}

static enum imsg_status go_through_new(struct pull *run, struct imsg_error *err)
{
    struct stored *list = NULL;
    size_t count = 0;
    enum imsg_status status = inbox_list(&run->inbox, &list, &count, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        /* A run that ended right after storing it has not come to this, and the relay still has it. */
        status = inbox_remember(&run->inbox, list[i].name, err);
        if (status == IMSG_OK)
            status = hand_out(run, list[i].name, err);
    }
    inbox_list_free(list, count);
    return status;
}

static void note_left(struct pull *run)
{
    struct stored *list = NULL;
    size_t count = 0;
    if (inbox_list(&run->inbox, &list, &count, NULL) == IMSG_OK && count > 0)
        cli_note(&run->cli, "%zu message%s in inbox/new: imsg-pull --new goes through them", count,
                 count == 1 ? "" : "s");
    inbox_list_free(list, count);
}

int main(int argc, char **argv)
{
    struct pull run = {.relay = NULL};
    struct imsg_error err = {0};
    const char *arg;
    cli_start(&run.cli, &tool, argc, argv);
    for (int key; (key = cli_next(&run.cli, &arg)) != -1;) {
        switch (key) {
        case 'i':
            run.identity_path = arg;
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
    if (!run.command) /* a command needs whatever it needs */
        cli_sandbox_for(&run.cli, cli_given(&run.cli, OPT_NEW) ? 0 : CLI_USES(CLI_RELAY), NULL, run.relay_option, NULL);
    cli_output_start(&run.cli, &run.out, NULL);
    enum imsg_status status = cli_identity_token(&run.cli, run.identity_path, run.token, &err);
    if (status == IMSG_OK)
        status = inbox_open(&run.inbox, &run.cli, &err);
    if (status == IMSG_OK)
        status = cli_given(&run.cli, OPT_NEW) ? go_through_new(&run, &err) : receive(&run, &err);
    cli_ok(&run.cli, status, &err);
    if (run.inbox.new)
        note_left(&run);
    cli_ok(&run.cli, cli_output_finish(&run.out, true, &err), &err);
    imsg_relay_close(run.relay);
    imsg_strings_free(run.reported, run.reported_count);
    inbox_free(&run.inbox);
    return cli_finish(&run.cli);
}
