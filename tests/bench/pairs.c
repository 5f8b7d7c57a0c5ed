/* pairs: run two commands in turn and print what each run cost. What a busy machine does to one it does to the other at
 * the same moment: the ratio within a pair is to be believed, the times are not.
 *
 *   pairs PAIRS REPEAT OURS... -- THEIRS...
 *
 * A word "<FILE", ">FILE" or "2>FILE" of a command is its standard input, output (default: /dev/null) or error. No
 * shell is between. A pair is REPEAT runs of each command, one after the other in turn, and as many of `true`, which
 * does nothing: what a spawn costs by itself. One line a pair: seconds of ours, theirs and true, all of REPEAT runs;
 * then the peak memory of one run of ours and of theirs in KiB. A command that fails ends it all with status 1. */
#define _GNU_SOURCE /* wait4 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

struct command {
    char **argv;
    const char *in, *out, *error; /* error: NULL, ours */
    double seconds;
    long peak; /* KiB */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Takes the words for input and output out of a command that ends with NULL. */
static struct command parse(char **words)
{
    struct command command = {.argv = words, .in = "/dev/null", .out = "/dev/null"};
    char **to = words;
    for (char **word = words; *word; word++) {
        if (**word == '<')
            command.in = *word + 1;
        else if (**word == '>')
            command.out = *word + 1;
        else if (strncmp(*word, "2>", 2) == 0)
            command.error = *word + 2;
        else
            *to++ = *word;
    }
    *to = NULL;
    return command;
}

static void run(struct command *command)
{
    posix_spawn_file_actions_t files;
    struct rusage usage;
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, command->in, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, command->out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (command->error)
        posix_spawn_file_actions_addopen(&files, 2, command->error, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    double start = now();
    int failed = posix_spawnp(&pid, command->argv[0], &files, NULL, command->argv, environ);
    while (!failed && wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    command->seconds += now() - start;
    posix_spawn_file_actions_destroy(&files);
    if (failed || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "pairs: %s: %s, status %d\n", command->argv[0], failed ? strerror(failed) : "failed",
                WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
        exit(1);
    }
    if (usage.ru_maxrss > command->peak)
        command->peak = usage.ru_maxrss;
}

int main(int argc, char **argv)
{
    char *nothing[] = {"true", NULL};
    int split = 3;
    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    if (split == 3 || split + 1 >= argc) {
        fprintf(stderr, "usage: pairs PAIRS REPEAT OURS... -- THEIRS...\n");
        return 64;
    }
    argv[split] = NULL;
    long pairs = strtol(argv[1], NULL, 10), repeat = strtol(argv[2], NULL, 10);
    struct command ours = parse(argv + 3), theirs = parse(argv + split + 1), idle = parse(nothing);
    run(&ours); /* once without counting: files come into memory */
    run(&theirs);
    for (long i = 0; i < pairs; i++) {
        ours.seconds = theirs.seconds = idle.seconds = 0;
        for (long k = 0; k < repeat; k++) {
            run(i % 2 ? &theirs : &ours); /* neither is always the one that follows the other */
            run(i % 2 ? &ours : &theirs);
            run(&idle);
        }
        printf("%.6f %.6f %.6f %ld %ld\n", ours.seconds, theirs.seconds, idle.seconds, ours.peak, theirs.peak);
        fflush(stdout);
    }
    return 0;
}
