/* ringspool -- reads a spool: the program and its commands' names. */
#include "ringspool.h"

#include "base/exit_codes.h"
#include "base/log.h"
#include "base/options.h"
#include "version.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUTPUT_BUFFER_SIZE (1u << 18)

#define FIELD(name) offsetof(struct ringspool, name)

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .help = "Output"},
    {.kind = OPTION_FLAG,
     .name = "json",
     .offset = FIELD(is_json),
     .help = "list: an object a line; audit: one object"},
    {.kind = OPTION_HEADING, .help = "What trim frees: whole segments, oldest first, for ever"},
    {.kind = OPTION_FLAG, .name = "all", .offset = FIELD(is_all), .help = "everything"},
    {.kind = OPTION_SIZE,
     .name = "keep",
     .offset = FIELD(keep_bytes),
     .argument = "SIZE",
     .help = "all but the newest SIZE"},
    {.kind = OPTION_DURATION,
     .name = "older",
     .offset = FIELD(older_ns),
     .argument = "T",
     .help = "segments without a message younger than T"},
    {.kind = OPTION_HEADING, .help = "Where export delivers"},
    {.kind = OPTION_TEXT,
     .name = "to",
     .offset = FIELD(target),
     .argument = "FORMAT:DIR",
     .help = "maildir, mh, mbox: DIR/RECIPIENT; eml: DIR/ID.eml"},
    {.kind = OPTION_FLAG,
     .name = "follow",
     .offset = FIELD(is_follow),
     .help = "go on as messages arrive, until SIGINT or SIGTERM"},
    {.kind = OPTION_HEADING, .help = "What audit judges, and files of it"},
    {.kind = OPTION_FLAG,
     .name = "relayed",
     .offset = FIELD(is_relayed),
     .help = "an MTA stands between loadgen and this spool: bodies and recipients count, and how "
             "long it took"},
    {.kind = OPTION_TEXT,
     .name = "faults",
     .offset = FIELD(faults),
     .argument = "FILE",
     .help = "every message at fault: what, run, sequence, IDs of its copies"},
    {.kind = OPTION_TEXT,
     .name = "csv",
     .offset = FIELD(csv),
     .argument = "FILE",
     .help = "relayed: a row a second: accepted, delivered, backlog, how long it took"},
    {.kind = OPTION_LIST,
     .name = "clock",
     .offset = FIELD(clocks),
     .argument = "LEDGER",
     .help = "relayed, loadgen on another host: of probes it sent straight to this ringsink; one "
             "from before the run, one from behind it"},
};

