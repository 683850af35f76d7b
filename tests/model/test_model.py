"""Random sequences of commands, compared with a reference that knows the RFCs and not the code.

usage: test_model.py [--seed N] [--commands N] [--server NAME]     one run, shrunk if it fails
       test_model.py                                                the fixed seeds
"""
import argparse
import os
import random
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness # noqa: E402
from generator import Generator # noqa: E402
from reference import Reference, Server # noqa: E402

COMMANDS = 10_000
BATCH_STEPS_MAX = 60
BATCH_OCTETS_MAX = 100_000
REPLY_TIMEOUT_S = 20
SHRINK_TIMEOUT_S = 1
SHRINK_RUNS_MAX = 300
SAMPLE = 40 # messages whose content is compared
SHOWN = 12

CREDENTIALS = {"user": "secret", "other": "x", "with space": "p:w \u00fc"}
# How each server is started; --max-bad-commands so that a session gets far.
SERVERS = {
    "plain": (Server(size_limit=1_000_000), ("--size-limit", "1000000")),
    "tight": (Server(size_limit=2000, recipients_max=3), ("--size-limit", "2000", "--max-recipients", "3")),
    "login": (Server(size_limit=100_000, credentials=CREDENTIALS, is_auth_required=True),
              ("--size-limit", "100000", "--require-auth")),
    "lmtp": (Server(is_lmtp=True, size_limit=1_000_000), ("--size-limit", "1000000", "--lmtp")),
    "lmtp-tight": (Server(is_lmtp=True, size_limit=2000, recipients_max=3),
                   ("--size-limit", "2000", "--max-recipients", "3", "--lmtp")),
}
SEEDS = {"plain": (1, 2), "tight": (3, 4), "login": (5,), "lmtp": (6,), "lmtp-tight": (7,)}


class Mismatch(Exception):
    def __init__(self, position, what):
        super().__init__(what)
        self.position = position


def generate(seed, server, count):
    reference, generator, steps = Reference(server), Generator(seed, server), []
    for _ in range(count):
        steps.append(generator.next(reference))
        reference.take(steps[-1])
    return steps


class Client:
    """One connection; replies are read against what was expected, in order."""

    def __init__(self, port, timeout):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def reply(self):
        """The last line of a reply, or b"" at the end of the connection."""
        while True:
            line = self.file.readline()
            if line[3:4] != b"-":
                return line


class Run:
    """Plays steps against a server, in batches that are cut at random."""

    def __init__(self, port, server, seed, timeout=REPLY_TIMEOUT_S):
        self.port = port
        self.reference = Reference(server)
        self.random = random.Random(seed)
        self.timeout = timeout
        self.stored = {} # by the name that the server gave it
        self.client = None
        self.waiting = [] # (position, code wanted, message or None)
        self.wire = b""

    def play(self, steps):
        position = 0
        try:
            while position < len(steps):
                position = self.play_batch(steps, position)
        finally:
            if self.client:
                self.client.close()
        return self.stored

    def play_batch(self, steps, position):
        if self.client is None:
            self.client = Client(self.port, self.timeout)
            self.waiting.append((position, "220", None))
        size = self.random.choice((1, 1, 5, BATCH_STEPS_MAX))
        for step in steps[position:position + size]:
            outcome = self.reference.take(step)
            self.wire += outcome.wire
            # In LMTP a message has several 250, all naming it.
            self.waiting += [(position, wanted, None) for wanted in outcome.replies]
            if outcome.stored:
                self.waiting[-1] = (position, outcome.replies[-1], outcome.stored[0])
            position += 1
            if outcome.server_closes or outcome.client_closes:
                self.exchange()
                self.part(position - 1, outcome.server_closes)
                return position
            if len(self.wire) > BATCH_OCTETS_MAX:
                break
        self.exchange()
        return position

    def exchange(self):
        wire, self.wire = self.wire, b""
        cuts = sorted(self.random.randrange(len(wire) + 1) for _ in range(self.random.choice((0, 0, 1, 3))))
        for start, end in zip([0] + cuts, cuts + [len(wire)]):
            try:
                self.client.socket.sendall(wire[start:end])
            except OSError:
                break # the replies tell why
        waiting, self.waiting = self.waiting, []
        for position, wanted, message in waiting:
            try:
                line = self.client.reply()
            except OSError as error:
                line = f"nothing: {error}".encode()
            if not any(line.decode("latin-1").startswith(code) for code in wanted.split()):
                raise Mismatch(position, f"wanted {wanted}, got {line!r}")
            if message:
                self.stored[line.split()[-1].decode()] = message

    def part(self, position, server_closes):
        if server_closes:
            try:
                line = self.client.reply()
            except OSError as error:
                line = str(error).encode()
            if line not in (b"", b"[Errno 104] Connection reset by peer"):
                raise Mismatch(position, f"wanted the end of the connection, got {line!r}")
        self.client.close()
        self.client = None


