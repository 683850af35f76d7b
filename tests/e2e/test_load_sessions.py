"""What loadgen says to a server: LMTP, unix sockets, AUTH."""
import json
import os
import re
import tempfile
import unittest

import harness


class Sessions(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-sessions-")
        self.addCleanup(lambda: harness.run("rm", "-rf", self.home))

    def load(self, target, *options, expected=0, env=None):
        path = os.path.join(self.home, "result.json")
        ledger = os.path.join(self.home, "ledger")
        result = harness.run(harness.LOADGEN, "-q", "-o", path, "--ledger", ledger, "-l", "700", *options, target,
                             env={**os.environ, **(env or {})})
        self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        with open(path) as file:
            self.text = file.read()
        return json.loads(self.text)

    def server(self, *options):
        server = harness.Server(*options)
        self.addCleanup(server.close)
        return server

    def audit(self, server):
        audit = harness.run(harness.RINGSPOOL, "audit", "--json", server.spool, os.path.join(self.home, "ledger"))
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
        return json.loads(audit.stdout)

    def test_lmtp_has_a_reply_for_each_recipient(self):
        server = self.server("-L")
        for mode in ("off", "group", "stream"):
            result = self.load(f"127.0.0.1:{server.port}", "-L", "-n", "60", "-c", "3", "-r", "4", "--pipelining", mode)
            self.assertEqual(result["totals"]["accepted"], 60)
            self.assertEqual(result["totals"]["recipients_accepted"], 240)
            self.assertEqual(result["phases"]["dot"]["count"], 60)
            self.assertEqual(result["config"]["protocol"], "lmtp")
            self.assertNotIn("accepted, but", " ".join(result["verdict"]["reasons"]))
            self.assertEqual(self.audit(server)["found"], 60)

    def test_lmtp_is_not_smtp(self):
        """EHLO to an LMTP server and LHLO to an SMTP server are refused; nothing is sent."""
        lmtp = self.server("-L")
        self.load(f"127.0.0.1:{lmtp.port}", "-n", "5", "-c", "1", "--timeout", "1s", "-d", "1s", expected=1)
        smtp = self.server()
        self.load(f"127.0.0.1:{smtp.port}", "-L", "-n", "5", "-c", "1", "--timeout", "1s", "-d", "1s", expected=1)

    def messages(self, server):
        result = harness.run(harness.RINGSPOOL, "list", "--json", server.spool)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_recipients_and_domains_vary(self):
        server = self.server()
        for mode in ("off", "group", "stream"):
            result = self.load(f"127.0.0.1:{server.port}", "-n", "300", "-c", "3", "-r", "1-5", "--domains",
                               "a.test:70,b.test:30", "--pipelining", mode)
            self.assertEqual(result["totals"]["accepted"], 300)
        messages = self.messages(server)
        counts = [len(message["recipients"]) for message in messages]
        self.assertEqual(set(counts), {1, 2, 3, 4, 5})
        names = [name for message in messages for name in message["recipients"]]
        self.assertAlmostEqual(sum(name.endswith("@a.test") for name in names) / len(names), 0.7, delta=0.06)
        self.assertTrue(all(name.endswith(("@a.test", "@b.test")) for name in names))

    def test_messages_a_connection_vary(self):
        server = self.server()
        result = self.load(f"127.0.0.1:{server.port}", "-n", "300", "-c", "3", "-k", "1-5")
        self.assertEqual(result["totals"]["accepted"], 300)
        self.assertTrue(75 <= result["totals"]["connects"] <= 140, result["totals"])

    def test_unix_socket(self):
        path = os.path.join(self.home, "socket")
        server = self.server(f"unix:{path}")
        for options in ((), ("-k", "1"), ("-R", "500")):
            result = self.load(f"unix:{path}", "-n", "100", "-c", "10", *options)
            self.assertEqual(result["totals"]["accepted"], 100)
            self.assertEqual(self.audit(server)["found"], 100)
        self.assertEqual(result["environment"]["target"]["address"], f"unix:{path}")
        self.assertIsNone(result["environment"]["target"]["port"])
        self.assertTrue(result["environment"]["target"]["same_host"])

    def test_auth(self):
        users = os.path.join(self.home, "users")
        with open(users, "w") as file:
            file.write("user:pass:word\n")
        os.chmod(users, 0o600)
        server = self.server("-v", "--require-auth", "--auth", users)
        target = f"127.0.0.1:{server.port}"
        result = self.load(target, "-n", "20", "-c", "2", "--auth", "user:pass:word")
        self.assertEqual(result["totals"]["accepted"], 20)
        self.assertEqual(result["phases"]["auth"]["count"], 2)
        self.assertNotIn("pass:word", self.text)
        self.load(target, "-n", "20", "-c", "2", env={"LOADGEN_AUTH": "user:pass:word"})
        result = self.load(target, "-n", "5", "-c", "1", "-d", "1s", "--auth", "user:wrong", "--timeout", "1s", expected=1)
        self.assertEqual([(reply["phase"], reply["code"]) for reply in result["replies"] if reply["code"] >= 400],
                         [("auth", 535)])
        refused = harness.run(harness.LOADGEN, "-q", "--auth", "nobody", target)
        self.assertEqual(refused.returncode, 2)
        self.assertRegex(refused.stderr, re.escape("USER:PASSWORD"))


if __name__ == "__main__":
    unittest.main()
