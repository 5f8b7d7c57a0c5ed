/* From the options to a server that serves, and its end: folders, socket, certificate, limits, threads. */
#include "serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#define SPARE_FILES 128

enum imsg_status say_line(const char *first, const char *second, struct imsg_error *err)
{
    if (printf("%s%s\n", first, second) < 0 || fflush(stdout) != 0)
        return imsg_fail(err, IMSG_IO, "standard output: %s", strerror(errno));
    return IMSG_OK;
}

static enum imsg_status first_invite(struct serve *serve, struct imsg_error *err)
{
    char code[21];
    bool any = true;
    enum imsg_status status = invite_any(&serve->db, &any, err);
    if (status != IMSG_OK || any)
        return status;
    status = invite_make(&serve->db, code, err);
    return status == IMSG_OK ? say_line("invite ", code, err) : status;
}

static enum imsg_status make_folders(struct setup *setup, struct imsg_error *err)
{
    struct serve *serve = &setup->serve;
    char *path = NULL;
    enum imsg_status status = imsg_strdup(setup->data, &serve->data, err);
    if (status == IMSG_OK)
        status = imsg_path_join(setup->data, "directory", &serve->directory, err);
    if (status == IMSG_OK)
        status = imsg_path_join(setup->data, "store", &serve->blobs, err);
    if (status == IMSG_OK)
        status = imsg_path_join(setup->data, "partial", &serve->partial, err);
    if (status == IMSG_OK)
        status = imsg_make_folders(setup->data, 0700, err);
    if (status == IMSG_OK)
        status = imsg_make_folders(serve->directory, 0755, err);
    if (status == IMSG_OK)
        status = imsg_make_folders(serve->blobs, 0700, err);
    if (status == IMSG_OK)
        status = imsg_make_folders(serve->partial, 0700, err);
    if (status == IMSG_OK)
        status = imsg_path_join(setup->data, "lock", &path, err);
    if (status == IMSG_OK) {
        setup->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (setup->lock < 0)
            status = imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\": %s", path, strerror(errno));
        else if (flock(setup->lock, LOCK_EX | LOCK_NB) != 0)
            status = imsg_fail(err, IMSG_TEMPORARY, "\"%s\": another imsg-serve uses it", setup->data);
    }
    free(path);
    return status;
}

static enum imsg_status load_certificate(struct setup *setup, struct imsg_error *err)
{
    struct serve *serve = &setup->serve;
    enum imsg_status status = IMSG_OK;
    if (serve->plain_http)
        return IMSG_OK;
    if (setup->self_signed) {
        status = certificate_own(serve->data, &setup->cert_pem, &setup->key_pem, err);
    } else {
        status = imsg_read_file(setup->cert, PEM_MAX, &setup->cert_pem, err);
        if (status == IMSG_OK)
            status = cli_read_key_file(&setup->cli, setup->key, "key file", &setup->key_pem, err);
    }
    if (status == IMSG_OK && serve->origins.count == 0)
        status = origins_of_certificate(&serve->origins, imsg_buf_view(&setup->cert_pem), serve->listener.port, err);
    if (status == IMSG_OK && serve->origins.count == 0) {
        status = imsg_fail(err, IMSG_CONFIG, "the certificate names no host");
        cli_error_hint(err, "--origin https://host[:port] says what clients call this server");
    }
    return status;
}

/* Without TLS there is no certificate to say who we are, and nobody but a proxy may listen in. */
static enum imsg_status check_plain(struct serve *serve, struct imsg_error *err)
{
    char origin[160];
    if (!serve->plain_http)
        return IMSG_OK;
    if (!serve->listener.loopback)
        return imsg_fail(err, IMSG_USAGE, "--plain-http on %s: only on loopback or a Unix socket",
                         serve->listener.address);
    if (serve->origins.count > 0)
        return IMSG_OK;
    if (serve->listener.local)
        return imsg_fail(err, IMSG_USAGE, "a Unix socket has no origin: --origin is needed");
    snprintf(origin, sizeof origin, "http://localhost:%u", serve->listener.port);
    enum imsg_status status = origins_add(&serve->origins, origin, err);
    snprintf(origin, sizeof origin, "http://%s", serve->listener.address);
    return status == IMSG_OK ? origins_add(&serve->origins, origin, err) : status;
}

