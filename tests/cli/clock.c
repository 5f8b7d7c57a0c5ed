/* clock.so, for LD_PRELOAD: a program under test sees another clock.
 *
 *   CLOCK_SPEED=N    the clocks run N times as fast, and poll's time-outs with them; 0: they stand still
 *   CLOCK_AHEAD=FILE they are ahead by as many seconds as FILE has bytes now (`truncate -s +30 FILE` is half a minute)
 *
 * Both the date and the monotonic clocks. A test program: it stands on its own. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define CLOCKS 12 /* numbers of clocks that Linux has */

static long long speed = 1, start[CLOCKS];
static const char *ahead;

static long long real(clockid_t clock)
{
    struct timespec at = {0};
    syscall(SYS_clock_gettime, clock, &at);
    return at.tv_sec * SECOND + at.tv_nsec;
}

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("CLOCK_SPEED");
    if (text)
        speed = strtoll(text, NULL, 10);
    ahead = getenv("CLOCK_AHEAD");
    for (int clock = 0; clock < CLOCKS; clock++)
        start[clock] = real(clock);
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
    struct stat st;
    if (clock < 0 || clock >= CLOCKS || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
        return (int)syscall(SYS_clock_gettime, clock, at);
    long long now = start[clock] + (real(clock) - start[clock]) * speed;
    if (ahead && stat(ahead, &st) == 0)
        now += st.st_size * SECOND;
    at->tv_sec = now / SECOND;
    at->tv_nsec = now % SECOND;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (out)
        *out = at.tv_sec;
    return at.tv_sec;
}

int poll(struct pollfd *fds, nfds_t count, int ms)
{
    long long ns = speed > 1 ? ms * 1000000LL / speed : ms * 1000000LL;
    struct timespec wait = {ns / SECOND, ns % SECOND};
    return (int)syscall(SYS_ppoll, fds, count, ms < 0 ? NULL : &wait, NULL, 0);
}

/* What poll is called where the compiler checks the size of the array. */
int __poll_chk(struct pollfd *fds, nfds_t count, int ms, size_t size);
int __poll_chk(struct pollfd *fds, nfds_t count, int ms, size_t size)
{
    (void)size;
    return poll(fds, count, ms);
}
