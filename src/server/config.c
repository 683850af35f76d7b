#include "server/config.h"

#include "base/exit_codes.h"
#include "base/log.h"
#include "base/units.h"
#include "server/config_options.h"
#include "tls/tls_context.h"
#include "version.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB      1024ull
#define MIB      (1024 * KIB)
#define GIB      (1024 * MIB)
#define NS_PER_S 1000000000ull
#define PAGE     4096ull

#define DEFAULT_PORT            2525
#define DEFAULT_TLS_PORT        2465
#define CONNECTIONS_DEFAULT_MAX 65536
#define TLS_TIMEOUT_NS          (10 * NS_PER_S)
#define TLS_HANDSHAKES          1000
/* Descriptors for what is no connection: rings, listeners, segments, the log. */
#define DESCRIPTORS_RESERVED      64
#define DESCRIPTORS_PER_WORKER    16
#define SEGMENT_SIZE_MAX          (64 * MIB)
#define SEGMENTS_PER_WORKER_MIN   3
#define SEGMENTS_PER_WORKER_USUAL 8
#define SPOOL_SIZE_DEFAULT_MAX    (16 * GIB)
#define SIZE_LIMIT_DEFAULT        (50 * MIB)
#define SMTP_PORT                 25

/* cpu.max of this process's own cgroup as whole CPUs, rounded up; 0: no limit. */
static uint64_t cgroup_cpus(void)
{
    char group[512] = "";
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL) return 0;
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0::", 3) != 0) continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(group, sizeof group, "%s", line + 3);
    }
    (void)fclose(file);
    char path[600];
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    file = fopen(path, "re");
    if (file == NULL) return 0;
    unsigned long long quota = 0;
    unsigned long long period = 0;
    int fields = fscanf(file, "%llu %llu", &quota, &period); /* "max 100000": no number, no limit */
    (void)fclose(file);
    return fields == 2 && period > 0 ? (quota + period - 1) / period : 0;
}

static void choose_threads(struct config *config)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) CPU_SET(0, &allowed);
    uint64_t count = (uint64_t)CPU_COUNT(&allowed);
    uint64_t limit = cgroup_cpus();
    if (config->threads == 0) {
        config->threads = limit > 0 && limit < count ? limit : count;
        if (config->threads > CONFIG_THREADS_MAX) config->threads = CONFIG_THREADS_MAX;
    }
    uint32_t worker = 0;
    while (worker < config->threads) /* more workers than CPUs share them in turn */
        for (unsigned cpu = 0; cpu < CPU_SETSIZE && worker < config->threads; cpu++)
            if (CPU_ISSET(cpu, &allowed)) config->cpus[worker++] = (int)cpu;
}

static void choose_connections(struct config *config)
{
    uint64_t limit = net_raise_descriptor_limit();
    uint64_t reserve = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_WORKER * config->threads;
    if (limit <= reserve)
        die(EXIT_CODE_USAGE,
            "only %llu file descriptors are allowed; raise it with: ulimit -n 65536",
            (unsigned long long)limit);
    uint64_t most = limit - reserve;
    if (config->max_connections > most)
        die(EXIT_CODE_USAGE,
            "-m %llu needs more file descriptors than the limit of %llu; raise it with: ulimit -n "
            "%llu",
            (unsigned long long)config->max_connections, (unsigned long long)limit,
            (unsigned long long)(config->max_connections + reserve));
    if (config->max_connections == 0)
        config->max_connections = most < CONNECTIONS_DEFAULT_MAX ? most : CONNECTIONS_DEFAULT_MAX;
}

static void choose_hostname(struct config *config)
{
    if (config->hostname == NULL) {
        if (gethostname(config->hostname_text, CONFIG_HOSTNAME_MAX) != 0)
            (void)snprintf(config->hostname_text, sizeof config->hostname_text, "localhost");
        config->hostname = config->hostname_text;
    }
    size_t size = strlen(config->hostname);
    if (size == 0 || size > CONFIG_HOSTNAME_MAX)
        die(EXIT_CODE_USAGE, "--hostname takes a name of 1 to %d octets", CONFIG_HOSTNAME_MAX);
    for (size_t i = 0; i < size; i++)
        if (!isgraph((unsigned char)config->hostname[i]))
            die(EXIT_CODE_USAGE, "--hostname takes printable ASCII without spaces: try sink.test");
}

static int family(const struct config *config)
{
    if (config->is_ipv4_only && config->is_ipv6_only)
        die(EXIT_CODE_USAGE, "-4 and -6 contradict each other: give one, or neither for both");
    if (config->is_ipv4_only) return AF_INET;
    return config->is_ipv6_only ? AF_INET6 : AF_UNSPEC;
}

static void add_addresses(struct config *config, const char *text, uint16_t port, bool is_default,
                          bool is_tls)
{
    struct net_address found[CONFIG_ADDRESSES_MAX];
    char error[NET_ERROR_MAX];
    uint32_t room = CONFIG_ADDRESSES_MAX - config->listen_count;
    uint32_t count = net_resolve(text, port, family(config), found, room, error);
    if (count == 0 && !is_default)
        die(EXIT_CODE_USAGE, "%s", room == 0 ? "too many addresses: at most 16" : error);
    for (uint32_t i = 0; i < count; i++)
        config->listens[config->listen_count++] =
            (struct config_listen){.address = found[i], .is_default = is_default, .is_tls = is_tls};
}

