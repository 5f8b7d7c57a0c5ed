/* flaky PERCENT SEED: a server between a client and an HTTP server, both on loopback, that does wrong to PERCENT of the
 * requests: cut before or after they were passed on, the answer cut in the middle, 429, 500 or 503. Listens on a free
 * port and prints it, then reads the other's port from standard input. On SIGTERM it prints how many requests there
 * were of each kind.
 *
 * A request has a connection and a process of its own. A test program: it stands on its own. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum wrong { RIGHT, CUT_BEFORE, CUT_AFTER, CUT_ANSWER, BUSY, BROKEN, AWAY, KINDS };
static const char *const names[KINDS] = {"right", "cut-before", "cut-after", "cut-answer", "429", "500", "503"};
static const char *const answers[KINDS] = {
    [BUSY] = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\n",
    [BROKEN] = "HTTP/1.1 500 Internal Server Error\r\n",
    [AWAY] = "HTTP/1.1 503 Service Unavailable\r\n",
};

static _Atomic unsigned long *counts; /* of each kind, shared with the children */
static volatile sig_atomic_t ended;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

static int send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        bytes += n;
        len -= (size_t)n;
    }
    return 1;
}

/* The whole request, headers and body. Its length; 0: the client is gone. */
static size_t read_request(int fd, char *out, size_t room, size_t *head)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t len = 0, wanted = SIZE_MAX;
    *head = 0;
    while (len < wanted) {
        ssize_t n = read(fd, out + len, room - len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        len += (size_t)n;
        out[len] = '\0';
        char *blank = *head ? NULL : strstr(out, "\r\n\r\n");
        if (!blank)
            continue;
        *head = (size_t)(blank + 4 - out);
        wanted = *head;
        for (char *line = out; (line = strchr(line, '\n')) && line < blank; line++) {
            if (strncasecmp(line + 1, "content-length:", 15) == 0)
                wanted += strtoul(line + 16, NULL, 10);
            if (strncasecmp(line + 1, "expect:", 7) == 0 && !send_all(fd, go_on, sizeof go_on - 1))
                return 0;
        }
        if (wanted >= room)
            return 0;
    }
    return len;
}

static int connect_to(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* The answer as it comes, up to `most` bytes; it ends when either side does. */
static void pass_answer(int from, int to, size_t most)
{
    static char bytes[65536];
    struct pollfd both[] = {{.fd = from, .events = POLLIN}, {.fd = to, .events = POLLRDHUP}};
    while (most > 0) {
        if (poll(both, 2, -1) < 0 && errno != EINTR)
            return;
        if (both[1].revents)
            return;
        if (!both[0].revents)
            continue;
        ssize_t n = read(from, bytes, most < sizeof bytes ? most : sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || !send_all(to, bytes, (size_t)n))
            return;
        most -= (size_t)n;
    }
}

static void serve(int client, unsigned port, unsigned percent, unsigned seed)
{
    static char request[1 << 20];
    size_t head, len = read_request(client, request, sizeof request, &head);
    char *line = len ? strstr(request, "\r\n") : NULL;
    if (!line)
        return;
    enum wrong wrong = (unsigned)rand_r(&seed) % 100 < percent ? 1 + (unsigned)rand_r(&seed) % (KINDS - 1) : RIGHT;
    counts[wrong]++;
    if (answers[wrong]) {
        static const char rest[] = "content-length: 2\r\nconnection: close\r\n\r\n{}";
        (void)!(send_all(client, answers[wrong], strlen(answers[wrong])) && send_all(client, rest, sizeof rest - 1));
        shutdown(client, SHUT_WR);
        return;
    }
    int server = wrong == CUT_BEFORE ? -1 : connect_to(port);
    if (server < 0)
        return;
    size_t first = (size_t)(line + 2 - request);
    static const char close_it[] = "connection: close\r\n";
    if (!send_all(server, request, first) || !send_all(server, close_it, sizeof close_it - 1) ||
        !send_all(server, request + first, len - first))
        return;
    if (wrong == CUT_AFTER) { /* it has done all it would, and nobody hears of it */
        char byte;
        (void)!read(server, &byte, 1);
    } else {
        pass_answer(server, client, wrong == CUT_ANSWER ? 1 + (unsigned)rand_r(&seed) % 300 : SIZE_MAX);
    }
    close(server);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    struct sigaction action = {.sa_handler = end};
    if (argc != 3) {
        fputs("usage: flaky PERCENT SEED\n", stderr);
        return 64;
    }
    unsigned port, percent = (unsigned)strtoul(argv[1], NULL, 10), seed = (unsigned)strtoul(argv[2], NULL, 10);
    counts = mmap(NULL, sizeof *counts * KINDS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        die("mmap");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* nobody waits for the children */
    sigaction(SIGTERM, &action, NULL);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        die("listen");
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    if (scanf("%u", &port) != 1)
        return 1;
    while (!ended) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            continue;
        seed = seed * 1103515245u + 12345u;
        pid_t child = fork();
        if (child == 0) {
            signal(SIGTERM, SIG_DFL);
            close(listener);
            serve(client, port, percent, seed);
            _exit(0);
        }
        close(client);
    }
    for (int i = 0; i < KINDS; i++)
        printf("%s %lu\n", names[i], (unsigned long)counts[i]);
    return 0;
}
