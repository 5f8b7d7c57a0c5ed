/* imsg-pull: from the relay into the inbox, safe there before the relay forgets it. */
#include "cli/cli.h"

#include <dirent.h>
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
#include "net/net.h"

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
    char *inbox_new, *inbox_cur, *inbox_tmp, *lock, *seen;
    char **reported; /* names at the relay that cannot be taken: said once, left where they are */
    size_t reported_count;
    struct cli_output out;
};

/* ---- folders ---- */

static enum imsg_status make_home(struct pull *run, struct imsg_error *err)
{
    struct {
        const char *name;
        char **path;
    } folders[] = {{"inbox/new", &run->inbox_new},
                   {"inbox/cur", &run->inbox_cur},
                   {"inbox/tmp", &run->inbox_tmp},
                   {"seen/pull", &run->seen}};
    enum imsg_status status = cli_home_path(&run->cli, "inbox/.lock", &run->lock, err);
    for (size_t i = 0; status == IMSG_OK && i < sizeof folders / sizeof folders[0]; i++) {
        status = cli_home_path(&run->cli, folders[i].name, folders[i].path, err);
        if (status == IMSG_OK)
            status = imsg_make_folders(*folders[i].path, 0700, err);
    }
    return status;
}

/* seen/pull/ab/cdef…: an empty file for every payload ever stored. */
static enum imsg_status seen_path(const struct pull *run, const char *name, char **path, struct imsg_error *err)
{
    char below[70];
    snprintf(below, sizeof below, "%.2s/%s", name, name + 2);
    return imsg_path_join(run->seen, below, path, err);
}

static enum imsg_status remember(const char *path, struct imsg_error *err)
{
    char *folder = NULL;
    enum imsg_status status = imsg_strdup(path, &folder, err);
    if (status != IMSG_OK)
        return status;
    *strrchr(folder, '/') = '\0';
    status = imsg_make_folders(folder, 0700, err);
    if (status == IMSG_OK)
        status = imsg_write_file(path, (struct imsg_view){0}, 0600, IMSG_NO_REPLACE, err);
    free(folder);
    return status == IMSG_CONFLICT ? IMSG_OK : status;
}

/* ---- from the relay into inbox/new ---- */

/* The kernel stamps files with a clock that stands still for milliseconds: too coarse for the order of --new. */
static void stamp(int fd)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
    if (clock_gettime(CLOCK_REALTIME, &times[1]) == 0)
        (void)!futimens(fd, times);
}

/* Durable in inbox/new and remembered, under the inbox's lock: another run does not store it a second time. *fresh is
 * false for a payload that was stored before. */
static enum imsg_status store(struct pull *run, struct imsg_view line, const char *name, bool *fresh,
                              struct imsg_error *err)
{
    struct imsg_file file = {.fd = -1};
    char *temp = NULL, *target = NULL, *seen = NULL;
    int lock = -1;
    enum imsg_status status = imsg_lock(run->lock, 0600, &lock, err);
    if (status == IMSG_OK)
        status = seen_path(run, name, &seen, err);
    if (status != IMSG_OK)
        goto out;
    *fresh = access(seen, F_OK) != 0;
    if (*fresh && errno != ENOENT) /* not known: storing it could be the second time */
        status = imsg_fail(err, IMSG_IO, "\"%s\": %s", seen, strerror(errno));
    if (!*fresh || status != IMSG_OK)
        goto out;
    status = imsg_path_join(run->inbox_tmp, name, &temp, err);
    if (status == IMSG_OK)
        status = imsg_path_join(run->inbox_new, name, &target, err);
    if (status == IMSG_OK)
        status = imsg_file_create(&file, temp, 0600, err);
    if (status == IMSG_OK)
        status = imsg_write_all(file.fd, line, err);
    if (status == IMSG_OK)
        status = imsg_write_all(file.fd, imsg_view_str("\n"), err);
    if (status == IMSG_OK)
        stamp(file.fd);
    if (status == IMSG_OK)
        status = imsg_file_link(&file, target, err);
    if (status == IMSG_CONFLICT) /* a run was killed between this step and the next */
        status = IMSG_OK;
    if (status == IMSG_OK)
        status = remember(seen, err);
out:
    imsg_file_abort(&file);
    if (lock >= 0)
        close(lock);
    free(temp);
    free(target);
    free(seen);
    return status;
}

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
        status = store(run, imsg_buf_view(&line), name, &fresh, err);
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
        status = cli_output_write(&run->out, imsg_buf_view(&line), false, err);
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
    enum imsg_status status = imsg_path_join(run->inbox_new, name, &from, err);
    if (status == IMSG_OK)
        status = imsg_path_join(run->inbox_cur, name, &to, err);
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

