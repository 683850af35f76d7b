"""The text of a benchmark of a mail server, out of its result (result.json with its `delivery`)."""
import textwrap

import mta_histogram
from mta_limit import thousands

WIDTH = 96
LABEL = 16
ROWS = 12       # of the backlog over time
BARS = 6        # of the histogram
BAR = 40
STATUS = {"fine": "NOTHING LOST", "fault": "WRONG", "unproven": "NOT PROVEN"}
PLACE = "a place of its own"


def duration(nanoseconds):
    """Three digits and a unit."""
    if nanoseconds is None:
        return "-"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            value = nanoseconds / size
            return f"{value:.2f}{unit}" if value < 10 else f"{value:.1f}{unit}" if value < 100 else f"{value:.0f}{unit}"
    return f"{nanoseconds:.0f}ns"


def octets(value):
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value} octets"


def told(label, text):
    """A labelled paragraph."""
    return textwrap.fill(text, WIDTH, initial_indent=f"{label:{LABEL}} "[:max(LABEL + 1, len(label) + 1)],
                         subsequent_indent=" " * (LABEL + 1)).split("\n")


def head(result, delivery):
    mta, config, environment = delivery["mta"], result["config"], result["environment"]
    loop = f"{thousands(config['rate_per_s'])}/s due ({config['arrival']})" if config["loop"] == "open" else "closed loop"
    name = f"{mta['name']} {mta['version']} as Debian configures it" if mta["version"] else f"the mail server at {mta['address']}"
    queue = f"; queue on {mta['queue_on']}" if mta["queue_on"] else ""
    spool = f", sink's spool {'in memory' if delivery['connections']['spool_in'] == 'memory' else 'on disk'}"
    return [f"bench-mta  {name}  ->  ringsink {delivery['sink']}",
            f"load {config['connections']} connections, {loop}, bodies {config['body']['asked']}, {config['recipients']} recipient"
            f"{'s' if config['recipients'] != 1 else ''} a message; run {result['run']['id']}",
            f"{environment['cpus_online']} x {environment['cpu']}, Linux {environment['kernel']}{queue}{spool}", ""]


def verdict(result, delivery):
    counts = f"{thousands(delivery['accepted'])} accepted, {thousands(delivery['delivered'])} delivered"
    reasons = "; ".join(delivery["verdict"]["reasons"])
    if delivery["verdict"]["status"] == "fine":
        reasons = "each unchanged; " + reasons if reasons else "each once and unchanged"
    lines = told("VERDICT", f"{STATUS[delivery['verdict']['status']]}: {counts}: {reasons}")
    lines += told("limit", delivery["limit"]["why"])
    if delivery["limit"]["machine"]:
        lines += told("note", delivery["limit"]["machine"])
    if not delivery["drained"]:
        lines += told("note", "the queue was not empty when the wait for it ended (--drain-limit)")
    killed = delivery["killed"]
    if killed:
        lines += told("killed", f"{killed['processes']} processes by -9, {killed['at_s']:.1f} s after the load began; listening again "
                                f"after {killed['down_s']:.2f} s, on the same queue")
    if result["verdict"]["status"] != "valid":
        lines += told("loadgen", f"{result['verdict']['status'].upper()}: {'; '.join(result['verdict']['reasons'])}")
    return lines + [""]


def span(seconds):
    return "-" if seconds is None else f"{seconds:.2f} s"


def per_second(value):
    return "-" if value is None else f"{thousands(value)}/s" if value >= 100 else f"{value:.1f}/s"


def totals(result, delivery):
    failed = sum(result["totals"][name] for name in ("tempfail", "reject", "protocol", "timeout", "connection"))
    draining = f", {span(delivery['draining_s'])} of it behind the load" if delivery["draining_s"] is not None else ""
    rows = (("accept", f"in {span(delivery['accepting_s'])}; {thousands(failed)} failed"),
            ("deliver", f"in {span(delivery['delivering_s'])}{draining}"))
    lines = [f"{name + 'ed':{LABEL}} {thousands(delivery[name + 'ed']):>9}  {per_second(delivery[name + 'ed_per_s']):>9}  {took}"
             for name, took in rows]
    queued = "not known" if delivery["queued"] is None else thousands(delivery["queued"])
    return [*lines, f"{'still queued':{LABEL}} {queued:>9}", ""]


def latency_row(name, found):
    values = "".join(f"{duration(found['percentiles_ns'].get(which)):>9}" for which in ("50", "90", "99", "99.9"))
    return f"{name:{LABEL}} {thousands(found['count']):>9}{values}{duration(found['max_ns']):>9}{duration(found['mean_ns']):>9}"


def phases(result, delivery):
    lines = [f"{'time':{LABEL}} {'n':>9}{'p50':>9}{'p90':>9}{'p99':>9}{'p99.9':>9}{'max':>9}{'mean':>9}"]
    for name in ("banner", "envelope", "mail", "rcpt", "data", "body", "dot"):
        if result["phases"].get(name):
            lines.append(latency_row(f"accept: {name}", result["phases"][name]))
    for name, words in (("service", "accept: whole"), ("response", "  from due")):
        if result["latency"].get(name):
            lines.append(latency_row(words, result["latency"][name]))
    if delivery["latency"]:
        lines.append(latency_row("to delivered", delivery["latency"]))
        early = delivery["latency"]["delivered_before_accepted"]
        if early:
            lines += told("", f"{thousands(early)} of them were in the sink before loadgen had read their 250: they count as 0")
        clock = delivery["clock"]
        if clock["kind"] == "offset":
            lines += told("", f"two clocks, {duration(clock['uncertainty_ns'])} uncertain: what is below that is not shown")
        lines += [f"{'':{LABEL}} <{duration(bound):>8} {thousands(count):>9}  {bar(count, delivery['latency']['count'])}".rstrip()
                  for bound, count in mta_histogram.rows(mta_histogram.decode(delivery["latency"]["hdr"]), BARS)]
    else:
        lines += told("to delivered", f"not known: {delivery['clock']['reason']}")
    return lines + [""]


