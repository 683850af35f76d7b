"""RESULTS.md's tables of whole runs of scripts/bench."""
import statistics

import bench_asked
import bench_cells


def newest(lines):
    """Of every cell the lines of the newest run that measured it."""
    runs = {line["cell"]: line["run"] for line in lines}
    return [line for line in lines if line["run"] == runs[line["cell"]]]


def about(lines):
    """One sentence a run; which cells are of which, if there are several."""
    by_run = {}
    for line in lines:
        by_run.setdefault(line["run"], []).append(line)
    out = []
    for of_run in by_run.values():
        line = of_run[0]
        names = ", ".join(dict.fromkeys(line["cell"] for line in of_run))
        out.append(f"Run `{line['run']}` of {line['date'][:10]}, commit `{line['commit']}`, Linux {line['kernel']}, "
                   f"{line['cpus']} x {line['cpu']}, {line['memory_gib']} GiB, spool on {line['mount']}"
                   + (f": {names}." if len(by_run) > 1 else "."))
    return "\n".join(out)


def median(rows, name):
    values = [row[name] for row in rows if row.get(name) is not None]
    return statistics.median(values) if values else None


def shown(value, text="{:,.0f}", factor=1):
    return "-" if value is None else text.format(value * factor)


def table(heads, rows):
    return ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads),
            *("| " + " | ".join(map(str, row)) + " |" for row in rows)]


def asked(run):
    """Asked, measured, met?"""
    return "\n".join([about(run), "", *table(("figure", "asked", "measured", "met?"), bench_asked.rows_of(run))])


def percentiles(rows):
    values = (shown(median(rows, name), "{:.2f}", 1e-6) for name in ("dot_p50_ns", "dot_p99_ns", "dot_p999_ns"))
    return " / ".join(values)


def rate_of(rows, name):
    rates = sorted(row[name] for row in rows)
    return f"{statistics.median(rates):,.0f} ({rates[0]:,.0f}..{rates[-1]:,.0f})"


def usage_of(rows, unit):
    parts = (shown(median(rows, f"{part}_us_per_{unit}"), "{:,.2f}") for part in ("cpu", "user", "system"))
    return "{} ({} + {})".format(*parts)


def audited(rows):
    audits = [row["audit"] for row in rows if "audit" in row]
    return "-" if not audits else "yes" if all(audit["is_clean"] for audit in audits) else "**no**"


def row_of(name, rows, base):
    rates = sorted(row["messages_per_s"] for row in rows)
    rate = statistics.median(rates)
    memory = median(rows, "rss_anon_kib")
    rings = median(rows, "ring_kib")
    megabytes = median(rows, "mb_per_s")
    return (name, len(rows), rate_of(rows, "messages_per_s"), shown(megabytes, "{:,.1f}"),
            f"{rate / base:.2f}x" if base else "-", usage_of(rows, "message"),
            shown(median(rows, "calls_per_message"), "{:.2f}"), shown(median(rows, "client_cpu_us"), "{:,.2f}"), percentiles(rows),
            "-" if memory is None else f"{memory / 1024:,.1f}" + (f" + {rings / 1024:,.1f}" if rings else ""), audited(rows))


HEADS = ("server", "runs", "messages/s, median (lowest..highest)", "MB/s", "beside {}", "CPU us/message (user + system)",
         "system calls/message", "client CPU us/message", "dot ms, p50 / p99 / p99.9", "RssAnon MiB (+ rings)", "audited")


def failures(rows, what):
    failed = sum(row["failed"] for row in rows)
    suspect = sum(row.get("verdict", "valid") != "valid" for row in rows)
    return f"Failed {what}: {failed:,}. Runs that loadgen itself calls suspect: {suspect}."


def not_measured(lines):
    return [f"Not measured: {line['cell']}, {line['contender']}: {line['error'][:160]}" for line in lines if "error" in line]


def closed_cell(cell, rows):
    first = rows[0]
    names = list(dict.fromkeys(row["contender"] for row in rows))
    each = ", a connection a message" if first["per_connection"] else ""
    base = bench_cells.BY_NAME[cell].base if cell in bench_cells.BY_NAME else names[-1]
    beside = median([row for row in rows if row["contender"] == base], "messages_per_s")
    body = [row_of(name, [row for row in rows if row["contender"] == name], beside) for name in names]
    return [f"**{cell}**: {first['connections']:,} connections, {first['length']} bodies, `{first['mode']}`{each}; servers on CPU "
            f"{first['server_cpus']}, client on CPU {first['client_cpus']}.", "",
            *table([head.format(base) for head in HEADS], body), "", failures(rows, "messages"), ""]


