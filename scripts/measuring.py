"""What the scripts that measure have in common: where things are, what a run was made of, the server's life."""
import datetime
import json
import os
import resource
import socket
import subprocess
import sys
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
BUILD = os.environ.get("RINGSINK_BUILD") or os.path.join(TOP, "build", "release")
READY_WAIT_S = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def raise_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def start_server(command, log_name, **options):
    """A ringsink whose output goes to a file of that name; returns once it is ready."""
    with open(log_name, "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, **options)
    end = time.monotonic() + READY_WAIT_S
    while time.monotonic() < end and server.poll() is None:
        with open(log_name) as text:
            if "\nready\n" in text.read():
                return server
        time.sleep(0.02)
    with open(log_name) as text:
        sys.exit(f"ringsink did not start:\n{text.read()}")


def status_kib(pid, name):
    """RssAnon and the like."""
    with open(f"/proc/{pid}/status") as status:
        return next((int(line.split()[1]) for line in status if line.startswith(name + ":")), None)


def ring_kib(pid):
    """What the rings themselves map: shared with the kernel, counted neither as anonymous nor as a file's."""
    total = inside = 0
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            if "-" in line.split(" ")[0]:
                inside = "io_uring" in line
            elif inside and line.startswith("Size:"):
                total += int(line.split()[1])
    return total


def cpu_ns(pid):
    """CPU time of all threads that a process has."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as schedstat:
            total += int(schedstat.read().split()[0])
    return total


# What no audit may count. Torn messages that a reader is shown are corrupt, damaged, or in no ledger.
AUDIT_FAULTS = ("lost", "duplicated", "corrupt", "refused_present", "torn_shown", "damaged_places", "unreadable_lines")


def audit(build, spool, ledgers):
    """What the audit of these ledgers counts, {} if nothing was ever sent; and all that it said."""
    done = subprocess.run([f"{build}/ringspool", "audit", "--json", spool, *ledgers], capture_output=True, text=True,
                          check=False)
    if not done.stdout:
        if "the ledger is empty" in done.stderr:
            return {}, done.stderr
        sys.exit(f"audit of {spool} exited {done.returncode}\n{done.stderr}")
    counts = json.loads(done.stdout)
    counts["torn_shown"] = counts["unlisted"] + counts["damaged_messages"]
    return counts, done.stdout + done.stderr


def about(what):
    """How every line of bench/results begins."""
    commit = subprocess.run(["git", "-C", TOP, "describe", "--always", "--dirty=+", "--exclude=*"],
                            capture_output=True, text=True, check=False).stdout.strip()
    return {"what": what, "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "commit": commit or "unknown", "kernel": os.uname().release, "cpus": os.cpu_count()}


def record(name, line):
    """Appends to bench/results/NAME.jsonl."""
    with open(os.path.join(TOP, "bench", "results", f"{name}.jsonl"), "a") as results:
        results.write(json.dumps(line) + "\n")
