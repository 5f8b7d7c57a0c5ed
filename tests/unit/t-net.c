/* Directory and store over folders. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* nftw */
#endif
#include "base/text.h"
#include "crypto/crypto.h"
#include "imsg-net.h"
#include "scratch.h"
#include "tap.h"

#define ALICE "mailto:alice@example.com"
#define HASH "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static struct imsg_error err;

/* ---- directory ---- */

static struct imsg_directory *open_directory(const char *name, bool create)
{
    struct imsg_directory *directory = NULL;
    tap_status(imsg_directory_open(in_scratch(name, ""), NULL, create, &directory, &err), IMSG_OK, &err,
               "directory %s opens", name);
    return directory;
}

static enum imsg_status get(struct imsg_directory *directory, struct imsg_buf *out)
{
    imsg_buf_clear(out);
    return imsg_directory_get(directory, ALICE, out, &err);
}

static enum imsg_status put(struct imsg_directory *directory, const char *previous, const char *entry)
{
    return imsg_directory_put(directory, ALICE, imsg_view_str(previous), imsg_view_str(entry), &err);
}

static const char *entry_of(const char *directory)
{
    struct imsg_buf path = {0};
    if (imsg_entry_path(ALICE, &path, NULL) != IMSG_OK)
        return "";
    const char *full = in_scratch(directory, (const char *)path.ptr);
    imsg_buf_free(&path);
    return full;
}

static void test_missing(void)
{
    struct imsg_directory *directory = NULL;
    struct imsg_buf out = {0};
    tap_status(imsg_directory_open("ldap://x", NULL, false, &directory, &err), IMSG_CONFIG, &err, "unknown scheme");
    tap_status(imsg_directory_open("", NULL, false, &directory, &err), IMSG_CONFIG, &err, "empty location");
    tap_status(imsg_directory_open("file:///srv", NULL, false, &directory, &err), IMSG_CONFIG, &err, "file: URL");

    directory = open_directory("away", false);
    tap_ok(strcmp(imsg_directory_location(directory), in_scratch("away", "")) == 0, "location is kept");
    tap_status(get(directory, &out), IMSG_TEMPORARY, &err, "get: no base");
    tap_ok(strstr(err.text, "directory folder \"") && strstr(err.text, "\" is not there"), "text: %s", err.text);
    tap_status(put(directory, "", "1"), IMSG_TEMPORARY, &err, "put: no base");
    tap_ok(!exists(in_scratch("away", "")), "nothing was made");
    imsg_directory_close(directory);

    directory = open_directory("away", true);
    tap_status(get(directory, &out), IMSG_NO_ACCOUNT, &err, "get: a base that may be made is empty");
    tap_ok(!exists(in_scratch("away", "")), "nothing was made");
    imsg_directory_close(directory);

    put_file(in_scratch("plain", ""), "");
    directory = open_directory("plain", false);
    tap_status(get(directory, &out), IMSG_TEMPORARY, &err, "get: base is a file");
    tap_status(put(directory, "", "1"), IMSG_TEMPORARY, &err, "put: base is a file");
    imsg_directory_close(directory);

    mkdir(in_scratch("bare", ""), 0777);
    directory = open_directory("bare", false);
    tap_status(get(directory, &out), IMSG_NO_ACCOUNT, &err, "get: no entry");
    tap_ok(strstr(err.text, ALICE) != NULL, "text: %s", err.text);
    imsg_directory_close(directory);
}

static void test_put(void)
{
    struct imsg_directory *directory = open_directory("new/deep", true);
    struct imsg_buf out = {0};
    tap_status(put(directory, "0", "1"), IMSG_CONFLICT, &err, "put: there is none");
    tap_ok(!exists(entry_of("new/deep")), "nothing was made");
    tap_status(put(directory, "", "1"), IMSG_OK, &err, "first put");
    tap_status(put(directory, "", "1"), IMSG_CONFLICT, &err, "first put again");
    tap_status(put(directory, "2", "3"), IMSG_CONFLICT, &err, "put: another one is there");
    tap_status(put(directory, "1 ", "3"), IMSG_CONFLICT, &err, "put: a longer one was expected");
    tap_status(get(directory, &out), IMSG_OK, &err, "get");
    tap_bytes(imsg_buf_view(&out), imsg_view_str("1"), "the first");
    tap_status(put(directory, "1", "two"), IMSG_OK, &err, "second put");
    tap_status(put(directory, "tw", "3"), IMSG_CONFLICT, &err, "put: a shorter one was expected");
    tap_status(get(directory, &out), IMSG_OK, &err, "get");
    tap_bytes(imsg_buf_view(&out), imsg_view_str("two"), "the second");
    tap_ok(mode_of(entry_of("new/deep")) == 0644, "entries follow the umask");
    tap_ok(mode_of(in_scratch("new/deep", "imsg/v1/h")) == 0755, "folders follow the umask");
    tap_ok(count_files(in_scratch("new/deep", "")) == 2, "entry and lock, nothing else");
    tap_status(imsg_directory_put(directory, ALICE, imsg_view_str("two"), imsg_view_of(NULL, 0), &err), IMSG_INTERNAL,
               &err, "put: nothing");
    imsg_directory_close(directory);

    umask(002);
    directory = open_directory("group", true);
    tap_status(put(directory, "", "1"), IMSG_OK, &err, "put in a folder shared by a group");
    tap_ok(mode_of(in_scratch("group", "imsg/v1/lock")) == 0620, "the group can take the lock, nobody else");
    tap_ok(mode_of(entry_of("group")) == 0664, "and write");
    umask(022);
    imsg_directory_close(directory);
    imsg_buf_free(&out);
}

