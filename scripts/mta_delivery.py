"""Joins what is known of one run: the audit of ledger and spool, the mail server's queue, the sink's counters."""
import csv
import re

import mta_limit

# What a sink counts at its end, by sentence.
SINK = {"connections": "connections accepted", "messages": "messages answered 250", "recipients": "recipients of those messages",
        "pipelined_connections": "connections that pipelined commands", "bdat_messages": "messages that came by BDAT",
        "refused_full": "452: the spool is full", "failed": "451: the message could not be kept"}
FAULT = re.compile(r"^(lost|duplicated|corrupt|partial|refused-present) ([0-9a-f]{16}) (\d+)")


def sink_counters(text):
    """The last totals in a ringsink's output; a counter that is zero is not printed."""
    totals = text.rpartition("totals after")[2]
    found = {sentence: int(value) for value, sentence in re.findall(r"^ *(\d+)  (.+)$", totals, re.M)}
    return {name: found.get(sentence, 0) for name, sentence in SINK.items()}


def read_faults(lines):
    """What is wrong -> the (run, sequence) of it."""
    faults = {}
    for line in lines:
        match = FAULT.match(line)
        if match:
            faults.setdefault(match.group(1), set()).add((match.group(2), int(match.group(3))))
    return faults


def read_seconds(path):
    """The audit's CSV as columns; an empty cell is None."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) if row[name] else None for row in rows]
            for name in ("time_s", "accepted", "delivered", "backlog", "p50_ms", "p99_ms", "max_ms")}


def latency(found):
    """The audit's accept-to-delivered times in the form of the result file's other latencies; None without samples."""
    if not found or not found["count"]:
        return None
    names = {"50": "p50", "90": "p90", "99": "p99", "99.9": "p99_9"}
    return {"count": found["count"], "min_ns": found["min"], "max_ns": found["max"], "mean_ns": found["mean"],
            "percentiles_ns": {percentile: found[name] for percentile, name in names.items()},
            "delivered_before_accepted": found["delivered_before_accepted"], "hdr": found["hdr"]}


def split_missing(count, missing, queue):
    """(lost, still queued of those accepted) of `count` messages that the sink does not have.

    `missing` are their numbers. `queue` is how many the server has queued, the numbers of these, or None where nobody
    knows: then neither is known. A mere number can't tell which they are: at least the rest is lost.
    """
    if count == 0:
        return 0, 0
    if queue is None:
        return None, None
    queued = len(missing & queue) if isinstance(queue, set) else min(queue, count)
    return count - queued, queued


def counts(audit, faults, queue):
    """How many of each kind; what is still queued is neither lost nor partial."""
    lost, queued = split_missing(audit["lost"], faults.get("lost", set()), queue)
    partial = audit.get("partial", 0)
    if isinstance(queue, set):
        partial -= len(faults.get("partial", set()) & queue)
    same = ("delivered", "duplicated", "corrupt", "bounced", "refused_present", "unknown", "unknown_present", "expired",
            "recipients_expected", "recipients_delivered")
    return {"accepted": audit["acknowledged"], "missing": audit["lost"], "lost": lost, "queued": queued, "partial": partial,
            **{name: audit[name] for name in same}}


WRONG = (("lost", "lost"), ("duplicated", "delivered more than once"), ("corrupt", "changed on the way"),
         ("partial", "delivered to a part of their recipients"), ("bounced", "bounced"),
         ("refused_present", "refused and delivered all the same"))


def verdict(found, was_killed):
    """(status, reasons): fine, fault or unproven. After a -9 duplicates are no fault: RFC 5321 6.1 prefers them to losses."""
    allowed = {"duplicated"} if was_killed else set()
    faults = [f"{mta_limit.thousands(found[name])} {words}" for name, words in WRONG if found[name] and name not in allowed]
    notes = [f"{mta_limit.thousands(found[name])} {words}" for name, words in WRONG if found[name] and name in allowed]
    if not found["accepted"]:
        return "fault", ["nothing was accepted"]
    if faults:
        return "fault", faults + notes
    unproven = []
    if found["lost"] is None:
        unproven.append(f"{mta_limit.thousands(found['missing'])} not delivered: lost or still queued, nobody asked the server which")
    if found["queued"]:
        unproven.append(f"{mta_limit.thousands(found['queued'])} still queued")
    if found["expired"]:
        unproven.append(f"{mta_limit.thousands(found['expired'])} recycled by the sink before the audit")
    return ("unproven", unproven + notes) if unproven else ("fine", notes)


def usage(looks, messages):
    """CPU, memory and I/O of the server between the first and the last of the keeper's looks."""
    if len(looks) < 2:
        return None
    first, last = looks[0], looks[-1]
    user, system = last["user_ns"] - first["user_ns"], last["system_ns"] - first["system_ns"]
    wall = last["monotonic_ns"] - first["monotonic_ns"]
    most = {name: max(look[name] for look in looks) for name in ("rss_bytes", "pss_bytes", "processes", "read_bytes", "written_bytes")}
    return {"by": last["by"], "seconds": round(wall / 1e9, 3), "user_ns": user, "system_ns": system,
            "cpu_ns_per_message": (user + system) // messages if messages else None, "cpu_ratio": round((user + system) / wall, 4),
            "rss_max_bytes": most["rss_bytes"], "pss_max_bytes": most["pss_bytes"], "processes_max": most["processes"],
            "io_by": last["io_by"], "read_bytes": most["read_bytes"] - first["read_bytes"],
            "written_bytes": most["written_bytes"] - first["written_bytes"]}


def times(audit, delivered_at_end):
    """How long accepting, delivering and draining took, and the rates of that."""
    def between(first, last):
        begin, end = audit[first], audit[last]
        return max(end - begin, 0) / 1e9 if begin and end else None

    is_one_clock = audit["clock"] != "none"
    accepting = between("first_accepted_ns", "last_accepted_ns")
    delivering = between("first_accepted_ns" if is_one_clock else "first_delivered_ns", "last_delivered_ns")
    return {"accepting_s": accepting, "delivering_s": delivering,
            "draining_s": between("last_accepted_ns", "last_delivered_ns") if is_one_clock else None,
            "delivered_at_load_end": delivered_at_end,
            "accepted_per_s": audit["acknowledged"] / accepting if accepting else None,
            "delivered_per_s": audit["delivered"] / delivering if delivering else None}


def backlog_most(seconds):
    return int(max([value for value in seconds["backlog"] if value is not None], default=0))