static const struct options options = {
    .program = "ringspool",
    .usage =
        "ringspool list   SPOOL [--json]    one line a message\n"
        "       ringspool cat    SPOOL ID          the message as received, exactly\n"
        "       ringspool verify SPOOL             every checksum; what is damaged or torn\n"
        "       ringspool trim   SPOOL --all | --keep SIZE | --older T\n"
        "       ringspool export SPOOL --to maildir:DIR | mh:DIR | mbox:DIR | eml:DIR [--follow]\n"
        "       ringspool audit  SPOOL LEDGER... [--relayed] [--json]\n"
        "                                          is all there that was acknowledged?",
    .epilogue = "Every command may be used while a server runs on the spool; trim then frees only\n"
                "what the server has finished with.\n"
                "A second export into the same DIR brings only what is new: remove\n"
                "DIR/.ringspool-FORMAT-* to have everything again.\n"
                "\n"
                "Examples:\n"
                "  ringspool list spool | tail -1\n"
                "  ringspool cat spool 0.1.4096 >message.eml\n"
                "  ringspool trim spool --keep 1Gi\n"
                "  ringspool export spool --to maildir:mail && mutt -f mail/user@lab.test\n"
                "  loadgen -n 100k --ledger ledger && ringspool audit spool ledger\n"
                "  loadgen mta.test:25 --ledger ledger && ringspool audit --relayed spool ledger\n"
                "\n"
                "Exit status: 0 all is well; 1 damaged, a delivery that failed, or for audit\n"
                "anything lost, duplicated, corrupt, partial, or refused yet present; 2 usage, an\n"
                "empty ledger, or a run the spool never saw; 3 audit: recycling took the proof;\n"
                "73 no spool there, or unreadable; 75 another export is at work in DIR.",
    .environment = NULL, /* nothing that frees messages may come from there */
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

struct command {
    const char *name;
    int (*run)(const struct ringspool *program);
    const char *operands; /* behind SPOOL */
    int operands_least;
    int operands_most;
    bool takes_json;
    bool takes_trim;
    bool takes_export;
    bool takes_audit;
};

static const struct command commands[] = {
    {"list", ringspool_list, "", 0, 0, true, false, false, false},
    {"cat", ringspool_cat, " ID", 1, 1, false, false, false, false},
    {"verify", ringspool_verify, "", 0, 0, false, false, false, false},
    {"trim", ringspool_trim, " --all | --keep SIZE | --older T", 0, 0, false, true, false, false},
    {"export", ringspool_export, " --to FORMAT:DIR [--follow]", 0, 0, false, false, true, false},
    {"audit", ringspool_audit, " LEDGER...", 1, INT32_MAX, true, false, false, true},
};

/* A page of a mapping that the disk does not give is taken as zero: its checksums will tell. */
static volatile sig_atomic_t fault_count;
static uintptr_t page_size;

static void fault_take(int signal_number, siginfo_t *info, void *context)
{
    void *page = (void *)((uintptr_t)info->si_addr & ~(page_size - 1));

    (void)context;
    fault_count++;
    if (info->si_code == BUS_ADRERR &&
        mmap(page, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page)
        return;
    (void)signal(signal_number, SIG_DFL);
}

uint32_t ringspool_fault_count(void)
{
    return (uint32_t)fault_count;
}

void ringspool_require(const struct ringspool *program, int error)
{
    const char *path = program->spool;

    if (error == 0) return;
    switch (-error) {
    case ENOENT:
        die(EXIT_CODE_NO_SPOOL, "no spool at %s: name the directory that ringsink --spool names",
            path);
    case ENOTDIR:
    case ELOOP:
        die(EXIT_CODE_NO_SPOOL, "%s is no directory, or a link: name the spool's directory itself",
            path);
    case EACCES:
    case EPERM:
        die(EXIT_CODE_NO_SPOOL, "can't read %s: %s; run as the user that ringsink runs as", path,
            strerror(-error));
    default:
        die(EXIT_CODE_NO_SPOOL, "can't read the spool at %s: %s", path, strerror(-error));
    }
}

static const struct command *command_find(const char *name)
{
    for (uint32_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    die(EXIT_CODE_USAGE,
        "'%s' is no command: try list, cat, verify, trim, export, audit, or --help", name);
}

static void audit_usage_check(const struct command *command, const struct ringspool *program)
{
    bool asks_relayed = program->csv != NULL || program->clocks.count > 0;
    bool asks_audit = asks_relayed || program->is_relayed || program->faults != NULL;

    if (asks_audit && !command->takes_audit)
        die(EXIT_CODE_USAGE, "--relayed, --faults, --csv and --clock are for audit, not for %s",
            command->name);
    if (asks_relayed && !program->is_relayed)
        die(EXIT_CODE_USAGE, "--csv and --clock tell of a relay: give --relayed, too");
}

static void usage_check(const struct command *command, const struct ringspool *program,
                        int operand_count)
{
    bool has_trim = program->is_all || program->keep_bytes != RINGSPOOL_UNSET ||
                    program->older_ns != RINGSPOOL_UNSET;

    if (operand_count < command->operands_least || operand_count > command->operands_most)
        die(EXIT_CODE_USAGE, "usage: ringspool %s SPOOL%s", command->name, command->operands);
    if (has_trim && !command->takes_trim)
        die(EXIT_CODE_USAGE, "--all, --keep and --older are for trim, not for %s", command->name);
    if ((program->target != NULL || program->is_follow) && !command->takes_export)
        die(EXIT_CODE_USAGE, "--to and --follow are for export, not for %s", command->name);
    if (program->is_json && !command->takes_json)
        die(EXIT_CODE_USAGE, "--json is for list and audit, not for %s", command->name);
    audit_usage_check(command, program);
}

/* Fills `program` from the command line; the command. Exits for --help and wrong usage. */
static const struct command *command_line_read(struct ringspool *program, int argc, char **argv)
{
    struct options_result result;

    options_parse(&options, argc, argv, program, &result);
    switch (result.outcome) {
    case OPTIONS_HELP:
        options_print_help(&options, result.help_group);
        exit(EXIT_CODE_OK);
    case OPTIONS_VERSION:
        (void)printf("ringspool %s (%s)\nMIT licence\n", RINGSINK_VERSION, RINGSINK_COMMIT);
        exit(EXIT_CODE_OK);
    case OPTIONS_WRONG:
        die(EXIT_CODE_USAGE, "%s", result.error);
    case OPTIONS_PARSED:
        break;
    }
    char **operands = argv + result.first_operand;
    int count = argc - result.first_operand;
    if (count == 0)
        die(EXIT_CODE_USAGE,
            "which command? try list, cat, verify, trim, export, audit, or --help");
    const struct command *command = command_find(operands[0]);
    usage_check(command, program, count - 2);
    program->spool = operands[1];
    program->operands = operands + 2;
    program->operand_count = count - 2;
    return command;
}

int main(int argc, char **argv)
{
    struct ringspool program = {.keep_bytes = RINGSPOOL_UNSET, .older_ns = RINGSPOOL_UNSET};
    struct sigaction guard = {.sa_sigaction = fault_take, .sa_flags = SA_SIGINFO};
    static char buffer[OUTPUT_BUFFER_SIZE];

    log_open("ringspool", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    (void)setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
    page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)sigaction(SIGBUS, &guard, NULL);
    const struct command *command = command_line_read(&program, argc, argv);
    int status = command->run(&program);
    if (fflush(stdout) == 0 && ferror(stdout) == 0) return status;
    if (errno == EPIPE) return status; /* the reader had enough */
    die(EXIT_CODE_FAILED, "can't write the output: %s", strerror(errno));
}
