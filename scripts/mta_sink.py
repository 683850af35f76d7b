"""The ringsink at the end of a benchmark of a mail server: where it keeps what arrives, and what it counts."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import measuring
import mta_delivery
import mta_options

MEMORY = "/dev/shm"
MEBI = 1 << 20
SMALLEST = 256 * MEBI
# Where the load's end is not known before.
UNKNOWN = 4096 * MEBI
# What a message takes beside its body: headers, envelope, a record's header and padding.
BESIDE = 2048
TOTALS_WAIT_S = 5


def room_for(messages, length):
    """Twice what a load can bring."""
    return UNKNOWN if messages is None else max(SMALLEST, 2 * messages * (length + BESIDE))


def memory_free():
    with open("/proc/meminfo") as meminfo:
        return int(re.search(r"^MemAvailable: +(\d+)", meminfo.read(), re.M).group(1)) * 1024


def place_for(room, home):
    """A folder for so many octets: in memory, where it costs the mail server's disk nothing, else at home."""
    if os.access(MEMORY, os.W_OK) and room < min(memory_free(), shutil.disk_usage(MEMORY).free) // 4:
        return tempfile.mkdtemp(prefix="ringsink-bench-mta-", dir=MEMORY), "memory"
    free = shutil.disk_usage(home).free
    if room > free * 3 // 4:
        room_text, free_text = room // MEBI, free // MEBI
        raise AssertionError(f"what is delivered may need {room_text} MiB, and {home} has {free_text} MiB free: "
                             "give --spool-size, or RINGSINK_BENCH_DIR another disk")
    return tempfile.mkdtemp(prefix="spool-", dir=home), "disk"


class Sink:
    """One worker, which is far more than any mail server can use; full is an answer, nothing is recycled."""

    def __init__(self, build, home, host, port, room, size=None):
        self.address = f"{host}:{port}"
        self.port = port
        self.log = os.path.join(home, "sink.log")
        wanted = mta_options.number(size, room) if size else room
        self.place, self.kind = place_for(wanted, home)
        self.spool = os.path.join(self.place, "spool")
        try:
            command = [f"{build}/ringsink", self.address, "-t", "1", "-c", "--spool", self.spool, "--spool-size",
                       size or f"{room // MEBI}Mi", "--when-full", "refuse"]
            self.process = measuring.start_server(command, self.log, start_new_session=True, preexec_fn=measuring.raise_descriptors)
        except BaseException:
            shutil.rmtree(self.place, ignore_errors=True)
            raise

    def text(self):
        with open(self.log) as log:
            return log.read()

    def delivered(self):
        """Messages answered 250, as of the last second's line."""
        lines = re.findall(r"^open \d+  messages (\d+) ", self.text(), re.M)
        return int(lines[-1]) if lines else 0

    def totals(self):
        """All that it has counted up to now."""
        before = self.text().count("totals after")
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)
            end = time.monotonic() + TOTALS_WAIT_S
            while self.text().count("totals after") == before and time.monotonic() < end:
                time.sleep(0.005)
            time.sleep(0.005)
        return mta_delivery.sink_counters(self.text())

    def cpu_ns(self):
        return measuring.cpu_ns(self.process.pid)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)
