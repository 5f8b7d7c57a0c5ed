/* The process that runs the commands of imsg-pull -x. It is forked before imsg-pull is confined, so that commands may
 * do what the user may do. For each message imsg-pull sends it an order with the open file of the message, and it
 * answers with the result. */
#include "pull/pull.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is sent with the file. */
struct order {
    char name[65]; /* of the message */
    bool again;
};

/* Room for one file descriptor. */
union control {
    struct cmsghdr header; /* aligns */
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* ---- in the process ---- */

/* sh -c COMMAND with the stored envelope as its standard input. The command inherits the lock on the file. */
static void exec_command(const char *command, const struct order *order, int file)
{
    bool set = (order->again ? setenv("IMSG_RETRY", order->name, 1) : unsetenv("IMSG_RETRY")) == 0;
    signal(SIGPIPE, SIG_DFL);
    if (set && dup2(file, STDIN_FILENO) == STDIN_FILENO)
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* What waitpid says of the command, or a negative errno value. */
static int run_command(const char *command, const struct order *order, int file)
{
    int result = 0;
    pid_t child = fork();
    if (child == 0)
        exec_command(command, order, file);
    while (child > 0 && waitpid(child, &result, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return child < 0 ? -errno : result;
}

/* False at the end. */
static bool receive_order(int socket, struct order *order, int *file)
{
    union control control;
    struct iovec bytes = {.iov_base = order, .iov_len = sizeof *order};
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(socket, &message, 0);
    while (got < 0 && errno == EINTR);
    const struct cmsghdr *header = got == (ssize_t)sizeof *order ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_type != SCM_RIGHTS)
        return false;
    memcpy(file, CMSG_DATA(header), sizeof *file);
    return fcntl(*file, F_SETFD, FD_CLOEXEC) == 0;
}

static void serve_orders(int socket, const char *command)
{
    struct order order;
    int file = -1;
    while (receive_order(socket, &order, &file)) {
        int result = run_command(command, &order, file);
        close(file);
        if (write(socket, &result, sizeof result) != (ssize_t)sizeof result)
            break;
    }
    _exit(0);
}

/* ---- in imsg-pull ---- */

enum imsg_status runner_start(const char *command, int *runner, struct imsg_error *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return imsg_fail(err, IMSG_TEMPORARY, "cannot make a socket: %s", strerror(errno));
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        serve_orders(ends[1], command);
    }
    enum imsg_status status =
        child < 0 ? imsg_fail(err, IMSG_TEMPORARY, "cannot start a process: %s", strerror(errno)) : IMSG_OK;
    close(ends[1]);
    if (status == IMSG_OK)
        *runner = ends[0];
    else
        close(ends[0]);
    return status;
}

static bool send_order(int socket, const struct imsg_handed *handed)
{
    struct order order = {.again = handed->again};
    union control control = {.bytes = {0}};
    struct iovec bytes = {.iov_base = &order, .iov_len = sizeof order};
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    ssize_t sent;
    snprintf(order.name, sizeof order.name, "%s", handed->name);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof handed->fd);
    memcpy(CMSG_DATA(header), &handed->fd, sizeof handed->fd);
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof order;
}

enum imsg_status runner_run(int runner, const struct imsg_handed *message, int *code, struct imsg_error *err)
{
    int result = 0;
    ssize_t got = -1;
    if (send_order(runner, message))
        do
            got = read(runner, &result, sizeof result);
        while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof result)
        return imsg_fail(err, IMSG_TEMPORARY, "the process that runs the commands has ended");
    if (result < 0)
        return imsg_fail(err, IMSG_TEMPORARY, "cannot run the command: %s", strerror(-result));
    *code = WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
    return IMSG_OK;
}
