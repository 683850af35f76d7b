#!/usr/bin/env python3
"""bench/micro runs whole, and says of every case what it should."""
import json
import os
import platform
import subprocess
import unittest

MICRO = os.path.join(os.environ["RINGSINK_BUILD"], "bench", "micro")
MODULES = {"memcpy", "memcpy to a log of 48 MiB", "XXH3", "histogram", "smtp_command", "smtp_scan, scalar", "smtp_data",
           "smtp_session", "spool_writer"}


def run(*arguments):
    return subprocess.run([MICRO, *arguments], capture_output=True, text=True, timeout=100, check=False)


class MicroTest(unittest.TestCase):
    def test_every_case_has_its_figures(self):
        result = run("--quick", "--json")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(MODULES - {line["module"] for line in lines}, set())
        self.assertEqual(len({(line["module"], line["case"]) for line in lines}), len(lines))
        for line in lines:
            with self.subTest(line=line):
                self.assertLess(0, line["ns_min"])
                self.assertLessEqual(line["ns_min"], line["ns_median"])
                self.assertAlmostEqual(line["bytes_per_s"] / (line["octets"] * 1e9 / line["ns_median"]), 1, 1)
                self.assertAlmostEqual(line["beside_memcpy"] / (line["ns_median"] / line["memcpy_ns"]), 1, 1)
                if platform.machine() in ("x86_64", "aarch64"):
                    self.assertLess(0, line["ticks_min"])

    def test_a_slower_thing_is_told_as_slower(self):
        result = run("--json", "--quick", "smtp_scan")
        lines = [json.loads(line) for line in result.stdout.splitlines() if "32 KiB sliced" in line]
        self.assertGreater(len(lines), 1)
        fastest, slowest = lines[0], lines[-1]
        self.assertEqual(slowest["module"], "smtp_scan, scalar")
        self.assertLess(fastest["ns_min"], slowest["ns_min"])

    def test_one_module_alone(self):
        result = run("--quick", "histogram")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(len(result.stdout.splitlines()), 2)

    def test_wrong_use(self):
        for arguments in (("--quick", "nothing"), ("--fast",), ("a", "b")):
            with self.subTest(arguments=arguments):
                self.assertEqual(run(*arguments).returncode, 2)


if __name__ == "__main__":
    unittest.main()
