"""The cells of scripts/bench that are more than servers taking turns: each kind a function of the run and its cell."""
import collections
import json
import os
import re
import signal
import statistics
import struct
import subprocess
import threading
import time

import bench_closed
import bench_load
import bench_processes
import bench_servers
import measuring
from bench_closed import PROBLEMS, describe
from bench_load import Failed
from bench_packages import peers
from instructions import shim
from measuring import BUILD

SAMPLE = struct.Struct("=qqqIHH")
STEAL_EVERY_S = 0.1
# loadgen tells its start by the wall clock and the length of its ramp to a tenth of a second.
STEAL_MARGIN_S = 0.3
MAXIMUM_S = 3
MAXIMUM_RUNS = 3
# Messages of the short life and of the long one, by connections.
INSTRUCTIONS = {100: (2000, 12000), 10000: (10000, 30000)}
CALLGRIND_WAIT_S = 10


def turns(run, cell):
    """Repetition by repetition, the contenders that are still to be measured in each."""
    for number in range(max(contender.repetitions for contender in cell.contenders)):
        for contender in cell.contenders:
            if number < contender.repetitions and run.is_wanted(cell, contender, number):
                yield number, contender


def take_turns(run, cell, measure):
    for number, contender in turns(run, cell):
        try:
            line = measure(contender)
        except PROBLEMS as problem:
            run.leave_out(cell, contender, problem, number)
            continue
        run.record({**describe(cell, contender), "repetition": number, **line})


# ---- one worker and two ----

def ask_counters(server):
    """Its totals so far, by sentence."""
    size = os.path.getsize(server.log)
    server.processes[0].send_signal(signal.SIGUSR1)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with open(server.log) as text:
            text.seek(size)
            found = text.read()
        if "totals after" in found and found.endswith("\n"):
            return {sentence: int(value) for value, sentence in re.findall(r"^ *(\d+)  (.+)$", found, re.M)}
        time.sleep(0.05)
    raise Failed("ringsink does not tell its counters")


def workers(run, cell):
    """A server of its own in every run, whose counters are that run's."""
    def measure(contender):
        with bench_closed.Field(cell, run.home) as field:
            server = field.server(contender.server)
            before = ask_counters(server)
            line, _ = bench_load.measure(contender, server, contender.seconds, cell.client_cpus, run.home, True)
            after = ask_counters(server)
            line["counters"] = {sentence: value - before.get(sentence, 0) for sentence, value in after.items()}
            return line
    take_turns(run, cell, measure)


# ---- open loop at half of smtp-sink's maximum ----

class StealWatch:
    """When the host took the CPUs away, by the wall clock."""

    def __init__(self):
        self.stolen = []  # begin and end of each look that found some
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        before, since = bench_processes.steal_seconds(), time.time()
        while not self.is_over.wait(STEAL_EVERY_S):
            now, at = bench_processes.steal_seconds(), time.time()
            if now > before:
                self.stolen.append((since, at))
            before, since = now, at

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()


