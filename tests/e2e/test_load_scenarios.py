"""loadgen without mail, with pauses, and how its sessions end."""
import json
import os
import socket
import tempfile
import threading
import time
import unittest

import harness


class Watcher:
    """Takes any mail unless `answer(verb)` says otherwise; notes how each session ended and when its messages began."""

    def __init__(self, answer=None, port=0):
        self.answer = answer or (lambda verb: None)
        self.peers = []
        self.recipients = []
        self.ends = []
        self.mails = []
        self.listener = socket.create_server(("127.0.0.1", port), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, peer = self.listener.accept()
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def talk(self, client):
        with client, client.makefile("rb") as file:
            try:
                client.sendall(b"220 watcher\r\n")
                while True:
                    line = file.readline()
                    if not line:
                        self.ends.append("drop")
                        return
                    verb = line.split()[0].upper()
                    if verb == b"RCPT":
                        self.recipients.append(line.split(b":")[1].strip().decode())
                    told = self.answer(verb)
                    if told is not None:
                        client.sendall(told)
                        continue
                    if verb == b"MAIL":
                        self.mails.append(time.monotonic())
                    if verb == b"QUIT":
                        self.ends.append("quit")
                        client.sendall(b"221 bye\r\n")
                        return
                    if verb == b"DATA":
                        client.sendall(b"354 go\r\n")
                        while file.readline() != b".\r\n":
                            pass
                    client.sendall(b"250 Ok\r\n")
            except ConnectionResetError:
                self.ends.append("rset")

    def close(self):
        self.listener.close()


class Scenarios(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-scenarios-")
        self.addCleanup(lambda: harness.run("rm", "-rf", self.home))

    def load(self, port, *options, expected=0):
        path = os.path.join(self.home, "result.json")
        result = harness.run(harness.LOADGEN, "-q", "-o", path, "-l", "200", *options, f"127.0.0.1:{port}")
        self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        self.text = result.stdout
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def server(self, *options):
        server = harness.Server(*options)
        self.addCleanup(server.close)
        return server

    def watcher(self, **options):
        watcher = Watcher(**options)
        self.addCleanup(watcher.close)
        return watcher

    def test_connect_only(self):
        server = self.server()
        result = self.load(server.port, "--scenario", "connect-only", "-c", "5", "-d", "1s", "--warmup", "200ms")
        totals = result["totals"]
        self.assertEqual((totals["started"], totals["accepted"], totals["lost"]), (0, 0, 0))
        self.assertEqual(result["config"]["scenario"], "connect-only")
        self.assertGreater(totals["sessions_in_time"], 50)
        self.assertGreater(totals["connects"], totals["sessions_in_time"])
        self.assertAlmostEqual(result["rates"]["sessions_per_s"] * result["measured_ns"] / 1e9, totals["sessions_in_time"], delta=1)
        self.assertRegex(self.text, r"(?m)^sessions .* connections/s$")
        self.assertNotIn("invalid", result["verdict"]["status"])
        self.assertEqual(result["phases"]["quit"]["count"], totals["connects"])

    def test_so_many_sessions(self):
        watcher = self.watcher()
        self.load(watcher.port, "--scenario", "connect-only", "-c", "3", "-n", "20")
        self.assertIn(len(watcher.ends), range(20, 24))
        self.assertEqual((set(watcher.ends), watcher.mails), ({"quit"}, []))

    def test_idle(self):
        server = self.server()
        begin = time.monotonic()
        result = self.load(server.port, "--scenario", "idle", "-c", "20", "-d", "1s", "--warmup", "0")
        self.assertGreater(time.monotonic() - begin, 0.95)
        totals = result["totals"]
        self.assertEqual((totals["connects"], totals["reconnects"], totals["lost"], totals["started"]), (20, 0, 0, 0))
        self.assertEqual(result["phases"]["quit"]["count"], 20)
        self.assertEqual(result["verdict"]["status"], "valid", result["verdict"])

    def test_idle_sessions_that_the_server_ends_are_lost(self):
        server = self.server("--idle-timeout", "300ms")
        result = self.load(server.port, "--scenario", "idle", "-c", "5", "-d", "1s", "--warmup", "0")
        self.assertGreaterEqual(result["totals"]["lost"], 5)
        self.assertGreaterEqual(result["totals"]["reconnects"], 5)

    def test_nobody_there(self):
        port = harness.free_port()
        for scenario in ("connect-only", "idle"):
            self.load(port, "--scenario", scenario, "-c", "2", "-d", "200ms", expected=1)

    def test_quit(self):
        for mode in ("quit", "rset", "drop"):
            with self.subTest(mode=mode):
                watcher = self.watcher()
                result = self.load(watcher.port, "--quit", mode, "-c", "2", "-n", "12", "-k", "3")
                self.assertEqual((result["totals"]["accepted"], result["totals"]["lost"]), (12, 0))
                self.assertEqual(result["config"]["quit"], mode)
                time.sleep(0.1)
                self.assertIn(len(watcher.ends), (4, 5))
                self.assertEqual(set(watcher.ends), {mode})

    def test_reset_leaves_no_time_wait(self):
        server = self.server()
        result = self.load(server.port, "--scenario", "connect-only", "--quit", "rset", "-c", "4", "-n", "500")
        self.assertGreaterEqual(result["totals"]["connects"], 500)
        with open("/proc/net/tcp", encoding="utf-8") as file:
            waiting = [line for line in file if f":{server.port:04X}" in line and line.split()[3] == "06"]
        self.assertLess(len(waiting), 20)

    def test_think(self):
        watcher = self.watcher()
        result = self.load(watcher.port, "-w", "100ms", "-c", "1", "-n", "6")
        self.assertEqual(result["totals"]["accepted"], 6)
        gaps = [later - earlier for earlier, later in zip(watcher.mails, watcher.mails[1:])]
        self.assertGreater(min(gaps), 0.098)
        self.assertLess(sum(gaps) / len(gaps), 0.2)
        # A pause is no part of a message's time.
        self.assertLess(result["latency"]["service"]["max_ns"], 90e6)
        self.assertEqual(result["config"]["think"], "100ms")

    def test_think_of_a_distribution(self):
        watcher = self.watcher()
        self.load(watcher.port, "-w", "exp:20ms", "-c", "5", "-n", "100")
        self.assertEqual(len(watcher.mails), 100)
        # Ended by time: who thinks is not waited for.
        begin = time.monotonic()
        self.load(watcher.port, "-w", "10s-20s", "-c", "5", "-d", "300ms", "--warmup", "0")
        self.assertLess(time.monotonic() - begin, 3)

    def test_what_was_expected_is_no_failure(self):
        """Greylisting: every second recipient is put off."""
        count = [0]

        def answer(verb):
            count[0] += verb == b"RCPT"
            return b"450 4.2.0 greylisted\r\n" if verb == b"RCPT" and count[0] % 2 == 0 else None

        watcher = self.watcher(answer=answer)
        options = ("-c", "1", "-n", "20", "--threshold", "fail<1%")
        result = self.load(watcher.port, "--expect", "RCPT=450,DATA.=421", *options)
        totals = result["totals"]
        self.assertEqual((totals["accepted"], totals["expected"], totals["tempfail"]), (10, 10, 0))
        self.assertNotIn("failed", " ".join(result["verdict"]["reasons"]))
        self.assertIsNone(result["latency"]["failure"])
        result = self.load(watcher.port, "--expect", "RCPT=451,DATA=450", *options, expected=99)
        self.assertEqual((result["totals"]["expected"], result["totals"]["tempfail"]), (0, 10))

    def test_nothing_but_what_was_expected(self):
        watcher = self.watcher(answer=lambda verb: b"550 no\r\n" if verb == b"MAIL" else None)
        self.load(watcher.port, "--expect", "MAIL=550", "-c", "1", "-n", "5")
        self.load(watcher.port, "-c", "1", "-n", "5", expected=1)

    def test_retry_connect(self):
        port = harness.free_port()
        self.load(port, "-c", "2", "-n", "5", "--retry-connect", "2", expected=1)
        late = threading.Timer(0.5, lambda: self.watcher(port=port))
        late.start()
        result = self.load(port, "-c", "2", "-n", "5", "--retry-connect", "50")
        late.join()
        self.assertEqual(result["totals"]["accepted"], 5)
        self.assertEqual([(error["phase"], error["detail"]) for error in result["errors"]], [("connect", "refused")])
        self.load(harness.free_port(), "-c", "2", "-n", "5", expected=1)

    def test_sources(self):
        watcher = self.watcher()
        result = self.load(watcher.port, "--source", "127.0.0.7,127.0.1.0/30", "-c", "5", "-n", "50", "-k", "1")
        self.assertEqual(result["totals"]["accepted"], 50)
        hosts = [host for host, _ in watcher.peers]
        expected = {"127.0.0.7", "127.0.1.0", "127.0.1.1", "127.0.1.2", "127.0.1.3"}
        self.assertEqual(set(hosts), expected)
        # Who connects when the last messages have begun elsewhere finds nothing to do.
        self.assertTrue(all(hosts.count(host) in (10, 11) for host in expected), hosts)
        for text, complaint in (("192.0.2.1", "192.0.2.1"), ("::1", "family"), ("x", "try")):
            refused = harness.run(harness.LOADGEN, "--source", text, f"127.0.0.1:{watcher.port}")
            self.assertEqual(refused.returncode, 2)
            self.assertIn(complaint, refused.stderr)

    def test_recipients_are_numbered_or_not(self):
        watcher = self.watcher()
        for options, expected in (((), {f"<user{number}@sink.test>" for number in range(1, 5)}),
                                  (("-N",), {f"<user{number}@sink.test>" for number in range(1, 5)}),
                                  (("--no-number",), {"<user@sink.test>"}),
                                  (("--no-number", "-r", "2"), {"<user1@sink.test>", "<user2@sink.test>"})):
            watcher.recipients.clear()
            self.load(watcher.port, "-c", "1", "-n", "4", *options)
            self.assertEqual(set(watcher.recipients), expected)

    def test_options_that_do_not_go_together(self):
        for options in (("-w", "1s", "-R", "5"), ("-w", "1s", "--pipelining", "stream"), ("--scenario", "idle", "-n", "5"),
                        ("--scenario", "connect-only", "-R", "5"), ("-w", "1-x"), ("--expect", "RCPT=250"), ("--number", "--no-number"), ("-w", "1s", "--bdat", "--window", "2")):
            result = harness.run(harness.LOADGEN, *options, "127.0.0.1:1")
            self.assertEqual(result.returncode, 2, options)
            self.assertIn(options[0].lstrip("-"), result.stderr)


if __name__ == "__main__":
    unittest.main()
