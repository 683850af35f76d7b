"""What each option of the protocol does, what contradicts, and what must never be told."""
import base64
import os
import re
import shutil
import signal
import tempfile
import time
import unittest

import harness

KEYWORDS = ("PIPELINING", "SIZE", "VRFY", "ETRN", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING",
            "BINARYMIME", "AUTH", "HELP")
# What goes with a keyword, because an RFC bases it on that one.
GOES_TOO = {"8BITMIME": {"SMTPUTF8"}, "CHUNKING": {"BINARYMIME"}}
# A command of the extension, sent behind EHLO (and behind a sender where it needs one), and its answer when it is off.
WHEN_OFF = {
    "SIZE": (b"MAIL FROM:<a@b> SIZE=10\r\n", b"555 "), "VRFY": (b"VRFY user\r\n", b"50"),
    "ETRN": (b"ETRN d\r\n", b"50"),     "DSN": (b"MAIL FROM:<a@b> RET=FULL\r\n", b"555 "), "SMTPUTF8": (b"MAIL FROM:<a@b> SMTPUTF8\r\n", b"555 "),
    "CHUNKING": (b"BDAT 0 LAST\r\n", b"50"), "BINARYMIME": (b"MAIL FROM:<a@b> BODY=BINARYMIME\r\n", b"5"),
    "AUTH": (b"AUTH PLAIN AGEAYg==\r\n", b"50"), "HELP": (b"HELP\r\n", b"50"),
}
SECRET = b"hunter2-and:more"
CODED = base64.b64encode(b"\0alice\0" + SECRET)


def offered(answer):
    return {line[4:].split()[0].decode() for line in answer.split(b"\r\n")[1:] if line}


class Extensions(unittest.TestCase):
    def test_all_are_offered(self):
        with harness.Server() as server, server.connect() as client:
            client.reply()
            self.assertEqual(offered(client.ask(b"EHLO a\r\n")), set(KEYWORDS))

    def test_each_can_be_switched_off(self):
        for keyword in KEYWORDS:
            with self.subTest(keyword=keyword), harness.Server(f"--no-{keyword.lower()}", threads=1) as server, \
                    server.connect() as client:
                client.reply()
                gone = {keyword} | GOES_TOO.get(keyword, set())
                self.assertEqual(offered(client.ask(b"EHLO a\r\n")), set(KEYWORDS) - gone)
                if keyword in WHEN_OFF:
                    command, expected = WHEN_OFF[keyword]
                    answer = client.ask(command)
                    self.assertTrue(answer.startswith(expected), answer)
                if keyword == "ENHANCEDSTATUSCODES":
                    self.assertEqual(client.ask(b"NOOP\r\n"), b"250 Ok\r\n")
                self.assertEqual(client.ask(b"NOOP\r\n")[:3], b"250")

    def test_body_means_nothing_without_its_extensions(self):
        with harness.Server("--no-8bitmime", "--no-binarymime") as server, server.connect() as client:
            client.begin()
            self.assertTrue(client.ask(b"MAIL FROM:<a@b> BODY=8BITMIME\r\n").startswith(b"555 "))

    def test_environment(self):
        environment = {**os.environ, "RINGSINK_NO_CHUNKING": "1", "RINGSINK_LMTP": "yes", "RINGSINK_AUTH": "none"}
        with harness.Server(env=environment) as server, server.connect() as client:
            client.reply()
            self.assertEqual(offered(client.ask(b"LHLO a\r\n")), set(KEYWORDS) - {"CHUNKING", "BINARYMIME", "AUTH"})

    def test_no_enhanced_codes_where_the_server_refuses_by_itself(self):
        """What the server says without a dialogue follows the switch too (RFC 2034 3)."""
        for options, reply in (((), b"421 4.3.2 "), (("--no-enhancedstatuscodes",), b"421 Too many")):
            with self.subTest(options=options), harness.Server("-m", "1", *options) as server, \
                    server.connect() as first:
                first.begin()
                with server.connect() as second:
                    answer = second.reply()
                self.assertTrue(answer.startswith(reply), answer)

    def test_help_names_every_option_and_its_default(self):
        text = " ".join(harness.run(harness.RINGSINK, "--help=smtp").stdout.split())
        for name, default in (("--bare-newline", "keep"), ("--auth", "any"), ("--max-bad-commands", "20"),
                              ("--command-timeout", "300s"), ("--min-data-rate", "500"), ("--idle-timeout", "300s")):
            self.assertRegex(text, rf"{name} [A-Z]+ [^\[]*\[{default}\]")
        for name in ("-L, --lmtp", "--strict", "--strict-lines", "--require-auth", "--no-service",
                     *(f"--no-{keyword.lower()}" for keyword in KEYWORDS)):
            self.assertIn(f"{name} ", text)


