/* A crowd for tests/bench/serve: many devices with entries and bearer tokens, and their idle long polls.
 *
 *   crowd people N FOLDER ORIGIN    entries of N devices into FOLDER (a server's DATA/directory), and on stdout a line
 *                                   "TOKEN BEARER" for each
 *   crowd polls PORT                lines from stdin: for each a TLS connection to 127.0.0.1 with a long poll; prints
 *                                   "ready" when all are asked, and holds them until it is killed
 *   crowd commits FILE SECONDS      rows of 1 KiB into a new SQLite database, as imsg-serve has it, a transaction each:
 *                                   prints how many a second, one after another
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <sqlite3.h>

#include "base/io.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "format/bearer.h"

static struct imsg_error err;

static void must(enum imsg_status status)
{
    if (status != IMSG_OK) {
        fprintf(stderr, "crowd: %s\n", err.text);
        exit(1);
    }
}

static void add_device(char *handle, const char *origin, time_t now, struct imsg_devices *devices)
{
    struct imsg_identity identity = {.handles = &handle, .handle_count = 1, .has_pair_ec = true};
    struct imsg_device device = {0};
    struct imsg_buf bearer = {0};
    char hex[65];
    must(imsg_p256_generate_compact(&identity.device, &err));
    must(imsg_p256_generate_compact(&identity.prekey, &err));
    memcpy(identity.device_x, imsg_p256_point(identity.device) + 1, sizeof identity.device_x);
    must(imsg_prekey_make(identity.device, imsg_p256_point(identity.prekey) + 1, (double)now, &identity.prekey_record,
                          &err));
    must(imsg_sha256(imsg_view_of(imsg_p256_point(identity.device), 65), identity.token, &err));
    must(imsg_identity_device(&identity, &device, &err));
    must(imsg_devices_add(devices, &device, &err));
    must(imsg_bearer_make(identity.device, origin, now, &bearer, &err));
    imsg_hex(identity.token, sizeof identity.token, hex);
    printf("%s %s\n", hex, (char *)bearer.ptr);
    imsg_p256_free(identity.device);
    imsg_p256_free(identity.prekey);
    imsg_buf_free(&bearer);
}

static void people(size_t count, const char *folder, const char *origin)
{
    struct imsg_p256 *account = NULL;
    time_t now = imsg_now();
    must(imsg_p256_generate(&account, &err));
    for (size_t made = 0, person = 0; made < count; person++) {
        char handle[64], *path = NULL, *slash;
        struct imsg_devices devices = {0};
        struct imsg_buf file = {0}, name = {0};
        snprintf(handle, sizeof handle, "mailto:crowd-%zu@example.com", person);
        for (; made < count && devices.count < IMSG_DEVICES_MAX; made++)
            add_device(handle, origin, now, &devices);
        must(imsg_entry_sign(account, &(struct imsg_entry){.handle = handle, .devices = devices}, NULL, &file, &err));
        must(imsg_entry_path(handle, &name, &err));
        must(imsg_path_join(folder, (char *)name.ptr, &path, &err));
        slash = strrchr(path, '/');
        *slash = 0;
        must(imsg_make_folders(path, 0755, &err));
        *slash = '/';
        must(imsg_write_file(path, imsg_buf_view(&file), 0644, IMSG_REPLACE, &err));
        imsg_devices_free(&devices);
        imsg_buf_free(&file);
        imsg_buf_free(&name);
        free(path);
    }
    imsg_p256_free(account);
}

static void poll_one(SSL_CTX *context, unsigned port, const char *token, const char *bearer)
{
    char request[2048];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("crowd: connect");
        exit(1);
    }
    int len = snprintf(request, sizeof request,
                       "GET /3/device/%s?wait=300 HTTP/1.1\r\nHost: localhost\r\nAuthorization: bearer %s\r\n\r\n",
                       token, bearer);
    SSL *tls = SSL_new(context);
    if (!tls || SSL_set_fd(tls, fd) != 1 || SSL_connect(tls) != 1 || SSL_write(tls, request, len) != len) {
        fprintf(stderr, "crowd: TLS\n");
        exit(1);
    }
    SSL_set_quiet_shutdown(tls, 1);
    SSL_free(tls); /* the connection stays: nothing more is said on it */
}

static void polls(unsigned port)
{
    char line[2048], token[65], bearer[1900];
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    while (fgets(line, sizeof line, stdin))
        if (sscanf(line, "%64s %1899s", token, bearer) == 2)
            poll_one(context, port, token, bearer);
    printf("ready\n");
    fflush(stdout);
    for (;;)
        pause();
}

static void sql(sqlite3 *db, const char *text)
{
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "crowd: %s: %s\n", text, sqlite3_errmsg(db));
        exit(1);
    }
}

static void commits(const char *file, unsigned seconds)
{
    sqlite3 *db = NULL;
    uint64_t start, spent = 0, count = 0;
    if (sqlite3_open(file, &db) != SQLITE_OK)
        exit(1);
    sql(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(id INTEGER PRIMARY KEY, line BLOB)");
    for (start = imsg_monotonic(); spent < 1000 * (uint64_t)seconds; spent = imsg_monotonic() - start, count++)
        sql(db, "INSERT INTO t(line) VALUES(randomblob(1024))");
    printf("%.0f\n", (double)count * 1000 / (double)spent);
    sqlite3_close(db);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "people") == 0)
        people(strtoul(argv[2], NULL, 10), argv[3], argv[4]);
    else if (argc == 3 && strcmp(argv[1], "polls") == 0)
        polls((unsigned)strtoul(argv[2], NULL, 10));
    else if (argc == 4 && strcmp(argv[1], "commits") == 0)
        commits(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    else
        return 64;
    return 0;
}
