/* What a process can give up: sandbox_linux.c (Landlock and seccomp), and its twin sandbox_posix.c, where there is
 * nothing of the kind. Each function does without what the kernel, or the build, does not have. */
#ifndef IMSG_CLI_SANDBOX_H
#define IMSG_CLI_SANDBOX_H

#include <stdbool.h>

enum sandbox_network {
    SANDBOX_SILENT,  /* none */
    SANDBOX_SERVING, /* connections that a socket open already accepts */
    SANDBOX_TALKING
};
enum sandbox_access {
    SANDBOX_READ, /* the file; of a folder all below it */
    SANDBOX_WRITE /* of a folder all below it is read, written, made, moved and removed; a file is read and written */
};

struct sandbox {
    enum sandbox_network network;
    int rules;    /* the files that will be left, a descriptor; -1: all of them */
    int version;  /* of Landlock; 0: none */
    bool filters; /* seccomp holds; known after sandbox_close */
};

void sandbox_start(struct sandbox *sandbox, enum sandbox_network network);
/* `path` stays. False: it cannot be opened. */
bool sandbox_allow(const struct sandbox *sandbox, const char *path, enum sandbox_access access);
/* From here on nothing else is left, for this thread and those that it starts. */
void sandbox_close(struct sandbox *sandbox);

#endif
