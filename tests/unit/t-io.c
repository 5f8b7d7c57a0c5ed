/* Whole reads, lines, atomic files, locks, folders: in a folder of its own, which is also the working folder. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1 /* mkdtemp without XSI, flock */
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define BIG 1000000

static struct imsg_error err;

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

static void put(const char *path, const char *text)
{
    struct imsg_view view = imsg_view_str(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, view.ptr, view.len) != (ssize_t)view.len || close(fd) != 0)
        tap_ok(false, "cannot prepare %s", path);
}

static bool holds(const char *path, const char *text)
{
    struct imsg_buf buf = {0};
    bool same =
        imsg_read_file(path, 1000, &buf, NULL) == IMSG_OK && imsg_view_equal(imsg_buf_view(&buf), imsg_view_str(text));
    imsg_buf_free(&buf);
    return same;
}

/* Names in a folder, hidden ones included: no temporary file may be left. */
static int entries(const char *folder)
{
    DIR *dir = opendir(folder);
    int count = -2;
    if (!dir)
        return -1;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? st.st_mode & 07777 : 07777;
}

static void on_alarm(int signal)
{
    (void)signal;
}

/* A signal every five milliseconds that interrupts system calls. */
static void interruptions(bool on)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {{0, on ? 5000 : 0}, {0, on ? 5000 : 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void test_pipe(bool blocking)
{
    struct imsg_buf big = {0}, back = {0};
    int fds[2];
    bool good = imsg_buf_reserve(&big, BIG, &err) == IMSG_OK && pipe(fds) == 0;
    if (!good) {
        tap_ok(false, "cannot prepare a pipe");
        return;
    }
    for (size_t i = 0; i < BIG; i++)
        big.ptr[big.len++] = pattern(i);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) { /* a slow writer in odd pieces */
        close(fds[0]);
        if (!blocking)
            fcntl(fds[1], F_SETFL, O_NONBLOCK);
        interruptions(true);
        _exit(imsg_write_all(fds[1], imsg_buf_view(&big), NULL) == IMSG_OK ? 0 : 1);
    }
    close(fds[1]);
    if (!blocking)
        fcntl(fds[0], F_SETFL, O_NONBLOCK);
    usleep(20000); /* the pipe is full: the writer is interrupted and sees short writes */
    interruptions(true);
    tap_status(imsg_read_all(fds[0], BIG, &back, &err), IMSG_OK, &err, "a %s pipe, interrupted",
               blocking ? "blocking" : "non-blocking");
    interruptions(false);
    tap_ok(imsg_view_equal(imsg_buf_view(&big), imsg_buf_view(&back)) && back.ptr[back.len] == 0, "all bytes came");
    int result = -1;
    waitpid(child, &result, 0);
    tap_ok(result == 0, "the writer is content");
    close(fds[0]);
    imsg_buf_free(&big);
    imsg_buf_free(&back);
}

static void test_read_some(void)
{
    struct imsg_buf buf = {0};
    int fds[2];
    if (pipe(fds) != 0 || write(fds[1], "abcde", 5) != 5)
        tap_ok(false, "cannot prepare a pipe");
    tap_status(imsg_read_some(fds[0], 0, &buf, &err), IMSG_OK, &err, "read no bytes");
    tap_status(imsg_read_some(fds[0], 2, &buf, &err), IMSG_OK, &err, "read two");
    tap_bytes(imsg_buf_view(&buf), imsg_view_str("ab"), "and no more");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) { /* short transfers */
        for (int i = 0; i < 5; i++) {
            usleep(3000);
            if (write(fds[1], "-", 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    close(fds[1]);
    tap_status(imsg_read_some(fds[0], 7, &buf, &err), IMSG_OK, &err, "read seven, in pieces");
    tap_bytes(imsg_buf_view(&buf), imsg_view_str("abcde----"), "all seven");
    tap_status(imsg_read_some(fds[0], 7, &buf, &err), IMSG_OK, &err, "fewer at the end");
    tap_status(imsg_read_some(fds[0], 7, &buf, &err), IMSG_OK, &err, "none after it");
    tap_bytes(imsg_buf_view(&buf), imsg_view_str("abcde-----"), "that was all");
    close(fds[0]);
    waitpid(child, NULL, 0);
    tap_status(imsg_read_some(-1, 7, &buf, &err), IMSG_IO, &err, "no descriptor");
    tap_ok(buf.len == 10 && buf.ptr[10] == 0, "leaves what was there");
    imsg_buf_free(&buf);
}

/* A peer that closes with unread data: what it sent can be read, then comes ECONNRESET. */
static void test_reset(void)
{
    for (int all = 0; all < 2; all++) {
        struct imsg_buf buf = {0};
        int fds[2];
        if (imsg_buf_text(&buf, "kept", &err) != IMSG_OK || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 ||
            write(fds[0], "x", 1) != 1 || write(fds[1], "abc", 3) != 3)
            tap_ok(false, "cannot prepare sockets");
        close(fds[1]);
        tap_status(all ? imsg_read_all(fds[0], 100, &buf, &err) : imsg_read_some(fds[0], 7, &buf, &err), IMSG_IO, &err,
                   "a failure after some bytes");
        tap_bytes(imsg_buf_view(&buf), imsg_view_str("kept"), "takes them back");
        tap_ok(buf.ptr[4] == 0 && buf.ptr[6] == 0, "and wipes them");
        close(fds[0]);
        imsg_buf_free(&buf);
    }
}

static void test_write_fails(void)
{
    int fds[2], fd = open("/dev/full", O_WRONLY);
    tap_status(imsg_write_all(fd, imsg_view_str("x"), &err), IMSG_IO, &err, "a full disk");
    tap_ok(strcmp(err.text, "cannot write: no space left on device") == 0, "says: %s", err.text);
    close(fd);
    tap_status(imsg_write_all(-1, imsg_view_str("x"), &err), IMSG_IO, &err, "no descriptor");
    tap_status(imsg_write_all(-1, imsg_view_of(NULL, 0), &err), IMSG_OK, &err, "nothing to write");
    fd = open("/dev/null", O_RDONLY);
    tap_status(imsg_write_all(fd, imsg_view_str("x"), &err), IMSG_IO, &err, "a descriptor for reading");
    close(fd);
    signal(SIGPIPE, SIG_IGN);
    if (pipe(fds) == 0) {
        close(fds[0]);
        tap_status(imsg_write_all(fds[1], imsg_view_str("x"), &err), IMSG_IO, &err, "a closed pipe");
        close(fds[1]);
    }
}

static void test_read(void)
{
    static const struct {
        const char *path;
        enum imsg_status status;
    } bad[] = {
        {"absent", IMSG_NO_INPUT}, {"absent/x", IMSG_NO_INPUT}, {"five/x", IMSG_NO_INPUT}, {"", IMSG_NO_INPUT},
        {".", IMSG_NO_INPUT},      {"/", IMSG_NO_INPUT},        {"loop", IMSG_NO_INPUT},   {"/proc/self/mem", IMSG_IO},
    };
    struct imsg_buf buf = {0};
    put("five", "12345");
    put("none", "");
    tap_ok(symlink("loop", "loop") == 0 && symlink("five", "link") == 0, "links");
    for (size_t i = 0; i < COUNT(bad); i++) {
        tap_status(imsg_read_file(bad[i].path, 100, &buf, &err), bad[i].status, &err, "read \"%s\"", bad[i].path);
        tap_ok(buf.len == 0 && err.text[0] == '"', "says: %s", err.text);
    }
    tap_status(imsg_read_file("five", 5, &buf, &err), IMSG_OK, &err, "read a file");
    tap_status(imsg_read_file("link", 5, &buf, &err), IMSG_OK, &err, "through a link, appended");
    tap_status(imsg_read_file("none", 0, &buf, &err), IMSG_OK, &err, "an empty file");
    tap_bytes(imsg_buf_view(&buf), imsg_view_str("1234512345"), "read so far");
    for (size_t max = 0; max < 5; max++)
        tap_status(imsg_read_file("five", max, &buf, &err), IMSG_TOO_LONG, &err, "over %zu bytes", max);
    tap_bytes(imsg_buf_view(&buf), imsg_view_str("1234512345"), "failures leave what was there");
    tap_ok(buf.ptr[buf.len] == 0, "with its NUL");
    imsg_buf_clear(&buf);
    tap_status(imsg_read_file("/proc/self/status", 100000, &buf, &err), IMSG_OK, &err, "a file that claims no size");
    tap_ok(buf.len > 100, "is read all the same");
    tap_status(imsg_read_file("/dev/zero", 300000, &buf, &err), IMSG_TOO_LONG, &err, "a file without end");
    tap_status(imsg_read_file("/dev/null", SIZE_MAX, &buf, &err), IMSG_OK, &err, "no limit");
    tap_status(imsg_read_all(-1, 10, &buf, &err), IMSG_IO, &err, "no descriptor");
    imsg_buf_free(&buf);
}

/* Each line as TEXT| or, if cut, TEXT!; an overlong one as #N|. */
static void expect_lines(const char *what, struct imsg_view input, size_t max, size_t piece, const char *want)
{
    struct imsg_lines lines;
    struct imsg_buf got = {0};
    int fds[2];
    if (pipe(fds) != 0)
        return;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        for (size_t at = 0; at < input.len; at += piece)
            if (imsg_write_all(fds[1], imsg_view_of(input.ptr + at, input.len - at < piece ? input.len - at : piece),
                               NULL) != IMSG_OK)
                _exit(1);
        _exit(0);
    }
    close(fds[1]);
    imsg_lines_start(&lines, fds[0], max);
    bool more = true, good = true;
    uint64_t number = 0;
    while (more && good) {
        struct imsg_view line = {0};
        bool cut = false;
        enum imsg_status status = imsg_lines_next(&lines, &line, &more, &cut, &err);
        char over[32];
        snprintf(over, sizeof over, "#%llu|", (unsigned long long)lines.number);
        if (status == IMSG_TOO_LONG)
            good = ++number == lines.number && imsg_buf_text(&got, over, &err) == IMSG_OK;
        else if (status != IMSG_OK)
            good = false;
        else if (more)
            good = ++number == lines.number && imsg_buf_append(&got, line.ptr, line.len, &err) == IMSG_OK &&
                   imsg_buf_text(&got, cut ? "!" : "|", &err) == IMSG_OK;
    }
    bool still = true;
    struct imsg_view line;
    good = good && imsg_lines_next(&lines, &line, &still, NULL, &err) == IMSG_OK && !still;
    tap_ok(good, "lines: %s, in pieces of %zu", what, piece);
    tap_bytes(imsg_buf_view(&got), imsg_view_str(want), "are right");
    imsg_lines_free(&lines);
    imsg_buf_free(&got);
    close(fds[0]);
    waitpid(child, NULL, 0);
}

static void test_lines(void)
{
    static const struct {
        const char *input, *want;
    } cases[] = {
        {"", ""},
        {"\n", "|"},
        {"\n\n", "||"},
        {"a\nbc\n", "a|bc|"},
        {"a\nbc", "a|bc!"},
        {"12345\n1234\n", "#1|1234|"},
        {"1234\n12345", "1234|#2|"},
        {"12345678901234567890\n\n123456\na", "#1||#3|a!"},
        {"12345\n12345\n12345\n", "#1|#2|#3|"},
        {"1234", "1234!"},
        {"12345", "#1|"},
        {"a\r\n", "a\r|"},
        {"\r\na\r\n\r", "|a\r|!"},
        {"\r\r\n", "\r\r|"},
        {"\r", "!"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t piece = 1; piece < 30; piece += 7)
            expect_lines(cases[i].input, imsg_view_str(cases[i].input), 4, piece, cases[i].want);

    struct imsg_lines lines;
    struct imsg_view line;
    struct imsg_buf big = {0};
    bool more = false, cut = true, good = true;
    int fd = open("lines", O_RDWR | O_CREAT, 0600);
    for (size_t i = 0; i < 3 && good; i++)
        good = imsg_buf_reserve(&big, BIG, &err) == IMSG_OK && memset(big.ptr + big.len, 'a', BIG) &&
               ((big.len += BIG - 1), (big.ptr[big.len++] = '\n'), true);
    good = good && imsg_buf_append(&big, "x\0y\n", 4, &err) == IMSG_OK &&
           imsg_write_all(fd, imsg_buf_view(&big), &err) == IMSG_OK;
    tap_ok(good, "three long lines and a short one");
    for (size_t max = BIG - 2; max < BIG; max++) {
        lseek(fd, 0, SEEK_SET);
        imsg_lines_start(&lines, fd, max);
        for (int i = 0; i < 3; i++) {
            enum imsg_status status = imsg_lines_next(&lines, &line, &more, &cut, &err);
            tap_status(status, max < BIG - 1 ? IMSG_TOO_LONG : IMSG_OK, &err, "line %d of 999,999, limit %zu", i, max);
            tap_ok(status != IMSG_OK || (line.len == BIG - 1 && line.ptr[0] == 'a' && line.ptr[BIG - 2] == 'a'), "all");
        }
        tap_ok(lines.buf.cap < 4 * BIG, "memory is bounded: %zu", lines.buf.cap);
        tap_status(imsg_lines_next(&lines, &line, &more, &cut, &err), IMSG_OK, &err, "the short one");
        tap_ok(more && !cut && lines.number == 4, "is number 4 and whole");
        tap_bytes(line, imsg_view_of("x\0y", 3), "and may hold a NUL");
        tap_ok(imsg_lines_next(&lines, &line, &more, &cut, &err) == IMSG_OK && !more, "the end");
        imsg_lines_free(&lines);
    }
    close(fd);
    imsg_buf_free(&big);
    imsg_lines_start(&lines, -1, 4);
    tap_status(imsg_lines_next(&lines, &line, &more, NULL, &err), IMSG_IO, &err, "lines of no descriptor");
    imsg_lines_free(&lines);
}

static void test_create(void)
{
    static const char *const bad[] = {"",  "/",        ".",     "..",   "d/",        "d/.",       "d/..",
                                      "d", "absent/x", "old/x", "fifo", "/dev/null", "/dev/full", "/proc/x"};
    struct imsg_file file = {.fd = -1};
    mkdir("d", 0755);
    put("old", "old");
    mkfifo("fifo", 0600);
    int before = entries(".");
    for (size_t i = 0; i < COUNT(bad); i++) {
        tap_status(imsg_file_create(&file, bad[i], 0600, &err), IMSG_CANNOT_CREATE, &err, "create \"%s\"", bad[i]);
        tap_ok(file.fd == -1 && !file.path && !file.temp && err.text[0] == '"', "says: %s", err.text);
    }
    char name[400];
    memset(name, 'n', sizeof name);
    name[256] = 0;
    tap_status(imsg_write_file(name, imsg_view_str("x"), 0600, IMSG_REPLACE, &err), IMSG_CANNOT_CREATE, &err,
               "a name of 256 bytes");
    tap_ok(entries(".") == before, "nothing is left");
    name[255] = 0;
    tap_status(imsg_write_file(name, imsg_view_str("x"), 0600, IMSG_REPLACE, &err), IMSG_OK, &err,
               "a name of 255 bytes");
    tap_ok(holds(name, "x") && unlink(name) == 0 && entries(".") == before, "has its content");

    umask(027);
    tap_status(imsg_file_create(&file, "d/new", 0666, &err), IMSG_OK, &err, "create a file");
    tap_ok(access("d/new", F_OK) != 0 && strncmp(file.temp, "d/.new.", 7) == 0 && entries("d") == 1,
           "it is beside its name");
    tap_ok(mode_of(file.temp) == 0640, "its mode obeys the umask");
    tap_ok(fcntl(file.fd, F_GETFD) & FD_CLOEXEC, "it is closed on exec");
    imsg_file_abort(&file);
    tap_ok(file.fd == -1 && !file.path && !file.temp && entries("d") == 0, "abort leaves nothing");
    imsg_file_abort(&file);
    umask(022);
    tap_status(imsg_file_commit(&file, IMSG_REPLACE, &err), IMSG_INTERNAL, &err, "commit without a file");
}

static void test_commit(void)
{
    struct imsg_file file = {.fd = -1};
    struct imsg_view text = imsg_view_str("new");
    tap_status(imsg_write_file("d/a", text, 0600, IMSG_NO_REPLACE, &err), IMSG_OK, &err, "a new file");
    tap_ok(holds("d/a", "new") && mode_of("d/a") == 0600 && entries("d") == 1, "its content and mode");
    tap_status(imsg_write_file("d/a", imsg_view_str("2"), 0600, IMSG_NO_REPLACE, &err), IMSG_CONFLICT, &err,
               "it is not replaced");
    tap_ok(holds("d/a", "new") && entries("d") == 1, "and as it was: %s", err.text);
    tap_status(imsg_write_file("d/a", imsg_view_str("2"), 0644, IMSG_REPLACE, &err), IMSG_OK, &err, "replace it");
    tap_ok(holds("d/a", "2") && mode_of("d/a") == 0644 && entries("d") == 1, "by the new one");
    put("target", "target");
    tap_ok(symlink("../target", "d/link") == 0 && symlink("nowhere", "d/dangling") == 0, "links");
    tap_status(imsg_write_file("d/link", text, 0600, IMSG_NO_REPLACE, &err), IMSG_CONFLICT, &err, "a link is a name");
    tap_status(imsg_write_file("d/dangling", text, 0600, IMSG_NO_REPLACE, &err), IMSG_CONFLICT, &err,
               "a dangling one too");
    tap_status(imsg_write_file("d/link", text, 0600, IMSG_REPLACE, &err), IMSG_OK, &err, "replace a link");
    tap_ok(holds("target", "target") && holds("d/link", "new"), "not what it points at");
    unlink("d/link");
    unlink("d/dangling");

    tap_status(imsg_file_create(&file, "d/late", 0600, &err), IMSG_OK, &err, "create");
    mkdir("d/late", 0700);
    tap_status(imsg_file_commit(&file, IMSG_REPLACE, &err), IMSG_CANNOT_CREATE, &err, "a folder came in between");
    tap_ok(entries("d") == 2 && file.fd == -1 && !file.temp, "nothing is left: %s", err.text);
    tap_status(imsg_file_create(&file, "d/b", 0600, &err), IMSG_OK, &err, "create");
    unlink(file.temp);
    tap_status(imsg_file_commit(&file, IMSG_NO_REPLACE, &err), IMSG_CANNOT_CREATE, &err, "the temporary file is gone");
    tap_status(imsg_file_create(&file, "d/b", 0600, &err), IMSG_OK, &err, "create");
    put("d/b", "first");
    tap_status(imsg_file_commit(&file, IMSG_NO_REPLACE, &err), IMSG_CONFLICT, &err, "somebody else was first");
    tap_ok(holds("d/b", "first") && entries("d") == 3, "and stays");
    unlink("d/b");
    rmdir("d/late");

    /* A file size limit is a disk that is full after a short write. */
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 1000;
    char big[5000];
    memset(big, 'b', sizeof big);
    signal(SIGXFSZ, SIG_IGN);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_FSIZE, &small);
        enum imsg_status status = imsg_write_file("d/a", imsg_view_of(big, sizeof big), 0600, IMSG_REPLACE, &err);
        _exit(status == IMSG_IO && strncmp(err.text, "\"d/a\": cannot write", 19) == 0 ? 0 : 1);
    }
    int result = -1;
    waitpid(child, &result, 0);
    tap_ok(result == 0, "a short write, then none");
    tap_ok(holds("d/a", "2") && entries("d") == 1, "the file is as it was");
}

/* Files that nobody else may read before they are complete. */
static void test_hidden(void)
{
    struct imsg_file file = {.fd = -1};
    struct imsg_view text = imsg_view_str("hidden");
    struct stat st;
    int before = entries("d");
    for (int round = 0; round < 2; round++) { /* a new name, then one that is there */
        tap_status(imsg_hidden_create(&file, "d/hidden", &err), IMSG_OK, &err, "create");
        tap_ok(entries("d") == before + round + (file.temp != NULL), "it has no name, or a temporary one");
        tap_ok(fstat(file.fd, &st) == 0 && (st.st_mode & 0777) == 0600, "only its user may read it");
        tap_status(imsg_write_all(file.fd, text, &err), IMSG_OK, &err, "write");
        tap_status(imsg_hidden_commit(&file, 0644, &err), IMSG_OK, &err, "commit");
        tap_ok(holds("d/hidden", "hidden") && mode_of("d/hidden") == 0644 && entries("d") == before + 1,
               "complete, with its mode, and alone");
    }
    tap_status(imsg_hidden_create(&file, "d/hidden", &err), IMSG_OK, &err, "create");
    imsg_file_abort(&file);
    tap_ok(holds("d/hidden", "hidden") && entries("d") == before + 1 && file.fd == -1, "abort leaves all as it was");
    tap_status(imsg_hidden_create(&file, "absent/x", &err), IMSG_CANNOT_CREATE, &err, "in no folder");
    tap_status(imsg_hidden_create(&file, "d", &err), IMSG_CANNOT_CREATE, &err, "in the place of a folder");
    unlink("d/hidden");
}

static void test_links(void)
{
    static const struct {
        const char *path, *end;
    } cases[] = {{"l/a", "l/file"},     {"l/b", "l/./sub/../file"}, {"l/file", "l/file"},     {"l/none", "l/none"},
                 {"l/out", "/nowhere"}, {"l/dangling", "l/absent"}, {"absent/x", "absent/x"}, {"l", "l"}};
    char *end = NULL;
    mkdir("l", 0777);
    put("l/file", "x");
    int failed = symlink("file", "l/a") | symlink("./sub/../file", "l/b") | symlink("/nowhere", "l/out") |
                 symlink("absent", "l/dangling") | symlink("loop", "l/loop");
    tap_ok(failed == 0, "links");
    for (size_t i = 0; i < COUNT(cases); i++) {
        tap_status(imsg_follow_links(cases[i].path, &end, &err), IMSG_OK, &err, "follow %s", cases[i].path);
        tap_ok(strcmp(end, cases[i].end) == 0, "to %s", end);
        free(end);
    }
    tap_status(imsg_follow_links("l/loop", &end, &err), IMSG_CANNOT_CREATE, &err, "a loop");
}

static void test_unnamed(void)
{
    int fd = -1;
    tap_status(imsg_unnamed_create("absent", 0600, &fd, &err), IMSG_CANNOT_CREATE, &err, "in no folder");
    tap_ok(imsg_unnamed_create("d", 0640, &fd, &err) == IMSG_OK &&
               imsg_write_all(fd, imsg_view_str("new"), &err) == IMSG_OK && entries("d") == 1,
           "a file that has no name");
    put("d/l", "l");
    put("d/l-1", "l-1");
    tap_status(imsg_unnamed_name(fd, "d/l", &err), IMSG_CONFLICT, &err, "the name is taken");
    tap_status(imsg_unnamed_name(fd, "d/l-1", &err), IMSG_CONFLICT, &err, "the next too");
    tap_ok(holds("d/l", "l") && holds("d/l-1", "l-1"), "both stay");
    tap_status(imsg_unnamed_name(fd, "d/l-2", &err), IMSG_OK, &err, "the third is free");
    tap_ok(holds("d/l-2", "new") && entries("d") == 4 && mode_of("d/l-2") == 0640, "and is the file");
    close(fd);

    /* One that was removed cannot be named, as on systems where no other is without a name. */
    fd = open("d/gone", O_RDWR | O_CREAT, 0640);
    unlink("d/gone");
    tap_ok(fd >= 0 && imsg_write_all(fd, imsg_view_str("copied"), &err) == IMSG_OK, "a file that was removed");
    tap_status(imsg_unnamed_name(fd, "d/l", &err), IMSG_CONFLICT, &err, "the name is taken");
    tap_status(imsg_unnamed_name(fd, "d/l-3", &err), IMSG_OK, &err, "another is free");
    tap_ok(holds("d/l-3", "copied") && entries("d") == 5 && mode_of("d/l-3") == 0640, "and is a copy");
    close(fd);
}

static void test_part(void)
{
    struct imsg_part part, other;
    tap_ok(imsg_part_open(&part, "d/p", false, 100, &err) == IMSG_OK && part.fd == -1, "there is no part");
    tap_ok(imsg_part_open(&part, "d/p", true, 100, &err) == IMSG_OK && part.fd >= 0 && part.size == 0, "make one");
    tap_ok(imsg_part_open(&other, "d/p", true, 100, &err) == IMSG_OK && other.fd == -1, "it is in use");
    tap_ok(imsg_write_all(part.fd, imsg_view_str("begin"), &err) == IMSG_OK, "write to it");
    imsg_part_keep(&part);
    tap_ok(part.fd == -1 && holds("d/.p.part", "begin"), "it stays");
    tap_ok(imsg_part_open(&part, "d/p", false, 5, &err) == IMSG_OK && part.size == 5, "it is found again");
    imsg_part_keep(&part);
    tap_ok(imsg_part_open(&part, "d/p", false, 4, &err) == IMSG_OK && part.size == 0, "one too long is emptied");
    imsg_part_remove(&part);
    tap_ok(access("d/.p.part", F_OK) != 0, "it is gone");
    tap_ok(symlink("l", "d/.p.part") == 0 && imsg_part_open(&part, "d/p", true, 9, &err) == IMSG_OK && part.fd == -1,
           "a link is no part");
    imsg_part_remove(&part);
    tap_ok(unlink("d/.p.part") == 0, "and stays");
}

/* Two processes create the same name many times: each time exactly one wins. */
static void test_race(void)
{
    int wins[2] = {0, 0};
    fflush(stdout);
    pid_t children[2];
    for (int who = 0; who < 2; who++) {
        children[who] = fork();
        if (children[who] == 0) {
            int won = 0;
            for (int i = 0; i < 100; i++) {
                char path[32];
                snprintf(path, sizeof path, "race/%d", i);
                enum imsg_status status =
                    imsg_write_file(path, imsg_view_str(who ? "b" : "a"), 0600, IMSG_NO_REPLACE, NULL);
                won += status == IMSG_OK;
                if (status != IMSG_OK && status != IMSG_CONFLICT)
                    _exit(255);
            }
            _exit(won);
        }
    }
    for (int who = 0; who < 2; who++) {
        int result = 0;
        waitpid(children[who], &result, 0);
        wins[who] = WEXITSTATUS(result);
    }
    tap_ok(wins[0] + wins[1] == 100 && entries("race") == 100, "one winner each time: %d and %d", wins[0], wins[1]);
}

static void test_mark(void)
{
    int before = entries("d");
    umask(022);
    tap_status(imsg_mark("d/mark", 0600, &err), IMSG_OK, &err, "a mark");
    tap_ok(holds("d/mark", "") && mode_of("d/mark") == 0600 && entries("d") == before + 1, "is an empty file");
    put("d/mark", "kept");
    tap_status(imsg_mark("d/mark", 0600, &err), IMSG_OK, &err, "it is there already");
    tap_ok(holds("d/mark", "kept"), "and stays as it is");
    tap_ok(imsg_mark("gone/mark", 0600, &err) == IMSG_CANNOT_CREATE && err.text[0] == '"', "no folder for it: %s",
           err.text);
    unlink("d/mark");
}

static void test_at(void)
{
    uint8_t bytes[8] = {0};
    size_t got = 0;
    int fd = open("at", O_RDWR | O_CREAT | O_TRUNC, 0600);
    tap_status(imsg_write_all(fd, imsg_view_str("0123456789"), &err), IMSG_OK, &err, "ten bytes");
    tap_status(imsg_write_at(fd, 3, imsg_view_str("abc"), &err), IMSG_OK, &err, "three in the middle");
    tap_status(imsg_write_all(fd, imsg_view_str("!"), &err), IMSG_OK, &err, "the position has stayed");
    tap_ok(holds("at", "012abc6789!"), "all at their places");
    tap_status(imsg_read_at(fd, 2, bytes, 4, &got, &err), IMSG_OK, &err, "read at a place");
    tap_ok(got == 4 && memcmp(bytes, "2abc", 4) == 0, "what is there");
    tap_status(imsg_read_at(fd, 8, bytes, sizeof bytes, &got, &err), IMSG_OK, &err, "read past the end");
    tap_ok(got == 3 && memcmp(bytes, "89!", 3) == 0, "what there is of it");
    close(fd);
    fd = open("at", O_RDONLY);
    tap_status(imsg_write_at(fd, 0, imsg_view_str("x"), &err), IMSG_IO, &err, "not open for writing");
    close(fd);
    tap_status(imsg_read_at(fd, 0, bytes, 1, &got, &err), IMSG_IO, &err, "closed");
}

static void test_folders(void)
{
    static const char *const good[] = {"m/a/b/c", "m/a/b/c", "m//x///y/", "m/a/../z", "./m/q", "/", ".", "linked/in"};
    static const char *const bad[] = {"", "five", "five/x", "m/file/x", "m/file", "loop/x", "dead", "/proc/x/y"};
    tap_ok(symlink("m", "linked") == 0 && symlink("gone", "dead") == 0, "links");
    for (size_t i = 0; i < COUNT(good); i++) {
        struct stat st;
        tap_status(imsg_make_folders(good[i], 0700, &err), IMSG_OK, &err, "make %s", good[i]);
        tap_ok(stat(good[i], &st) == 0 && S_ISDIR(st.st_mode), "is there");
    }
    tap_ok(mode_of("m") == 0700 && mode_of("m/a") == 0700 && mode_of("m/a/b/c") == 0700, "each with its mode");
    put("m/file", "x");
    for (size_t i = 0; i < COUNT(bad); i++)
        tap_ok(imsg_make_folders(bad[i], 0700, &err) == IMSG_CANNOT_CREATE && err.text[0] == '"', "no folder: %s",
               err.text);
    tap_ok(entries("m") == 6, "nothing else was made");

    static const char *const there[] = {"five", "m/a", "m/a/", "/x", "/", "", "m/not-there"};
    static const char *const not_there[] = {"gone/x", "five/x", "gone/x/"};
    for (size_t i = 0; i < COUNT(there); i++)
        tap_status(imsg_sync_folder_of(there[i], &err), IMSG_OK, &err, "sync the folder of \"%s\"", there[i]);
    for (size_t i = 0; i < COUNT(not_there); i++)
        tap_status(imsg_sync_folder_of(not_there[i], &err), IMSG_IO, &err, "there is no folder of \"%s\"",
                   not_there[i]);

    static const char *const joins[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"},
                                           {"", "b", "b"},    {"a", "", "a"},     {"a/b", "c", "a/b/c"}};
    for (size_t i = 0; i < COUNT(joins); i++) {
        char *path = NULL;
        tap_status(imsg_path_join(joins[i][0], joins[i][1], &path, &err), IMSG_OK, &err, "join");
        tap_ok(path && strcmp(path, joins[i][2]) == 0, "is %s", joins[i][2]);
        free(path);
    }
}

static void test_lock(void)
{
    static const char *const bad[] = {"", "d", "absent/x", "five/x", "lock-link"};
    int fd = -5, other = -1;
    tap_ok(symlink("five", "lock-link") == 0, "a link");
    for (size_t i = 0; i < COUNT(bad); i++) {
        tap_status(imsg_lock(bad[i], 0600, &fd, &err), IMSG_CANNOT_CREATE, &err, "lock \"%s\"", bad[i]);
        tap_ok(fd == -5, "says: %s", err.text);
    }
    tap_status(imsg_lock("lock", 0666, &fd, &err), IMSG_OK, &err, "lock");
    tap_ok(mode_of("lock") == 0600 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "mode 0600, closed on exec");
    other = open("lock", O_RDWR);
    tap_ok(flock(other, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK, "nobody else gets it");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int mine = -1;
        close(fd);
        close(other);
        interruptions(true);
        enum imsg_status status = imsg_lock("lock", 0600, &mine, NULL);
        interruptions(false);
        _exit(status == IMSG_OK && access("released", F_OK) == 0 ? 0 : 1);
    }
    usleep(30000);
    put("released", "");
    close(fd);
    int result = -1;
    waitpid(child, &result, 0);
    tap_ok(result == 0, "the next waits through interruptions until it is released");
    tap_ok(flock(other, LOCK_EX | LOCK_NB) == 0, "then it is free");
    close(other);
}

int main(void)
{
    char folder[] = "/tmp/imsg-t-io.XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0) {
        tap_ok(false, "cannot make a folder");
        return tap_done();
    }
    umask(022);
    mkdir("race", 0700);
    test_pipe(true);
    test_pipe(false);
    test_read_some();
    test_reset();
    test_write_fails();
    test_read();
    test_lines();
    test_create();
    test_commit();
    test_hidden();
    test_links();
    test_unnamed();
    test_part();
    test_race();
    test_mark();
    test_at();
    test_folders();
    test_lock();
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (chdir("/") != 0 || system(command) != 0)
        tap_ok(false, "cannot remove %s", folder);
    return tap_done();
}
