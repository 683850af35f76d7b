"""One case on one connection: says its steps, reads the replies, tells the first fault.

A run ends with a NOOP and a QUIT whose replies show that none was missing or too many; no
time-out is waited for unless the server falls silent.
"""
import contextlib
import re
import socket
import ssl
import time

from conform_cases import escape

REPLY_LINE = re.compile(rb"[2-5][0-9][0-9](?:[ -][\t -~]*)?")
REPLY_LINE_UTF8 = re.compile(rb"[2-5][0-9][0-9](?:[ -][\t -~\x80-\xff]*)?")  # where it was asked for (RFC 6531 3.7.4.2)
ASKS_FOR_UTF8 = re.compile(rb"(?i)(?:VRFY|EXPN) .* SMTPUTF8\r\n")
REPLY_LINE_MAX = 510  # without CR LF (RFC 5321 4.5.3.1.5)
PAUSE = 0.001         # between the two writes of a cut
NOTIFY_PATIENCE = 1   # with a server that does not answer close_notify
SENTINEL = ((b"NOOP\r\n", b"250"), (b"QUIT\r\n", b"221"))
TLS_ALERT = re.compile(rb"(?:\x15\x03[\x00-\x04]\x00\x02[\x01\x02].)*", re.DOTALL)  # records of RFC 8446 6


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


def make_context():
    """Encrypts and asks for no name: whose certificate it is, is not what is judged."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


CONTEXT = make_context()


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
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass
        except TimeoutError:
            raise Silence("to take what is sent", self.timeout) from None

    def fill(self, wanted):
        try:
            octets = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):  # an alert ends it like a reset
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

    def handshake(self):
        if self.buffer:
            raise Fault("a TLS handshake", f"in plain: {escape(self.buffer)}")
        try:
            self.socket = CONTEXT.wrap_socket(self.socket)
        except TimeoutError:
            raise Silence("a TLS handshake", self.timeout) from None
        except OSError as error:
            raise Fault("a TLS handshake", getattr(error, "reason", None) or str(error)) from None

    def say_no_more(self):
        """FIN, inside TLS without close_notify: what was cut off."""
        with contextlib.suppress(OSError):  # it may have closed already
            socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def notify(self):
        """close_notify, an octet in plain, FIN. A server need not say close_notify too, nor at once."""
        self.socket.settimeout(NOTIFY_PATIENCE)
        try:
            self.socket = self.socket.unwrap()
        except TimeoutError:
            pass
        except OSError:  # it has closed
            self.is_open = False
        self.socket.settimeout(self.timeout)
        with contextlib.suppress(OSError):
            socket.socket.sendall(self.socket, b"\n")
        self.say_no_more()

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


def check_alert(dialogue):
    """The handshake has failed: a server may say so as TLS does, but nothing in plain."""
    left = dialogue.drain()
    if not TLS_ALERT.fullmatch(left):
        raise Fault("nothing in plain, and a close", escape(left))


def check_dropped(dialogue):
    """The client's end is closed: a server may complain, but must not have done what was not finished."""
    for line in dialogue.drain().splitlines():
        if line[:1] not in b"45":
            raise Fault("no reply", escape(line))


def check_end(dialogue, end):
    if end == "close":
        check_closed(dialogue)
    elif end == "alive":
        check_alive(dialogue)
    elif end == "drop":
        dialogue.say_no_more()
        check_dropped(dialogue)
    elif end == "notify":
        dialogue.notify()
        check_dropped(dialogue)
    elif end == "alert":
        check_alert(dialogue)
    else:
        try:
            check_alive(dialogue)
        except Fault as fault:  # it may close; it must not say more than one reply, or run anything
            if fault.got != "the connection closed":
                raise


class Server:
    """Where it is, how long it may be silent, and how TLS begins: "off", "starttls" or "implicit" (RFC 8314)."""

    def __init__(self, address, timeout, tls="off", hello=b"EHLO client.test\r\n"):
        self.address = address
        self.timeout = timeout
        self.tls = tls
        self.hello = hello

    def open(self):
        dialogue = Dialogue(self.address, self.timeout)
        try:
            if self.tls == "implicit":
                dialogue.handshake()
            elif self.tls == "starttls":
                self.start_tls(dialogue)
        except Fault as fault:
            dialogue.close()
            fault.is_prelude = True
            raise
        return dialogue

    def start_tls(self, dialogue):
        """The greeting is given back: it is for the case to judge."""
        greeting = dialogue.read_reply("220")
        for command, code in ((self.hello, b"250"), (b"STARTTLS\r\n", b"220")):
            dialogue.send(command)
            reply = dialogue.read_reply(code.decode())
            if reply[0][:3] != code:
                raise Fault(f"{code.decode()} to {escape(command)}", show(reply), command)
        dialogue.handshake()
        dialogue.buffer = b"".join(line + b"\r\n" for line in greeting)


def run(case, steps, prelude_count, senders, server, is_stated_only):
    """senders: how each step is sent, by its index; else in one write. Messages told as stored, or raises Fault."""
    dialogue = server.open()
    stored = []
    code = b""
    try:
        for index, step in enumerate(steps):
            if step.handshake == "if 220" and code != b"220":
                check_end(dialogue, "any")
                return stored
            if step.handshake:
                dialogue.handshake()
            send = senders.get(index, Dialogue.send)
            for wanted, reply in run_step(dialogue, step, send, is_stated_only, index < prelude_count):
                code = reply[0][:3]
                if wanted.message is not None and code[:1] == b"2":
                    stored.append(wanted.message)
        check_end(dialogue, case.end)
        return stored
    finally:
        dialogue.close()
