"""TLS by Python in front of a server that speaks in plain, and certificates that are made when a test runs."""
import os
import select
import socket
import ssl
import subprocess
import threading


def make(*command):
    subprocess.run(["openssl", *command], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Certificates:
    """An authority, and a key that it has signed for some names; in a folder of the test's."""

    def __init__(self, home, names="DNS:mx.test,DNS:localhost,IP:127.0.0.1", prefix="a"):
        self.authority = os.path.join(home, f"{prefix}-authority.pem")
        self.chain = os.path.join(home, f"{prefix}-chain.pem")
        self.key = os.path.join(home, f"{prefix}-key.pem")
        authority_key, request, extensions = (os.path.join(home, f"{prefix}-{name}") for name in ("authority-key", "request", "names"))
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        make("req", "-x509", *new_key, "-keyout", authority_key, "-out", self.authority, "-days", "2", "-subj", f"/CN={prefix}.authority.test")
        make("req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=mx.test")
        with open(extensions, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={names}\n")
        make("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", authority_key, "-CAcreateserial", "-days", "2",
             "-extfile", extensions, "-out", self.chain)

    def context(self, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


class Front:
    """
    Listens, does STARTTLS or the handshake, and then passes on what comes to the server at `behind`, and back. What it has seen is counted.

    greet(connection): instead of the greeting in plain and STARTTLS; returns whether TLS is to begin.
    """

    def __init__(self, context, behind, mode, greet=None, is_rude=False, choose=None):
        self.context = context
        self.behind = behind
        self.mode = mode
        self.greet_otherwise = greet
        self.is_rude = is_rude # ends without close_notify
        self.choose = choose or (lambda number: context)
        self.connections = 0
        self.reused = 0
        self.handshakes = 0
        self.polite_ends = 0 # of clients: close_notify in front of FIN
        self.ragged_ends = 0
        self.plain_lines = [] # what was said before TLS
        self.errors = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self.talk, args=(client, self.connections), daemon=True).start()

    def talk(self, client, number):
        with client:
            try:
                if self.mode == "implicit" or (self.greet_otherwise or self.greet)(client):
                    self.secure(client, number)
            except (OSError, ssl.SSLError) as error:
                with self.lock:
                    self.errors.append(str(error))

    def line(self, client):
        """Octet by octet: what stands behind it may be TLS."""
        octets = b""
        while not octets.endswith(b"\n"):
            octet = client.recv(1)
            if not octet:
                return b""
            octets += octet
        self.plain_lines.append(octets)
        return octets

    def greet(self, client, keywords=b"STARTTLS", answer=b"220 2.0.0 go\r\n"):
        client.sendall(b"220 front\r\n")
        while True:
            verb = self.line(client)[:8].upper().strip()
            if verb[:4] in (b"EHLO", b"LHLO"):
                client.sendall(b"250-front\r\n250 " + keywords + b"\r\n")
            elif verb == b"STARTTLS":
                client.sendall(answer)
                return answer.startswith(b"220")
            else:
                client.sendall(b"221 bye\r\n")
                return False

    def secure(self, client, number):
        with self.choose(number).wrap_socket(client, server_side=True, suppress_ragged_eofs=False) as secured:
            with self.lock:
                self.handshakes += 1
                self.reused += secured.session_reused
            with socket.create_connection(self.behind) as server:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.mode == "starttls":
                    server.recv(1000) # its banner: the client has had one
                self.pump(secured, server)

    def pump(self, secured, server):
        """One thread alone: a TLS object is not for two at a time."""
        while True:
            readable = [secured] if secured.pending() else select.select([secured, server], [], [])[0]
            if secured in readable and not self.pass_on(secured, server):
                return
            if server in readable:
                octets = server.recv(65536)
                if not octets:
                    self.end(secured)
                    return
                secured.sendall(octets)

    def pass_on(self, secured, server):
        try:
            octets = secured.recv(65536)
        except ssl.SSLEOFError:
            self.note("ragged_ends")
            return False
        if not octets:
            self.note("polite_ends")
            if not self.is_rude:
                secured.unwrap()
            return False
        server.sendall(octets)
        return True

    def end(self, secured):
        """The server has closed: the client is told so, and what it says last is waited for."""
        if self.is_rude:
            return
        secured.settimeout(3)
        secured.unwrap() # sends close_notify and waits for the other's
        self.note("polite_ends")

    def note(self, name):
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)

    def close(self):
        self.listener.close()
