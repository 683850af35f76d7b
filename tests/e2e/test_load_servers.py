"""loadgen against other people's servers: every mode that they offer, no protocol error."""
import json
import os
import tempfile
import unittest

import harness
import receivers


class Servers(unittest.TestCase):
    def load(self, port, *options):
        with tempfile.TemporaryDirectory() as home:
            path = os.path.join(home, "result.json")
            result = harness.run(harness.LOADGEN, "-q", "-o", path, "-t", "1", *options, f"127.0.0.1:{port}")
            self.assertEqual(result.returncode, 0, f"{result.stdout}{result.stderr}")
            with open(path) as file:
                return json.load(file)

    def assert_clean(self, result, count):
        totals = result["totals"]
        self.assertEqual(totals["protocol"], 0, result["errors"])
        self.assertEqual((totals["started"], totals["accepted"]), (count, count), result["replies"])
        self.assertEqual(result["errors"], [])

    def check(self, name):
        with receivers.RECEIVERS[name]() as server:
            for options in (("--pipelining", "off"), ("--pipelining", "group"), ("--pipelining", "stream"),
                            ("--bdat",), ("--bdat", "--window", "16"), ("-k", "2"), ("-r", "5"), ("-R", "100")):
                with self.subTest(options=options):
                    result = self.load(server.port, "-c", "5", "-n", "40", "-l", "2k", *options)
                    self.assert_clean(result, 40)
            self.load(server.port, "-c", "2", "-n", "4", "-l", "1M")


def add(name):
    setattr(Servers, "test_" + name.replace("-", "_"), lambda self: self.check(name))


for known in ("postfix", "exim", "opensmtpd", "sendmail", "aiosmtpd", "smtp-server", "smtp-sink"):
    add(known)


if __name__ == "__main__":
    unittest.main()
