"""One case on one connection: says its steps, reads the replies, tells the first fault.

A run ends with a NOOP and a QUIT whose replies show that none was missing or too many; no
time-out is waited for unless the server falls silent.
"""
import contextlib
import re
import socket
import time

from conform_cases import escape

REPLY_LINE = re.compile(rb"[2-5][0-9][0-9](?:[ -][\t -~]*)?")
REPLY_LINE_UTF8 = re.compile(rb"[2-5][0-9][0-9](?:[ -][\t -~\x80-\xff]*)?")  # where it was asked for (RFC 6531 3.7.4.2)
ASKS_FOR_UTF8 = re.compile(rb"(?i)(?:VRFY|EXPN) .* SMTPUTF8\r\n")
REPLY_LINE_MAX = 510  # without CR LF (RFC 5321 4.5.3.1.5)
PAUSE = 0.001         # between the two writes of a cut
SENTINEL = ((b"NOOP\r\n", b"250"), (b"QUIT\r\n", b"221"))


class Fault(Exception):
    """What came instead of what was wanted."""

    def __init__(self, wanted, got, after=b""):
        super().__init__(wanted)
        self.wanted = wanted
        self.got = got
        self.after = after
        self.is_silence = False
        self.is_prelude = False

    def __str__(self):
        return f"wanted {self.wanted}, got {self.got}"


class Silence(Fault):
    def __init__(self, wanted, seconds):
        super().__init__(wanted, f"nothing within {seconds:g} s")
        self.is_silence = True


def connect(address, timeout):
    """address: a path, or (host, port)."""
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        connection.connect(address)
        return connection
    connection = socket.create_connection(address, timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Dialogue:
    def __init__(self, address, timeout):
        self.timeout = timeout
        self.socket = connect(address, timeout)
        self.buffer = b""
        self.is_open = True
        self.reply_line = REPLY_LINE

    def close(self):
        self.socket.close()

    def send(self, octets):
        """What meets a closed connection shows in the replies that are missing."""
        try:
            self.socket.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            pass
        except TimeoutError:
            raise Silence("to take what is sent", self.timeout) from None

    def fill(self, wanted):
        try:
            octets = self.socket.recv(65536)
        except ConnectionResetError:
            octets = b""
        except TimeoutError:
            raise Silence(wanted, self.timeout) from None
        self.is_open = bool(octets)
        self.buffer += octets

    def read_line(self, wanted):
        while b"\r\n" not in self.buffer:
            if not self.is_open:
                left = f", behind {escape(self.buffer)}" if self.buffer else ""
                raise Fault(wanted, "the connection closed" + left)
            self.fill(wanted)
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        if len(line) > REPLY_LINE_MAX:
            raise Fault("reply lines of at most 512 octets (RFC 5321 4.5.3.1.5)", f"{len(line) + 2} octets")
        if not self.reply_line.fullmatch(line):
            raise Fault("a reply of RFC 5321 4.2's syntax", escape(line))
        return line

    def read_reply(self, wanted):
        lines = [self.read_line(wanted)]
        while lines[-1][3:4] == b"-":
            lines.append(self.read_line(wanted))
            if lines[-1][:3] != lines[0][:3]:
                raise Fault("one code in all lines of a reply (RFC 5321 4.2.1)", show(lines))
        return lines

    def drain(self):
        """Reads to the end of the connection; what came."""
        while self.is_open:
            self.fill("to close")
        return self.buffer


def show(reply):
    return " | ".join(line.decode("latin-1") for line in reply)


def send_in_pieces(dialogue, octets, cuts):
    position = 0
    for cut in cuts:
        dialogue.send(octets[position:cut])
        time.sleep(PAUSE)
        position = cut
    dialogue.send(octets[position:])


def send_octetwise(dialogue, octets):
    for octet in octets:
        dialogue.send(bytes([octet]))


def run_step(dialogue, step, send, is_stated_only, is_prelude):
    """The replies, as read; None for those not reached."""
    dialogue.reply_line = REPLY_LINE_UTF8 if ASKS_FOR_UTF8.search(step.octets) else REPLY_LINE
    if step.octets:
        send(dialogue, step.octets)
    replies = []
    for wanted in step.wanted:
        try:
            reply = dialogue.read_reply(str(wanted))
            if not wanted.matches(reply, is_stated_only):
                raise Fault(str(wanted), show(reply))
        except Fault as fault:
            fault.after = step.octets
            fault.is_prelude = is_prelude
            raise
        replies.append((wanted, reply))
    return replies


def check_alive(dialogue):
    dialogue.reply_line = REPLY_LINE
    for command, code in SENTINEL:
        dialogue.send(command)
        wanted = f"{code.decode()} to the {command[:4].decode()} behind the case"
        reply = dialogue.read_reply(wanted)
        if reply[0][:3] != code:
            raise Fault(wanted, show(reply), command)
    check_closed(dialogue)


def check_closed(dialogue):
    left = dialogue.drain()
    if left:
        raise Fault("nothing more, and a close", escape(left))


def check_dropped(dialogue):
    """The client's end is closed: a server may complain, but must not have done what was not finished."""
    with contextlib.suppress(OSError):  # it may have closed already
        dialogue.socket.shutdown(socket.SHUT_WR)
    for line in dialogue.drain().splitlines():
        if line[:1] not in b"45":
            raise Fault("no reply", escape(line))


def check_end(dialogue, end):
    if end == "close":
        check_closed(dialogue)
    elif end == "alive":
        check_alive(dialogue)
    elif end == "drop":
        check_dropped(dialogue)
    else:
        try:
            check_alive(dialogue)
        except Fault as fault:  # it may close; it must not say more than one reply, or run anything
            if fault.got != "the connection closed":
                raise


def run(case, steps, prelude_count, senders, address, timeout, is_stated_only):
    """senders: how each step is sent, by its index; else in one write. Messages told as stored, or raises Fault."""
    dialogue = Dialogue(address, timeout)
    stored = []
    try:
        for index, step in enumerate(steps):
            send = senders.get(index, Dialogue.send)
            for wanted, reply in run_step(dialogue, step, send, is_stated_only, index < prelude_count):
                if wanted.message is not None and reply[0][:1] == b"2":
                    stored.append(wanted.message)
        check_end(dialogue, case.end)
        return stored
    finally:
        dialogue.close()