class Contradictions(unittest.TestCase):
    def fails(self, options, *words):
        with tempfile.TemporaryDirectory() as home:
            result = harness.run(harness.RINGSINK, "--spool", os.path.join(home, "spool"), *options, timeout=30)
        self.assertEqual(result.returncode, 2, result.stderr)
        lines = [line for line in result.stderr.splitlines() if ": error: " in line]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def test_lmtp(self):
        self.fails(("-L", "127.0.0.1:25"), "port 25", "2033")
        self.fails(("-L", "127.0.0.1:2525", "[::1]:25"), "port 25")
        self.fails(("--lmtp", "--no-pipelining"), "--no-pipelining", "2033")
        self.fails(("--lmtp", "--no-enhancedstatuscodes"), "--no-enhancedstatuscodes", "2033")

    def test_nobody_could_log_in(self):
        self.fails(("--require-auth", "--auth", "none"), "--require-auth", "--auth none")
        self.fails(("--require-auth", "--no-auth"), "--require-auth", "--auth none")

    def test_values(self):
        self.fails(("--bare-newline", "drop"), "drop", "keep", "reject", "normalize")
        self.fails(("--max-bad-commands", "0"), "--max-bad-commands")
        self.fails(("--max-bad-commands", "100000"), "--max-bad-commands")
        self.fails(("--command-timeout", "0"), "--command-timeout")
        self.fails(("--min-data-rate", "fast"), "--min-data-rate", "fast")


