#include "loadgen/load_config.h"

#include "base/clock.h"
#include "base/options.h"
#include "base/units.h"
#include "loadgen/load_client.h"
#include "loadgen/load_mail.h"
#include "loadgen/load_plan.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TARGET    "127.0.0.1:2525"
#define DEFAULT_TARGET_V6 "[::1]:2525"
#define DEFAULT_PORT      25
#define CONNECTIONS_MAX   1000000u
#define RECIPIENTS_MAX    1000u
#define ADDRESS_MAX       254u /* RFC 5321 4.5.3.1.3: a path is 256 with its brackets */
#define RATE_MAX          100000000u
#define RETRIES_MAX       1000000u
#define BACKLOG_MAX       16000000u
#define BACKLOG_S         10u /* of the rate */
#define WARMUP_PART       10u /* of -d, unless --warmup says otherwise */
#define LABELS_MAX        2000u
#define SUBJECT_MAX       900u /* RFC 5322 2.1.1: a line is 998 */

static const char *const pipelining_choices[] = {"auto", "off", "group", "stream", NULL};
static const char default_length[] = "10k";
static const char default_subject[] = "load test";
static const char *const order_choices[] = {"seq", "random", NULL};
static const char *const scenario_choices[] = {"deliver", "connect-only", "idle", NULL};
static const char *const quit_choices[] = {"quit", "rset", "drop", NULL};
static const char *const progress_choices[] = {"auto", "block", "line", "json", "none", NULL};

