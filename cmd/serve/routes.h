/* Which path and method belongs to which part. */
#ifndef IMSG_SERVE_ROUTES_H
#define IMSG_SERVE_ROUTES_H

#include "imsg.h"

struct request;

enum route { ROUTE_ENTRY, ROUTE_DEVICE, ROUTE_STORE, ROUTE_HEALTH, ROUTE_METRICS, ROUTE_NONE, ROUTE_COUNT };
extern const char *const route_names[ROUTE_COUNT];

/* Set the request's route, verb, tail and state; answers 404 and 405. */
void route_request(struct request *request, const char *url, const char *method);
/* Decode the 64 hex digits that `text` begins with. */
bool route_hash(const char *text, uint8_t out[static 32]);

#endif