/* As many descriptors as we may have; that bounds the connections. */
static void set_limits(struct serve *serve)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur != RLIM_INFINITY && serve->connections + SPARE_FILES > limit.rlim_cur) {
        serve->connections = limit.rlim_cur > 2 * SPARE_FILES ? limit.rlim_cur - SPARE_FILES : limit.rlim_cur / 2;
        cli_note(serve->cli, "at most %llu connections: the limit of open files is %llu",
                 (unsigned long long)serve->connections, (unsigned long long)limit.rlim_cur);
    }
}

/* What is on disk, and the threads that change it. */
static enum imsg_status start_data(struct serve *serve, struct imsg_error *err)
{
    enum imsg_status status = database_open(&serve->db, serve->data, true, err);
    if (status == IMSG_OK)
        status = boxes_start(&serve->boxes, err);
    if (status == IMSG_OK)
        status = authorizer_start(&serve->authorizer, err);
    if (status == IMSG_OK && serve->registration == REGISTER_INVITE)
        status = first_invite(serve, err);
    if (status == IMSG_OK)
        status = queue_start(&serve->writer, serve, 1, writer_loop, err);
    if (status == IMSG_OK)
        status = queue_start(&serve->files, serve, 2, file_loop, err);
    if (status == IMSG_OK) /* before what each device has in the store is read */
        status = store_start(serve, err);
    if (status == IMSG_OK)
        status = index_start(serve, err);
    if (status == IMSG_OK)
        status = index_scan(serve, err);
    return status;
}

static enum imsg_status say_ready(struct setup *setup, struct imsg_error *err)
{
    struct serve *serve = &setup->serve;
    char pin[IMSG_PIN + 1];
    enum imsg_status status = IMSG_OK;
    if (setup->self_signed) {
        status = imsg_certificate_pin(imsg_buf_view(&setup->cert_pem), pin, err);
        if (status == IMSG_OK)
            status = say_line("pin ", pin, err);
    }
    if (status == IMSG_OK)
        status = say_line(serve->listener.local ? "listening "
                          : serve->plain_http   ? "listening http://"
                                                : "listening https://",
                          serve->listener.address, err);
    if (status == IMSG_OK)
        listener_notify(setup->notify, "READY=1");
    return status;
}

enum imsg_status serve_start(struct setup *setup, struct imsg_error *err)
{
    struct serve *serve = &setup->serve;
    sigset_t handled;
    enum imsg_status status = make_folders(setup, err);
    if (status == IMSG_OK)
        status = listener_open(&serve->listener, setup->listen, err);
    if (status == IMSG_OK)
        status = check_plain(serve, err);
    if (status == IMSG_OK)
        status = load_certificate(setup, err);
    if (status != IMSG_OK)
        return status;
    if (serve->registration == REGISTER_DEFAULT)
        serve->registration = serve->listener.loopback ? REGISTER_OPEN : REGISTER_INVITE;
    set_limits(serve);
    /* Before there are threads: they inherit both. */
    sigemptyset(&handled);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &handled, NULL);
    setup->notify = listener_notify_open();
    cli_sandbox();
    serve->gone_fd = epoll_create1(EPOLL_CLOEXEC);
    if (serve->gone_fd < 0)
        return imsg_fail(err, IMSG_INTERNAL, "epoll: %s", strerror(errno));
    status = start_data(serve, err);
    if (status == IMSG_OK)
        status = http_start(serve, imsg_buf_view(&setup->cert_pem), imsg_buf_view(&setup->key_pem), err);
    if (status == IMSG_OK)
        status = say_ready(setup, err);
    return status;
}

void serve_stop(struct setup *setup)
{
    struct serve *serve = &setup->serve;
    queue_stop(&serve->files);
    queue_stop(&serve->writer);
    http_stop(serve);
    database_close(&serve->db);
    boxes_free(&serve->boxes);
    authorizer_free(&serve->authorizer);
    origins_free(&serve->origins);
    listener_close(&serve->listener);
    imsg_buf_free(&setup->cert_pem);
    imsg_buf_free(&setup->key_pem);
    free(serve->data);
    free(serve->directory);
    free(serve->blobs);
    free(serve->partial);
    if (serve->gone_fd >= 0)
        close(serve->gone_fd);
    if (setup->lock >= 0)
        close(setup->lock);
    if (setup->notify >= 0)
        close(setup->notify);
}