#define FIELD(name) .offset = offsetof(struct load_config, name)

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .name = "load", .help = "Load"},
    {.kind = OPTION_COUNT,
     .letter = 'c',
     .alias = 's',
     .name = "connections",
     FIELD(connections),
     .argument = "N",
     .help = "concurrent SMTP sessions [10]",
     .minimum = 1,
     .maximum = CONNECTIONS_MAX},
    {.kind = OPTION_COUNT,
     .letter = 't',
     .name = "threads",
     FIELD(threads),
     .argument = "N",
     .help = "worker threads, one ring each [auto: min(cores, c/64), at least 1]",
     .minimum = 1,
     .maximum = LOAD_PLAN_WORKERS_MAX,
     .hint = "recipients are --to"},
    {.kind = OPTION_DURATION,
     .letter = 'd',
     .name = "duration",
     FIELD(duration_ns),
     .argument = "T",
     .help = "measured time [10s]",
     .minimum = CLOCK_NS_PER_MS,
     .hint = "smtp-source's -d is the default here; see -k"},
    {.kind = OPTION_COUNT,
     .letter = 'n',
     .alias = 'm',
     .name = "messages",
     FIELD(messages),
     .argument = "N",
     .help = "stop after N messages; with -d: or after that time",
     .minimum = 1,
     .maximum = LOAD_MAIL_SEQUENCE_MAX},
    {.kind = OPTION_COUNT,
     .letter = 'R',
     .name = "rate",
     FIELD(rate_per_s),
     .argument = "N",
     .help = "open loop: N messages a second are due, whatever the server does [0: closed loop]",
     .maximum = RATE_MAX},
    {.kind = OPTION_TEXT,
     .name = "arrival",
     FIELD(arrival_text),
     .argument = "KIND",
     .help = "poisson | uniform | burst:N: when messages are due, with -R [poisson]"},
    {.kind = OPTION_DURATION,
     .name = "ramp",
     FIELD(ramp_ns),
     .argument = "T",
     .help = "time to open all connections [auto: 512 handshakes at a time, no pacing]"},
    {.kind = OPTION_TEXT,
     .letter = 'k',
     .name = "per-connection",
     FIELD(per_connection_text),
     .argument = "N",
     .help = "messages per connection: N, A-B or inf [inf]"},
    {.kind = OPTION_TEXT,
     .letter = 'w',
     .name = "think",
     FIELD(think_text),
     .argument = "T",
     .help = "closed loop: pause between messages on a connection, good to 5 ms: 50ms | 10ms-2s | "
             "exp:50ms [0]"},
    {.kind = OPTION_DURATION,
     .name = "warmup",
     FIELD(warmup_ns),
     .argument = "T",
     .help = "run before -d, kept apart from the result [auto: 10 % of -d, none with -n]"},
    {.kind = OPTION_COUNT,
     .name = "max-backlog",
     FIELD(backlog),
     .argument = "N",
     .help = "messages due that may wait for a session, beyond which they are dropped [10 s of -R]",
     .minimum = 1,
     .maximum = BACKLOG_MAX},
    {.kind = OPTION_DURATION,
     .name = "drain",
     FIELD(drain_ns),
     .argument = "T",
     .help = "longest wait at the end for messages in flight [10s]"},

    {.kind = OPTION_HEADING, .name = "message", .help = "Message"},
    {.kind = OPTION_TEXT,
     .letter = 'l',
     .name = "length",
     FIELD(length_text),
     .argument = "DIST",
     .help = "octets of the body: 10k | 1k-100k | lognormal:8k,1.4 (median, sigma of the "
             "logarithm) | 1k:50,10k:40,1m:10 (sizes with weights) [10k]"},
    {.kind = OPTION_TEXT,
     .letter = 'F',
     .name = "file",
     FIELD(file_text),
     .argument = "FILE",
     .help = "send this message (.eml), behind a header that numbers it"},
    {.kind = OPTION_TEXT,
     .name = "corpus",
     FIELD(corpus_text),
     .argument = "PATH",
     .help = "send the messages of a directory of *.eml, a Maildir, or an mbox, likewise"},
    {.kind = OPTION_CHOICE,
     .name = "corpus-order",
     FIELD(corpus_order),
     .argument = "KIND",
     .choices = order_choices,
     .help = "seq | random: one after the other, or by --seed [seq]"},
    {.kind = OPTION_TEXT,
     .letter = 'f',
     .name = "from",
     FIELD(sender),
     .argument = "ADDR",
     .help =
         "envelope sender, <> for none; not ASCII: SMTPUTF8 must be offered [load@client.test]"},
    {.kind = OPTION_TEXT,
     .name = "to",
     FIELD(recipient),
     .argument = "ADDR",
     .help = "envelope recipient, numbered: user1@, user2@ ... [user@sink.test]"},
    {.kind = OPTION_FLAG,
     .letter = 'N',
     .name = "number",
     FIELD(numbers_recipients),
     .help = "number the recipients [on]"},
    {.kind = OPTION_FLAG,
     .name = "no-number",
     FIELD(repeats_recipients),
     .help = "the same recipients in every message: what a server's caches make of them"},
    {.kind = OPTION_TEXT,
     .letter = 'r',
     .name = "recipients",
     FIELD(recipients_text),
     .argument = "N",
     .help = "recipients per message: N or A-B [1]"},
    {.kind = OPTION_TEXT,
     .name = "domains",
     FIELD(domains),
     .argument = "LIST",
     .help = "where recipients are, with weights: a.test:70,b.test:30 [that of --to]"},
    {.kind = OPTION_TEXT,
     .letter = 'S',
     .name = "subject",
     FIELD(subject),
     .argument = "TEXT",
     .help = "subject of the messages [load test]"},
    {.kind = OPTION_COUNT,
     .name = "seed",
     FIELD(seed),
     .argument = "N",
     .help = "random seed of the texts; every report prints it [time]"},

    {.kind = OPTION_HEADING, .name = "smtp", .help = "SMTP"},
    {.kind = OPTION_TEXT,
     .letter = 'M',
     .name = "helo",
     FIELD(helo),
     .argument = "NAME",
     .help = "name said in EHLO [client.test]"},
    {.kind = OPTION_FLAG,
     .letter = 'L',
     .name = "lmtp",
     FIELD(is_lmtp),
     .help = "speak LMTP: LHLO, and a reply to the content for each recipient"},
    {.kind = OPTION_TEXT,
     .name = "auth",
     FIELD(credentials),
     .argument = "USER:PASS",
     .help = "AUTH PLAIN at the start of each session; LOADGEN_AUTH keeps it off the command line"},
    {.kind = OPTION_CHOICE,
     .name = "pipelining",
     FIELD(pipelining),
     .argument = "MODE",
     .choices = pipelining_choices,
     .help = "auto | off | group | stream: wait for each reply; MAIL, RCPT and DATA together; the "
             "next message's group right behind the final dot [auto: group if offered]"},
    {.kind = OPTION_FLAG,
     .name = "bdat",
     FIELD(is_chunked),
     .help = "MAIL, RCPT and BDAT with the content in one send, where CHUNKING is offered"},
    {.kind = OPTION_COUNT,
     .name = "window",
     FIELD(window),
     .argument = "N",
     .help = "with --bdat: messages in flight on a connection [1]",
     .minimum = 1,
     .maximum = LOAD_WINDOW_MAX},
    {.kind = OPTION_CHOICE,
     .name = "scenario",
     FIELD(scenario),
     .argument = "NAME",
     .choices = scenario_choices,
     .help = "deliver | connect-only | idle: mail; sessions that greet and end, again and again, "
             "as many as -n; sessions that are held for -d [deliver]"},
    {.kind = OPTION_CHOICE,
     .name = "quit",
     FIELD(quit),
     .argument = "MODE",
     .choices = quit_choices,
     .help =
         "quit | rset | drop: how a session ends: by QUIT, TCP RST, or FIN without QUIT [quit]"},
    {.kind = OPTION_TEXT,
     .name = "expect",
     FIELD(expect_text),
     .argument = "LIST",
     .help = "refusals that are no failures: RCPT=450,DATA.=421 (MAIL, RCPT, DATA, and DATA. "
             "for the end of the content)"},
    {.kind = OPTION_COUNT,
     .name = "retry-connect",
     FIELD(retry_connect),
     .argument = "N",
     .help = "tries of a connection to a server that refuses them yet, with pauses of up to a "
             "second [0]",
     .maximum = RETRIES_MAX},
    {.kind = OPTION_DURATION,
     .name = "timeout",
     FIELD(timeout_ns),
     .argument = "T",
     .help = "longest wait for a reply [30s]",
     .minimum = 10 * CLOCK_NS_PER_MS},

    {.kind = OPTION_HEADING, .name = "network", .help = "Network"},
    {.kind = OPTION_FLAG, .letter = '4', .name = "ipv4", FIELD(only_v4), .help = "IPv4 only"},
    {.kind = OPTION_FLAG, .letter = '6', .name = "ipv6", FIELD(only_v6), .help = "IPv6 only"},
    {.kind = OPTION_TEXT,
     .name = "source",
     FIELD(source_text),
     .argument = "LIST",
     .help = "local addresses to connect from, in turn: 127.0.0.2,127.0.1.0/28"},
    {.kind = OPTION_TEXT,
     .name = "cpus",
     FIELD(cpus_text),
     .argument = "LIST",
     .help = "pin the workers to these CPUs, e.g. 0,2-3"},
    {.kind = OPTION_FLAG,
     .name = "allow-public",
     FIELD(allow_public),
     .help = "permit a target outside loopback and private networks"},

    {.kind = OPTION_HEADING, .name = "result", .help = "Result"},
    {.kind = OPTION_TEXT,
     .letter = 'o',
     .name = "output",
     FIELD(output),
     .argument = "FILE",
     .help = "write the result as JSON; - is stdout, and the summary goes to stderr"},
    {.kind = OPTION_TEXT,
     .name = "csv",
     FIELD(csv),
     .argument = "FILE",
     .help = "one row a second, with a header row; times in ms"},
    {.kind = OPTION_TEXT,
     .name = "hdr",
     FIELD(hdr_prefix),
     .argument = "PREFIX",
     .help = "percentile tables for HdrHistogram's plots: PREFIX.response.hgrm ..."},
    {.kind = OPTION_TEXT,
     .name = "hlog",
     FIELD(hlog),
     .argument = "FILE",
     .help = "HdrHistogram log, a histogram a second: response, service, dot"},
    {.kind = OPTION_TEXT,
     .name = "threshold",
     FIELD(threshold_text),
     .argument = "LIST",
     .help = "what the run has to reach, or exit 99: 'p99<50ms,fail<0.1%,rate>=19.9k', "
             "within(50ms)>99%, dot.p99.9<1s"},
    {.kind = OPTION_TEXT,
     .name = "watch",
     FIELD(watch),
     .argument = "LIST",
     .help =
         "pid:N | unit:NAME | cgroup:PATH: CPU, memory and disk of the server's processes, each "
         "second"},
    {.kind = OPTION_TEXT,
     .name = "samples",
     FIELD(samples),
     .argument = "FILE",
     .help = "every message: due, start and end in ns, octets, worker, outcome; lines if FILE ends "
             "in .csv, else records of 32 octets"},
    {.kind = OPTION_TEXT,
     .name = "label",
     FIELD(labels),
     .argument = "LIST",
     .help = "K=V,K2=V2: kept in the result"},
    {.kind = OPTION_FLAG,
     .name = "calibrate",
     FIELD(is_calibration),
     .help = "no target: 3 s against a server of its own that keeps nothing, with these messages; "
             "a later -R above 80 % of what that gave is SUSPECT"},
    {.kind = OPTION_FLAG,
     .name = "strict",
     FIELD(is_strict),
     .help = "exit 98 if the verdict is INVALID"},
    {.kind = OPTION_TEXT,
     .name = "ledger",
     FIELD(ledger),
     .argument = "FILE",
     .help = "one line a message and what became of it, for ringspool audit; overwritten"},
    {.kind = OPTION_FLAG,
     .name = "no-histogram",
     FIELD(no_histogram),
     .help = "leave the histogram out of the summary"},
    {.kind = OPTION_CHOICE,
     .name = "progress",
     FIELD(progress),
     .argument = "MODE",
     .choices = progress_choices,
     .help =
         "auto | block | line | json | none: a line that is rewritten each second on a terminal, "
         "else one every 10 s; block: with the last minute as bars; json: an object a second "
         "[auto]"},
    {.kind = OPTION_FLAG,
     .letter = 'q',
     .name = "quiet",
     FIELD(is_quiet),
     .help = "no banner and no progress"},
    {.kind = OPTION_FLAG,
     .letter = 'v',
     .name = "verbose",
     FIELD(is_verbose),
     .help = "a line for every refused message and every lost connection"},
    {.kind = OPTION_FLAG,
     .letter = 'A',
     .name = "no-abort",
     FIELD(does_not_abort),
     .help = "accepted for smtp-source's sake: refusals never stop a run"},
};

