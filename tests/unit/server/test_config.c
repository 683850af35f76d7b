#include "server/config.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)

struct sizes {
    uint64_t free_bytes;
    uint64_t used_bytes;
    uint64_t threads;
    uint64_t spool_size; /* given, or 0 */
    uint64_t expected_spool;
    uint64_t expected_segment;
    uint64_t expected_limit;
};

static void sizes_follow_the_space(void **state)
{
    static const struct sizes cases[] = {
        /* half the free space, at most 16 GiB; spool / (8 x workers), 1 to 64 MiB; at most spool /
           4 */
        {100 * GIB, 0, 2, 0, 16 * GIB, 64 * MIB, 50 * MIB},
        {2 * GIB, 0, 2, 0, 1 * GIB, 64 * MIB, 50 * MIB},
        {1 * GIB, 1 * GIB, 2, 0, 1 * GIB, 64 * MIB, 50 * MIB},
        {100 * GIB, 0, 2, 64 * MIB, 64 * MIB, 4 * MIB, 16 * MIB},
        {100 * GIB, 0, 1, 8 * MIB, 8 * MIB, 1 * MIB, 2 * MIB},
        {100 * GIB, 0, 64, 1 * GIB, 1 * GIB, 2 * MIB, 50 * MIB},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config config = {.durability = CONFIG_PAGE,
                                .threads = cases[i].threads,
                                .spool_size = cases[i].spool_size};
        config_settle_sizes(&config, cases[i].free_bytes, cases[i].used_bytes);
        assert_int_equal(config.spool_size, cases[i].expected_spool);
        assert_int_equal(config.segment_size, cases[i].expected_segment);
        assert_int_equal(config.size_limit, cases[i].expected_limit);
    }
}

/* The exit status of settling the sizes in a child. */
static int status_of(struct config config)
{
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        config_settle_sizes(&config, 100 * GIB, 0);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    assert_int_equal(status_of((struct config){.threads = 4, .spool_size = 11 * MIB}), 2);
    assert_int_equal(status_of((struct config){.threads = 4, .spool_size = 12 * MIB}), 0);
    assert_int_equal(status_of((struct config){.durability = CONFIG_PAGE,
                                               .threads = 1,
                                               .spool_size = 64 * MIB,
                                               .size_limit = 17 * MIB}),
                     2);
    assert_int_equal(status_of((struct config){.durability = CONFIG_DISCARD,
                                               .threads = 1,
                                               .spool_size = 64 * MIB,
                                               .size_limit = 17 * MIB}),
                     0);
}

static void every_worker_has_a_cpu(void **state)
{
    struct config config;
    char program[] = "ringsink";
    char threads[] = "-t7";
    char quiet[] = "-q";
    char address[] = "127.0.0.1:2525";
    char *arguments[] = {program, threads, quiet, address, NULL};
    (void)state;
    config_load(&config, 4, arguments);
    assert_int_equal(config.threads, 7);
    assert_int_equal(config.listen_count, 1);
    assert_false(config.listens[0].is_default);
    assert_true(config.max_connections > 0);
    assert_true(strlen(config.hostname) > 0);
    for (int worker = 0; worker < 7; worker++)
        assert_true(config.cpus[worker] >= 0);
}

/* Loads with one or two options more. */
static void load(struct config *config, const char *option, const char *value)
{
    char words[5][64] = {"ringsink", "-q", "127.0.0.1:2525"};
    char *arguments[] = {words[0], words[1], words[2], words[3], words[4], NULL};
    int count = value != NULL ? 5 : 4;
    (void)snprintf(words[3], sizeof words[3], "%s", option);
    if (value != NULL) (void)snprintf(words[4], sizeof words[4], "%s", value);
    arguments[count] = NULL;
    config_load(config, count, arguments);
}

/* STARTTLS is not offered without TLS. */
#define OFFERS_WITHOUT_TLS (SMTP_OFFERS_EVERY & ~SMTP_OFFER(STARTTLS))

/* What EHLO then offers. */
static uint32_t offers_in_use(const struct config *config)
{
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    struct smtp_config smtp = {
        .hostname = BYTES("sink"), .recipients_max = 1, .offers = config_offers(config)};
    smtp_config_prepare(&smtp, text);
    return smtp.offers;
}

