/* A user with one device, in memory. */
#ifndef USER_H
#define USER_H

#include <stdio.h>
#include <stdlib.h>

#include "imsg.h"

struct user {
    struct imsg_identity identity;
    struct imsg_device device;
};

/* Fails by ending the program. */
static inline void make_user(struct user *user, const char *handle)
{
    struct imsg_error err = {0};
    if (imsg_identity_generate(&handle, 1, "device", NULL, &user->identity, &err) != IMSG_OK ||
        imsg_identity_device(&user->identity, &user->device, &err) != IMSG_OK) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
}

static inline void free_user(struct user *user)
{
    imsg_device_free(&user->device);
    imsg_identity_free(&user->identity);
}

#endif
