"""TLS as the server speaks it: STARTTLS and implicit, what it forgets, refuses, bounds and drops."""
import hashlib
import os
import socket
import ssl
import time
import unittest

import harness
from tls_client import Certificate, TlsDialogue, context, implicit

CONTENT = b"Subject: tls\r\n\r\n..dots\r\nand the end\r\n"
STORED = CONTENT.replace(b"\r\n..", b"\r\n.")
WAITED = "TLS handshakes that waited for their turn"


def stored(server):
    return [harness.cat(server.spool, message["id"]) for message in harness.listed(server.spool)]


class Dialogues(unittest.TestCase):
    def assert_code(self, answer, code):
        self.assertEqual(answer[:3], code, answer)

    def test_starttls_delivers(self):
        with harness.Server("--tls=starttls") as server:
            with TlsDialogue(server.port) as client:
                client.reply()
                self.assertIn(b"STARTTLS", client.ask(b"EHLO plain.test\r\n"))
                answer = client.secure()
                self.assert_code(answer, b"250")
                self.assertNotIn(b"STARTTLS", answer)
                self.assertIn(b"250 2.0.0", client.deliver(CONTENT))
                self.assert_code(client.ask(b"QUIT\r\n"), b"221")
                self.assertEqual(client.ends(), "close_notify")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(stored(server), [STORED])
            self.assertEqual(server.totals()["TLS handshakes"], 1)

    def test_implicit_delivers_in_both_versions(self):
        with harness.Server("--tls=implicit") as server:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with implicit(server.port, tls=context(version)) as client:
                    self.assertIn(b"250 2.0.0", client.begin().deliver(CONTENT))
            self.assertEqual(server.stop(), 0)
            self.assertEqual(stored(server), [STORED, STORED])

    def test_both_at_once(self):
        port = harness.free_port()
        with harness.Server("--tls=both", f"--tls-listen=127.0.0.1:{port}") as server:
            with implicit(port) as client:
                self.assertNotIn(b"STARTTLS", client.reply() + client.ask(b"EHLO a\r\n"))
            with TlsDialogue(server.port) as client:
                self.assertIn(b"STARTTLS", client.reply() + client.ask(b"EHLO a\r\n"))

    def test_everything_is_forgotten(self):
        with harness.Server("--tls=starttls") as server, TlsDialogue(server.port) as client:
            client.begin()
            self.assert_code(client.ask(b"AUTH PLAIN AGEAYg==\r\n"), b"235")
            self.assert_code(client.ask(b"STARTTLS\r\n"), b"220")
            client.handshake()
            self.assert_code(client.ask(b"RCPT TO:<b@sink.test>\r\n"), b"503")
            self.assertIn(b"AUTH", client.ask(b"EHLO again\r\n"))
            self.assert_code(client.ask(b"STARTTLS\r\n"), b"554")
            self.assert_code(client.ask(b"AUTH PLAIN AGEAYg==\r\n"), b"235")

    def test_every_octet_by_itself(self):
        with harness.Server("--tls=both", f"--tls-listen=127.0.0.1:{(port := harness.free_port())}") as server:
            with implicit(port, cut=1) as client:
                self.assertIn(b"250 2.0.0", client.begin().deliver(CONTENT))
            with TlsDialogue(server.port, cut=1) as client:
                client.begin()
                client.secure()
                self.assertIn(b"250 2.0.0", client.deliver(CONTENT))
            self.assertEqual(server.stop(), 0)
            self.assertEqual(stored(server), [STORED, STORED])

    def test_large_messages(self):
        line = bytes(range(33, 127)) * 8 + b"\r\n"
        content = b"Subject: large\r\n\r\n" + line * (5_000_000 // len(line))
        with harness.Server("--tls=implicit") as server, implicit(server.port) as client:
            client.begin()
            self.assertIn(b"250 2.0.0", client.deliver(content))
            for command in (b"MAIL FROM:<a@client.test>\r\n", b"RCPT TO:<b@sink.test>\r\n"):
                self.assert_code(client.ask(command), b"250")
            self.assertIn(b"250 2.0.0", client.ask(b"BDAT %d LAST\r\n" % len(content) + content))
            self.assertEqual(server.stop(), 0)
            wanted = hashlib.sha256(content).hexdigest()
            self.assertEqual([hashlib.sha256(message).hexdigest() for message in stored(server)], [wanted] * 2)

    def test_a_client_that_reads_nothing(self):
        count = 20_000
        with harness.Server("--tls=implicit") as server, implicit(server.port, timeout=60) as client:
            client.begin()
            client.socket.setblocking(False)
            records = client.encrypted(b"NOOP\r\n" * count)
            sent, still = 0, 0
            while sent < len(records) and still < 20:
                try:
                    sent += client.socket.send(records[sent:sent + 65536])
                    still = 0
                except BlockingIOError:
                    still += 1
                    time.sleep(0.02)
            client.socket.settimeout(60)
            answers = 0
            while answers < count:
                if sent < len(records):
                    client.socket.setblocking(False)
                    try:
                        sent += client.socket.send(records[sent:sent + 65536])
                    except BlockingIOError:
                        pass
                    client.socket.settimeout(60)
                self.assert_code(client.read_line(), b"250")
                answers += 1
            self.assert_code(client.ask(b"QUIT\r\n"), b"221")

    def test_lmtp_and_disk(self):
        with harness.Server("--tls=starttls", "--lmtp", "--durability=disk") as server, TlsDialogue(server.port) as client:
            client.begin(verb=b"LHLO")
            client.ask(b"STARTTLS\r\n")
            client.handshake()
            client.send(b"LHLO again\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@d.test>\r\nDATA\r\n")
            self.assertEqual([client.reply()[:3] for _ in range(5)], [b"250"] * 4 + [b"354"])
            client.send(CONTENT + b".\r\n")
            self.assertEqual([client.reply()[:3] for _ in range(2)], [b"250"] * 2)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(stored(server), [STORED])


class Resumption(unittest.TestCase):
    def test_tickets_hold_with_every_worker(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with harness.Server("--tls=implicit", threads=2) as server:
                tls = context(version)
                session, resumed = None, 0
                for _ in range(12):
                    with implicit(server.port, tls=tls, session=session) as client:
                        client.begin()
                        resumed += client.object.session_reused
                        session = client.object.session
                        client.ask(b"QUIT\r\n")
                self.assertEqual(resumed, 11)
                self.assertEqual(server.stop(), 0)
                self.assertEqual(server.totals()["of these resumed"], 11)


class Attacks(unittest.TestCase):
    def test_injected_behind_starttls(self):
        for injected in (b"NOOP\r\n", b"x", b"RSET\r\nQUIT\r\n"):
            with harness.Server("--tls=starttls") as server, harness.Dialogue(server.port) as client:
                client.begin()
                client.send(b"STARTTLS\r\n" + injected)
                self.assertEqual(client.reply()[:3], b"554")
                self.assertEqual(client.file.read(), b"")
                self.assertEqual(server.stop(), 0)
                self.assertEqual(server.totals()["client sent plaintext behind STARTTLS"], 1)

    def test_plaintext_instead_of_a_handshake(self):
        with harness.Server("--tls=starttls") as server:
            for octets in (b"EHLO again\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x40\x00" + bytes(100), b"\x80\x2e\x01\x00\x02"):
                with harness.Dialogue(server.port) as client:
                    client.begin()
                    self.assertEqual(client.ask(b"STARTTLS\r\n")[:3], b"220")
                    client.send(octets)
                    client.socket.shutdown(socket.SHUT_WR)
                    rest = client.file.read()
                    self.assertNotIn(b"250", rest)
                    self.assertIn(rest[:1], (b"", b"\x15"))  # an alert at most
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["TLS failed: no handshake, or a record that does not hold"], 4)

    def begin_data(self, client):
        client.begin()
        client.ask(b"MAIL FROM:<a@client.test>\r\n")
        client.ask(b"RCPT TO:<b@sink.test>\r\n")

    def test_close_notify_in_the_middle(self):
        for begin in (b"DATA\r\n", b"BDAT 1000 LAST\r\n"):
            with harness.Server("--tls=implicit") as server:
                client = implicit(server.port)
                self.begin_data(client)
                client.send(begin)
                if begin.startswith(b"DATA"):
                    self.assertEqual(client.reply()[:3], b"354")
                client.send(CONTENT)
                client.say_goodbye()
                client.socket.sendall(b".\r\n")
                self.assertIn(client.ends(), ("close_notify", "fin", "reset"))
                client.close()
                self.assertEqual(server.stop(), 0)
                self.assertEqual(stored(server), [])
                self.assertEqual(server.totals()["client closed or reset in mid-transaction"], 1)

    def test_fin_without_close_notify(self):
        with harness.Server("--tls=implicit") as server:
            client = implicit(server.port)
            self.begin_data(client)
            client.ask(b"DATA\r\n")
            client.send(CONTENT)
            client.close()
            whole = implicit(server.port)
            whole.begin()
            self.assertIn(b"250 2.0.0", whole.deliver(CONTENT))
            whole.close()
            self.assertEqual(server.stop(), 0)
            self.assertEqual(stored(server), [STORED])

    def test_a_flipped_octet(self):
        with harness.Server("--tls=implicit") as server, implicit(server.port) as client:
            self.begin_data(client)
            client.ask(b"DATA\r\n")
            record = bytearray(client.encrypted(CONTENT + b".\r\n"))
            record[-1] ^= 1
            client.socket.sendall(record)
            self.assertEqual(client.ends(), "fin")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(stored(server), [])


class Turns(unittest.TestCase):
    def test_a_stalled_handshake_is_closed(self):
        with harness.Server("--tls=both", f"--tls-listen=127.0.0.1:{(port := harness.free_port())}", "--tls-timeout=500ms") as server:
            silent = socket.create_connection(("127.0.0.1", port), 10)
            halfway = TlsDialogue(port)
            halfway.wire(halfway.begin_handshake()[:20])
            asked = TlsDialogue(server.port)
            asked.begin()
            asked.ask(b"STARTTLS\r\n")
            started = time.monotonic()
            for client in (silent, halfway.socket, asked.socket):
                self.assertEqual(client.recv(100), b"")
            self.assertLess(time.monotonic() - started, 3 * harness.SLOWNESS)
            for client in (silent, halfway, asked):
                client.close()
            with implicit(port) as client:
                self.assertIn(b"250 2.0.0", client.begin().deliver(CONTENT))
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["client took too long over the TLS handshake"], 3)

    def test_others_wait_for_their_turn(self):
        with harness.Server("--tls=both", f"--tls-listen=127.0.0.1:{(port := harness.free_port())}", "--tls-timeout=2s",
                            "--tls-handshakes=2", threads=1) as server:
            stalled = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(2)]
            time.sleep(1)
            asked = TlsDialogue(server.port)
            asked.begin()
            asked.send(b"STARTTLS\r\n")
            asked.socket.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                asked.socket.recv(1)
            asked.socket.settimeout(10)
            asked.file = asked.socket.makefile("rb")
            with implicit(port) as client:
                self.assertIn(b"250 2.0.0", client.begin().deliver(CONTENT))
            self.assertEqual(asked.reply()[:3], b"220")
            asked.handshake()
            asked.ask(b"EHLO a\r\n")
            self.assertIn(b"250 2.0.0", asked.deliver(CONTENT))
            for client in (*stalled, asked):
                client.close()
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()[WAITED], 2)

    def test_whose_turn_does_not_come(self):
        with harness.Server("--tls=both", f"--tls-listen=127.0.0.1:{(port := harness.free_port())}", "--tls-timeout=1s",
                            "--tls-handshakes=1", threads=1) as server:
            stalled = socket.create_connection(("127.0.0.1", port), 10)
            time.sleep(0.2)
            clients = [TlsDialogue(server.port).begin() for _ in range(10)]
            for client in clients:
                client.send(b"STARTTLS\r\n")
            answers = [client.reply() for client in clients]
            self.assertEqual(answers[0][:3], b"220")
            # By then the others' time is over too; it may be another's turn for a last moment.
            late = [client for client, answer in zip(clients, answers) if answer.startswith(b"454 4.7")]
            self.assertGreater(len(late), 5)
            for client in late:
                self.assertIn(b"250 2.0.0", client.deliver(CONTENT))  # it goes on in plain, if it likes
            for client in (stalled, *clients):
                client.close()

    def test_what_is_sent_before_the_220(self):
        with harness.Server("--tls=both", f"--tls-listen=127.0.0.1:{(port := harness.free_port())}", "--tls-timeout=3s",
                            "--tls-handshakes=1", threads=1) as server:
            stalled = socket.create_connection(("127.0.0.1", port), 10)
            time.sleep(0.2)
            with harness.Dialogue(server.port) as client:
                client.begin()
                client.send(b"STARTTLS\r\n")
                time.sleep(0.2)
                client.send(b"NOOP\r\n")
                self.assertIn(client.file.read(), (b"",))
            stalled.close()
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["client sent plaintext behind STARTTLS"], 1)

    def test_a_drain_waits_for_no_handshake(self):
        with harness.Server("--tls=implicit", "--tls-handshakes=1", threads=1) as server:
            stalled = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(3)]
            time.sleep(0.3)
            started = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - started, 3 * harness.SLOWNESS)
            for client in stalled:
                client.close()


