/* main() for a target without libFuzzer, one test point: all seeds in tests/fuzz/corpus/NAME pass, NAME being what
 * stands after "t-fuzz-" in the program's own name. Runs in the repository's root. With arguments it replays these
 * files instead, in the same process, for a debugger. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, scandir */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "fuzz.h"
#include "../unit/tap.h"

#define SEED_MAX 1048576 /* bytes */

static bool replay(const char *path)
{
    struct imsg_buf file = {0};
    struct imsg_error err;
    uint8_t *exact = NULL;
    if (imsg_read_file(path, SEED_MAX, &file, &err) != IMSG_OK) {
        printf("# %s\n", err.text);
        return false;
    }
    /* No byte more than the seed has, for valgrind and ASan to see a read behind it; never NULL, as with libFuzzer. */
    exact = malloc(file.len > 0 ? file.len : 1);
    MUST(exact != NULL);
    if (file.len > 0)
        memcpy(exact, file.ptr, file.len);
    LLVMFuzzerTestOneInput(exact, file.len);
    free(exact);
    imsg_buf_free(&file);
    return true;
}

/* What the child that replays tells its parent, which outlives a finding. */
struct progress {
    unsigned begun, done;
    char path[512];
};

static int replay_folder(const char *folder, struct progress *progress)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort), failed = count < 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && !failed) {
            progress->begun++;
            snprintf(progress->path, sizeof progress->path, "%s/%s", folder, entries[i]->d_name);
            failed = !replay(progress->path);
            progress->done += !failed;
        }
        free(entries[i]);
    }
    free(entries);
    return failed;
}

static void in_child(const char *name, struct progress *progress)
{
    char folder[256];
    int status = -1;
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", name);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        exit(replay_folder(folder, progress));
    bool ended = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    /* No seed at all is a failure: a test that reads nothing must not pass. */
    if (!tap_ok(ended && progress->done > 0, "%s: %u seeds replayed", name, progress->begun))
        printf("#   %s\n#   status 0x%x\n", progress->begun > 0 ? progress->path : folder, (unsigned)status);
}

int main(int argc, char **argv)
{
    static const char prefix[] = "t-fuzz-";
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    if (argc > 1) {
        bool good = true;
        for (int i = 1; i < argc; i++)
            good &= replay(argv[i]);
        return !good;
    }
    if (strncmp(name, prefix, sizeof prefix - 1) == 0)
        name += sizeof prefix - 1;
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(progress != MAP_FAILED);
    in_child(name, progress);
    munmap(progress, sizeof *progress);
    return tap_done();
}