static const struct options options = {
    .program = "loadgen",
    .usage = "loadgen [OPTIONS] [HOST[:PORT] | unix:PATH]        default " DEFAULT_TARGET
             ", port 25 for a HOST\n"
             "       loadgen report FILE...                          render saved results (-o) "
             "again",
    .epilogue = "\nExit status: 0 finished; 1 no connection, or no message accepted; 2 usage or\n"
                "safety refusal, nothing was sent; 69 io_uring refused; 98 --strict and the\n"
                "verdict is INVALID; 99 a --threshold was not reached; 130, 143 stopped by a\n"
                "signal, with a partial report (a second signal stops at once). Refused messages\n"
                "are data, not failures.",
    .environment = "LOADGEN",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};

static void set_defaults(struct load_config *config)
{
    *config = (struct load_config){
        .connections = 10,
        .duration_ns = 0,
        .messages = LOAD_UNLIMITED,
        .per_connection = LOAD_UNLIMITED,
        .length_text = default_length,
        .recipients_text = "1",
        .seed = clock_realtime_ns() / CLOCK_NS_PER_MS,
        .timeout_ns = 30 * CLOCK_NS_PER_S,
        .drain_ns = 10 * CLOCK_NS_PER_S,
        .warmup_ns = LOAD_UNLIMITED, /* not said */
        .arrival_text = "poisson",
        .sender = "load@client.test",
        .recipient = "user@sink.test",
        .subject = default_subject,
        .helo = "client.test",
        .per_connection_text = "inf",
        .pipelining = LOAD_PIPELINING_AUTO,
        .progress = LOAD_PROGRESS_AUTO,
    };
}

