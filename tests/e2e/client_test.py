"""What the tests of other people's clients share: what is sent, and how what arrived is compared with it."""
import os
import quopri
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import harness
import peers

SENDER = "a@client.test"
RECIPIENTS = ["b@sink.test", "c@sink.test"]

HEADER = (b"From: a@client.test\r\nTo: b@sink.test, c@sink.test\r\nSubject: awkward\r\n"
          b"Date: Fri, 01 Mar 2024 10:00:00 +0000\r\nMessage-ID: <awkward@client.test>\r\n"
          b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
# What every client may send: UTF-8, no line beyond 998 octets, a line end at the end. 110 KB.
BODY = (b".\r\n..\r\n.leading dot\r\n...three dots\r\n\r\n\r\ntab\tand blanks at the end  \r\nFrom a line that mbox quotes\r\n"
        + "Grüße mit 8 Bit \u2026\r\n".encode() + b"x" * 980 + b"\r\n"
        + b".a line as long as most are, over and over, until it is long enough....\r\n" * 1500
        + b".\r\n\r\nlast line\r\n")
MESSAGE = HEADER + b"\r\n" + BODY
# For clients that do not double dots at the start of lines, which is their fault, not a receiver's.
UNDOTTED_BODY = re.sub(rb"(?m)^\.+", b"", BODY)
UNDOTTED = HEADER + b"\r\n" + UNDOTTED_BODY
# What only clients send that pass on whatever they are given: no text, and a line of 100 KB.
HARD_BODY = (b".\r\n..\r\n.leading dot\r\n\r\n\r\n...three\r\n"
             b"8-bit: \xe4\xf6\xfc \xff\xfe\r\n" + b"x" * 100_000 + b"\r\n"
             b"tab\tand nul-free control \x01\x02\x7f\r\n.\r\nlast\r\n")
HARD = HEADER + b"\r\n" + HARD_BODY


def stuff(content):
    return re.sub(rb"(^|\r\n)\.", rb"\1..", content)


def local(content):
    """With the line ends that local files have."""
    return content.replace(b"\r\n", b"\n")


def body_of(content):
    return content.partition(b"\r\n\r\n")[2]


def decoded_body_of(content):
    """Undoes quoted-printable, which some clients choose for long lines and 8 bits."""
    header, _, body = content.partition(b"\r\n\r\n")
    if b"quoted-printable" not in header.lower():
        return body
    return quopri.decodestring(body)


class ClientTest(unittest.TestCase):
    """A server with a spool of its own, and a home directory for the client."""

    maxDiff = 2000
    OPTIONS = ()

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-clients-")
        self.addCleanup(shutil.rmtree, self.home, True)
        self.server = self.serve(*self.options())

    def options(self):
        """Of the server; those that need the home directory override it."""
        return self.OPTIONS

    def serve(self, *options):
        server = harness.Server(*options)
        self.addCleanup(server.close)
        return server

    def file(self, content, name="message"):
        """Written to the home directory; only its owner may read it, as clients want their passwords kept."""
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, 0o600)
        return path

    def run_client(self, package, program, *arguments, content=b"", environment=None):
        """Runs a client to its end, which has to be a success; returns what it printed."""
        variables = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": self.home, "LC_ALL": "C.UTF-8", "TERM": "dumb",
                     **(environment or {})}
        command = [peers.need(program, package), *map(str, arguments)]
        result = subprocess.run(command, input=content, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.home,
                                env=variables, timeout=60, check=False)
        text = result.stdout.decode("utf-8", "replace")
        if result.returncode != 0:
            peers.need_package(package)
            self.fail(f"{program} ended with {result.returncode}: {text[-2000:]}\n{self.server.output()[-2000:]}")
        return text

    def messages(self, server=None, count=1, seconds=30):
        """What a spool lists by time, once it lists so many: relays deliver after their client has gone."""
        server = server or self.server
        end = time.monotonic() + seconds
        while True:
            messages = harness.listed(server.spool)
            if len(messages) >= count or time.monotonic() > end:
                self.assertEqual(len(messages), count, messages)
                return sorted(messages, key=lambda message: message["received_ns"])
            time.sleep(0.05)

    def only_message(self, server=None):
        message = self.messages(server)[0]
        return message, harness.cat((server or self.server).spool, message["id"])

    def assert_octets(self, found, wanted):
        """As assertEqual, but tells where they part instead of printing megabytes."""
        if found != wanted:
            at = next((i for i, pair in enumerate(zip(found, wanted)) if pair[0] != pair[1]), min(len(found), len(wanted)))
            self.fail(f"{len(found)} octets came, {len(wanted)} were sent; at {at}: "
                      f"{found[max(0, at - 40):at + 80]!r} is not {wanted[max(0, at - 40):at + 80]!r}")

    def assert_envelope(self, message, sender=SENDER, recipients=tuple(RECIPIENTS)):
        self.assertEqual(message["from"], sender)
        # Some clients send them in an order of their own.
        self.assertEqual(sorted(message["recipients"]), sorted(recipients))
