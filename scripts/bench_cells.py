"""What scripts/bench measures: its cells by name, who is in each, and how long that takes."""
from dataclasses import dataclass, replace

SECONDS = 2
REPETITIONS = 7
PAIRS = 9
# At 10,000 connections smtp-sink answers in waves some seconds long: a short window would catch none.
WAVES_S = 10
MANY = 10000
MANY_REPETITIONS = 5
MANY_S = 3

# For the plan: what a run takes beyond its measured seconds, and what a server takes to start and end, as found here.
RUN_OVER_S = 0.4
MANY_OVER_S = 1.5
WAVES_OVER_S = 15  # until smtp-sink has answered what is in flight
AUDIT_S = 0.5
CLEAN_PAGES_S = 0.5
START_S = {"ringsink-page": 2.5, "ringsink-page-2-workers": 2.5, "ringsink-page-tls": 2.5, "postfix": 4.0, "postfix-tls": 4.0,
           "haraka": 3.0, "aiosmtpd": 1.5, "nodemailer": 1.5, "nodemailer-tls": 1.5}
START_OTHERS_S = 0.7
# Their first load makes processes, or compiles: one more goes before the system calls are counted.
STARTS_SLOWLY = {"nodemailer", "nodemailer-tls", "haraka", "aiosmtpd", "go", "postfix", "postfix-tls", "bhm"}


@dataclass(frozen=True)
class Load:
    """What loadgen is asked for."""
    connections: int
    length: str
    mode: str  # off, group, stream, bdat, or auto: none of them said
    window: int = 1
    per_connection: int = 0
    options: tuple = ()
    tls: str = "off"  # starttls, implicit
    resumes: bool = False
    scenario: str = "deliver"  # connect-only: handshakes instead of messages
    messages: int = 0  # so many, however long that takes

    def name(self):
        each = ", a connection a message" if self.per_connection == 1 else ""
        window = f", {self.window} in flight" if self.window > 1 else ""
        return f"{self.connections:,} x {self.length}, {self.mode}{window}{each}"


# The client that is none: what a cipher costs by itself.
SPEED = "openssl-speed"
SPEED_S = 3


@dataclass(frozen=True)
class Contender:
    """One line of a cell: a server under a load."""
    server: str
    load: Load
    repetitions: int = REPETITIONS
    seconds: float = SECONDS
    label: str = ""
    client: str = "loadgen"  # or floor-client, or SPEED, which has no server

    def name(self):
        return self.label or self.server


@dataclass(frozen=True)
class Cell:
    name: str
    why: str
    contenders: tuple
    kind: str = "closed"  # closed: measured by bench_run; another: by the function of that name in bench_special
    server_cpus: str = "0"
    client_cpus: str = "1"
    plan_s: float = 0  # of a special one
    base: str = "smtp-sink"  # the contender that the others stand beside


def seconds_of(server, load):
    if load.connections < MANY:
        return SECONDS
    return WAVES_S if server.startswith("smtp-sink") else MANY_S


def contenders(load, names):
    """"page*9 floor": server names, ringsink's by their kind, with repetitions if they are not the usual ones."""
    made = []
    for word in names.split():
        name, _, count = word.partition("*")
        server = f"ringsink-{name}" if name in ("page", "page-fresh", "discard", "disk", "page-2-workers") else name
        usual = MANY_REPETITIONS if load.connections >= MANY else REPETITIONS
        made.append(Contender(server, load, int(count or usual), seconds_of(server, load)))
    return tuple(made)


def cell(name, why, load, names):
    return Cell(name, why, contenders(load, names))


def each(connections, length="1k"):
    return Load(connections, length, "off", per_connection=1)


def all_cpus(name, why, load):
    """Servers with a process or worker for each CPU, and the client's threads beside them."""
    return Cell(name, why, contenders(load, "page-2-workers smtp-sink-each-cpu"), server_cpus="0,1", client_cpus="0,1",
                base="smtp-sink-each-cpu")


PEERS = "nodemailer haraka aiosmtpd go postfix"
TLS_PEERS = ("postfix", "nodemailer")
HANDSHAKES = Load(50, "1k", "off", tls="implicit", scenario="connect-only")


def over_tls(load, repetitions, names):
    return tuple(Contender(f"{name}-tls", replace(load, tls="implicit"), repetitions, label=name) for name in names)


def handshakes(name, why, resumes):
    load = replace(HANDSHAKES, resumes=resumes)
    return Cell(name, why, (*over_tls(load, REPETITIONS, ("ringsink-discard",)),
                            Contender("ringsink-discard-tls", replace(load, tls="starttls"), label="ringsink-discard, STARTTLS"),
                            *over_tls(load, REPETITIONS, TLS_PEERS)), base="postfix")


