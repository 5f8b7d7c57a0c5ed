/* The socket is one of our own, or one that systemd passed. What sd_listen_fds(3) and sd_notify(3) do is done here: the
 * protocols are an environment variable and a datagram. */
#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

#define FIRST_PASSED 3 /* SD_LISTEN_FDS_START */
#define BACKLOG 1024

bool address_is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_UNIX)
        return true;
    if (address->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24) == 127;
    if (address->sa_family != AF_INET6)
        return false;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static enum imsg_status describe(struct listener *listener, struct imsg_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";
    if (getsockname(listener->fd, (struct sockaddr *)&address, &len) != 0)
        return imsg_fail(err, IMSG_CONFIG, "the socket has no address: %s", strerror(errno));
    listener->loopback = address_is_loopback((struct sockaddr *)&address);
    if (address.ss_family == AF_UNIX) {
        const struct sockaddr_un *local = (const struct sockaddr_un *)&address;
        listener->local = true;
        snprintf(listener->address, sizeof listener->address, "unix:%.*s", (int)sizeof local->sun_path - 1,
                 local->sun_path);
        return IMSG_OK;
    }
    bool six = address.ss_family == AF_INET6;
    const void *bytes = six ? (const void *)&((const struct sockaddr_in6 *)&address)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)&address)->sin_addr;
    listener->port = ntohs(six ? ((const struct sockaddr_in6 *)&address)->sin6_port
                               : ((const struct sockaddr_in *)&address)->sin_port);
    inet_ntop(address.ss_family, bytes, host, sizeof host);
    snprintf(listener->host, sizeof listener->host, six ? "[%s]" : "%s", host);
    snprintf(listener->address, sizeof listener->address, "%s:%u", listener->host, listener->port);
    return IMSG_OK;
}

bool listener_passed(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    return pid && count && strtol(pid, NULL, 10) == (long)getpid() && strtol(count, NULL, 10) > 0;
}

static enum imsg_status use_passed_socket(struct listener *listener, struct imsg_error *err)
{
    int listens = 0;
    socklen_t len = sizeof listens;
    if (strcmp(getenv("LISTEN_FDS"), "1") != 0)
        return imsg_fail(err, IMSG_CONFIG, "systemd passed %s sockets, not one", getenv("LISTEN_FDS"));
    listener->fd = FIRST_PASSED;
    fcntl(listener->fd, F_SETFD, FD_CLOEXEC);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (getsockopt(listener->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0 || !listens)
        return imsg_fail(err, IMSG_CONFIG, "what systemd passed is no listening socket");
    int flags = fcntl(listener->fd, F_GETFL);
    fcntl(listener->fd, F_SETFL, flags | O_NONBLOCK);
    return IMSG_OK;
}

/* Does a process listen there? Then the kernel connects us, or its backlog is full (EAGAIN). */
static bool is_in_use(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool in_use = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return in_use;
}

static enum imsg_status bind_local(struct listener *listener, const char *path, struct imsg_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat there;
    if (strlen(path) >= sizeof address.sun_path)
        return imsg_fail(err, IMSG_USAGE, "\"%s\": the path of a socket has at most %zu bytes", path,
                         sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    /* Remove a socket that a killed server left behind, and nothing that is not a socket. */
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode)) {
        if (is_in_use(&address))
            return imsg_fail(err, IMSG_UNAVAILABLE, "-l \"%s\": %s", path, strerror(EADDRINUSE));
        unlink(path);
    }
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0 || bind(listener->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\": %s", path, strerror(errno));
    return imsg_strdup(path, &listener->unlink_path, err);
}

/* "::" is every address of IPv6 and of IPv4; without IPv6 in the kernel it is "0.0.0.0". */
static const char *wildcard_address(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return "0.0.0.0";
    close(fd);
    return "::";
}

static enum imsg_status bind_address(struct listener *listener, const char *text, struct imsg_error *err)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int one = 1, zero = 0;
    if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
        strtoul(colon + 1, NULL, 10) > 65535 || (size_t)(colon - text) >= sizeof host)
        return imsg_fail(err, IMSG_USAGE, "-l \"%s\": not ADDRESS:PORT, :PORT or the path of a socket", text);
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    memcpy(host, text, len);
    host[len] = 0;
    bool any = len == 0;
    int failed = getaddrinfo(any ? wildcard_address() : host, colon + 1, &hints, &found);
    if (failed)
        return imsg_fail(err, IMSG_UNAVAILABLE, "-l \"%s\": %s", text, gai_strerror(failed));
    enum imsg_status status = IMSG_OK;
    listener->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd >= 0) {
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (any && found->ai_family == AF_INET6)
            setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    }
    if (listener->fd < 0 || bind(listener->fd, found->ai_addr, found->ai_addrlen) != 0)
        status = imsg_fail(err, errno == EACCES ? IMSG_PERMISSION : IMSG_UNAVAILABLE, "-l \"%s\": %s", text,
                           strerror(errno));
    freeaddrinfo(found);
    return status;
}

enum imsg_status listener_open(struct listener *listener, const char *text, struct imsg_error *err)
{
    *listener = (struct listener){.fd = -1};
    enum imsg_status status = !text            ? use_passed_socket(listener, err)
                              : text[0] == '/' ? bind_local(listener, text, err)
                                               : bind_address(listener, text, err);
    if (status == IMSG_OK && text && listen(listener->fd, BACKLOG) != 0)
        status = imsg_fail(err, IMSG_UNAVAILABLE, "-l \"%s\": %s", text, strerror(errno));
    if (status == IMSG_OK)
        status = describe(listener, err);
    if (status != IMSG_OK)
        listener_close(listener);
    return status;
}

void listener_close(struct listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    if (listener->unlink_path)
        unlink(listener->unlink_path);
    free(listener->unlink_path);
    listener->unlink_path = NULL;
}

int listener_notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = 0; /* Linux: a name that is not in the file system */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 &&
        connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void listener_notify(int fd, const char *state)
{
    if (fd >= 0 && send(fd, state, strlen(state), MSG_NOSIGNAL) < 0)
        (void)errno; /* systemd notices by its own time limit */
}
