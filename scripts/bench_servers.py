"""The servers that scripts/bench measures: each started fresh, pinned, with nothing shared, and ended."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import bench_packages
import bench_processes
import bench_tls
import measuring
from bench_packages import peers
from measuring import BUILD

import receivers  # tests/e2e, which bench_packages has put on the path

PORT_WAIT_S = 20
END_WAIT_S = 30
# As many as the clients of any cell that they are in; bhm takes no thousand.
POSTFIX_PROCESSES = 320
BHM_THREADS = 400

# Steady state of a sink that runs for long: a spool that was filled before, whose segments are recycled.
WARM_UP = ("-c", "20", "-l", "100k", "-n", "6000")


class Process:
    """One of our programs, or smtp-sink: a command that listens."""

    relay = None
    spool = None
    log = None

    def __init__(self, name, home, cpus):
        self.name = name
        self.home = home
        self.cpus = cpus
        self.port = measuring.free_port()
        self.processes = []

    def command(self):
        raise NotImplementedError

    def start(self, count=1):
        for _ in range(count):
            self.processes.append(subprocess.Popen(["taskset", "-c", self.cpus, *self.command()], stdin=subprocess.DEVNULL,
                                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                                   preexec_fn=measuring.raise_descriptors))
        self.wait_listening()
        return self

    def wait_listening(self):
        end = time.monotonic() + PORT_WAIT_S
        while time.monotonic() < end and all(process.poll() is None for process in self.processes):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise peers.Missing(f"{self.name} does not listen")

    def roots(self):
        return [process.pid for process in self.processes]

    def cpu_seconds(self):
        """User and system; and their sum to the nanosecond, for one process without children, else None."""
        user, system = bench_processes.cpu_seconds(self.roots())
        is_alone = self.relay is None and len(self.processes) == 1
        return user, system, measuring.cpu_ns(self.processes[0].pid) / 1e9 if is_alone else None

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(END_WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def version(self):
        return None

    def port_for(self, _):
        """Where a client finds TLS of that kind, or none: most have one port."""
        return self.port


class Ringsink(Process):
    """durability: discard, page, disk. fresh: the first minutes, when every page of the spool is new."""

    def __init__(self, name, home, cpus, durability, is_fresh=False, threads=1, spool_size=None, certificate=None):
        super().__init__(name, home, cpus)
        self.certificate = certificate
        self.tls_port = measuring.free_port() if certificate else None
        self.durability = durability
        self.is_warm = durability == "page" and not is_fresh
        self.spool_size = spool_size or ("512Mi" if self.is_warm else "8Gi")
        self.threads = threads
        self.spool = os.path.join(home, f"spool-{name}")
        self.log = os.path.join(home, f"log-{name}")

    def command(self):
        return [f"{BUILD}/ringsink", f"127.0.0.1:{self.port}", "-t", str(self.threads), "--spool", self.spool, "--spool-size",
                self.spool_size, "--durability", self.durability, *self.tls_options()]

    def tls_options(self):
        if self.certificate is None:
            return []
        return ["--tls", "both", "--tls-listen", f"127.0.0.1:{self.tls_port}", "--cert", self.certificate.file, "--key",
                self.certificate.key]

    def port_for(self, tls):
        return self.tls_port if tls == "implicit" else self.port

    def start(self, count=1):
        self.processes = [measuring.start_server(["taskset", "-c", self.cpus, *self.command()], self.log,
                                                 preexec_fn=measuring.raise_descriptors)]
        if self.is_warm:
            subprocess.run(["taskset", "-c", "1", f"{BUILD}/loadgen", "-q", *WARM_UP, f"127.0.0.1:{self.port}"], check=True,
                           stdout=subprocess.DEVNULL)
        return self

    def ring_kib(self):
        return measuring.ring_kib(self.processes[0].pid)

    def stop(self):
        super().stop()
        shutil.rmtree(self.spool, ignore_errors=True)

    def counters(self):
        """The totals that it prints at its end, by sentence; it ends."""
        super().stop()
        with open(self.log) as text:
            return {sentence: int(value) for value, sentence in re.findall(r"^ *(\d+)  (.+)$", text.read(), re.M)}


class Floor(Process):
    def command(self):
        return [f"{BUILD}/bench/{self.name.replace('-', '_')}", str(self.port)]


class SmtpSink(Process):
    """count: processes that share the port by SO_REUSEPORT."""

    def __init__(self, name, home, cpus, count=1):
        super().__init__(name, home, cpus)
        self.count = count

    def command(self):
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return [peers.need("smtp-sink", "postfix"), *user, "-m", "20000", f"127.0.0.1:{self.port}", "4096"]

    def start(self, count=1):
        return super().start(self.count)

    def version(self):
        return receivers.version("postfix")


class Peer(Process):
    """Somebody else's server, as tests/e2e runs it: relay is its class, and what it further knows."""

    def __init__(self, name, home, cpus, relay_class, version, **known):
        super().__init__(name, home, cpus)
        self.relay_class = relay_class
        self.told_version = version
        self.known = known

    def start(self, count=1):
        cpus = self.cpus
        base = self.relay_class

        def start(relay, *command):
            return base.start(relay, "taskset", "-c", cpus, *command)
        # Packages are looked for under the class's name.
        self.relay = type(base.__name__, (base,), {"start": start, **self.known})(0)
        self.port = self.relay.port
        return self

    def roots(self):
        return [int(self.relay.process_number())]

    def stop(self):
        if self.relay is not None:
            self.relay.close()
        self.relay = None

    def version(self):
        return self.told_version()


