"""What processes use: CPU time, memory and system calls of a server and all that it started, and time stolen."""
import ctypes
import os
import platform
import struct

import measuring

TICKS = os.sysconf("SC_CLK_TCK")

# perf_event_open(2), which no library wraps.
PERF_CALL = {"x86_64": 298, "aarch64": 241}
PERF_TYPE_TRACEPOINT = 2
PERF_FLAG_INHERIT = 1 << 1
PERF_ATTR_SIZE = 112
TRACEPOINT = "events/raw_syscalls/sys_enter/id"
TRACE_FOLDERS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


def stat_fields(pid):
    """Of /proc/PID/stat, from the third on: [1] is the parent."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()


def tree(roots):
    """The processes and all their descendants that live."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(int(stat_fields(name)[1]), []).append(int(name))
            except OSError:
                continue  # ended meanwhile
    found = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if os.path.exists(f"/proc/{pid}"):
            found.append(pid)
        waiting += children.get(pid, [])
    return found


def cpu_seconds(roots):
    """User and system time of trees of processes, with what those used that have ended in them."""
    user = system = 0
    for pid in tree(roots):
        try:
            fields = stat_fields(pid)
        except OSError:
            continue
        user += int(fields[11]) + int(fields[13])
        system += int(fields[12]) + int(fields[14])
    return user / TICKS, system / TICKS


def memory_kib(roots, name):
    """RssAnon and the like, summed; None if no process tells."""
    values = []
    for pid in tree(roots):
        try:
            values.append(measuring.status_kib(pid, name))
        except OSError:
            continue
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def steal_seconds():
    """Time that the host gave to others, of all CPUs since the start."""
    with open("/proc/stat") as stat:
        return int(stat.readline().split()[8]) / TICKS


class Calls:
    """Counts the system calls of trees of processes, by the kernel's tracepoint: an event in each thread, inherited.

    While one is open every system call of the machine takes the traced way: nothing is timed meanwhile.
    """

    HOW = "tracepoint raw_syscalls:sys_enter"

    def __init__(self, roots):
        self.files = []
        number = PERF_CALL.get(platform.machine())
        identifier = tracepoint_id()
        if number is None or identifier is None:
            return
        call = ctypes.CDLL(None, use_errno=True).syscall
        attributes = struct.pack("=IIQQQQQ", PERF_TYPE_TRACEPOINT, PERF_ATTR_SIZE, identifier, 0, 0, 0, PERF_FLAG_INHERIT)
        buffer = ctypes.create_string_buffer(attributes.ljust(PERF_ATTR_SIZE, b"\0"), PERF_ATTR_SIZE)
        for pid in tree(roots):
            for thread in os.listdir(f"/proc/{pid}/task"):
                file = call(number, buffer, int(thread), -1, -1, 0)
                if file < 0:
                    self.close()
                    return
                self.files.append(file)

    def count(self):
        """Since it was opened; None where the kernel does not let us."""
        if not self.files:
            return None
        return sum(struct.unpack("=Q", os.read(file, 8))[0] for file in self.files)

    def close(self):
        for file in self.files:
            os.close(file)
        self.files = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def tracepoint_id():
    for folder in TRACE_FOLDERS:
        try:
            with open(os.path.join(folder, TRACEPOINT)) as file:
                return int(file.read())
        except OSError:
            continue
    return None
