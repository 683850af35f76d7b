"""scripts/soak for some seconds: churn, aborts and tricklers, recycling, audits, samples."""
import json
import os
import sys
import unittest

import harness

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class Soak(unittest.TestCase):
    def test_some_seconds(self):
        # What is touched for the first time is growth in so short a run.
        result = harness.run(sys.executable, os.path.join(TOP, "scripts", "soak"), "16s", "--growth-max-kib", "4096",
                             "--spool-size", "256Mi", "--no-record", "--build", harness.BUILD, timeout=150)
        if harness.IS_SANITIZED:
            self.assertNotRegex(result.stdout, r'"(lost|duplicated|corrupt|refused_present|torn_shown)": [1-9]')
            return
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        line = json.loads(result.stdout.splitlines()[-2])
        for name in ("acknowledged", "found", "expired", "aborted", "tricklers_sent_away"):
            self.assertGreater(line[name], 0, line)
        self.assertGreaterEqual(len(line["rss_anon_kib"]), 5, line)


if __name__ == "__main__":
    harness.main()
