/* pins.json: which account key a handle had when it was first seen. It is the only
 * protection against a directory that lies, so a file that cannot be read in full is an error and never an empty one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "imsg-net.h"

#define KIND "pins/1"
#define PINS_MAX (64 * 1048576) /* bytes; about 300,000 handles */

static enum imsg_status report_damage(const char *path, enum imsg_status status, struct imsg_error *err)
{
    if (status == IMSG_OK || status == IMSG_NO_MEMORY)
        return status;
    imsg_error_prefix(err, "pins file \"%s\"", path);
    if (err)
        err->status = IMSG_CONFIG;
    return IMSG_CONFIG;
}

/* True where the member is; false too where there is none. */
static enum imsg_status read_flag(const json_t *object, const char *member, bool *out, struct imsg_error *err)
{
    const json_t *value = json_object_get(object, member);
    *out = json_is_true(value);
    return !value || json_is_boolean(value) ? IMSG_OK
                                            : imsg_fail(err, IMSG_MALFORMED, "member \"%s\" is not a boolean", member);
}

static enum imsg_status write_flag(json_t *object, const char *member, bool value, struct imsg_error *err)
{
    if (value)
        return imsg_json_set(object, member, json_true(), err);
    json_object_del(object, member);
    return IMSG_OK;
}

static enum imsg_status read_pin(const char *handle, const json_t *object, struct imsg_pin *out, struct imsg_error *err)
{
    struct imsg_pin pin = {0};
    const char *account = NULL;
    bool unproven = false;
    enum imsg_status status = IMSG_MALFORMED;
    if (!imsg_handle_is_canonical(handle))
        status = imsg_fail(err, IMSG_MALFORMED, "not a canonical handle");
    else if (!json_is_object(object))
        status = imsg_fail(err, IMSG_MALFORMED, "not an object");
    else
        status = imsg_json_peek(object, "account", IMSG_REQUIRED, &account, err);
    if (status == IMSG_OK)
        status = imsg_thumbprint_check(account, err);
    if (status == IMSG_OK)
        status = imsg_json_integer(object, "seq", IMSG_REQUIRED, (struct imsg_range){1, IMSG_JSON_INTEGER_MAX},
                                   &pin.seq, err);
    if (status == IMSG_OK)
        status = imsg_json_hex(object, "payload", pin.hash, sizeof pin.hash, NULL, err);
    if (status == IMSG_OK)
        status = read_flag(object, "unconfirmed", &pin.unconfirmed, err);
    if (status == IMSG_OK)
        status = read_flag(object, "unproven", &unproven, err);
    pin.proven = !unproven;
    if (status == IMSG_OK) {
        memcpy(pin.thumbprint, account, sizeof pin.thumbprint);
        *out = pin;
    } else {
        imsg_error_prefix(err, "pin of \"%s\"", handle);
    }
    return status;
}

static enum imsg_status parse_pins(struct imsg_view text, json_t **out, struct imsg_error *err)
{
    json_t *json = NULL, *pins, *value;
    const char *handle;
    struct imsg_pin pin;
    enum imsg_status status = imsg_json_document(text, PINS_MAX, KIND, &json, err);
    if (status == IMSG_OK)
        status = imsg_json_object(json, "pins", IMSG_REQUIRED, &pins, err);
    if (status != IMSG_OK)
        goto out;
    json_object_foreach (pins, handle, value) {
        status = read_pin(handle, value, &pin, err);
        if (status != IMSG_OK)
            goto out;
    }
    *out = json;
    json = NULL;
out:
    json_decref(json);
    return status;
}

static enum imsg_status make_empty(json_t **out, struct imsg_error *err)
{
    json_t *json = json_object();
    enum imsg_status status =
        json ? imsg_json_set_string(json, "imsg", KIND, err) : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK)
        status = imsg_json_set(json, "pins", json_object(), err);
    if (status == IMSG_OK)
        *out = json;
    else
        json_decref(json);
    return status;
}

