/* A folder of the test's own, and processes that take part in a test. Define _XOPEN_SOURCE 700 (nftw) before the first
 * include. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "imsg.h"

static char scratch[64] = "/tmp/imsg-unit-XXXXXX";

static inline void scratch_make(void)
{
    /* 0755: some tests act as another user. */
    if (!mkdtemp(scratch) || chmod(scratch, 0755) != 0) {
        perror(scratch);
        exit(1);
    }
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline void scratch_remove(void)
{
    nftw(scratch, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* "SCRATCH/a/b"; good until eight calls later. */
static inline const char *in_scratch(const char *a, const char *b)
{
    static char ring[8][512];
    static unsigned next;
    char *path = ring[next++ % 8];
    snprintf(path, sizeof ring[0], "%s/%s%s%s", scratch, a, *b ? "/" : "", b);
    return path;
}

static inline void put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static inline void set_age(const char *path, time_t seconds)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) != 0)
        perror(path);
}

static inline bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static inline unsigned mode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? (unsigned)st.st_mode & 07777 : 0;
}

static int count_links;
static inline int count_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)path;
    (void)st;
    count_links += kind != FTW_D && where->level > 0;
    return 0;
}

/* All that is no folder, at any depth. */
static inline int count_files(const char *folder)
{
    count_links = 0;
    nftw(folder, count_one, 16, FTW_PHYS);
    return count_links;
}

static inline pid_t start_child(int (*work)(void *), void *context)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(work(context));
    return pid;
}

/* Its exit status; -1 if a signal ended it. */
static inline int end_child(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct as_nobody {
    int (*work)(void *);
    void *context;
};

static inline int become_nobody(void *opaque)
{
    struct as_nobody *as = opaque;
    /* Modes do not hold for root. */
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 255;
    return as->work(as->context);
}

static inline int run_as_nobody(int (*work)(void *), void *context)
{
    struct as_nobody as = {work, context};
    return end_child(start_child(become_nobody, &as));
}

static inline double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
