/* primitives: what lib/crypto costs a call.
 *
 *   primitives [SECONDS]      calls per second of each, one line each, SECONDS (default 0.5) long
 *   primitives WORK N [CORES] the primitives that N times this work cannot do without, and nothing else, shared out
 * over as many processes: what the rows of the benchmarks are held against. WORK is open, seal            a message of
 * 1 KiB in "pair-ec"; the device's record is checked already device                the same sealed, for a device whose
 * record is not seal-chunk, open-chunk  1 MiB of a sealed file attach                1 MiB of an attachment, either way
 *       file                  a new file of 2 KiB in the current folder, on the disk: written and synced */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/crypto.h"

#define KIB 1024

/* One of everything the calls need. */
static struct {
    struct imsg_p256 *device, *prekey;
    struct imsg_rsa *rsa;
    struct imsg_gcm *gcm;
    struct imsg_buf ec_pem, rsa_pem;
    uint8_t digest[32], signature[64], secret[32], block[IMSG_RSA_BYTES], okm[48];
    uint8_t text[KIB], large[1 << 20];
} with;

static void must(enum imsg_status status)
{
    if (status == IMSG_OK)
        return;
    fprintf(stderr, "primitives: %s\n", imsg_status_name(status));
    exit(1);
}

static struct imsg_view bytes(const void *ptr, size_t len)
{
    return imsg_view_of(ptr, len);
}

static const uint8_t *x_of(const struct imsg_p256 *key)
{
    return imsg_p256_point(key) + 1;
}

static void prepare(void)
{
    must(imsg_p256_generate_compact(&with.device, NULL));
    must(imsg_p256_generate_compact(&with.prekey, NULL));
    must(imsg_random(with.secret, sizeof with.secret, NULL));
    must(imsg_sha256(bytes(with.text, KIB), with.digest, NULL));
    must(imsg_p256_sign(with.device, bytes(with.digest, 32), with.signature, NULL));
}

/* What messages in "pair-ec" have no use for. */
static void prepare_rest(void)
{
    must(imsg_rsa_generate(&with.rsa, NULL));
    must(imsg_gcm_new(with.secret, &with.gcm, NULL));
    must(imsg_p256_to_pem(with.device, bytes("", 0), &with.ec_pem, NULL));
    must(imsg_rsa_to_pem(with.rsa, bytes("", 0), &with.rsa_pem, NULL));
    must(imsg_rsa_oaep_seal(imsg_rsa_modulus(with.rsa), bytes(with.text, 116), with.block, NULL));
}

static void release(void)
{
    imsg_p256_free(with.device);
    imsg_p256_free(with.prekey);
    imsg_rsa_free(with.rsa);
    imsg_gcm_free(with.gcm);
    imsg_buf_free(&with.ec_pem);
    imsg_buf_free(&with.rsa_pem);
}

/* ---- one call of each ---- */

static void random_32(void)
{
    must(imsg_random(with.secret, 32, NULL));
}

static void sha256_1k(void)
{
    uint8_t digest[32]; /* with.digest is what with.signature signs */
    must(imsg_sha256(bytes(with.text, KIB), digest, NULL));
}

static void hmac_1k(void)
{
    const struct imsg_view part = bytes(with.text, KIB);
    uint8_t mac[32];
    must(imsg_hmac_sha256(bytes(with.secret, 32), &part, 1, mac, NULL));
}

static void hkdf(void)
{
    must(imsg_hkdf_sha256(bytes(with.secret, 32), imsg_view_str("LastPawn-MessageKeys"), bytes("", 0), with.okm, 48,
                          NULL));
}

static void ctr_1k(void)
{
    must(imsg_aes256_ctr64(with.okm, with.okm + 32, with.text, with.text, KIB, NULL));
}

static void gcm_1m(void)
{
    static uint8_t nonce[12];
    uint8_t tag[16];
    must(imsg_gcm_seal(with.gcm, nonce,
                       &(struct imsg_gcm_data){bytes("", 0), with.large, with.large, sizeof with.large}, tag, NULL));
}

static void sha256_1m(void)
{
    uint8_t digest[32];
    must(imsg_sha256(bytes(with.large, sizeof with.large), digest, NULL));
}

static void sha1_1m(void)
{
    uint8_t digest[20];
    must(imsg_sha1(bytes(with.large, sizeof with.large), digest, NULL));
}

static void ctr_1m(void)
{
    must(imsg_aes256_ctr64(with.okm, with.okm + 32, with.large, with.large, sizeof with.large, NULL));
}

static void lift(void)
{
    uint8_t point[65];
    must(imsg_p256_lift(x_of(with.prekey), point, NULL));
}

static void check(void)
{
    must(imsg_p256_check(imsg_p256_point(with.prekey), NULL));
}

static void generate(void)
{
    struct imsg_p256 *key;
    must(imsg_p256_generate(&key, NULL));
    imsg_p256_free(key);
}

static void ecdh(void)
{
    must(imsg_p256_ecdh(with.device, imsg_p256_point(with.prekey), with.secret, NULL));
}

static void sign(void)
{
    must(imsg_p256_sign(with.device, bytes(with.digest, 32), with.signature, NULL));
}

static void verify(void)
{
    must(imsg_p256_verify(imsg_p256_point(with.device), bytes(with.digest, 32), with.signature, NULL));
}

