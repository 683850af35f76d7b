#include "server/config.h"

#include "base/exit_codes.h"
#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
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
#define CONNECTIONS_DEFAULT_MAX 65536
/* Descriptors for what is no connection: rings, listeners, segments, the log. */
#define DESCRIPTORS_RESERVED      64
#define DESCRIPTORS_PER_WORKER    16
#define CONNECTIONS_MAX           ((1u << 24) - 1)
#define SEGMENT_SIZE_MIN          MIB
#define SEGMENT_SIZE_MAX          (64 * MIB)
#define SEGMENTS_PER_WORKER_MIN   3
#define SEGMENTS_PER_WORKER_USUAL 8
#define SPOOL_SIZE_DEFAULT_MAX    (16 * GIB)
#define SIZE_LIMIT_DEFAULT        (50 * MIB)
#define TIMEOUT_MIN_NS            (10 * 1000000)
#define TIMEOUT_MAX_NS            (24 * 3600 * NS_PER_S)
#define BAD_COMMANDS_MAX          (UINT16_MAX - 1) /* the session counts them in 16 bits */
#define SMTP_PORT                 25

static const char *const durability_names[] = {"discard", "page", "disk", NULL};
static const char *const when_full_names[] = {"recycle", "refuse", NULL};
static const char *const buffers_names[] = {"auto", "plain", NULL};
/* In the order of enum smtp_bare_newline. */
static const char *const bare_newline_names[] = {"keep", "reject", "normalize", NULL};
static const char *const log_format_names[] = {"text", "json", NULL};

#define FIELD(name) offsetof(struct config, name)

