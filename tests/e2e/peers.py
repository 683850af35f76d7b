#!/usr/bin/env python3
"""Other people's mail programs, run from unpacked packages beside whatever this machine has installed.

Mail servers exclude one another as Debian packages, so those are downloaded and unpacked into a cache outside
the tree (RINGSINK_PEERS, else ~/.cache/ringsink-tests) and run there: files and users they have compiled in are
put before their eyes in a mount namespace of their own. Queue, configuration and log live in a temporary directory.
Nothing is installed, /etc and /var are never touched, and nothing listens but on 127.0.0.1.

    with peers.Exim(relay_to=port, chunking=True) as exim:
        exim.submit("a@client.test", ["b@sink.test"], content)      # by its sendmail
        smtplib.SMTP("127.0.0.1", exim.port)                        # or by SMTP

Run as a program it fetches everything.
"""
import base64
import fcntl
import glob
import hashlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

CACHE = os.environ.get("RINGSINK_PEERS") or os.path.expanduser("~/.cache/ringsink-tests")

# What is unpacked together; libraries they lack are found out and added.
PEERS = {
    # With the configuration that Debian ships: scripts/mta_servers.py.
    "debianexim": ("exim4-daemon-light", "exim4-config"),
    "debianpostfix": ("postfix",),
    "dma": ("dma",),
    "exim": ("exim4-daemon-light",),
    "mailutils": ("mailutils",),
    "nullmailer": ("nullmailer",),
    "opensmtpd": ("opensmtpd",),
    "sendmail": ("sendmail-bin", "sendmail-base", "sendmail-cf"),
    "ssmtp": ("ssmtp",),
}

# Name, version, SHA-512 as the registry states it. Versions that Debian 12's Node.js 18 can run.
NPM_REGISTRY = "https://registry.npmjs.org"
NPM = {
    "base32.js": ("0.1.0", "n3TkB02ixgBOhTvANakDb4xaMXnYUVkNoRFJjQflcqMQhyEKxEHdj3E6N8t8sUQ0mjH/3/JxzlXuz3ul/J90pQ=="),
    "fast-deep-equal": ("3.1.3", "f3qQ9oQy9j2AhBe/H9VC91wLmKBCCU/gDOnKNAYG5hswO7BLKj09Hc5HYNz9cGI++xlpDCIgDaitVs03ATR84Q=="),
    "fast-uri": ("3.0.6", "Atfo14OibSv5wAp4VWNsFYE1AchQRTv9cBGWET4pZWHzYshFSS9NQI6I57rdKn9croWVMbYFbLhJ+yJvmZIIHw=="),
    "hdr-histogram-js": ("3.0.1", "l3GSdZL1Jr1C0kyb461tUjEdrRPZr8Qry7jByltf5JGrA0xvqOSrxRBfcrJqqV/AMEtqqhHhC6w8HW0gn76tRQ=="),
    "ipv6-normalize": ("1.0.1", "Bm6H79i01DjgGTCWjUuCjJ6QDo1HB96PT/xCYuyJUP9WFbVDrLSbG4EZCvOCun2rNswZb0c3e4Jt/ws795esHA=="),
    "json-schema-traverse": ("1.0.0", "NM8/P9n3XjXhIZn1lLhkFaACTOURQXjWhV4BA/RnOv8xvgqtqpAX9IO4mRQxSx1Rlo4tqzeqb0sOlruaOy3dug=="),
    "nodemailer": ("6.10.1", "Z+iLaBGVaSjbIzQ4pX6XV41HrooLsQ10ZWPUehGmuantvzWoDVBnmsdUcOIDM1t+yPor5pDhVlDESgOMEGxhHA=="),
    "pako": ("1.0.11", "4hLB8Py4zZce5s4yd9XzopqwVv/yGNhV1Bl8NTmCq1763HeK2+EwVTv+leGeL13Dnh2wfbqowVPXCIO0z4taYw=="),
    "punycode.js": ("2.3.1", "uxFIHU0YlHYhDQtV4R9J6a52SLx28BCjT+4ieh7IGbgwVJWO+km431c4yRlREUAsAmt/uMjQUyQHNEPf0M39CA=="),
    "require-from-string": ("2.0.2", "Xf0nWe6RseziFMu+Ap9biiUbmplq6S9/p+7w7YXP/JBHhrUDDUhwa+vANyubuqfZWTveU//DYVGsDG7RKL/vEw=="),
    "smtp-server": ("3.13.6", "dqbSPKn3PCq3Gp5hxBM99u7PET7cQSAWrauhtArJbc+zrf5xNEOjm9+Ob3lySySrRoIEvNE0dz+w2H/xWFJNRw=="),
    "@assemblyscript/loader": ("0.19.23", "ulkCYfFbYj01ie1MDOyxv2F6SpRN1TOj7fQxbP07D6HmeR+gr2JLSmINKjga2emB+b1L2KGrFKBTc+e00p54nw=="),
    "ajv": ("8.20.0", "Thbli+OlOj+iMPYFBVBfJ3OmCAnaSyNn4M1vz9T6Gka5Jt9ba/HIR56joy65tY6kx/FCF5VXNB819Y7/GUrBGA=="),
    "base64-js": ("1.5.1", "AKpaYlHn8t4SVbOHCy+b5+KKgvR4vrsD8vbvrbiQJps7fKDTkjkDry6ji0rUJjC0kzbNePLwzxq8iypo41qeWA=="),
    "emailjs": ("5.0.3", "Y47oNF5Geurb8GnmST2b+EK8mDLKoDFySxsvZb6YMcNbvdxpjd9FaLQ80p38lUVhq50knveOhkH/c/4afJSFxQ=="),
}


