"""Mail servers relay: Postfix, Exim, OpenSMTPD and Sendmail take a message and hand it on.

A relay adds header fields (Received and, to what comes from its sendmail, more), so bodies are compared: every octet.
"""
import os
import re
import smtplib

import client_test
import harness
import peers
from client_test import BODY, HARD, HARD_BODY, MESSAGE, RECIPIENTS, SENDER


class RelayTest(client_test.ClientTest):
    OPTIONS = ("-v",)

    def relay(self, server_kind, relay_to=None, **options):
        relay = server_kind(relay_to=self.server.port if relay_to is None else relay_to, **options)
        self.addCleanup(relay.close)
        return relay

    def inject(self, relay, content, sender=SENDER, recipients=tuple(RECIPIENTS), options=("BODY=8BITMIME",)):
        """By SMTP, so that the relay gets octets and not text."""
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
            refused = client.sendmail(sender, recipients, content, mail_options=options)
        self.assertEqual(refused, {})

    def commands(self):
        """The verbs that came, in order."""
        return re.findall(r" C: ([A-Za-z]+)", self.server.output())

    def assert_relayed(self, relay, body):
        try:
            message, content = self.only_message()
        except AssertionError as problem:
            self.fail(f"{problem}\n{relay.output()[-3000:]}")
        self.assert_envelope(message)
        self.assertIn(b"Received: ", content.partition(b"\r\n\r\n")[0])
        self.assert_octets(client_test.body_of(content), body)
        return message


class Relays(RelayTest):
    def test_postfix_sendmail(self):
        relay = self.relay(peers.Postfix)
        relay.submit(SENDER, RECIPIENTS, client_test.local(MESSAGE))
        message = self.assert_relayed(relay, BODY)
        self.assertEqual(message["recipient_parameters"], [f"ORCPT=rfc822;{name}" for name in message["recipients"]])

    def test_postfix_hard(self):
        relay = self.relay(peers.Postfix)
        self.inject(relay, HARD)
        message = self.assert_relayed(relay, HARD_BODY)
        self.assertIn("BODY=8BITMIME", message["from_parameters"])

    def test_postfix_two_hundred_recipients(self):
        """Postfix sends MAIL, its RCPTs and DATA as one group, and 50 recipients at a time."""
        relay = self.relay(peers.Postfix)
        names = [f"r{number}@sink.test" for number in range(200)]
        self.inject(relay, MESSAGE, recipients=names)
        messages = self.messages(count=4)
        self.assertEqual(sorted(sum((message["recipients"] for message in messages), [])), sorted(names))
        for message in messages:
            self.assert_octets(client_test.body_of(harness.cat(self.server.spool, message["id"])), BODY)

    def test_postfix_hundred_messages(self):
        """It delivers side by side and goes on with the connections it has."""
        relay = self.relay(peers.Postfix)
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
            for number in range(100):
                client.sendmail(SENDER, [f"r{number}@sink.test"], b"Subject: %d\r\n\r\nbody %d\r\n.\r\n" % (number, number))
        found = {}
        for message in self.messages(count=100):
            [name] = message["recipients"]
            found[name] = client_test.body_of(harness.cat(self.server.spool, message["id"]))
        self.assertEqual(found, {f"r{number}@sink.test": b"body %d\r\n.\r\n" % number for number in range(100)})

    def test_postfix_international_mailboxes(self):
        relay = self.relay(peers.Postfix)
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
            client.ehlo("client.test")
            client.mail("grüße@client.test", ["SMTPUTF8", "BODY=8BITMIME"])
            client.rcpt("用户@sink.test")
            client.data("Subject: Grüße\r\n\r\n用户\r\n".encode())
        message, content = self.only_message()
        self.assertIn("SMTPUTF8", message["from_parameters"])
        self.assert_envelope(message, "grüße@client.test", ["用户@sink.test"])
        self.assertIn("Subject: Grüße\r\n".encode(), content)
        self.assert_octets(client_test.body_of(content), "用户\r\n".encode())

    def test_exim_data(self):
        relay = self.relay(peers.Exim, chunking=False)
        relay.submit(SENDER, RECIPIENTS, client_test.local(MESSAGE))
        self.assert_relayed(relay, BODY)
        self.assertIn("DATA", self.commands())
        self.assertNotIn("BDAT", self.commands())

    def test_exim_chunks(self):
        relay = self.relay(peers.Exim, chunking=True)
        relay.submit(SENDER, RECIPIENTS, client_test.local(MESSAGE))
        self.assert_relayed(relay, BODY)
        self.assertIn("BDAT", self.commands())
        self.assertNotIn("DATA", self.commands())

    def test_exim_data_hard(self):
        relay = self.relay(peers.Exim, chunking=False)
        self.inject(relay, HARD)
        self.assert_relayed(relay, HARD_BODY)

    def test_exim_chunks_hard(self):
        relay = self.relay(peers.Exim, chunking=True)
        self.inject(relay, HARD)
        self.assert_relayed(relay, HARD_BODY)
        self.assertIn("BDAT", self.commands())

    def test_exim_chunks_large(self):
        """Its header field is one chunk, the message as it came the other."""
        content = b"Subject: large\r\n\r\n" + b"".join(
            b".%07d and dots at the start of lines, which BDAT does not double\r\n" % number for number in range(140_000))
        relay = self.relay(peers.Exim, chunking=True)
        self.inject(relay, content)
        self.assert_relayed(relay, client_test.body_of(content))
        chunks = re.findall(r" C: (BDAT.*)", self.server.output())
        self.assertEqual(len(chunks), 2, chunks)
        self.assertRegex(chunks[1], r"^BDAT \d{7} LAST$")

    def test_opensmtpd(self):
        """By SMTP: its sendmail would encode 8 bits as quoted-printable."""
        relay = self.relay(peers.OpenSmtpd)
        self.inject(relay, MESSAGE)
        self.assert_relayed(relay, BODY)

    def test_opensmtpd_sendmail(self):
        relay = self.relay(peers.OpenSmtpd)
        relay.submit(SENDER, RECIPIENTS, client_test.local(MESSAGE).replace(b"Content-Transfer-Encoding: 8bit\n", b""))
        message, content = self.only_message()
        self.assert_envelope(message)
        self.assert_octets(client_test.decoded_body_of(content), BODY)

    def test_sendmail(self):
        relay = self.relay(peers.Sendmail)
        relay.submit(SENDER, RECIPIENTS, client_test.local(MESSAGE))
        self.assert_relayed(relay, BODY)

    def test_sendmail_hard(self):
        relay = self.relay(peers.Sendmail)
        self.inject(relay, HARD)
        self.assert_relayed(relay, HARD_BODY)