# Cells with a table of their own.
TLS_CELLS = ("tls-handshake-full", "tls-handshake-resumed", "tls-stream-1k-200", "tls-bulk-1m-32")
OF_THEIR_OWN = ("half-1k-1000", "fair-1k-10000", "workers-1k-200", *TLS_CELLS)


def cells(run):
    """Every cell whose contenders took turns."""
    out = []
    closed = [line for line in run if "messages_per_s" in line and line["cell"] not in OF_THEIR_OWN]
    for cell in dict.fromkeys(line["cell"] for line in closed):
        out += closed_cell(cell, [line for line in closed if line["cell"] == cell])
    return "\n".join(out + not_measured(line for line in run if line["cell"] not in TLS_CELLS)).rstrip()


def agreed_of(rows):
    return ", ".join(sorted({f"{row['tls_version']} {row['tls_cipher']}" for row in rows if "tls_version" in row})) or "-"


def handshake_row(name, rows):
    took = " / ".join(shown(median(rows, figure), "{:.2f}", 1e-6) for figure in ("tls_p50_ns", "tls_p99_ns"))
    return (name, len(rows), rate_of(rows, "handshakes_per_s"), usage_of(rows, "handshake"),
            shown(median(rows, "calls_per_handshake"), "{:.1f}"), shown(median(rows, "client_cpu_us"), "{:,.0f}"), took,
            f"{sum(row['resumed_handshakes'] for row in rows):,} of {sum(row['handshakes'] for row in rows):,}", agreed_of(rows))


HANDSHAKE_HEADS = ("server", "runs", "handshakes/s, median (lowest..highest)", "CPU us/handshake (user + system)",
                   "system calls/handshake", "client CPU us/handshake", "handshake ms, p50 / p99", "resumed", "agreed on")


def secured_row(name, rows):
    if "messages_per_s" not in rows[0]:
        return (name, len(rows), *"----", shown(median(rows, "cpu_ns_per_octet"), "{:.3f}"), *"---", rows[0]["tls_cipher"])
    return (name, len(rows), rate_of(rows, "messages_per_s"), shown(median(rows, "mb_per_s"), "{:,.1f}"),
            usage_of(rows, "message"), shown(median(rows, "calls_per_message"), "{:.2f}"),
            shown(median(rows, "cpu_ns_per_octet"), "{:.3f}"), shown(median(rows, "client_cpu_us"), "{:,.2f}"), percentiles(rows),
            audited(rows), agreed_of(rows))


SECURED_HEADS = ("server", "runs", "messages/s, median (lowest..highest)", "MB/s", "CPU us/message (user + system)",
                 "system calls/message", "CPU ns/octet", "client CPU us/message", "dot ms, p50 / p99 / p99.9", "audited", "agreed on")


def tls_cell(cell, rows):
    is_handshakes = "handshakes" in rows[0]
    heads, make = (HANDSHAKE_HEADS, handshake_row) if is_handshakes else (SECURED_HEADS, secured_row)
    load = "connect, handshake, EHLO, QUIT" if is_handshakes else f"{rows[0]['length']} bodies, `{rows[0]['mode']}`"
    names = dict.fromkeys(row["contender"] for row in rows)
    loaded = [row for row in rows if "failed" in row]
    return [f"**{cell}**: {rows[0]['connections']:,} connections, {load}; servers on CPU {rows[0]['server_cpus']}, client on CPU "
            f"{rows[0]['client_cpus']}.", "",
            *table(heads, [make(name, [row for row in rows if row["contender"] == name]) for name in names]), "",
            failures(loaded, "handshakes" if is_handshakes else "messages"), ""]


def tls(run):
    """Handshakes, and mail over TLS beside the same server without."""
    lines = [line for line in run if line["cell"] in TLS_CELLS]
    measured = [line for line in lines if "error" not in line]
    if not measured:
        return "Not measured in this run."
    out = [about(measured), ""]
    for cell in dict.fromkeys(line["cell"] for line in measured):
        out += tls_cell(cell, [line for line in measured if line["cell"] == cell])
    versions = {line["contender"]: line["version"] for line in measured if line.get("version")}
    out += [f"{name} {version}" for name, version in versions.items()]
    return "\n".join(out + not_measured(lines)).rstrip()