static int get_denied(void *context)
{
    struct imsg_buf out = {0};
    int status = (int)get(context, &out);
    imsg_buf_free(&out);
    return status;
}

static int put_denied(void *context)
{
    return (int)put(context, "1", "2");
}

/* What else may stand where an entry should. */
static void test_odd_entries(void)
{
    struct imsg_directory *directory = open_directory("odd", true);
    struct imsg_buf out = {0};
    const char *entry = entry_of("odd");
    tap_status(put(directory, "", "1"), IMSG_OK, &err, "put");
    chmod(entry, 0);
    tap_ok(run_as_nobody(get_denied, directory) == IMSG_TEMPORARY, "get: may not be read");
    chmod(entry, 0644);
    chmod(in_scratch("odd", "imsg/v1/h"), 0);
    tap_ok(run_as_nobody(get_denied, directory) == IMSG_TEMPORARY, "get: may not be reached");
    chmod(in_scratch("odd", "imsg/v1/h"), 0755);
    if (getuid() == 0)
        tap_ok(run_as_nobody(put_denied, directory) == IMSG_UNAVAILABLE, "put: may not be written");
    else
        tap_skip("needs root", "put: may not be written");

    if (truncate(entry, 1048576) != 0)
        perror(entry);
    tap_status(get(directory, &out), IMSG_OK, &err, "get: 1 MiB");
    tap_ok(out.len == 1048576, "all of it");
    if (truncate(entry, 1048577) != 0)
        perror(entry);
    tap_status(get(directory, &out), IMSG_PROTOCOL, &err, "get: over 1 MiB");
    tap_ok(out.len == 0, "nothing of it");
    struct imsg_view large = imsg_view_of(calloc(1, 1048577), 1048577);
    tap_status(imsg_directory_put(directory, ALICE, imsg_view_of(NULL, 0), large, &err), IMSG_TOO_LONG, &err,
               "put: over 1 MiB");
    free((void *)(uintptr_t)large.ptr);
    if (truncate(entry, 0) != 0)
        perror(entry);
    tap_status(get(directory, &out), IMSG_PROTOCOL, &err, "get: empty file");
    tap_status(put(directory, "", "1"), IMSG_CONFLICT, &err, "put: an empty file is not none");
    unlink(entry);
    if (mkfifo(entry, 0666) != 0)
        perror(entry);
    tap_status(get(directory, &out), IMSG_PROTOCOL, &err, "get: FIFO");
    tap_status(put(directory, "", "1"), IMSG_PROTOCOL, &err, "put: FIFO");
    unlink(entry);
    if (symlink("/dev/null", entry) != 0)
        perror(entry);
    tap_status(get(directory, &out), IMSG_PROTOCOL, &err, "get: link to a device");
    unlink(entry);
    if (symlink("nowhere", entry) != 0)
        perror(entry);
    tap_status(get(directory, &out), IMSG_PROTOCOL, &err, "get: link to nowhere");
    tap_status(put(directory, "", "1"), IMSG_PROTOCOL, &err, "put: link to nowhere");
    unlink(entry);
    mkdir(entry, 0777);
    tap_status(get(directory, &out), IMSG_PROTOCOL, &err, "get: folder");
    imsg_buf_free(&out);
    imsg_directory_close(directory);
}

#define ROUNDS 100

struct writer {
    int start[2];
    char name;
};

