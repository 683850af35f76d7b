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
    """Takes any mail, and notes how each session ended and when its messages began."""

    def __init__(self):
        self.ends = []
        self.mails = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
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
                client.sendall(b"220 watcher\r\n")
                while True:
                    line = file.readline()
                    if not line:
                        self.ends.append("drop")
                        return
                    verb = line.split()[0].upper()
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

    def watcher(self):
        watcher = Watcher()
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
                self.assertEqual((len(watcher.ends), set(watcher.ends)), (4, {mode}))

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

    def test_options_that_do_not_go_together(self):
        for options in (("-w", "1s", "-R", "5"), ("-w", "1s", "--pipelining", "stream"), ("--scenario", "idle", "-n", "5"),
                        ("--scenario", "connect-only", "-R", "5"), ("-w", "1-x"), ("-w", "1s", "--bdat", "--window", "2")):
            result = harness.run(harness.LOADGEN, *options, "127.0.0.1:1")
            self.assertEqual(result.returncode, 2, options)
            self.assertIn(options[0].lstrip("-"), result.stderr)


if __name__ == "__main__":
    unittest.main()
