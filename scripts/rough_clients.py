"""rough_clients -- clients as a server meets them on a bad day, with a record of what became of each message.

They deliver 0 octets to megabytes, by DATA and by BDAT, in lock-step and pipelined; and they hang up or reset
in the midst of a message, take it back by RSET or EHLO, and leave without reading the reply. The record is a
ledger as loadgen writes it (src/base/ledger.h), for ringspool audit. A message whose end was never sent is
entered as refused: it must not be in the spool. Used by scripts/crash-loop and scripts/soak.
"""
import base64
import contextlib
import ctypes
import itertools
import random
import socket
import struct
import threading
import time

TIMEOUT_S = 20
RETRY_S = 0.01
MESSAGES_MAX = 8  # of one connection
BODY_MAX = 5_000_000
ENVELOPE = (b"MAIL FROM:<rough@client.test>\r\n", b"RCPT TO:<user@sink.test>\r\n")


def make_text():
    """Lines to cut bodies from; some begin with a dot, some are one."""
    text = base64.encodebytes(random.Random(1).randbytes(4 << 20)).replace(b"\n", b"\r\n")
    return text.replace(b"\r\nA", b"\r\n.").replace(b"\r\nBA", b"\r\n.\r\n")


TEXT = make_text()
assert len(TEXT) > BODY_MAX
xxh3 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
xxh3.restype = ctypes.c_uint64
xxh3.argtypes = (ctypes.c_char_p, ctypes.c_size_t)


class Gone(Exception):
    """The connection is over."""


class Message:
    def __init__(self, run, sequence, body):
        self.hash = xxh3(body, len(body))
        self.name = f"{run:016x} {sequence}"
        header = f"X-Loadgen: v1 run={run:016x} seq={sequence:012} size={len(body):010} xxh3={self.hash:016x}\r\n\r\n"
        self.content = header.encode() + body
        self.state = "refused"  # as long as its end was not sent
        self.sent_ns = time.time_ns()

    def stuffed(self):
        return self.content.replace(b"\r\n.", b"\r\n..")

    def finish(self):
        """Call before its last octets are sent: from here on it may be taken."""
        self.state = "unknown"
        self.sent_ns = time.time_ns()

    def judge(self, reply):
        self.state = "acked" if reply == b"250" else "refused"

    def line(self):
        return f"{self.name} {len(self.content)} {self.hash:016x} {self.sent_ns} {self.state}\n"


class Ledger:
    def __init__(self, path, chance):
        self.file = open(path, "w")
        self.run = chance.getrandbits(64)
        self.sequences = itertools.count(1)
        self.counts = {"connections": 0, "messages": 0, "aborted": 0, "timeouts": 0}
        self.lock = threading.Lock()
        self.file.write(f"# ringsink-ledger/1 run={self.run:016x}\n")

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    @contextlib.contextmanager
    def message(self, body):
        """A message that is entered however the block ends."""
        with self.lock:
            sequence = next(self.sequences)
        message = Message(self.run, sequence, body)
        try:
            yield message
        finally:
            with self.lock:
                self.file.write(message.line())
                self.counts["messages"] += 1

    def close(self):
        self.file.write("# " + " ".join(f"{name}={value}" for name, value in self.counts.items()) + "\n")
        self.file.close()


def counts_of(path):
    """What the last line of a ledger says."""
    with open(path) as file:
        return {name: int(value) for name, value in
                (word.split("=") for word in file.read().splitlines()[-1].split()[1:])}


