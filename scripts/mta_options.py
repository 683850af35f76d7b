"""The command line of scripts/bench-mta: its own options, and everything else for loadgen."""
import dataclasses
import os
import re
import sys

KNOWN = ("postfix", "exim4", "opensmtpd")
UNITS = {"": 1, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
# What bench-mta itself asks loadgen for.
TAKEN = {"-o": "--out DIR keeps it", "--output": "--out DIR keeps it", "--ledger": "--out DIR keeps it",
         "-q": "bench-mta shows progress of its own", "--quiet": "bench-mta shows progress of its own",
         "--progress": "bench-mta shows progress of its own", "--calibrate": "it has no target",
         "--scenario": "only mail can be audited"}

HELP = """usage: scripts/bench-mta postfix|exim4|opensmtpd [OPTIONS] [LOADGEN OPTIONS]
       scripts/bench-mta --mta HOST:PORT --sink [HOST:]PORT [OPTIONS] [LOADGEN OPTIONS]

Loads a mail server that relays everything to a ringsink, waits until its queue is empty, and tells what went in, what came
out, how long that took, and whether anything was lost. The first form starts Debian's package of that name on 127.0.0.1,
unpacked and in a mount namespace of its own: nothing is installed or changed. The second loads one that is there and
was told to relay to this host's HOST:PORT, where ringsink will listen.

Options
  --kill-at T         -9 to all its processes T after the load began, then it is started again on the same queue
  --runs N            one after the other, each with a queue of its own, and a table of them [1]
  --drain-limit T     longest wait for its queue to empty once the load has ended [2m]
  --set NAME=VALUE    a setting of the mail server's (main.cf, exim4.conf's main section, smtpd.conf); repeatable
  --queue COMMAND     with --mta: a shell command that prints how many messages are queued there
  --spool-size SIZE   room for what is delivered [twice what the load can bring, at least 256Mi]
  --out DIR           keeps result.json, result.txt, delivery.csv, faults, ledger, the mail server's log and configuration
  --record            keeps a line in bench/results/bench-mta.jsonl
  --build DIR         where the programs are [RINGSINK_BUILD, else build/release, made if missing]
  -h, --help

The load is `-n 2000 -c 20 -l 10k --ramp 1s --warmup 0` unless loadgen's options say otherwise (`loadgen --help`); with --kill-at T
`-R 100` for twice T. Exit status: 0 nothing is wrong, 1 something was lost, duplicated or changed, 2 usage, 3 not proven (messages still
queued, or the sink was full), 130 interrupted.
"""


class Wrong(Exception):
    """A mistake of the command line's."""


@dataclasses.dataclass
class Options:
    server: str | None = None      # one of KNOWN
    mta: str | None = None         # or an address
    sink: str | None = None
    kill_at_s: float | None = None
    runs: int = 1
    drain_limit_s: float = 120
    settings: list = dataclasses.field(default_factory=list)
    queue: str | None = None
    spool_size: str | None = None
    out: str | None = None
    record: bool = False
    build: str | None = None
    loadgen: list = dataclasses.field(default_factory=list)


def seconds(text, name):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|)", text)
    if not match:
        raise Wrong(f"{name} {text}: a time is meant, as 5s or 2m")
    return float(match.group(1)) * UNITS[match.group(2)]


def pair(text):
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise Wrong(f"--set {text}: NAME=VALUE is meant")
    return name.strip(), value.strip()


def count(text, name):
    if not text.isdigit() or int(text) < 1:
        raise Wrong(f"{name} {text}: a number from 1 on is meant")
    return int(text)


def address(text, name, default_host=None):
    """(host, port) of HOST:PORT, [HOST]:PORT, or with a default PORT alone."""
    match = re.fullmatch(r"(?:(\[[^\]]+\]|[^:\[\]]+):)?(\d{1,5})", text)
    if not match or not 0 < int(match.group(2)) < 65536 or (match.group(1) is None and default_host is None):
        raise Wrong(f"{name} {text}: {'HOST:PORT' if default_host is None else '[HOST:]PORT'} is meant")
    return (match.group(1) or default_host), int(match.group(2))


# name -> (field, how its value is read); a list gathers.
VALUES = {
    "--mta": ("mta", None), "--sink": ("sink", None), "--queue": ("queue", None), "--spool-size": ("spool_size", None),
    "--out": ("out", None), "--build": ("build", None),
    "--kill-at": ("kill_at_s", lambda text: seconds(text, "--kill-at")),
    "--drain-limit": ("drain_limit_s", lambda text: seconds(text, "--drain-limit")),
    "--runs": ("runs", lambda text: count(text, "--runs")),
    "--set": ("settings", pair),
}


def take_value(options, name, value):
    field, read = VALUES[name]
    value = read(value) if read else value
    if isinstance(getattr(options, field), list):
        getattr(options, field).append(value)
    else:
        setattr(options, field, value)