static void oaep_seal(void)
{
    must(imsg_rsa_oaep_seal(imsg_rsa_modulus(with.rsa), bytes(with.text, 116), with.block, NULL));
}

static void oaep_open(void)
{
    uint8_t plain[IMSG_OAEP_MAX];
    size_t len;
    must(imsg_rsa_oaep_open(with.rsa, with.block, plain, &len, NULL));
}

static void ec_load(void)
{
    struct imsg_p256 *key;
    must(imsg_p256_from_pem(imsg_buf_view(&with.ec_pem), bytes("", 0), &key, NULL));
    imsg_p256_free(key);
}

static void rsa_load(void)
{
    struct imsg_rsa *key;
    must(imsg_rsa_from_pem(imsg_buf_view(&with.rsa_pem), bytes("", 0), &key, NULL));
    imsg_rsa_free(key);
}

static void rsa_keygen(void)
{
    struct imsg_rsa *key;
    must(imsg_rsa_generate(&key, NULL));
    imsg_rsa_free(key);
}

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    {"random, 32 bytes", random_32},
    {"SHA-256, 1 KiB", sha256_1k},
    {"HMAC-SHA-256, 1 KiB", hmac_1k},
    {"HKDF-SHA-256, 48 bytes", hkdf},
    {"AES-256-CTR, 1 KiB", ctr_1k},
    {"AES-256-CTR, 1 MiB", ctr_1m},
    {"AES-256-GCM, 1 MiB", gcm_1m},
    {"SHA-256, 1 MiB", sha256_1m},
    {"SHA-1, 1 MiB", sha1_1m},
    {"P-256 point from x", lift},
    {"P-256 point checked", check},
    {"P-256 ephemeral key", generate},
    {"P-256 ECDH", ecdh},
    {"P-256 sign", sign},
    {"P-256 verify", verify},
    {"P-256 key from PEM", ec_load},
    {"RSA-1280 OAEP seal", oaep_seal},
    {"RSA-1280 OAEP open", oaep_open},
    {"RSA-1280 key from PEM", rsa_load},
    {"RSA-1280 keygen", rsa_keygen},
};

/* ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(double seconds)
{
    prepare_rest();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        double start = now(), spent;
        long done = 0;
        do {
            for (int k = 0; k < 8; k++)
                calls[i].call();
            done += 8;
            spent = now() - start;
        } while (spent < seconds);
        printf("%-24s %12.0f /s %10.2f us\n", calls[i].name, (double)done / spent, spent / (double)done * 1e6);
    }
}

/* ---- work ---- */

static void open_message(void)
{
    lift(); /* the ephemeral key; the sender's is the same for all */
    ecdh();
    sha256_1k();
    verify();
    hkdf();
    ctr_1k();
}

static void seal_message(void)
{
    generate();
    ecdh();
    hkdf();
    ctr_1k();
    sha256_1k();
    sign();
}

static void seal_for_device(void)
{
    lift();   /* its device key, */
    lift();   /* its prekey, */
    verify(); /* and the one's signature of the other */
    seal_message();
}

static void seal_chunk(void)
{
    gcm_1m();
    sha256_1m();
    sign();
}

static void open_chunk(void)
{
    sha256_1m();
    verify();
    gcm_1m();
}

static void attach(void)
{
    ctr_1m();
    sha1_1m();
    sha256_1m();
}

static void sync_file(void)
{
    static unsigned number;
    char name[64];
    snprintf(name, sizeof name, "%ld.%u", (long)getpid(), number++);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || write(fd, with.large, 2 * KIB) != 2 * KIB || fsync(fd) != 0 || close(fd) != 0)
        must(IMSG_IO);
}

static const struct {
    const char *name;
    void (*once)(void);
} works[] = {
    {"open", open_message},     {"seal", seal_message}, {"device", seal_for_device}, {"seal-chunk", seal_chunk},
    {"open-chunk", open_chunk}, {"attach", attach},     {"file", sync_file},
};

/* Processes, so that no two share what they write to. */
static void share_out(void (*once)(void), long count, long cores)
{
    int result;
    for (long core = 0; core < cores; core++) {
        pid_t child = core + 1 < cores ? fork() : 0;
        if (child != 0)
            continue;
        for (long i = core; i < count; i += cores)
            once();
        if (core + 1 < cores)
            _exit(0);
    }
    while (wait(&result) > 0)
        if (result != 0)
            must(IMSG_INTERNAL);
}

int main(int argc, char **argv)
{
    size_t i = 0;
    while (argc > 2 && i < sizeof works / sizeof works[0] && strcmp(argv[1], works[i].name) != 0)
        i++;
    if (argc > 4 || i == sizeof works / sizeof works[0]) {
        fprintf(stderr, "usage: primitives [SECONDS | WORK N [CORES]]\n");
        return 64;
    }
    prepare();
    if (argc > 2) {
        must(imsg_gcm_new(with.secret, &with.gcm, NULL));
        share_out(works[i].once, strtol(argv[2], NULL, 10), argc == 4 ? strtol(argv[3], NULL, 10) : 1);
    } else {
        measure(argc == 2 ? strtod(argv[1], NULL) : 0.5);
    }
    release();
    return 0;
}
