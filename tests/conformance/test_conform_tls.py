"""scripts/conform inside TLS and on the way there: on ringsink, and on a small server that is wrong about it."""
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

import certificate  # noqa: E402
import harness  # noqa: E402
import test_conform  # noqa: E402
import wrong_server  # noqa: E402
from test_conform import CASES, NEED_TLS, SETS, as_options, conform, flags  # noqa: E402


class OnRingsinkWithTls(test_conform.Demanding):
    def test_on_the_way_there(self):
        """In plain, with what STARTTLS brings."""
        with harness.Server("--tls", "starttls") as server:
            summary = self.demand("--only", "starttls-*", f"127.0.0.1:{server.port}", spool=server.spool)
            self.assertGreater(summary["cases"], 20)
            self.assertEqual(server.stop(), 0)

    def test_every_set_of_options_on_the_way_there(self):
        for options in sorted({tuple(case.options) for case in CASES if case.options and "STARTTLS" in case.needs}):
            with self.subTest(options=options), tempfile.TemporaryDirectory() as folder, \
                    harness.Server("--tls", "starttls", *flags(options, folder)) as server:
                self.demand("--only", "starttls-*", *as_options(options), f"127.0.0.1:{server.port}", spool=server.spool)

    def test_inside(self):
        for tls in ("starttls", "implicit"):
            with self.subTest(tls=tls), harness.Server("--tls", tls) as server:
                summary = self.demand("--tls", tls, f"127.0.0.1:{server.port}", spool=server.spool)
                self.assertGreater(summary["cases"], 400)
                self.assertGreater(summary["runs"], 10000)

    def test_every_set_of_options_inside(self):
        for options in sorted(SETS - NEED_TLS):
            with self.subTest(options=options), tempfile.TemporaryDirectory() as folder, \
                    harness.Server("--tls", "implicit", *flags(options, folder)) as server:
                self.demand("--tls", "implicit", *as_options(options), f"127.0.0.1:{server.port}", spool=server.spool)


TLS_FOUND_BY = {"runs-what-was-injected": "starttls-injected-is-never-run",
                "remembers-what-was-said-in-plain": "starttls-forgets-sender",
                "offers-tls-inside-tls": "starttls-is-not-offered-inside", "starts-tls-inside-tls": "starttls-twice",
                "greets-again": "starttls-greets-no-more", "goes-on-in-plain": "starttls-no-handshake",
                "ignores-close-notify": "starttls-close-notify-in-a-chunk"}


class InsideTls(unittest.TestCase):
    """The suite's own TLS, on a small server that has it too."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.credentials = certificate.make(folder.name)

    def judge(self, fault, only, server_tls="starttls", tls="off"):
        with wrong_server.WrongServer(fault, server_tls, self.credentials) as server:
            return conform("--timeout", "3", "--tls", tls, "--only", only, f"127.0.0.1:{server.server_address[1]}")

    def test_every_fault_is_found(self):
        test_conform.check_found(self, self.judge, TLS_FOUND_BY, wrong_server.TLS_FAULTS)

    def test_same_verdicts_as_in_plain(self):
        """What is left out because of TLS is named."""
        _, _, plain = self.judge("none", "g*")
        for tls in ("starttls", "implicit"):
            with self.subTest(tls=tls):
                result, summary, inside = self.judge("none", "g*", tls, tls)
                left_out = set(plain) - set(inside)
                self.assertGreater(len(inside), 25)
                self.assertEqual(left_out, {"greeting-early-ehlo"} if tls == "starttls" else set())
                self.assertEqual(summary["not_behind_starttls"], len(left_out))
                for identifier in left_out:
                    self.assertIn(f"not behind STARTTLS  {identifier}: ", result.stdout)
                for identifier, case in inside.items():
                    self.assertEqual((identifier, case["verdict"], case["runs"]),
                                     (identifier, plain[identifier]["verdict"], plain[identifier]["runs"]))

    def test_no_tls_there(self):
        with wrong_server.WrongServer("none") as server:
            address = f"127.0.0.1:{server.server_address[1]}"
            for tls in ("starttls", "implicit"):
                self.assertEqual(conform("--tls", tls, "--timeout", "3", address)[0].returncode, 2)


if __name__ == "__main__":
    harness.main()