def beside_plain(load, repetitions, messages):
    """Each of ringsink's processes listens for both. What is stored is as much in both: a page of the spool costs more the
    first time after it was written back."""
    loads = {"discard": load, "page": replace(load, messages=messages)}
    return tuple(Contender(f"ringsink-{kind}-tls", replace(loads[kind], tls=tls), repetitions, label=f"ringsink-{kind}, {text}")
                 for kind in loads for tls, text in (("implicit", "TLS"), ("off", "plain")))


CELLS = [
    cell("each-1k-200", "lock-step, a connection a message: what smtp-source does by default", each(200),
         f"page discard floor floor-epoll smtp-sink {PEERS}"),
    cell("each-1k-1000", "the same from more clients", each(1000), "page floor smtp-sink"),
    cell("lock-1k-1", "one client in lock-step: the round trip alone", Load(1, "1k", "off"),
         "page disk floor floor-epoll smtp-sink"),
    cell("lock-1k-200", "lock-step, persistent: an MTA that keeps its connections", Load(200, "1k", "off"),
         f"page disk floor smtp-sink {PEERS} bhm"),
    cell("lock-1k-10000", "the same from very many", Load(MANY, "1k", "off"), "page floor smtp-sink"),
    cell("group-1k-200", "MAIL, RCPT and DATA together: what loadgen does by default", Load(200, "1k", "group"),
         "page floor smtp-sink"),
    cell("group-10k-200", "loadgen's default length", Load(200, "10k", "group"), "page floor smtp-sink"),
    Cell("as-typed-10000", "`loadgen -c 10000` as typed: 10 KB, `group`, 10 s", tuple(
        Contender(server, Load(MANY, "10k", "auto", options=("default-warm-up",)), MANY_REPETITIONS, WAVES_S)
        for server in ("ringsink-page", "smtp-sink"))),
    cell("stream-1k-1", "one client: a message a round trip", Load(1, "1k", "stream"), "page floor floor-epoll smtp-sink"),
    cell("stream-1k-200", "the most that DATA can do, and everybody's", Load(200, "1k", "stream"),
         f"page*{PAIRS} floor*{PAIRS} discard disk floor-epoll smtp-sink {PEERS}"),
    cell("stream-1k-1000", "the same from more clients", Load(1000, "1k", "stream"), "page floor floor-epoll smtp-sink"),
    cell("stream-1k-10000", "the same from very many; memory is read here", Load(MANY, "1k", "stream"),
         "page floor floor-epoll smtp-sink"),
    cell("stream-10k-32", "larger messages", Load(32, "10k", "stream"), "page discard floor smtp-sink"),
    cell("stream-100k-200", "attachments", Load(200, "100k", "stream"), "page discard floor floor-epoll smtp-sink"),
    cell("stream-1m-1", "one large stream", Load(1, "1m", "stream"), "page floor smtp-sink"),
    cell("stream-1m-32", "large messages: the copy and the checksum", Load(32, "1m", "stream"),
         f"page*{PAIRS} discard*{PAIRS} floor*{PAIRS} page-fresh floor-epoll smtp-sink nodemailer aiosmtpd go"),
    Cell("bdat-1k-1", "one client: BDAT with 32 in flight beside `stream`", (
        Contender("ringsink-page", Load(1, "1k", "bdat", 32), label="ringsink-page, bdat"),
        Contender("ringsink-page", Load(1, "1k", "stream"), label="ringsink-page, stream"),
        Contender("ringsink-discard", Load(1, "1k", "bdat", 32), label="ringsink-discard, bdat")),
         base="ringsink-page, stream"),
    Cell("bdat-1k-200", "the same from 200 clients", (
        Contender("ringsink-page", Load(200, "1k", "bdat", 32), label="ringsink-page, bdat"),
        Contender("ringsink-page", Load(200, "1k", "stream"), label="ringsink-page, stream"),
        Contender("ringsink-disk", Load(200, "1k", "bdat", 32), label="ringsink-disk, bdat")),
         base="ringsink-page, stream"),
    Cell("bdat-1m-32", "large chunks", (
        Contender("ringsink-page", Load(32, "1m", "bdat"), label="ringsink-page, bdat"),
        Contender("ringsink-page", Load(32, "1m", "stream"), label="ringsink-page, stream")), base="ringsink-page, stream"),
    all_cpus("all-cpus-stream", "both CPUs for both sides: as many smtp-sinks on one port as there are CPUs",
             Load(200, "1k", "stream")),
    all_cpus("all-cpus-each", "the same, a connection a message", each(200)),
    Cell("workers-1k-200", "one worker and two, by counters and user CPU", (
        Contender("ringsink-page", Load(200, "1k", "stream"), label="1 worker"),
        Contender("ringsink-page-2-workers", Load(200, "1k", "stream"), label="2 workers")),
        kind="workers", server_cpus="0,1", client_cpus="0,1", plan_s=60),
    Cell("client-1k-200", "loadgen beside the canned client, same work", (
        Contender("floor", Load(200, "1k", "stream"), PAIRS, label="loadgen"),
        Contender("floor", Load(200, "1k", "stream"), PAIRS, label="floor-client", client="floor-client")),
         base="floor-client"),
    Cell("client-1m-32", "the same with large messages", (
        Contender("floor", Load(32, "1m", "stream"), label="loadgen"),
        Contender("floor", Load(32, "1m", "stream"), label="floor-client", client="floor-client")), base="floor-client"),
    handshakes("tls-handshake-full", "TLS handshakes: connect, shake hands, greet, QUIT, again", False),
    handshakes("tls-handshake-resumed", "the same by tickets", True),
    Cell("tls-stream-1k-200", "1 KB over TLS beside plain, and beside others over TLS; persistent connections",
         (*beside_plain(Load(200, "1k", "stream"), REPETITIONS, 100000), *over_tls(Load(200, "1k", "stream"), REPETITIONS, TLS_PEERS)),
         base="postfix"),
    Cell("tls-bulk-1m-32", "1 MB likewise; in each round what the cipher alone costs, by `openssl speed`",
         (*beside_plain(Load(32, "1m", "stream"), PAIRS, 1000),
          Contender("", Load(0, "16k", ""), PAIRS, SPEED_S, label=SPEED, client=SPEED),
          *over_tls(Load(32, "1m", "stream"), 5, TLS_PEERS)), base="postfix"),
    Cell("half-1k-1000", "open loop at half of smtp-sink's own maximum, 60 s each: the dot, the worst stall", tuple(
        Contender(server, Load(1000, "1k", "group"), 5, 12) for server in ("ringsink-page", "smtp-sink")),
        kind="half", plan_s=160),
    Cell("fair-1k-10000", "messages per connection, closed loop, 10 s", (
        Contender("ringsink-page", Load(MANY, "1k", "stream"), 5, 10),), kind="fairness", plan_s=85),
    Cell("instructions", "user instructions per message, by callgrind", tuple(
        Contender(server, Load(connections, "1k", "stream"), 1, 0, f"{server}, {connections:,} connections")
        for server, connections in (("ringsink-page", 100), ("ringsink-page", MANY), ("ringsink-discard", 100),
                                    ("smtp-sink", 100))), kind="instructions", plan_s=60),
    Cell("micro", "the pure modules alone", (), kind="micro", plan_s=15),
]
BY_NAME = {cell.name: cell for cell in CELLS}


