"""loadgen --calibrate: what the generator can do at all, and a rate too near to that."""
import json
import os
import shutil
import stat
import tempfile
import unittest

import harness


class Calibration(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-calibrate-")
        self.addCleanup(shutil.rmtree, self.home)
        self.environment = {**os.environ, "XDG_CACHE_HOME": os.path.join(self.home, "cache")}
        self.file = os.path.join(self.home, "cache", "ringsink", "calibration.json")

    def load(self, *arguments):
        return harness.run(harness.LOADGEN, "-q", "-c", "10", "-t", "1", "-l", "600", *arguments, env=self.environment)

    def test_the_ceiling_is_kept_and_a_rate_near_it_is_suspect(self):
        result = self.load("--calibrate")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"ceiling +\d+ messages/s a worker")
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        with open(self.file) as file:
            [(key, ceiling)] = json.load(file).items()
        self.assertIn("600 octets", key)
        self.assertGreater(ceiling, 100)
        # As if the machine were a slow one: the rate itself is none for this one.
        with open(self.file, "w") as file:
            json.dump({key: 200.0}, file)
        server = harness.Server("--durability", "discard")
        self.addCleanup(server.close)
        for rate, is_near in (("150", False), ("170", True)):
            path = os.path.join(self.home, rate)
            result = self.load("-R", rate, "-d", "1s", "-o", path, f"127.0.0.1:{server.port}")
            with open(path) as file:
                verdict = json.load(file)["verdict"]
            self.assertEqual(verdict["checks"]["ceiling_per_s"], 200)
            self.assertEqual("200 msg/s by --calibrate" in " ".join(verdict["reasons"]), is_near)
            self.assertNotEqual((verdict["status"], is_near), ("valid", True))
        # Other messages, another ceiling: not known.
        path = os.path.join(self.home, "other")
        self.load("-l", "700", "-R", "170", "-d", "1s", "-o", path, f"127.0.0.1:{server.port}")
        with open(path) as file:
            self.assertIsNone(json.load(file)["verdict"]["checks"]["ceiling_per_s"])

    def test_lmtp_and_recipients_are_calibrated_too(self):
        result = self.load("--calibrate", "-L", "-r", "3", "--auth", "user:secret")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("INVALID", result.stdout)
        self.assertRegex(result.stdout, r" 0 failed")
        with open(self.file) as file:
            self.assertNotIn("secret", file.read())

    def test_connections_that_end_are_calibrated_apart(self):
        for options in (("-k", "1", "--quit", "drop"), ("-k", "1-3"), ()):
            result = self.load("--calibrate", *options)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stdout, r" 0 failed")
            self.assertRegex(result.stdout, r" 0 lost, \d[\d ]{3,} reopened" if options else r" 0 lost, 0 reopened")
        with open(self.file) as file:
            ceilings = json.load(file)
        [(lasting, highest)] = [(key, rate) for key, rate in ceilings.items() if key.endswith(", auto")]
        self.assertEqual(set(ceilings), {lasting, lasting + ", -k 1", lasting + ", -k 1-3"})
        self.assertLess(max(rate for key, rate in ceilings.items() if key != lasting), highest)

    def test_a_file_that_is_none_is_written_anew(self):
        os.makedirs(os.path.dirname(self.file))
        with open(self.file, "w") as file:
            file.write("not json")
        self.assertEqual(self.load("--calibrate").returncode, 0)
        with open(self.file) as file:
            self.assertEqual(len(json.load(file)), 1)


if __name__ == "__main__":
    unittest.main()
