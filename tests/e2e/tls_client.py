"""TLS as a test client wants it: the octets on the wire are its own to cut, hold back and forge."""
import functools
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

import harness


class Certificate:
    """A key and a self-signed certificate for that name and 127.0.0.1, made now, in a folder of their own."""

    def __init__(self, name="sink.test", bits=None):
        self.folder = tempfile.mkdtemp(prefix="ringsink-certificate-")
        self.key = os.path.join(self.folder, "key.pem")
        self.certificate = os.path.join(self.folder, "certificate.pem")
        kind = ["rsa:%d" % bits] if bits else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", self.key, "-out", self.certificate,
                        "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.chmod(self.key, 0o600)

    def expire(self):
        """Another certificate for the key, of a time long ago. `openssl req` makes none, but an authority does."""
        path = functools.partial(os.path.join, self.folder)
        with open(path("authority"), "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=own\n[own]\ndatabase={path('index')}\nnew_certs_dir={self.folder}\nrand_serial=yes\n"
                       "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n")
        with open(path("index"), "w", encoding="ascii"):
            pass
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["openssl", "req", "-new", "-key", self.key, "-subj", "/CN=sink.test", "-out", path("request")], **quiet)
        subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-notext", "-config", path("authority"), "-keyfile", self.key,
                        "-in", path("request"), "-startdate", "20200101000000Z", "-enddate", "20210101000000Z",
                        "-out", self.certificate], **quiet)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)


def context(version=None):
    """Trusts everybody; `version`: that one alone."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if version:
        made.minimum_version = made.maximum_version = version
    return made


class TlsDialogue(harness.Dialogue):
    """TLS from the first octet, or behind STARTTLS by secure(); `cut` octets go on the wire at a time."""

    def __init__(self, port, timeout=20, implicit=False, tls=None, session=None, cut=None):
        super().__init__(port, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = tls or context()
        self.session = session
        self.cut = cut
        self.object = None
        self.plain = b""
        if implicit:
            self.handshake()

    def wire(self, octets):
        for start in range(0, len(octets), self.cut or len(octets) or 1):
            self.socket.sendall(octets[start:start + (self.cut or len(octets))])

    def push(self):
        self.wire(self.outgoing.read())

    def pull(self):
        """False at the end of the stream."""
        octets = self.socket.recv(65536)
        if octets:
            self.incoming.write(octets)
        else:
            self.incoming.write_eof()
        return bool(octets)

    def begin_handshake(self):
        """The ClientHello, which is not sent yet."""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = self.tls.wrap_bio(self.incoming, self.outgoing, server_hostname="sink.test", session=self.session)
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def handshake(self):
        self.wire(self.begin_handshake())
        self.go_on()

    def go_on(self):
        """To the handshake's end, once the ClientHello is sent."""
        while True:
            try:
                self.object.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.push()
                self.pull()
        self.push()

    def secure(self, name=b"client.test"):
        """STARTTLS and the handshake; the answer to EHLO inside."""
        answer = self.ask(b"STARTTLS\r\n")
        assert answer.startswith(b"220 "), answer
        self.handshake()
        return self.ask(b"EHLO " + name + b"\r\n")

    def encrypted(self, octets):
        """The records of `octets`, which are not sent."""
        self.object.write(octets)
        return self.outgoing.read()

    def send(self, octets):
        if self.object is None:
            super().send(octets)
            return
        for start in range(0, len(octets), 1 << 20):
            self.wire(self.encrypted(octets[start:start + (1 << 20)]))

    def read_line(self):
        while b"\n" not in self.plain:
            try:
                octets = self.object.read(65536)
                if not octets:
                    break
                self.plain += octets
            except ssl.SSLWantReadError:
                self.pull()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                break
        line, newline, self.plain = self.plain.partition(b"\n")
        return line + newline

    def reply(self):
        if self.object is None:
            return super().reply()
        lines = []
        while True:
            line = self.read_line()
            lines.append(line)
            if len(line) < 4 or line[3:4] != b"-":
                return b"".join(lines)

    def ends(self):
        """Reads to the end; "close_notify", "fin" or "reset"."""
        try:
            while True:
                try:
                    if not self.object.read(65536):
                        return "close_notify"
                except ssl.SSLWantReadError:
                    self.pull()
        except ssl.SSLZeroReturnError:
            return "close_notify"
        except (ssl.SSLEOFError, ssl.SSLError):
            return "fin"
        except ConnectionResetError:
            return "reset"

    def say_goodbye(self):
        """close_notify, not waiting for the server's."""
        try:
            self.object.unwrap()
        except ssl.SSLError:
            pass
        self.push()


implicit = functools.partial(TlsDialogue, implicit=True)
