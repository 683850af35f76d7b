"""What a whole run of scripts/bench has to show, beside what it showed: one row a figure, out of the kept lines."""
import statistics

from bench_cells import SPEED

NOT_MEASURED = "not measured"
PAIRS = 9
MIB = 2**20


class Lines:
    """The lines of one run, by cell and contender."""

    def __init__(self, lines):
        self.lines = [line for line in lines if "error" not in line]

    def rows(self, cell, contender):
        return [line for line in self.lines if line["cell"] == cell and line["contender"] == contender]

    def values(self, cell, contender, name):
        found = (line.get(name) for line in self.rows(cell, contender))
        return [value for value in found if value is not None]

    def median(self, cell, contender, name):
        values = self.values(cell, contender, name)
        return statistics.median(values) if values else None

    def ratio(self, cell, one, other, name):
        a, b = self.median(cell, one, name), self.median(cell, other, name)
        return a / b if a is not None and b else None

    def pairs(self, cell, one, other, name):
        """The median of the ratios of what was measured in the same turn, and of how many."""
        others = {line["repetition"]: line[name] for line in self.rows(cell, other)}
        ratios = [line[name] / others[line["repetition"]] for line in self.rows(cell, one) if others.get(line["repetition"])]
        return (statistics.median(ratios), len(ratios)) if ratios else (None, 0)


    def agreed(self, cell):
        """What the contenders of a cell agreed on with their clients: version and cipher, by who."""
        return {line["contender"]: (line["tls_version"], line["tls_cipher"]) for line in self.lines
                if line["cell"] == cell and "tls_version" in line}

    def costs(self, cell, contender):
        """CPU time an octet, by turn."""
        return {line["repetition"]: line["cpu_ns_per_octet"] for line in self.rows(cell, contender)}


def row(what, asked, measured, is_met):
    """is_met: None where nothing was measured."""
    verdict = "-" if is_met is None else "yes" if is_met else "**no**"
    return (what, asked, measured, verdict)


def at_least(what, value, limit, text="{:.1f}x", beside=""):
    measured = NOT_MEASURED if value is None else text.format(value) + beside
    return row(what, "at least " + text.format(limit), measured, None if value is None else value >= limit)


def at_most(what, value, limit, text="{:.2f}x", beside=""):
    measured = NOT_MEASURED if value is None else text.format(value) + beside
    return row(what, "at most " + text.format(limit), measured, None if value is None else value <= limit)


def beside_sink(found):
    rows = [at_least(f"messages/s beside smtp-sink, 1 KB `stream`, {connections:,} connections",
                     found.ratio(f"stream-1k-{connections}", "ringsink-page", "smtp-sink", "messages_per_s"), limit)
            for connections, limit in ((200, 3), (1000, 5), (10000, 15))]
    rows.append(at_least("`loadgen -c 10000` as typed, beside smtp-sink",
                         found.ratio("as-typed-10000", "ringsink-page", "smtp-sink", "messages_per_s"), 10))
    fresh = found.ratio("stream-1m-32", "ringsink-page-fresh", "smtp-sink", "mb_per_s")
    rows.append(at_least("MB/s beside smtp-sink, 1 MB, 32 connections, `page` on a resident spool of 512 MiB",
                         found.ratio("stream-1m-32", "ringsink-page", "smtp-sink", "mb_per_s"), 14,
                         beside="" if fresh is None else f"; on fresh segments {fresh:.1f}x"))
    rows.append(at_least("the same, `discard`", found.ratio("stream-1m-32", "ringsink-discard", "smtp-sink", "mb_per_s"), 20))
    rows.append(at_least("messages/s beside smtp-sink, lock-step, 200 persistent connections",
                         found.ratio("lock-1k-200", "ringsink-page", "smtp-sink", "messages_per_s"), 1.5))
    rows.append(at_most("CPU per message beside smtp-sink, lock-step, a connection a message",
                        found.ratio("each-1k-200", "ringsink-page", "smtp-sink", "cpu_us_per_message"), 0.7))
    return rows