__attribute__((format(printf, 2, 3))) static bool fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, LOAD_CONFIG_ERROR_MAX, format, arguments);
    va_end(arguments);
    return false;
}

bool load_config_parse_cpus(const char *text, cpu_set_t *cpus)
{
    CPU_ZERO(cpus);
    for (;;) {
        char *end;
        if (*text < '0' || *text > '9') return false;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (*end == '-') {
            if (end[1] < '0' || end[1] > '9') return false;
            last = strtoul(end + 1, &end, 10);
        }
        if (last >= CPU_SETSIZE || first > last) return false;
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, cpus);
        if (*end == '\0') return true;
        if (*end != ',') return false;
        text = end + 1;
    }
}

/* RFC 3629 4, as far as that no octet stands where it can't: servers look closer. */
static bool is_utf8(const char *text)
{
    uint32_t left = 0;
    for (; *text != '\0'; text++) {
        unsigned char octet = (unsigned char)*text;
        bool continues = (octet & 0xc0) == 0x80;
        if (continues != (left > 0)) return false;
        if (continues)
            left--;
        else if (octet >= 128)
            left = octet >= 0xc2 && octet < 0xe0 ? 1 : octet >= 0xe0 && octet < 0xf0 ? 2 : 3;
        if (octet == 0xc0 || octet == 0xc1 || octet > 0xf4) return false;
    }
    return left == 0;
}

