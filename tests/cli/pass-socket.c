/* pass-socket COMMAND [ARG...]: what systemd does for a service with a socket. COMMAND gets a listening socket on
 * loopback as descriptor 3; the first thing it tells to NOTIFY_SOCKET goes into the file "notified".
 *
 * A test program: it stands on its own. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void listen_on_3(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 8) != 0)
        die("listen");
    if (server != 3 && (dup2(server, 3) != 3 || close(server) != 0))
        die("dup2");
}

static void write_down(int fd)
{
    char text[256];
    alarm(60); /* nobody waits for ever */
    ssize_t len = recv(fd, text, sizeof text, 0);
    FILE *file = fopen("notified.part", "w");
    if (len < 0 || !file || fwrite(text, 1, (size_t)len, file) != (size_t)len || fclose(file) != 0 ||
        rename("notified.part", "notified") != 0)
        die("notified");
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "notify"};
    char pid[16];
    if (argc < 2)
        return 64;
    listen_on_3();
    unlink(address.sun_path);
    int notify = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (notify < 0 || bind(notify, (struct sockaddr *)&address, sizeof address) != 0)
        die("notify");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        close(3);
        fclose(stdout);
        write_down(notify);
        return 0;
    }
    close(notify);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", pid, 1);
    execvp(argv[1], argv + 1);
    die(argv[1]);
}
