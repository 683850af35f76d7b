#!/usr/bin/env python3
"""Keeps the processes of one mail server, as root: starts them, kills them, counts what they use and what they have queued.

It is started by scripts/bench-mta (mta_servers.py) and asked over standard input, a JSON object a line; each gets one
line in answer. When its standard input ends it kills what it started: nothing of the mail server outlives the benchmark.

All that descends from the command is in a control group of its own, whose counters keep the CPU time of processes that
have ended. Where none can be made, orphans come to the keeper (PR_SET_CHILD_SUBREAPER), whose sums then are a lower
bound: the times of a child that nobody waited for are lost.

    {"do": "start", "command": [...], "log": PATH, "queue": {...}}     pid, cgroup
    {"do": "look"}     CPU, memory and I/O up to now, queued messages
    {"do": "find"}     the run and sequence of every message queued
    {"do": "kill"}     -9 to all of them, until none is left
    {"do": "stop"}     TERM to the first, then the same
"""
import ctypes
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time

CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOP_WAIT_S = 15
KILL_WAIT_S = 20
# 0.4 ms a process, which would be a burden to what is measured.
PSS_EVERY_S = 2
# Of a CPU's time, what counting a long queue may take; and how old a count may get for that.
COUNTING_SHARE = 0.03
COUNT_EVERY_S = 5
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
# Where the first line of a message can be in a queue file, behind envelope and what the server added.
HEAD = 64 * 1024
NUMBERED = re.compile(rb"X-Loadgen:\s+v1\s+run=([0-9a-f]{16})\s+seq=([0-9]{12})", re.IGNORECASE)


def text_of(path):
    """What a file of the kernel's says; "" once its process or group is gone."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def prctl(option, value):
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class Group:
    """A control group (version 2) of the server's own; path is None where none can be made."""

    def __init__(self):
        self.path = None
        for root in CGROUPS:
            if os.path.exists(os.path.join(root, "cgroup.controllers")):
                path = os.path.join(root, f"bench-mta-{os.getpid()}")
                try:
                    os.mkdir(path)
                    self.path = path
                    return
                except OSError:
                    pass

    def enter(self):
        """The calling process goes in, and with it what it starts."""
        if self.path:
            with open(os.path.join(self.path, "cgroup.procs"), "w") as procs:
                procs.write("0")

    def processes(self):
        return [int(line) for line in text_of(os.path.join(self.path, "cgroup.procs")).split()] if self.path else []

    def kill(self):
        """All at once, where the kernel can (Linux 5.14)."""
        if self.path:
            try:
                with open(os.path.join(self.path, "cgroup.kill"), "w") as kill:
                    kill.write("1")
            except OSError:
                pass

    def cpu_ns(self):
        numbers = dict(re.findall(r"^(\w+) (\d+)$", text_of(os.path.join(self.path, "cpu.stat")), re.M))
        return int(numbers["user_usec"]) * 1000, int(numbers["system_usec"]) * 1000

    def io_bytes(self):
        """Read and written, or None where the group has no such controller."""
        name = os.path.join(self.path or "", "io.stat")
        if not self.path or not os.path.exists(name):
            return None
        text = text_of(name)
        return tuple(sum(map(int, re.findall(rf"\b{word}=(\d+)", text))) for word in ("rbytes", "wbytes"))

    def remove(self):
        if self.path:
            try:
                os.rmdir(self.path)
            except OSError:
                pass