def start(name):
    """The server, started; the credentials are in a file of theirs."""
    server, options = SERVERS[name]
    options = (*options, "--max-bad-commands", "65534", "--spool-size=1Gi")
    with tempfile.NamedTemporaryFile("w") as file:
        if server.credentials is not None:
            file.write("".join(f"{user}:{password}\n" for user, password in server.credentials.items()))
            file.flush()
            options += ("--auth", file.name)
        return server, harness.Server(*options, threads=1)


def shrink(steps, fails):
    """Leaves out ever smaller runs of steps, as long as what is left still fails."""
    size, runs = len(steps) // 2, 0
    while size > 0:
        start_at = 0
        while start_at < len(steps) and runs < SHRINK_RUNS_MAX:
            runs += 1
            fewer = steps[:start_at] + steps[start_at + size:]
            if fewer and fails(fewer):
                steps = fewer
            else:
                start_at += size
        size //= 2
    return steps


def explain(name, seed, steps, mismatch):
    """The failure, what came before it, and the fewest steps that show it."""
    position = mismatch.position
    text = [f"server {name}, seed {seed}, step {position}: {mismatch}"]
    text += [f"  {index:6} {steps[index]}" for index in range(max(0, position - SHOWN), position + 1)]

    def fails(fewer):
        server, process = start(name)
        with process:
            try:
                Run(process.port, server, seed, SHRINK_TIMEOUT_S).play(fewer)
            except Mismatch:
                return True
        return False

    fewest = shrink(steps[:position + 1], fails)
    text += [f"{len(fewest)} steps show it:"] + [f"         {step}" for step in fewest]
    return "\n".join(text)


def check(test, name, seed, count):
    server, process = start(name)
    steps = generate(seed, server, count)
    with process:
        stored, failure = {}, None
        try:
            stored = Run(process.port, server, seed).play(steps)
        except Mismatch as mismatch:
            failure = mismatch
        if failure:
            test.fail(explain(name, seed, steps, failure) + "\n" + process.output()[-1000:])
        check_stored(test, process.spool, stored, random.Random(seed))
        test.assertEqual(process.stop(), 0)
    print(f"{name}, seed {seed}: {count} steps, {len(stored)} messages", flush=True)


def check_stored(test, spool, stored, chance):
    """What the spool lists is what was acknowledged, and nothing else."""
    listed = {message["id"]: message for message in harness.listed(spool)}
    test.assertEqual(sorted(listed), sorted(stored))
    for identifier, message in stored.items():
        found = listed[identifier]
        test.assertEqual((found["from"], found["recipients"], found["size"]),
                         (message.sender, message.recipients, len(message.content)), identifier)
    for identifier in chance.sample(sorted(stored), min(SAMPLE, len(stored))):
        test.assertEqual(harness.cat(spool, identifier), stored[identifier].content, identifier)


class Model(unittest.TestCase):
    """One test a server; the seeds are fixed so that a failure comes again."""


def add_tests():
    for name, seeds in SEEDS.items():
        def test(self, name=name, seeds=seeds):
            for seed in seeds:
                check(self, name, seed, COMMANDS)
        setattr(Model, f"test_{name.replace('-', '_')}", test)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int)
    options.add_argument("--commands", type=int, default=COMMANDS)
    options.add_argument("--server", choices=SERVERS, default="plain")
    chosen = options.parse_args()
    add_tests()
    if chosen.seed is None:
        unittest.main(argv=sys.argv[:1], verbosity=2)
    case = unittest.FunctionTestCase(lambda: check(case, chosen.server, chosen.seed, chosen.commands))
    sys.exit(0 if unittest.TextTestRunner().run(case).wasSuccessful() else 1)


if __name__ == "__main__":
    main()
