"""Mail servers relay inside TLS, behind a login: Postfix (OpenSSL) and Exim (GnuTLS) hand on what they took."""
import itertools
import os
import re
import smtplib
import time

import client_test
import harness
import peers
import test_clients_relays
import tls_client_test
from client_test import BODY, HARD, HARD_BODY, MESSAGE, RECIPIENTS, SENDER, local
from tls_client_test import MECHANISMS, PASSWORD, USER


def rewrite(path, *pairs):
    """Replaces what has to be there."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class SecurePostfix(peers.Postfix):
    """It verifies if it has an authority, else takes any certificate; mail waits in its queue rather than leave in plain."""

    SERVICES = peers.Postfix.SERVICES + "tlsmgr    unix  - - n 1000? 1 tlsmgr\n"

    def __init__(self, relay_to, mode, version, authority=None):
        peers.need_package("libsasl2-modules")
        login = f"{USER}:{PASSWORD}".replace("$", "$$")
        self.settings = f"""
smtp_tls_wrappermode = {'yes' if mode == 'implicit' else 'no'}
smtp_tls_security_level = {'secure' if authority else 'encrypt'}
smtp_tls_secure_cert_match = sink.test
smtp_tls_CAfile = {authority or ''}
smtp_tls_mandatory_protocols = {version}
smtp_tls_loglevel = 1
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = static:{{{login}}}
smtp_sasl_security_options = noanonymous
smtp_sasl_mechanism_filter = {MECHANISMS[mode]}
"""
        super().__init__(relay_to)

    def prepare(self):
        command = super().prepare()
        rewrite(os.path.join(self.configuration, "main.cf"), ("smtp_tls_security_level = none\n", self.settings))
        return command


class SecureExim(peers.Exim):
    """The same of Exim, in whose lists a colon is doubled."""

    PEER = "exim"

    def __init__(self, relay_to, mode, version, authority=None, chunking=False):
        verifying = "tls_verify_certificates ="
        if authority:
            verifying = f"tls_verify_certificates = {authority}\n  tls_verify_hosts = *\n  tls_verify_cert_hostnames = *"
        self.transport = f"""
  hosts_require_tls = *
  hosts_require_auth = *
  tls_require_ciphers = NORMAL:-VERS-ALL:+VERS-{version.replace('v', '')}
  {verifying}
"""
        self.protocol = "smtps" if mode == "implicit" else "smtp"
        password = PASSWORD.replace("$", "\\$").replace(":", "::")
        self.authenticators = f"""
begin authenticators
login:
  driver = plaintext
  public_name = {MECHANISMS[mode]}
  client_send = {f'^{USER}^{password}' if MECHANISMS[mode] == 'PLAIN' else f': {USER} : {password}'}
"""
        super().__init__(relay_to, chunking)

    def prepare(self):
        command = super().prepare()
        rewrite(os.path.join(self.home.path, "etc", "exim4", "exim4.conf"), ("  hosts_avoid_tls = *\n", self.transport),
                ("protocol = smtp\n", f"protocol = {self.protocol}\n"), ("begin retry\n", self.authenticators + "begin retry\n"))
        return command


class SecureRelayTest(tls_client_test.SecureTest, test_clients_relays.RelayTest):
    def options(self):
        options = super().options()
        os.chmod(os.path.dirname(self.authority), 0o755)  # they read it when they are no longer root
        return options

    def assert_relayed(self, relay, body):
        message = super().assert_relayed(relay, body)
        self.assertEqual(message["protocol"], "ESMTPSA")


class Verified(SecureRelayTest):
    """The relay is given the server's certificate as authority."""

    def relays(self, kind, mode, version, **options):
        relay = self.relay(kind, relay_to=self.port(mode), mode=mode, version=version, authority=self.authority, **options)
        self.inject(relay, HARD)
        self.assert_relayed(relay, HARD_BODY)
        self.assertEqual(self.versions(), [version])

    def test_exim_chunks(self):
        self.relays(SecureExim, "starttls", "TLSv1.3", chunking=True)
        self.assertIn("BDAT", self.commands())

    def test_postfix_hundred_messages(self):
        """Side by side, on as many connections as it likes."""
        relay = self.relay(SecurePostfix, relay_to=self.port("starttls"), mode="starttls", version="TLSv1.3",
                           authority=self.authority)
        wanted = {}
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
            for number in range(100):
                name = f"r{number}@sink.test"
                wanted[name] = b"body %d\r\n.\r\n" % number * 1000
                client.sendmail(SENDER, [name], b"Subject: %d\r\n\r\n" % number + wanted[name])
        found = {message["recipients"][0]: client_test.body_of(harness.cat(self.server.spool, message["id"]))
                 for message in self.messages(count=100)}
        self.assertEqual(found, wanted)


class SelfMade(SecureRelayTest):
    """The server made its certificate at start."""

    def options(self):
        super().options()
        return ()

    def relays(self, kind, mode):
        relay = self.relay(kind, relay_to=self.port(mode), mode=mode, version="TLSv1.3")
        relay.submit(SENDER, RECIPIENTS, local(MESSAGE))
        self.assert_relayed(relay, BODY)

    def defers(self, kind, mode):
        """Who verifies keeps its mail, and its password, to itself."""
        relay = self.relay(kind, relay_to=self.port(mode), mode=mode, version="TLSv1.3", authority=self.authority)
        relay.submit(SENDER, RECIPIENTS, local(MESSAGE))
        end = time.monotonic() + 30
        while not re.search(r"not verified|certificate invalid", relay.output()):
            self.assertLess(time.monotonic(), end, relay.output()[-3000:])
            time.sleep(0.1)
        self.assertEqual(harness.listed(self.server.spool), [])
        self.assertNotIn("AUTH", self.commands())


def test_of(name, *arguments):
    return lambda self: getattr(self, name)(*arguments)


for name, one in (("postfix", SecurePostfix), ("exim", SecureExim)):
    for way, spoken in itertools.product(MECHANISMS, ("TLSv1.2", "TLSv1.3")):
        setattr(Verified, f"test_{name}_{way}_{spoken.replace('.', '_')}", test_of("relays", one, way, spoken))
    for way in MECHANISMS:
        setattr(SelfMade, f"test_{name}_{way}", test_of("relays", one, way))
        setattr(SelfMade, f"test_{name}_{way}_verifying", test_of("defers", one, way))


if __name__ == "__main__":
    harness.main()
