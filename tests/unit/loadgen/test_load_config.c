#include "loadgen/load_config.h"

#include "loadgen/load_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 32

static struct load_config config;
static char error[LOAD_CONFIG_ERROR_MAX];

/* Reads a command line, its words apart by one blank. */
static enum load_config_outcome read_line(const char *line)
{
    static char copy[400];
    char *argv[WORDS_MAX + 1] = {(char *)(uintptr_t) "loadgen"};
    int argc = 1;

    (void)strncpy(copy, line, sizeof copy - 1);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    assert_true(argc <= WORDS_MAX);
    error[0] = '\0';
    return load_config_read(&config, argc, argv, error);
}

static void assert_wrong(const char *line, const char *part)
{
    assert_int_equal(read_line(line), LOAD_CONFIG_WRONG);
    if (strstr(error, part) == NULL) fail_msg("'%s' is not in '%s'", part, error);
}

static void test_defaults(void **state)
{
    char text[NET_TEXT_MAX];
    (void)state;

    assert_int_equal(read_line(""), LOAD_CONFIG_READY);
    assert_int_equal(config.connections, 10);
    assert_int_equal(config.threads, 0);
    assert_true(config.duration_ns == 10000000000ull);
    assert_true(config.messages == LOAD_UNLIMITED);
    assert_true(config.per_connection == LOAD_UNLIMITED);
    assert_int_equal(config.length.slots[0], 10000);
    assert_int_equal(config.recipients, 1);
    assert_int_equal(config.pipelining, LOAD_PIPELINING_AUTO);
    assert_int_equal(config.address_count, 1);
    assert_string_equal(net_format(text, &config.addresses[0]), "127.0.0.1:2525");
    assert_int_equal(read_line("-6"), LOAD_CONFIG_READY);
    assert_string_equal(net_format(text, &config.addresses[0]), "[::1]:2525");
}

static void test_every_option(void **state)
{
    (void)state;
    assert_int_equal(read_line("-c 10k -t 3 -d 1m -n 5M -k 7 -l 1Ki -f a@b --to c@d -r 9 -S hi"),
                     LOAD_CONFIG_READY);
    assert_int_equal(config.connections, 10000);
    assert_int_equal(config.threads, 3);
    assert_true(config.duration_ns == 60000000000ull);
    assert_int_equal(config.messages, 5000000);
    assert_int_equal(config.per_connection, 7);
    assert_int_equal(config.length.slots[0], 1024);
    assert_string_equal(config.sender, "a@b");
    assert_string_equal(config.recipient, "c@d");
    assert_int_equal(config.recipients, 9);
    assert_string_equal(config.subject, "hi");
    assert_int_equal(read_line("-s 4 -m 6 -k inf -M me --seed 5 --pipelining stream --timeout 2s"),
                     LOAD_CONFIG_READY);
    assert_int_equal(config.connections, 4);
    assert_int_equal(config.messages, 6);
    assert_true(config.duration_ns == LOAD_UNLIMITED); /* a count takes the place of the time */
    assert_true(config.per_connection == LOAD_UNLIMITED);
    assert_string_equal(config.helo, "me");
    assert_int_equal(config.seed, 5);
    assert_int_equal(config.pipelining, LOAD_PIPELINING_STREAM);
    assert_true(config.timeout_ns == 2000000000ull);
    assert_int_equal(read_line("--ledger l -o - --no-histogram -q -v -4 -A -N --cpus 0 --progress "
                               "none"),
                     LOAD_CONFIG_READY);
    assert_string_equal(config.ledger, "l");
    assert_string_equal(config.output, "-");
    assert_true(config.no_histogram && config.is_quiet && config.is_verbose && config.only_v4);
    assert_int_equal(CPU_COUNT(&config.cpus), 1);
    assert_int_equal(config.progress, LOAD_PROGRESS_NONE);
    assert_int_equal(read_line("-f <>"), LOAD_CONFIG_READY);
    assert_string_equal(config.sender, "");
}

static void test_targets(void **state)
{
    char text[NET_TEXT_MAX];
    (void)state;

    assert_int_equal(read_line("127.0.0.9"), LOAD_CONFIG_READY);
    assert_string_equal(net_format(text, &config.addresses[0]), "127.0.0.9:25");
    assert_int_equal(read_line("127.0.0.9:2600"), LOAD_CONFIG_READY);
    assert_string_equal(net_format(text, &config.addresses[0]), "127.0.0.9:2600");
    assert_int_equal(read_line("[::1]:26"), LOAD_CONFIG_READY);
    assert_string_equal(net_format(text, &config.addresses[0]), "[::1]:26");
    /* All interfaces of a server are this host to a client. */
    assert_int_equal(read_line("-4 :2600"), LOAD_CONFIG_READY);
    assert_string_equal(net_format(text, &config.addresses[0]), "127.0.0.1:2600");
    assert_wrong("127.0.0.1:1 127.0.0.1:2", "127.0.0.1:2");
    assert_int_equal(read_line("unix:/tmp/x"), LOAD_CONFIG_READY);
    assert_string_equal(net_format(text, &config.addresses[0]), "unix:/tmp/x");
    assert_wrong("-4 -6", "-4 and -6");
}