class Login(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="ringsink-login-")
        self.addCleanup(shutil.rmtree, self.home, True)
        self.path = os.path.join(self.home, "users")
        self.write(b"# comment\n\nbob:builder\r\nalice:" + SECRET + b"\n")

    def write(self, octets, mode=0o600):
        with open(self.path, "wb") as file:
            file.write(octets)
        os.chmod(self.path, mode)

    def fails(self, *words):
        result = harness.run(harness.RINGSINK, "--auth", self.path, "--spool", os.path.join(self.home, "spool"), timeout=30)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stderr.count(": error: "), 1, result.stderr)
        for word in (self.path, *words):
            self.assertIn(word, result.stderr)
        self.assertNotIn("hunter2", result.stderr)

    def test_users_of_a_file(self):
        with harness.Server("--auth", self.path) as server:
            for credentials, code in ((b"\0alice\0" + SECRET, b"235"), (b"\0bob\0builder", b"235"),
                                      (b"\0bob\0" + SECRET, b"535"), (b"\0alice\0hunter2-and", b"535"),
                                      (b"\0alice\0" + SECRET + b"\r", b"535"), (b"\0# comment\0", b"535"),
                                      (b"\0carol\0builder", b"535"), (b"\0alice\0", b"535")):
                with self.subTest(credentials=credentials), server.connect() as client:
                    client.begin()
                    answer = client.ask(b"AUTH PLAIN " + base64.b64encode(credentials) + b"\r\n")
                    self.assertEqual(answer[:3], code, answer)

    def test_required(self):
        with harness.Server("--auth", self.path, "--require-auth") as server, server.connect() as client:
            client.begin()
            self.assertTrue(client.ask(b"MAIL FROM:<a@b>\r\n").startswith(b"530 5.7.0 "))
            self.assertTrue(client.ask(b"AUTH LOGIN\r\n").startswith(b"334 "))
            self.assertTrue(client.ask(base64.b64encode(b"bob") + b"\r\n").startswith(b"334 "))
            self.assertTrue(client.ask(base64.b64encode(b"builder") + b"\r\n").startswith(b"235 "))
            self.assertTrue(client.deliver(b"x\r\n").startswith(b"250"))
            self.assertEqual([message["protocol"] for message in harness.listed(server.spool)], ["ESMTPA"])

    def test_anybody_by_default(self):
        with harness.Server() as server, server.connect() as client:
            client.begin()
            self.assertTrue(client.ask(b"AUTH PLAIN " + CODED + b"\r\n").startswith(b"235"))

    def test_file_is_read_at_the_start_and_may_be_a_pipe(self):
        reader, writer = os.pipe()
        os.write(writer, b"pipe:" + SECRET)
        os.close(writer)
        with harness.Server("--auth", f"/dev/fd/{reader}", pass_fds=(reader,)) as server, server.connect() as client:
            os.close(reader)
            client.begin()
            answer = client.ask(b"AUTH PLAIN " + base64.b64encode(b"\0pipe\0" + SECRET) + b"\r\n")
            self.assertTrue(answer.startswith(b"235"), answer)

    def test_bad_files(self):
        for octets, words in ((b"bob:builder\n\nalice hunter2\n", ("line 3", "user:password", "#")),
                              (b"alice:\n", ("line 1",)), (b":" + SECRET + b"\n", ("line 1",)),
                              (b"alice:" + SECRET + b"\0\n", ("line 1",)), (b"# nobody\n", ("names nobody", "--auth none")),
                              (b"", ("names nobody",)), (b"a:b\n" * 10001, ("line 10001", "10000")),
                              (b"#" * (1 << 20) + b"#", ("too large",))):
            with self.subTest(octets=octets[:30]):
                self.write(octets)
                self.fails(*words)

    def test_unreadable_files(self):
        os.unlink(self.path)
        self.fails("No such file", "user:password")
        self.path = self.home
        self.fails("directory", "user:password")

    def test_file_that_others_can_read(self):
        for mode, is_warned in ((0o644, True), (0o640, False), (0o600, False)):
            with self.subTest(mode=oct(mode)):
                os.chmod(self.path, mode)
                with harness.Server("--auth", self.path) as server:
                    self.assertEqual("others can read" in server.output(), is_warned, server.output())

    def test_passwords_are_never_told(self):
        """-v logs the dialogue, and neither log nor spool has what a login said, however it is cut or goes wrong."""
        plain = b"AUTH PLAIN " + CODED + b"\r\n"
        dialogues = (
            (plain,), (b"AUTH PLAIN\r\n", CODED + b"\r\n"), (b"auth plain " + CODED + b"\r\n",),
            (b"AUTH LOGIN\r\n", base64.b64encode(b"alice") + b"\r\n", base64.b64encode(SECRET) + b"\r\n"),
            (b"AUTH LOGIN " + base64.b64encode(b"alice") + b"\r\n", base64.b64encode(SECRET) + b"\r\n"),
            (b"AUTH CRAM-MD5 " + SECRET + b"\r\n", SECRET + b"\r\n"), (b"AUTH PLAIN\r\n", SECRET + b"\r\n", SECRET + b"\r\n"),
            (b"AUTH " + SECRET + b"\r\n",), (b"AUTH\t" + SECRET + b"\r\n",), (b"AUTH LOGIN\r\n", b"AUTH PLAIN " + CODED + b"\r\n"),
            (b"AUTH PLAIN " + CODED * 700 + b"\r\n",), (b"AUTH PLAIN\r\n", CODED * 700 + b"\r\n"),
        )
        with harness.Server("-v", "--log-level", "debug", "--auth", self.path) as server:
            for dialogue in dialogues:
                for cut in ("whole", "lines", "octets", "pipelined"):
                    if cut == "octets" and sum(map(len, dialogue)) > 1000:
                        continue
                    with self.subTest(dialogue=[line[:40] for line in dialogue], cut=cut), server.connect() as client:
                        client.begin()
                        if cut == "whole":
                            client.send(b"".join(dialogue))
                        elif cut == "pipelined":
                            client.send(b"NOOP\r\n" + b"".join(dialogue) + b"NOOP\r\n")
                        else:
                            for line in dialogue:
                                for octet in (line if cut == "octets" else [line]):
                                    client.send(bytes([octet]) if cut == "octets" else octet)
                                time.sleep(0.01)
                        client.send(b"NOOP end\r\n")
                        client.ask(b"QUIT\r\n")
            with server.connect() as client:
                client.begin()
                self.assertTrue(client.ask(plain).startswith(b"235"))
                self.assertTrue(client.deliver(b"x\r\n").startswith(b"250"))
            self.assertEqual(server.stop(), 0)
            log = server.output()
            self.assertIn("C: AUTH PLAIN *\n", log)
            self.assertIn("C: AUTH LOGIN *\n", log)
            self.assertIn("C: *\n", log)
            self.assertIn("C: NOOP end\n", log)
            secrets = [SECRET[:7], base64.b64encode(SECRET)[:12], CODED[:20]]
            for secret in secrets:
                self.assertNotIn(secret.decode(), log)
            for folder, _, names in os.walk(server.spool):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        content = file.read()
                    for secret in secrets:
                        self.assertNotIn(secret, content)


