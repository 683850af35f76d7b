"""What clients ask for beyond a plain delivery: logins, LMTP, unix sockets, SMTPUTF8, DSN, IPv6, a session cut short."""
import base64
import email.message
import email.policy
import itertools
import os
import re
import smtplib

import client_libraries
import client_test
import harness
from client_test import BODY, HARD, MESSAGE, RECIPIENTS, SENDER

USER = "user@client.test"
PASSWORD = "pa:ss w0rd%$"


class Swaks(client_test.ClientTest):
    """swaks ends what it is given with a line end of its own; with --no-data-fixup it sends it as it is."""

    OPTIONS = ("-v",)

    def swaks(self, *options, server=None, recipients=",".join(RECIPIENTS)):
        target = () if "--socket" in options else ("--server", f"127.0.0.1:{(server or self.server).port}")
        return self.run_client("swaks", "swaks", *target, "--from", SENDER, "--to", recipients, "--ehlo", "client.test",
                               *options)

    def assert_delivered(self, server=None, content=MESSAGE + b"\r\n", sender=SENDER, recipients=tuple(RECIPIENTS),
                         protocol="ESMTP"):
        message, found = self.only_message(server)
        self.assert_envelope(message, sender, recipients)
        self.assert_octets(found, content)
        self.assertEqual(message["protocol"], protocol)
        return message

    def deliver(self, *options, **expected):
        self.swaks("--data", "@" + self.file(MESSAGE), *options)
        return self.assert_delivered(**expected)

    def test_esmtp(self):
        self.assertEqual(self.deliver()["helo"], "client.test")

    def test_helo_only(self):
        self.deliver("--protocol", "SMTP", protocol="SMTP")

    def test_pipelining(self):
        self.deliver("--pipeline")

    def test_pipelining_many_recipients(self):
        names = [f"r{number}@sink.test" for number in range(100)]
        self.swaks("--pipeline", "--data", "@" + self.file(MESSAGE), recipients=",".join(names))
        self.assert_delivered(recipients=names)

    def test_null_sender(self):
        self.deliver("--from", "<>", sender="")

    def test_data_as_it_is(self):
        content = HARD.replace(b"\x01\x02", b"")
        self.swaks("--no-data-fixup", "--data", "@" + self.file(client_test.stuff(content) + b"."))
        self.assert_delivered(content=content)

    def test_header_and_body(self):
        self.swaks("--header", "Subject: one", "--add-header", "X-Two: 2", "--body", "first\n.\n..last")
        header, _, body = self.only_message()[1].partition(b"\r\n\r\n")
        self.assertEqual(body, b"first\r\n.\r\n..last\r\n\r\n\r\n")
        lines = header.split(b"\r\n")
        self.assertIn(b"Subject: one", lines)
        self.assertIn(b"X-Two: 2", lines)

    def test_attachment(self):
        attached = bytes(range(256)) * 1000
        self.swaks("--attach-type", "application/octet-stream", "--attach", "@" + self.file(attached))
        content = self.only_message()[1]
        encoded = re.search(rb"Content-Transfer-Encoding: BASE64\r\n\r\n([A-Za-z0-9+/=\r\n]+)\r\n", content, re.I)
        self.assert_octets(base64.b64decode(encoded[1]), attached)

    def test_logins(self):
        users = self.file(f"other:secret\n{USER}:{PASSWORD}\n", "users")
        server = self.serve("--require-auth", "--auth", users)
        for count, mechanism in enumerate(("PLAIN", "LOGIN"), 1):
            self.swaks("--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD, server=server)
            self.assertEqual(self.messages(server, count)[-1]["protocol"], "ESMTPA")

    def test_wrong_logins(self):
        users = self.file(f"{USER}:{PASSWORD}\n", "users")
        server = self.serve("--require-auth", "--auth", users, "-v")
        for mechanism, password in itertools.product(("PLAIN", "LOGIN"), ("wrong", PASSWORD + "x", PASSWORD[:-1])):
            with self.assertRaisesRegex(AssertionError, "535 5.7.8"):
                self.swaks("--auth", mechanism, "--auth-user", USER, "--auth-password", password, server=server)
        with self.assertRaisesRegex(AssertionError, "530 5.7.0"):
            self.swaks(server=server)
        self.assertEqual(harness.listed(server.spool), [])
        for secret in (b"wrong", f"\0{USER}\0{PASSWORD}".encode(), PASSWORD.encode()):
            self.assertNotIn(base64.b64encode(secret).decode(), server.output())
            self.assertNotIn(secret.decode(), server.output())

    def test_local_protocol(self):
        server = self.serve("--lmtp")
        text = self.swaks("--protocol", "LMTP", "--data", "@" + self.file(MESSAGE), server=server)
        self.assert_delivered(server, protocol="LMTP")
        self.assertEqual(len(re.findall(r"^<-  250 2\.\S+ .*queued", text, re.M)), 2, text)

    def test_local_protocol_on_a_unix_socket(self):
        path = os.path.join(self.home, "sink.sock")
        server = self.serve("--lmtp", f"unix:{path}")
        self.swaks("--socket", path, "--protocol", "LMTP", "--data", "@" + self.file(MESSAGE))
        self.assertTrue(self.assert_delivered(server, protocol="LMTP")["peer"].startswith("unix:pid="))

    def test_unix_socket(self):
        path = os.path.join(self.home, "sink.sock")
        server = self.serve(f"unix:{path}")
        self.swaks("--socket", path, "--data", "@" + self.file(MESSAGE))
        self.assert_delivered(server)

    def test_both_families(self):
        port = harness.free_port()
        server = self.serve(f"[::1]:{port}")
        for count, (family, host, number) in enumerate((("-4", "127.0.0.1", server.port), ("-6", "::1", port)), 1):
            self.run_client("swaks", "swaks", family, "--server", host, "--port", number, "--from", SENDER, "--to",
                            RECIPIENTS[0], "--ehlo", "client.test")
            self.assertIn(host, self.messages(server, count)[-1]["peer"])

    def test_sessions_cut_short_leave_nothing(self):
        for stop in ("CONNECT", "FIRST-EHLO", "MAIL", "RCPT"):
            self.swaks("--quit-after", stop)
            self.swaks("--drop-after", stop)
        for stop in ("FIRST-EHLO", "MAIL", "RCPT"):
            self.swaks("--drop-after-send", stop)
        self.swaks("--drop-after", "DATA")
        self.assertEqual(harness.listed(self.server.spool), [])

    def test_dropped_behind_the_end_is_kept(self):
        self.swaks("--drop-after-send", "DOT", "--data", "@" + self.file(MESSAGE))
        self.assert_delivered()

    def test_refusals_reach_the_client(self):
        server = self.serve("--max-recipients", "1", "--size-limit", "50k")
        with self.assertRaisesRegex(AssertionError, "552 5.3.4"):
            self.swaks("--data", "@" + self.file(MESSAGE), server=server, recipients=RECIPIENTS[0])
        self.assertIn("452 4.5.3", self.swaks(server=server))
        self.assertEqual(self.messages(server)[0]["recipients"], RECIPIENTS[:1])


class Logins(client_libraries.LibraryTest):
    """The libraries and programs that can log in, where nobody delivers without it."""

    def setUp(self):
        super().setUp()
        self.server.close()
        self.server = self.serve("--require-auth", "--auth", self.file(f"{USER}:{PASSWORD}\n", "users"), "-v")

    def assert_logged_in(self, mechanism, count=1):
        message = self.messages(count=count)[-1]
        self.assertEqual(message["protocol"], "ESMTPA")
        self.assertRegex(self.server.output(), f" C: AUTH {mechanism}\\b")
        return message, harness.cat(self.server.spool, message["id"])

    def test_curl(self):
        for count, mechanism in enumerate(("PLAIN", "LOGIN"), 1):
            self.run_client("curl", "curl", "-sS", f"smtp://127.0.0.1:{self.server.port}/client.test", "--mail-from", SENDER,
                            "--mail-rcpt", RECIPIENTS[0], "--user", f"{USER}:{PASSWORD}", "--login-options",
                            "AUTH=" + mechanism, "--mail-auth", "<author@client.test>", "-T", self.file(HARD))
            message, content = self.assert_logged_in(mechanism, count)
            self.assertIn("AUTH=<author@client.test>", message["from_parameters"])
            self.assert_octets(content, HARD)

    def test_msmtp(self):
        for count, mechanism in enumerate(("PLAIN", "LOGIN"), 1):
            config = self.file(f"account default\nhost 127.0.0.1\nport {self.server.port}\nfrom {SENDER}\ntls off\n"
                               f"auth {mechanism.lower()}\nuser {USER}\npassword \"{PASSWORD}\"\nset_date_header off\n"
                               "set_from_header off\nset_msgid_header off\n", "msmtprc")
            self.run_client("msmtp", "msmtp", "-C", config, *RECIPIENTS, content=client_test.local(MESSAGE))
            self.assert_octets(self.assert_logged_in(mechanism, count)[1], MESSAGE)

    def test_smtplib(self):
        for count, mechanism in enumerate(("PLAIN", "LOGIN"), 1):
            with smtplib.SMTP("127.0.0.1", self.server.port, timeout=30) as client:
                client.user, client.password = USER, PASSWORD
                client.ehlo()
                client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()))
                client.sendmail(SENDER, RECIPIENTS, HARD)
            self.assert_octets(self.assert_logged_in(mechanism, count)[1], HARD)

    def test_smtplib_without_initial_response(self):
        for count, mechanism in enumerate(("PLAIN", "LOGIN"), 1):
            with smtplib.SMTP("127.0.0.1", self.server.port, timeout=30) as client:
                client.user, client.password = USER, PASSWORD
                client.ehlo()
                client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()), initial_response_ok=False)
                client.sendmail(SENDER, RECIPIENTS, HARD)
            self.assert_logged_in(mechanism, count)

    def test_smtplib_wrong_password(self):
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=30) as client:
            with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
                client.login(USER, PASSWORD + "x")
            self.assertEqual(refused.exception.smtp_code, 535)
            with self.assertRaises(smtplib.SMTPSenderRefused) as refused:
                client.sendmail(SENDER, RECIPIENTS, HARD)
            self.assertEqual(refused.exception.smtp_code, 530)
        self.assertEqual(harness.listed(self.server.spool), [])


