"""scripts/conform on ringsink with every set of options that a case asks for; and on wrong servers."""
import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

import conform_cases  # noqa: E402
import harness  # noqa: E402
import wrong_server  # noqa: E402

CONFORM = os.path.join(HERE, "..", "..", "scripts", "conform")
CASES = conform_cases.read_all()
KNOWN = {case.id for case in CASES if case.known}
SETS = {tuple(case.options) for case in CASES if case.options}
NEED_TLS = {options for options in SETS if {"tls_required", "auth_tls_required"} & set(options)}
SERVER_OPTIONS = {"strict": "--strict", "strict_lines": "--strict-lines", "lmtp": "--lmtp", "auth_required": "--require-auth",
                  "tls_required": "--require-tls", "auth_tls_required": "--auth-require-tls", "out_of_service": "--no-service",
                  "bare_newline": "--bare-newline", "size_limit": "--size-limit",
                  "recipients_max": "--max-recipients", "bad_commands_max": "--max-bad-commands"}
SWITCHED_OFF = [f"--no-{name}" for name in ("pipelining", "size", "etrn", "enhancedstatuscodes", "8bitmime", "dsn",
                                            "smtputf8", "chunking", "binarymime", "auth")]


def conform(*arguments):
    """Exit status, summary and results by id."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        result = harness.run(sys.executable, CONFORM, "--json", file.name, *arguments, timeout=550,
                             env={**os.environ, "RINGSINK_BUILD": harness.BUILD})
        text = file.read()
    told = json.loads(text) if text else {"summary": {}, "cases": []}
    return result, told["summary"], {case["id"]: case for case in told["cases"]}


def flags(options, folder):
    """What ringsink is started with for the O: lines of a case."""
    result = []
    for option in options:
        name, _, value = option.partition(" ")
        if name == "credentials":
            path = os.path.join(folder, "credentials")
            with open(path, "w", encoding="utf-8") as file:
                file.write(value + "\n")
            result += ["--auth", path]
        else:
            result += [SERVER_OPTIONS[name]] + ([value] if value else [])
    return result


def as_options(options):
    named = ",".join(option.replace(" ", "=") for option in options)
    return ["--options", named, *(["--lmtp"] if "lmtp" in options else [])]


# Every cut is made in process with the sanitizers, and here without them.
EVERY = 8 if harness.IS_SANITIZED else 1


class Demanding(unittest.TestCase):
    def demand(self, *arguments, spool=None):
        """Nothing is violated but what is known, and every policy is as stated."""
        result, summary, cases = conform("--login", "--every", str(EVERY), *(["--spool", spool] if spool else []), *arguments)
        violated = {identifier for identifier, case in cases.items() if case["verdict"] != "passed"}
        self.assertEqual(violated - KNOWN, set(), result.stdout)
        self.assertEqual(KNOWN & set(cases), violated, f"mended: take the K: line out\n{result.stdout}")
        self.assertEqual(result.returncode, 1 if summary["must_violated"] else 0)
        self.assertGreater(summary["cases"], 0)
        if spool:
            self.assertEqual(summary["spool_checked"], summary["cases"] - len(violated))
        return summary


class OnRingsink(Demanding):
    def test_default_server(self):
        with harness.Server() as server:
            summary = self.demand(f"127.0.0.1:{server.port}", spool=server.spool)
            self.assertGreater(summary["cases"], 400)
            self.assertGreater(summary["runs"], 10000 / EVERY)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(harness.run(harness.RINGSPOOL, "verify", server.spool).returncode, 0)

    def test_every_set_of_options(self):
        self.assertGreaterEqual(len(SETS - NEED_TLS), 10)
        for options in sorted(SETS - NEED_TLS):
            with self.subTest(options=options), tempfile.TemporaryDirectory() as folder, \
                    harness.Server(*flags(options, folder)) as server:
                summary = self.demand(*as_options(options), f"127.0.0.1:{server.port}", spool=server.spool)
                self.assertGreater(summary["runs"], summary["cases"])

    def test_everything_switched_off(self):
        with harness.Server(*SWITCHED_OFF) as server:
            _, _, cases = conform("--only", "*-not-offered*", f"127.0.0.1:{server.port}")
            self.assertGreaterEqual(len(cases), 8)
            summary = self.demand(f"127.0.0.1:{server.port}", spool=server.spool)
            self.assertGreater(summary["not_offered"], 100)

    def test_strict_breaks_nothing(self):
        """What is a MUST or a SHOULD for a default server is one for a strict server, too."""
        with harness.Server("--strict") as server:
            result, summary, _ = conform("--login", f"127.0.0.1:{server.port}")
            self.assertEqual(summary["must_violated"], 0, result.stdout)
            self.assertLessEqual(summary["should_violated"], len(KNOWN), result.stdout)
            self.assertGreater(summary["policy_otherwise"], 5)

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            with harness.Server(f"unix:{path}") as server:
                self.demand(f"unix:{path}", "--only", "[a-d]*", spool=server.spool)

    def test_lmtp_on_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            with harness.Server("-L", f"unix:{path}") as server:
                self.demand("--lmtp", f"unix:{path}", spool=server.spool)


# A fault of wrong_server, and a case that must find it.
FOUND_BY = {"lf-ends-data": "smuggling-lf-dot-lf", "any-order": "order-rcpt-before-mail", "two-replies": "mail-simple",
            "closes-on-unknown": "order-unknown-command", "one-read-one-command": "mail-simple",
            "forgets-the-envelope-of-rset": "order-rset-ends-transaction", "long-reply": "order-noop-any-time",
            "helo-lists": "greeting-helo-lists-nothing", "acts-before-crlf": "lines-nothing-happens-before-crlf",
            "case-of-verbs": "mail-lower-case-verb", "hundred-is-too-many": "rcpt-hundred",
            "chunks-are-commands": "bdat-without-transaction-swallows"}


def check_found(test, judge, found_by, faults):
    test.assertEqual(set(found_by), set(faults) - {"none"})
    for fault, identifier in found_by.items():
        with test.subTest(fault=fault):
            _, _, cases = judge("none", identifier)
            test.assertEqual(cases[identifier]["verdict"], "passed", cases)
            result, _, cases = judge(fault, identifier)
            test.assertNotEqual(cases[identifier]["verdict"], "passed", cases)
            test.assertIn(identifier, result.stdout)


class OnWrongServers(unittest.TestCase):
    def judge(self, fault, only):
        with wrong_server.WrongServer(fault) as server:
            return conform("--timeout", "3", "--only", only, f"127.0.0.1:{server.server_address[1]}")

    def test_every_fault_is_found(self):
        check_found(self, self.judge, FOUND_BY, wrong_server.FAULTS)

    def test_a_violated_must_is_the_exit_status(self):
        result, summary, _ = self.judge("lf-ends-data", "smuggling-*")
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertGreater(summary["must_violated"], 3)
        self.assertIn("<LF>.<LF>", result.stdout)
        self.assertIn(f"MUST violated:    {summary['must_violated']}\n", result.stdout)

    def test_nobody_there(self):
        self.assertEqual(conform(f"127.0.0.1:{harness.free_port()}")[0].returncode, 2)
        self.assertEqual(conform("nowhere")[0].returncode, 2)

    def test_what_was_not_stored_is_missed(self):
        """A server that says 250 and keeps nothing: its spool is that of another server."""
        with harness.Server() as other, wrong_server.WrongServer("none") as server:
            address = f"127.0.0.1:{server.server_address[1]}"
            result, _, cases = conform("--only", "data-354", "--spool", other.spool, address)
            self.assertEqual(result.returncode, 1, result.stdout)
            self.assertIn("in the spool", cases["data-354"]["wanted"])


if __name__ == "__main__":
    harness.main()