class Missing(AssertionError):
    """A program or package that a test needs is not there."""


def need(program, package):
    """The path of an installed program."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/libexec:/usr/lib")
    if path is None:
        raise Missing(f"{program} is missing: install the Debian package {package} (scripts/setup does)")
    return path


def need_package(package):
    """A library has no program to look for."""
    if shutil.which("dpkg-query") is None:
        return
    status = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, check=False, text=True).stdout
    if status != "installed":
        raise Missing(f"the Debian package {package} is missing (scripts/setup installs it)")


def once(directory, fill):
    """Fills a directory of the cache once, whoever comes first."""
    if not os.path.isdir(directory):
        os.makedirs(CACHE, exist_ok=True)
        with open(os.path.join(CACHE, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(directory):
                fresh = tempfile.mkdtemp(dir=CACHE, prefix="fresh-")
                try:
                    os.chmod(fresh, 0o755)
                    fill(fresh)
                    os.rename(fresh, directory)
                finally:
                    shutil.rmtree(fresh, ignore_errors=True)
    return directory


def apt(*command, cwd=None):
    result = subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            timeout=300, check=False, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        raise Missing(f"{' '.join(command)}: {result.stderr.strip()} (is the package list there? apt-get update)")
    return result.stdout


def libraries_lacking(packages):
    """The libraries that apt would install along with packages."""
    plan = apt("apt-get", "install", "--simulate", "--no-install-recommends", *packages)
    return [name for name in re.findall(r"^Inst (\S+)", plan, re.M) if re.match(r"lib", name)]


def unpack(name):
    """The directory with the unpacked packages of a peer."""
    def fill(directory):
        packages = PEERS[name]
        with tempfile.TemporaryDirectory() as archives:
            os.chmod(archives, 0o777)  # apt downloads as its own user
            apt("apt-get", "download", "-qq", *packages, *libraries_lacking(packages), cwd=archives)
            for archive in glob.glob(os.path.join(archives, "*.deb")):
                # As root: Exim's setuid bit means root only on a file of root's.
                apt(*as_root("dpkg-deb", "--extract", archive, directory))
    return once(os.path.join(CACHE, name), fill)


def library_folders(directory):
    """Where unpacked libraries are once the directory is /mnt."""
    found = {os.path.dirname(path) for path in glob.glob(directory + "/**/lib/**/*.so*", recursive=True)}
    return sorted(path.replace(directory, "/mnt", 1) for path in found)


def node_modules():
    """The directory with the npm packages, each checked against the checksum above."""
    def fill(directory):
        os.mkdir(os.path.join(directory, "node_modules"))
        for name, (version, checksum) in NPM.items():
            url = f"{NPM_REGISTRY}/{name}/-/{os.path.basename(name)}-{version}.tgz"
            with urllib.request.urlopen(url, timeout=60) as answer:
                archive = answer.read()
            if base64.b64encode(hashlib.sha512(archive).digest()).decode() != checksum:
                raise Missing(f"{url} is not what it was: its SHA-512 differs")
            with tarfile.open(fileobj=io.BytesIO(archive)) as contents, \
                    tempfile.TemporaryDirectory(dir=directory) as place:
                contents.extractall(place, filter="data") if hasattr(tarfile, "data_filter") \
                    else contents.extractall(place)
                target = os.path.join(directory, "node_modules", name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                [package] = os.listdir(place)
                os.rename(os.path.join(place, package), target)
    versions = hashlib.sha256(repr(sorted(NPM.items())).encode()).hexdigest()[:12]
    return os.path.join(once(os.path.join(CACHE, "npm-" + versions), fill), "node_modules")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_root(*command):
    """What makes root of a command: mail servers and mount namespaces need it."""
    if os.geteuid() == 0:
        return [*command]
    if shutil.which("sudo") is None:
        raise Missing(f"{command[0]} needs root or sudo")
    return ["sudo", "-n", *command]


class Home:
    """A temporary directory with an /etc and other folders that a program finds in place of the machine's.

    The unpacked packages are under /mnt, where also a program that is no longer root can read them.
    """

    ETC = ("group", "ld.so.cache", "passwd", "protocols", "services", "ssl/certs/ca-certificates.crt")

    def __init__(self, name, users=(), folders=()):
        self.path = tempfile.mkdtemp(prefix=f"ringsink-{name}-")
        os.chmod(self.path, 0o755)
        self.covers = {"/etc": self.folder("etc")}
        if name in PEERS:
            self.covers["/mnt"] = unpack(name)
        for name in self.ETC:
            if os.path.exists("/etc/" + name):
                os.makedirs(os.path.dirname(os.path.join(self.path, "etc", name)), exist_ok=True)
                shutil.copy("/etc/" + name, os.path.join(self.path, "etc", name))
        # Names come from the file alone: no program waits for a name server.
        self.file("etc/hosts", f"127.0.0.1 relay.client.test localhost {socket.gethostname()}\n")
        self.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\n")
        for number, user in enumerate(users, 64900):
            self.add_user(user, number)
        for folder in folders:
            self.covers[folder] = self.folder(folder.strip("/").replace("/", "-"))
        libraries = library_folders(self.covers.get("/mnt", "/nonexistent"))
        if libraries:
            # Not LD_LIBRARY_PATH: mail servers clean their environment and start themselves anew.
            self.covers["/var/cache"] = self.folder("var-cache")
            self.set_libraries(libraries)

    def set_libraries(self, folders):
        result = subprocess.run(self.inside("/sbin/ldconfig", "-X", *folders), text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=60, check=False)
        if result.returncode != 0:
            self.close()
            raise AssertionError(f"no mount namespace here, which tests of mail servers need: {result.stdout}")

    def add_user(self, user, number):
        for name, line in (("passwd", f"{user}:x:{number}:{number}::/:/bin/false\n"), ("group", f"{user}:x:{number}:\n")):
            with open(os.path.join(self.path, "etc", name), "r+") as users:
                if not any(line.startswith(user + ":") for line in users.readlines()):
                    users.write(line)

    def group(self, name):
        with open(os.path.join(self.path, "etc", "group")) as groups:
            return next(line.split(":")[2] for line in groups if line.startswith(name + ":"))

    def folder(self, name, mode=0o755, owner=None):
        path = os.path.join(self.path, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def file(self, name, text, mode=0o644):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def covered(self, *command):
        """A command of root's that sees this home's folders where the machine's are."""
        mounts = "".join(f"mount --bind '{source}' '{target}'\n" for target, source in self.covers.items())
        return ["unshare", "--mount", "sh", "-ec", mounts + 'exec "$@"', "sh", *command]

    def inside(self, *command):
        """The same for anybody."""
        return as_root(*self.covered(*command))

    def give_to_root(self):
        if os.geteuid() != 0:
            subprocess.run(as_root("chown", "-R", "root:root", self.path), check=True, timeout=30)

    def close(self):
        subprocess.run(as_root("rm", "-rf", self.path), check=False, timeout=30)