def bar(value, most):
    return "#" * max(round(BAR * value / most), 1 if value else 0) if most else ""


def gathered(seconds):
    """At most ROWS rows of (from, to, accepted/s, delivered/s, backlog at the end)."""
    count = len(seconds["time_s"])
    step = -(-count // ROWS) or 1
    rows = []
    for first in range(0, count, step):
        last = min(first + step, count)
        length = last - first
        rows.append((first, last, sum(seconds["accepted"][first:last]) / length, sum(seconds["delivered"][first:last]) / length,
                     seconds["backlog"][last - 1]))
    return rows


def backlog(delivery):
    rows = gathered(delivery["seconds"])
    if not rows or delivery["clock"]["kind"] == "none":
        return []
    most = max(row[4] for row in rows)
    lines = [f"{'second':>{LABEL}} {'accepted/s':>11}{'delivered/s':>13}{'backlog':>9}"]
    for first, last, accepted, delivered, waiting in rows:
        when = f"{first}" if last == first + 1 else f"{first}-{last - 1}"
        row = f"{when:>{LABEL}} {thousands(accepted):>11}{thousands(delivered):>13}{thousands(waiting):>9}  {bar(waiting, most)}"
        lines.append(row.rstrip())
    return lines + [""]


def connections(delivery):
    found = delivery["connections"]
    each = found["messages"] / found["connections"] if found["connections"] else 0
    return told("to the sink",
                f"{thousands(found['connections'])} connections, {each:.1f} messages each; {thousands(found['pipelined_connections'])} "
                f"of them pipelined; {thousands(found['bdat_messages'])} messages by BDAT; TLS {found['tls']}; its worker was "
                f"{found['cpu_ratio']:.0%} busy")


def used_by_server(use):
    at_least = "" if use["by"] == "cgroup" else " at least (no control group here)"
    io_at_least = "" if use["io_by"] == "cgroup" else " at least"
    return told("mail server",
                f"CPU {duration(use['cpu_ns_per_message'])}{at_least} a message ({use['user_ns'] / 1e9:.2f} s user, "
                f"{use['system_ns'] / 1e9:.2f} s system), {use['cpu_ratio']:.0%} of one in the mean; {use['processes_max']} processes at "
                f"most; memory at most {octets(use['pss_max_bytes'])} ({octets(use['rss_max_bytes'])} counting shared pages again in "
                f"each); read {octets(use['read_bytes'])}, wrote {octets(use['written_bytes'])}{io_at_least}")


def used_of_disk(disk):
    each = f", {disk['flushes_per_message']:.2f} a message" if disk["flushes_per_message"] is not None else ""
    return told("disk", f"{disk['device']}, everything on this host: {thousands(disk['writes'])} writes of "
                        f"{octets(disk['written_bytes'])}, {thousands(disk['flushes'])} flushes{each}")


def used(delivery):
    return (used_by_server(delivery["usage"]) if delivery["usage"] else []) + (used_of_disk(delivery["disk"]) if delivery["disk"] else [])


def audited(delivery):
    names = ("accepted", "delivered", "lost", "duplicated", "corrupt", "partial", "bounced", "queued", "refused_present", "unknown")
    words = {"queued": "still queued", "refused_present": "refused yet delivered", "unknown": "unanswered"}
    found = [f"{words.get(name, name)} {'not known' if delivery[name] is None else thousands(delivery[name])}" for name in names]
    present = f" ({thousands(delivery['unknown_present'])} of them delivered)" if delivery["unknown"] else ""
    return told("audit", ", ".join(found) + present)


def settings(delivery):
    mta = delivery["mta"]
    own = [item for item in mta["settings"] if item["why"] != PLACE]
    places = [item["name"] for item in mta["settings"] if item["why"] == PLACE]
    lines = []
    for number, item in enumerate(own):
        was = f" (default {item['default']})" if item["default"] else ""
        lines += told("changed" if number == 0 else "", f"{item['name']} = {item['value']}{was}: {item['why']}")
    if places:
        lines += told("places", f"addresses, folders and names of its own ({len(places)}): see mta.configuration (--out)")
    if mta["defaults"]:
        lines += told("default", "; ".join(f"{name} {value}".strip() for name, value in mta["defaults"].items()))
    return lines


def text(result):
    delivery = result["delivery"]
    lines = head(result, delivery) + verdict(result, delivery) + totals(result, delivery) + phases(result, delivery)
    lines += backlog(delivery) + connections(delivery) + used(delivery) + audited(delivery) + settings(delivery)
    return "\n".join(lines) + "\n"


def table(results):
    """One row a run."""
    names = ("accepted", "delivered", "lost", "duplicated", "corrupt", "partial", "bounced", "queued", "unknown")
    lines = [f"{'run':>4}" + "".join(f"{name:>11}" for name in names) + f"{'accept/s':>10}{'deliver/s':>10}{'p50':>9}{'p99':>9}"]
    for number, result in enumerate(results, 1):
        found = result["delivery"]
        percentiles = found["latency"]["percentiles_ns"] if found["latency"] else {}
        lines.append(f"{number:>4}" + "".join(f"{'?' if found[name] is None else thousands(found[name]):>11}" for name in names) +
                     f"{per_second(found['accepted_per_s']):>10}{per_second(found['delivered_per_s']):>10}"
                     f"{duration(percentiles.get('50')):>9}{duration(percentiles.get('99')):>9}")
    return "\n".join(lines) + "\n"