def login_test(library, mechanism):
    def test(self):
        self.deliver(library, environment={"CLIENT_USER": USER, "CLIENT_PASSWORD": PASSWORD, "CLIENT_MECHANISM": mechanism})
        self.assert_logged_in(mechanism)
    return test


for one in client_libraries.LIBRARIES:
    for wanted in client_libraries.LOGINS.get(one.name, ()):
        setattr(Logins, f"test_{one.name}_{wanted.lower()}", login_test(one, wanted))


class Python(client_test.ClientTest):
    """smtplib as people use it: messages as objects, international mailboxes, LMTP, DSN."""

    def letter(self):
        letter = email.message.EmailMessage(policy=email.policy.SMTP)
        letter["From"], letter["To"], letter["Subject"] = SENDER, ", ".join(RECIPIENTS), "Gr\u00fc\u00dfe"
        letter.set_content(BODY.decode().replace("\r\n", "\n"), cte="8bit")
        letter.add_attachment(bytes(range(256)) * 400, maintype="application", subtype="octet-stream", filename="octets")
        letter.set_boundary("one-boundary")
        return letter

    def test_message(self):
        letter = self.letter()
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=30) as client:
            client.send_message(letter)
        message, content = self.only_message()
        self.assert_envelope(message)
        self.assert_octets(content, letter.as_bytes())

    def test_international_message(self):
        letter = self.letter()
        letter.replace_header("From", "gr\u00fc\u00dfe@client.test")
        letter.replace_header("To", "\u7528\u6237@sink.test")
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=30) as client:
            client.send_message(letter)
        message, content = self.only_message()
        self.assert_envelope(message, "gr\u00fc\u00dfe@client.test", ["\u7528\u6237@sink.test"])
        self.assertEqual(message["from_parameters"].split()[-2:], ["SMTPUTF8", "BODY=8BITMIME"])
        self.assert_octets(content, letter.as_bytes(policy=letter.policy.clone(utf8=True)))

    def test_international_message_where_it_is_not_offered(self):
        letter = self.letter()
        letter.replace_header("From", "gr\u00fc\u00dfe@client.test")
        server = self.serve("--no-smtputf8")
        with smtplib.SMTP("127.0.0.1", server.port, timeout=30) as client, \
                self.assertRaises(smtplib.SMTPNotSupportedError):
            client.send_message(letter)
        self.assertEqual(harness.listed(server.spool), [])

    def test_notifications(self):
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=30) as client:
            client.sendmail(SENDER, RECIPIENTS, HARD, mail_options=["RET=HDRS", "ENVID=an+20id"],
                            rcpt_options=["NOTIFY=SUCCESS,DELAY"])
        message, content = self.only_message()
        self.assertIn("RET=HDRS ENVID=an+20id", message["from_parameters"])
        self.assertEqual(message["recipient_parameters"], ["NOTIFY=SUCCESS,DELAY"] * 2)
        self.assert_octets(content, HARD)

    def test_local_protocol_on_a_unix_socket(self):
        path = os.path.join(self.home, "sink.sock")
        server = self.serve("--lmtp", f"unix:{path}")
        # One recipient: smtplib reads one reply whatever their number, and takes the others for answers to QUIT.
        with smtplib.LMTP(path) as client:
            client.sendmail(SENDER, RECIPIENTS[:1], HARD)
        message, content = self.only_message(server)
        self.assert_envelope(message, recipients=RECIPIENTS[:1])
        self.assertEqual(message["protocol"], "LMTP")
        self.assert_octets(content, HARD)

    def test_help_and_verify(self):
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=30) as client:
            client.ehlo()
            self.assertEqual(client.verify("anybody")[0], 252)
            self.assertTrue(client.help())
            self.assertEqual(client.noop()[0], 250)
            self.assertEqual(client.rset()[0], 250)