class LocalRelays(RelayTest):
    """The same by LMTP, which answers for each recipient."""

    def setUp(self):
        super().setUp()
        self.server.close()
        # A mail server drops its privileges before it connects.
        os.chmod(self.home, 0o755)
        self.path = os.path.join(self.home, "sink.sock")
        self.server = self.serve("-v", "--lmtp", f"unix:{self.path}")
        os.chmod(self.path, 0o666)

    def assert_relayed(self, relay, body):
        message = super().assert_relayed(relay, body)
        self.assertEqual(message["protocol"], "LMTP")
        self.assertIn("LHLO", self.commands())
        return message

    def test_postfix_port(self):
        relay = self.relay(peers.Postfix, transport="lmtp")
        self.inject(relay, HARD)
        self.assert_relayed(relay, HARD_BODY)

    def test_postfix_socket(self):
        relay = self.relay(peers.Postfix, relay_to="unix:" + self.path, transport="lmtp")
        self.inject(relay, HARD)
        self.assertTrue(self.assert_relayed(relay, HARD_BODY)["peer"].startswith("unix:"))

    def test_exim_port(self):
        relay = self.relay(peers.Exim, lmtp=True)
        self.inject(relay, HARD)
        self.assert_relayed(relay, HARD_BODY)

    def test_exim_socket(self):
        relay = self.relay(peers.Exim, relay_to=self.path)
        self.inject(relay, HARD)
        self.assertTrue(self.assert_relayed(relay, HARD_BODY)["peer"].startswith("unix:"))

    def test_opensmtpd_port(self):
        relay = self.relay(peers.OpenSmtpd, lmtp=True)
        self.inject(relay, MESSAGE)
        self.assert_relayed(relay, BODY)


if __name__ == "__main__":
    harness.main()