/* An address may be UTF-8 (RFC 6531 3.3): blanks and controls of ASCII aside, anything. */
static bool is_address(const char *text, uint64_t longest)
{
    uint64_t size = strlen(text);
    for (uint64_t index = 0; index < size; index++) {
        unsigned char octet = (unsigned char)text[index];
        if (octet <= ' ' || octet == 127 || octet == '<' || octet == '>') return false;
    }
    return size <= longest && is_utf8(text);
}

/* What may stand in a command line without changing what it means. */
static bool is_word(const char *text, uint64_t longest)
{
    uint64_t size = strlen(text);
    if (size > longest) return false;
    for (uint64_t index = 0; index < size; index++) {
        unsigned char octet = (unsigned char)text[index];
        if (octet <= ' ' || octet >= 127 || octet == '<' || octet == '>') return false;
    }
    return true;
}

static bool is_text(const char *text, uint64_t longest)
{
    uint64_t size = strlen(text);
    for (uint64_t index = 0; index < size; index++)
        if ((unsigned char)text[index] < ' ' || text[index] == 127) return false;
    return size <= longest;
}

/* "3" or "1-5": both bounds, in order and from 1 on. */
static bool parse_span(const char *text, uint64_t *low, uint64_t *high)
{
    char first[UNITS_TEXT_MAX];
    size_t size = strcspn(text, "-");
    if (size == 0 || size >= sizeof first) return false;
    memcpy(first, text, size);
    first[size] = '\0';
    if (!units_parse_count(first, low)) return false;
    *high = *low;
    if (text[size] == '-' && !units_parse_count(text + size + 1, high)) return false;
    return *low > 0 && *low <= *high;
}

static bool check_spans(struct load_config *config, char *error)
{
    if (!parse_span(config->recipients_text, &config->recipients, &config->recipients_max) ||
        config->recipients_max > RECIPIENTS_MAX)
        return fail(error, "-r, --recipients '%s': try 1, 50, 1-10; at most %u",
                    config->recipients_text, RECIPIENTS_MAX);
    if (strcmp(config->per_connection_text, "inf") == 0) {
        config->per_connection = LOAD_UNLIMITED;
        config->per_connection_max = LOAD_UNLIMITED;
        return true;
    }
    if (parse_span(config->per_connection_text, &config->per_connection,
                   &config->per_connection_max))
        return true;
    return fail(error, "-k, --per-connection '%s': try 1, 100, 1-5, inf",
                config->per_connection_text);
}

static bool check_expects(struct load_config *config, char *error)
{
    if (config->numbers_recipients && config->repeats_recipients)
        return fail(error, "-N, --number and --no-number exclude one another");
    if (config->expect_text == NULL) return true;
    if (load_expects_parse(&config->expects, config->expect_text)) return true;
    return fail(error, "--expect '%s': try RCPT=450,DATA.=421; at most %u", config->expect_text,
                LOAD_EXPECTS_MAX);
}

/* What is sent as it is has a length and a subject. */
static bool check_corpus(const struct load_config *config, char *error)
{
    bool is_corpus = config->file_text != NULL || config->corpus_text != NULL;
    if (config->file_text != NULL && config->corpus_text != NULL)
        return fail(error, "-F, --file and --corpus exclude one another");
    if (is_corpus && (config->length_text != default_length || config->subject != default_subject))
        return fail(error, "-F, --file and --corpus send messages as they are: without -l and -S");
    if (config->corpus_order != 0 && config->corpus_text == NULL)
        return fail(error, "--corpus-order is of --corpus");
    return true;
}

