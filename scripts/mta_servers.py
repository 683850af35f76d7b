"""The mail servers that scripts/bench-mta knows how to start: Debian 12's packages with Debian's configuration.

Each is unpacked, not installed (tests/e2e/peers.py), sees folders of its own in a mount namespace, listens on
127.0.0.1 and relays everything to one port there. Its processes are in the hands of mta_keeper.py. What differs
from Debian's defaults is in `settings`, one by one; what it did not need to change but matters is in `defaults`.

    with Postfix(relay_to=port, load=Load(...)) as postfix:
        postfix.look()          # what mta_keeper.py counts
        postfix.kill()          # -9
        postfix.start_again()   # on the same queue
"""
import dataclasses
import json
import os
import re
import subprocess
import sys

import measuring

sys.path.insert(0, os.path.join(measuring.TOP, "tests", "e2e"))
import peers  # noqa: E402

KEEPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mta_keeper.py")
PLACE = "a place of its own"


@dataclasses.dataclass
class Load:
    """What of the load a server's limits have to fit."""
    connections: int = 20
    per_connection: int | None = None  # None: no end
    settings: tuple = ()               # of --set: (name, value)


@dataclasses.dataclass
class Setting:
    name: str
    value: str
    default: str
    why: str


class Server(peers.Relay):
    """A relay in the hands of a keeper."""

    NAME = PACKAGE = ""
    QUEUE = {}     # for the keeper, folders relative to the home
    LOGS = ()      # files in the home
    CONFIGURATION = ()

    def __init__(self, relay_to, load):
        self.load = load
        self.settings = []
        self.keeper = None
        self.command = None
        self.cgroup = None
        self.log_name = None
        super().__init__(relay_to)

    def differ(self, name, value, default, why):
        self.settings.append(Setting(name, str(value), str(default), why))
        return value

    def start(self, *command):
        """The home is root's by now, the log of what the server prints too."""
        self.command = [*command]
        self.log_name = os.path.join(self.home.path, "printed")
        self.keeper = subprocess.Popen(peers.as_root(sys.executable, KEEPER), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       text=True, start_new_session=True)
        self.launch()
        return self.keeper

    def ask(self, what, **more):
        """One question to the keeper, and its answer."""
        try:
            self.keeper.stdin.write(json.dumps({"do": what, **more}) + "\n")
            self.keeper.stdin.flush()
            line = self.keeper.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise AssertionError(f"the keeper of {self.NAME} has ended: {self.output()}")
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"{self.NAME}: {what}: {answer['error']}")
        return answer

    def launch(self):
        queue = {**self.QUEUE, "folders": [os.path.join(self.home.path, folder) for folder in self.QUEUE["folders"]]}
        answer = self.ask("start", command=self.command, log=self.log_name, queue=queue)
        self.cgroup = answer["cgroup"]

    def look(self, _=False):
        """What the keeper counts, at any time: it costs the server nothing."""
        return self.ask("look")

    def numbers_queued(self):
        return {(run, sequence) for run, sequence in self.ask("find")["numbers"]}

    def kill(self):
        """-9 to every process; how many there were."""
        answer = self.ask("kill")
        if answer["left"]:
            raise AssertionError(f"{answer['left']} processes of {self.NAME} can't be killed")
        return answer["killed"]

    def start_again(self):
        self.launch()
        self.wait_listening()

    def has_ended(self):
        return not self.ask("look")["is_running"]

    def watch(self):
        """For loadgen's --watch."""
        return f"cgroup:{self.cgroup}" if self.cgroup else f"pid:{self.keeper.pid}"

    def asked(self, *command):
        """What a program of the server's says among its folders."""
        result = subprocess.run(self.home.inside(*command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                timeout=60, check=False)
        return result.stdout.strip()

    def version(self):
        raise NotImplementedError

    def defaults(self):
        """What stays as it is and matters to a benchmark: name -> value, as the server itself tells it.

        No server has a switch for its calls of fsync(); strace counted them.
        """
        raise NotImplementedError

    def keep(self, folder):
        """Copies log and configuration."""
        for target, names in (("mta.log", ("printed", *self.LOGS)), ("mta.configuration", self.CONFIGURATION)):
            with open(os.path.join(folder, target), "wb") as file:
                for name in names:
                    file.write(f"==> {name}\n".encode())
                    file.flush()
                    subprocess.run(peers.as_root("cat", os.path.join(self.home.path, name)), stdout=file,
                                   stderr=subprocess.DEVNULL, check=False)

    def output(self):
        text = subprocess.run(peers.as_root("tail", "-n", "30", *(os.path.join(self.home.path, name) for name in
                                                                ("printed", *self.LOGS))),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=30)
        return text.stdout.decode("utf-8", "replace")

    def close(self):
        if self.keeper:
            try:
                self.ask("stop", **self.first())
            except AssertionError:
                pass
            self.keeper.stdin.close()
            try:
                self.keeper.wait(60)
            finally:
                self.keeper.stdout.close()
        self.log.close()
        self.home.close()

    def first(self):
        """Whom to tell that it is over."""
        return {}


class Postfix(Server, peers.Postfix):
    NAME = "postfix"
    PACKAGE = "postfix"
    PEER = "debianpostfix"
    USERS = ("postfix", "postdrop")
    QUEUE = {"folders": ["queue/incoming", "queue/active", "queue/deferred", "queue/hold"], "is_ready": True}
    LOGS = ("maillog",)
    CONFIGURATION = ("postfix/main.cf", "postfix/master.cf")
    KNOWN = ("default_process_limit", "in_flow_delay", "qmgr_message_active_limit", "smtp_destination_concurrency_limit",
             "initial_destination_concurrency", "smtp_connection_cache_on_demand", "queue_run_delay", "minimal_backoff_time",
             "smtpd_client_connection_count_limit")

    def __init__(self, relay_to, load):
        self.transport = "smtp"
        self.postfix = "/mnt/usr/sbin/postfix"
        Server.__init__(self, relay_to, load)

    def main_settings(self):
        """Of main.cf: everything that Debian's installation would not have written there."""
        home = self.home.path
        for name, value in (("daemon_directory", "/mnt/usr/lib/postfix/sbin"), ("command_directory", "/mnt/usr/sbin"),
                            ("shlib_directory", "/mnt/usr/lib/postfix"), ("meta_directory", "/mnt/etc/postfix"),
                            ("queue_directory", self.home.folder("queue")), ("data_directory", self.home.folder("data")),
                            ("maillog_file", f"{home}/maillog"), ("maillog_file_prefixes", home),
                            ("myhostname", "relay.client.test"), ("mydestination", ""), ("alias_maps", "")):
            self.differ(name, value, "", PLACE)
        self.differ("relayhost", f"[127.0.0.1]:{self.relay_to}", "none", "everything goes to ringsink")
        self.differ("inet_protocols", "ipv4", "all", "loopback has no ::1 in some containers")
        for name, value in self.load.settings:
            self.differ(name, value, self.postconf(name), "asked for by --set")

    def postconf(self, name):
        return self.asked("/mnt/usr/sbin/postconf", "-d", "-h", name)

    def prepare(self):
        self.configuration = self.home.folder("postfix")
        shipped = os.path.join(self.home.covers["/mnt"], "usr", "share", "postfix")
        with open(os.path.join(shipped, "master.cf.dist")) as file:
            services, changed = re.subn(r"(?m)^smtp +inet ", f"127.0.0.1:{self.port} inet ", file.read(), count=1)
        if not changed:
            raise AssertionError("Postfix's master.cf has no smtp service")
        self.home.file("postfix/master.cf", services)
        self.differ("smtp inet (master.cf)", f"127.0.0.1:{self.port}", "port 25 of all addresses", PLACE)
        self.main_settings()
        with open(os.path.join(shipped, "main.cf.debian")) as file:
            main = file.read()
        # The next two lines are what Debian's installation adds.
        main += ("smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination\n"
                 "mailbox_size_limit = 0\nrecipient_delimiter = +\n")
        main += "".join(f"{item.name} = {item.value}\n" for item in self.settings if "(" not in item.name)
        self.home.file("postfix/main.cf", main)
        # Most of Debian's services are in a chroot, to which its start script copies these.
        for name in ("hosts", "nsswitch.conf", "services"):
            with open(os.path.join(self.home.path, "etc", name)) as file:
                self.home.file(f"queue/etc/{name}", file.read())
        return self.home.covered("sh", "-ec", self.START, "sh", self.home.path, self.postfix)

    def first(self):
        return {"pid": int(self.process_number())}

    def version(self):
        return self.asked("/mnt/usr/sbin/postconf", "-d", "-h", "mail_version")

    def defaults(self):
        text = self.asked("/mnt/usr/sbin/postconf", "-x", "-c", self.configuration, *self.KNOWN)
        known = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
        return {**known, "fsync": "one a message, before its 250"}


class Exim(Server):
    NAME = "exim4"
    PACKAGE = "exim4-daemon-light"
    PEER = "debianexim"
    USERS = ("Debian-exim",)
    FOLDERS = ("/var/spool", "/var/log", "/var/lib", "/run")
    QUEUE = {"folders": ["var-spool/exim4/input"], "suffix": "-H", "beside": "-D"}
    LOGS = ("var-log/exim4/mainlog", "var-log/exim4/paniclog")
    CONFIGURATION = ("etc/exim4/exim4.conf",)
    PROGRAM = "/mnt/usr/sbin/exim4"
    KNOWN = ("smtp_accept_max", "smtp_accept_queue", "smtp_accept_queue_per_connection", "smtp_accept_reserve",
             "smtp_load_reserve", "queue_only_load", "deliver_queue_load_max", "queue_run_max", "remote_max_parallel",
             "split_spool_directory")
    # Of Debian's daemon: /etc/default/exim4.
    QUEUE_INTERVAL = "30m"

    def limits(self):
        """Main options that this load needs otherwise than Exim has them."""
        if self.load.connections > 20:
            self.differ("smtp_accept_max", self.load.connections + 10, 20, f"the load has {self.load.connections} connections")
        if self.load.per_connection is None or self.load.per_connection > 10:
            self.differ("smtp_accept_queue_per_connection", 0, 10,
                        "sessions of the load are long: beyond 10 messages the rest would wait for the next queue run")
        for name, value in self.load.settings:
            self.differ(name, value, "", "asked for by --set")

    def prepare(self):
        for folder in ("var-spool/exim4", "var-log/exim4", "var-lib/exim4", "run/exim4"):
            self.home.folder(folder, 0o777)
        self.home.file("etc/mailname", "relay.client.test\n")
        for name in ("exim4.conf.template", "email-addresses"):
            self.copy(f"etc/{'exim4/' if name.startswith('exim4') else ''}{name}")
        self.home.file("etc/exim4/update-exim4.conf.conf", f"""dc_eximconfig_configtype='satellite'
dc_other_hostnames=''
dc_local_interfaces='127.0.0.1'
dc_readhost='relay.client.test'
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost='127.0.0.1::{self.relay_to}'
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname='true'
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
""")
        self.limits()
        result = subprocess.run(self.home.inside("sh", "/mnt/usr/sbin/update-exim4.conf", "-o", "/etc/exim4/generated"),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        path = os.path.join(self.home.path, "etc", "exim4", "generated")
        if result.returncode != 0 or not os.path.exists(path):
            raise AssertionError(f"update-exim4.conf: {result.stdout}")
        with open(path) as file:
            self.home.file("etc/exim4/exim4.conf", self.adapt(file.read()))
        return self.home.covered(self.PROGRAM, "-bdf", f"-q{self.QUEUE_INTERVAL}")

    def copy(self, name):
        source = os.path.join(self.home.covers["/mnt"], name)
        if os.path.exists(source):
            with open(source) as file:
                self.home.file(name, file.read())

    def adapt(self, text):
        """Debian's configuration for a relay whose smarthost is on the same machine."""
        self.differ("daemon_smtp_ports", self.port, 25, PLACE)
        self.differ("exim_path", self.PROGRAM, "/usr/sbin/exim4", PLACE)
        self.differ("self (router smarthost)", "send", "freeze", "the smarthost is this host")
        self.differ("allow_localhost (transport remote_smtp_smarthost)", "true", "false", "the smarthost is this host")
        main = "".join(f"{item.name} = {item.value}\n" for item in self.settings if "(" not in item.name)
        for pattern, new in ((r"(?m)^exim_path = .*\n", lambda match: main),
                             (r"(?m)^smarthost:\n", lambda match: match[0] + "  self = send\n"),
                             (r"(?m)^remote_smtp_smarthost:\n(.*\n)*?  driver = smtp\n",
                              lambda match: match[0] + "  allow_localhost\n")):
            text, changed = re.subn(pattern, new, text, count=1)
            if not changed:
                raise AssertionError(f"Debian's exim4.conf has no {pattern}")
        return text

    def version(self):
        found = re.search(r"^Exim version (\S+)", self.asked(self.PROGRAM, "-bV"), re.M)
        return found.group(1) if found else "?"

    def defaults(self):
        text = self.asked(self.PROGRAM, "-bP", *self.KNOWN)
        known = {}
        for line in text.splitlines():
            name, equals, value = (part.strip() for part in line.partition("="))
            known[name] = value or ("unset" if equals else "")
        return {**known, "queue runner": f"every {self.QUEUE_INTERVAL}", "fsync": "four a message, three of them before its 250"}


class OpenSmtpd(Server):
    NAME = "opensmtpd"
    PACKAGE = "opensmtpd"
    PEER = "opensmtpd"
    USERS = peers.OpenSmtpd.USERS
    FOLDERS = peers.OpenSmtpd.FOLDERS
    QUEUE = {"folders": ["var-spool/smtpd/queue"], "name": "message"}
    CONFIGURATION = ("etc/smtpd.conf",)

    def limits(self):
        most = self.load.per_connection
        if most is None or most > 100:
            self.differ("smtp limit max-mails", most or 1000000, 100, "sessions of the load are long")
        for name, value in self.load.settings:
            self.differ(name, value, "", "asked for by --set")

    def prepare(self):
        for folder, mode in (("var-lib/opensmtpd/empty", 0o755), ("var-spool/smtpd", 0o711)):
            self.home.folder(folder, mode)
        self.home.file("etc/mailname", "relay.client.test\n")
        self.home.file("etc/aliases", "")
        self.limits()
        options = "".join(f"{item.name} {item.value}\n" for item in self.settings)
        with open(os.path.join(self.home.covers["/mnt"], "etc", "smtpd.conf")) as file:
            text = options + file.read()
        listen = self.differ("listen on", f"127.0.0.1 port {self.port}", "localhost", PLACE)
        relay = self.differ('action "relay"', f"relay host smtp://127.0.0.1:{self.relay_to}", "relay",
                            "everything goes to ringsink")
        for pattern, new in ((r"(?m)^listen on localhost$", f"listen on {listen}"),
                             (r'(?m)^action "relay" relay$', f'action "relay" {relay}')):
            text, changed = re.subn(pattern, new, text, count=1)
            if not changed:
                raise AssertionError(f"Debian's smtpd.conf has no {pattern}")
        return self.home.covered("/mnt/usr/sbin/smtpd", "-d", "-f", self.home.file("etc/smtpd.conf", text))

    def version(self):
        result = subprocess.run(self.home.inside("/mnt/usr/sbin/smtpd", "-h"), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        found = re.search(r"OpenSMTPD (\S+)", result.stdout)
        return found.group(1).rstrip(",") if found else "?"

    def defaults(self):
        # smtpd.conf(5); it tells its values to nobody.
        return {"smtp limit max-mails": "100", "smtp limit max-rcpt": "1000", "queue": "files, neither compressed nor encrypted",
                "fsync": "none: its 250 survives a kill -9, not a power cut"}


SERVERS = {server.NAME: server for server in (Postfix, Exim, OpenSmtpd)}
