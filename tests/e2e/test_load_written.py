"""loadgen --session: dialogues as text, replayed by many at a time."""
import json
import os
import tempfile
import unittest

import harness
import test_result_files
from test_load_scenarios import Watcher

DELIVER = """S: 220
C: EHLO client.test
S: 250
C: MAIL FROM:<load@client.test>
C: RCPT TO:<user{n}@sink.test>
C: DATA
S: 250
S: 250
S: 354
message
S: 250 2.0.0
C: QUIT
S: 221
"""

PROBE = """C: EHLO probe.test
S: 250
repeat 2-4
C: VRFY user{n}.{i}
S: 252
end
C: NOSUCH
S: 5
close
"""

TWO_MESSAGES = """C: EHLO client.test
S: 250
repeat 2
C: MAIL FROM:<load@client.test>
S: 250
C: RCPT TO:<user{n}.{i}@sink.test>
S: 250
C: DATA
S: 354
message
S: 250
end
C: QUIT
S: 221
"""


class Written(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-written-")
        self.addCleanup(lambda: harness.run("rm", "-rf", self.home))
        self.ledger = os.path.join(self.home, "ledger")
        self.path = os.path.join(self.home, "result.json")

    def file(self, text):
        path = os.path.join(self.home, "sessions")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def load(self, text, target, *options, expected=0):
        result = harness.run(harness.LOADGEN, "-q", "-o", self.path, "-l", "300", "--ledger", self.ledger, "--session",
                             self.file(text), *options, target)
        self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        self.text = result.stdout
        with open(self.path, encoding="utf-8") as file:
            return json.load(file)

    def server(self, *options):
        server = harness.Server(*options)
        self.addCleanup(server.close)
        return server

    def watcher(self, **options):
        watcher = Watcher(**options)
        self.addCleanup(watcher.close)
        return watcher

    def audit(self, server):
        audit = harness.run(harness.RINGSPOOL, "audit", "--json", server.spool, self.ledger)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
        return json.loads(audit.stdout)

    def rows(self, result):
        return {row["name"]: (row["as_written"], row["failed"]) for row in result["sessions"]["dialogues"]}

    def test_dialogues_by_weight(self):
        server = self.server()
        text = f"session deliver weight 3\n{DELIVER}session probe\n{PROBE}"
        result = self.load(text, f"127.0.0.1:{server.port}", "-c", "20", "-n", "800", "--seed", "5")
        self.assertNotEqual(result["verdict"]["status"], "invalid", result["verdict"])
        rows = self.rows(result)
        self.assertEqual(rows["deliver"][0] + rows["probe"][0], 800)
        self.assertIn(rows["deliver"][0], range(550, 650))
        self.assertEqual((rows["deliver"][1], rows["probe"][1]), (0, 0))
        self.assertEqual(result["sessions"]["messages_kept"], rows["deliver"][0])
        self.assertEqual(result["config"]["pipelining"], "as-written")
        self.assertIn(result["phases"]["other"]["count"], range(3 * rows["probe"][0], 5 * rows["probe"][0]))
        for phase in ("mail", "rcpt", "data", "dot"):
            self.assertEqual(result["phases"][phase]["count"], rows["deliver"][0], phase)
        self.assertEqual(self.audit(server)["found"], rows["deliver"][0])
        self.assertRegex(self.text, r"(?m)^sessions +800 started +800 as written")
        self.assertRegex(self.text, r"(?m)^Sessions/sec: ")
        recipients = {message["recipients"][0] for message in harness.listed(server.spool)}
        self.assertEqual(len(recipients), rows["deliver"][0])

    def test_ten_thousand_at_a_time(self):
        connections = 500 if harness.IS_SANITIZED else 9000
        server = self.server("--durability", "discard")
        result = self.load(DELIVER, f"127.0.0.1:{server.port}", "-c", str(connections), "-n", str(2 * connections))
        self.assertEqual(self.rows(result), {"session": (2 * connections, 0)})
        self.assertEqual(result["totals"]["accepted"], 2 * connections)
        self.assertEqual(result["verdict"]["checks"]["connections_reached"], connections)

    def test_several_messages_a_session(self):
        server = self.server()
        result = self.load(TWO_MESSAGES, f"127.0.0.1:{server.port}", "-c", "3", "-n", "30")
        self.assertEqual(result["sessions"]["messages_kept"], 60)
        self.assertEqual(result["totals"]["body_bytes"], 60 * 300)
        self.assertEqual(self.audit(server)["found"], 60)

    def test_what_is_not_as_written_is_named(self):
        watcher = self.watcher(answer=lambda verb: b"550 nobody\r\n" if verb == b"RCPT" else None)
        text = f"session deliver\n{DELIVER}session idle\nC: NOOP\nS: 250\nclose\n"
        result = self.load(text, f"127.0.0.1:{watcher.port}", "-c", "2", "-n", "40")
        rows = self.rows(result)
        self.assertEqual((rows["deliver"][0], rows["idle"][1]), (0, 0))
        self.assertEqual(rows["deliver"][1] + rows["idle"][0], 40)
        self.assertEqual(result["totals"]["reject"], rows["deliver"][1])
        # The line of RCPT's S: within the file, behind the line `session`.
        self.assertEqual(result["sessions"]["failed_at"], [{"line": 9, "failed": rows["deliver"][1]}])
        self.assertIn("at line 9 of ", self.text)
        again = harness.run(harness.LOADGEN, "report", self.path)
        self.assertEqual(again.stdout.strip(), self.text.strip())

    def test_refusals_can_be_what_is_written(self):
        watcher = self.watcher(answer=lambda verb: b"450 greylisted\r\n" if verb == b"RCPT" else None)
        text = "C: MAIL FROM:<a@b>\nS: 250\nC: RCPT TO:<c@d>\nS: 450 grey\nC: QUIT\nS: 221\n"
        result = self.load(text, f"127.0.0.1:{watcher.port}", "-c", "2", "-n", "10")
        self.assertEqual(self.rows(result), {"session": (10, 0)})
        self.assertEqual(result["totals"]["recipients_rejected"], 10)

    def test_a_server_that_goes_away(self):
        watcher = self.watcher(answer=lambda verb: b"421 no more\r\n" if verb == b"NOOP" else None)
        result = self.load("C: NOOP\nS: 250\nC: QUIT\nS: 221\n", f"127.0.0.1:{watcher.port}", "-c", "1", "-n", "3",
                           expected=1)
        self.assertEqual(result["totals"]["tempfail"], 3)
        self.assertEqual(result["sessions"]["failed_at"], [{"line": 2, "failed": 3}])

    def test_silence_fails_a_session(self):
        watcher = self.watcher(answer=lambda verb: b"" if verb == b"NOOP" else None)
        result = self.load("C: NOOP\nS: 250\n", f"127.0.0.1:{watcher.port}", "-c", "1", "-n", "1", "--timeout", "300ms",
                           expected=1)
        self.assertEqual(result["totals"]["timeout"], 1)

    def test_how_sessions_end(self):
        for ending, expected in (("close", "drop"), ("reset", "rset"), ("C: QUIT\nS: 221", "quit"), ("", "drop")):
            watcher = self.watcher()
            self.load(f"C: NOOP\nS: 250\n{ending}\n", f"127.0.0.1:{watcher.port}", "-c", "1", "-n", "3")
            self.assertEqual(set(watcher.ends), {expected})

    def test_pauses(self):
        watcher = self.watcher()
        result = self.load("C: MAIL FROM:<a>\npause 100ms-300ms\nC: RSET\nS: 250\nS: 250\nC: QUIT\nS: 221\n",
                           f"127.0.0.1:{watcher.port}", "-c", "5", "-n", "20")
        self.assertEqual(self.rows(result), {"session": (20, 0)})
        self.assertGreater(result["latency"]["service"]["min_ns"], 100e6)
        self.assertLess(result["latency"]["service"]["min_ns"], 300e6)

    def test_a_line_in_parts(self):
        watcher = self.watcher()
        self.load("C: MAIL FROM:\\c\npause 20ms\nC: <a@b>\nS: 250\nC: QUIT\nS: 221\n", f"127.0.0.1:{watcher.port}", "-c", "1",
                  "-n", "4")
        self.assertEqual(len(watcher.mails), 4)

    def test_open_loop(self):
        server = self.server("--durability", "discard")
        result = self.load(DELIVER, f"127.0.0.1:{server.port}", "-c", "30", "-R", "200", "-d", "2s", "--warmup", "0")
        self.assertEqual(result["config"]["loop"], "open")
        self.assertEqual(result["totals"]["due"], self.rows(result)["session"][0])
        self.assertIn(result["totals"]["due"], range(300, 500))
        self.assertEqual(result["latency"]["response"]["count"], result["totals"]["due"])

    def test_lmtp(self):
        server = self.server("-L")
        text = ("C: LHLO client.test\nS: 250\nC: MAIL FROM:<a@b>\nC: RCPT TO:<c@d>\nC: RCPT TO:<e@f>\nC: DATA\n"
                "S: 250\nS: 250\nS: 250\nS: 354\nmessage\nS: 250\nS: 250\nC: QUIT\nS: 221\n")
        result = self.load(text, f"127.0.0.1:{server.port}", "-c", "2", "-n", "20")
        self.assertEqual(self.rows(result), {"session": (20, 0)})
        self.assertEqual(self.audit(server)["found"], 20)

    def test_the_result_is_what_its_schema_says(self):
        server = self.server("--durability", "discard")
        self.load(DELIVER, f"127.0.0.1:{server.port}", "-c", "2", "-n", "5")
        errors, = test_result_files.node(test_result_files.VALIDATE, test_result_files.SCHEMA, self.path)
        self.assertEqual(errors, [])

    def test_files_and_options_that_are_refused(self):
        for text, options, told in (("C: {x}\n", (), "sessions: line 1: {"), ("", (), "there is no step"),
                                    (DELIVER, ("-k", "5"), "--session: the file says what -k"),
                                    (DELIVER, ("--bdat",), "what --bdat would"), (DELIVER, ("-w", "1s"), "-w"),
                                    (DELIVER, ("-r", "2"), "-r"), (DELIVER, ("--calibrate",), "--calibrate")):
            result = harness.run(harness.LOADGEN, "--session", self.file(text), *options, "127.0.0.1:1")
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(told, result.stderr)
        for path, told in (("/nonexistent", "No such file"), ("/tmp", "no regular file")):
            result = harness.run(harness.LOADGEN, "--session", path, "127.0.0.1:1")
            self.assertEqual(result.returncode, 2)
            self.assertIn(told, result.stderr)


if __name__ == "__main__":
    unittest.main()