static bool check_texts(struct load_config *config, char *error)
{
    if (strcmp(config->sender, "<>") == 0) config->sender = "";
    if (!is_address(config->sender, ADDRESS_MAX))
        return fail(error, "-f, --from is no address: one word without <> and blanks, UTF-8");
    if (config->recipient[0] == '\0' || !is_address(config->recipient, ADDRESS_MAX))
        return fail(error, "--to is no address: one word without <> and blanks, UTF-8");
    if (config->domains != NULL && !is_utf8(config->domains))
        return fail(error, "--domains is no UTF-8");
    if (config->helo[0] == '\0' || !is_word(config->helo, ADDRESS_MAX))
        return fail(error, "-M, --helo is no name: one word without <> and blanks");
    if (!is_text(config->subject, SUBJECT_MAX))
        return fail(error, "-S, --subject: at most %u octets, no control characters", SUBJECT_MAX);
    return true;
}

/* Every one of `cpus` is among those that this process may use. */
static bool may_run_on(const cpu_set_t *cpus)
{
    cpu_set_t allowed;
    cpu_set_t both;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return true;
    CPU_AND(&both, cpus, &allowed);
    return CPU_EQUAL(&both, cpus) != 0;
}

static bool check_schedule(struct load_config *config, char *error)
{
    if (!load_schedule_parse(config->arrival_text, &config->arrival))
        return fail(error, "--arrival '%s': try poisson, uniform, burst:100", config->arrival_text);
    if (config->rate_per_s == 0 && config->backlog != 0)
        return fail(error, "--max-backlog goes with -R: in a closed loop nothing is due");
    if (config->backlog == 0) config->backlog = BACKLOG_S * config->rate_per_s;
    if (config->backlog > BACKLOG_MAX) config->backlog = BACKLOG_MAX;
    return true;
}

/* The list is cut at its commas, in a copy. */
static bool check_thresholds(struct load_config *config, char *error)
{
    char *rest = NULL;
    char *text = NULL;
    if (config->threshold_text != NULL) {
        if (strlen(config->threshold_text) >= sizeof config->threshold_list)
            return fail(error, "--threshold: the list is too long");
        rest = strcpy(config->threshold_list, config->threshold_text);
    }
    while (rest != NULL && (text = strsep(&rest, ",")) != NULL) {
        struct load_threshold *threshold = &config->thresholds[config->threshold_count];
        if (config->threshold_count == LOAD_THRESHOLDS_MAX)
            return fail(error, "--threshold: %u at most", LOAD_THRESHOLDS_MAX);
        if (!load_threshold_parse(threshold, text))
            return fail(error,
                        "--threshold '%s': try p99<50ms, fail<0.1%%, rate>=19.9k, "
                        "within(50ms)>99%%, dot.p99<1s",
                        text);
        if (config->rate_per_s == 0 && load_threshold_wants_open_loop(threshold))
            return fail(error,
                        "--threshold '%s': a closed loop has no response times: use -R, or "
                        "service.",
                        text);
        config->threshold_count++;
    }
    return true;
}

static void settle_times(struct load_config *config)
{
    bool is_timed = config->duration_ns != 0 || config->messages == LOAD_UNLIMITED;
    if (config->duration_ns == 0)
        config->duration_ns = is_timed ? 10 * CLOCK_NS_PER_S : LOAD_UNLIMITED;
    if (config->warmup_ns == LOAD_UNLIMITED)
        config->warmup_ns =
            config->messages == LOAD_UNLIMITED ? config->duration_ns / WARMUP_PART : 0;
}

static bool check_chunks(struct load_config *config, char *error)
{
    if (!config->is_chunked && config->window > 0)
        return fail(error, "--window is of --bdat: DATA waits for its 354");
    if (config->window == 0) config->window = 1;
    if (!config->is_chunked) return true;
    if (config->pipelining != LOAD_PIPELINING_AUTO)
        return fail(error, "--bdat and --pipelining exclude one another");
    config->pipelining = LOAD_PIPELINING_BDAT;
    return true;
}

/* An open loop has its own times, and a message that is on its way already can't be put off. */
static bool check_think(struct load_config *config, char *error)
{
    if (config->think_text == NULL) return true;
    if (!load_pause_parse(&config->think, config->think_text))
        return fail(error, "-w, --think '%s': try 50ms, 10ms-2s, exp:50ms; an hour at most",
                    config->think_text);
    config->has_think = config->think.high_ns > 0;
    if (!config->has_think) return true;
    if (config->rate_per_s > 0)
        return fail(error, "-w, --think is of a closed loop: -R says when messages are due");
    if (config->pipelining == LOAD_PIPELINING_STREAM || config->window > 1)
        return fail(error, "-w, --think leaves no message to send ahead: not with --pipelining "
                           "stream or --window");
    return true;
}