def descendants(of):
    """All processes below one, found by their parents."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = text_of(f"/proc/{name}/stat").rpartition(")")[2].split()
            if fields:
                children.setdefault(int(fields[1]), []).append(int(name))
    found = []
    waiting = [of]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def tree_cpu_ns(pids):
    """User and system time of those that live and those that were waited for."""
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = int(waited.ru_utime * 1e9), int(waited.ru_stime * 1e9)
    for pid in pids:
        fields = text_of(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if fields:
            user += (int(fields[11]) + int(fields[13])) * TICK_NS
            system += (int(fields[12]) + int(fields[14])) * TICK_NS
    return user, system


def tree_io_bytes(pids):
    """Read from disks and written to them by the same; what the keeper itself reads is next to nothing."""
    read = written = 0
    for pid in ("self", *pids):
        text = text_of(f"/proc/{pid}/io")
        for name, value in re.findall(r"^(read_bytes|write_bytes): (\d+)$", text, re.M):
            if name == "read_bytes":
                read += int(value)
            else:
                written += int(value)
    return read, written


def rss_bytes(pids):
    """Which counts a shared page again in each process."""
    return sum(int(fields[1]) * PAGE for fields in (text_of(f"/proc/{pid}/statm").split() for pid in pids) if fields)


def pss_bytes(pids):
    """Which shares it out; the kernel walks all their pages for that."""
    found = (re.search(r"^Pss:\s+(\d+) kB", text_of(f"/proc/{pid}/smaps_rollup"), re.M) for pid in pids)
    return sum(int(match.group(1)) * 1024 for match in found if match)


def queue_files(queue):
    """The files that stand for one accepted message each.

    "folders" and below; "name" or "suffix" of such files; "beside": what stands for the suffix in a second file that has to
    be there too (a kill can leave one of them); "is_ready": executable, which Postfix makes them once they are whole.
    """
    name_wanted, suffix, beside = queue.get("name"), queue.get("suffix", ""), queue.get("beside")
    for folder in queue["folders"]:
        for place, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(place, name)
                if name_wanted not in (None, name) or not name.endswith(suffix):
                    continue
                if beside and not os.path.exists(path[:-len(suffix)] + beside):
                    continue
                try:
                    if not queue.get("is_ready") or os.stat(path).st_mode & 0o100:
                        yield path
                except OSError:
                    pass


def numbers_queued(queue):
    """[run, sequence] of each message queued; what bears no number is left out."""
    found = set()
    for path in queue_files(queue):
        try:
            with open(path, "rb") as file:
                match = NUMBERED.search(file.read(HEAD))
        except OSError:
            continue
        if match:
            found.add((match.group(1).decode(), int(match.group(2))))
    return sorted(found)


class Keeper:
    def __init__(self):
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.group = Group()
        self.main = None
        self.queue = None
        self.pss = 0
        self.pss_taken = 0.0
        self.queued = 0
        self.counts = 0
        self.count_again = 0.0

    def processes(self):
        return self.group.processes() if self.group.path else descendants(os.getpid())

    def enter(self):
        """In the child, before it becomes the server."""
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        self.group.enter()

    def start(self, request):
        self.queue = request["queue"]
        with open(request["log"], "ab") as log:
            self.main = subprocess.Popen(request["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         start_new_session=True, preexec_fn=self.enter)
        return {"pid": self.main.pid, "cgroup": self.group.path}

    def reap(self):
        """Orphans that ended: until they are waited for their times count for nobody."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.main and pid == self.main.pid:
                self.main.returncode = os.waitstatus_to_exitcode(status)

    def count_queued(self):
        """How many there are, or were: ten thousand files are not counted four times a second."""
        if self.queue and time.monotonic() >= self.count_again:
            begin = time.thread_time()
            self.queued = sum(1 for _ in queue_files(self.queue))
            self.counts += 1
            self.count_again = time.monotonic() + min((time.thread_time() - begin) / COUNTING_SHARE, COUNT_EVERY_S)
        return self.queued

    def look(self, _):
        pids = self.processes()
        user, system = self.group.cpu_ns() if self.group.path else tree_cpu_ns(pids)
        of_group = self.group.io_bytes()
        read, written = of_group or tree_io_bytes(pids)
        if time.monotonic() - self.pss_taken >= PSS_EVERY_S:
            self.pss, self.pss_taken = pss_bytes(pids), time.monotonic()
        return {"monotonic_ns": time.monotonic_ns(), "processes": len(pids), "user_ns": user, "system_ns": system,
                "read_bytes": read, "written_bytes": written, "io_by": "cgroup" if of_group else "processes",
                "rss_bytes": rss_bytes(pids), "pss_bytes": self.pss, "is_running": bool(self.main and self.main.returncode is None),
                "queued": self.count_queued(), "counts": self.counts}

    def find(self, _):
        return {"numbers": numbers_queued(self.queue)}

    def kill(self, _):
        killed = set()
        end = time.monotonic() + KILL_WAIT_S
        while time.monotonic() < end:
            pids = self.processes()
            killed.update(pids)
            if not pids:
                break
            self.group.kill()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)
            self.reap()
        return {"killed": len(killed), "left": len(self.processes())}

    def stop(self, request):
        end = time.monotonic() + STOP_WAIT_S
        first = request.get("pid") or (self.main.pid if self.main else None)
        # A number out of a file of the server's may be somebody else's by now.
        if first in self.processes():
            try:
                os.kill(first, signal.SIGTERM)
            except ProcessLookupError:
                pass
        while self.processes() and time.monotonic() < end:
            time.sleep(0.05)
            self.reap()
        return self.kill(request)

    def serve(self):
        """Answers until standard input ends."""
        waiting = b""
        while True:
            readable, _, _ = select.select([0], [], [], 0.1)
            self.reap()
            if not readable:
                continue
            octets = os.read(0, 1 << 16)
            if not octets:
                return
            waiting += octets
            while b"\n" in waiting:
                line, _, waiting = waiting.partition(b"\n")
                request = json.loads(line)
                actions = {"start": self.start, "look": self.look, "find": self.find, "kill": self.kill, "stop": self.stop}
                try:
                    answer = actions[request["do"]](request)
                except OSError as problem:
                    answer = {"error": str(problem)}
                print(json.dumps(answer), flush=True)


def main():
    # A terminal's interrupt is for the benchmark, which then ends this by its standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keeper = Keeper()
    try:
        keeper.serve()
    finally:
        keeper.kill({})
        keeper.group.remove()


if __name__ == "__main__":
    main()