static bool is_number(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* This machine's own addresses, of the families that are wanted. */
static void add_loopback(struct config *config, uint16_t port, bool is_tls)
{
    if (!config->is_ipv6_only) add_addresses(config, "127.0.0.1", port, true, is_tls);
    if (!config->is_ipv4_only) add_addresses(config, "[::1]", port, true, is_tls);
}

static void choose_addresses(struct config *config, char **operands, int count)
{
    bool is_tls = config->tls == CONFIG_TLS_IMPLICIT;
    if (count == 0) add_loopback(config, DEFAULT_PORT, is_tls);
    for (int i = 0; i < count; i++) {
        if (i > 0 && is_number(operands[i]))
            die(EXIT_CODE_USAGE, "'%s': smtp-sink's backlog? use --backlog %s", operands[i],
                operands[i]);
        add_addresses(config, operands[i], DEFAULT_PORT, false, is_tls);
    }
    if (config->tls != CONFIG_TLS_BOTH) return;
    if (config->tls_listen != NULL)
        add_addresses(config, config->tls_listen, DEFAULT_TLS_PORT, false, true);
    else
        add_loopback(config, DEFAULT_TLS_PORT, true);
}

/* The kernel would share its connections among both. */
static void check_addresses(const struct config *config)
{
    char text[NET_TEXT_MAX];
    for (uint32_t i = 0; i < config->listen_count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (config->listens[i].is_tls != config->listens[k].is_tls &&
                net_is_same(&config->listens[i].address, &config->listens[k].address))
                die(EXIT_CODE_USAGE,
                    "%s can't be both: give --tls-listen an address or port of its own",
                    net_format(text, &config->listens[i].address));
}

/* The option that means nothing without TLS; NULL: none was given. */
static const char *option_of_tls(const struct config *config)
{
    if (config->certificate != NULL) return "--cert";
    if (config->is_tls_required) return "--require-tls";
    if (config->is_auth_tls_required) return "--auth-require-tls";
    if (config->tls_timeout_ns != 0) return "--tls-timeout";
    if (config->tls_handshakes != 0) return "--tls-handshakes";
    return config->tls_memory != 0 ? "--tls-memory" : NULL;
}

/* What is said of TLS must have a meaning. */
static void check_tls(struct config *config)
{
    const char *needs_tls = option_of_tls(config);
    if (config->tls == CONFIG_TLS_OFF && needs_tls != NULL)
        die(EXIT_CODE_USAGE, "%s needs --tls starttls, implicit or both", needs_tls);
    if (config->tls_listen != NULL && config->tls != CONFIG_TLS_BOTH)
        die(EXIT_CODE_USAGE,
            "--tls-listen needs --tls both; with --tls implicit every address has TLS");
    if (config->key != NULL && config->certificate == NULL)
        die(EXIT_CODE_USAGE, "--key needs --cert FILE, the certificate it belongs to");
    if (config->certificate != NULL && config->key == NULL) config->key = config->certificate;
    if (config->tls_timeout_ns == 0) config->tls_timeout_ns = TLS_TIMEOUT_NS;
    if (config->tls_handshakes == 0) config->tls_handshakes = TLS_HANDSHAKES;
}

uint32_t config_offers(const struct config *config)
{
    uint32_t offers = SMTP_OFFERS_EVERY;
    for (uint32_t i = 0; i < SMTP_EXTENSION_COUNT; i++)
        if (config->is_off[i]) offers &= ~(1u << i);
    if (strcmp(config->auth, "none") == 0) offers &= ~SMTP_OFFER(AUTH);
    if (config->tls != CONFIG_TLS_STARTTLS && config->tls != CONFIG_TLS_BOTH)
        offers &= ~SMTP_OFFER(STARTTLS);
    return offers;
}

/* RFC 2033 5: not on SMTP's port, and with both extensions. */
static void check_lmtp(const struct config *config)
{
    uint32_t needed = SMTP_OFFER(PIPELINING) | SMTP_OFFER(ENHANCEDSTATUSCODES);
    if (!config->is_lmtp) return;
    if ((config_offers(config) & needed) != needed)
        die(EXIT_CODE_USAGE,
            "--lmtp needs PIPELINING and ENHANCEDSTATUSCODES (RFC 2033 5): leave out "
            "--no-pipelining and --no-enhancedstatuscodes");
    for (uint32_t i = 0; i < config->listen_count; i++)
        if (net_port(&config->listens[i].address) == SMTP_PORT)
            die(EXIT_CODE_USAGE, "--lmtp must not be spoken on port 25 (RFC 2033 5): try port 24 "
                                 "or unix:/path/of/socket");
}

static void choose_credentials(struct config *config)
{
    bool is_offered = (config_offers(config) & SMTP_OFFER(AUTH)) != 0;
    if (config->is_auth_required && !is_offered)
        die(EXIT_CODE_USAGE,
            "--require-auth contradicts --auth none: nobody could send anything; leave out one");
    if (config->is_auth_tls_required && !is_offered)
        die(EXIT_CODE_USAGE,
            "--auth-require-tls contradicts --auth none: nobody may log in; leave out one");
    if (is_offered && strcmp(config->auth, "any") != 0)
        credentials_load(&config->credentials, config->auth);
}

static void open_log(const struct config *config)
{
    const char *name = config->log_level != NULL ? config->log_level : getenv("LOG_LEVEL");
    enum log_level level = config->is_quiet ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO;
    if (name != NULL && name[0] != '\0' && !log_level_parse(name, &level))
        die(EXIT_CODE_USAGE, "'%s' is no log level: try error, warning, info or debug", name);
    log_open("ringsink", level, (enum log_format)config->log_format);
}

void config_load(struct config *config, int argc, char **argv)
{
    struct options_result result;
    *config = (struct config){
        .durability = CONFIG_PAGE,
        .when_full = -1,
        .backlog = 4096,
        .spool = "spool",
        .max_recipients = 1000,
        .max_bad_commands = SMTP_BAD_COMMANDS_MAX,
        .idle_timeout_ns = 300 * NS_PER_S,
        .command_timeout_ns = 300 * NS_PER_S,
        .min_data_rate = 500,
        .bare_newline = SMTP_BARE_KEEP,
        .auth = "any",
    };
    options_parse(&config_options, argc, argv, config, &result);
    switch (result.outcome) {
    case OPTIONS_HELP:
        options_print_help(&config_options, result.help_group);
        exit(EXIT_CODE_OK);
    case OPTIONS_VERSION:
        (void)printf("ringsink %s (%s)\nMIT licence\nFeatures: io_uring jemalloc xxhash tls(%s)\n",
                     RINGSINK_VERSION, RINGSINK_COMMIT, tls_library_version());
        exit(EXIT_CODE_OK);
    case OPTIONS_WRONG:
        die(EXIT_CODE_USAGE, "%s", result.error);
    case OPTIONS_PARSED:
        break;
    }
    open_log(config);
    if (config->when_full < 0)
        config->when_full = config->durability == CONFIG_DISK ? CONFIG_REFUSE : CONFIG_RECYCLE;
    choose_threads(config);
    choose_connections(config);
    choose_hostname(config);
    check_tls(config);
    choose_addresses(config, argv + result.first_operand, argc - result.first_operand);
    check_addresses(config);
    check_lmtp(config);
    choose_credentials(config);
}

static uint64_t clamp(uint64_t value, uint64_t lowest, uint64_t highest)
{
    if (value < lowest) return lowest;
    return value > highest ? highest : value;
}

/*
 * What one worker can take of one message while every other has its three segments: a message must
 * not need the segment that it began in. A quarter of each segment is left to records of others.
 */
static uint64_t largest_message(const struct config *config)
{
    uint64_t segments = config->spool_size / config->segment_size;
    uint64_t others = SEGMENTS_PER_WORKER_MIN * config->threads - 2;
    return clamp((segments - others) * config->segment_size / 4 * 3, 1, config->spool_size / 4);
}

void config_settle_sizes(struct config *config, uint64_t free_bytes, uint64_t used_bytes)
{
    char needed[UNITS_TEXT_MAX];
    char given[UNITS_TEXT_MAX];
    if (config->spool_size == 0)
        config->spool_size = clamp((free_bytes + used_bytes) / 2, 0, SPOOL_SIZE_DEFAULT_MAX);
    if (config->segment_size == 0)
        config->segment_size =
            clamp(config->spool_size / (SEGMENTS_PER_WORKER_USUAL * config->threads),
                  CONFIG_SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX) /
            (64 * KIB) * (64 * KIB);
    config->segment_size = config->segment_size / PAGE * PAGE; /* a mapping is of whole pages */
    uint64_t smallest = config->segment_size * SEGMENTS_PER_WORKER_MIN * config->threads;
    if (config->spool_size < smallest)
        die(EXIT_CODE_USAGE,
            "a spool of %s is too small: %llu workers with segments of %s need %s; use "
            "--spool-size, "
            "fewer -t or another --spool",
            units_format_size(given, config->spool_size), (unsigned long long)config->threads,
            units_format_size((char[UNITS_TEXT_MAX]){0}, config->segment_size),
            units_format_size(needed, smallest));
    uint64_t most = largest_message(config);
    if (config->size_limit == 0) config->size_limit = clamp(SIZE_LIMIT_DEFAULT, 1, most);
    if (config->durability != CONFIG_DISCARD && config->size_limit > most)
        die(EXIT_CODE_USAGE,
            "--size-limit: a spool of %s with %llu workers can promise messages of %s at most; use "
            "a "
            "larger --spool-size, a smaller --segment-size or fewer -t",
            units_format_size(given, config->spool_size), (unsigned long long)config->threads,
            units_format_size(needed, most));
}