/* --no- and the keyword in small letters, each for its own bit and what an RFC bases on it. */
static void every_extension_can_be_switched_off(void **state)
{
    static const char *const keywords[] = {
#define KEYWORD(name, keyword) keyword,
        SMTP_EXTENSIONS(KEYWORD)
#undef KEYWORD
    };
    struct config config;
    (void)state;
    load(&config, "-4", NULL);
    assert_int_equal(offers_in_use(&config), OFFERS_WITHOUT_TLS);
    for (uint32_t i = 0; i < SMTP_EXTENSION_COUNT; i++) {
        if (i == SMTP_EXTENSION_STARTTLS) continue;
        char option[64] = "--no-";
        for (size_t at = 0; keywords[i][at] != '\0'; at++)
            option[5 + at] = (char)tolower((unsigned char)keywords[i][at]);
        load(&config, option, NULL);
        uint32_t off = 1u << i;
        assert_int_equal(config_offers(&config), OFFERS_WITHOUT_TLS & ~off);
        if (off == SMTP_OFFER(8BITMIME)) off |= SMTP_OFFER(SMTPUTF8);
        if (off == SMTP_OFFER(CHUNKING)) off |= SMTP_OFFER(BINARYMIME);
        assert_int_equal(offers_in_use(&config), OFFERS_WITHOUT_TLS & ~off);
    }
    load(&config, "--auth", "none");
    assert_int_equal(config_offers(&config), OFFERS_WITHOUT_TLS & ~SMTP_OFFER(AUTH));
    assert_null(config.credentials.entries);
}

/* Which addresses begin with a handshake, and whether STARTTLS is offered. */
static void tls_modes(void **state)
{
    struct config config;
    (void)state;
    load(&config, "-4", NULL);
    assert_int_equal(config.tls, CONFIG_TLS_OFF);
    load(&config, "--tls", "starttls");
    assert_int_equal(config_offers(&config), SMTP_OFFERS_EVERY);
    assert_int_equal(config.listen_count, 1);
    assert_false(config.listens[0].is_tls);
    load(&config, "--tls", "implicit");
    assert_int_equal(config_offers(&config), OFFERS_WITHOUT_TLS);
    assert_int_equal(config.listen_count, 1);
    assert_true(config.listens[0].is_tls);
    load(&config, "--tls", "both");
    assert_int_equal(config_offers(&config), SMTP_OFFERS_EVERY);
    assert_int_equal(config.listen_count, 3);
    assert_false(config.listens[0].is_tls);
    for (uint32_t i = 1; i < 3; i++) {
        assert_true(config.listens[i].is_tls);
        assert_true(config.listens[i].is_default);
        assert_int_equal(net_port(&config.listens[i].address), 2465);
    }
}

static void options_of_the_protocol(void **state)
{
    struct config config;
    (void)state;
    load(&config, "-4", NULL);
    assert_int_equal(config.bare_newline, SMTP_BARE_KEEP);
    assert_int_equal(config.max_bad_commands, 20);
    assert_int_equal(config.command_timeout_ns, 300000000000);
    assert_int_equal(config.min_data_rate, 500);
    assert_false(config.is_lmtp);
    assert_false(config.is_strict);
    assert_null(config.credentials.entries);
    load(&config, "--bare-newline", "reject");
    assert_int_equal(config.bare_newline, SMTP_BARE_REJECT);
    load(&config, "--bare-newline", "normalize");
    assert_int_equal(config.bare_newline, SMTP_BARE_NORMALIZE);
    load(&config, "-L", NULL);
    assert_true(config.is_lmtp);
    load(&config, "--strict", NULL);
    assert_true(config.is_strict);
    assert_false(config.has_strict_lines);
    load(&config, "--strict-lines", NULL);
    assert_true(config.has_strict_lines);
    load(&config, "--require-auth", NULL);
    assert_true(config.is_auth_required);
    load(&config, "--no-service", NULL);
    assert_true(config.is_out_of_service);
    load(&config, "--min-data-rate", "0");
    assert_int_equal(config.min_data_rate, 0);
    load(&config, "--min-data-rate", "2Ki");
    assert_int_equal(config.min_data_rate, 2048);
    load(&config, "--command-timeout", "1m");
    assert_int_equal(config.command_timeout_ns, 60000000000);
    load(&config, "--max-bad-commands", "65534");
    assert_int_equal(config.max_bad_commands, 65534);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_the_space),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(every_worker_has_a_cpu),
        cmocka_unit_test(every_extension_can_be_switched_off),
        cmocka_unit_test(tls_modes),
        cmocka_unit_test(options_of_the_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
