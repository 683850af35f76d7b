"""Clients that stall in the middle of their handshake, as many as descriptors allow, all kept by one thread."""
import random
import re
import selectors
import socket
import ssl
import time

from tls_client import TlsDialogue, context

# Where they stop. LAST: all is said but the last octet before the handshake would be over.
SILENT, IN_HELLO, BEHIND_HELLO, LAST = "silent", "in its ClientHello", "behind it", "before its last octet"
PLACES = (SILENT, IN_HELLO, BEHIND_HELLO, LAST)
CONTEXTS = tuple(context(version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))


class Staller:
    """It knows when it began, and when and how the server ended it: "closed", or "refused" by 454 to STARTTLS."""

    def __init__(self, port, is_implicit, place, chance):
        self.place = place
        self.end = self.ended_s = None
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = chance.choice(CONTEXTS).wrap_bio(self.incoming, self.outgoing, server_hostname="sink.test")
        hello = self.step()
        self.hello = {SILENT: b"", IN_HELLO: hello[:chance.randrange(1, len(hello))]}.get(place, hello)
        self.plain = b""
        self.port = port
        self.commands = [] if is_implicit else [b"EHLO stalling.test\r\n", b"STARTTLS\r\n"]
        self.is_plain = not is_implicit

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), 30)
        self.socket.setblocking(False)
        self.began_s = time.monotonic()
        if not self.is_plain:
            self.stall()

    def step(self):
        """What TLS has to say now."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def stall(self):
        self.is_plain = False
        self.socket.send(self.hello)

    def answer(self, octets):
        """Of the server's flight: the client's, but for its last octet."""
        if self.place != LAST:
            return
        self.incoming.write(octets)
        said = self.step()
        if said:
            self.socket.send(said[:-1])
            self.place = BEHIND_HELLO

    def talk(self, octets):
        self.plain += octets
        if not re.search(rb"(^|\n)\d{3} [^\n]*\n$", self.plain):
            return
        answer, self.plain = self.plain, b""
        if self.commands:
            self.began_s = time.monotonic()
            self.socket.send(self.commands.pop(0))
        elif answer.startswith(b"220"):
            self.stall()
        else:
            assert answer.startswith(b"454 4.7.0"), answer
            self.finish("refused")

    def finish(self, how):
        self.end, self.ended_s = how, time.monotonic()

    def receive(self):
        try:
            octets = self.socket.recv(65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            octets = b""
        if not octets:
            self.finish("closed")
        elif self.is_plain:
            self.talk(octets)
        else:
            self.answer(octets)

    def taken_s(self):
        """From when it could have shaken hands, or asked for that, to its end."""
        return self.ended_s - self.began_s


class Crowd:
    """`count` of them, half by STARTTLS on `port` and half on `implicit_port`, at random places."""

    def __init__(self, port, implicit_port, count, seed):
        chance = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.waiting = []
        for number in range(count):
            is_implicit = number % 2 == 1
            self.waiting.append(Staller(implicit_port if is_implicit else port, is_implicit, chance.choice(PLACES), chance))
        self.everyone = list(self.waiting)

    def connect(self, count):
        """So many more of them."""
        for client in self.waiting[:count]:
            client.connect()
            self.selector.register(client.socket, selectors.EVENT_READ, client)
        del self.waiting[:count]

    def run(self, seconds):
        """Attends to all of them for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self.selector.get_map():
            for key, _ in self.selector.select(left):
                key.data.receive()
                if key.data.end:
                    self.selector.unregister(key.fileobj)
                    key.fileobj.close()

    def left(self):
        """How many the server has not ended."""
        return len(self.waiting) + len(self.selector.get_map())

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


# What a client is brought to, in order.
WITHIN_HELLO, ANSWERED, ESTABLISHED, WITHIN_RECORD = "its ClientHello has begun", "answered", "established and silent", "a record has begun"


def in_each_state(port, count, version):
    """Brings so many clients to each state in turn and yields its name; all are gone behind the last."""
    tls = context(version)
    clients = [TlsDialogue(port, 60, tls=tls) for _ in range(count)]
    try:
        hellos = [client.begin_handshake() for client in clients]
        for client, hello in zip(clients, hellos):
            client.wire(hello[:len(hello) // 2])
        yield WITHIN_HELLO
        for client, hello in zip(clients, hellos):
            client.wire(hello[len(hello) // 2:])
        for client in clients:
            client.pull()
        yield ANSWERED
        for client in clients:
            client.go_on()
            client.begin()
        yield ESTABLISHED
        for client in clients:
            client.wire(client.encrypted(b"NOOP " + b"x" * 400 + b"\r\n")[:-1])
        yield WITHIN_RECORD
    finally:
        for client in clients:
            client.close()
