"""A client that trickles is sent away; one that is merely slow, or that we keep waiting, is not."""
import ctypes
import os
import signal
import socket
import threading
import time
import unittest

import harness

TOO_SLOW = b"421 4.4.2 Error: command or message takes too long"
IDLE = b"421 4.4.2 Error: timeout exceeded"
SENTENCE = "client took too long over one command or message"


def trickle(client, octets, pause, seconds):
    """Sends octet by octet until the server answers or closes; seconds passed and its answer, or None."""
    started = time.monotonic()
    client.socket.settimeout(pause)
    for octet in octets:
        try:
            client.socket.sendall(bytes([octet]))
        except (BrokenPipeError, ConnectionResetError):
            return time.monotonic() - started, b""
        try:
            answer = client.socket.recv(4096)
            return time.monotonic() - started, answer
        except TimeoutError:
            pass
        if time.monotonic() - started > seconds:
            break
    return time.monotonic() - started, None


def send_lines(client, count, size, pause):
    """Content at a steady pace."""
    for _ in range(count):
        client.send(b"x" * (size - 2) + b"\r\n")
        time.sleep(pause)


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000


def thread_of(pid, name):
    """Among others: an allocator may have threads of its own."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as file:
            if file.read().strip() == name:
                return int(task)
    raise AssertionError(f"no thread is called {name}")


class Held:
    """One thread of the server stopped, while the others go on."""

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)

    def call(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        self.call(PTRACE_SEIZE)
        self.call(PTRACE_INTERRUPT)
        os.waitpid(self.thread, WALL)

    def __exit__(self, *_):
        self.call(PTRACE_DETACH)


class Deadlines(unittest.TestCase):
    def begin_data(self, client, *lines):
        client.begin()
        for command in (*lines, b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n"):
            answer = client.ask(command)
            self.assertIn(answer[:1], (b"2", b"3"), answer)

    def assert_sent_away(self, outcome, least, most):
        seconds, answer = outcome
        self.assertIsNotNone(answer, "the server never minded")
        self.assertTrue(answer.startswith(TOO_SLOW), answer)
        self.assertGreaterEqual(seconds, least - 0.05)
        self.assertLess(seconds, most)

    def test_trickled_command(self):
        with harness.Server("--command-timeout", "1s") as server, server.connect() as client:
            client.begin()
            self.assert_sent_away(trickle(client, b"NOOP " + b"x" * 200, 0.1, 5), 1, 2)
            self.assertEqual(client.reply(), b"")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()[SENTENCE], 1)

    def test_trickled_line_that_is_too_long(self):
        """What is skipped of it counts as one command too."""
        with harness.Server("--command-timeout", "1s") as server, server.connect() as client:
            client.begin()
            client.send(b"NOOP " + b"x" * 5000)
            self.assert_sent_away(trickle(client, b"y" * 200, 0.1, 5), 0.9, 2)

    def test_first_command_of_a_connection(self):
        """Nothing but a command can have armed the timer: the connection's own has the idle timeout."""
        with harness.Server("--command-timeout", "700ms", "--idle-timeout", "60s") as server, server.connect() as client:
            client.reply()
            time.sleep(0.5) # the request begins with its first octet, not with the connection
            self.assert_sent_away(trickle(client, b"EHLO " + b"x" * 200, 0.1, 5), 0.7, 1.5)

    def test_many_commands_are_no_slow_one(self):
        """Each has its own time, cut as it may be."""
        with harness.Server("--command-timeout", "600ms") as server, server.connect() as client:
            client.begin()
            client.send(b"NO")
            for _ in range(12):
                time.sleep(0.2)
                client.send(b"OP\r\nNO")
                self.assertTrue(client.reply().startswith(b"250"))
            client.send(b"OP\r\n")
            self.assertTrue(client.reply().startswith(b"250"))

    def test_silence_between_commands_is_not_slow(self):
        with harness.Server("--command-timeout", "300ms", "--idle-timeout", "3s") as server, server.connect() as client:
            client.begin()
            time.sleep(1.5)
            self.assertTrue(client.ask(b"NOOP\r\n").startswith(b"250"))
            started = time.monotonic()
            self.assertTrue(client.reply().startswith(IDLE))
            self.assertGreater(time.monotonic() - started, 2.9)

    def test_idle_in_mid_command(self):
        with harness.Server("--command-timeout", "60s", "--idle-timeout", "500ms") as server, \
                server.connect() as client:
            client.begin()
            client.send(b"NOO")
            self.assertTrue(client.reply().startswith(IDLE))

    def test_trickled_content(self):
        """E36: ten octets a second where 50 are asked for."""
        with harness.Server("--command-timeout", "1s", "--min-data-rate", "50") as server, server.connect() as client:
            self.begin_data(client)
            self.assert_sent_away(trickle(client, b"z" * 500, 0.1, 6), 1, 2.2)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()[SENTENCE], 1)
            self.assertEqual(server.totals()["transactions dropped before their end"], 1)
            self.assertEqual(harness.listed(server.spool), [])

    def test_trickled_chunk(self):
        with harness.Server("--command-timeout", "1s", "--min-data-rate", "50") as server, server.connect() as client:
            client.begin()
            for command in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n"):
                client.ask(command)
            client.send(b"BDAT 100000 LAST\r\n")
            self.assert_sent_away(trickle(client, b"z" * 500, 0.1, 6), 1, 2.2)

    def test_trickled_chunk_that_was_refused(self):
        with harness.Server("--command-timeout", "1s", "--min-data-rate", "50") as server, server.connect() as client:
            client.begin()
            client.send(b"BDAT 100000 LAST\r\n")
            self.assert_sent_away(trickle(client, b"z" * 500, 0.1, 6), 1, 2.2)

    def test_content_beyond_the_limit_counts(self):
        """A message that is refused for its size is still received at full speed: it is not slow."""
        with harness.Server("--command-timeout", "500ms", "--min-data-rate", "1000", "--size-limit", "100") as server, \
                server.connect() as client:
            self.begin_data(client)
            send_lines(client, 12, 500, 0.1)
            self.assertTrue(client.ask(b".\r\n").startswith(b"552 "))

    def test_steady_content_is_not_slow(self):
        """Longer than the command timeout, but faster than the rate."""
        with harness.Server("--command-timeout", "500ms", "--min-data-rate", "500") as server, server.connect() as client:
            self.begin_data(client)
            send_lines(client, 20, 100, 0.1)
            self.assertTrue(client.ask(b".\r\n").startswith(b"250"))
            self.assertEqual(len(harness.listed(server.spool)), 1)

    def test_command_behind_long_content_has_its_own_time(self):
        """The end of content and half a command in one write: the half one is not as old as the message."""
        with harness.Server("--command-timeout", "800ms", "--min-data-rate", "100") as server, server.connect() as client:
            self.begin_data(client)
            send_lines(client, 10, 100, 0.2)
            client.send(b".\r\nNO")
            self.assertTrue(client.reply().startswith(b"250"))
            time.sleep(0.5)
            self.assertTrue(client.ask(b"OP\r\n").startswith(b"250"))

    def test_no_rate(self):
        """Content may trickle for ever then; a command may not."""
        with harness.Server("--command-timeout", "500ms", "--min-data-rate", "0") as server, server.connect() as client:
            self.begin_data(client)
            self.assertIsNone(trickle(client, b"z" * 500, 0.1, 2.5)[1])
            client.socket.settimeout(20)
            self.assertTrue(client.ask(b"\r\n.\r\n").startswith(b"250"))
            self.assert_sent_away(trickle(client, b"NOOP " + b"x" * 200, 0.1, 5), 0.5, 1.5)

    def test_trickled_password(self):
        with harness.Server("--command-timeout", "700ms") as server, server.connect() as client:
            client.begin()
            self.assertTrue(client.ask(b"AUTH LOGIN\r\n").startswith(b"334 "))
            self.assert_sent_away(trickle(client, b"A" * 200, 0.1, 5), 0.7, 1.7)

    def test_just_below_the_idle_timeout(self):
        """A08: alive until then, and as often as it says something in time."""
        with harness.Server("--idle-timeout", "1s") as server, server.connect() as client:
            client.begin()
            for _ in range(3):
                time.sleep(0.85)
                self.assertTrue(client.ask(b"NOOP\r\n").startswith(b"250"))

    @unittest.skipIf(harness.IS_SANITIZED, "its threads are more than the server's")
    def test_waiting_for_the_spool_is_not_the_clients_fault(self):
        """The steward hangs, so the worker stalls; nobody is sent away for what that took."""
        with harness.Server("--command-timeout", "600ms", "--min-data-rate", "1Mi", "--spool-size=16Mi",
                            "--segment-size=1Mi", threads=1) as server, \
                server.connect() as sender, server.connect() as typist:
            typist.begin()
            self.begin_data(sender)
            typist.send(b"NO")
            steward = thread_of(server.process.pid, "steward")
            with Held(steward):
                sender.send((b"z" * 98 + b"\r\n") * 35000) # more than the segments that are prepared
                time.sleep(1.5)
                with server.connect() as other: # accepts and replies go on
                    self.assertTrue(other.reply().startswith(b"220 "))
            time.sleep(0.3)
            typist.send(b"OP\r\n")
            self.assertTrue(typist.reply().startswith(b"250"))
            self.assertTrue(sender.ask(b".\r\n").startswith(b"250"))
            self.assertEqual(server.stop(), 0)
            self.assertGreaterEqual(server.totals()["times the worker waited for a segment"], 1)
            self.assertNotIn(SENTENCE, server.totals())

    def test_a_stopped_server_does_not_punish(self):
        """SIGSTOP for longer than the command timeout: what waits in the socket is taken first."""
        with harness.Server("--command-timeout", "500ms") as server, server.connect() as client:
            client.begin()
            client.send(b"NO")
            time.sleep(0.1)
            server.process.send_signal(signal.SIGSTOP)
            client.send(b"OP\r\n")
            time.sleep(1)
            server.process.send_signal(signal.SIGCONT)
            self.assertTrue(client.reply().startswith(b"250"))

    def fill(self, client, prefix):
        """Sends messages until the server takes no more; reads nothing. Returns how many replies are owed."""
        message = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n"
        rest = b"EHLO a\r\n" + b"NOOP\r\n" * prefix
        replies, sent = 2 + prefix, 0
        client.settimeout(0.3)
        try:
            while sent < 40_000_000:
                while rest:
                    count = client.send(rest)
                    sent, rest = sent + count, rest[count:]
                rest = message * 1000
                replies += 4000
        except TimeoutError:
            return replies, rest
        return self.fail("the server took everything while nothing was read")

    def test_unread_replies_are_not_a_slow_command(self):
        """What is held while the client reads nothing came in time, wherever in a dialogue the server stopped."""
        with harness.Server("--command-timeout", "1s", "--durability", "discard") as server:
            owed = []
            for prefix in range(8): # so that it stops in other places
                client = socket.socket()
                self.addCleanup(client.close)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                client.connect(("127.0.0.1", server.port))
                owed.append((client, *self.fill(client, prefix)))
            time.sleep(1.5)
            for client, replies, rest in owed:
                client.settimeout(20)
                sender = threading.Thread(target=client.sendall, args=(rest,))
                sender.start()
                tail = b""
                while replies > 0:
                    octets = client.recv(1 << 20)
                    self.assertTrue(octets, "the server closed")
                    # The last line of a reply has a blank behind its code.
                    lines = (tail + octets).split(b"\r\n")
                    tail = lines.pop()
                    self.assertFalse([line for line in lines if line.startswith(b"421")])
                    replies -= sum(line[3:4] == b" " for line in lines)
                sender.join()

    def test_request_behind_held_input_has_all_its_time(self):
        """Half a command is held for longer than a command may take: its time begins when the client is asked again."""
        count = 40_000
        with harness.Server("--command-timeout", "1s") as server, socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.settimeout(20)
            client.sendall(b"EHLO a\r\n" * count + b"NO")
            time.sleep(1.5)
            ends, tail = 0, b""
            while ends < count: # the last line of each reply
                octets = client.recv(1 << 20)
                self.assertTrue(octets, "the server closed")
                self.assertNotIn(b"421 ", octets)
                ends += (tail + octets).count(b"HELP")
                tail = octets[-3:]
            time.sleep(0.7)
            client.sendall(b"OP\r\n")
            self.assertIn(b"250 2.0.0 Ok\r\n", client.recv(1000))


if __name__ == "__main__":
    harness.main()
