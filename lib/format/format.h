/* What a payload format is: one row of functions and facts, and nothing outside a format's own files asks which format
 * it is. To add one: write its file with its row, and name it here, at the end.
 *
 * A format has keys of its own in device records and identities; its row reads, checks, writes and makes them. Those of
 * "pair" and "pair-ec" are members of struct imsg_device and struct imsg_identity; another format keeps a struct of its
 * own in device->keys and identity->keys, under imsg_format_slot. */
#ifndef IMSG_FORMAT_FORMAT_H
#define IMSG_FORMAT_FORMAT_H

#include "format/trace.h"

/* A private file that is being read or written. */
struct imsg_identity_file {
    struct json_t *document;
    struct json_t *keys;         /* its member "keys" */
    struct imsg_view passphrase; /* of PEMs that are encrypted, or are to be; else empty */
};

/* What is shown to a person of a name that a row uses; kind is "value", "check", or that of a layout. */
struct imsg_meaning {
    const char *kind, *name, *text;
};

enum { IMSG_REPLAY_PARTS = 2 };

struct imsg_format {
    const char *name;
    uint32_t payload_limit; /* bytes of a payload that a device takes whose record does not say; more than a relay takes
                             * has no effect */
    bool counts;            /* sealing takes a counter for each recipient's key */
    /* A short tag can be guessed: of so many payloads a day may opening fail that are from one account by their
     * signature (may_be_from), before opening pauses (imsg_opener.once). 0: the tag is long. */
    uint32_t failures_a_day;
    const struct imsg_meaning *meanings; /* up to one without a name */

    /* Keys. Reading a document without the format's members is IMSG_OK: it does not offer the format. The functions
     * that check, rotate, free and trace may be NULL: there is nothing to do. */
    bool (*offered_by)(const struct imsg_device *device);
    enum imsg_status (*read_record)(const struct json_t *record, struct imsg_device *device, struct imsg_error *err);
    /* What is shown of a record's keys, as values. */
    void (*trace_record)(const struct imsg_device *device, struct imsg_trace *trace);
    const char *check_name; /* of check_record, where its result is shown */
    /* The signatures of a record's keys, before anything is sealed for it. Threads may ask at the same time. */
    enum imsg_status (*check_record)(const struct imsg_device *device, struct imsg_error *err);
    enum imsg_status (*write_record)(const struct imsg_identity *identity, struct json_t *record,
                                     struct imsg_error *err);
    void (*free_record)(struct imsg_device *device);
    bool (*usable_by)(const struct imsg_identity *identity);
    enum imsg_status (*read_identity)(const struct imsg_identity_file *file, struct imsg_identity *identity,
                                      struct imsg_error *err);
    enum imsg_status (*write_identity)(const struct imsg_identity *identity, const struct imsg_identity_file *file,
                                       struct imsg_error *err);
    /* What is shown: the public keys, or the private ones. */
    void (*trace_identity)(const struct imsg_identity *identity, bool private_keys, struct imsg_trace *trace);
    enum imsg_status (*generate_keys)(struct imsg_identity *identity, struct imsg_error *err);
    enum imsg_status (*rotate_keys)(struct imsg_identity *identity, struct imsg_error *err);
    void (*free_identity)(struct imsg_identity *identity);

    /* Payloads. `parts` are the format's own: what parse found, parts_size bytes. */
    size_t parts_size;
    bool (*begins)(struct imsg_view payload); /* it looks like one, by its first bytes */
    enum imsg_status (*parse)(struct imsg_view payload, void *parts, struct imsg_layout *layout,
                              struct imsg_error *err);
    /* Whether the device may be the sender, as far as shows without a private key. */
    bool (*may_be_from)(const void *parts, const struct imsg_device *device);
    /* The bytes that the signature covers, as the replay key has them (format.md §7): up to IMSG_REPLAY_PARTS views
     * into `parts` and the payload. Their number. What can be changed without a key is not among them. */
    size_t (*replay_parts)(const void *parts, struct imsg_view out[static IMSG_REPLAY_PARTS]);
    /* Append the payload. Sender and device have the format's keys, and check_record said yes. */
    enum imsg_status (*seal)(const struct imsg_identity *sender, const struct imsg_device *device, uint32_t counter,
                             struct imsg_view plaintext, struct imsg_buf *out, struct imsg_error *err);
    /* Append the plaintext. Either may lack the format's keys, and with a trace be NULL. The class of a failure is the
     * status; what it may tell its caller is imsg_open_payload's concern. IMSG_UNSUPPORTED: what shows without a key;
     * with a trace it goes on first. */
    enum imsg_status (*open)(struct imsg_identity *identity, const struct imsg_device *sender, const void *parts,
                             struct imsg_buf *plaintext, struct imsg_trace *trace, struct imsg_error *err);
};

/* Best first: the first one that both sides have is what a message is sealed with. */
#define IMSG_FORMAT_ROWS &imsg_format_pair_ec, &imsg_format_pair
/* Their names, as options take them. */
#define IMSG_FORMAT_NAMES "pair|pair-ec"
extern const struct imsg_format imsg_format_pair, imsg_format_pair_ec;

/* Row i, best first; NULL after the last. */
const struct imsg_format *imsg_format_at(size_t i);
/* The same from the last: the order in which documents have the formats' keys. */
const struct imsg_format *imsg_format_from_last(size_t i);
/* The format's place in device->keys and identity->keys. */
size_t imsg_format_slot(const struct imsg_format *format);
/* The format that a bare payload looks like, or NULL. */
const struct imsg_format *imsg_format_guess(struct imsg_view payload);
/* Parse a payload for its layout alone. The text of a failure names the format. */
IMSG_CHECK enum imsg_status imsg_format_lay_out(const struct imsg_format *format, struct imsg_view payload,
                                                struct imsg_layout *layout, struct imsg_error *err);
/* row->may_be_from, of a payload; false where that does not parse. */
bool imsg_format_may_be_from(const struct imsg_format *format, struct imsg_view payload,
                             const struct imsg_device *device);

#endif