/* EHLO's keyword, its option's name. */
#define ROW_OFF(keyword, option, text)                                                             \
    {                                                                                              \
        .kind = OPTION_FLAG, .name = (option), .offset = FIELD(is_off[SMTP_EXTENSION_##keyword]),  \
        .help = (text)                                                                             \
    }

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .name = "server", .help = "Server"},
    {.kind = OPTION_COUNT,
     .letter = 't',
     .name = "threads",
     .offset = FIELD(threads),
     .argument = "N",
     .help = "workers, one ring and one core each  [CPUs allowed]",
     .minimum = 1,
     .maximum = CONFIG_THREADS_MAX},
    {.kind = OPTION_COUNT,
     .letter = 'm',
     .name = "max-connections",
     .offset = FIELD(max_connections),
     .argument = "N",
     .help = "421 beyond  [descriptor limit, at most 65536]",
     .minimum = 1,
     .maximum = CONNECTIONS_MAX},
    {.kind = OPTION_FLAG,
     .letter = '4',
     .name = "ipv4",
     .offset = FIELD(is_ipv4_only),
     .help = "IPv4 addresses only"},
    {.kind = OPTION_FLAG,
     .letter = '6',
     .name = "ipv6",
     .offset = FIELD(is_ipv6_only),
     .help = "IPv6 addresses only"},
    {.kind = OPTION_COUNT,
     .name = "backlog",
     .offset = FIELD(backlog),
     .argument = "N",
     .help = "connections that may wait to be accepted  [4096]",
     .minimum = 1,
     .maximum = 1 << 30},
    {.kind = OPTION_FLAG,
     .name = "reuseport",
     .offset = FIELD(is_port_shared),
     .help = "share the address with another server on purpose"},
    {.kind = OPTION_TEXT,
     .name = "hostname",
     .offset = FIELD(hostname),
     .argument = "NAME",
     .help = "name in the greeting  [host name]"},
    {.kind = OPTION_TEXT,
     .letter = 'u',
     .name = "user",
     .offset = FIELD(user),
     .argument = "NAME",
     .help = "become this user once the addresses are bound"},
    {.kind = OPTION_HEADING, .name = "spool", .help = "Spool"},
    {.kind = OPTION_TEXT,
     .name = "spool",
     .offset = FIELD(spool),
     .argument = "DIR",
     .help = "where messages go  [./spool]"},
    {.kind = OPTION_CHOICE,
     .name = "durability",
     .offset = FIELD(durability),
     .argument = "MODE",
     .help = "what 250 means: discard (counted) | page (survives kill -9) | disk (survives power "
             "loss)  [page]",
     .choices = durability_names},
    {.kind = OPTION_SIZE,
     .name = "spool-size",
     .offset = FIELD(spool_size),
     .argument = "SIZE",
     .help = "bound of the whole spool  [half the free space, at most 16Gi]",
     .minimum = 3 * MIB},
    {.kind = OPTION_SIZE,
     .name = "segment-size",
     .offset = FIELD(segment_size),
     .argument = "SIZE",
     .help = "size of its files  [1Mi to 64Mi, by spool size]",
     .minimum = SEGMENT_SIZE_MIN,
     .maximum = 1 * GIB},
    {.kind = OPTION_CHOICE,
     .name = "when-full",
     .offset = FIELD(when_full),
     .argument = "WHAT",
     .help = "recycle the oldest messages | refuse new ones with 452  [recycle; disk: refuse]",
     .choices = when_full_names},
    {.kind = OPTION_HEADING, .name = "smtp", .help = "SMTP"},
    {.kind = OPTION_SIZE,
     .name = "size-limit",
     .offset = FIELD(size_limit),
     .argument = "SIZE",
     .help = "largest message, offered by SIZE  [50Mi, at most spool-size / 4]",
     .minimum = 1},
    {.kind = OPTION_COUNT,
     .name = "max-recipients",
     .offset = FIELD(max_recipients),
     .argument = "N",
     .help = "recipients of one message; 452 beyond  [1000]",
     .minimum = 1,
     .maximum = 1000000},
    {.kind = OPTION_DURATION,
     .name = "idle-timeout",
     .offset = FIELD(idle_timeout_ns),
     .argument = "T",
     .help = "421 after this long a silence  [300s]",
     .minimum = TIMEOUT_MIN_NS,
     .maximum = TIMEOUT_MAX_NS},
    {.kind = OPTION_DURATION,
     .name = "command-timeout",
     .offset = FIELD(command_timeout_ns),
     .argument = "T",
     .help = "421 if one command takes longer from its first octet; content gets this and its "
             "octets / min-data-rate  [300s]",
     .minimum = TIMEOUT_MIN_NS,
     .maximum = TIMEOUT_MAX_NS},
    {.kind = OPTION_SIZE,
     .name = "min-data-rate",
     .offset = FIELD(min_data_rate),
     .argument = "SIZE",
     .help = "octets a second that content must bring on average; 0: no limit  [500]",
     .maximum = 1 * GIB},
    {.kind = OPTION_COUNT,
     .name = "max-bad-commands",
     .offset = FIELD(max_bad_commands),
     .argument = "N",
     .help = "bad commands of one session; 421 beyond  [20]",
     .minimum = 1,
     .maximum = BAD_COMMANDS_MAX},
    {.kind = OPTION_FLAG,
     .letter = 'L',
     .name = "lmtp",
     .offset = FIELD(is_lmtp),
     .help = "LMTP: LHLO, and one reply a recipient"},
    {.kind = OPTION_FLAG,
     .name = "strict",
     .offset = FIELD(is_strict),
     .help = "refuse what the RFCs let a server tolerate"},
    {.kind = OPTION_FLAG,
     .name = "strict-lines",
     .offset = FIELD(has_strict_lines),
     .help = "554 to content with a line of more than 998 octets"},
    {.kind = OPTION_CHOICE,
     .name = "bare-newline",
     .offset = FIELD(bare_newline),
     .argument = "WHAT",
     .help = "a lone LF in content: keep | reject with 550 | normalize to CR LF  [keep]",
     .choices = bare_newline_names},
    {.kind = OPTION_TEXT,
     .name = "auth",
     .offset = FIELD(auth),
     .argument = "WHO",
     .help = "who may log in: any | none | a FILE of user:password lines  [any]"},
    {.kind = OPTION_FLAG,
     .name = "require-auth",
     .offset = FIELD(is_auth_required),
     .help = "530 to MAIL before a login"},
    {.kind = OPTION_FLAG,
     .name = "no-service",
     .offset = FIELD(is_out_of_service),
     .help = "554 instead of the greeting, then 503 until QUIT"},
    ROW_OFF(PIPELINING, "no-pipelining", "do not offer PIPELINING"),
    ROW_OFF(SIZE, "no-size", "do not offer SIZE"),
    ROW_OFF(VRFY, "no-vrfy", "do not offer VRFY"),
    ROW_OFF(ETRN, "no-etrn", "do not offer ETRN"),
    ROW_OFF(ENHANCEDSTATUSCODES, "no-enhancedstatuscodes", "do not offer ENHANCEDSTATUSCODES"),
    ROW_OFF(8BITMIME, "no-8bitmime", "do not offer 8BITMIME, nor SMTPUTF8"),
    ROW_OFF(DSN, "no-dsn", "do not offer DSN"),
    ROW_OFF(SMTPUTF8, "no-smtputf8", "do not offer SMTPUTF8"),
    ROW_OFF(CHUNKING, "no-chunking", "do not offer CHUNKING, nor BINARYMIME"),
    ROW_OFF(BINARYMIME, "no-binarymime", "do not offer BINARYMIME"),
    ROW_OFF(AUTH, "no-auth", "the same as --auth none"),
    ROW_OFF(HELP, "no-help", "do not offer HELP"),
    {.kind = OPTION_HEADING, .name = "run", .help = "Running it"},
    {.kind = OPTION_COUNT,
     .letter = 'M',
     .name = "stop-after",
     .offset = FIELD(stop_after),
     .argument = "N",
     .help = "exit after N messages",
     .minimum = 1},
    {.kind = OPTION_COUNT,
     .letter = 'n',
     .name = "stop-sessions",
     .offset = FIELD(stop_sessions),
     .argument = "N",
     .help = "exit after N sessions",
     .minimum = 1},
    {.kind = OPTION_FLAG,
     .letter = 'c',
     .name = "counters",
     .offset = FIELD(has_counters_line),
     .help = "one line a second on stderr"},
    {.kind = OPTION_CHOICE,
     .name = "buffers",
     .offset = FIELD(buffers),
     .argument = "KIND",
     .help = "receive buffers: auto | plain  [auto]",
     .choices = buffers_names},
    {.kind = OPTION_TEXT,
     .name = "log-level",
     .offset = FIELD(log_level),
     .argument = "L",
     .help = "error | warning | info | debug; also LOG_LEVEL  [info]"},
    {.kind = OPTION_CHOICE,
     .name = "log-format",
     .offset = FIELD(log_format),
     .argument = "F",
     .help = "text | json  [text]",
     .choices = log_format_names},
    {.kind = OPTION_FLAG,
     .letter = 'q',
     .name = "quiet",
     .offset = FIELD(is_quiet),
     .help = "no banner, no totals, errors only"},
    {.kind = OPTION_FLAG,
     .letter = 'v',
     .name = "verbose",
     .offset = FIELD(is_verbose),
     .help = "log every command and reply, one escaped line each"},
};

