"""Starts the built programs for end-to-end tests and cleans up after them."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = os.environ.get("RINGSINK_BUILD") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release")
RINGSINK = os.path.join(BUILD, "ringsink")
LOADGEN = os.path.join(BUILD, "loadgen")
RINGSPOOL = os.path.join(BUILD, "ringspool")
# Built with ASan the programs are slower and larger: what is measured is then not asserted.
IS_SANITIZED = os.environ.get("RINGSINK_SANITIZED") == "1"
# How many times longer things may take: on an emulated machine (scripts/vm-test).
SLOWNESS = float(os.environ.get("RINGSINK_SLOWNESS", "1"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*command, timeout=120, **options):
    """Runs a program to its end; returns the CompletedProcess with text output."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.run([str(part) for part in command], timeout=timeout, text=True, check=False, **options)


class Server:
    """One ringsink with a spool of its own."""

    def __init__(self, *options, spool=None, port=None, threads=2, prefix=(), env=None, pass_fds=()):
        self.port = port or free_port()
        self.home = None
        if spool is None:
            self.home = tempfile.mkdtemp(prefix="ringsink-test-")
            spool = os.path.join(self.home, "spool")
        self.spool = spool
        self.log = tempfile.TemporaryFile("w+")
        arguments = [f"127.0.0.1:{self.port}", "--spool", spool, "-t", str(threads)]
        if not any(str(option).startswith("--spool-size") for option in options):
            arguments.append("--spool-size=512Mi")
        self.process = subprocess.Popen([*prefix, RINGSINK, *arguments, *map(str, options)],
                                        stderr=self.log, stdout=self.log, env=env, pass_fds=pass_fds)
        self.wait_ready()

    def wait_ready(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"ringsink ended with {self.process.returncode}: {self.output()}")
            if "\nready\n" in self.output():
                return
            time.sleep(0.02)
        raise AssertionError(f"ringsink is not ready: {self.output()}")

    def output(self):
        # pread leaves the position alone that the server writes at.
        return os.pread(self.log.fileno(), 1 << 20, 0).decode("utf-8", "replace")

    def stop(self, number=signal.SIGTERM, seconds=30):
        """Drains; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.log.close()
        if self.home:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def connect(self, timeout=20):
        return Dialogue(self.port, timeout)

    def totals(self):
        """The counters printed at the end, by sentence."""
        return {sentence: int(value) for value, sentence in
                re.findall(r"^ *(\d+)  (.+)$", self.output(), re.M)}

    def memory_kib(self, name):
        """RssAnon or RssFile in KiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        raise KeyError(name)


class Dialogue:
    """A raw SMTP connection."""

    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")

    def send(self, octets):
        self.socket.sendall(octets)

    def reply(self):
        """One whole reply, all its lines joined."""
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                return b"".join(lines)
            lines.append(line)
            if len(line) < 4 or line[3:4] != b"-":
                return b"".join(lines)

    def ask(self, octets):
        self.send(octets)
        return self.reply()

    def begin(self, name=b"client.test", verb=b"EHLO"):
        greeting = self.reply()
        assert greeting.startswith(b"220 "), greeting
        answer = self.ask(verb + b" " + name + b"\r\n")
        assert answer.startswith(b"250"), answer
        return self

    def deliver(self, content, sender=b"a@client.test", recipient=b"b@sink.test"):
        """Content is what goes on the wire, without the final dot; returns the last reply."""
        for command, code in ((b"MAIL FROM:<" + sender + b">\r\n", b"250"),
                              (b"RCPT TO:<" + recipient + b">\r\n", b"250"), (b"DATA\r\n", b"354")):
            answer = self.ask(command)
            if not answer.startswith(code):
                return answer
        return self.ask(content + b".\r\n")

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def listed(spool):
    """The messages of a spool, as ringspool list --json tells them."""
    import json
    result = run(RINGSPOOL, "list", "--json", spool)
    if result.returncode != 0:
        raise AssertionError(f"ringspool list: {result.returncode} {result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def cat(spool, identifier):
    result = subprocess.run([RINGSPOOL, "cat", spool, identifier], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False, timeout=120)
    if result.returncode != 0:
        raise AssertionError(f"ringspool cat: {result.returncode} {result.stderr!r}")
    return result.stdout


def main():
    for program in (RINGSINK, LOADGEN, RINGSPOOL):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is not built: cmake --build --preset release")
    unittest.main(verbosity=2)
