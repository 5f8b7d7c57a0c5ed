/* Which path and method belongs to which part. */
#ifndef IMSG_SERVE_ROUTES_H
#define IMSG_SERVE_ROUTES_H

struct request;

/* Set the request's route, verb, tail and state; answers 404 and 405. */
void route_request(struct request *request, const char *url, const char *method);

#endif