class Verbose(unittest.TestCase):
    def test_every_line_and_every_reply(self):
        """However it is cut: one line for each command, in order with its reply."""
        lines = (b"EHLO a\r\n", b"NOOP \\one\x07\r\n", b"NOOP two\r\n", b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<c@d>\r\n",
                 b"DATA\r\n", b"secret content\r\n.\r\n", b"QUIT\r\n")
        expected = ["S: 220", "C: EHLO a", "S: 250-", "C: NOOP \\\\one\\x07", "S: 250 2.0.0 Ok", "C: NOOP two",
                    "S: 250 2.0.0 Ok", "C: MAIL FROM:<a@b>", "S: 250 2.1.0 Ok", "C: RCPT TO:<c@d>", "S: 250 2.1.5 Ok",
                    "C: DATA", "S: 354", "S: 250 2.0.0 Ok: queued as", "C: QUIT", "S: 221"]
        for cut in ("whole", "octets"):
            with self.subTest(cut=cut), harness.Server("-v") as server, server.connect() as client:
                octets = b"".join(lines)
                for part in ([octets] if cut == "whole" else [bytes([octet]) for octet in octets]):
                    client.send(part)
                while client.reply():
                    pass
                self.assertEqual(server.stop(), 0)
                told = re.findall(r"info: 127.0.0.1:\d+ ([CS]: .*)", server.output())
                self.assertEqual(len(told), len(expected), told)
                for line, start in zip(told, expected):
                    self.assertTrue(line.startswith(start), (line, start))
                self.assertNotIn("secret content", server.output())