/* What the relay says is waiting, which need not be all. What is malformed stays at the relay and does not stop the rest. */
static enum imsg_status round_of(struct pull *run, size_t *taken, struct imsg_error *err)
{
    struct imsg_waiting waiting = {0};
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
    if (status == IMSG_OK)
        status = imsg_relay_settle(run->relay, 0, -1, err);
    imsg_waiting_free(&waiting);
    return status;
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
    for (bool again = true; again && status == IMSG_OK;) {
        size_t taken = 0;
        status = round_of(run, &taken, err);
        bool waits = cli_given(&run->cli, 'w');
        again = waits || taken > 0;
        if (status == IMSG_OK && waits && taken == 0)
            status = imsg_relay_wait(run->relay, run->token, LOOK_AGAIN, err);
    }
    free(location);
    return status;
}

static bool is_name(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* When a file came into inbox/new: the order of the relay. */
struct stored {
    struct timespec when;
    char *name;
};

static int by_time(const void *a, const void *b)
{
    const struct stored *x = a, *y = b;
    if (x->when.tv_sec != y->when.tv_sec)
        return x->when.tv_sec < y->when.tv_sec ? -1 : 1;
    if (x->when.tv_nsec != y->when.tv_nsec)
        return x->when.tv_nsec < y->when.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

static enum imsg_status list_new(const struct pull *run, struct stored **list, size_t *count, struct imsg_error *err)
{
    DIR *folder = opendir(run->inbox_new);
    struct stat st;
    enum imsg_status status = IMSG_OK;
    if (!folder)
        return imsg_fail(err, IMSG_IO, "\"%s\": %s", run->inbox_new, strerror(errno));
    for (struct dirent *item; status == IMSG_OK && (item = readdir(folder));) {
        if (!is_name(item->d_name) || fstatat(dirfd(folder), item->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        struct stored *grown = realloc(*list, (*count + 1) * sizeof *grown);
        if (!grown) {
            status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
            break;
        }
        *list = grown;
        grown[*count] = (struct stored){.when = st.st_mtim};
        status = imsg_strdup(item->d_name, &grown[*count].name, err);
        *count += status == IMSG_OK;
    }
    closedir(folder);
    if (*count > 1)
        qsort(*list, *count, sizeof **list, by_time);
    return status;
}

static void free_stored(struct stored *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

static enum imsg_status go_through_new(struct pull *run, struct imsg_error *err)
{
    struct stored *list = NULL;
    size_t count = 0;
    char *seen = NULL;
    enum imsg_status status = list_new(run, &list, &count, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        /* A run that ended right after storing it has not come to this, and the relay still has it. */
        status = seen_path(run, list[i].name, &seen, err);
        if (status == IMSG_OK && access(seen, F_OK) != 0)
            status = remember(seen, err);
        if (status == IMSG_OK)
            status = hand_out(run, list[i].name, err);
        free(seen);
        seen = NULL;
    }
    free_stored(list, count);
    return status;
}

static void note_left(struct pull *run)
{
    struct stored *list = NULL;
    size_t count = 0;
    if (list_new(run, &list, &count, NULL) == IMSG_OK && count > 0)
        cli_note(&run->cli, "%zu message%s in inbox/new: imsg-pull --new goes through them", count,
                 count == 1 ? "" : "s");
    free_stored(list, count);
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
    cli_exclusive(&run.cli, OPT_NEW, 'w', CLI_KEY_RELAY, 0);
    if (cli_operands(&run.cli) > 0)
        cli_usage(&run.cli, "takes no operand: \"%s\"", cli_operand(&run.cli, 0));
    if (!run.command) /* a command needs whatever it needs */
        cli_sandbox_for(&run.cli, cli_given(&run.cli, OPT_NEW) ? 0 : CLI_USES(CLI_RELAY), NULL, run.relay_option, NULL);
    cli_output_start(&run.cli, &run.out, NULL);
    enum imsg_status status = cli_identity_token(&run.cli, run.identity_path, run.token, &err);
    if (status == IMSG_OK)
        status = make_home(&run, &err);
    if (status == IMSG_OK)
        status = cli_given(&run.cli, OPT_NEW) ? go_through_new(&run, &err) : receive(&run, &err);
    cli_ok(&run.cli, status, &err);
    if (run.inbox_new)
        note_left(&run);
    cli_ok(&run.cli, cli_output_finish(&run.out, true, &err), &err);
    imsg_relay_close(run.relay);
    imsg_strings_free(run.reported, run.reported_count);
    free(run.inbox_new);
    free(run.inbox_cur);
    free(run.inbox_tmp);
    free(run.lock);
    free(run.seen);
    return cli_finish(&run.cli);
}
