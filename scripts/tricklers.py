"""tricklers -- clients that send one octet a second: of a command line that never ends, or of content.

Half of them do the one, half the other, spread evenly over the second. Used by scripts/trickle and by
tests/e2e/test_trickle.py.
"""
import select
import socket
import time

SLOTS = 100 # of a second
COMMAND = b"EHLO trickle.test\r\nNOOP "
CONTENT = b"EHLO trickle.test\r\nMAIL FROM:<a@trickle.test>\r\nRCPT TO:<b@sink.test>\r\nDATA\r\n"


class Trickler:
    def __init__(self, port, is_content):
        self.is_content = is_content
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = b"" # what came once it had begun to trickle
        self.ended_s = None # when the server closed, after the beginning

    def begin(self):
        """Replies up to where it trickles are read by await_begun()."""
        self.socket.sendall(CONTENT if self.is_content else COMMAND)

    def await_begun(self):
        last = b"354 " if self.is_content else b"250 "
        heard = b""
        while not any(line.startswith(last) for line in heard.split(b"\r\n")[:-1]):
            octets = self.socket.recv(4096)
            if not octets:
                raise ConnectionError(f"the server closed: {heard!r}")
            heard += octets
        self.socket.setblocking(False)


class Tricklers:
    def __init__(self, port, count):
        self.clients = [Trickler(port, index % 2 == 1) for index in range(count)]
        for client in self.clients:
            client.begin()
        for client in self.clients:
            client.await_begun()
        self.begun = time.monotonic()
        self.slots = [self.clients[slot::SLOTS] for slot in range(SLOTS)]
        self.slot = 0
        self.due = self.begun
        self.poll = select.epoll()
        self.by_descriptor = {client.socket.fileno(): client for client in self.clients}
        for descriptor in self.by_descriptor:
            self.poll.register(descriptor, select.EPOLLIN)

    def open_count(self):
        return len(self.by_descriptor)

    def end(self, client):
        client.ended_s = time.monotonic() - self.begun
        self.poll.unregister(client.socket)
        del self.by_descriptor[client.socket.fileno()]
        client.socket.close()

    def read(self, client):
        try:
            octets = client.socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        client.answer += octets
        if not octets:
            self.end(client)

    def send_octets(self):
        """To those whose turn it is."""
        for client in self.slots[self.slot]:
            if client.ended_s is None:
                try:
                    client.socket.send(b"x")
                except OSError:
                    pass # closed: what it says is read as any other's
        self.slot = (self.slot + 1) % SLOTS
        self.due += 1 / SLOTS

    def run(self, is_over):
        """Trickles until is_over() or nobody is left."""
        while self.open_count() > 0 and not is_over():
            for descriptor, _ in self.poll.poll(max(0, self.due - time.monotonic())):
                self.read(self.by_descriptor[descriptor])
            while self.due <= time.monotonic():
                self.send_octets()

    def sent_away(self):
        """Those that the server closed with 421."""
        return [client for client in self.clients if client.ended_s is not None and client.answer.startswith(b"421 ")]

    def close(self):
        for client in list(self.by_descriptor.values()):
            self.end(client)
        self.poll.close()