static enum imsg_status load_pins(const char *path, json_t **out, struct imsg_error *err)
{
    enum imsg_status status;
    struct imsg_buf text = {0};
    struct stat st;
    /* O_NONBLOCK: opening a FIFO would wait for its other end. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    /* lstat: a link whose target is missing is a file that cannot be read, not a missing one. */
    if (fd < 0 && errno == ENOENT && lstat(path, &st) != 0 && errno == ENOENT) {
        status = make_empty(out, err);
        goto out;
    }
    if (fd < 0 || fstat(fd, &st) != 0) {
        status = imsg_fail_errno(err, IMSG_IO, errno, "pins file \"%s\"", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        status = imsg_fail(err, IMSG_CONFIG, "pins file \"%s\": not a regular file", path);
        goto out;
    }
    status = imsg_read_all(fd, PINS_MAX, &text, err);
    if (status == IMSG_OK)
        status = report_damage(path, parse_pins(imsg_buf_view(&text), out, err), err);
    else
        imsg_error_prefix(err, "pins file \"%s\"", path);
out:
    if (fd >= 0)
        close(fd);
    imsg_buf_free(&text);
    return status;
}

enum imsg_status imsg_pins_open(const char *path, struct imsg_pins *pins, struct imsg_error *err)
{
    struct imsg_pins opened = {.lock = -1};
    struct imsg_buf lock = {0};
    enum imsg_status status = imsg_strdup(path, &opened.path, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&lock, path, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&lock, ".lock", err);
    if (status == IMSG_OK)
        status = imsg_lock((const char *)lock.ptr, 0600, &opened.lock, err);
    if (status == IMSG_OK)
        status = load_pins(path, &opened.json, err);
    if (status == IMSG_OK)
        *pins = opened;
    else
        imsg_pins_close(&opened);
    imsg_buf_free(&lock);
    return status;
}

enum imsg_status imsg_pins_get(const struct imsg_pins *pins, const char *handle, struct imsg_pin *out, bool *found,
                               struct imsg_error *err)
{
    json_t *all = NULL;
    enum imsg_status status = imsg_json_object(pins->json, "pins", IMSG_REQUIRED, &all, err);
    if (status != IMSG_OK)
        return report_damage(pins->path, status, err);
    const json_t *object = json_object_get(all, handle);
    if (object) {
        status = report_damage(pins->path, read_pin(handle, object, out, err), err);
        if (status != IMSG_OK)
            return status;
    }
    *found = object != NULL;
    return IMSG_OK;
}

enum imsg_status imsg_pins_set(struct imsg_pins *pins, const char *handle, const struct imsg_pin *pin,
                               struct imsg_error *err)
{
    json_t *all = NULL, *object;
    struct imsg_pin old, checked;
    bool found = false;
    enum imsg_status status = imsg_pins_get(pins, handle, &old, &found, err);
    if (status != IMSG_OK)
        return status;
    if (found && strcmp(old.thumbprint, pin->thumbprint) == 0 && old.seq == pin->seq &&
        memcmp(old.hash, pin->hash, sizeof old.hash) == 0 && old.unconfirmed == pin->unconfirmed &&
        old.proven == pin->proven)
        return IMSG_OK;
    status = imsg_json_object(pins->json, "pins", IMSG_REQUIRED, &all, err);
    if (status != IMSG_OK)
        return status;
    /* Into a copy first: what does not pass the reader's own checks must not get in. */
    object = found ? json_copy(json_object_get(all, handle)) : json_object();
    status = object ? imsg_json_set_string(object, "account", pin->thumbprint, err)
                    : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK)
        status = imsg_json_set(object, "seq", json_integer((json_int_t)pin->seq), err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "payload", imsg_view_of(pin->hash, sizeof pin->hash), err);
    if (status == IMSG_OK)
        status = write_flag(object, "unconfirmed", pin->unconfirmed, err);
    if (status == IMSG_OK)
        status = write_flag(object, "unproven", !pin->proven, err);
    if (status == IMSG_OK)
        status = read_pin(handle, object, &checked, err);
    if (status == IMSG_OK)
        status = imsg_json_set(all, handle, json_incref(object), err);
    if (status == IMSG_OK)
        pins->changed = true;
    json_decref(object);
    return status;
}

enum imsg_status imsg_pins_remove(struct imsg_pins *pins, const char *handle, struct imsg_error *err)
{
    json_t *all = NULL;
    enum imsg_status status = imsg_json_object(pins->json, "pins", IMSG_REQUIRED, &all, err);
    if (status != IMSG_OK)
        return report_damage(pins->path, status, err);
    pins->changed |= json_object_del(all, handle) == 0;
    return IMSG_OK;
}

enum imsg_status imsg_pins_save(struct imsg_pins *pins, struct imsg_error *err)
{
    struct imsg_buf text = {0};
    enum imsg_status status = IMSG_OK;
    if (!pins->changed)
        goto out;
    status = imsg_json_print(pins->json, &text, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(&text, "\n", 1, err);
    if (status == IMSG_OK)
        status = imsg_write_file(pins->path, imsg_buf_view(&text), 0600, IMSG_REPLACE, err);
    if (status == IMSG_OK)
        pins->changed = false;
    else
        imsg_error_prefix(err, "pins file");
out:
    imsg_buf_free(&text);
    return status;
}

void imsg_pins_close(struct imsg_pins *pins)
{
    /* path tells whether it was opened: in {0} the descriptor 0 is standard input. */
    if (!pins->path)
        return;
    json_decref(pins->json);
    if (pins->lock >= 0)
        close(pins->lock);
    free(pins->path);
    *pins = (struct imsg_pins){.lock = -1};
}