def stalls(samples, began_s, seconds, stolen):
    """Longest time from a message's start to its last reply: in seconds without steal, and in all; how many of those.

    samples: start and end in ns since began_s of the wall clock. A message belongs to every second it was under way in.
    """
    count = int(seconds) + 1
    is_stolen = [any(begin - STEAL_MARGIN_S < began_s + number + 1 and end + STEAL_MARGIN_S > began_s + number
                     for begin, end in stolen) for number in range(count)]
    clean = worst = 0
    for start, end in samples:
        took = end - start
        worst = max(worst, took)
        if took > clean:
            first, last = max(0, start // 10**9), max(0, end // 10**9)
            if not any(is_stolen[min(number, count - 1)] for number in range(first, last + 1)):
                clean = took
    used = is_stolen[:int(seconds)]
    return {"worst_stall_ns": clean if False in used else None, "worst_stall_with_steal_ns": worst,
            "clean_seconds": used.count(False), "stolen_seconds": used.count(True)}


def read_samples(path):
    """Start and end of every message that was measured."""
    with open(path, "rb") as file:
        data = file.read()
    for due, start, end, _, _, _ in SAMPLE.iter_unpack(data):
        if due >= 0:
            yield start, end


def began_of(result):
    """When the measured time began, by the wall clock."""
    text = result["run"]["started"].replace("Z", "+00:00")
    started = measuring.datetime.datetime.fromisoformat(text).timestamp()
    return started + (result["ramp_ns"] + result["config"]["warmup_ns"]) / 1e9


def open_loop(run, cell, contender, server, rate):
    samples = os.path.join(run.home, "samples")
    seconds = contender.seconds
    with StealWatch() as watch:
        line, result = bench_load.measure(contender, server, seconds, cell.client_cpus, run.home, True,
                                          ("-R", str(rate), "--samples", samples))
    response = result["latency"]["response"]
    line = {"rate_per_s": rate, **line, "response_p50_ns": bench_load.percentile(response, "50"),
            "response_p99_ns": bench_load.percentile(response, "99"),
            **stalls(read_samples(samples), began_of(result), seconds, watch.stolen),
            "shown": ["dot_p99_ns", "worst_stall_ns", "clean_seconds", "stolen_seconds"]}
    os.unlink(samples)
    return line


def half(run, cell):
    """The sink's maximum in a closed loop, then half of it at everybody, in turn."""
    sink = next(contender for contender in cell.contenders if contender.server == "smtp-sink")
    with bench_closed.Field(cell, run.home) as field:
        known = next((line["rate_per_s"] for line in run.lines if line["cell"] == cell.name and "rate_per_s" in line), None)
        try:
            rate = known or find_half(run, cell, sink, field)
        except PROBLEMS as problem:
            run.leave_out(cell, sink, problem)
            return
        take_turns(run, cell, lambda contender: open_loop(run, cell, contender, field.server(contender.server), rate))


def find_half(run, cell, sink, field):
    maxima = []
    for _ in range(MAXIMUM_RUNS):
        seconds = min(MAXIMUM_S, sink.seconds)
        figures, _ = bench_load.with_loadgen(sink, field.server(sink.server), seconds, cell.client_cpus, run.home)
        maxima.append(figures["messages_per_s"])
    return int(statistics.median(maxima) / 2)


# ---- fairness ----

def messages_by_peer(spool):
    listing = subprocess.Popen([f"{BUILD}/ringspool", "list", spool], stdout=subprocess.PIPE, text=True)
    with listing.stdout:
        counts = collections.Counter(line.split(" ", 3)[2] for line in listing.stdout)
    if listing.wait() != 0:
        raise Failed(f"ringspool list exited with {listing.returncode}")
    return counts


def share_of_the_slowest(counts):
    """The messages of the slowest hundredth, their mean and their best, beside the median's."""
    ordered = sorted(counts)
    slowest = ordered[:max(1, len(ordered) // 100)]
    median = statistics.median(ordered)
    return {"median_messages": median, "least_messages": ordered[0], "most_messages": ordered[-1],
            "slowest_mean_share": round(statistics.mean(slowest) / median, 4), "slowest_least_share": round(ordered[0] / median, 4)}


def fairness(run, cell):
    """By the spool, which knows each message's peer: a client that lived through the run had one port."""
    def measure(contender):
        server = bench_servers.Ringsink(contender.server, run.home, cell.server_cpus, "page", is_fresh=True).start()
        try:
            line, _ = bench_load.measure(contender, server, contender.seconds, cell.client_cpus, run.home, True)
            counts = list(messages_by_peer(server.spool).values())
            line.update(share_of_the_slowest(counts + [0] * max(0, line["reached"] - len(counts))))
            line["shown"] = ["median_messages", "slowest_mean_share", "slowest_least_share"]
            return line
        finally:
            server.stop()
    take_turns(run, cell, measure)


# ---- instructions ----

def callgrind_command(server, out, messages):
    """The server's life under callgrind, which ends behind so many messages."""
    valgrind = [peers.need("valgrind", "valgrind"), "--tool=callgrind", "--fair-sched=yes", f"--callgrind-out-file={out}"]
    command = server.command()
    end = ["-M", str(messages)]
    if server.name != "smtp-sink":
        return ["env", f"LD_PRELOAD={shim(BUILD)}", *valgrind, *command, *end]
    if "-u" not in command:
        return [*valgrind, command[0], *end, *command[1:]]
    # What becomes somebody else could not write what was counted: it is that from the start.
    user = command.index("-u")
    return ["setpriv", "--reuid", command[user + 1], "--clear-groups", *valgrind, command[0], *end, *command[user + 2:]]


def load_under_callgrind(contender, server, home, messages):
    """How many messages were accepted. Exactly as many are sent: a server that drains may take more."""
    result_file = os.path.join(home, "result.json")
    load = contender.load
    command = [f"{BUILD}/loadgen", "-q", "-c", str(load.connections), "-l", load.length, "-n", str(messages), "--pipelining",
               load.mode, "--quit", "drop", "--seed", str(bench_load.SEED), "-o", result_file, f"127.0.0.1:{server.port}"]
    bench_load.run(command, "1")
    with open(result_file) as result:
        return json.load(result)["totals"]["accepted"]


def instructions_of(contender, home, messages):
    """User instructions of a whole life, and how many messages it had."""
    server = bench_servers.make(contender.server, home)
    folder = os.path.join(home, "callgrind")
    os.makedirs(folder, exist_ok=True)
    os.chmod(home, 0o711)
    os.chmod(folder, 0o1777)
    out = os.path.join(folder, "out")
    process = subprocess.Popen(["taskset", "-c", "0", *callgrind_command(server, out, messages)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=measuring.raise_descriptors)
    server.processes = [process]
    try:
        server.wait_listening()
        accepted = load_under_callgrind(contender, server, home, messages)
        process.wait(CALLGRIND_WAIT_S)
    except subprocess.TimeoutExpired:
        raise Failed("the server did not end behind so many messages") from None
    finally:
        server.stop()
    with open(out) as text:
        found = re.search(r"^totals: (\d+)", text.read(), re.M)
    os.unlink(out)
    if found is None:
        raise Failed("callgrind wrote no totals")
    return int(found.group(1)), accepted


def instructions(run, cell):
    """The difference of two lives, divided by that of their messages: start, end and connecting are in both."""
    def measure(contender):
        (few, few_messages), (many, many_messages) = (instructions_of(contender, run.home, messages)
                                                      for messages in INSTRUCTIONS[contender.load.connections])
        messages = many_messages - few_messages
        return {"messages": messages, "failed": 0, "instructions_per_message": round((many - few) / messages, 1),
                "shown": ["messages", "instructions_per_message"]}
    take_turns(run, cell, measure)


# ---- the modules alone ----

def micro(run, cell):
    if ("micro", "memcpy, 1 KiB", 0) in run.done:
        return
    done = subprocess.run(["taskset", "-c", cell.server_cpus, f"{BUILD}/bench/micro", "--json"], capture_output=True, text=True,
                          check=True)
    for text in done.stdout.splitlines():
        found = json.loads(text)
        run.record({"cell": cell.name, "contender": f"{found['module']}, {found['case']}", "repetition": 0, **found,
                    "shown": ["ns_min", "ns_median", "beside_memcpy"]})


KINDS = {"workers": workers, "half": half, "fairness": fairness, "instructions": instructions, "micro": micro}
