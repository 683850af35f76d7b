"""Turns to shake hands where clients misbehave or have gone: nobody is forgotten, none waits longer than it must."""
import socket
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
        lucky, client = self.ask(server), self.ask(server)
        self.assertEqual(lucky.reply()[:3], b"220")
        self.assertEqual(client.reply()[:3], b"454")
        began = time.monotonic()
        self.assertEqual(client.reply()[:3], b"421")
        self.assertEqual(client.file.read(), b"")
        self.assertLess(time.monotonic() - began, 4 * harness.SLOWNESS)

    def test_a_client_inside_may_not_be_silent_for_longer(self):
        server = self.serve("--tls-timeout=60s", "--idle-timeout=1s")
        with implicit(server.tls_port) as client:
            client.begin()
            began = time.monotonic()
            self.assertEqual(client.reply()[:3], b"421")
            self.assertEqual(client.ends(), "close_notify")
            self.assertLess(time.monotonic() - began, 3 * harness.SLOWNESS)

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