def has_server(contender):
    return contender.client != SPEED


def is_audited(contender):
    return contender.client == "loadgen" and contender.server.startswith("ringsink-") and "discard" not in contender.server


def over_s(contender):
    """What connecting and draining take."""
    if not has_server(contender):
        return 0
    if contender.load.connections < MANY:
        return RUN_OVER_S
    return WAVES_OVER_S if contender.server == "smtp-sink" else MANY_OVER_S


def run_s(contender):
    """One repetition, with what comes before and behind it."""
    over = over_s(contender)
    if is_audited(contender):
        over += AUDIT_S + CLEAN_PAGES_S
    if contender.server == "ringsink-page-fresh":
        over += START_OTHERS_S
    return contender.seconds + over


def planned_s(cell):
    """How long a cell will take."""
    if cell.kind != "closed":
        return cell.plan_s
    total = 0
    for server in {contender.server for contender in cell.contenders if has_server(contender)}:
        total += START_S.get(server, START_OTHERS_S)
    for contender in cell.contenders:
        total += contender.repetitions * run_s(contender)
        if has_server(contender):
            untimed = contender.seconds / 2 + over_s(contender)
            total += untimed * (2 if contender.server in STARTS_SLOWLY else 1)
    return total


def shortened(cell, seconds, repetitions):
    """To try something out: no run longer, no more of them."""
    def short(contender):
        return replace(contender, seconds=min(contender.seconds, seconds or contender.seconds),
                       repetitions=min(contender.repetitions, repetitions or contender.repetitions))
    return replace(cell, contenders=tuple(map(short, cell.contenders)))


def plan_text(cells):
    lines = [f"{'cell':21} {'about':>6}  what"]
    for cell in cells:
        names = ", ".join(f"{contender.name()} x {contender.repetitions}" for contender in cell.contenders)
        lines.append(f"{cell.name:21} {planned_s(cell):4.0f} s  {cell.why}" + (f"\n{'':31}{names}" if names else ""))
    total = sum(planned_s(cell) for cell in cells)
    runs = sum(contender.repetitions for cell in cells for contender in cell.contenders)
    lines.append(f"{len(cells)} cells, {runs} runs, about {total / 60:.0f} minutes")
    return "\n".join(lines)