class Strictness(unittest.TestCase):
    CONTENT = b"one\ntwo\rthree\r\n"

    def deliver(self, content, *options):
        """The final reply and what was stored, or None."""
        with harness.Server(*options, threads=1) as server, server.connect() as client:
            client.begin()
            answer = client.deliver(content)
            self.assertTrue(client.ask(b"NOOP\r\n").startswith(b"250"))
            messages = harness.listed(server.spool)
            return answer, harness.cat(server.spool, messages[0]["id"]) if messages else None

    def test_bare_newlines(self):
        for options, code, stored in (((), b"250", self.CONTENT), (("--bare-newline", "keep"), b"250", self.CONTENT),
                                      (("--bare-newline", "reject"), b"550", None),
                                      (("--bare-newline", "normalize"), b"250", b"one\r\ntwo\rthree\r\n")):
            with self.subTest(options=options):
                answer, content = self.deliver(self.CONTENT, *options)
                self.assertEqual(answer[:3], code, answer)
                self.assertEqual(content, stored)

    def test_long_lines(self):
        longest, longer = b"x" * 998 + b"\r\n", b"x" * 999 + b"\r\n"
        self.assertEqual(self.deliver(longer)[1], longer)
        self.assertEqual(self.deliver(longest, "--strict-lines")[1], longest)
        answer, content = self.deliver(longer, "--strict-lines")
        self.assertTrue(answer.startswith(b"554 "), answer)
        self.assertIsNone(content)

    def test_strict_syntax(self):
        for options, code in (((), b"250"), (("--strict",), b"501")):
            with self.subTest(options=options), harness.Server(*options) as server, server.connect() as client:
                client.begin()
                self.assertEqual(client.ask(b"MAIL FROM: <a@b>\r\n")[:3], code)

    def hold(self, server):
        """Stops the server: what is sent now is there before the accept."""
        server.process.send_signal(signal.SIGSTOP)
        folder = f"/proc/{server.process.pid}/task"
        states = [""]
        while states != ["T"] * len(states):
            states = []
            for task in os.listdir(folder):
                with open(os.path.join(folder, task, "stat")) as file:
                    states.append(file.read().rpartition(")")[2].split()[0])

    def test_early_talk(self):
        """A02: a command that comes before the greeting, which a patient client may send alone behind it."""
        with harness.Server("--strict") as server:
            told = 0
            for _ in range(20):
                self.hold(server)
                client = server.connect()
                client.send(b"EHLO a\r\n")
                server.process.send_signal(signal.SIGCONT)
                answer = client.reply()
                self.assertTrue(answer.startswith(b"554 5.5.0 "), answer)
                self.assertEqual(client.reply(), b"")
                told += 1
                client.close()
            with server.connect() as patient:
                patient.begin()
                self.assertTrue(patient.deliver(b"x\r\n").startswith(b"250"))
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["client did not wait for a reply where it must"], told)

    def test_patient_clients_pass_a_strict_server(self):
        with harness.Server("--strict") as server:
            result = harness.run(harness.LOADGEN, "-q", "-c", "50", "-n", "2000", "-l", "1k", f"127.0.0.1:{server.port}")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("client did not wait for a reply where it must", server.totals())

    def test_early_talk_is_tolerated_by_default(self):
        with harness.Server() as server:
            self.hold(server)
            with server.connect() as client:
                client.send(b"EHLO a\r\nNOOP\r\n")
                server.process.send_signal(signal.SIGCONT)
                self.assertEqual([client.reply()[:3] for _ in range(3)], [b"220", b"250", b"250"])

    def test_out_of_service(self):
        """A03"""
        with harness.Server("--no-service") as server, server.connect() as client:
            for command, code in ((b"", b"554 "), (b"NOOP\r\n", b"503 "), (b"EHLO a\r\n", b"503 "), (b"QUIT\r\n", b"221 ")):
                answer = client.ask(command)
                self.assertTrue(answer.startswith(code), answer)
            self.assertEqual(client.reply(), b"")

    def test_bad_commands(self):
        with harness.Server("--max-bad-commands", "3") as server, server.connect() as client:
            client.begin()
            answers = [client.ask(b"FOO\r\n")[:3] for _ in range(4)]
            self.assertEqual(answers, [b"500"] * 3 + [b"421"])
            self.assertEqual(client.reply(), b"")


class Lmtp(unittest.TestCase):
    def test_a_reply_for_each_recipient(self):
        for letter in ("-L", "--lmtp"):
            with self.subTest(letter=letter), harness.Server(letter) as server, server.connect() as client:
                self.assertIn(b"LMTP", client.reply())
                self.assertTrue(client.ask(b"EHLO a\r\n").startswith(b"500"))
                self.assertTrue(client.ask(b"LHLO a\r\n").startswith(b"250"))
                client.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
                self.assertEqual([client.reply()[:3] for _ in range(5)], [b"250", b"250", b"550", b"250", b"354"])
                client.send(b"x\r\n.\r\n")
                self.assertEqual([client.reply()[:3] for _ in range(2)], [b"250", b"250"])
                self.assertTrue(client.ask(b"NOOP\r\n").startswith(b"250 2.0.0 Ok\r\n"))
                [message] = harness.listed(server.spool)
                self.assertEqual((message["protocol"], message["recipients"]), ("LMTP", ["c@d", "c@d"]))


