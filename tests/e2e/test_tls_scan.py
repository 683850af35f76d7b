"""What the server offers, as sslscan finds it: nothing below TLS 1.2, no weak cipher, no compression, no renegotiation."""
import ssl
import unittest
import xml.etree.ElementTree

import harness
import peers
from tls_client import Certificate, TlsDialogue, context

# Forward secrecy and authenticated encryption (RFC 9325 4.2), by what the key signs with.
TLS_1_2 = {"ECDHE-%s-AES128-GCM-SHA256", "ECDHE-%s-AES256-GCM-SHA384", "ECDHE-%s-CHACHA20-POLY1305"}
TLS_1_3 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
DEFLATE = 1


class Scan(unittest.TestCase):
    def scan(self, port, *options):
        result = harness.run(peers.need("sslscan", "sslscan"), "--xml=-", *options, f"127.0.0.1:{port}")
        self.assertEqual(result.returncode, 0, result.stderr)
        return xml.etree.ElementTree.fromstring(result.stdout).find("ssltest")

    def found(self, scan, tag, *names):
        found = [tuple(element.get(name) for name in names) for element in scan.iter(tag)]
        self.assertTrue(found, xml.etree.ElementTree.tostring(scan))
        return found

    def assert_strong(self, scan, kind):
        protocols = {(name, version): enabled for name, version, enabled in
                     self.found(scan, "protocol", "type", "version", "enabled")}
        self.assertEqual(protocols, {("ssl", "2"): "0", ("ssl", "3"): "0", ("tls", "1.0"): "0", ("tls", "1.1"): "0",
                                     ("tls", "1.2"): "1", ("tls", "1.3"): "1"})
        ciphers = self.found(scan, "cipher", "sslversion", "cipher")
        self.assertEqual(set(ciphers), {("TLSv1.2", name % kind) for name in TLS_1_2} | {("TLSv1.3", name) for name in TLS_1_3})
        for strength, curve in self.found(scan, "cipher", "strength", "curve"):
            self.assertIn(strength, ("acceptable", "strong"))
            self.assertEqual(curve, "25519")
        self.assertEqual(self.found(scan, "renegotiation", "supported"), [("0",)])
        self.assertEqual({vulnerable for (vulnerable,) in self.found(scan, "heartbleed", "vulnerable")}, {"0"})
        # Debian's sslscan can't look for it, see Compression below.
        self.assertNotIn("1", [element.get("supported") for element in scan.iter("compression")])

    def scans(self, kind, *options):
        port = harness.free_port()
        with harness.Server("--tls=both", f"--tls-listen=127.0.0.1:{port}", *options) as server:
            self.assert_strong(self.scan(port), kind)
            self.assert_strong(self.scan(server.port, "--starttls-smtp"), kind)
            self.assertEqual(server.stop(), 0)

    def test_self_made(self):
        self.scans("ECDSA")

    def test_rsa(self):
        """With such a key there would be ciphers without forward secrecy."""
        with Certificate(bits=2048) as files:
            self.scans("RSA", f"--cert={files.certificate}", f"--key={files.key}")


def with_compression(hello, methods):
    """A record with a ClientHello (RFC 5246 7.4.1.2) that offers these methods instead of none."""
    body = bytearray(hello[9:])
    at = 2 + 32
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    assert body[at:at + 2] == b"\x01\x00", body
    body[at:at + 2] = bytes([len(methods), *methods])
    message = hello[5:6] + len(body).to_bytes(3, "big") + body
    return hello[:3] + len(message).to_bytes(2, "big") + message


class Compression(unittest.TestCase):
    def answer(self, methods):
        """The type of the record that answers, and of ServerHello the method."""
        with harness.Server("--tls=implicit") as server, TlsDialogue(server.port, tls=context(ssl.TLSVersion.TLSv1_2)) as client:
            client.wire(with_compression(client.begin_handshake(), methods))
            record = client.file.read(5)
            body = client.file.read(int.from_bytes(record[3:], "big"))
            if record[0] != 22:
                return record[0], None
            self.assertEqual(body[0], 2)
            at = 4 + 2 + 32
            at += 1 + body[at]
            return record[0], body[at + 2]

    def test_it_is_not_chosen(self):
        self.assertEqual(self.answer([DEFLATE, 0]), (22, 0))

    def test_nothing_else_is_offered(self):
        self.assertEqual(self.answer([DEFLATE]), (21, None))


if __name__ == "__main__":
    harness.main()
