"""Client programs and libraries that people use deliver, and what they sent comes back octet for octet."""
import re
import smtplib

import client_libraries
import client_test
import harness
import peers
from client_libraries import DECODED, ONLY_BODY, WHOLE
from client_test import BODY, HARD, MESSAGE, RECIPIENTS, SENDER, UNDOTTED_BODY


def test_of(library):
    return lambda self: self.deliver(library)


class Libraries(client_libraries.LibraryTest):
    pass


for one in client_libraries.LIBRARIES:
    setattr(Libraries, "test_" + one.name, test_of(one))


class Programs(client_test.ClientTest):
    def assert_message(self, same, wanted=MESSAGE):
        message, content = self.only_message()
        self.assert_envelope(message)
        if same == WHOLE:
            self.assert_octets(content, wanted)
        elif same == ONLY_BODY:
            self.assert_octets(client_test.body_of(content), client_test.body_of(wanted))
        if same == DECODED:
            self.assert_octets(client_test.decoded_body_of(content), client_test.body_of(wanted))

    def test_curl(self):
        path = self.file(HARD)
        self.run_client("curl", "curl", "-sS", f"smtp://127.0.0.1:{self.server.port}/client.test", "--mail-from", SENDER,
                        "--mail-rcpt", RECIPIENTS[0], "--mail-rcpt", RECIPIENTS[1], "--upload-file", path)
        self.assert_message(WHOLE, HARD)

    def test_curl_local_line_ends(self):
        path = self.file(client_test.local(HARD))
        self.run_client("curl", "curl", "-sS", f"smtp://127.0.0.1:{self.server.port}/client.test", "--mail-from", SENDER,
                        "--mail-rcpt", RECIPIENTS[0], "--mail-rcpt", RECIPIENTS[1], "--crlf", "-T", path)
        self.assert_message(WHOLE, HARD)

    def test_curl_keeps_lone_newlines_and_adds_no_more_than_the_last(self):
        """Without --crlf local line ends are sent as they are; what ends no line gets CR LF."""
        content = b"Subject: local\n\nline\n.\n\nno end"
        self.run_client("curl", "curl", "-sS", f"smtp://127.0.0.1:{self.server.port}/client.test", "--mail-from", SENDER,
                        "--mail-rcpt", RECIPIENTS[0], "--mail-rcpt", RECIPIENTS[1], "-T", self.file(content))
        self.assert_message(WHOLE, content + b"\r\n")

    def test_msmtp(self):
        """It leaves every octet alone if told to write no header."""
        config = self.file(f"account default\nhost 127.0.0.1\nport {self.server.port}\nfrom {SENDER}\ntls off\nauth off\n"
                           "set_date_header off\nset_from_header off\nset_msgid_header off\n", "msmtprc")
        self.run_client("msmtp", "msmtp", "-C", config, *RECIPIENTS, content=client_test.local(MESSAGE))
        self.assert_message(WHOLE)

    def test_esmtp(self):
        config = self.file(f"hostname = 127.0.0.1:{self.server.port}\nstarttls = disabled\n", "esmtprc")
        self.run_client("esmtp", "esmtp", "-C", config, "-f", SENDER, *RECIPIENTS, content=client_test.local(HARD))
        self.assert_message(WHOLE, HARD)

    def test_s_nail(self):
        self.run_client("s-nail", "s-nail", "-:/", "-Sv15-compat", f"-Smta=smtp://127.0.0.1:{self.server.port}",
                        "-Ssmtp-auth=none", "-Ssendcharsets=utf-8", f"-Sfrom={SENDER}", "-Shostname=client.test",
                        "-s", "sent by s-nail", *RECIPIENTS, content=client_test.local(BODY))
        self.assert_message(DECODED)

    def test_mutt(self):
        config = self.file(f"set smtp_url=smtp://127.0.0.1:{self.server.port}\nset ssl_starttls=no\nset ssl_force_tls=no\n"
                           f"set from={SENDER}\nset use_envelope_from=yes\nset copy=no\nset hostname=client.test\n"
                           "set charset=utf-8\nset send_charset=utf-8\n", "muttrc")
        self.run_client("mutt", "mutt", "-n", "-F", config, "-s", "sent by mutt", "--", *RECIPIENTS,
                        content=client_test.local(BODY))
        self.assert_message(DECODED)

    def test_nmh(self):
        """post writes Date and Message-ID itself."""
        self.file("Path: Mail\n", ".mh_profile")
        draft = re.sub(rb"(?m)^(Date|Message-ID): .*\n", b"", client_test.local(MESSAGE))
        self.run_client("nmh", "/usr/lib/mh/post", "-server", "127.0.0.1", "-port", self.server.port, "-mts", "smtp",
                        "-client", "client.test", "-notls", self.file(draft, "draft"))
        self.assert_message(ONLY_BODY)

    def test_git_send_email(self):
        self.run_client("git-email", "git", "send-email", f"--from={SENDER}", f"--to={RECIPIENTS[0]}",
                        f"--to={RECIPIENTS[1]}", "--confirm=never", "--smtp-server=127.0.0.1",
                        f"--smtp-server-port={self.server.port}", "--smtp-domain=client.test", "--suppress-cc=all",
                        "--no-validate", self.file(client_test.local(MESSAGE)))
        self.assert_message(ONLY_BODY)

    def test_sendemail(self):
        """It does not double dots, and makes a part of a multipart message of what it is given."""
        path = self.file(client_test.local(UNDOTTED_BODY))
        self.run_client("sendemail", "sendEmail", "-f", SENDER, "-t", *RECIPIENTS, "-u", "sent by sendEmail",
                        "-s", f"127.0.0.1:{self.server.port}", "-o", "tls=no", "-o", "fqdn=client.test",
                        "-o", "message-charset=utf-8", "-o", f"message-file={path}")
        message, content = self.only_message()
        self.assert_envelope(message)
        part = client_test.body_of(content[content.index(b"Content-Type: text/plain;"):])
        self.assert_octets(part[:part.rindex(b"------MIME")], UNDOTTED_BODY + b"\r\n\r\n")

    def test_fdm(self):
        """It fetches from its standard input and delivers to one recipient."""
        config = self.file('set no-received\naccount "input" stdin\n'
                           f'action "send" smtp server "127.0.0.1" port {self.server.port} from "{SENDER}" to "{RECIPIENTS[0]}"\n'
                           'match all action "send"\n', "fdm.conf")
        self.run_client("fdm", "fdm", "-f", config, "-a", "input", "fetch", content=client_test.local(MESSAGE))
        message, content = self.only_message()
        self.assert_envelope(message, recipients=RECIPIENTS[:1])
        self.assert_octets(content, MESSAGE)

    def test_opensmtpd_smtp(self):
        peers.opensmtpd_send(self.server.port, SENDER, RECIPIENTS, client_test.local(MESSAGE))
        self.assert_message(WHOLE)

    def test_nullmailer(self):
        peers.nullmailer_send(self.server.port, SENDER, RECIPIENTS, client_test.local(MESSAGE))
        self.assert_message(WHOLE)

    def test_ssmtp(self):
        peers.ssmtp_send(self.server.port, SENDER, RECIPIENTS, client_test.local(MESSAGE))
        self.assert_message(ONLY_BODY)

    def test_dma(self):
        """It delivers each recipient on a connection of its own."""
        peers.dma_send(self.server.port, SENDER, RECIPIENTS, client_test.local(MESSAGE))
        messages = self.messages(count=2)
        self.assertEqual(sorted(message["recipients"] for message in messages), [[name] for name in RECIPIENTS])
        for message in messages:
            self.assertEqual(message["from"], SENDER)
            self.assert_octets(client_test.body_of(harness.cat(self.server.spool, message["id"])), BODY)

    def test_smtp_source(self):
        self.run_client("postfix", "smtp-source", "-s", "20", "-m", "500", "-l", "4096", "-f", SENDER, "-t", RECIPIENTS[0],
                        "-M", "client.test", f"127.0.0.1:{self.server.port}")
        body = b"".join(str(i % 10).encode() + b"X" * 77 + b"\r\n" for i in range(1, 100))
        for message in self.messages(count=500)[:5]:
            content = harness.cat(self.server.spool, message["id"])
            header, _, rest = content.partition(b"\r\n\r\n")
            self.assertIn(b"From: <" + SENDER.encode() + b">", header)
            self.assertTrue(rest.startswith(body[:4000]), rest[:200])