static void test_open_loop(void **state)
{
    (void)state;
    assert_int_equal(read_line("-d 20s"), LOAD_CONFIG_READY);
    assert_true(config.rate_per_s == 0);
    assert_true(config.warmup_ns == 2000000000ull);
    assert_int_equal(read_line("-n 100"), LOAD_CONFIG_READY);
    assert_true(config.warmup_ns == 0);
    assert_int_equal(read_line("-n 100 --warmup 1s"), LOAD_CONFIG_READY);
    assert_true(config.warmup_ns == 1000000000ull);
    assert_int_equal(read_line("-R 50k --arrival burst:20 --warmup 0 --ramp 3s"),
                     LOAD_CONFIG_READY);
    assert_true(config.rate_per_s == 50000);
    assert_true(config.backlog == 500000);
    assert_true(config.warmup_ns == 0);
    assert_true(config.ramp_ns == 3000000000ull);
    assert_int_equal(config.arrival.arrival, LOAD_ARRIVAL_BURST);
    assert_int_equal(config.arrival.burst, 20);
    assert_int_equal(read_line("-R 5 --max-backlog 7"), LOAD_CONFIG_READY);
    assert_true(config.backlog == 7);
    assert_int_equal(config.arrival.arrival, LOAD_ARRIVAL_POISSON);
}

static void test_tls(void **state)
{
    (void)state;
    assert_int_equal(read_line("127.0.0.1:25"), LOAD_CONFIG_READY);
    assert_int_equal(config.tls, LOAD_TLS_OFF);
    assert_null(config.tls_name);
    assert_int_equal(read_line("--tls starttls localhost:25"), LOAD_CONFIG_READY);
    assert_int_equal(config.tls, LOAD_TLS_STARTTLS);
    assert_string_equal(config.tls_name, "localhost");
    assert_false(config.tls_verifies || config.tls_resumes);
    assert_int_equal(
        read_line("--tls implicit --tls-resume --tls-verify --tls-ca x --tls-name mx.test [::1]"),
        LOAD_CONFIG_READY);
    assert_int_equal(config.tls, LOAD_TLS_IMPLICIT);
    assert_true(config.tls_verifies && config.tls_resumes);
    assert_string_equal(config.tls_ca, "x");
    assert_string_equal(config.tls_name, "mx.test");
}

/* Of a target without a host: that of the address it stands for. */
static void test_the_name_is_the_targets(void **state)
{
    static const char *const targets[][2] = {{"--tls implicit 127.0.0.1:25", "127.0.0.1"},
                                             {"--tls implicit -4 :2600", "127.0.0.1"},
                                             {"--tls implicit -6 2600", "::1"},
                                             {"--tls implicit [::1]:26", "::1"},
                                             {"--tls implicit ::1", "::1"},
                                             {"--tls implicit inet:localhost:26", "localhost"},
                                             {"--tls implicit", "127.0.0.1"}};
    (void)state;

    for (size_t index = 0; index < sizeof targets / sizeof targets[0]; index++) {
        assert_int_equal(read_line(targets[index][0]), LOAD_CONFIG_READY);
        assert_string_equal(config.tls_name, targets[index][1]);
    }
    assert_int_equal(read_line("--tls implicit unix:/tmp/x"), LOAD_CONFIG_READY);
    assert_null(config.tls_name);
    assert_wrong("--tls implicit --tls-verify unix:/tmp/x", "--tls-name NAME");
    assert_int_equal(read_line("--tls implicit --tls-verify --tls-name a unix:/tmp/x"),
                     LOAD_CONFIG_READY);
}

static void test_tls_that_goes_unused_is_refused(void **state)
{
    (void)state;
    assert_wrong("--tls-ca x", "--tls-ca goes with --tls starttls");
    assert_wrong("--tls off --tls-verify", "--tls-verify goes with");
    assert_wrong("--tls-resume", "--tls-resume goes with");
    assert_wrong("--tls-name x", "--tls-name goes with");
    assert_wrong("--tls implicit --tls-ca x", "only --tls-verify looks");
    assert_wrong("--tls on", "starttls");
    assert_wrong("--tls implicit --tls-name a<b", "--tls-name");
}