/* Adds ROUNDS lines to the entry, one a version. */
static int writer_work(void *opaque)
{
    struct writer *writer = opaque;
    struct imsg_directory *directory = NULL;
    struct imsg_buf before = {0}, after = {0};
    char line[16], go;
    close(writer->start[1]);
    if (read(writer->start[0], &go, 1) != 0 ||
        imsg_directory_open(in_scratch("race", ""), NULL, true, &directory, NULL) != IMSG_OK)
        return 1;
    for (int i = 0; i < ROUNDS;) {
        enum imsg_status status = get(directory, &before);
        if (status != IMSG_OK && status != IMSG_NO_ACCOUNT)
            return 2;
        imsg_buf_clear(&after);
        snprintf(line, sizeof line, "%c%d\n", writer->name, i);
        if ((before.len > 0 && imsg_buf_append(&after, before.ptr, before.len, NULL) != IMSG_OK) ||
            imsg_buf_text(&after, line, NULL) != IMSG_OK)
            return 3;
        status = imsg_directory_put(directory, ALICE, imsg_buf_view(&before), imsg_buf_view(&after), &err);
        if (status != IMSG_OK && status != IMSG_CONFLICT)
            return 4;
        i += status == IMSG_OK;
    }
    imsg_buf_free(&before);
    imsg_buf_free(&after);
    imsg_directory_close(directory);
    return 0;
}

static void test_race(void)
{
    struct writer writer = {.name = 'a'};
    struct imsg_directory *directory = open_directory("race", true);
    struct imsg_buf out = {0};
    mkdir(in_scratch("race", ""), 0777);
    int next[2] = {0}, lines = 0, wrong = 0;
    if (pipe(writer.start) != 0)
        perror("pipe");
    pid_t first = start_child(writer_work, &writer);
    writer.name = 'b';
    pid_t second = start_child(writer_work, &writer);
    close(writer.start[0]);
    close(writer.start[1]);
    int left = end_child(first), right = end_child(second);
    tap_ok(left == 0 && right == 0, "two writers, no error but conflicts (%d, %d)", left, right);
    tap_status(get(directory, &out), IMSG_OK, &err, "get");
    for (char *line = (char *)out.ptr; line && *line; line = strchr(line, '\n') + 1, lines++)
        wrong += atoi(line + 1) != next[*line == 'b']++;
    tap_ok(lines == 2 * ROUNDS && wrong == 0, "%d versions in order, none lost (%d, %d wrong)", 2 * ROUNDS, lines,
           wrong);
    tap_ok(count_files(in_scratch("race", "")) == 2, "entry and lock, nothing else");
    imsg_buf_free(&out);
    imsg_directory_close(directory);
}

/* ---- store ---- */

struct received {
    struct imsg_buf bytes;
    size_t pieces, largest;
    size_t refuse_at;    /* piece, from 1 */
    const char *growing; /* file that gets longer while it is read */
};

static enum imsg_status receive(void *opaque, struct imsg_view piece, struct imsg_error *error)
{
    struct received *received = opaque;
    received->pieces++;
    received->largest = piece.len > received->largest ? piece.len : received->largest;
    if (received->pieces == received->refuse_at)
        return imsg_fail(error, IMSG_BAD_TAG, "had enough");
    if (received->growing && truncate(received->growing, 614401) != 0)
        perror(received->growing);
    return imsg_buf_append(&received->bytes, piece.ptr, piece.len, error);
}

static enum imsg_status store_bytes(struct imsg_store *store, const uint8_t *bytes, size_t len, char **uri)
{
    struct imsg_store_put one = {.fd = -1};
    uint8_t hash[32];
    enum imsg_status status = imsg_store_begin(store, &one, &err);
    if (status != IMSG_OK)
        return status;
    if (write(one.fd, bytes, len) != (ssize_t)len || imsg_sha256(imsg_view_of(bytes, len), hash, &err) != IMSG_OK)
        return IMSG_INTERNAL;
    status = imsg_store_commit(store, &one, hash, uri, &err);
    imsg_store_abort(store, &one);
    return status;
}

static enum imsg_status fetch(struct imsg_store *store, const char *uri, uint64_t max, struct received *received)
{
    imsg_buf_free(&received->bytes);
    received->pieces = received->largest = 0;
    const struct imsg_store_read read = {.uri = uri, .max = max, .sink = receive, .context = received};
    return imsg_store_get(store, &read, &err);
}

