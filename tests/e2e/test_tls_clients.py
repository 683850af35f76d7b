"""Clients that people use deliver inside TLS, behind a login, and what they sent comes back octet for octet."""
import re
import smtplib
import ssl

import client_libraries
import client_test
import harness
import peers
import tls_client_test
from client_test import HARD, MESSAGE, RECIPIENTS, SENDER
from tls_client_test import MECHANISMS, PASSWORD, USER


def trusting(authority=None, version=None):
    """A context that verifies name and certificate, or, without authority, nothing."""
    made = ssl.create_default_context(cafile=authority)
    if authority is None:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if version:
        made.minimum_version = made.maximum_version = getattr(ssl.TLSVersion, version.replace(".", "_"))
    return made


class Clients(tls_client_test.SecureTest):
    """How each client is called. authority: the file with which it verifies; without, it takes any certificate.

    Each returns what has to be stored, where that was not looked at already.
    """

    def swaks(self, mode, version=None, authority=None):
        peers.need_package("libnet-ssleay-perl")
        begin = {"starttls": "--tls", "implicit": "--tls-on-connect"}[mode]
        limit = ("--tls-protocol", version.lower().replace(".", "_")) if version else ()
        trust = ("--tls-verify", "--tls-ca-path", authority) if authority else ()
        self.run_client("swaks", "swaks", "--server", f"127.0.0.1:{self.port(mode)}", "--from", SENDER, "--to",
                        ",".join(RECIPIENTS), "--ehlo", "client.test", begin, *limit, *trust, "--auth", MECHANISMS[mode],
                        "--auth-user", USER, "--auth-password", PASSWORD, "--data", "@" + self.file(MESSAGE))
        return MESSAGE + b"\r\n"

    def curl(self, mode, version=None, authority=None):
        scheme, begin = {"starttls": ("smtp", ("--ssl-reqd",)), "implicit": ("smtps", ())}[mode]
        limit = (f"--tlsv{version[4:]}", "--tls-max", version[4:]) if version else ()
        trust = ("--cacert", authority) if authority else ("-k",)
        self.run_client("curl", "curl", "-sS", f"{scheme}://sink.test:{self.port(mode)}/client.test", "--resolve",
                        f"sink.test:{self.port(mode)}:127.0.0.1", *begin, *limit, *trust, "--mail-from", SENDER,
                        "--mail-rcpt", RECIPIENTS[0], "--mail-rcpt", RECIPIENTS[1], "--user", f"{USER}:{PASSWORD}",
                        "--login-options", "AUTH=" + MECHANISMS[mode], "-T", self.file(HARD))
        return HARD

    def msmtp(self, mode, version=None, authority=None, trust="tls_certcheck off"):
        if authority:
            trust = f"tls_trust_file {authority}"
        limit = f"tls_priorities NORMAL:-VERS-ALL:+VERS-TLS{version[4:]}\n" if version else ""
        config = self.file(f"account default\nhost 127.0.0.1\nport {self.port(mode)}\nfrom {SENDER}\ntls on\n"
                           f"tls_starttls {'on' if mode == 'starttls' else 'off'}\n{trust}\n{limit}"
                           f"auth {MECHANISMS[mode].lower()}\nuser {USER}\npassword \"{PASSWORD}\"\n"
                           "set_date_header off\nset_from_header off\nset_msgid_header off\n", "msmtprc")
        self.run_client("msmtp", "msmtp", "-C", config, *RECIPIENTS, content=client_test.local(MESSAGE))
        return MESSAGE

    def smtplib(self, mode, version=None, authority=None):
        tls = trusting(authority, version)
        if mode == "implicit":
            client = smtplib.SMTP_SSL("127.0.0.1", self.port(mode), timeout=30, context=tls)
        else:
            client = smtplib.SMTP("127.0.0.1", self.port(mode), timeout=30)
        with client:
            if mode == "starttls":
                client.starttls(context=tls)
            client.login(USER, PASSWORD)
            client.sendmail(SENDER, RECIPIENTS, HARD, mail_options=["BODY=8BITMIME"])
        return HARD

    def library(self, name, mode, version=None, authority=None):
        [library] = (one for one in client_libraries.LIBRARIES if one.name == name)
        environment = {"CLIENT_USER": USER, "CLIENT_PASSWORD": PASSWORD, "CLIENT_MECHANISM": MECHANISMS[mode],
                       "CLIENT_TLS": mode, "CLIENT_VERSION": version, "CLIENT_AUTHORITY": authority}
        self.deliver(library, port=self.port(mode),
                     environment={name: value for name, value in environment.items() if value})

    def nodemailer(self, mode, version=None, authority=None):
        self.library("nodemailer", mode, version, authority)

    def ruby(self, mode, version=None, authority=None):
        self.library("ruby_net_smtp", mode, version, authority)

    def phpmailer(self, mode, version=None, authority=None):
        """It leaves the version to OpenSSL."""
        self.library("phpmailer", mode, None, authority)


class Verified(Clients):
    """The server's certificate is from a file that the client is given too."""

    def delivers(self, client, mode, version):
        self.assert_secured(client(self, mode, version, self.authority))
        if client is not Clients.phpmailer:
            self.assertEqual(self.versions(), [version])


class SelfMade(Clients):
    """The server made its certificate at start: who verifies goes away, and sends neither password nor mail."""

    def options(self):
        super().options()
        return ()

    def delivers(self, client, mode):
        self.assert_secured(client(self, mode))

    def goes_away(self, client, mode):
        why = "(?i)certificate (verif|problem)|certificate verify failed|self-signed certificate"
        with self.assertRaisesRegex((AssertionError, ssl.SSLCertVerificationError), why):
            client(self, mode, authority=self.authority)
        self.assertEqual(harness.listed(self.server.spool), [])
        self.assertNotIn(" C: AUTH", self.server.output())

    def test_msmtp_by_the_printed_fingerprint(self):
        """What the server prints is enough to know it by."""
        fingerprint = re.search(r"SHA-256 ([0-9A-F:]{95})", self.server.output())[1]
        other = fingerprint.translate(str.maketrans("0123456789ABCDEF", "123456789ABCDEF0"))
        with self.assertRaisesRegex(AssertionError, "fingerprint"):
            self.msmtp("implicit", trust=f"tls_fingerprint {other}")
        self.assert_secured(self.msmtp("starttls", trust=f"tls_fingerprint {fingerprint}"))


def test_of(name, *arguments):
    return lambda self: getattr(self, name)(*arguments)


for one in (Clients.swaks, Clients.curl, Clients.msmtp, Clients.smtplib, Clients.nodemailer, Clients.ruby, Clients.phpmailer):
    for way in MECHANISMS:
        for spoken in ("TLSv1.2", "TLSv1.3"):
            setattr(Verified, f"test_{one.__name__}_{way}_{spoken.replace('.', '_')}", test_of("delivers", one, way, spoken))
        setattr(SelfMade, f"test_{one.__name__}_{way}", test_of("delivers", one, way))
        setattr(SelfMade, f"test_{one.__name__}_{way}_verifying", test_of("goes_away", one, way))


if __name__ == "__main__":
    harness.main()
