"""One benchmark of a mail server: sink, server, load, drain, audit, and all of it as one result."""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import measuring
import mta_delivery
import mta_limit
import mta_options
import mta_servers
from mta_load import Generator
from mta_sink import Sink, room_for

LOOK_S = 0.5
SETTLED_LOOKS = 2
SECTOR = 512


class Given:
    """A mail server that was there before: what is known of it is its address, and perhaps how to ask for its queue."""

    NAME = "given"

    def __init__(self, options):
        self.host, self.port = mta_options.address(options.mta, "--mta")
        self.address = f"{self.host}:{self.port}"
        self.queue = options.queue

    def look(self, is_draining):
        """Its queue is asked for only once the load has ended: that may cost it something, and takes its time."""
        return {"queued": self.count() if is_draining else None}

    def count(self):
        if self.queue is None:
            return None
        done = subprocess.run(["sh", "-c", self.queue], stdout=subprocess.PIPE, text=True, check=False, timeout=60)
        numbers = re.findall(r"\d+", done.stdout)
        if done.returncode != 0 or not numbers:
            raise AssertionError(f"--queue {self.queue}: exit {done.returncode}, and no number in {done.stdout.strip()!r}")
        return int(numbers[-1])

    def watch(self):
        return None

    def describe(self):
        return {"name": "given", "address": self.address, "version": None, "settings": [], "defaults": {}, "queue_on": None}

    def keep(self, folder):
        pass

    def close(self):
        pass


def started(options, arguments, sink):
    """The mail server of this run, which relays to the sink."""
    if options.mta:
        return Given(options)
    per_connection = mta_options.load_value(arguments, "-k", "--per-connection") or "inf"
    numbers = re.findall(r"\d+", per_connection)
    load = mta_servers.Load(connections=mta_options.number(mta_options.load_value(arguments, "-c", "--connections", "-s"), 20),
                            per_connection=int(numbers[-1]) if numbers else None, settings=tuple(options.settings))
    return mta_servers.SERVERS[options.server](sink.port, load)


def describe(server):
    """What a report says of the server; before it is stopped."""
    if isinstance(server, Given):
        return server.describe()
    place = subprocess.run(["df", "--output=source,fstype", server.home.path], capture_output=True, text=True,
                           check=False).stdout.split()
    return {"name": server.NAME, "address": f"127.0.0.1:{server.port}", "package": server.PACKAGE, "version": server.version(),
            "settings": [vars(setting) for setting in server.settings], "defaults": server.defaults(), "queue_on": place[-1],
            "device": os.path.basename(place[-2])}


def disk_counts(device):
    """Writes, octets written and flushes that a device has completed, of the whole host; None if it has no such counts."""
    for line in open("/proc/diskstats") if device else ():
        fields = line.split()
        if fields[2] == device and len(fields) > 18:
            return {"writes": int(fields[7]), "written_bytes": int(fields[9]) * SECTOR, "flushes": int(fields[18])}
    return None


