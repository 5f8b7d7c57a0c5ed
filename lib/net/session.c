/* What all connections of a run share: which origins are the user's own, and the end of it all. */
#include "imsg-net.h"

#include "base/json.h"
#include "net/http.h"
#include "net/remote.h"

enum imsg_status imsg_net_trust(struct imsg_net *net, const char *location, struct imsg_error *err)
{
    struct imsg_remote remote = {0};
    if (!imsg_location_is_remote(location))
        return IMSG_OK;
    enum imsg_status status = imsg_remote_open(&remote, "service", location, net, true, err);
    imsg_remote_free(&remote);
    return status;
}

void imsg_net_free(struct imsg_net *net)
{
    imsg_http_free(net->http);
    imsg_strings_free(net->origins, net->origin_count);
    net->http = NULL;
    net->origins = NULL;
    net->origin_count = 0;
}