static bool check_scenario(struct load_config *config, char *error)
{
    if (config->scenario == LOAD_SCENARIO_DELIVER) return true;
    if (config->rate_per_s > 0)
        return fail(error, "--scenario %s sends no messages: -R has no use there",
                    load_scenario_name((enum load_scenario)config->scenario));
    if (config->scenario == LOAD_SCENARIO_IDLE && config->messages != LOAD_UNLIMITED)
        return fail(error, "--scenario idle sends no messages: -d says how long it holds sessions");
    return true;
}

/* Each part has a name, "=", and whatever. */
static bool check_labels(const struct load_config *config, char *error)
{
    for (const char *text = config->labels; text != NULL;) {
        size_t size = strcspn(text, ",");
        size_t name = strcspn(text, "=");
        if (name == 0 || name >= size)
            return fail(error, "--label '%s': try mta=postfix-3.7,disk=nvme", config->labels);
        text = text[size] == ',' ? text + size + 1 : NULL;
    }
    return config->labels == NULL || is_text(config->labels, LABELS_MAX) ||
           fail(error, "--label: at most %u octets, no control characters", LABELS_MAX);
}

static bool check_calibration(const struct load_config *config, char *error)
{
    if (!config->is_calibration) return true;
    if (!config->is_chunked && config->scenario == LOAD_SCENARIO_DELIVER) return true;
    return fail(error, "--calibrate is for messages sent by DATA: without --bdat and --scenario");
}

static bool check_values(struct load_config *config, char *error)
{
    if (!check_calibration(config, error)) return false;
    if (!check_labels(config, error)) return false;
    if (!check_scenario(config, error)) return false;
    if (!check_chunks(config, error)) return false;
    if (!check_spans(config, error)) return false;
    if (!check_schedule(config, error)) return false;
    if (!check_think(config, error)) return false;
    if (!check_thresholds(config, error)) return false;
    if (!check_texts(config, error)) return false;
    if (!check_corpus(config, error)) return false;
    if (!check_expects(config, error)) return false;
    if (!load_length_parse(&config->length, config->length_text, LOAD_MAIL_LENGTH_MAX))
        return fail(error,
                    "-l, --length '%s': try 10k, 1k-100k, lognormal:8k,1.4 or 1k:50,10k:40; a body "
                    "ends in CR LF, so it has 0 octets or 2 and more, 1 GiB at most",
                    config->length_text);
    if (config->only_v4 && config->only_v6) return fail(error, "-4 and -6 exclude one another");
    if (config->cpus_text != NULL) {
        config->is_pinned = load_config_parse_cpus(config->cpus_text, &config->cpus);
        if (!config->is_pinned)
            return fail(error, "--cpus '%s' is no list of CPUs: try 0,2-3", config->cpus_text);
        if (!may_run_on(&config->cpus))
            return fail(error,
                        "--cpus '%s': not all of these CPUs are allowed here; see taskset -p $$",
                        config->cpus_text);
    }
    settle_times(config);
    return true;
}

static bool is_private_v4(uint32_t address)
{
    static const struct {
        uint32_t network;
        uint32_t bits;
    } networks[] = {
        {0x7f000000, 8},  /* 127.0.0.0/8                */
        {0x0a000000, 8},  /* RFC 1918                   */
        {0xac100000, 12}, /* RFC 1918                   */
        {0xc0a80000, 16}, /* RFC 1918                   */
        {0xa9fe0000, 16}, /* link-local, RFC 3927       */
        {0x64400000, 10}, /* shared, RFC 6598           */
    };
    for (uint32_t index = 0; index < sizeof networks / sizeof networks[0]; index++)
        if ((address ^ networks[index].network) >> (32 - networks[index].bits) == 0) return true;
    return false;
}

bool load_config_is_private(const struct net_address *address)
{
    const void *storage = &address->storage;
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = storage;
        return is_private_v4(ntohl(in->sin_addr.s_addr));
    }
    const struct sockaddr_in6 *in6 = storage;
    const uint8_t *octets = in6->sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return is_private_v4((uint32_t)octets[12] << 24 | (uint32_t)octets[13] << 16 |
                             (uint32_t)octets[14] << 8 | octets[15]);
    if (IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr)) return true;
    if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) return true;
    return (octets[0] & 0xfe) == 0xfc; /* unique local, RFC 4193 */
}

