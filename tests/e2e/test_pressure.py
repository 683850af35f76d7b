"""A client that pipelines millions of commands and reads no reply: input pauses, memory stays flat."""
import select
import socket
import time
import unittest

import harness

COMMAND = b"NOOP\r\n"
REPLY = b"250 2.0.0 Ok\r\n"
COUNT = 5_000_000
SENT_SIZE = COUNT * len(COMMAND)
RECEIVED_SIZE = COUNT * len(REPLY)
SEND_SIZE = 65536
BLOCKED_S = 2
# What the server may touch for one such client, however much it sends: the receive buffers (8 MiB), as
# much held input, and some blocks of replies.
GROWTH_MAX_KIB = 18 * 1024


class Pipeliner:
    """Sends COUNT commands over a socket whose receive buffer is 4 KiB, and checks what comes back."""

    def __init__(self, port):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096) # before connect: it bounds the window
        self.socket.connect(("127.0.0.1", port))
        self.greeting = self.socket.makefile("rb", buffering=0).readline()
        self.socket.setblocking(False)
        self.commands = memoryview(COMMAND * (SEND_SIZE // len(COMMAND) + 1))
        self.replies = memoryview(REPLY * (SEND_SIZE // len(REPLY) + 2))
        self.buffer = memoryview(bytearray(SEND_SIZE))
        self.sent = 0
        self.received = 0

    def is_all_sent(self):
        return self.sent == SENT_SIZE

    def is_all_received(self):
        return self.received == RECEIVED_SIZE

    def wait_for(self, events, seconds):
        poll = select.poll()
        poll.register(self.socket, events)
        return sum(event for _, event in poll.poll(seconds * 1000))

    def send_some(self):
        start = self.sent % len(COMMAND)
        size = min(SEND_SIZE, SENT_SIZE - self.sent)
        self.sent += self.socket.send(self.commands[start:start + size])

    def receive_some(self):
        """Replies are all alike, so the octet at any position is known."""
        size = self.socket.recv_into(self.buffer)
        start = self.received % len(REPLY)
        if size == 0 or self.buffer[:size] != self.replies[start:start + size]:
            raise AssertionError(f"wrong at octet {self.received}: {bytes(self.buffer[:size])[:100]!r}")
        self.received += size

    def send_until_blocked(self):
        """Reads nothing. True if for BLOCKED_S nothing more could be sent."""
        while not self.is_all_sent():
            if not self.wait_for(select.POLLOUT, BLOCKED_S):
                return True
            self.send_some()
        return False

    def exchange(self, sample):
        """Sends what is left, and reads; calls `sample` now and then."""
        sampled = 0
        while not (self.is_all_sent() and self.is_all_received()):
            if self.received - sampled > RECEIVED_SIZE // 20:
                sampled = self.received
                sample()
            ready = self.wait_for(select.POLLIN | (0 if self.is_all_sent() else select.POLLOUT), 20)
            if ready == 0:
                raise AssertionError(f"stuck: {self.sent} octets sent, {self.received} received")
            if ready & select.POLLIN:
                self.receive_some()
            elif ready & select.POLLOUT:
                self.send_some()


class Pressure(unittest.TestCase):
    def test_millions_of_commands_whose_replies_are_not_read(self):
        with harness.Server(threads=1) as server:
            memory = [server.memory_kib("RssAnon")]
            client = Pipeliner(server.port)
            self.addCleanup(client.socket.close)
            self.assertTrue(client.greeting.startswith(b"220 "), client.greeting)
            self.assertTrue(client.send_until_blocked(), "the server took everything while nothing was read")
            memory.append(server.memory_kib("RssAnon"))
            with server.connect() as other: # nobody else notices
                other.begin()
                self.assertTrue(other.deliver(b"x\r\n").startswith(b"250"))
            started = time.monotonic()
            client.exchange(lambda: memory.append(server.memory_kib("RssAnon")))
            took = time.monotonic() - started
            self.assertEqual(client.wait_for(select.POLLIN, 0.2), 0, "more replies than commands")
            memory.append(server.memory_kib("RssAnon"))
            self.assertEqual(server.stop(), 0)
            self.assertGreaterEqual(server.totals()["times input paused because replies were not read"], 1)
        print(f"{COUNT} replies in {took:.1f} s; RssAnon {memory[0]} KiB, blocked {memory[1]}, "
              f"at most {max(memory)}, at the end {memory[-1]}", flush=True)
        self.assertLess(took, 60)
        if not harness.IS_SANITIZED: # ASan keeps what was freed, for a while
            self.assertLess(max(memory) - memory[0], GROWTH_MAX_KIB)


if __name__ == "__main__":
    harness.main()