static void test_store(void)
{
    static uint8_t bytes[614400];
    struct imsg_store *store = NULL;
    struct imsg_store_put one = {.fd = -1};
    struct received received = {0};
    char *uri = NULL, *again = NULL;
    memset(bytes, 'c', sizeof bytes);
    tap_status(imsg_store_open("tape://x", NULL, &store, &err), IMSG_CONFIG, &err, "unknown scheme");
    tap_status(imsg_store_open(in_scratch("a/store", ""), NULL, &store, &err), IMSG_OK, &err, "store opens");
    tap_status(fetch(store, "imsg-store:" HASH, 9, &received), IMSG_TEMPORARY, &err, "get: no base");
    int input = fcntl(0, F_GETFD);
    imsg_store_abort(store, &one);
    tap_ok(fcntl(0, F_GETFD) == input, "abort of what was not begun closes nothing");
    tap_status(imsg_store_begin(store, &one, &err), IMSG_OK, &err, "begin");
    tap_ok(count_files(in_scratch("a/store", "")) == 1, "a temporary file in the base");
    imsg_store_abort(store, &one);
    tap_ok(count_files(in_scratch("a/store", "")) == 0, "abort leaves nothing");
    tap_status(fetch(store, "imsg-store:" HASH, 9, &received), IMSG_UNAVAILABLE, &err, "get: no object");

    tap_status(store_bytes(store, bytes, sizeof bytes, &uri), IMSG_OK, &err, "put");
    tap_ok(uri && strlen(uri) == 75 && strncmp(uri, "imsg-store:", 11) == 0, "uri %s", uri ? uri : "");
    tap_ok(uri && mode_of(in_scratch("a/store", uri + 11)) == 0644, "objects follow the umask");
    tap_status(store_bytes(store, bytes, sizeof bytes, &again), IMSG_OK, &err, "put again");
    tap_ok(uri && again && strcmp(uri, again) == 0, "the same uri");
    tap_ok(count_files(in_scratch("a/store", "")) == 1, "one file");
    tap_status(fetch(store, uri, sizeof bytes, &received), IMSG_OK, &err, "get");
    tap_bytes(imsg_buf_view(&received.bytes), imsg_view_of(bytes, sizeof bytes), "the bytes");
    tap_ok(received.pieces == 3 && received.largest == 262144, "in pieces");
    tap_status(fetch(store, uri, sizeof bytes - 1, &received), IMSG_PROTOCOL, &err, "get: larger than asked for");
    tap_ok(received.bytes.len == 0, "nothing of it");
    received.refuse_at = 2;
    tap_status(fetch(store, uri, sizeof bytes, &received), IMSG_BAD_TAG, &err, "the sink's no is passed on");
    tap_ok(received.pieces == 2 && strcmp(err.text, "had enough") == 0, "at once, with its text");
    received.refuse_at = 0;
    char object[256];
    snprintf(object, sizeof object, "%s", in_scratch("a/store", uri ? uri + 11 : "none"));
    received.growing = object;
    tap_status(fetch(store, uri, sizeof bytes, &received), IMSG_PROTOCOL, &err, "get: grows meanwhile");
    tap_ok(received.bytes.len <= sizeof bytes, "no more than asked for");
    free(uri);
    free(again);
    uri = NULL;
    unlink(object);
    mkdir(object, 0777);
    tap_status(store_bytes(store, bytes, sizeof bytes, &uri), IMSG_TEMPORARY, &err, "put: a folder has the name");
    tap_ok(!uri && count_files(in_scratch("a/store", "")) == 0, "leaves nothing");
    imsg_buf_free(&received.bytes);
    imsg_store_close(store);
}

static void test_store_uris(void)
{
    static const char *const no[] = {
        "https://store.example/store/" HASH,
        "file:///etc/passwd",
        "/etc/passwd",
        "",
        "imsg-store:",
        HASH,
        "imsg-store:../../etc/passwd",
        "imsg-store:" HASH "0",
        "imsg-store:/" HASH,
        "IMSG-STORE:" HASH,
        "imsg-store:9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
    };
    struct imsg_store *store = NULL;
    struct received received = {0};
    const char *object = in_scratch("a/store", HASH);
    tap_status(imsg_store_open(in_scratch("a/store", ""), NULL, &store, &err), IMSG_OK, &err, "store opens");
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        tap_status(fetch(store, no[i], 9, &received), IMSG_REFUSED, &err, "get: \"%s\"", no[i]);
    tap_status(fetch(store, no[0], 9, &received), IMSG_REFUSED, &err, "get: https");
    tap_ok(strstr(err.text, "\"https\"") != NULL, "text: %s", err.text);
    if (mkfifo(object, 0666) != 0)
        perror(object);
    tap_status(fetch(store, "imsg-store:" HASH, 9, &received), IMSG_PROTOCOL, &err, "get: FIFO");
    unlink(object);
    put_file(in_scratch("secret", ""), "secret\n");
    if (symlink(in_scratch("secret", ""), object) != 0)
        perror(object);
    tap_status(fetch(store, "imsg-store:" HASH, 9, &received), IMSG_PROTOCOL, &err, "get: link");
    tap_ok(received.pieces == 0, "nothing came");
    imsg_buf_free(&received.bytes);
    imsg_store_close(store);
}

int main(void)
{
    umask(022);
    alarm(600); /* a test that blocks is a test that fails */
    scratch_make();
    test_missing();
    test_put();
    test_odd_entries();
    test_race();
    test_store();
    test_store_uris();
    scratch_remove();
    return tap_done();
}