def half(run):
    """The open loop."""
    rows = [line for line in run if line["cell"] == "half-1k-1000" and "error" not in line]
    if not rows:
        return "Not measured in this run."
    body = []
    for server in dict.fromkeys(row["server"] for row in rows):
        mine = [row for row in rows if row["server"] == server]
        stalls = [row["worst_stall_ns"] for row in mine if row["worst_stall_ns"] is not None]
        body.append((server, len(mine), f"{mine[0]['rate_per_s']:,}", percentiles(mine),
                     shown(median(mine, "response_p99_ns"), "{:.2f}", 1e-6),
                     shown(max(stalls) if stalls else None, "{:.1f}", 1e-6),
                     shown(max(row["worst_stall_with_steal_ns"] for row in mine), "{:.1f}", 1e-6),
                     f"{sum(row['clean_seconds'] for row in mine)} / {sum(row['stolen_seconds'] for row in mine)}",
                     sum(row["verdict"] != "valid" for row in mine)))
    return "\n".join(table(("server", "runs", "due a second", "dot ms, p50 / p99 / p99.9", "response p99, ms", "worst stall, ms",
                            "with stolen seconds, ms", "seconds without / with stolen time", "suspect runs"), body))


def fairness(run):
    rows = [line for line in run if line["cell"] == "fair-1k-10000" and "error" not in line]
    if not rows:
        return "Not measured in this run."
    body = [(row["repetition"] + 1, f"{row['messages_per_s']:,.0f}", f"{row['median_messages']:.0f}", row["least_messages"],
             row["most_messages"], f"{row['slowest_mean_share']:.2f}", f"{row['slowest_least_share']:.2f}") for row in rows]
    return "\n".join(table(("run", "messages/s", "messages of the median connection", "of the slowest", "of the fastest",
                            "mean of the slowest 1 % beside the median", "the slowest beside it"), body))


def workers(run):
    """Counters of the server and user CPU, one worker and two."""
    rows = [line for line in run if line["cell"] == "workers-1k-200" and "error" not in line]
    if not rows:
        return "Not measured in this run."
    names = list(dict.fromkeys(row["contender"] for row in rows))
    sentences = list(dict.fromkeys(sentence for row in rows for sentence in row["counters"]))
    mine = {name: [row for row in rows if row["contender"] == name] for name in names}
    body = [("user CPU, us a message", *(shown(median(mine[name], "user_us_per_message"), "{:.2f}") for name in names))]
    for sentence in sentences:
        counts = (statistics.median(row["counters"].get(sentence, 0) / row["messages"] for row in mine[name]) for name in names)
        body.append((sentence + ", a thousand messages", *(f"{1000 * count:,.2f}" for count in counts)))
    return "\n".join(table(("", *names), body))


def instructions(run):
    rows = [line for line in run if line["cell"] == "instructions" and "error" not in line]
    if not rows:
        return "Not measured in this run."
    return "\n".join(table(("server", "user instructions a message"),
                           [(row["contender"], f"{row['instructions_per_message']:,.0f}") for row in rows]))


def micro(run):
    rows = [line for line in run if line["cell"] == "micro" and "error" not in line]
    if not rows:
        return "Not measured in this run."
    body = [(row["module"], row["case"], f"{row['octets']:,}", f"{row['ns_min']:,.1f}", f"{row['ns_median']:,.1f}",
             shown(row.get("ticks_median"), "{:,.0f}"), f"{row['bytes_per_s'] / 1e9:.2f}", f"{row['beside_memcpy']:.1f}x")
            for row in rows]
    return "\n".join(table(("module", "case", "octets", "ns, least", "ns, median", "ticks, median", "GB/s", "beside memcpy"), body))


def rendered(name, lines):
    """A table by its name in RESULTS.md, out of all lines that are kept."""
    return TABLES[name](newest(lines)) if lines else "No run yet: `scripts/bench`."


TABLES = {"asked": asked, "bench": cells, "bench-half": half, "bench-fairness": fairness, "bench-workers": workers,
          "bench-instructions": instructions, "bench-micro": micro, "bench-tls": tls}