class Chunks(client_libraries.LibraryTest):
    """libESMTP uses BDAT where it is offered; what BDAT brings is stored as what DATA brings."""

    LIBRARY = next(library for library in client_libraries.LIBRARIES if library.name == "libesmtp")

    def assert_verb(self, server, verb):
        self.deliver(self.LIBRARY, server)
        self.assertEqual(set(re.findall(r" C: (DATA|BDAT)", server.output())), {verb})

    def test_offered(self):
        self.assert_verb(self.serve("-v"), "BDAT")

    def test_not_offered(self):
        self.assert_verb(self.serve("-v", "--no-chunking"), "DATA")


class Curl(client_test.ClientTest):
    def test_international_mailboxes(self):
        self.run_client("curl", "curl", "-sS", f"smtp://127.0.0.1:{self.server.port}/client.test", "--mail-from",
                        "gr\u00fc\u00dfe@client.test", "--mail-rcpt", "\u7528\u6237@sink.test", "-T", self.file(HARD))
        message, content = self.only_message()
        self.assertIn("SMTPUTF8", message["from_parameters"])
        self.assert_envelope(message, "gr\u00fc\u00dfe@client.test", ["\u7528\u6237@sink.test"])
        self.assert_octets(content, HARD)

    def test_several_messages_on_one_connection(self):
        path = self.file(HARD)
        one = ("--mail-from", SENDER, "--mail-rcpt", RECIPIENTS[0], "-T", path,
               f"smtp://127.0.0.1:{self.server.port}/client.test")
        self.run_client("curl", "curl", "-sS", *one, "--next", *one, "--next", *one)
        messages = self.messages(count=3)
        self.assertEqual(len({message["peer"] for message in messages}), 1)
        for message in messages:
            self.assert_octets(harness.cat(self.server.spool, message["id"]), HARD)

    def test_announces_its_size(self):
        server = self.serve("--size-limit", "50k")
        with self.assertRaisesRegex(AssertionError, "55|failed"):
            self.run_client("curl", "curl", "-sS", f"smtp://127.0.0.1:{server.port}/client.test", "--mail-from", SENDER,
                            "--mail-rcpt", RECIPIENTS[0], "-T", self.file(HARD))
        self.assertEqual(harness.listed(server.spool), [])

    def test_verify(self):
        text = self.run_client("curl", "curl", "-sS", f"smtp://127.0.0.1:{self.server.port}/client.test", "--mail-rcpt",
                               RECIPIENTS[0])
        self.assertTrue(text.startswith("252 "), text)


if __name__ == "__main__":
    harness.main()
