"""loadgen --bdat: envelope and content in one send, several messages in flight on a connection."""
import json
import os
import socket
import tempfile
import threading
import unittest

import harness


class Script:
    """A server that answers each command with what `answer(verb, number)` says; number counts the MAILs. None: it closes."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.mails = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def talk(self, client):
        with client, client.makefile("rb") as file:
            try:
                client.sendall(b"220 script\r\n")
                while self.step(client, file):
                    pass
            except OSError:
                pass # the client has left

    def step(self, client, file):
        words = file.readline().split()
        if not words:
            return False
        verb = words[0].upper().decode()
        self.mails += verb == "MAIL"
        if verb == "BDAT":
            file.read(int(words[1]))
        reply = {"EHLO": b"250-script\r\n250-PIPELINING\r\n250 CHUNKING\r\n", "QUIT": b"221 bye\r\n"}.get(verb)
        if reply is None:
            reply = self.answer(verb, self.mails)
        if reply is not None:
            client.sendall(reply)
        return reply is not None and verb != "QUIT"

    def close(self):
        self.listener.close()


class Chunks(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-chunks-")
        self.addCleanup(lambda: harness.run("rm", "-rf", self.home))
        self.ledger = os.path.join(self.home, "ledger")

    def load(self, port, *options, expected=0):
        path = os.path.join(self.home, "result.json")
        result = harness.run(harness.LOADGEN, "-q", "-o", path, "--ledger", self.ledger, "--bdat", *options,
                             f"127.0.0.1:{port}")
        self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def server(self, *options):
        server = harness.Server(*options)
        self.addCleanup(server.close)
        return server

    def script(self, answer):
        server = Script(answer)
        self.addCleanup(server.close)
        return server

    def audit(self, server):
        audit = harness.run(harness.RINGSPOOL, "audit", "--json", server.spool, self.ledger)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
        return json.loads(audit.stdout)

    def states(self):
        with open(self.ledger, encoding="utf-8") as file:
            return [line.split()[5] for line in file if not line.startswith("#")]

    def test_content_arrives_as_it_was_made(self):
        server = self.server()
        for options in ((), ("--window", "4"), ("--window", "64", "-r", "1-3"), ("--window", "16", "-k", "5"),
                        ("--window", "16", "-R", "2000"), ("--window", "8", "-l", "100-100k")):
            with self.subTest(options=options):
                result = self.load(server.port, "-n", "400", "-c", "3", "-l", "3000", *options)
                self.assertEqual((result["totals"]["accepted"], result["totals"]["protocol"]), (400, 0), result["replies"])
                self.assertEqual(result["config"]["pipelining"], "bdat")
                self.assertEqual(result["phases"]["dot"]["count"], 400)
                self.assertEqual(self.audit(server)["found"], 400)
        self.assertEqual(result["config"]["window"], 8)

    def test_lmtp(self):
        server = self.server("-L")
        result = self.load(server.port, "-L", "-n", "300", "-c", "2", "-r", "3", "--window", "8")
        self.assertEqual(result["totals"]["recipients_accepted"], 900)
        self.assertEqual(self.audit(server)["found"], 300)

    def test_where_it_is_not_offered_data_is_used(self):
        server = self.server("--no-chunking")
        result = self.load(server.port, "-n", "50", "-c", "2", "--window", "8")
        self.assertEqual((result["config"]["pipelining"], result["config"]["pipelining_asked"]), ("group", "bdat"))
        self.assertEqual(self.audit(server)["found"], 50)

    def test_refused_content_harms_no_neighbour(self):
        """Some are too large: those alone are refused, and none of them is there."""
        server = self.server("--size-limit", "20000")
        result = self.load(server.port, "-n", "400", "-c", "2", "--window", "16", "-l", "1k-40k", "--seed", "5")
        totals = result["totals"]
        self.assertEqual(totals["accepted"] + totals["reject"], 400, totals)
        self.assertTrue(100 < totals["reject"] < 300, totals)
        self.assertEqual({(reply["phase"], reply["code"]) for reply in result["replies"] if reply["code"] >= 400}, {("dot", 552)})
        self.assertEqual(self.audit(server)["found"], totals["accepted"])

    def test_window_is_what_it_says(self):
        """A server that answers nothing until it has seen that many messages gets them, and no more."""
        seen = []
        held = []

        def answer(verb, number):
            held.append(b"250 Ok\r\n")
            if verb != "BDAT" or number % 8 != 0:
                return b""
            seen.append(number)
            reply = b"".join(held)
            held.clear()
            return reply

        server = self.script(answer)
        result = self.load(server.port, "-n", "24", "-c", "1", "--window", "8", "--timeout", "5s")
        self.assertEqual((result["totals"]["accepted"], seen), (24, [8, 16, 24]), (result["totals"], result["errors"]))
        # With a window of 7 that server waits forever.
        result = self.load(server.port, "-n", "24", "-c", "1", "--window", "7", "--timeout", "300ms", "-d", "100ms", expected=1)
        self.assertEqual(result["totals"]["accepted"], 0)

    def test_a_lost_connection_leaves_them_unknown(self):
        """What may have been stored is not sent again: the server dies with eight messages that it has not answered."""
        held = []

        def answer(verb, number):
            held.append(verb)
            return None if held.count("BDAT") == 8 else b""

        server = self.script(answer)
        result = self.load(server.port, "-n", "8", "-c", "1", "--window", "8", "--timeout", "2s", "-d", "1s", expected=1)
        self.assertEqual((result["totals"]["connection"], result["totals"]["started"]), (8, 8), result["totals"])
        self.assertEqual(self.states(), ["unknown"] * 8)

    def test_closing_takes_back_what_it_did_not_judge(self):
        """421 to the third MAIL of each connection: nothing behind it was looked at, and it is sent again."""
        self.count = 0

        def answer(verb, _):
            self.count += verb == "MAIL"
            if verb == "MAIL" and self.count % 3 == 0:
                return b"421 4.3.2 enough\r\n"
            return b"250 Ok\r\n"

        server = self.script(answer)
        result = self.load(server.port, "-n", "20", "-c", "1", "--window", "2")
        self.assertEqual((result["totals"]["accepted"], result["totals"]["started"]), (20, 20),
                         (result["totals"], result["errors"], result["replies"]))
        self.assertGreaterEqual(result["totals"]["connects"], 10)
        self.assertEqual(self.states(), ["acked"] * 20)

    def test_killed_server(self):
        server = self.server()
        killer = threading.Timer(0.5, server.kill)
        killer.start()
        path = os.path.join(self.home, "result.json")
        harness.run(harness.LOADGEN, "-q", "-o", path, "--ledger", self.ledger, "--bdat", "--window", "8", "-l", "500", "-c", "2", "-d", "1s",
                    "--timeout", "1s", f"127.0.0.1:{server.port}")
        killer.join()
        self.assertIn("acked", self.states())
        self.assertIn("unknown", self.states())
        self.audit(server)

    def test_options_that_do_not_go_together(self):
        for options, text in ((("--window", "3"), "--bdat"), (("--bdat", "--pipelining", "stream"), "exclude"),
                              (("--bdat", "--window", "65"), "window")):
            result = harness.run(harness.LOADGEN, *options, "127.0.0.1:1")
            self.assertEqual(result.returncode, 2)
            self.assertIn(text, result.stderr)


if __name__ == "__main__":
    unittest.main()
