"""What the tests of other people's clients inside TLS share: a server that takes mail in no other way."""
import re

import client_libraries
import harness
from tls_client import Certificate

USER = "user@client.test"
PASSWORD = "pa:ss w0rd%$"

# How TLS begins, and how the client then logs in.
MECHANISMS = {"starttls": "PLAIN", "implicit": "LOGIN"}


class SecureTest(client_libraries.LibraryTest):
    """No login outside TLS, and no mail without one: what is stored came through both.

    The certificate is made now; as authority it lets a client verify it, for sink.test and for 127.0.0.1.
    """

    def options(self):
        certificate = Certificate()
        self.addCleanup(certificate.__exit__)
        self.authority = certificate.certificate
        self.users = self.file(f"other:secret\n{USER}:{PASSWORD}\n", "users")
        return f"--cert={certificate.certificate}", f"--key={certificate.key}"

    def serve(self, *options):
        implicit = harness.free_port()
        server = super().serve("-v", "--tls=both", f"--tls-listen=127.0.0.1:{implicit}", "--require-auth", "--auth-require-tls",
                               f"--auth={self.users}", *options)
        server.ports = {"starttls": server.port, "implicit": implicit}
        return server

    def port(self, mode):
        return self.server.ports[mode]

    def assert_secured(self, content=None):
        """One message came, inside TLS and behind a login; octet for octet, if that was not looked at yet."""
        message, found = self.only_message()
        self.assert_envelope(message)
        self.assertEqual(message["protocol"], "ESMTPSA")
        if content is not None:
            self.assert_octets(found, content)

    def versions(self):
        """Of each handshake."""
        return re.findall(r" TLS: (TLSv\S+) ", self.server.output())