class Relay:
    """A mail server that listens on 127.0.0.1:port and relays everything to one place."""

    USERS = ()
    FOLDERS = ()
    PEER = None  # its packages' name in PEERS, else that of the class

    def __init__(self, relay_to):
        self.relay_to = relay_to
        self.port = free_port()
        self.home = Home(self.PEER or type(self).__name__.lower(), self.USERS, self.FOLDERS)
        self.log = tempfile.TemporaryFile("w+")
        try:
            command = self.prepare()
            self.home.give_to_root()
            self.process = self.start(*command)
            self.wait_listening()
        except BaseException:
            self.close()
            raise

    process = None

    def prepare(self):
        """Writes the configuration; returns the command that runs in the foreground."""
        raise NotImplementedError

    def sendmail(self, sender, recipients):
        """The command that takes a message on its standard input."""
        raise NotImplementedError

    def start(self, *command):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                start_new_session=True)

    def output(self):
        text = os.pread(self.log.fileno(), 1 << 20, 0).decode("utf-8", "replace")
        logs = subprocess.run(as_root("find", self.home.path, "-type", "f", "-name", "*log*", "-exec", "cat", "{}", "+"),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=30)
        return text + logs.stdout.decode("utf-8", "replace")

    def has_ended(self):
        return self.process.poll() is not None

    def connect(self):
        """To where it listens; its greeting comes next."""
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def wait_listening(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.has_ended():
            try:
                with self.connect() as probe:
                    if probe.recv(4) == b"220 ":
                        probe.sendall(b"QUIT\r\n")
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{type(self).__name__} does not listen: {self.output()}")

    def submit(self, sender, recipients, content):
        """Gives a message to its sendmail; content has local line ends."""
        result = subprocess.run(self.sendmail(sender, recipients), input=content, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=60, check=False)
        if result.returncode != 0:
            raise AssertionError(f"sendmail of {type(self).__name__}: {result.returncode} {result.stdout!r} {self.output()}")

    def process_number(self):
        """Of the process that ends the others."""
        return self.process.pid

    def close(self):
        for signal in ("TERM", "KILL"):
            if self.process is None or self.process.poll() is not None:
                break
            subprocess.run(as_root("kill", "-" + signal, str(self.process_number())), stderr=subprocess.DEVNULL, check=False)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                pass
        self.log.close()
        self.home.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Exim(Relay):
    """relay_to is a port, or the path of a unix socket for LMTP. chunking: BDAT if the server offers it."""

    USERS = ("Debian-exim",)

    def __init__(self, relay_to, chunking=False, lmtp=False):
        self.chunking = chunking
        self.lmtp = lmtp
        super().__init__(relay_to)

    def prepare(self):
        spool = self.home.folder("spool", 0o777)
        logs = self.home.folder("log", 0o777)
        if isinstance(self.relay_to, str):
            transport = f"driver = lmtp\n  socket = {self.relay_to}\n  batch_max = 1000\n"
            router = "driver = accept\n"
        else:
            transport = (f"driver = smtp\n  port = {self.relay_to}\n  protocol = {'lmtp' if self.lmtp else 'smtp'}\n"
                         f"  hosts_try_chunking = {'*' if self.chunking else ''}\n"
                         "  message_linelength_limit = 10000000\n  allow_localhost\n  hosts_avoid_tls = *\n")
            router = "driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n"
        self.home.file("etc/exim4/exim4.conf", f"""
exim_path = /mnt/usr/sbin/exim4
spool_directory = {spool}
log_file_path = {logs}/%slog
pid_file_path = {spool}/exim.pid
primary_hostname = relay.client.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
keep_environment =
never_users =
check_spool_space = 0
tls_advertise_hosts =
chunking_advertise_hosts = *
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
recipients_max = 0
accept_8bitmime = true
local_from_check = false
untrusted_set_sender = *
acl_smtp_mail = accept
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin routers
everything:
  {router}  transport = out
begin transports
out:
  {transport}
begin retry
* * F,1h,1s
""", 0o644)
        return self.home.inside("/mnt/usr/sbin/exim4", "-bdf", "-q1m")

    def sendmail(self, sender, recipients):
        return self.home.inside("/mnt/usr/sbin/exim4", "-i", "-odi", "-f", sender, *recipients)


class OpenSmtpd(Relay):
    USERS = ("opensmtpd", "opensmtpq")
    FOLDERS = ("/var/spool", "/var/lib", "/run")

    def __init__(self, relay_to, lmtp=False):
        self.lmtp = lmtp
        super().__init__(relay_to)

    def prepare(self):
        for folder, mode in (("var-lib/opensmtpd/empty", 0o755), ("var-spool/smtpd", 0o711)):
            self.home.folder(folder, mode)
        scheme = "lmtp" if self.lmtp else "smtp"
        configuration = self.home.file("etc/smtpd.conf", f"""
listen on 127.0.0.1 port {self.port}
listen on socket
action "out" relay host {scheme}://127.0.0.1:{self.relay_to} helo relay.client.test
match from any for any action "out"
""")
        return self.home.inside("/mnt/usr/sbin/smtpd", "-d", "-f", configuration)

    def sendmail(self, sender, recipients):
        # The socket is in a /run that only this server sees.
        # It is installed setgid; unpacked it is not.
        return self.home.inside("setpriv", "--keep-groups", "--egid", "opensmtpq", "/mnt/usr/sbin/sendmail",
                                "-i", "-f", sender, *recipients)


class Sendmail(Relay):
    USERS = ("smmta", "smmsp")
    FOLDERS = ("/var/spool", "/var/lib", "/run")

    def prepare(self):
        self.home.folder("var-spool/mqueue", 0o700)
        self.home.folder("var-spool/mqueue-client", 0o700)
        self.home.file("etc/mail/local-host-names", "relay.client.test\n")
        self.home.file("etc/mail/service.switch", "hosts files\naliases files\npasswd files\n")
        macros = self.home.file("relay.mc", f"""
define(`_CF_DIR_', `{unpack('sendmail')}/usr/share/sendmail/cf/')dnl
include(`{unpack('sendmail')}/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `relay.client.test')dnl
define(`confDONT_BLAME_SENDMAIL', `groupwritabledirpathsafe')dnl
define(`confTRUSTED_USER', `root')dnl
define(`confDEF_USER_ID', `8:8')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confPID_FILE', `/run/sendmail.pid')dnl
define(`QUEUE_DIR', `/var/spool/mqueue')dnl
define(`ALIAS_FILE', `')dnl
define(`STATUS_FILE', `/var/spool/statistics')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {self.relay_to}')dnl
define(`RELAY_MAILER_MAXMSGS', `1')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`nocanonify')dnl
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Family=inet, Addr=127.0.0.1, Port={self.port}, Name=MTA')dnl
MAILER(`smtp')dnl
""")
        configuration = subprocess.run([need("m4", "m4"), macros], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       check=True, text=True).stdout
        # L=: the longest line the mailer sends; what is longer it folds.
        configuration = re.sub(r"(?m)^(Mrelay,.*)L=2040", r"\1L=0", configuration)
        self.home.file("etc/mail/sendmail.cf", configuration)
        return self.home.inside("/mnt/usr/libexec/sendmail/sendmail", "-bD", "-q1s")

    def sendmail(self, sender, recipients):
        return self.home.inside("/mnt/usr/libexec/sendmail/sendmail", "-Am", "-i", "-f", sender, *recipients)


class Postfix(Relay):
    """The installed Postfix with folders of its own. transport: smtp or lmtp; relay_to: a port or unix:PATH."""

    SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
lmtp      unix  - - n - - lmtp
error     unix  - - n - - error
retry     unix  - - n - - error
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

    # The folders that Postfix would make while it checks its installation, which takes two seconds.
    START = """
cd "$1/queue"
mkdir -p active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace
chown postfix active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace ../data
chgrp postdrop maildrop public
chmod 1730 maildrop
chmod 2710 public
touch quick-start
exec "$2" -c "$1/postfix" start-fg
"""

    def __init__(self, relay_to, transport="smtp"):
        self.transport = transport
        self.postfix = need("postfix", "postfix")
        super().__init__(relay_to)

    def prepare(self):
        place = self.relay_to if isinstance(self.relay_to, str) else f"inet:[127.0.0.1]:{self.relay_to}"
        if self.transport == "smtp":
            place = f"[127.0.0.1]:{self.relay_to}"
        self.configuration = self.home.folder("postfix")
        self.home.file("postfix/master.cf", self.SERVICES.format(port=self.port))
        self.home.file("postfix/main.cf", f"""
compatibility_level = 3.6
queue_directory = {self.home.folder('queue')}
data_directory = {self.home.folder('data')}
maillog_file = {self.home.path}/maillog
maillog_file_prefixes = {self.home.path}
myhostname = relay.client.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
default_transport = {self.transport}:{place}
relay_transport = {self.transport}:{place}
smtp_line_length_limit = 0
lmtp_line_length_limit = 0
line_length_limit = 1048576
in_flow_delay = 0
append_dot_mydomain = no
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_tls_security_level = none
smtpd_tls_security_level = none
""")
        return as_root("sh", "-ec", self.START, "sh", self.home.path, self.postfix)

    def process_number(self):
        # start-fg is a script that waits for a master in a session of its own.
        number = subprocess.run(as_root("cat", self.home.path + "/queue/pid/master.pid"), stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, check=False, text=True).stdout.strip()
        return number or self.process.pid

    def sendmail(self, sender, recipients):
        return as_root(need("sendmail", "postfix"), "-C", self.configuration, "-i", "-f", sender, *recipients)


def run_once(name, command, files=(), users=(), folders=(), arguments=(), content=b""):
    """Runs an unpacked program to its end, among configuration files of its own; returns what it said, or raises."""
    home = Home(name, users, folders)
    try:
        for path, text in files:
            home.file(path, text)
        for folder in folders:
            os.chmod(home.covers[folder], 0o777)
        home.give_to_root()
        result = subprocess.run(home.inside(command, *arguments), input=content, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=60, check=False)
        if result.returncode != 0:
            raise AssertionError(f"{name}: {result.returncode} {result.stdout!r}")
        return result.stdout
    finally:
        home.close()


def mail_read(box, commands):
    """mailutils' mail on "maildir:PATH", "mh:PATH" or "mbox:PATH"; what it shows."""
    return run_once("mailutils", "env", content=commands,
                    arguments=("HOME=/etc", "/mnt/usr/bin/mail.mailutils", "-n", "-f", box))


def dma_send(port, sender, recipients, content):
    """Content has local line ends, as with the programs below."""
    run_once("dma", "/mnt/usr/sbin/dma", folders=("/var/spool",), arguments=("-D", "-i", "-f", sender, *recipients),
             files=[("etc/dma/dma.conf", f"SMARTHOST 127.0.0.1\nPORT {port}\nSPOOLDIR /var/spool\nMAILNAME client.test\n")],
             content=content)


def ssmtp_send(port, sender, recipients, content):
    """It takes the sender from a table of the users of the machine."""
    run_once("ssmtp", "/mnt/usr/sbin/ssmtp", arguments=recipients, content=content,
             files=[("etc/ssmtp/ssmtp.conf", f"mailhub=127.0.0.1:{port}\nhostname=client.test\nFromLineOverride=YES\n"),
                    ("etc/ssmtp/revaliases", f"root:{sender}\n")])


def nullmailer_send(port, sender, recipients, content):
    """Its protocol program takes the envelope before the message, as its queue holds it."""
    envelope = "".join(line + "\n" for line in (sender, *recipients, "")).encode()
    run_once("nullmailer", command="sh", content=envelope + content,
             arguments=("-c", f"export HELOHOST=client.test; exec /mnt/usr/lib/nullmailer/smtp -p {port} --host=127.0.0.1 3<&0 </dev/null"))


def opensmtpd_send(port, sender, recipients, content):
    """smtp(1), which shares no line with the daemon's relay."""
    run_once("opensmtpd", "/mnt/usr/bin/smtp", users=OpenSmtpd.USERS, content=content,
             arguments=("-s", f"smtp://127.0.0.1:{port}", "-H", "client.test", "-F", sender, *recipients))


def fetch_all():
    for name in PEERS:
        unpack(name)
    node_modules()


if __name__ == "__main__":
    try:
        fetch_all()
    except (Missing, OSError) as problem:
        sys.exit(f"peers: {problem}")
