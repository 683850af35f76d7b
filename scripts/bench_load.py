"""One client run of scripts/bench: loadgen or the canned client, what it found, and what it used."""
import json
import os
import re
import resource
import subprocess
import time

import bench_processes
import measuring
from measuring import BUILD

SEED = 1
DIRTY_LIMIT_KIB = 16 * 1024
DIRTY_WAIT_S = 30
# Memory: a ledger on the disk would be measured along with the spool.
LEDGERS = "/dev/shm"
FAILURES = ("tempfail", "reject", "protocol", "timeout", "connection")


class Failed(Exception):
    """A run that gave no figures; the sentence says why."""


def wait_for_clean_pages():
    """A disk that still writes the last run's pages would slow this one."""
    os.sync()
    end = time.monotonic() + DIRTY_WAIT_S
    while time.monotonic() < end:
        with open("/proc/meminfo") as meminfo:
            if int(re.search(r"^Dirty: *(\d+)", meminfo.read(), re.M).group(1)) < DIRTY_LIMIT_KIB:
                return
        time.sleep(0.1)


def loadgen_command(contender, server, seconds, result_file, extra):
    load = contender.load
    end = ["-n", str(load.messages)] if load.messages else ["-d", f"{seconds}s"]
    command = [f"{BUILD}/loadgen", "-q", "-c", str(load.connections), "-l", load.length, *end, "--seed", str(SEED), "-o", result_file,
               *extra]
    if "default-warm-up" not in load.options:
        command += ["--warmup", "0"]
    if load.mode == "bdat":
        command += ["--bdat", "--window", str(load.window)]
    elif load.mode != "auto":
        command += ["--pipelining", load.mode]
    if load.per_connection:
        command += ["-k", str(load.per_connection)]
    if load.scenario != "deliver":
        command += ["--scenario", load.scenario]
    if load.tls != "off":
        command += ["--tls", load.tls, *(["--tls-resume"] if load.resumes else [])]
    if server.name == "bhm":
        # It checks recipients against its list, and its backlog is ten connections long.
        command += ["--no-number", "--ramp", "1s"]
    return [*command, f"127.0.0.1:{server.port_for(load.tls)}"]


def run(command, cpus):
    """The process's end: exit status, stdout, stderr, user and system time."""
    threads = ["-t", str(len(cpus.split(",")))] if command[0].endswith("loadgen") else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["taskset", "-c", cpus, command[0], *threads, *command[1:]], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, preexec_fn=measuring.raise_descriptors)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.returncode, done.stdout, done.stderr, (after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)


def percentile(latency, which):
    return ((latency or {}).get("percentiles_ns") or {}).get(which)


def failures(result):
    return sum(result["totals"][key] or 0 for key in FAILURES)


def negotiated(result):
    """What the connections agreed on; {} without TLS."""
    tls = result.get("tls")
    if not tls:
        return {}
    suites = sorted({(suite["version"], suite["cipher"]) for suite in tls["suites"]})
    if len(suites) != 1 or tls["suites_beyond"] > 0:
        raise Failed(f"not one cipher for all connections: {suites}")
    return {"tls_version": suites[0][0], "tls_cipher": suites[0][1], "full_handshakes": tls["full"],
            "resumed_handshakes": tls["resumed"]}


def message_figures(result):
    totals, rates = result["totals"], result["rates"]
    dot = (result.get("phases") or {}).get("dot")
    return {
        "messages": totals["accepted"], "failed": failures(result),
        "reached": result["verdict"]["checks"]["connections_reached"],
        "messages_per_s": round(rates["accepted_per_s"], 1),
        "mb_per_s": round(rates["body_bytes_per_s"] / 1e6, 1),
        "octets_per_message": round(totals["body_bytes"] / totals["accepted"], 1) if totals["accepted"] else None,
        "dot_p50_ns": percentile(dot, "50"), "dot_p99_ns": percentile(dot, "99"), "dot_p999_ns": percentile(dot, "99.9"),
        "verdict": result["verdict"]["status"], "verdict_reasons": result["verdict"]["reasons"],
    }


def handshake_figures(load, result):
    """Of a run without messages. Who resumes has no ticket yet in the first handshake of each of its places."""
    tls = result["tls"]
    strange = max(0, tls["full"] - load.connections) if load.resumes else tls["resumed"]
    if strange > 0:
        raise Failed(f"{tls['full']} handshakes were full and {tls['resumed']} resumed")
    took = (result.get("phases") or {}).get("tls")
    return {
        "handshakes": tls["full"] + tls["resumed"], "failed": failures(result),
        "reached": result["verdict"]["checks"]["connections_reached"],
        "handshakes_per_s": round(tls["full_per_s"] + tls["resumed_per_s"], 1),
        "tls_p50_ns": percentile(took, "50"), "tls_p99_ns": percentile(took, "99"),
        "verdict": result["verdict"]["status"], "verdict_reasons": result["verdict"]["reasons"],
        "shown": ["handshakes_per_s", "cpu_us_per_handshake", "client_cpu_us", "resumed_handshakes"],
    }


