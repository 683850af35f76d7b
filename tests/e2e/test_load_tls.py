"""loadgen --tls: what arrives, what is verified and resumed, what fails and how that is told."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import harness
import tls_front
from test_result_files import SCHEMA, VALIDATE, node

MODES = ("starttls", "implicit")


class LoadTls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates_home = tempfile.mkdtemp(prefix="ringsink-certificates-")
        cls.certificates = tls_front.Certificates(cls.certificates_home)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.certificates_home)

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-load-tls-")
        self.addCleanup(shutil.rmtree, self.home)

    def path(self, name):
        return os.path.join(self.home, name)

    def load(self, port, mode, *options, expected=0, host="127.0.0.1", name="result.json", env=None):
        path = self.path(name)
        if os.path.exists(path):
            os.unlink(path)
        result = harness.run(harness.LOADGEN, "-q", "-t", "1", "-o", path, "--ledger", self.path("ledger"), "--tls", mode, "--warmup", "0",
                             *options, f"{host}:{port}", env={**os.environ, **(env or {})})
        self.text, self.complaint = result.stdout, result.stderr
        self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def front(self, mode, *options, context=None, **manners):
        """A ringsink behind a front that does the TLS."""
        server = harness.Server(*options)
        self.addCleanup(server.close)
        front = tls_front.Front(context or self.certificates.context(), ("127.0.0.1", server.port), mode, **manners)
        self.addCleanup(front.close)
        front.server = server
        return front

    def audit(self, front):
        audit = harness.run(harness.RINGSPOOL, "audit", "--json", front.server.spool, self.path("ledger"))
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
        return json.loads(audit.stdout)

    def assert_barrier(self, result, text, remedy):
        """What kept sessions from being ready is told by the error and the verdict, and nothing else is made of it."""
        # Besides, a busy machine's clock may be warned of.
        [told] = re.findall(r"(?m)^loadgen: error: (.*)$", self.complaint)
        self.assertEqual((told.startswith(text), told.endswith(remedy)), (True, True), told)
        verdict = result["verdict"]
        self.assertEqual((verdict["status"], f"population lost: {told}" in verdict["reasons"]), ("invalid", True), verdict["reasons"])
        self.assertNotIn("generator-bound", " ".join(verdict["reasons"]))

    def wait(self, fact, what):
        """Threads of the front see an end a moment after loadgen does."""
        end = time.monotonic() + 10 * harness.SLOWNESS
        while not fact() and time.monotonic() < end:
            time.sleep(0.02)
        self.assertTrue(fact(), what())

    # ---- what arrives ----

    def test_every_mode_delivers_what_was_meant(self):
        for mode in MODES:
            front = self.front(mode)
            for options in (("--pipelining", "off"), ("--pipelining", "group"), ("--pipelining", "stream"), ("--bdat", "--window", "8"),
                            ("-k", "3"), ("-R", "400"), ("-r", "1-5", "--pipelining", "stream"), ("-l", "0-60k", "--pipelining", "stream")):
                with self.subTest(mode=mode, options=options):
                    result = self.load(front.port, mode, "-n", "120", "-c", "4", "-l", "2000", *options)
                    self.assertEqual((result["totals"]["accepted"], result["errors"]), (120, []), result["replies"])
                    self.assertEqual(self.audit(front)["found"], 120)
                    self.assertEqual(result["config"]["tls"], mode)
                    self.assertEqual(result["phases"]["tls"]["count"], result["totals"]["connects"])
                    self.assertEqual(result["tls"]["full"], result["totals"]["connects"])
                    self.assertEqual([suite["version"] for suite in result["tls"]["suites"]], ["TLSv1.3"])
                    self.assertEqual(result["tls"]["truncated"], 0)
                    starttls = result["phases"]["starttls"]
                    self.assertEqual(starttls and starttls["count"], result["totals"]["connects"] if mode == "starttls" else None)
            self.assertEqual(front.errors, [])
            self.assertEqual(set(front.plain_lines), {b"EHLO client.test\r\n", b"STARTTLS\r\n"} if mode == "starttls" else set())

    def test_large_messages(self):
        for mode, options in (("starttls", ("--pipelining", "group")), ("implicit", ("--pipelining", "stream")),
                              ("starttls", ("--bdat", "--window", "4"))):
            front = self.front(mode)
            result = self.load(front.port, mode, "-n", "24", "-c", "3", "-l", "1M", *options)
            self.assertEqual((result["totals"]["accepted"], result["errors"]), (24, []))
            self.assertEqual(self.audit(front)["found"], 24)
            self.assertGreater(result["totals"]["wire_tx_bytes"], 24 * 1000000 * (1 + 22 / 16384))

    def test_lmtp(self):
        front = self.front("starttls", "-L")
        result = self.load(front.port, "starttls", "-L", "-n", "50", "-c", "2", "-r", "3")
        self.assertEqual(result["totals"]["recipients_accepted"], 150)
        self.assertEqual(self.audit(front)["found"], 50)

    def test_tls_1_2_and_what_was_agreed_on(self):
        one = self.certificates.context(ssl.TLSVersion.TLSv1_2)
        other = self.certificates.context()
        front = self.front("implicit", choose=lambda number: one if number % 2 else other)
        result = self.load(front.port, "implicit", "-n", "40", "-c", "1", "-k", "4")
        suites = {suite["version"]: suite for suite in result["tls"]["suites"]}
        self.assertEqual(set(suites), {"TLSv1.2", "TLSv1.3"})
        self.assertEqual(sum(suite["count"] for suite in suites.values()), result["totals"]["connects"])
        self.assertIn("GCM", suites["TLSv1.3"]["cipher"] + suites["TLSv1.2"]["cipher"])
        self.assertRegex(self.text, r"(?m)^tls implicit, several ciphers, not verified$")
        self.assertRegex(self.text, r"(?m)^ +\d+ TLSv1\.2 \S+\n +\d+ TLSv1\.3 \S+$")
        self.assertEqual(self.audit(front)["found"], 40)
        only = self.front("starttls", context=one)
        self.load(only.port, "starttls", "-n", "10", "-c", "1")
        self.assertRegex(self.text, r"(?m)^tls starttls, TLSv1\.2 ECDHE-ECDSA-AES\d+-GCM-SHA\d+, not verified$")

    def test_unix_socket(self):
        """Nothing about TLS needs TCP."""
        server = harness.Server()
        self.addCleanup(server.close)
        path = self.path("socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(10)
            front = tls_front.Front.__new__(tls_front.Front)
            front.__init__(self.certificates.context(), ("127.0.0.1", server.port), "implicit")
            self.addCleanup(front.close)
            tcp, front.listener = front.listener, listener
            threading.Thread(target=self.accept_unix, args=(front, listener), daemon=True).start()
            target = ("-q", "--tls", "implicit", "-n", "20", "-c", "2")
            result = harness.run(harness.LOADGEN, *target, f"unix:{path}")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(len(harness.listed(server.spool)), 20)
            verified = ("--tls-verify", "--tls-ca", self.certificates.authority)
            refused = harness.run(harness.LOADGEN, *target, *verified, f"unix:{path}")
            self.assertEqual(refused.returncode, 2)
            self.assertIn("--tls-name", refused.stderr)
            result = harness.run(harness.LOADGEN, *target, *verified, "--tls-name", "mx.test", f"unix:{path}")
            self.assertEqual(result.returncode, 0, result.stderr)
            tcp.close()

    @staticmethod
    def accept_unix(front, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=front.talk, args=(client, 1), daemon=True).start()

    # ---- who the server is ----

    def test_verification(self):
        front = self.front("implicit")
        strange = tls_front.Certificates(self.certificates_home, prefix="strange")
        ours = ("--tls-verify", "--tls-ca", self.certificates.authority)
        options = ("-n", "10", "-c", "2", "-d", "5s")
        result = self.load(front.port, "implicit", *options, *ours)
        self.assertEqual(result["totals"]["accepted"], 10)
        self.assertRegex(self.text, r"(?m)^tls implicit, TLSv1.3 TLS_\w+, verified$")
        self.load(front.port, "implicit", *options, *ours, host="localhost")
        self.load(front.port, "implicit", *options, *ours, "--tls-name", "mx.test")
        unsigned = "give its authority by --tls-ca FILE, or leave out --tls-verify"
        for wrong, why, remedy in ((("--tls-verify", "--tls-ca", strange.authority), "issuer", unsigned), (("--tls-verify",), "issuer", unsigned),
                                   ((*ours, "--tls-name", "other.test"), "hostname mismatch", "not for other.test: name what it is for by --tls-name"),
                                   ((*ours, "--tls-name", "127.0.0.2"), "IP address mismatch", "not for 127.0.0.2: name what it is for by --tls-name")):
            with self.subTest(wrong=wrong):
                begin = time.monotonic()
                result = self.load(front.port, "implicit", *options, *wrong, expected=1)
                self.assertLess(time.monotonic() - begin, 4) # nobody waits for a certificate to become another
                self.assertEqual(result["totals"]["accepted"], 0)
                error = result["errors"][0]
                self.assertEqual((error["phase"], error["class"], error["detail"], error["errno"]), ("tls", "connection", "tls", None))
                self.assertIn(why, error["text"])
                self.assert_barrier(result, f"no TLS with 127.0.0.1:{front.port}: {error['text']}: ", remedy)
                self.assertRegex(self.text, r"(?m)^tls implicit, no handshake, to be verified$")
                self.assertRegex(self.text, r"(?m)^error +\d+  connection tls at tls\n +" + re.escape(error["text"]) + "$")
        self.assertEqual(len(harness.listed(front.server.spool)), 30)
        # The server was told why: an alert, not a mere end.
        self.wait(lambda: any("alert" in error.lower() for error in front.errors), lambda: front.errors)

    def test_authorities_that_can_not_be_read(self):
        for file, why in ((self.path("missing"), "can't be read: No such file or directory"), (__file__, "give certificates in PEM")):
            result = harness.run(harness.LOADGEN, "-q", "--tls", "implicit", "--tls-verify", "--tls-ca", file, "127.0.0.1:1")
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(os.path.basename(file), result.stderr)
            self.assertIn(why, result.stderr)

    # ---- tickets ----

    def test_resumption(self):
        for mode, version in (("implicit", None), ("starttls", None), ("implicit", ssl.TLSVersion.TLSv1_2)):
            with self.subTest(mode=mode, version=version):
                front = self.front(mode, context=self.certificates.context(version))
                result = self.load(front.port, mode, "-n", "60", "-c", "2", "-k", "1", "--tls-resume")
                tls = result["tls"]
                self.assertEqual(tls["full"] + tls["resumed"], result["totals"]["connects"])
                self.assertIn(tls["full"], (1, 2)) # those that began before there was a ticket
                self.wait(lambda: front.reused == tls["resumed"], lambda: (front.reused, tls))
                self.assertEqual(self.audit(front)["found"], 60)
                self.assertRegex(self.text, r"(?m)^tls .*, not verified, resumed$")
                again = self.load(front.port, mode, "-n", "10", "-c", "2", "-k", "1")
                self.assertEqual(again["tls"]["resumed"], 0)
                self.assertEqual(front.reused, tls["resumed"])

    def test_a_ticket_that_is_not_known_any_more(self):
        """Each connection meets a server with other ticket keys: full handshakes, no failure."""
        front = self.front("implicit", choose=lambda number: self.certificates.context())
        result = self.load(front.port, "implicit", "-n", "20", "-c", "1", "-k", "1", "--tls-resume")
        self.assertEqual((result["tls"]["full"], result["tls"]["resumed"], result["errors"]), (result["totals"]["connects"], 0, []))

    # ---- what fails ----

    def failing(self, greet=None, mode="starttls", **manners):
        front = tls_front.Front(self.certificates.context(), ("127.0.0.1", 1), mode, greet=greet, **manners)
        self.addCleanup(front.close)
        return front

    def test_not_offered(self):
        front = self.failing()
        front.greet_otherwise = lambda client: front.greet(client, keywords=b"SIZE 9")
        result = self.load(front.port, "starttls", "-n", "5", "-c", "2", "-d", "5s", "--auth", "user:secret", expected=1)
        [error] = result["errors"]
        self.assertEqual((error["phase"], error["class"], error["detail"], error["text"]),
                         ("starttls", "connection", "tls", "the server does not offer STARTTLS"))
        self.assert_barrier(result, f"no TLS with 127.0.0.1:{front.port}: the server does not offer STARTTLS: ",
                            "leave out --tls, or try --tls implicit on a port of its own")
        self.assertRegex(self.text, r"(?m)^tls starttls, no handshake, not to be verified$")
        self.assertLessEqual(set(front.plain_lines), {b"EHLO client.test\r\n", b"QUIT\r\n"})

    def test_ehlo_refused_is_no_way_around(self):
        def greet(client):
            client.sendall(b"220 old\r\n")
            while (line := front.line(client)) and line != b"QUIT\r\n":
                client.sendall(b"500 what?\r\n")

        front = self.failing(greet)
        self.load(front.port, "starttls", "-n", "5", "-c", "1", "-d", "5s", expected=1)
        self.assertLessEqual(set(front.plain_lines), {b"EHLO client.test\r\n", b"QUIT\r\n"})

    def test_starttls_refused(self):
        front = self.failing()
        front.greet_otherwise = lambda client: front.greet(client, answer=b"454 4.7.0 not now\r\n") or front.line(client)[:0]
        result = self.load(front.port, "starttls", "-n", "5", "-c", "1", "-d", "300ms", "--timeout", "1s", expected=1)
        refused = [(reply["phase"], reply["code"]) for reply in result["replies"] if reply["code"] >= 400]
        self.assertEqual(refused, [("starttls", 454)])
        self.assertNotIn(b"MAIL", b"".join(front.plain_lines))

    def test_octets_behind_starttls_are_an_attack(self):
        """What came in plain is not taken for what comes by TLS (as in CVE-2011-0411): whole lines, parts of one, more of the reply."""
        for behind in (b"250 injected\r\n", b"25", b"250-x\r\n", b"\r\n"):
            with self.subTest(behind=behind):
                front = self.failing()
                front.greet_otherwise = lambda client, behind=behind: front.greet(client, answer=b"220 go\r\n" + behind)
                result = self.load(front.port, "starttls", "-n", "2", "-c", "1", "-d", "300ms", "--timeout", "1s", expected=1)
                self.assertEqual({error["class"] for error in result["errors"]}, {"protocol"}, result["errors"])
                self.assertIsNone(result["phases"]["tls"])

    def test_no_tls_at_all(self):
        for octets in (b"220 mx.test ESMTP\r\n", b"\x16\x03\x03\x00\x05hello", bytes(range(256)) * 8):
            def greet(client, octets=octets):
                client.sendall(octets)
                time.sleep(0.3)

            front = self.failing(greet, mode="plain")
            result = self.load(front.port, "implicit", "-n", "2", "-c", "1", "-d", "5s", expected=1)
            error = result["errors"][0]
            self.assertEqual((error["phase"], error["detail"]), ("tls", "tls"), result["errors"])
            self.assert_barrier(result, f"no TLS with 127.0.0.1:{front.port}: {error['text']}",
                                "is it a port for --tls starttls, or for none?" if octets.startswith(b"220") else "")

    def test_an_end_in_the_handshake(self):
        front = self.failing(lambda client: None, mode="plain")
        result = self.load(front.port, "implicit", "-n", "2", "-c", "1", "-d", "300ms", "--timeout", "1s", expected=1)
        self.assertEqual({error["phase"] for error in result["errors"]}, {"tls"})
        self.assertLessEqual({error["detail"] for error in result["errors"]}, {"closed", "reset"})

    def test_a_stall_in_the_handshake_is_a_timeout(self):
        for mode in MODES:
            def greet(client):
                if mode == "starttls":
                    front.greet(client)
                time.sleep(20)

            front = self.failing(greet, mode="plain")
            begin = time.monotonic()
            result = self.load(front.port, mode, "-n", "4", "-c", "2", "-d", "1s", "--timeout", "300ms", expected=1)
            self.assertLess(time.monotonic() - begin, 8)
            self.assertEqual({(error["phase"], error["class"]) for error in result["errors"]}, {("tls", "timeout")})
            self.assertRegex(self.text, r"timeout at tls")
            self.assert_barrier(result, f"no TLS with 127.0.0.1:{front.port}: no handshake within 300ms", "")

    def test_a_handshake_that_trickles_is_a_timeout(self):
        """Octet by octet, each within --timeout: ServerHello, complete but late."""
        for mode in MODES:
            def greet(client):
                if mode == "starttls":
                    front.greet(client)
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                secured = self.certificates.context().wrap_bio(incoming, outgoing, server_side=True)
                incoming.write(client.recv(65536))
                with self.assertRaises(ssl.SSLWantReadError):
                    secured.do_handshake()
                for octet in outgoing.read():
                    client.sendall(bytes((octet,)))
                    time.sleep(0.05)

            front = self.failing(greet, mode="plain")
            begin = time.monotonic()
            result = self.load(front.port, mode, "-n", "1", "-c", "1", "-d", "1200ms", "--drain", "100ms", "--timeout", "500ms", expected=1)
            self.assertLess(time.monotonic() - begin, 8)
            self.assertEqual({(error["phase"], error["class"]) for error in result["errors"]}, {("tls", "timeout")})

    def test_a_server_that_waits_for_tls(self):
        """It takes the connection and says nothing, or ends it in the end: no connection timed out."""
        for wait, why in ((20, " within 300ms: "), (0.1, ": closed: ")):
            def greet(client, wait=wait):
                client.settimeout(wait)
                try:
                    client.recv(1)
                except TimeoutError:
                    pass

            front = self.failing(greet, mode="plain")
            for mode in ("off", "starttls"):
                # What ends it is -d, or the patience of a worker that has no session.
                for span in ("1s", "60s") if mode == "off" and wait > 1 else ("1s",):
                    result = self.load(front.port, mode, "-n", "4", "-c", "2", "-d", span, "--timeout", "300ms", expected=1)
                    self.assertEqual({error["phase"] for error in result["errors"]}, {"banner"})
                    self.assert_barrier(result, f"no greeting from 127.0.0.1:{front.port}{why}", "does it speak TLS first? --tls implicit")
        sink = self.ringsink("implicit", "--tls-timeout", "1s")
        result = self.load(sink.port, "off", "-n", "4", "-c", "2", "-d", "3s", expected=1)
        self.assert_barrier(result, f"no greeting from 127.0.0.1:{sink.port}: closed: ", "--tls implicit")

    def test_a_flaky_server_is_tried_again(self):
        """--retry-connect: the first handshakes meet garbage, then all is well."""
        front = self.front("implicit")
        count = [0]

        def secure(client, number, proper=front.secure):
            count[0] += 1
            if count[0] <= 4:
                client.sendall(b"garbage, garbage\r\n")
                time.sleep(0.2)
                return
            proper(client, number)

        front.secure = secure
        result = self.load(front.port, "implicit", "-n", "10", "-c", "2", "--retry-connect", "5", "-d", "20s")
        self.assertEqual(result["totals"]["accepted"], 10)
        self.assertEqual(sum(error["count"] for error in result["errors"]), 4)

    def test_a_killed_server(self):
        front = self.front("implicit")
        killer = threading.Timer(0.7, front.server.kill)
        killer.start()
        path = self.path("result.json")
        harness.run(harness.LOADGEN, "-q", "-o", path, "--ledger", self.path("ledger"), "--tls", "implicit", "--bdat", "--window", "8",
                    "-l", "500", "-c", "2", "-d", "1500ms", "--timeout", "1s", f"127.0.0.1:{front.port}")
        killer.join()
        with open(self.path("ledger"), encoding="utf-8") as file:
            states = {line.split()[5] for line in file if not line.startswith("#")}
        self.assertEqual(states, {"acked", "unknown"})
        self.audit(front)

    # ---- how it ends ----

    def test_close_notify_both_ways(self):
        for mode in MODES:
            front = self.front(mode)
            result = self.load(front.port, mode, "-n", "30", "-c", "2", "-k", "2")
            self.assertEqual((result["tls"]["truncated"], result["totals"]["lost"]), (0, 0))
            self.wait(lambda: front.polite_ends == result["totals"]["connects"],
                      lambda: (front.polite_ends, front.ragged_ends, front.errors))
            self.assertEqual((front.ragged_ends, front.errors), (0, []))

    def test_a_server_without_close_notify_is_noted(self):
        front = self.front("implicit", is_rude=True)
        result = self.load(front.port, "implicit", "-n", "30", "-c", "2", "-k", "2")
        self.assertEqual((result["totals"]["accepted"], result["totals"]["lost"], result["errors"]), (30, 0, []))
        self.assertEqual(result["tls"]["truncated"], result["totals"]["connects"])
        self.assertRegex(self.text, r"(?m)^ +\d+ closed by the server without close_notify$")

    def test_a_server_that_ends_between_messages(self):
        """421, and close_notify: no failure, the next connection takes the message."""
        front = self.front("implicit", "--idle-timeout", "300ms")
        result = self.load(front.port, "implicit", "-w", "600ms", "-n", "6", "-c", "2")
        self.assertEqual((result["totals"]["accepted"], result["totals"]["connection"]), (6, 0), result["errors"])

    def test_drop_and_reset_say_nothing(self):
        for quit_mode in ("drop", "rset"):
            front = self.front("implicit")
            result = self.load(front.port, "implicit", "--quit", quit_mode, "-n", "12", "-c", "2", "-k", "3")
            self.assertEqual((result["totals"]["accepted"], result["totals"]["lost"]), (12, 0))
            self.wait(lambda: front.ragged_ends + len(front.errors) == result["totals"]["connects"],
                      lambda: (front.ragged_ends, front.errors, front.polite_ends))
            self.assertEqual(front.polite_ends, 0)

    # ---- what else a session does ----

    def test_connect_only_counts_handshakes(self):
        for mode, options in (("implicit", ()), ("starttls", ("--tls-resume",))):
            front = self.front(mode)
            result = self.load(front.port, mode, "--scenario", "connect-only", "-c", "4", "-d", "1s", "--warmup", "200ms", *options)
            tls, rates = result["tls"], result["rates"]
            self.assertEqual(result["totals"]["lost"], 0)
            self.assertEqual(tls["full"] + tls["resumed"], result["totals"]["connects"])
            self.assertGreater(tls["full_in_time"] + tls["resumed_in_time"], 10)
            self.assertLess(tls["full_in_time"] + tls["resumed_in_time"], tls["full"] + tls["resumed"])
            self.assertAlmostEqual(tls["full_per_s"], tls["full_in_time"], delta=1)
            self.assertAlmostEqual(tls["resumed_per_s"], tls["resumed_in_time"], delta=1)
            self.assertAlmostEqual(tls["full_per_s"] + tls["resumed_per_s"], rates["sessions_per_s"], delta=10)
            self.assertEqual(tls["full_in_time"] > tls["resumed_in_time"], not options)
            self.assertRegex(self.text, r"(?m)^ +[\d.]+ full/s +[\d.]+ resumed/s$")

    def test_dialogues_run_inside(self):
        path = self.path("written.session")
        with open(path, "w", encoding="ascii") as file:
            file.write("S: 220\nC: EHLO in.side\nS: 250\nC: MAIL FROM:<a@b>\nC: RCPT TO:<c@d>\nC: DATA\nS: 250\nS: 250\nS: 354\nmessage\nS: 250\n"
                       "pause 10ms\nC: VRFY x\nS: 252\nC: QUIT\nS: 221\n")
        for mode in MODES:
            front = self.front(mode)
            result = self.load(front.port, mode, "--session", path, "-n", "40", "-c", "4", "-l", "1k-30k")
            self.assertEqual((result["totals"]["accepted"], result["errors"]), (40, []), result["replies"])
            self.assertEqual(self.audit(front)["found"], 40)
            self.assertNotIn(b"EHLO in.side\r\n", front.plain_lines)
            self.assertEqual(result["tls"]["full"], result["totals"]["connects"])

    def test_login(self):
        users = self.path("users")
        with open(users, "w", encoding="ascii") as file:
            file.write("user:pass:word\n")
        os.chmod(users, 0o600)
        front = self.front("starttls", "--require-auth", "--auth", users)
        result = self.load(front.port, "starttls", "-n", "20", "-c", "2", "--auth", "user:pass:word")
        self.assertEqual((result["totals"]["accepted"], result["phases"]["auth"]["count"]), (20, 2))
        with open(self.path("result.json"), encoding="utf-8") as file:
            self.assertNotIn("pass:word", file.read() + self.text + self.complaint)
        self.assertNotIn(b"AUTH", b"".join(front.plain_lines))
        self.load(front.port, "starttls", "-n", "20", "-c", "2", env={"LOADGEN_AUTH": "user:pass:word"})

    def test_keys_that_change_on_the_way(self):
        """openssl s_server asks for new keys (RFC 8446 4.6.3) in the middle of a dialogue, and of content."""
        port = harness.free_port()
        process = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", self.certificates.chain, "-key",
                                    self.certificates.key, "-crlf", "-msg", "-naccept", "1"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        heard = []
        talk = threading.Thread(target=self.change_keys, args=(process, heard))
        talk.start()
        time.sleep(0.5)
        result = self.load(port, "implicit", "-n", "2", "-c", "1", "-l", "300k", "--timeout", "10s", "-d", "20s", expected=0)
        talk.join()
        self.assertEqual((result["totals"]["accepted"], result["errors"]), (2, []))
        # It asked for ours, too, and got them.
        self.assertGreater(sum("<<< TLS 1.3, Handshake [length 0005], KeyUpdate" in line for line in heard), 5)

    @staticmethod
    def change_keys(process, heard):
        def say(*lines):
            for line in lines:
                process.stdin.write(line + "\n")
                process.stdin.flush()
                time.sleep(0.1)

        for line in process.stdout:
            line = line.rstrip("\r\n")
            heard.append(line)
            if line.startswith("CIPHER is"):
                say("220 s_server")
            elif line.startswith("EHLO"):
                say("K", "250 s_server", "K")
            elif line.startswith(("MAIL", "RCPT")):
                say("250 ok", "k")
            elif line == "DATA":
                say("354 go", "K", "K", "k", "K")
            elif line == ".":
                say("K", "250 kept")
            elif line == "QUIT":
                say("221 bye")
                return

    def test_so_many_handshakes_at_a_time(self):
        """Who is connected and still shakes hands counts: the server's queues are finite."""
        front = self.failing(lambda client: time.sleep(4), mode="plain")
        process = subprocess.Popen([harness.LOADGEN, "-q", "--tls", "implicit", "-t", "1", "-c", "700", "-d", "1s", "--timeout", "2500ms",
                                    f"127.0.0.1:{front.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait(lambda: front.connections >= 512, lambda: front.connections)
        time.sleep(0.7)
        self.assertEqual(front.connections, 512)

    # ---- ringsink's own TLS ----

    def ringsink(self, mode, *options):
        server = harness.Server("--tls", mode, *options)
        self.addCleanup(server.close)
        front = type("NoFront", (), {"server": server, "port": server.port})
        return front

    def test_ringsink(self):
        for mode in MODES:
            sink = self.ringsink(mode, "--require-tls")
            connects = resumed = 0
            for options in (("--pipelining", "off"), ("--pipelining", "stream"), ("--bdat", "--window", "16"), ("-k", "2", "--tls-resume"),
                            ("-l", "300k", "-n", "40"), ("-R", "500"), ("-w", "5ms")):
                with self.subTest(mode=mode, options=options):
                    result = self.load(sink.port, mode, "-n", "200", "-c", "5", "-l", "2000", *options)
                    self.assertEqual((result["totals"]["accepted"], result["errors"], result["tls"]["truncated"]),
                                     (40 if "300k" in options else 200, [], 0), result["replies"])
                    self.assertEqual(self.audit(sink)["found"], result["totals"]["accepted"])
                    connects += result["totals"]["connects"]
                    resumed += result["tls"]["resumed"]
            self.assertEqual(sink.server.stop(), 0)
            totals = sink.server.totals()
            self.assertEqual((totals["TLS handshakes"], totals["of these resumed"], totals["client sent QUIT"]), (connects, resumed, connects))
            self.assertGreater(resumed, 80)

    def test_logins_that_ringsink_takes_inside_alone(self):
        sink = self.ringsink("starttls", "--auth", "any", "--require-auth", "--auth-require-tls")
        result = self.load(sink.port, "starttls", "-n", "20", "-c", "2", "--auth", "user:secret")
        self.assertEqual((result["totals"]["accepted"], result["phases"]["auth"]["count"]), (20, 2))
        plain = harness.run(harness.LOADGEN, "-q", "-n", "5", "-c", "1", "-d", "500ms", "--auth", "user:secret", f"127.0.0.1:{sink.port}")
        self.assertEqual(plain.returncode, 1, plain.stdout)

    def test_more_connections_than_the_server_shakes_hands_with_at_a_time(self):
        for mode in MODES:
            sink = self.ringsink(mode, "--tls-handshakes", "20", "-m", "2000")
            result = self.load(sink.port, mode, "-c", "700", "-n", "1400", "-l", "500")
            self.assertEqual((result["totals"]["accepted"], result["tls"]["full"], result["errors"]), (1400, 700, []))
            self.assertEqual(self.audit(sink)["found"], 1400)

    # ---- reports ----

    def test_saved_results_are_read_again_and_added_up(self):
        front = self.front("starttls")
        for name in ("a.json", "b.json"):
            self.load(front.port, "starttls", "-n", "40", "-c", "2", "-k", "2", "--tls-resume", name=name)
            told = harness.run(harness.LOADGEN, "report", self.path(name))
            self.assertEqual(told.stdout, self.text)
        both = harness.run(harness.LOADGEN, "report", "--json", self.path("a.json"), self.path("b.json"))
        self.assertEqual(both.returncode, 0, both.stderr)
        with open(self.path("a.json"), encoding="utf-8") as one, open(self.path("b.json"), encoding="utf-8") as other:
            parts, whole = [json.load(one)["tls"], json.load(other)["tls"]], json.loads(both.stdout)["tls"]
        for name in ("full", "resumed", "memory_max_bytes"):
            self.assertEqual(whole[name], parts[0][name] + parts[1][name])
        self.assertEqual(whole["suites"][0]["count"], sum(part["suites"][0]["count"] for part in parts))
        plain = harness.run(harness.LOADGEN, "-q", "-n", "5", "-o", self.path("plain.json"), f"127.0.0.1:{front.server.port}")
        self.assertEqual(plain.returncode, 0)
        mixed = harness.run(harness.LOADGEN, "report", self.path("a.json"), self.path("plain.json"))
        self.assertEqual(mixed.returncode, 2)
        self.assertIn("tls is starttls in one result and off in another", mixed.stderr)

    def test_failures_are_read_again(self):
        front = self.failing()
        front.greet_otherwise = lambda client: front.greet(client, keywords=b"SIZE 9")
        self.load(front.port, "starttls", "-n", "5", "-c", "1", "-d", "5s", expected=1)
        told = harness.run(harness.LOADGEN, "report", self.path("result.json"))
        self.assertEqual((told.returncode, told.stdout), (0, self.text))
        well = self.front("implicit")
        self.load(well.port, "implicit", "-n", "5", "-c", "1", name="well.json")
        self.assertEqual(node(VALIDATE, SCHEMA, self.path("result.json"), self.path("well.json")), [[], []])

    def test_the_plan_and_the_version_name_it(self):
        front = self.front("implicit")
        result = harness.run(harness.LOADGEN, "-n", "5", "--tls", "implicit", f"127.0.0.1:{front.port}")
        self.assertRegex(result.stderr, r"TLS by implicit, certificate not verified; what OpenSSL 3\.\S+")
        version = harness.run(harness.LOADGEN, "--version")
        self.assertRegex(version.stdout, r", tls\(OpenSSL 3\.\d+\.\d+\)$")

    def test_options_that_do_not_go_together(self):
        for options, text in ((("--tls-ca", "x"), "--tls-ca goes with --tls"), (("--tls-verify",), "--tls-verify goes with"),
                              (("--tls-resume",), "--tls-resume goes with"), (("--tls-name", "x"), "--tls-name goes with"),
                              (("--tls", "implicit", "--tls-ca", "x"), "--tls-verify"), (("--tls", "maybe"), "starttls"),
                              (("--tls", "implicit", "--tls-name", "a b"), "--tls-name")):
            result = harness.run(harness.LOADGEN, *options, "127.0.0.1:1")
            self.assertEqual(result.returncode, 2, options)
            self.assertIn(text, result.stderr)

    def test_calibration(self):
        environment = {**os.environ, "XDG_CACHE_HOME": self.path("cache")}
        for options in (("--tls", "implicit"), ("--tls", "starttls", "--tls-verify", "--auth", "user:secret"), ()):
            result = harness.run(harness.LOADGEN, "-q", "-c", "10", "-t", "1", "-l", "600", "--calibrate", *options, env=environment)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stdout, r"ceiling +\d+ messages/s a worker")
            self.assertRegex(result.stdout, r" 0 failed")
            self.assertNotIn("close_notify", result.stdout)
        with open(os.path.join(self.home, "cache", "ringsink", "calibration.json"), encoding="utf-8") as file:
            keys = list(json.load(file))
        self.assertEqual(sum(key.endswith(", tls") for key in keys), 2, keys)
        self.assertEqual(len(keys), 3)

    def test_calibration_with_handshakes(self):
        """A ceiling of connections that last says nothing of -k 1, where each message pays a handshake."""
        environment = {"XDG_CACHE_HOME": self.path("cache")}
        tls = ("-l", "600", "-c", "10", "-k", "1")
        for mode, options, column in (("implicit", (), 0), ("starttls", ("--tls-resume",), 1)):
            result = harness.run(harness.LOADGEN, "-q", "-t", "1", "--calibrate", "--tls", mode, *tls, *options, env={**os.environ, **environment})
            self.assertEqual(result.returncode, 0, result.stderr)
            started, failed = re.search(r"(?m)^messages +([\d ]+) started .* (\d+) failed$", result.stdout).groups()
            shaken = re.search(r"(?m)^handshakes +([\d ]+) full +([\d ]+) resumed$", result.stdout).group(1 + column)
            self.assertEqual(failed, "0")
            self.assertGreaterEqual(int(shaken.replace(" ", "")), int(started.replace(" ", "")), result.stdout)
        with open(os.path.join(self.home, "cache", "ringsink", "calibration.json"), encoding="utf-8") as file:
            keys = list(json.load(file))
        self.assertEqual([re.sub(r".*, auto", "", key) for key in keys], [", tls, -k 1", ", tls, -k 1, resumed"])
        # Each is found by a run like it alone.
        front = self.front("implicit")
        for options, is_known in (((), True), (("--tls-resume",), True), (("-k", "2"), False), (("-k", "inf"), False),
                                  (("--tls-verify", "--tls-ca", self.certificates.authority), False)):
            result = self.load(front.port, "implicit", *tls, "-R", "20", "-d", "1s", *options, env=environment)
            self.assertEqual(result["verdict"]["checks"]["ceiling_per_s"] is not None, is_known, options)
        verified = harness.run(harness.LOADGEN, "--calibrate", "--tls", "implicit", "--tls-verify", *tls)
        self.assertEqual(verified.returncode, 2)
        self.assertIn("leave out --tls-verify", verified.stderr)

    def test_a_signal_ends_it_with_a_report(self):
        front = self.front("implicit")
        process = subprocess.Popen([harness.LOADGEN, "-q", "--tls", "implicit", "-c", "20", "-d", "60s", f"127.0.0.1:{front.port}"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertIn("ABORTED", out)


if __name__ == "__main__":
    unittest.main()
