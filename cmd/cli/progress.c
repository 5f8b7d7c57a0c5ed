/* How far a long transfer is, in one line of a terminal that is written over and gone at the end. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum { PATIENCE = 500, REFRESH = 100 }; /* ms before the first line, and between two */
#define NAME_SHOWN 40                   /* bytes of a name */

static void show(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text)); /* a failure to show progress is no failure of the transfer */
}

/* "1.5 GiB": three digits at most. */
static void print_size(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1024;
    snprintf(out, size, unit > 0 && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

/* "1:05" or "2:03:20". */
static void print_time(double seconds, char *out, size_t size)
{
    unsigned long s = seconds < 3600.0 * 1000 ? (unsigned long)(seconds + 0.5) : 3600UL * 1000;
    if (s < 3600)
        snprintf(out, size, "%lu:%02lu", s / 60, s % 60);
    else
        snprintf(out, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

static void progress(void *context, uint64_t done, uint64_t size)
{
    struct cli_progress *state = context;
    uint64_t now = imsg_monotonic();
    char rate[32], amount[32], left[32], line[256];
    if (!state->started || done < state->done) { /* the beginning, or that of the sending of what was encrypted */
        state->from = done;
        state->started = now;
    }
    state->done = done;
    if (now - state->begun < PATIENCE || (state->shown && now - state->shown < REFRESH))
        return;
    state->shown = now;
    double seconds = (double)(now - state->started) / 1000, speed = 0;
    if (seconds > 0)
        speed = (double)(done - state->from) / seconds;
    print_size(speed, rate, sizeof rate);
    print_size((double)done, amount, sizeof amount);
    int len = snprintf(line, sizeof line, "\r%s  ", state->name);
    size_t room = sizeof line - (size_t)len;
    if (size > 0 && done <= size && speed > 0) {
        print_time((double)(size - done) / speed, left, sizeof left);
        snprintf(line + len, room, "%3.0f%%  %s  %s/s  %s left\033[K", 100.0 * (double)done / (double)size, amount,
                 rate, left);
    } else {
        snprintf(line + len, room, "%s  %s/s\033[K", amount, rate);
    }
    show(line);
}

void cli_progress_start(const struct cli *cli, const char *name, struct cli_progress *state)
{
    struct imsg_buf escaped = {0};
    *state = (struct cli_progress){.how.threads = cli_jobs(cli), .begun = imsg_monotonic()};
    if (cli->quiet || !isatty(STDERR_FILENO))
        return;
    size_t len = strlen(name);
    if (len > NAME_SHOWN) { /* its end tells more; never from the middle of a character */
        for (name += len - NAME_SHOWN; ((unsigned char)*name & 0xc0) == 0x80; name++)
            ;
    }
    if (imsg_escape(imsg_view_str(name), &escaped, NULL) == IMSG_OK && escaped.ptr)
        snprintf(state->name, sizeof state->name, "%s", (const char *)escaped.ptr);
    imsg_buf_free(&escaped);
    state->how.progress = progress;
    state->how.context = state;
}

void cli_progress_end(struct cli_progress *state)
{
    if (state->shown)
        show("\r\033[K");
    state->shown = 0;
}
