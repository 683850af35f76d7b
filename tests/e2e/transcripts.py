#!/usr/bin/env python3
"""transcripts -- replays tests/transcripts against a server over TCP and checks its replies.

Usage: transcripts.py [--with NAME[=VALUE]]... [--timeout S] HOST:PORT FILE...

Each file is run whole (one write), stepwise (what follows a reply is sent once it came) and, if the
client's part is short, octet by octet. Files that need a store that fails are skipped, and so are
those with options (O: lines) that --with does not name. Exit status: 0 all passed, 1 not.
"""

import argparse
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))

import conform_dialogue  # noqa: E402
from conform_cases import escape, unescape  # noqa: E402
from conform_dialogue import Fault, send_octetwise, show  # noqa: E402

OCTETWISE_MAX = 700


class Transcript:
    """Steps are ("send", octets), ("expect", [line, ...]), the lines of one reply, and ("handshake", None)."""

    def __init__(self, path):
        self.path = path
        self.steps = []
        self.options = {}
        self.verdicts = []
        with open(path, "rb") as file:
            for number, line in enumerate(file.read().split(b"\n"), 1):
                line = re.sub(rb"(^|  )#.*", b"", line).rstrip(b" ")
                if line:
                    self.read_line(number, line)

    def read_line(self, number, line):
        kind, text = line[:2].decode(), line[2:].removeprefix(b" ")
        if kind in ("C:", "c:"):
            self.add_send(unescape(text) + (b"\r\n" if kind == "C:" else b""))
        elif kind == "S:":
            self.add_expect(text)
        elif kind == "H:":
            self.steps.append(("handshake", None))
        elif kind == "V:":
            self.verdicts.append(text.decode())
        elif kind == "O:":
            name, _, value = text.decode().partition(" ")
            self.options[name] = value
        elif kind not in ("B:", "b:"):
            raise SystemExit(f"{self.path}:{number}: not a line of a transcript")

    def add_send(self, octets):
        if self.steps and self.steps[-1][0] == "send":
            self.steps[-1] = ("send", self.steps[-1][1] + octets)
        else:
            self.steps.append(("send", octets))

    def add_expect(self, text):
        kind, lines = self.steps[-1] if self.steps else ("", None)
        if kind == "expect" and lines[-1][3:4] == b"-":
            lines.append(text)
        else:
            self.steps.append(("expect", [text]))

    def parts(self):
        """The steps in plain, and those inside TLS."""
        index = next((index for index, (kind, _) in enumerate(self.steps) if kind == "handshake"), len(self.steps))
        return [part for part in (self.steps[:index], self.steps[index + 1:]) if part]

    def client(self):
        return b"".join(step for kind, step in self.steps if kind == "send")

    def expected(self):
        return [step for kind, step in self.steps if kind == "expect"]

    def ends_the_dialogue(self):
        replies = self.expected()
        return bool(replies) and replies[-1][-1][:3] in (b"221", b"421")


class Dialogue(conform_dialogue.Dialogue):
    def expect(self, wanted):
        reply = self.read_reply(show(wanted))
        rest = iter(reply)
        for text in wanted:
            if not any(line[:3] == text[:3] and line[4:].startswith(text[4:]) for line in rest):
                raise Fault(show(wanted), show(reply))

    def expect_end(self):
        while self.is_open and not self.buffer:
            self.fill("to close")
        if self.buffer:
            raise Fault("no reply more", escape(self.buffer))

    def expect_silence(self):
        """The client's end is closed: the server has to close too, without another reply."""
        self.say_no_more()
        self.expect_end()


def run_stepwise(transcript, dialogue):
    for kind, step in transcript.steps:
        if kind == "send":
            dialogue.send(step)
        elif kind == "handshake":
            dialogue.handshake()
        else:
            dialogue.expect(step)


def run_parts(transcript, dialogue, send):
    """All that is said in plain, then all that is said inside TLS, if there is a handshake."""
    for index, part in enumerate(transcript.parts()):
        if index > 0:
            dialogue.handshake()
        send(dialogue, b"".join(step for kind, step in part if kind == "send"))
        for wanted in (step for kind, step in part if kind == "expect"):
            dialogue.expect(wanted)


def run_whole(transcript, dialogue):
    run_parts(transcript, dialogue, Dialogue.send)


def run_octetwise(transcript, dialogue):
    run_parts(transcript, dialogue, send_octetwise)


def run(transcript, address, timeout, name, runner):
    dialogue = Dialogue(address, timeout)
    try:
        runner(transcript, dialogue)
        if transcript.ends_the_dialogue():
            dialogue.expect_end()
        else:
            dialogue.expect_silence()
        return True
    except Fault as fault:
        print(f"FAIL {transcript.path} ({name}): {fault}")
        return False
    finally:
        dialogue.close()


def reason_to_skip(transcript, offered):
    if any(verdict != "stored" for verdict in transcript.verdicts):
        return "needs a store that fails"
    for name, value in transcript.options.items():
        if offered.get(name) != value:
            return f"needs {name} {value}".rstrip()
    return None


def parse_address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--with", dest="offered", action="append", default=[], metavar="NAME[=VALUE]")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S")
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("files", nargs="+", metavar="FILE")
    arguments = parser.parse_args()
    offered = {name: value for name, _, value in (text.partition("=") for text in arguments.offered)}

    passed = failed = skipped = 0
    start = time.monotonic()
    for path in arguments.files:
        transcript = Transcript(path)
        reason = reason_to_skip(transcript, offered)
        if reason:
            print(f"skip {path}: {reason}")
            skipped += 1
            continue
        ways = [("whole", run_whole), ("stepwise", run_stepwise)]
        if len(transcript.client()) <= OCTETWISE_MAX:
            ways.append(("octetwise", run_octetwise))
        for name, runner in ways:
            if run(transcript, parse_address(arguments.address), arguments.timeout, name, runner):
                passed += 1
            else:
                failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped in {time.monotonic() - start:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