/* "PORT" and ":PORT" resolve to the unspecified address; a client means this host by it. */
static void replace_unspecified(struct net_address *address)
{
    void *storage = &address->storage;
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in *in = storage;
        if (in->sin_addr.s_addr == htonl(INADDR_ANY)) in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return;
    }
    struct sockaddr_in6 *in6 = storage;
    if (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr)) in6->sin6_addr = in6addr_loopback;
}

static bool resolve(struct load_config *config, char *error)
{
    char reason[NET_ERROR_MAX];
    char text[NET_TEXT_MAX];
    int family = config->only_v4 ? AF_INET : config->only_v6 ? AF_INET6 : AF_UNSPEC;

    config->address_count = net_resolve(config->target, DEFAULT_PORT, family, config->addresses,
                                        LOAD_ADDRESSES_MAX, reason);
    if (config->address_count == 0) return fail(error, "%s", reason);
    for (uint32_t index = 0; index < config->address_count; index++) {
        struct net_address *address = &config->addresses[index];
        if (net_is_unix(address)) continue;
        replace_unspecified(address);
        if (config->allow_public || load_config_is_private(address)) continue;
        return fail(error,
                    "%s is a public address; load tests belong on your own network: if this host "
                    "is yours, say --allow-public",
                    net_format(text, address));
    }
    return true;
}

/* The target's addresses of other families are left out: nothing could be connected to them. */
static void keep_family(struct load_config *config, int family)
{
    uint32_t kept = 0;
    for (uint32_t index = 0; index < config->address_count; index++)
        if (config->addresses[index].storage.ss_family == family)
            config->addresses[kept++] = config->addresses[index];
    config->address_count = kept;
}

static bool check_sources(struct load_config *config, char *error)
{
    char text[NET_TEXT_MAX];
    uint32_t wrong = 0;

    if (config->source_text == NULL) return true;
    if (!load_sources_parse(&config->sources, config->source_text))
        return fail(error, "--source '%s': try 127.0.0.2,127.0.1.0/28; at most %u addresses",
                    config->source_text, LOAD_SOURCES_MAX);
    int family = config->sources.addresses[0].storage.ss_family;
    keep_family(config, family);
    if (config->address_count == 0)
        return fail(error, "--source '%s' is of another address family than %s",
                    config->source_text, config->target);
    int number = load_sources_check(&config->sources, family, &wrong);
    if (number == 0) return true;
    return fail(error, "--source: can't connect from %s: %s",
                net_format(text, &config->sources.addresses[wrong]), strerror(-number));
}

static bool check_target(struct load_config *config, int argc, char **argv, int first, char *error)
{
    config->target = config->only_v6 ? DEFAULT_TARGET_V6 : DEFAULT_TARGET;
    if (first < argc) config->target = argv[first];
    if (first + 1 < argc)
        return fail(error, "one target, please: '%s' is left over (see --help)", argv[first + 1]);
    return resolve(config, error) && check_sources(config, error);
}

enum load_config_outcome load_config_read(struct load_config *config, int argc, char **argv,
                                          char *error)
{
    struct options_result result;

    set_defaults(config);
    options_parse(&options, argc, argv, config, &result);
    switch (result.outcome) {
    case OPTIONS_HELP:
        options_print_help(&options, result.help_group);
        return LOAD_CONFIG_HELP;
    case OPTIONS_VERSION:
        return LOAD_CONFIG_VERSION;
    case OPTIONS_WRONG:
        (void)fail(error, "%s", result.error);
        return LOAD_CONFIG_WRONG;
    case OPTIONS_PARSED:
        break;
    }
    if (!check_values(config, error)) return LOAD_CONFIG_WRONG;
    if (!check_target(config, argc, argv, result.first_operand, error)) return LOAD_CONFIG_WRONG;
    return LOAD_CONFIG_READY;
}

const char *load_scenario_name(enum load_scenario scenario)
{
    return scenario_choices[scenario];
}

const char *load_quit_name(enum load_quit quit)
{
    return quit_choices[quit];
}
