"""scripts/bench --quick: ringsink beside the floor and smtp-sink under one loadgen; keeps every run.

Server on CPU 0, client on CPU 1, a fresh server process a run, servers in turn (A B C D A B C D ...),
so that what drifts on the machine drifts for all. Each run appends one JSON line to
bench/results/quick.jsonl; scripts/render_results makes RESULTS.md's tables of them. Figures are CPU time
of the server process per message (from /proc/PID/stat) and messages per second; medians and spread.
"""
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import measuring
from measuring import BUILD

SECONDS = 3
TICKS = os.sysconf("SC_CLK_TCK")
DIRTY_LIMIT_KIB = 16 * 1024
DIRTY_WAIT_S = 20

# name, connections, length, pipelining, repetitions
QUICK = (("stream-1k-200", 200, "1k", "stream", 5), ("stream-1k-10000", 10000, "1k", "stream", 3))
# At 10,000 connections smtp-sink answers in waves some seconds long: a short window would catch none.
LONGER = {("smtp-sink", 10000): 10}
SERVERS = ("ringsink-page", "ringsink-page-fresh", "ringsink-discard", "floor", "smtp-sink")
# The steady state of a sink that runs for long: a spool that was filled and recycles its segments.
# "fresh" is the first minutes: every page of the spool is new to the page cache.
SPOOL_SIZE = {"ringsink-page": "512Mi", "ringsink-page-fresh": "4Gi", "ringsink-discard": "4Gi"}
WARM_UP = {"ringsink-page": ("-c", "20", "-l", "100k", "-n", "6000")}