class Rules(unittest.TestCase):
    def assert_code(self, answer, code):
        self.assertEqual(answer[:3], code, answer)

    def test_require_tls(self):
        with harness.Server("--tls=starttls", "--require-tls") as server, TlsDialogue(server.port) as client:
            client.begin()
            self.assert_code(client.ask(b"MAIL FROM:<a@b>\r\n"), b"530")
            self.assert_code(client.ask(b"NOOP\r\n"), b"250")
            client.secure()
            self.assertIn(b"250 2.0.0", client.deliver(CONTENT))

    def test_auth_require_tls(self):
        with harness.Server("--tls=starttls", "--auth-require-tls") as server, TlsDialogue(server.port) as client:
            client.reply()
            self.assertNotIn(b"AUTH", client.ask(b"EHLO a\r\n"))
            self.assert_code(client.ask(b"AUTH PLAIN AGEAYg==\r\n"), b"538")
            self.assertIn(b"AUTH", client.secure())
            self.assert_code(client.ask(b"AUTH PLAIN AGEAYg==\r\n"), b"235")


class Identity(unittest.TestCase):
    def test_the_fingerprint_is_that_of_what_is_shown(self):
        with harness.Server("--tls=implicit") as server, implicit(server.port) as client:
            digest = hashlib.sha256(client.object.getpeercert(binary_form=True)).digest()
            self.assertIn("self-signed", server.output())
            self.assertIn(digest.hex(":").upper(), server.output())

    def test_files(self):
        with Certificate() as files:
            with harness.Server("--tls=implicit", f"--cert={files.certificate}", f"--key={files.key}") as server:
                verifying = ssl.create_default_context(cafile=files.certificate)
                with implicit(server.port, tls=verifying) as client:
                    self.assertIn(b"250 2.0.0", client.begin().deliver(CONTENT))

    def refused(self, *options):
        result = harness.run(harness.RINGSINK, f"127.0.0.1:{harness.free_port()}", "--durability=discard", *options, timeout=20)
        self.assertEqual(result.returncode, 2, result.stderr)
        return result.stderr

    def test_what_can_not_be_used(self):
        with Certificate() as files, Certificate() as others:
            both = ("--tls=implicit", f"--cert={files.certificate}")
            os.chmod(files.key, 0o644)
            self.assertIn(f"chmod 600 {files.key}", self.refused(*both, f"--key={files.key}"))
            os.chmod(files.key, 0o600)
            self.assertIn(others.key, self.refused(*both, f"--key={others.key}"))
            self.assertIn("/no/such", self.refused(*both, "--key=/no/such/key.pem"))
            self.assertIn(files.certificate, self.refused(*both))  # no key in it
        with Certificate(bits=1024) as weak:
            self.assertIn("RSA with 2048", self.refused("--tls=implicit", f"--cert={weak.certificate}", f"--key={weak.key}"))

    def test_an_expired_one_is_served_and_said_so(self):
        with Certificate() as files:
            files.expire()
            with harness.Server("--tls=implicit", f"--cert={files.certificate}", f"--key={files.key}") as server, \
                    implicit(server.port) as client:
                self.assertIn(b"250 2.0.0", client.begin().deliver(CONTENT))
                self.assertIn(f"{files.certificate} has expired", server.output())

    def test_contradictions(self):
        for options, word in ((("--require-tls",), "--tls"), (("--cert=x",), "--tls"), (("--tls=implicit", "--tls-listen=:1"), "both"),
                              (("--tls=starttls", "--key=x"), "--cert"), (("--tls-timeout=1s",), "--tls"), (("--tls-handshakes=9",), "--tls"),
                              (("--tls-memory=9Mi",), "--tls"), (("--tls=starttls", "--auth=none", "--auth-require-tls"), "--auth none")):
            self.assertIn(word, self.refused(*options))
        here = f"127.0.0.1:{harness.free_port()}"
        self.assertIn(f"{here} can't be both", self.refused(here, "--tls=both", f"--tls-listen={here}"))


class Trace(unittest.TestCase):
    def test_why_a_client_does_not_get_in(self):
        with harness.Server("--tls=implicit", "--tls-timeout=500ms", "-v") as server:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"EHLO plain.test\r\n")
                client.recv(100)
            with TlsDialogue(server.port, tls=ssl.create_default_context()) as client:  # trusts nobody
                with self.assertRaises(ssl.SSLError):
                    client.handshake()
                client.push()
            socket.create_connection(("127.0.0.1", server.port)).close()
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                self.assertEqual(client.recv(1), b"")
            end = time.monotonic() + 5 * harness.SLOWNESS
            while server.output().count(" TLS failed: ") < 4 and time.monotonic() < end:
                time.sleep(0.05)
            for reason in ("not TLS", "the peer says: unknown certificate authority", "the client left in mid-handshake",
                           "the handshake was not over in time"):
                self.assertRegex(server.output(), rf"127\.0\.0\.1:\d+ TLS failed: {reason}")


if __name__ == "__main__":
    harness.main()