class Sockets(client_test.ClientTest):
    def test_raw_socket_hard_content(self):
        with self.server.connect() as client:
            client.begin()
            answer = client.deliver(client_test.stuff(HARD))
            self.assertRegex(answer, rb"^250 2\.0\.0 Ok: queued as \d+\.\d+\.\d+\r\n$")
            identifier = answer.split()[-1].decode()
        message, content = self.only_message()
        self.assertEqual(message["id"], identifier)
        self.assert_octets(content, HARD)

    def test_smtplib(self):
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=30) as client:
            client.ehlo()
            self.assertIn("pipelining", client.esmtp_features)
            self.assertIn("8bitmime", client.esmtp_features)
            self.assertTrue(client.esmtp_features["size"].isdigit())
            client.sendmail(SENDER, RECIPIENTS, HARD, mail_options=["BODY=8BITMIME"])
        message, content = self.only_message()
        self.assert_octets(content, HARD)
        self.assertEqual(message["from"], SENDER)
        self.assertEqual(message["recipients"], RECIPIENTS)

    def test_smtplib_twenty_megabytes(self):
        line = bytes(range(32, 127)) + b"\r\n"
        content = b"Subject: big\r\n\r\n" + line * (20_000_000 // len(line))
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=60) as client:
            client.sendmail(SENDER, RECIPIENTS, content)
        self.assert_octets(self.only_message()[1], content)

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