def work_of(figures):
    """What a run's costs are divided by: messages, where there are any."""
    unit = "message" if "messages" in figures else "handshake"
    return unit, figures[unit + "s"]


def with_loadgen(contender, server, seconds, cpus, home, extra=()):
    """The figures and loadgen's whole result."""
    load = contender.load
    result_file = os.path.join(home, "result.json")
    if os.path.exists(result_file):
        os.unlink(result_file)
    status, _, error, usage = run(loadgen_command(contender, server, seconds, result_file, extra), cpus)
    if not os.path.exists(result_file) or status not in (0, 1):
        raise Failed(f"loadgen exited with {status}: {error.strip()[-300:]}")
    with open(result_file) as text:
        result = json.load(text)
    figures = message_figures(result) if load.scenario == "deliver" else handshake_figures(load, result)
    unit, count = work_of(figures)
    if count == 0:
        raise Failed(f"not one {unit} was accepted: {error.strip()[-300:]}")
    return {**figures, **negotiated(result), **client_usage(usage, count)}, result


def with_floor_client(contender, server, seconds, cpus):
    load = contender.load
    status, out, error, usage = run([f"{BUILD}/bench/floor_client", "-c", str(load.connections), "-l", load.length, "-d",
                                     f"{seconds}s", "-m", load.mode, "-w", str(load.window), str(server.port)], cpus)
    if status != 0:
        raise Failed(f"floor_client exited with {status}: {error.strip()}")
    result = json.loads(out)
    return {"messages": result["messages"], "failed": 0, "reached": result["connections"],
            "messages_per_s": result["messages_per_s"], "octets_per_message": result["octets_per_message"],
            **client_usage(usage, result["messages"])}


def client_usage(usage, count):
    user, system = (1e6 * seconds / count for seconds in usage)
    return {"client_user_us": round(user, 3), "client_system_us": round(system, 3), "client_cpu_us": round(user + system, 3)}


def server_usage(before, after, unit, count):
    """Of what a server tells at both ends; the exact sum is divided as the kernel's ticks were."""
    user, system = after[0] - before[0], after[1] - before[1]
    if after[2] is not None and user + system > 0:
        user, system = ((after[2] - before[2]) * part / (user + system) for part in (user, system))
    return {f"user_us_per_{unit}": round(1e6 * user / count, 3), f"system_us_per_{unit}": round(1e6 * system / count, 3),
            f"cpu_us_per_{unit}": round(1e6 * (user + system) / count, 3)}


def cost_per_octet(figures, usage):
    """Server CPU time for an octet of content."""
    octets = figures.get("octets_per_message")
    return {"cpu_ns_per_octet": round(1e3 * usage["cpu_us_per_message"] / octets, 4)} if octets else {}


def audit(server, ledger):
    """What the audit of this run counts, and whether it speaks against the server."""
    counts, _ = measuring.audit(BUILD, server.spool, [ledger])
    if not counts:
        raise Failed("the ledger is empty")
    kept = ("acknowledged", "found", "expired", *measuring.AUDIT_FAULTS)
    result = {name: counts[name] for name in kept if name in counts}
    return {**result, "is_clean": not any(result.get(name) for name in measuring.AUDIT_FAULTS)}


def measure(contender, server, seconds, cpus, home, is_audited, extra=()):
    """One run: what the client found, what both sides used, what the audit says; and loadgen's whole result."""
    ledger = os.path.join(LEDGERS if os.path.isdir(LEDGERS) else home, f"ringsink-bench-{os.getpid()}.ledger")
    wait_for_clean_pages()
    stolen = bench_processes.steal_seconds()
    before = server.cpu_seconds()
    try:
        if contender.client == "floor-client":
            figures, result = with_floor_client(contender, server, seconds, cpus), None
        else:
            # Every server's client writes a ledger, so that all have the same client.
            figures, result = with_loadgen(contender, server, seconds, cpus, home,
                                           (*extra, "--ledger", ledger) if is_audited else extra)
        after = server.cpu_seconds()
        used = server_usage(before, after, *work_of(figures))
        line = {"seconds": seconds, **figures, **used, **cost_per_octet(figures, used),
                "rss_anon_kib": bench_processes.memory_kib(server.roots(), "RssAnon"),
                "steal_s": round(bench_processes.steal_seconds() - stolen, 2)}
        if server.spool is not None:
            line["ring_kib"] = server.ring_kib()
        if is_audited and server.spool is not None and server.durability != "discard":
            line["audit"] = audit(server, ledger)
        return line, result
    finally:
        if os.path.exists(ledger):
            os.unlink(ledger)


def count_calls(contender, server, seconds, cpus, home):
    """A run that is not timed: system calls a message. It also makes just-in-time compilers and processes ready."""
    with bench_processes.Calls(server.roots()) as calls:
        if contender.client == "floor-client":
            figures = with_floor_client(contender, server, seconds, cpus)
        else:
            figures, _ = with_loadgen(contender, server, seconds, cpus, home)
        count = calls.count()
    unit, done = work_of(figures)
    return {f"calls_per_{unit}": None if count is None else round(count / done, 3),
            "calls_by": None if count is None else bench_processes.Calls.HOW}
