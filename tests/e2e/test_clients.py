"""Client programs that people use deliver, and what they sent comes back octet for octet."""
import os
import shutil
import smtplib
import subprocess
import tempfile
import unittest

import harness

HARD = (b"Subject: hard\r\n\r\n"
        b".\r\n..\r\n.leading dot\r\n\r\n\r\n...three\r\n"
        b"8-bit: \xe4\xf6\xfc \xff\xfe\r\n" + b"x" * 100_000 + b"\r\n"
        b"tab\tand nul-free control \x01\x02\r\n.\r\nlast\r\n")


def stuff(content):
    return content.replace(b"\r\n.", b"\r\n..") if not content.startswith(b".") else \
        b"." + content.replace(b"\r\n.", b"\r\n..")


class Clients(unittest.TestCase):
    def setUp(self):
        self.server = harness.Server()
        self.addCleanup(self.server.close)
        self.home = tempfile.mkdtemp(prefix="ringsink-clients-")
        self.addCleanup(shutil.rmtree, self.home, True)

    def need(self, program):
        path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
        self.assertIsNotNone(path, f"{program} is missing: run scripts/setup")
        return path

    def file(self, content):
        path = os.path.join(self.home, "message")
        with open(path, "wb") as message:
            message.write(content)
        return path

    def only_message(self):
        messages = harness.listed(self.server.spool)
        self.assertEqual(len(messages), 1, messages)
        return messages[0], harness.cat(self.server.spool, messages[0]["id"])

    def test_raw_socket_hard_content(self):
        with self.server.connect() as client:
            client.begin()
            answer = client.deliver(stuff(HARD))
            self.assertRegex(answer, rb"^250 2\.0\.0 Ok: queued as \d+\.\d+\.\d+\r\n$")
            identifier = answer.split()[-1].decode()
        message, content = self.only_message()
        self.assertEqual(message["id"], identifier)
        self.assertEqual(content, HARD)

    def test_smtplib(self):
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=30) as client:
            client.ehlo()
            self.assertIn("pipelining", client.esmtp_features)
            self.assertIn("8bitmime", client.esmtp_features)
            self.assertTrue(client.esmtp_features["size"].isdigit())
            client.sendmail("sender@example.com", ["one@example.com", "two@example.com"], HARD,
                            mail_options=["BODY=8BITMIME"])
        message, content = self.only_message()
        self.assertEqual(content, HARD)
        self.assertEqual(message["from"], "sender@example.com")
        self.assertEqual(message["recipients"], ["one@example.com", "two@example.com"])

    def test_smtplib_twenty_megabytes(self):
        line = bytes(range(32, 127)) + b"\r\n"
        content = b"Subject: big\r\n\r\n" + line * (20_000_000 // len(line))
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=60) as client:
            client.sendmail("a@example.com", ["b@example.com"], content)
        self.assertEqual(self.only_message()[1], content)

    def test_curl(self):
        path = self.file(HARD)
        result = harness.run(self.need("curl"), "-sS", f"smtp://127.0.0.1:{self.server.port}/client.test",
                             "--mail-from", "a@client.test", "--mail-rcpt", "b@sink.test", "-T", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.only_message()[1], HARD)

    def test_swaks(self):
        content = HARD.replace(b"\x01\x02", b"")
        path = self.file(content)
        result = harness.run(self.need("swaks"), "--server", f"127.0.0.1:{self.server.port}",
                             "--from", "a@client.test", "--to", "b@sink.test", "--data", "@" + path,
                             "--ehlo", "client.test", errors="replace")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(self.only_message()[1].rstrip(b"\r\n"), content.rstrip(b"\r\n"))

    def test_msmtp(self):
        content = b"From: a@client.test\r\nTo: b@sink.test\r\n" + HARD.replace(b"\x01\x02", b"")
        # msmtp takes local line ends and refuses nothing; the longest line it can send is its own affair.
        content = content.replace(b"x" * 100_000, b"x" * 900)
        config = self.file(f"account default\nhost 127.0.0.1\nport {self.server.port}\n"
                           "from a@client.test\ntls off\nauth off\nset_date_header off\n"
                           "set_from_header off\nset_msgid_header off\n".encode())
        os.chmod(config, 0o600)
        result = subprocess.run([self.need("msmtp"), "-C", config, "b@sink.test"], check=False, timeout=60,
                                input=content.replace(b"\r\n", b"\n"), stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.only_message()[1], content)

    def test_smtp_source(self):
        result = harness.run(self.need("smtp-source"), "-s", "20", "-m", "500", "-l", "4096", "-f", "a@client.test",
                             "-t", "b@sink.test", "-M", "client.test", f"127.0.0.1:{self.server.port}")
        self.assertEqual(result.returncode, 0, result.stderr)
        messages = harness.listed(self.server.spool)
        self.assertEqual(len(messages), 500)
        body = b"".join(str(i % 10).encode() + b"X" * 77 + b"\r\n" for i in range(1, 100))
        for message in messages[:5]:
            content = harness.cat(self.server.spool, message["id"])
            headers, _, rest = content.partition(b"\r\n\r\n")
            self.assertIn(b"From: <a@client.test>", headers)
            self.assertTrue(rest.startswith(body[:4000]), rest[:200])

    def test_two_messages_and_verify(self):
        with self.server.connect() as client:
            client.begin()
            for number in range(2):
                self.assertTrue(client.deliver(b"Subject: %d\r\n\r\nbody\r\n" % number).startswith(b"250"))
        self.assertEqual(self.server.stop(), 0)
        result = harness.run(harness.RINGSPOOL, "verify", self.server.spool)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(len(harness.listed(self.server.spool)), 2)


if __name__ == "__main__":
    harness.main()
