"""A small SMTP server that is wrong on purpose, one fault at a time: the suite must find each.

Without a fault it is a plain RFC 5321 receiver that keeps nothing. With a certificate it speaks TLS.
"""
import re
import socketserver
import ssl
import threading

FAULTS = ("none", "lf-ends-data", "any-order", "two-replies", "closes-on-unknown", "one-read-one-command",
          "forgets-the-envelope-of-rset", "long-reply", "helo-lists", "acts-before-crlf", "case-of-verbs",
          "hundred-is-too-many", "chunks-are-commands")
TLS_FAULTS = ("none", "runs-what-was-injected", "remembers-what-was-said-in-plain", "offers-tls-inside-tls",
              "starts-tls-inside-tls", "greets-again", "goes-on-in-plain", "ignores-close-notify")
END = {"lf-ends-data": re.compile(rb"(?:\A|\n)\.\r?\n")}
PROPER_END = re.compile(rb"(?:\A|\r\n)\.\r\n")


class Session(socketserver.BaseRequestHandler):
    def handle(self):
        self.buffer = b""
        self.fault = self.server.fault
        self.is_greeted = self.has_sender = False
        self.recipients = 0
        if self.server.tls == "implicit" and not self.start_tls():
            return
        self.reply("220 wrong.test ESMTP")
        while True:
            line = self.take_line()
            if line is None or not self.command(line):
                return

    def finish(self):
        self.request.close()

    def is_secure(self):
        return isinstance(self.request, ssl.SSLSocket)

    def start_tls(self):
        spare = self.request.dup()
        try:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        except OSError:  # it has closed its socket
            self.request = spare
            return False
        spare.close()
        return True

    def reply(self, *lines):
        text = "".join(f"{line}\r\n" for line in lines)
        self.request.sendall(text.encode() * (2 if self.fault == "two-replies" and lines[0].startswith("250 ok") else 1))

    def more(self):
        try:
            octets = self.request.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            octets = b""
        if not octets and self.is_secure() and self.fault == "ignores-close-notify":
            self.request = self.request.unwrap()
            octets = self.request.recv(65536)
        self.buffer += octets
        return bool(octets)

    def take_line(self):
        if self.fault == "one-read-one-command":  # takes a read for a line
            if not self.buffer and not self.more():
                return None
            line, self.buffer = self.buffer, b""
            return line.rstrip(b"\r\n")
        while b"\r\n" not in self.buffer:
            if self.fault == "acts-before-crlf" and self.buffer.upper() == b"RSET":
                break
            if not self.more():
                return None
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def command(self, line):
        verb, _, argument = line.rstrip().partition(b" ")
        verb = verb if self.fault == "case-of-verbs" else verb.upper()
        method = getattr(self, "do_" + verb.decode("latin-1"), None)
        if method is not None:
            return method(argument) is not False
        self.reply("500 unknown")
        return self.fault != "closes-on-unknown"

    def reset(self):
        self.has_sender = False
        self.recipients = 0

    def hello(self, argument, *lines):
        if not argument:
            self.reply("501 name")
            return
        self.is_greeted = True
        self.reset()
        self.reply(*lines)

    def do_EHLO(self, argument):
        offers_tls = self.server.tls == "starttls" and (not self.is_secure() or self.fault == "offers-tls-inside-tls")
        self.hello(argument, "250-wrong.test", "250-PIPELINING", "250-CHUNKING", *["250-STARTTLS"] * offers_tls,
                   "250 SIZE 100000000")

    def do_STARTTLS(self, argument):
        if self.server.tls != "starttls":
            self.reply("500 unknown")
        elif self.is_secure() and self.fault != "starts-tls-inside-tls":
            self.reply("554 twice")
        elif argument:
            self.reply("501 argument")
        elif self.buffer and self.fault != "runs-what-was-injected":
            self.reply("554 too early")
            return False
        else:
            return self.upgrade()
        return True

    def upgrade(self):
        self.reply("220 go on")
        if self.is_secure():
            return True
        if not self.start_tls():
            if self.fault == "goes-on-in-plain":
                self.reply("500 this is no TLS")
            return False
        if self.fault != "remembers-what-was-said-in-plain":
            self.is_greeted = False
            self.reset()
        if self.fault == "greets-again":
            self.reply("220 wrong.test ESMTP")
        return True

    def do_HELO(self, argument):
        if self.fault == "helo-lists":
            self.hello(argument, "250-wrong.test", "250 SIZE 100000000")
        else:
            self.hello(argument, "250 wrong.test")

    def do_MAIL(self, argument):
        if self.fault != "any-order" and (not self.is_greeted or self.has_sender):
            self.reply("503 order")
        elif not re.match(rb"(?i)FROM:<[^<>]*>", argument):
            self.reply("501 syntax")
        elif re.search(rb"> (?!(?i:SIZE=\d+)$)", argument):
            self.reply("555 parameter")
        else:
            self.has_sender = True
            self.reply("250 ok")

    def do_RCPT(self, argument):
        if self.fault != "any-order" and not self.has_sender:
            self.reply("503 order")
        elif not re.match(rb"(?i)TO:<[^<>]+>", argument):
            self.reply("501 syntax")
        elif b"> " in argument:
            self.reply("555 parameter")
        elif self.fault == "hundred-is-too-many" and self.recipients >= 99:
            self.reply("452 too many")
        else:
            self.recipients += 1
            self.reply("250 ok")

    def do_DATA(self, argument):
        if self.recipients == 0 and self.fault != "any-order":
            self.reply("503 order")
            return True
        self.reply("354 go on")
        end = END.get(self.fault, PROPER_END)
        while not end.search(self.buffer):
            if not self.more():
                return False
        self.buffer = self.buffer[end.search(self.buffer).end():]
        self.reset()
        self.reply("250 ok")
        return True

    def do_BDAT(self, argument):
        words = argument.split()
        if not words or not words[0].isdigit():
            self.reply("501 size")
            return False
        size = int(words[0])
        has_failed = self.recipients == 0
        while not (has_failed and self.fault == "chunks-are-commands") and len(self.buffer) < size:
            if not self.more():
                return False
        if not (has_failed and self.fault == "chunks-are-commands"):
            self.buffer = self.buffer[size:]
        self.reply("503 order" if has_failed else "250 ok")
        if len(words) > 1:
            self.reset()
        return True

    def do_RSET(self, argument):
        if self.fault != "forgets-the-envelope-of-rset":
            self.reset()
        self.reply("250 ok")

    def do_NOOP(self, argument):
        self.reply("250 " + "x" * (600 if self.fault == "long-reply" else 1))

    def do_VRFY(self, argument):
        self.reply("252 perhaps" if argument else "501 whom")

    def do_QUIT(self, argument):
        self.reply("221 bye")
        return False


class WrongServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fault, tls="off", credentials=None):
        """credentials: paths of certificate and key, for tls "starttls" and "implicit"."""
        assert fault in (FAULTS if tls == "off" else TLS_FAULTS)
        super().__init__(("127.0.0.1", 0), Session)
        self.fault = fault
        self.tls = tls
        if tls != "off":
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*credentials)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def handle_error(self, request, client_address):
        """A client of the suite goes away once it has seen enough."""

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