class Run:
    """`say` gets a line of progress, `stopped` tells whether somebody wants it to end."""

    def __init__(self, options, build, say, stopped):
        self.options = options
        self.build = build
        self.say = say
        self.stopped = stopped
        self.arguments = mta_options.load_arguments(options)
        self.home = tempfile.mkdtemp(prefix="ringsink-bench-mta-")
        self.sink = self.server = self.load = None
        self.looks = []
        self.killed = None

    def open(self):
        host, port = mta_options.address(self.options.sink, "--sink", "127.0.0.1") if self.options.sink else \
            ("127.0.0.1", measuring.free_port())
        room = room_for(mta_options.messages_expected(self.arguments),
                        mta_options.largest_message(mta_options.load_value(self.arguments, "-l", "--length")))
        self.sink = Sink(self.build, self.home, host, port, room, self.options.spool_size)
        self.say(f"starting {self.options.server} ..." if self.options.server else f"loading {self.options.mta} ...", True)
        self.server = started(self.options, self.arguments, self.sink)
        self.about = describe(self.server)

    def look(self, is_draining=False):
        look = self.server.look(is_draining)
        if "user_ns" in look:
            look["by"] = "cgroup" if self.server.cgroup else "processes"
            self.looks.append(look)
        queued = "-" if look["queued"] is None else f"{look['queued']:,}"
        self.say(f"{time.monotonic() - self.load.started:5.1f} s  accepted {self.load.accepted:,}  delivered {self.sink.delivered():,}  "
                 f"queued {queued}".replace(",", " "))
        return look

    def must_kill(self):
        return self.options.kill_at_s is not None and not self.killed and \
            time.monotonic() - self.load.started >= self.options.kill_at_s

    def kill(self):
        """-9 to all of the server, and again from what it had on its disk."""
        begin = time.monotonic()
        processes = self.server.kill()
        self.say(f"killed {processes} processes of {self.server.NAME}", True)
        self.server.start_again()
        self.killed = {"asked_s": self.options.kill_at_s, "at_s": round(begin - self.load.started, 3), "processes": processes,
                       "down_s": round(time.monotonic() - begin, 3)}

    def work(self):
        """The load, with the kill in it. loadgen's exit status."""
        self.disk_before = disk_counts(self.about.get("device"))
        self.sink_before = self.sink.cpu_ns()
        watch = None if mta_options.load_value(self.arguments, "--watch") else self.server.watch()
        target = self.about["address"]
        self.load = Generator(self.build, self.home, target, self.arguments, watch)
        is_interrupted = False
        while self.load.is_running():
            if self.stopped() and not is_interrupted:
                self.load.interrupt()  # a second one would leave it no time for its result
                is_interrupted = True
            if self.must_kill():
                self.kill()
            self.look()
            wake = time.monotonic() + LOOK_S
            while self.load.is_running() and not self.must_kill() and time.monotonic() < wake:
                time.sleep(0.01)
        status = self.load.finish()
        if self.options.kill_at_s is not None and not self.killed and not is_interrupted:
            raise AssertionError(f"the load ended after {self.load.seconds:.1f} s, before --kill-at: give it more -n, or -d")
        self.at_end = self.sink.totals()
        self.sink_busy = (self.sink.cpu_ns() - self.sink_before) / 1e9 / self.load.seconds
        return status

    def is_drained(self, look, recipients):
        """The queue says it; where nobody can be asked, the sink does."""
        if look["queued"] is not None:
            return look["queued"] == 0
        return self.sink.totals()["recipients"] >= recipients

    def drain(self):
        """Waits for the server's queue; a file on its way from one folder to another can be missed once, not twice."""
        begin = time.monotonic()
        # The last second has no progress of its own.
        self.load.accepted, recipients = self.load.acknowledged()
        settled, counts = 0, None
        while settled < SETTLED_LOOKS and not self.stopped():
            look = self.look(is_draining=True)
            if counts is None or look.get("counts") != counts:  # else the keeper has not counted again
                settled = settled + 1 if self.is_drained(look, recipients) else 0
            counts = look.get("counts")
            if time.monotonic() - begin > self.options.drain_limit_s:
                break
            time.sleep(LOOK_S / 2)
        self.drained = settled >= SETTLED_LOOKS
        self.look(is_draining=True)

    def queue(self):
        """What is still queued, once nothing can be delivered any more."""
        if isinstance(self.server, Given):
            return self.server.count()
        return self.server.numbers_queued()

    def audit(self):
        """What ringspool finds of ledger and spool."""
        command = [f"{self.build}/ringspool", "audit", "--relayed", "--json", "--csv", os.path.join(self.home, "delivery.csv"),
                   "--faults", os.path.join(self.home, "faults")]
        done = subprocess.run([*command, self.sink.spool, self.load.ledger], capture_output=True, text=True, check=False)
        if not done.stdout:
            raise AssertionError(f"{shlex.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def summary(self, result):
        """The `delivery` of the result."""
        self.sink.stop()
        counters = self.sink.totals()
        queue = self.queue()
        audit = self.audit()
        with open(os.path.join(self.home, "faults")) as lines:
            found = mta_delivery.counts(audit, mta_delivery.read_faults(lines), queue)
        status, reasons = mta_delivery.verdict(found, bool(self.killed))
        seconds = mta_delivery.read_seconds(os.path.join(self.home, "delivery.csv"))
        times = mta_delivery.times(audit, self.at_end["messages"])
        seen = mta_limit.Seen(
            accepted=found["accepted"], due=result["totals"]["due"], rate=result["config"]["rate_per_s"], load_s=times["accepting_s"],
            delivered_in_load=self.at_end["messages"], backlog_at_end=max(found["accepted"] - self.at_end["messages"], 0),
            backlog_most=mta_delivery.backlog_most(seconds), drain_s=times["draining_s"],
            generator_busy=result["verdict"]["checks"]["busy_max_ratio"] or 0, sink_busy=self.sink_busy,
            sink_refused=counters["refused_full"], host_busy=self.load.host_busy)
        who, why = mta_limit.verdict(seen)
        use = mta_delivery.usage(self.looks, found["delivered"])
        shares = {"loadgen": self.load.cpu_s / self.load.seconds, "ringsink": self.sink_busy}
        if use:
            shares = {self.about["name"]: use["cpu_ratio"], **shares}
        return {"sink": self.sink.address, "mta": self.about, "verdict": {"status": status, "reasons": reasons},
                "limit": {"who": who, "why": why, "machine": mta_limit.machine(seen, shares)}, **found, **times,
                "drained": self.drained, "backlog_max": seen.backlog_most, "backlog_at_load_end": seen.backlog_at_end,
                "clock": {"kind": audit["clock"], "uncertainty_ns": audit["clock_uncertainty_ns"], "reason": audit["clock_reason"]},
                "latency": mta_delivery.latency(audit["accept_to_delivered_ns"]), "seconds": seconds, "usage": use,
                "disk": self.disk(found["delivered"]),
                "connections": {**counters, "spool_in": self.sink.kind, "cpu_ratio": round(self.sink_busy, 4), "tls": "not offered"},
                "killed": self.killed}

    def disk(self, messages):
        """What the device of the queue did meanwhile, for everybody on this host."""
        after = disk_counts(self.about.get("device"))
        if not after or not self.disk_before:
            return None
        used = {name: after[name] - self.disk_before[name] for name in after}
        each = round(used["flushes"] / messages, 3) if messages else None
        return {"device": self.about["device"], **used, "flushes_per_message": each}

    def result(self):
        """All of it: (loadgen's exit status, the result)."""
        self.open()
        status = self.work()
        if status == 2:
            raise mta_options.Wrong("\n".join(self.load.said))
        if not os.path.exists(self.load.result_name):
            raise AssertionError("loadgen ended with {}:\n{}".format(status, "\n".join(self.load.said)))
        result = self.load.result()
        if not self.load.acknowledged()[0]:
            reasons = [f"{error['class']} at {error['phase']} ({error['count']})" for error in result["errors"]] + \
                [f"{reply['code']} {reply['text'] or ''} ({reply['count']})" for reply in result["replies"] if reply["code"] >= 400]
            raise AssertionError(f"nothing was accepted by {self.about['address']}: {'; '.join(reasons) or self.load.said[-1:]}")
        self.drain()
        result["delivery"] = self.summary(result)
        with open(self.load.result_name, "w") as file:
            json.dump(result, file, indent=1)
        return status, result

    def keep(self, folder):
        os.makedirs(folder, exist_ok=True)
        for name in ("result.json", "load.txt", "ledger", "delivery.csv", "faults", "sink.log"):
            path = os.path.join(self.home, name)
            if os.path.exists(path):
                shutil.copy(path, folder)
        if self.server:
            self.server.keep(folder)

    def close(self):
        for part in (self.load, self.server, self.sink):
            if part:
                part.close()
        shutil.rmtree(self.home, ignore_errors=True)
