"""Turns to shake hands where clients misbehave or have gone: nobody is forgotten, none waits longer than it must."""
import contextlib
import select
import socket
import subprocess
import time
import unittest

import harness
from tls_client import TlsDialogue, implicit

CONTENT = b"Subject: turn\r\n\r\nturn\r\n"


class Turns(unittest.TestCase):
    def serve(self, *options):
        """One worker, one handshake at a time."""
        port = harness.free_port()
        server = harness.Server("--tls=both", f"--tls-listen=127.0.0.1:{port}", "--tls-handshakes=1", *options, threads=1)
        self.addCleanup(server.close)
        server.tls_port = port
        return server

    def stall(self, server):
        """Takes the one turn, and says nothing."""
        client = socket.create_connection(("127.0.0.1", server.tls_port), 20)
        self.addCleanup(client.close)
        time.sleep(0.2 * harness.SLOWNESS)
        return client

    def ask(self, server):
        """STARTTLS, whose answer is not waited for."""
        client = TlsDialogue(server.port)
        self.addCleanup(client.close)
        client.begin()
        client.send(b"STARTTLS\r\n")
        return client

    def test_a_client_that_was_refused_may_not_be_silent_for_ever(self):
        server = self.serve("--tls-timeout=500ms", "--idle-timeout=2s")
        self.stall(server)
        clients = [self.ask(server) for _ in range(5)]
        client = next(client for client in clients if client.reply().startswith(b"454"))
        began = time.monotonic()
        self.assertEqual(client.reply()[:3], b"421")
        self.assertEqual(client.file.read(), b"")
        self.assertLess(time.monotonic() - began, 4 * harness.SLOWNESS)

    def test_a_late_turn_gives_no_more_time(self):
        server = self.serve("--tls-timeout=3s")
        self.stall(server)
        time.sleep(1)
        client = self.ask(server)
        began = time.monotonic()
        self.assertEqual(client.reply()[:3], b"220")
        self.assertLess(time.monotonic() - began, 2.5 * harness.SLOWNESS)
        self.assertEqual(client.file.read(), b"")
        self.assertLess(time.monotonic() - began, 3 + 1 * harness.SLOWNESS)

    def test_a_client_inside_may_not_be_silent_for_longer(self):
        server = self.serve("--tls-timeout=60s", "--idle-timeout=1s")
        with implicit(server.tls_port) as client:
            client.begin()
            began = time.monotonic()
            self.assertEqual(client.reply()[:3], b"421")
            self.assertEqual(client.ends(), "close_notify")
            self.assertLess(time.monotonic() - began, 3 * harness.SLOWNESS)

    def ends_in_time(self, client, talk):
        """However often it talks, if it says nothing: 421 where its idle time is over."""
        began = time.monotonic()
        while time.monotonic() - began < 10 * harness.SLOWNESS:
            talk()
            if select.select([client], [], [], 0.2)[0]:
                self.assertGreater(time.monotonic() - began, 0.8)
                return
        self.fail("it is still there")

    def test_pieces_of_a_record_say_nothing(self):
        server = self.serve("--tls-timeout=60s", "--idle-timeout=1s")
        with implicit(server.tls_port) as client:
            client.begin()
            pieces = iter(client.encrypted(b"NOOP " + b"x" * 400 + b"\r\n"))
            self.ends_in_time(client.socket, lambda: client.socket.send(bytes([next(pieces)])))
            self.assertEqual(client.reply()[:3], b"421")

    def test_content_may_come_in_a_slow_record(self):
        """Slower than the idle timeout, but faster than --min-data-rate."""
        server = self.serve("--tls-timeout=60s", "--idle-timeout=1s")
        with implicit(server.tls_port) as client:
            client.begin()
            for command in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n", b"DATA\r\n"):
                client.ask(command)
            record = client.encrypted(b"x" * 3000 + b"\r\n.\r\n")
            for start in range(0, len(record), 400):
                client.wire(record[start:start + 400])
                time.sleep(0.3)
            self.assertIn(b"250 2.0.0", client.reply())

    def test_new_keys_say_nothing(self):
        """`openssl s_client` changes its keys by "k", and asks for new ones of the server's by "K"."""
        server = self.serve("--tls-timeout=60s", "--idle-timeout=1s")
        for letter in (b"k\n", b"K\n"):
            with self.subTest(letter=letter), subprocess.Popen(
                    ["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-tls1_3"], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0) as client:
                said = b""
                while not (said.endswith(b"\r\n") and b"220 " in said):
                    said += client.stdout.read(1)

                def talk():
                    with contextlib.suppress(BrokenPipeError):
                        client.stdin.write(letter)

                began = time.monotonic()
                while client.poll() is None:
                    talk()
                    self.assertLess(time.monotonic() - began, 10 * harness.SLOWNESS)
                    time.sleep(0.2)
                said = client.stdout.read()
                self.assertIn(b"421 ", said)
                self.assertGreaterEqual(said.count(b"KEYUPDATE"), 3)

    def test_a_turn_comes_as_soon_as_it_is_free(self):
        server = self.serve("--tls-timeout=60s")
        for _ in range(5):
            stalled = self.stall(server)
            client = self.ask(server)
            time.sleep(0.3 * harness.SLOWNESS)
            stalled.close()
            began = time.monotonic()
            self.assertEqual(client.reply()[:3], b"220")
            self.assertLess(time.monotonic() - began, 0.3 * harness.SLOWNESS)
            client.handshake()
            client.close()

    def test_those_who_went_away_take_nobody_s_place(self):
        server = self.serve("--tls-timeout=10s", "--max-connections=10")
        stalled = self.stall(server)
        for _ in range(50):
            self.ask(server).close()
            time.sleep(0.01)
        with TlsDialogue(server.tls_port) as client:
            client.socket.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                client.socket.recv(1)
            client.socket.settimeout(20)
            stalled.close()
            client.handshake()
            self.assertIn(b"250 2.0.0", client.begin().deliver(CONTENT))


if __name__ == "__main__":
    harness.main()