static const struct options options = {
    .program = "ringsink",
    .usage = "ringsink [OPTIONS] [[HOST]:PORT | unix:PATH]...   default 127.0.0.1:2525 and "
             "[::1]:2525",
    .epilogue =
        "Numbers take k, M, G (10^3) and, for sizes, Ki, Mi, Gi. Times take us, ms, s, m, h.\n"
        "Any option can be set as RINGSINK_<NAME>, e.g. RINGSINK_SPOOL_SIZE=1Gi.\n"
        "SIGINT or SIGTERM: drain, then exit; a second one stops at once. SIGUSR1: print totals.\n"
        "\n"
        "Exit: 0 drained, 1 failed at run time, 2 usage, 69 io_uring refused, 73 the spool can't "
        "be\n"
        "made, 75 address or spool in use.\n"
        "\n"
        "Examples:\n"
        "  ringsink                              127.0.0.1:2525, messages to ./spool\n"
        "  ringsink :2525 --spool /srv/spool     all interfaces\n"
        "  ringsink -L unix:/run/sink.sock       LMTP on a unix socket\n"
        "  ringsink --durability discard -c      keep nothing, show counters",
    .environment = "RINGSINK",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};

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

static void add_addresses(struct config *config, const char *text, bool is_default)
{
    struct net_address found[CONFIG_ADDRESSES_MAX];
    char error[NET_ERROR_MAX];
    uint32_t room = CONFIG_ADDRESSES_MAX - config->listen_count;
    uint32_t count = net_resolve(text, DEFAULT_PORT, family(config), found, room, error);
    if (count == 0 && !is_default)
        die(EXIT_CODE_USAGE, "%s", room == 0 ? "too many addresses: at most 16" : error);
    for (uint32_t i = 0; i < count; i++)
        config->listens[config->listen_count++] =
            (struct config_listen){.address = found[i], .is_default = is_default};
}

static bool is_number(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static void choose_addresses(struct config *config, char **operands, int count)
{
    if (count == 0) {
        if (!config->is_ipv6_only) add_addresses(config, "127.0.0.1:2525", true);
        if (!config->is_ipv4_only) add_addresses(config, "[::1]:2525", true);
        return;
    }
    for (int i = 0; i < count; i++) {
        if (i > 0 && is_number(operands[i]))
            die(EXIT_CODE_USAGE, "'%s': smtp-sink's backlog? use --backlog %s", operands[i],
                operands[i]);
        add_addresses(config, operands[i], false);
    }
}

uint32_t config_offers(const struct config *config)
{
    uint32_t offers = SMTP_OFFERS_EVERY & ~SMTP_OFFER(STARTTLS);
    for (uint32_t i = 0; i < SMTP_EXTENSION_COUNT; i++)
        if (config->is_off[i]) offers &= ~(1u << i);
    if (strcmp(config->auth, "none") == 0) offers &= ~SMTP_OFFER(AUTH);
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
    options_parse(&options, argc, argv, config, &result);
    switch (result.outcome) {
    case OPTIONS_HELP:
        options_print_help(&options, result.help_group);
        exit(EXIT_CODE_OK);
    case OPTIONS_VERSION:
        (void)printf("ringsink %s (%s)\nMIT licence\nFeatures: io_uring jemalloc xxhash\n",
                     RINGSINK_VERSION, RINGSINK_COMMIT);
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
    choose_addresses(config, argv + result.first_operand, argc - result.first_operand);
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
                  SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX) /
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