def command_of(server, port, spool):
    if server == "floor":
        return [f"{BUILD}/bench/floor", str(port)]
    if server == "smtp-sink":
        sink = shutil.which("smtp-sink") or shutil.which("smtp-sink", path="/usr/sbin:/usr/local/sbin")
        if sink is None:
            sys.exit("smtp-sink is missing: run scripts/setup (Debian's package postfix)")
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return [sink, *user, "-m", "20000", f"127.0.0.1:{port}", "4096"]
    return [f"{BUILD}/ringsink", f"127.0.0.1:{port}", "-q", "-t", "1", "--spool", spool, "--spool-size",
            SPOOL_SIZE[server], "--durability", server.split("-")[1]]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def wait_for_port(port, process):
    for _ in range(1000):
        if process.poll() is not None:
            sys.exit(f"the server ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    sys.exit(f"nothing listens on port {port}")


def wait_for_clean_pages():
    """A disk that still writes the last run's pages would slow this one."""
    os.sync()
    end = time.monotonic() + DIRTY_WAIT_S
    while time.monotonic() < end:
        with open("/proc/meminfo") as meminfo:
            if int(re.search(r"^Dirty: *(\d+)", meminfo.read(), re.M).group(1)) < DIRTY_LIMIT_KIB:
                return
        time.sleep(0.2)


def measure(server, cell, seconds, home):
    name, connections, length, pipelining, _ = cell
    seconds = max(seconds, LONGER.get((server, connections), 0))
    port = measuring.free_port()
    spool = os.path.join(home, "spool")
    result_file = os.path.join(home, "result.json")
    wait_for_clean_pages()
    process = subprocess.Popen(["taskset", "-c", "0", *command_of(server, port, spool)],
                               preexec_fn=measuring.raise_descriptors,
                               stderr=subprocess.DEVNULL if server == "floor" else None)
    try:
        wait_for_port(port, process)
        if server in WARM_UP:
            subprocess.run(["taskset", "-c", "1", f"{BUILD}/loadgen", "-q", *WARM_UP[server], f"127.0.0.1:{port}"], check=True,
                           stdout=subprocess.DEVNULL)
            wait_for_clean_pages()
        before = cpu_seconds(process.pid)
        load = subprocess.run(["taskset", "-c", "1", f"{BUILD}/loadgen", "-q", "-c", str(connections), "-t", "1", "-l",
                               length, "-d", f"{seconds}s", "--warmup", "0", "--pipelining", pipelining, "--seed", "1",
                               "-o", result_file, f"127.0.0.1:{port}"], check=False, stdout=subprocess.DEVNULL)
        after = cpu_seconds(process.pid)
        memory = measuring.status_kib(process.pid, "RssAnon")
        if load.returncode != 0:
            sys.exit(f"loadgen exited with {load.returncode} against {server}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(spool, ignore_errors=True)
    with open(result_file) as result:
        return {"seconds": seconds, **record(server, cell, json.load(result), before, after, memory)}


def percentile(latency, which):
    return ((latency or {}).get("percentiles_ns") or {}).get(which)


def record(server, cell, result, before, after, memory):
    name, connections, length, pipelining, _ = cell
    totals = result["totals"]
    accepted = totals["accepted"]
    dot = (result.get("phases") or {}).get("dot")
    return {
        "scenario": name, "server": server, "connections": connections, "length": length, "pipelining": pipelining,
        "messages": accepted, "failed": sum(totals[key] or 0 for key in ("tempfail", "reject", "protocol", "timeout",
                                                                         "connection")),
        "reached": result["verdict"]["checks"]["connections_reached"],
        "messages_per_s": round(result["rates"]["accepted_per_s"], 1),
        "user_us_per_message": round((after[0] - before[0]) * 1e6 / accepted, 3),
        "system_us_per_message": round((after[1] - before[1]) * 1e6 / accepted, 3),
        "cpu_us_per_message": round((sum(after) - sum(before)) * 1e6 / accepted, 3),
        "dot_p50_ns": percentile(dot, "50"), "dot_p99_ns": percentile(dot, "99"),
        "rss_anon_kib": memory, "seed": 1, "verdict": result["verdict"]["status"],
    }


def machine(home):
    with open("/proc/cpuinfo") as cpuinfo:
        model = re.search(r"^model name\s*: (.+)$", cpuinfo.read(), re.M)
    mount = subprocess.run(["df", "--output=fstype", home], capture_output=True, text=True, check=False).stdout.split()[-1]
    return {"cpu": model.group(1) if model else "unknown", "mount": mount}


def summarise(lines):
    print(f"\n{'scenario':18} {'server':19} {'msg/s':>9} {'spread':>15} {'cpu us/msg':>11} {'user':>7} {'RssAnon':>9}")
    for scenario in dict.fromkeys(line["scenario"] for line in lines):
        for server in SERVERS:
            rows = [line for line in lines if line["scenario"] == scenario and line["server"] == server]
            if not rows:
                continue
            rates = sorted(row["messages_per_s"] for row in rows)
            print(f"{scenario:18} {server:19} {statistics.median(rates):9.0f} {rates[0]:7.0f}..{rates[-1]:<6.0f}"
                  f" {statistics.median(row['cpu_us_per_message'] for row in rows):10.2f}"
                  f" {statistics.median(row['user_us_per_message'] for row in rows):8.2f}"
                  f" {statistics.median(row['rss_anon_kib'] for row in rows) / 1024:6.1f}MiB")


def main(chosen):
    seconds = chosen.seconds or SECONDS
    servers = [server for server in SERVERS if server in (chosen.only.split(",") if chosen.only else SERVERS)]
    home = tempfile.mkdtemp(prefix="ringsink-bench-", dir=os.environ.get("RINGSINK_BENCH_DIR", "/var/tmp"))
    about = {**measuring.about("quick"), "page_spool": "512Mi, filled before", "run": f"{int(time.time()):x}", **machine(home)}
    lines = []
    try:
        for cell in [cell for cell in QUICK if chosen.scenario in (None, cell[0])]:
            for repetition in range(chosen.repetitions or cell[-1]):
                for server in servers:
                    line = {**about, "repetition": repetition, **measure(server, cell, seconds, home)}
                    lines.append(line)
                    print(f"{line['scenario']:18} {server:19} {line['messages_per_s']:9.0f}/s "
                          f"{line['cpu_us_per_message']:7.2f} us/message  failed {line['failed']}", flush=True)
                    if not chosen.no_record:
                        measuring.record("quick", line)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    summarise(lines)
