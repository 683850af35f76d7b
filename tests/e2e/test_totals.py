"""How clients came, as ringsink's totals tell it: which connections pipelined, what came by BDAT."""
import signal
import time
import unittest

import harness

PIPELINED = "connections that pipelined commands"
CHUNKED = "messages that came by BDAT"
MESSAGES = "messages answered 250"
ENVELOPE = b"MAIL FROM:<a@client.test>\r\nRCPT TO:<b@sink.test>\r\n"
CONTENT = b"Subject: x\r\n\r\nbody\r\n"


class Totals(unittest.TestCase):
    def totals(self, server):
        self.assertEqual(server.stop(), 0)
        return server.totals()

    def expect(self, client, *codes):
        for code in codes:
            reply = client.reply()
            self.assertTrue(reply.startswith(code), reply)

    def test_who_waits_for_each_reply_does_not_pipeline(self):
        """Neither does a line in pieces, content in one piece with its dot, nor QUIT right behind that."""
        for options in ((), ("--durability", "disk")):
            with self.subTest(options=options), harness.Server(*options) as server:
                with server.connect() as client:
                    client.begin()
                    for _ in range(3):
                        self.assertTrue(client.deliver(CONTENT).startswith(b"250"))
                    client.send(b"NO")
                    time.sleep(0.05)
                    self.assertTrue(client.ask(b"OP\r\n").startswith(b"250"))
                    self.assertTrue(client.ask(b"MAIL FROM:<a@client.test>\r\n").startswith(b"250"))
                    self.assertTrue(client.ask(b"RCPT TO:<b@sink.test>\r\n").startswith(b"250"))
                    self.assertTrue(client.ask(b"DATA\r\n").startswith(b"354"))
                    client.send(CONTENT + b".\r\nQUIT\r\n")
                    self.expect(client, b"250", b"221")
                totals = self.totals(server)
                self.assertEqual(totals[MESSAGES], 4)
                self.assertNotIn(PIPELINED, totals)
                self.assertNotIn(CHUNKED, totals)

    def test_a_greeting_that_was_not_awaited_is_no_command(self):
        with harness.Server() as server:
            with server.connect() as client:
                client.send(b"EHLO client.test\r\n")
                self.expect(client, b"220", b"250")
                self.assertTrue(client.ask(b"QUIT\r\n").startswith(b"221"))
            self.assertNotIn(PIPELINED, self.totals(server))

    def test_a_connection_counts_once(self):
        for options in ((), ("--durability", "disk")):
            with self.subTest(options=options), harness.Server(*options) as server:
                for messages in (1, 3):
                    with server.connect() as client:
                        client.begin()
                        for _ in range(messages):
                            client.send(ENVELOPE + b"DATA\r\n")
                            self.expect(client, b"250", b"250", b"354")
                            client.send(CONTENT + b".\r\n")
                            self.expect(client, b"250")
                with server.connect() as client:
                    client.begin()
                    self.assertTrue(client.deliver(CONTENT).startswith(b"250"))
                totals = self.totals(server)
                self.assertEqual((totals[PIPELINED], totals[MESSAGES], totals["connections accepted"]), (2, 5, 3))

    def test_a_group_behind_the_final_dot_counts(self):
        with harness.Server() as server:
            with server.connect() as client:
                client.begin()
                self.assertTrue(client.ask(b"MAIL FROM:<a@client.test>\r\n").startswith(b"250"))
                self.assertTrue(client.ask(b"RCPT TO:<b@sink.test>\r\n").startswith(b"250"))
                self.assertTrue(client.ask(b"DATA\r\n").startswith(b"354"))
                client.send(CONTENT + b".\r\n" + ENVELOPE + b"DATA\r\n")
                self.expect(client, b"250", b"250", b"250", b"354")
            self.assertEqual(self.totals(server)[PIPELINED], 1)

    def test_bdat_is_counted_by_message(self):
        with harness.Server() as server:
            with server.connect() as client:
                client.begin()
                client.send(ENVELOPE)
                self.expect(client, b"250", b"250")
                for chunk in (b"BDAT 20\r\n" + CONTENT, b"BDAT 0 LAST\r\n"):
                    self.assertTrue(client.ask(chunk).startswith(b"250"))
                self.assertTrue(client.deliver(CONTENT).startswith(b"250"))
                self.assertTrue(client.ask(b"BDAT 20 LAST\r\n" + CONTENT).startswith(b"503"))
                self.assertTrue(client.deliver(CONTENT).startswith(b"250"))
                client.send(ENVELOPE + b"BDAT 20 LAST\r\n" + CONTENT)
                self.expect(client, b"250", b"250", b"250")
            totals = self.totals(server)
            self.assertEqual((totals[CHUNKED], totals[MESSAGES]), (2, 4))

    def test_loadgen_in_its_modes(self):
        for mode, pipelined, chunked in (("off", None, None), ("group", 4, None), ("stream", 4, None)):
            with self.subTest(mode=mode), harness.Server() as server:
                result = harness.run(harness.LOADGEN, "-q", "-c", 4, "-n", 200, "-l", "1k", "--pipelining", mode,
                                     f"127.0.0.1:{server.port}")
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                totals = self.totals(server)
                self.assertEqual((totals.get(PIPELINED), totals.get(CHUNKED)), (pipelined, chunked))
        with harness.Server() as server:
            result = harness.run(harness.LOADGEN, "-q", "-c", 4, "-n", 200, "-l", "1k", "--bdat",
                                 f"127.0.0.1:{server.port}")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            totals = self.totals(server)
            self.assertEqual((totals[PIPELINED], totals[CHUNKED]), (4, 200))

    def test_a_signal_shows_them_while_the_server_runs(self):
        with harness.Server() as server:
            with server.connect() as client:
                client.begin()
                client.send(ENVELOPE + b"BDAT 20 LAST\r\n" + CONTENT)
                self.expect(client, b"250", b"250", b"250")
                server.process.send_signal(signal.SIGUSR1)
                end = time.monotonic() + 20
                while PIPELINED not in server.totals() and time.monotonic() < end:
                    time.sleep(0.05)
                self.assertEqual((server.totals()[PIPELINED], server.totals()[CHUNKED]), (1, 1))


if __name__ == "__main__":
    harness.main()