def beside_floor(found):
    rows = []
    for what, cell, server, limit in (("1 KB `stream`, `page`", "stream-1k-200", "ringsink-page", 1.12),
                                      ("1 MB, `page`", "stream-1m-32", "ringsink-page", 2.2),
                                      ("1 MB, `discard`", "stream-1m-32", "ringsink-discard", 1.25)):
        value, count = found.pairs(cell, server, "floor", "cpu_us_per_message")
        beside = f" ({count} pairs)" if count >= PAIRS else f" ({count} pairs: too few)"
        rows.append(at_most(f"server CPU per message beside the floor, {what}", value, limit, beside=beside))
        if value is not None and count < PAIRS:
            rows[-1] = (*rows[-1][:3], "-")
    rows.append(at_most("the floor itself, 1 KB `stream`, 200 connections, CPU a message",
                        found.median("stream-1k-200", "floor", "cpu_us_per_message"), 10, "{:.1f} us"))
    rows.append(at_most("client CPU per message of loadgen beside the canned client's, 1 KB `stream`",
                        found.ratio("client-1k-200", "loadgen", "floor-client", "client_cpu_us"), 1.25))
    rows.append(at_most("the same, 1 MB", found.ratio("client-1m-32", "loadgen", "floor-client", "client_cpu_us"), 1.25))
    return rows


def instructions(found):
    few, many = (found.median("instructions", f"ringsink-page, {connections} connections", "instructions_per_message")
                 for connections in ("100", "10,000"))
    difference = abs(many / few - 1) * 100 if few and many else None
    one, two = (found.median("workers-1k-200", workers, "user_us_per_message") for workers in ("1 worker", "2 workers"))
    both = NOT_MEASURED if None in (one, two) else f"{one:.2f} us and {two:.2f} us of user CPU a message"
    return [at_most("user instructions per 1 KB message, `stream`, 100 connections", few, 2000, "{:,.0f}"),
            at_most("difference of that at 10,000 connections", difference, 10, "{:.1f} %"),
            row("1 and 2 workers", "compared", both, None if None in (one, two) else True)]


HALF = "half-1k-1000"


def latency(found):
    """Runs whose schedule the generator did not keep are the generator's, and count only if there are no others."""
    servers = ("ringsink-page", "smtp-sink")
    rows = {server: found.rows(HALF, server) for server in servers}
    valid = {server: [line for line in lines if line["verdict"] != "invalid"] for server, lines in rows.items()}
    is_valid = all(valid.values())
    used = valid if is_valid else rows
    text = ""
    ratio = None
    if all(used.values()):
        mine, sink = (statistics.median(line["dot_p99_ns"] for line in used[server]) for server in servers)
        ratio = mine / sink
        text = f" ({mine / 1e6:.2f} ms, smtp-sink {sink / 1e6:.2f} ms)"
        text += "" if is_valid else "; the generator was late in all runs"
    p99 = at_most("dot p99 beside smtp-sink's at half of its maximum, 1,000 connections, open loop", ratio, 0.5, beside=text)
    return [p99 if is_valid else (*p99[:3], "-"), worst_stall(rows["ringsink-page"])]


def worst_stall(rows):
    """Where every second had stolen time, what the worst was with it is a bound from above."""
    stalls = [line["worst_stall_ns"] for line in rows if line["worst_stall_ns"] is not None]
    clean, stolen = (sum(line[name] for line in rows) for name in ("clean_seconds", "stolen_seconds"))
    beside = f" in {clean} s; {stolen} s with stolen time left out"
    if rows and not stalls:
        stalls = [line["worst_stall_with_steal_ns"] for line in rows]
        beside = f", stolen time included: the host took some in each of {stolen} s"
    return at_most("worst stall there", max(stalls) / 1e6 if stalls else None, 50, "{:.1f} ms", beside)


def others(found):
    bdat = found.ratio("bdat-1k-1", "ringsink-page, bdat", "ringsink-page, stream", "messages_per_s")
    many = found.ratio("bdat-1k-200", "ringsink-page, bdat", "ringsink-page, stream", "messages_per_s")
    rows = [at_least("`--bdat --window 32` beside `stream`, 1 KB, one connection, messages/s", bdat, 6,
                     beside="" if many is None else f"; with 200 connections {many:.1f}x")]
    rows.append(at_least("fairness, 10,000 connections: the slowest 1 % beside the median",
                         found.median("fair-1k-10000", "ringsink-page", "slowest_mean_share"), 0.5, "{:.2f}"))
    memory = [(line["rss_anon_kib"] + line["ring_kib"]) * 1024 / 1e6 for line in found.rows("stream-1k-10000", "ringsink-page")
              if line.get("ring_kib") is not None]
    rows.append(at_most("RssAnon and rings, 10,000 connections, after traffic", statistics.median(memory) if memory else None, 40,
                        "{:.1f} MB"))
    return rows


