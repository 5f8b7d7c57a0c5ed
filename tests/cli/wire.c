/* wire LOG ACTION...: a server for what no good server does. Listens on a free loopback port and prints it; the n-th
 * connection gets the n-th action, the last one over and over. Each request line and header goes to LOG.
 *
 *   FILE       one request is read, its body too, and answered with the bytes of FILE
 *   cut        closed before a byte is read
 *   end        nothing is sent, and what comes is read until the other side ends it too
 *   drop       a request is read, the answer is not given
 *   hang       the same, and the connection stays until the other side ends it
 *   stuck      FILE "stuck" in the current folder, then nothing, and the connection stays as with hang
 *   endless    FILE "endless" in the current folder, then bytes without end
 *   drip       the same, but a byte only every 10 ms
 *   deaf       as the first action: the port is taken, and every connection to it is refused
 *   echo       a request is read, and answered with the last body that came, or as much of it as is kept
 *
 * A test program: it stands on its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static FILE *record;
static char last[65536]; /* the body that came last */
static size_t last_len;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Headers into *head, and the body that its content-length announces. 0: the other side is gone. */
static int read_request(int fd)
{
    static char head[65536];
    size_t len = 0;
    char *end = NULL;
    while (!end && len < sizeof head - 1) {
        ssize_t n = read(fd, head + len, sizeof head - 1 - len);
        if (n <= 0)
            return 0;
        len += (size_t)n;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    if (!end)
        return 0;
    size_t body = len - (size_t)(end + 4 - head), wanted = 0;
    end[2] = '\0';
    fputs(head, record);
    fflush(record);
    for (char *line = head; (line = strchr(line, '\n')) != NULL; line++)
        if (strncasecmp(line + 1, "content-length:", 15) == 0)
            wanted = strtoul(line + 16, NULL, 10);
    if (wanted > 0) {
        last_len = body < sizeof last ? body : sizeof last;
        memcpy(last, end + 4, last_len);
    }
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (strstr(head, "100-continue") && write(fd, go_on, sizeof go_on - 1) < 0)
        return 0;
    while (body < wanted) {
        char rest[65536];
        ssize_t n = read(fd, rest, sizeof rest);
        if (n <= 0)
            return 0;
        size_t kept = (size_t)n < sizeof last - last_len ? (size_t)n : sizeof last - last_len;
        memcpy(last + last_len, rest, kept);
        last_len += kept;
        body += (size_t)n;
    }
    return 1;
}

static int send_file(int fd, const char *path)
{
    char bytes[65536];
    ssize_t n;
    int file = open(path, O_RDONLY);
    if (file < 0)
        die(path);
    while ((n = read(file, bytes, sizeof bytes)) > 0)
        if (write(fd, bytes, (size_t)n) != n)
            break;
    close(file);
    return n == 0;
}

static void serve(int fd, const char *action)
{
    char bytes[65536];
    if (strcmp(action, "end") == 0) {
        shutdown(fd, SHUT_WR);
        while (read(fd, bytes, sizeof bytes) > 0)
            ;
        return;
    }
    if (strcmp(action, "cut") == 0 || !read_request(fd))
        return;
    if (strcmp(action, "hang") == 0 || (strcmp(action, "stuck") == 0 && send_file(fd, "stuck")))
        while (read(fd, bytes, sizeof bytes) > 0)
            ;
    else if (strcmp(action, "endless") == 0) {
        memset(bytes, 'x', sizeof bytes);
        if (send_file(fd, "endless"))
            while (write(fd, bytes, sizeof bytes) > 0)
                ;
    } else if (strcmp(action, "drip") == 0) {
        const struct timespec pause = {.tv_nsec = 10000000};
        if (send_file(fd, "endless"))
            while (write(fd, "x", 1) > 0)
                nanosleep(&pause, NULL);
    } else if (strcmp(action, "echo") == 0) {
        dprintf(fd, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n", last_len);
        (void)!write(fd, last, last_len);
    } else if (strcmp(action, "drop") != 0 && send_file(fd, action)) {
        shutdown(fd, SHUT_WR);
        while (read(fd, bytes, sizeof bytes) > 0)
            ;
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int next = 2, server = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 3 || !(record = fopen(argv[1], "w")))
        die("wire LOG ACTION...");
    bool deaf = strcmp(argv[2], "deaf") == 0;
    if (server < 0 || bind(server, (struct sockaddr *)&address, len) != 0 || (!deaf && listen(server, 64) != 0) ||
        getsockname(server, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    printf("%u\n", ntohs(address.sin_port));
    fclose(stdout);
    while (deaf)
        pause();
    for (;;) {
        int fd = accept(server, NULL, NULL);
        if (fd < 0)
            die("accept");
        serve(fd, argv[next]);
        close(fd);
        next += next + 1 < argc;
    }
}