class Client:
    """One connection. What it does is drawn from its `chance`."""

    def __init__(self, address, chance, ledger, body_max):
        self.chance = chance
        self.ledger = ledger
        self.body_max = body_max
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else
                                    socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket.settimeout(TIMEOUT_S)
        self.unread = b""
        try:
            self.socket.connect(address)
        except OSError as error:
            self.socket.close()
            raise Gone from error

    def live(self):
        try:
            if self.reply() != b"220" or self.ask(b"EHLO rough.client.test\r\n") != b"250":
                return
            deeds, weights = zip(*DEEDS)
            for _ in range(self.chance.randint(1, MESSAGES_MAX)):
                self.chance.choices(deeds, weights)[0](self)
            self.ask(b"QUIT\r\n")
        except TimeoutError:
            self.ledger.count("timeouts")
        except (Gone, OSError):
            pass
        finally:
            self.socket.close()

    # --- what the deeds are made of ---------------------------------------------------------------

    def send(self, octets):
        self.socket.sendall(octets)

    def reply(self):
        """The code of one whole reply."""
        while True:
            line, end, rest = self.unread.partition(b"\n")
            if not end:
                octets = self.socket.recv(65536)
                if not octets:
                    raise Gone
                self.unread += octets
                continue
            self.unread = rest
            if line[3:4] != b"-":
                return line[:3]

    def ask(self, octets):
        self.send(octets)
        return self.reply()

    def cut(self, octets):
        """In one to five pieces, some may be empty."""
        places = sorted(self.chance.randint(0, len(octets)) for _ in range(self.chance.randint(0, 4)))
        return [octets[begin:end] for begin, end in zip([0, *places], [*places, len(octets)])]

    def part(self, octets):
        """Less than all of it."""
        return octets[:self.chance.randrange(len(octets))]

    def message(self):
        size = 0 if self.chance.random() < 0.05 else int(2 * (self.body_max / 2) ** self.chance.random())
        begin = self.chance.randint(0, len(TEXT) - size)
        return self.ledger.message(TEXT[begin:begin + size - 2] + b"\r\n" if size > 0 else b"")

    def chunks(self, octets):
        """Commands with their octets, the last one with LAST."""
        pieces = self.cut(octets)
        return [b"BDAT %d%s\r\n" % (len(piece), b" LAST" if number == len(pieces) else b"") + piece
                for number, piece in enumerate(pieces, 1)]

    def envelope(self, *more):
        """MAIL, RCPT and what else, in lock-step or at once; the last reply's code."""
        commands = [*ENVELOPE, *more]
        if self.chance.random() < 0.5:
            replies = [self.ask(command) for command in commands]
        else:
            self.send(b"".join(commands))
            replies = [self.reply() for _ in commands]
        return replies[-1]

    def hang_up(self):
        self.ledger.count("aborted")
        if self.chance.random() < 0.5:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes by RST
        raise Gone

    # --- what a client may do ---------------------------------------------------------------------

    def deliver_data(self):
        with self.message() as message:
            if self.envelope(b"DATA\r\n") == b"354":
                for piece in self.cut(message.stuffed()):
                    self.send(piece)
                message.finish()
                message.judge(self.ask(b".\r\n"))

    def deliver_chunks(self):
        with self.message() as message:
            if self.envelope() != b"250":
                return
            *chunks, last = self.chunks(message.content)
            for chunk in chunks:
                if self.ask(chunk) != b"250":
                    self.ask(b"RSET\r\n")
                    return
            message.finish()
            message.judge(self.ask(last))

    def deliver_stream(self):
        """Several messages at once, whose replies are read behind the last."""
        with contextlib.ExitStack() as stack:
            messages = [stack.enter_context(self.message()) for _ in range(self.chance.randint(2, 6))]
            commands = [[*ENVELOPE, *self.chunks(message.content)] for message in messages]
            for message in messages:
                message.finish()
            self.send(b"".join(itertools.chain(*commands)))
            if self.chance.random() < 0.1:
                self.hang_up()
            for message, own in zip(messages, commands):
                message.judge([self.reply() for _ in own][-1])

    def leave_data(self):
        with self.message() as message:
            if self.envelope(b"DATA\r\n") == b"354":
                self.send(self.part(message.stuffed() + b".\r\n"))
                self.hang_up()

    def leave_chunks(self):
        with self.message() as message:
            if self.envelope() == b"250":
                self.send(self.part(b"".join(self.chunks(message.content))) if message.content else b"")
                self.hang_up()

    def leave_unread(self):
        with self.message() as message:
            if self.envelope(b"DATA\r\n") == b"354":
                message.finish()
                self.send(message.stuffed() + b".\r\n")
                self.hang_up()

    def take_back(self):
        with self.message() as message:
            if self.envelope() != b"250":
                return
            if self.chance.random() < 0.7:
                self.ask(b"BDAT %d\r\n" % len(message.content) + message.content)
            self.ledger.count("aborted")
            self.ask(self.chance.choice([b"RSET\r\n", b"EHLO again.client.test\r\n"]))


DEEDS = ((Client.deliver_data, 5), (Client.deliver_chunks, 4), (Client.deliver_stream, 3), (Client.leave_data, 1),
         (Client.leave_chunks, 1), (Client.leave_unread, 1), (Client.take_back, 2))


def work(addresses, chance, ledger, body_max, stop):
    while not stop.is_set():
        try:
            client = Client(chance.choice(addresses), chance, ledger, body_max)
        except Gone:
            stop.wait(RETRY_S)
            continue
        ledger.count("connections")
        client.live()


def run(addresses, ledger_path, seed, count, body_max, stop):
    """`count` clients at a time until `stop` is set. An address is (host, port) or a unix socket's path."""
    ledger = Ledger(ledger_path, random.Random(f"run {seed}"))
    threads = [threading.Thread(target=work, args=(addresses, random.Random(f"{seed} {number}"), ledger, body_max, stop))
               for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