# ---- TLS ----

OTHERS_OVER_TLS = (("postfix", "Postfix's smtpd"), ("nodemailer", "nodemailer's smtp-server"))


def unlike(found, cell):
    """Who agreed on what, where that is not one cipher for all: such figures say nothing of one another. Else None."""
    agreed = found.agreed(cell)
    if len(set(agreed.values())) < 2:
        return None
    return "not compared: " + ", ".join(f"{name} with {' '.join(suite)}" for name, suite in agreed.items())


def beside_others(found, cell, name, figure):
    """"12.3x Postfix's smtpd, ..."; None if one of them was not measured."""
    ratios = [(found.ratio(cell, name, other, figure), called) for other, called in OTHERS_OVER_TLS]
    return None if any(ratio is None for ratio, _ in ratios) else ", ".join(f"{ratio:.1f}x {called}" for ratio, called in ratios)


def compared(what, found, cell, text):
    """A row that asks for no limit; text: what was measured, or None."""
    strange = unlike(found, cell)
    return row(what, "compared", strange or text or NOT_MEASURED, True if text and not strange else None)


def handshakes(found):
    rows = []
    for kind, cell in (("full", "tls-handshake-full"), ("resumed", "tls-handshake-resumed")):
        rate = found.median(cell, "ringsink-discard", "handshakes_per_s")
        others = beside_others(found, cell, "ringsink-discard", "handshakes_per_s")
        rows.append(compared(f"TLS handshakes/s, {kind}", found, cell, rate and others and f"{rate:,.0f}; {others}"))
    return rows


def over_tls(found):
    rows = []
    for what, cell, figure in (("messages/s over TLS, 1 KB `stream`", "tls-stream-1k-200", "messages_per_s"),
                               ("MB/s over TLS, 1 MB", "tls-bulk-1m-32", "mb_per_s")):
        for kind in ("discard", "page"):
            name = f"ringsink-{kind}, TLS"
            plain = found.ratio(cell, name, f"ringsink-{kind}, plain", figure)
            others = beside_others(found, cell, name, figure)
            rows.append(compared(f"{what}, `{kind}`, beside plain and others", found, cell,
                                 plain and others and f"{plain:.2f}x plain; {others}"))
    return rows


def bulk(found, kind):
    """The median, over the rounds, of an octet's cost over TLS beside its cost in plain and the cipher's own."""
    cell, name = "tls-bulk-1m-32", f"ringsink-{kind}, TLS"
    what = f"server CPU per octet over TLS beside plain and the cipher alone, 1 MB, `{kind}`"
    tls, plain, alone = (found.costs(cell, who) for who in (name, f"ringsink-{kind}, plain", SPEED))
    ciphers = {line["tls_cipher"] for who in (name, SPEED) for line in found.rows(cell, who)}
    rounds = [number for number in tls if number in plain and number in alone]
    if not rounds or len(ciphers) != 1:
        return at_most(what, None, 1.3)
    costs = [statistics.median(cost[number] for number in rounds) for cost in (tls, plain, alone)]
    ratio = statistics.median(tls[number] / (plain[number] + alone[number]) for number in rounds)
    few = "" if len(rounds) >= PAIRS else ": too few"
    judged = at_most(what, ratio, 1.3, beside=" ({:.2f} ns for {:.2f} + {:.2f}; {} pairs{})".format(*costs, len(rounds), few))
    return (*judged[:3], "-") if few else judged


def tls(found):
    return [*handshakes(found), *over_tls(found), bulk(found, "discard"), bulk(found, "page")]


def audits(found):
    seen = [line["audit"] for line in found.lines if "audit" in line]
    bad = sum(not audit["is_clean"] for audit in seen)
    expired = sum(audit["expired"] > 0 for audit in seen)
    text = f"{len(seen)} runs, {bad} with losses, duplicates or damage; in {expired} a part had been recycled"
    text = text if seen else NOT_MEASURED
    return [row("every run that stores is audited", "nothing lost, doubled or damaged", text, bad == 0 if seen else None)]


def rows_of(lines):
    """what, asked, measured, met"""
    found = Lines(lines)
    return [made for part in (beside_sink, beside_floor, instructions, others, latency, tls, audits) for made in part(found)]