class Postfix(receivers.PostfixReceiver):
    SETTINGS = f"default_process_limit = {POSTFIX_PROCESSES}"


class OverTls:
    """A relay that shakes hands before it greets; who asks whether it listens trusts it."""

    certificate = None

    def connect(self):
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        return trusting.wrap_socket(super().connect())


class PostfixTls(OverTls, Postfix):
    """Tickets are by tlsmgr, as in its own master.cf."""

    SERVICES = (Postfix.SERVICES.replace("- - smtpd", "- - smtpd -o smtpd_tls_wrappermode=yes")
                + "tlsmgr unix - - n 1000? 1 tlsmgr\n")

    def prepare(self):
        command = super().prepare()
        with open(os.path.join(self.configuration, "main.cf"), "a", encoding="utf-8") as file:
            file.write(f"smtpd_tls_security_level = encrypt\n"
                       f"smtpd_tls_chain_files = {self.certificate.key}, {self.certificate.file}\n")
        return command


class SmtpServerTls(OverTls, receivers.SmtpServer):
    SCRIPT = receivers.SmtpServer.SCRIPT.replace("new SMTPServer({", """const {readFileSync} = require('fs');
new SMTPServer({secure: true, key: readFileSync(process.argv[2]), cert: readFileSync(process.argv[3]), """)

    def prepare(self):
        return [*super().prepare(), self.certificate.key, self.certificate.file]


class Go(peers.Relay):
    def prepare(self):
        return [bench_packages.go_sink(False), f"127.0.0.1:{self.port}"]


class Bhm(peers.Relay):
    """Debian's postal has it; a thread a connection, no ESMTP."""

    def prepare(self):
        users = self.home.file("users", "user@sink.test\n")
        return self.home.inside("/mnt/usr/sbin/bhm", "-b", "127.0.0.1", "-p", str(self.port), "-t", str(BHM_THREADS), users)


class Haraka(peers.Relay):
    """With its own configuration, and one plugin, which takes every recipient and queues nothing; one process."""

    PLUGIN = "exports.hook_rcpt = (next) => next(OK)\nexports.hook_queue = (next) => next(OK)\n"

    def prepare(self):
        package = bench_packages.haraka()
        shutil.copytree(os.path.join(package, "config"), os.path.join(self.home.path, "config"))
        self.home.file("config/smtp.ini", f"listen=127.0.0.1:{self.port}\nnodes=0\n")
        self.home.file("config/plugins", "discard\n")
        self.home.file("config/loglevel", "CRIT\n")
        self.home.file("config/me", "haraka.test\n")
        self.home.file("package.json", '{"name": "sink", "version": "1.0.0"}\n')
        self.home.file("plugins/discard.js", self.PLUGIN)
        # It asks for the name of every client's address: in there the hosts file answers.
        return self.home.inside(peers.need("node", "nodejs"), os.path.join(package, "bin", "haraka"), "-c", self.home.path)


def node_says(expression):
    command = [peers.need("node", "nodejs"), "-p", expression]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def npm_version(folder):
    with open(os.path.join(folder, "package.json")) as file:
        return json.load(file)["version"] + ", node " + node_says("process.version")


def nodemailer_version():
    return npm_version(os.path.join(peers.node_modules(), "smtp-server"))


def postfix_version():
    return receivers.version("postfix")


def peer(relay_class, version):
    return lambda name, home, cpus: Peer(name, home, cpus, relay_class, version)


def ringsink_tls(durability):
    return lambda name, home, cpus: Ringsink(name, home, cpus, durability, certificate=bench_tls.certificate(home))


def peer_tls(relay_class, version, library):
    return lambda name, home, cpus: Peer(name, home, cpus, relay_class, lambda: f"{version()}, OpenSSL {library()}",
                                         certificate=bench_tls.certificate(home))


# name: how it is made of name, home and CPUs
SERVERS = {
    "ringsink-page": lambda *where: Ringsink(*where, "page"),
    "ringsink-page-fresh": lambda *where: Ringsink(*where, "page", is_fresh=True),
    "ringsink-discard": lambda *where: Ringsink(*where, "discard"),
    "ringsink-disk": lambda *where: Ringsink(*where, "disk"),
    "ringsink-page-2-workers": lambda *where: Ringsink(*where, "page", threads=2),
    "floor": Floor,
    "floor-epoll": Floor,
    "smtp-sink": SmtpSink,
    "smtp-sink-each-cpu": lambda *where: SmtpSink(*where, count=os.cpu_count() or 1),
    "nodemailer": peer(receivers.SmtpServer, nodemailer_version),
    "haraka": peer(Haraka, lambda: npm_version(bench_packages.haraka())),
    "aiosmtpd": peer(receivers.Aiosmtpd, lambda: receivers.version("python3-aiosmtpd")),
    "go": peer(Go, lambda: receivers.version("golang-github-emersion-go-smtp-dev")),
    "bhm": peer(Bhm, lambda: receivers.version("postal")),
    "postfix": peer(Postfix, postfix_version),
    "ringsink-page-tls": ringsink_tls("page"),
    "ringsink-discard-tls": ringsink_tls("discard"),
    "nodemailer-tls": peer_tls(SmtpServerTls, nodemailer_version, lambda: node_says("process.versions.openssl")),
    "postfix-tls": peer_tls(PostfixTls, postfix_version, lambda: receivers.version("libssl3")),
}
# Each has a process or a spool of its own in every run.
PER_RUN = {"ringsink-page-fresh"}


def make(name, home, cpus="0"):
    return SERVERS[name](name, home, cpus)