def check(options):
    if (options.server is None) == (options.mta is None):
        raise Wrong(f"one of {', '.join(KNOWN)}, or --mta HOST:PORT")
    if options.server and options.server not in KNOWN:
        raise Wrong(f"unknown mail server {options.server}: {', '.join(KNOWN)}, or --mta HOST:PORT")
    if options.mta:
        address(options.mta, "--mta")
        if options.sink is None:
            raise Wrong("--mta wants --sink [HOST:]PORT: where that server was told to relay to, and ringsink will listen")
        if options.kill_at_s is not None or options.settings:
            raise Wrong("--kill-at and --set are for a mail server that bench-mta starts")
    elif options.queue or options.sink:
        raise Wrong("--queue and --sink are for --mta")
    if options.sink:
        address(options.sink, "--sink", "127.0.0.1")
    for argument in options.loadgen:
        name = argument.split("=", 1)[0]
        if name in TAKEN:
            raise Wrong(f"{name} is not for bench-mta: {TAKEN[name]}")


def is_server(argument, options):
    """A word before all of loadgen's options is one, whatever it is; behind them only a known one can be told from a value."""
    if options.server or options.mta or argument.startswith("-"):
        return False
    return argument in KNOWN or not options.loadgen


def parse(arguments):
    """The options; raises Wrong."""
    options = Options()
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        if argument == "--record":
            options.record = True
        elif name in VALUES:
            if not equals and not waiting:
                raise Wrong(f"{name} wants a value")
            take_value(options, name, value if equals else waiting.pop(0))
        elif is_server(argument, options):
            options.server = argument
        else:
            options.loadgen.append(argument)
    check(options)
    return options


def load_value(arguments, *names):
    """What loadgen will make of an option that may be written in every way, the last one counting; None if it isn't there."""
    found = None
    for index, argument in enumerate(arguments):
        for name in names:
            if argument == name and index + 1 < len(arguments):
                found = arguments[index + 1]
            elif name.startswith("--") and argument.startswith(name + "="):
                found = argument[len(name) + 1:]
            elif not name.startswith("--") and argument.startswith(name) and len(argument) > 2 and argument[1] != "-":
                found = argument[2:]
    return found


def number(text, otherwise=None):
    """Of "20", "2k", "10Ki"; what is not such is loadgen's to refuse."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)(i?)", (text or "").replace("K", "k"))
    if not match:
        return otherwise
    return int(float(match.group(1)) * (1024 if match.group(3) else 1000) ** " kMG".index(match.group(2) or " "))


def load_arguments(options):
    """loadgen's options: the defaults that nobody spoke against, then the user's."""
    given = options.loadgen
    defaults = []
    is_endless = load_value(given, "-n", "--messages", "-m") is None and load_value(given, "-d", "--duration") is None
    if options.kill_at_s is None:
        defaults += ["-n", "2000"] if is_endless else []
    elif is_endless:
        # A rate that leaves messages in every state, and no queue that takes minutes to empty.
        defaults += ["-R", "100"] if load_value(given, "-R", "--rate") is None else []
        defaults += ["-d", f"{2 * options.kill_at_s:g}s"]
    for names, value in ((("-c", "--connections", "-s"), "20"), (("-l", "--length"), "10k"), (("--ramp",), "1s"),
                         (("--warmup",), "0")):
        if load_value(given, *names) is None:
            defaults += [names[0], value]
    if options.kill_at_s is not None and load_value(given, "--retry-connect") is None:
        defaults += ["--retry-connect", "100"]
    return defaults + given


def largest_message(text):
    """Of loadgen's --length, roughly: the largest number in it; lognormal has a long tail."""
    sizes = [number(part, 0) for part in re.findall(r"\d+(?:\.\d+)?[kKMG]?i?", text or "10k")]
    return max(sizes + [1000]) * (4 if "lognormal" in (text or "") else 1)


def messages_expected(arguments):
    """How many the load can bring, None if that is not known before."""
    most = number(load_value(arguments, "-n", "--messages", "-m"))
    if most is not None:
        return most
    rate = number(load_value(arguments, "-R", "--rate"))
    lasts = load_value(arguments, "-d", "--duration")
    return int(rate * seconds(lasts, "-d")) + 1 if rate and lasts else None


def read(arguments):
    """The options, or the end of the program with what is wrong."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="", file=sys.stderr if not arguments else sys.stdout)
        sys.exit(2 if not arguments else 0)
    try:
        options = parse(arguments)
    except Wrong as wrong:
        print(f"bench-mta: {wrong}\nbench-mta: scripts/bench-mta --help tells more", file=sys.stderr)
        sys.exit(2)
    if options.build:
        os.environ["RINGSINK_BUILD"] = os.path.abspath(options.build)
    return options