static void test_wrong_values(void **state)
{
    (void)state;
    assert_wrong("-d", "smtp-source's -d is the default here; see -k");
    assert_wrong("-d -c 5", "smtp-source's -d is the default here; see -k");
    assert_wrong("-d soon", "smtp-source's -d is the default here; see -k");
    assert_wrong("-c 0", "connections");
    assert_wrong("-t user@sink.test", "recipients are --to");
    assert_wrong("-n 0", "messages");
    assert_wrong("-k 0", "try 1, 100, 1-5, inf");
    assert_wrong("-k many", "try 1, 100, 1-5, inf");
    assert_wrong("-l 1", "CR LF");
    assert_wrong("-r 100000", "recipients");
    assert_wrong("--pipelining on", "pipelining");
    assert_wrong("--cpus 1-", "0,2-3");
    assert_wrong("--cpus 1023", "allowed");
    assert_wrong("--rate x", "--rate");
    assert_wrong("-R 5 --arrival bursts", "poisson, uniform, burst:100");
    assert_wrong("--max-backlog 5", "goes with -R");
    assert_wrong("-f a<b", "from");
    assert_wrong("--to <a@b>", "--to");
}

/* What would be a second command if it got onto the wire. */
static void test_no_text_becomes_a_command(void **state)
{
    static const char *const options[] = {"-f", "--to", "-M", "-S"};
    (void)state;

    for (size_t index = 0; index < sizeof options / sizeof options[0]; index++) {
        char *argv[] = {(char *)(uintptr_t) "loadgen", (char *)(uintptr_t)options[index],
                        (char *)(uintptr_t) "a@b\r\nQUIT", NULL};
        assert_int_equal(load_config_read(&config, 3, argv, error), LOAD_CONFIG_WRONG);
    }
}

static struct net_address address(const char *text)
{
    struct net_address found;
    char reason[NET_ERROR_MAX];
    assert_int_equal(net_resolve(text, 25, AF_UNSPEC, &found, 1, reason), 1);
    return found;
}

static void test_public_addresses(void **state)
{
    static const char *const private_ones[] = {
        "127.0.0.1",  "127.255.255.255", "10.0.0.1",    "10.255.255.255",      "172.16.0.1",
        "172.31.9.9", "192.168.0.1",     "169.254.1.1", "100.64.0.1",          "100.127.255.255",
        "[::1]",      "[fe80::1]",       "[fc00::1]",   "[fdff:ffff::1]:2525", "[::ffff:10.1.2.3]"};
    static const char *const public_ones[] = {
        "9.255.255.255",    "11.0.0.0",    "172.15.255.255", "172.32.0.0",  "192.167.255.255",
        "192.169.0.0",      "169.253.0.1", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0",        "8.8.8.8",     "[2001:db8::1]",  "[fb00::1]",   "[fe00::1]",
        "[::ffff:8.8.8.8]", "[ff02::1]",   "[::2]"};
    (void)state;

    for (size_t index = 0; index < sizeof private_ones / sizeof private_ones[0]; index++) {
        struct net_address found = address(private_ones[index]);
        if (!load_target_is_private(&found)) fail_msg("%s is private", private_ones[index]);
    }
    for (size_t index = 0; index < sizeof public_ones / sizeof public_ones[0]; index++) {
        struct net_address found = address(public_ones[index]);
        if (load_target_is_private(&found)) fail_msg("%s is public", public_ones[index]);
    }
    assert_wrong("8.8.8.8:25", "--allow-public");
    assert_int_equal(read_line("--allow-public 8.8.8.8:25"), LOAD_CONFIG_READY);
}

static void test_lists_of_cpus(void **state)
{
    static const char *const wrong[] = {"", ",", "1,", "-1", "3-1", "a", "1 2", "0-99999", "1--2"};
    cpu_set_t cpus;
    (void)state;

    assert_true(load_config_parse_cpus("5", &cpus));
    assert_true(CPU_COUNT(&cpus) == 1 && CPU_ISSET(5, &cpus));
    assert_true(load_config_parse_cpus("0-3,7,9-9", &cpus));
    assert_true(CPU_COUNT(&cpus) == 6 && CPU_ISSET(2, &cpus) && CPU_ISSET(9, &cpus));
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++)
        assert_false(load_config_parse_cpus(wrong[index], &cpus));
}

static void test_the_environment_sets_options(void **state)
{
    (void)state;
    assert_int_equal(setenv("LOADGEN_CONNECTIONS", "77", 1), 0);
    assert_int_equal(read_line(""), LOAD_CONFIG_READY);
    assert_int_equal(config.connections, 77);
    assert_int_equal(read_line("-c 5"), LOAD_CONFIG_READY);
    assert_int_equal(config.connections, 5);
    assert_int_equal(unsetenv("LOADGEN_CONNECTIONS"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_open_loop),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_the_name_is_the_targets),
        cmocka_unit_test(test_tls_that_goes_unused_is_refused),
        cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_no_text_becomes_a_command),
        cmocka_unit_test(test_public_addresses),
        cmocka_unit_test(test_lists_of_cpus),
        cmocka_unit_test(test_the_environment_sets_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