class Hints(unittest.TestCase):
    HINT = "use nc -C"

    def type_line_by_line(self, server, content):
        client = server.connect()
        client.begin()
        for command in (b"MAIL FROM:<a@b>\n", b"RCPT TO:<c@d>\n", b"DATA\n"):
            client.ask(command)
        for part in content:
            client.send(part)
            time.sleep(0.1)
        return client

    def test_lines_that_end_in_a_lone_newline(self):
        for content in ((b"hello\n", b".\n"), (b"hello\n.\n",), (b"hello\r\n.\n",)):
            with self.subTest(content=content), harness.Server(threads=1) as server:
                clients = [self.type_line_by_line(server, content) for _ in range(2)]
                self.assertEqual(server.output().count(self.HINT), 1, server.output()) # once a worker
                self.assertRegex(server.output(), rf"127\.0\.0\.1:\d+.*{self.HINT}")
                for client in clients:
                    self.assertTrue(client.ask(b"\r\n.\r\n").startswith(b"250"))
                    client.close()

    def test_content_that_ends_well_is_no_hint(self):
        with harness.Server(threads=1) as server:
            for content in (b"hello\r\n", b".\n", b"a line.\n", b"\n.\n more\r\n"):
                with server.connect() as client:
                    client.begin()
                    self.assertTrue(client.deliver(content + b"\r\n").startswith(b"250"))
            with server.connect() as client: # a chunk has no dot to wait for
                client.begin()
                client.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 20\r\nx\n.\n")
                time.sleep(0.2)
            self.assertNotIn(self.HINT, server.output())

    def test_commands_behind_a_refused_data_are_counted(self):
        """E33"""
        with harness.Server() as server:
            for _ in range(2):
                with server.connect() as client:
                    client.begin()
                    client.send(b"DATA\r\nMAIL FROM:<evil@x>\r\nNOOP\r\n")
                    self.assertEqual([client.reply()[:3] for _ in range(3)], [b"503", b"250", b"250"])
                    client.ask(b"RSET\r\n")
                    client.ask(b"QUIT\r\n")
            self.assertEqual(server.stop(), 0)
            self.assertEqual(server.totals()["times input stood behind a refused DATA and was read as commands"], 2)


class Space(unittest.TestCase):
    def test_declared_size_that_no_longer_fits(self):
        """C16: 452 at once, and not after the whole message came; smaller ones are still taken."""
        options = ("--spool-size=16Mi", "--segment-size=1Mi", "--size-limit", "4Mi")
        content = b"Subject: fill\r\n\r\n" + (b"y" * 98 + b"\r\n") * 2500
        large = b"MAIL FROM:<a@b> SIZE=4000000\r\n"
        for when_full in ("refuse", "recycle"):
            with self.subTest(when_full=when_full), \
                    harness.Server(*options, "--when-full", when_full, threads=1) as server, server.connect() as client:
                client.begin()
                stored = 0
                while stored < 100 and (answer := client.ask(large)).startswith(b"250"):
                    client.ask(b"RSET\r\n")
                    self.assertTrue(client.deliver(content).startswith(b"250"))
                    stored += 1
                if when_full == "recycle":
                    self.assertEqual(stored, 100)
                    continue
                self.assertTrue(answer.startswith(b"452 4.3.1 "), answer)
                self.assertGreater(stored, 40) # of 64: there is still room for about 4 MB
                for _ in range(4):
                    self.assertTrue(client.deliver(content).startswith(b"250"))
                self.assertNotIn("no segment can be made", server.output())
                trim = harness.run(harness.RINGSPOOL, "trim", server.spool, "--keep", "1Mi")
                self.assertEqual(trim.returncode, 0, trim.stderr)
                end = time.monotonic() + 4 # nobody wants a segment: the steward looks by itself
                while not (answer := client.ask(large)).startswith(b"250") and time.monotonic() < end:
                    time.sleep(0.1)
                self.assertTrue(answer.startswith(b"250"), answer)

    def test_declared_size_fits_an_empty_spool(self):
        with harness.Server("--spool-size=8Mi", "--segment-size=1Mi", "--when-full", "refuse", threads=1) as server, \
                server.connect() as client:
            client.begin()
            self.assertTrue(client.ask(b"MAIL FROM:<a@b> SIZE=2000000\r\n").startswith(b"250"))


if __name__ == "__main__":
    harness.main()
