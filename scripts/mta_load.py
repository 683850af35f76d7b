"""The loadgen of a benchmark of a mail server: its life, its progress, what it and this host's CPUs did meanwhile."""
import json
import os
import resource
import signal
import subprocess
import threading
import time


def host_ticks():
    """(busy, all) of this host's CPUs since it began."""
    with open("/proc/stat") as stat:
        ticks = [int(value) for value in stat.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


class Generator:
    def __init__(self, build, home, target, arguments, watch):
        self.result_name = os.path.join(home, "result.json")
        self.ledger = os.path.join(home, "ledger")
        self.text_name = os.path.join(home, "load.txt")
        watches = ["--watch", watch] if watch else []
        self.command = [f"{build}/loadgen", "--progress", "json", "-o", self.result_name, "--ledger", self.ledger, *watches,
                        *arguments, target]
        self.accepted = self.failed = 0
        self.said = []
        self.ticks = host_ticks()
        self.children = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.started = time.monotonic()
        with open(self.text_name, "w") as text:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=text, stderr=subprocess.PIPE, text=True,
                                            start_new_session=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """An object a second, and among them what it has to say otherwise."""
        for line in self.process.stderr:
            try:
                second = json.loads(line)
                self.accepted += second["accepted"]
                self.failed += second["failed"]
            except (ValueError, KeyError, TypeError):
                self.said.append(line.rstrip())

    def is_running(self):
        return self.process.poll() is None

    def interrupt(self):
        if self.is_running():
            self.process.send_signal(signal.SIGINT)

    def finish(self):
        """Its exit status; from here on the numbers of what it used are there."""
        status = self.process.wait()
        self.seconds = time.monotonic() - self.started
        self.reader.join(10)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_s = now.ru_utime + now.ru_stime - self.children.ru_utime - self.children.ru_stime
        busy, whole = host_ticks()
        self.host_busy = (busy - self.ticks[0]) / max(whole - self.ticks[1], 1)
        return status

    def result(self):
        with open(self.result_name) as file:
            return json.load(file)

    def acknowledged(self):
        """(messages, recipients) that the ledger says were accepted."""
        messages = recipients = 0
        with open(self.ledger) as ledger:
            for line in ledger:
                fields = line.split()
                if len(fields) >= 6 and fields[5] == "acked":
                    messages += 1
                    recipients += int(fields[7]) if len(fields) > 7 else 1
        return messages, recipients

    def close(self):
        if self.is_running():
            self.process.kill()
            self.process.wait()
