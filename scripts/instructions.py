"""User-space instructions of ringsink per message, by callgrind: the difference of two runs ended by -M.

What starting, connecting and ending cost is the same in both runs and drops out. The generator runs outside valgrind.
"""
import collections
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import measuring
from measuring import BUILD

READY_WAIT_S = 120
END_WAIT_S = 300
# Messages of the shorter run: behind it every connection has said EHLO and every pool has been touched.
SHORT = 2


def shim(build=BUILD):
    return os.path.join(build, "tests", "libyielding_enter.so")


def wait_for_port(port, process, log_name):
    end = time.monotonic() + READY_WAIT_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    with open(log_name) as log:
        raise RuntimeError(f"ringsink did not start under valgrind:\n{log.read()}")


def run(messages, load, options, out, build=BUILD):
    """Instructions of one whole life of the server; its profile goes to the file `out`."""
    if shutil.which("valgrind") is None:
        raise RuntimeError("valgrind is missing: run scripts/setup")
    home = tempfile.mkdtemp(prefix="ringsink-instructions-", dir="/var/tmp")
    port = measuring.free_port()
    log_name = f"{home}/log"
    try:
        with open(log_name, "w") as log:
            server = subprocess.Popen(
                ["valgrind", "--tool=callgrind", "--fair-sched=yes", f"--callgrind-out-file={out}", f"{build}/ringsink",
                 f"127.0.0.1:{port}", "-q", "-t", "1", "-M", str(messages), "--spool", f"{home}/spool", "--spool-size",
                 "512Mi", *options], stdout=log, stderr=log, env={**os.environ, "LD_PRELOAD": shim(build)},
                preexec_fn=measuring.raise_descriptors)
        try:
            wait_for_port(port, server, log_name)
            sent = subprocess.run([f"{build}/loadgen", "-q", "-t", "1", "-n", str(messages), "--warmup", "0", "--seed", "1",
                                   *load, f"127.0.0.1:{port}"], capture_output=True, text=True, check=False, timeout=END_WAIT_S)
            status = server.wait(END_WAIT_S)
        finally:
            server.kill()
            server.wait()
        with open(log_name) as log:
            said = log.read()
        counted = re.search(r"Collected : (\d+)", said)
        if sent.returncode != 0 or status != 0 or counted is None:
            raise RuntimeError(f"loadgen: {sent.returncode}, ringsink: {status}\n{sent.stdout}{sent.stderr}{said}")
        return int(counted.group(1))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def by_function(profile, is_inclusive):
    """{place: instructions} of a profile."""
    text = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no",
                           f"--inclusive={'yes' if is_inclusive else 'no'}", profile], capture_output=True, text=True,
                          check=True).stdout
    counts = collections.Counter()
    for count, place in re.findall(r"^ *([\d,]+) \( *[\d.]+%\) +(.+?)(?: \[[^\]]*\])?$", text, re.M):
        counts[re.sub(r"^.*/(?=(?:src|sysdeps)/)", "", place)] += int(count.replace(",", ""))
    return counts


class Measured:
    """Two runs and what lies between them."""

    def __init__(self, messages, load, options=(), build=BUILD):
        self.home = tempfile.mkdtemp(prefix="ringsink-profiles-", dir="/var/tmp")
        self.messages = messages
        self.profiles = [f"{self.home}/short", f"{self.home}/long"]
        first, last = (run(count, load, options, profile, build)
                       for count, profile in zip((SHORT * messages, (SHORT + 1) * messages), self.profiles))
        self.per_message = (last - first) / messages

    def rows(self, is_inclusive):
        """(instructions per message, place), the dearest first."""
        first, last = (by_function(profile, is_inclusive) for profile in self.profiles)
        return sorted((((last[place] - first[place]) / self.messages, place) for place in last | first), reverse=True)

    def close(self):
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
