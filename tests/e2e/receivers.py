"""Other people's mail servers that take mail for anybody and keep none of it; what they do otherwise is their default."""
import os
import subprocess

import harness
import peers

# peers.Home looks for the packages under the name of the class.
for known in ("exim", "opensmtpd", "sendmail"):
    peers.PEERS.setdefault(known + "receiver", peers.PEERS[known])
peers.PEERS.setdefault("aiosmtpd", ("python3-aiosmtpd", "python3-attr", "python3-public"))


def version(package):
    """Of a Debian package: what is installed, else what would be unpacked."""
    policy = subprocess.run(["apt-cache", "policy", package], stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = dict(line.strip().split(": ", 1) for line in policy.splitlines() if ": " in line)
    installed = lines.get("Installed", "(none)")
    return lines.get("Candidate", "?") if installed == "(none)" else installed


class PostfixReceiver(peers.Postfix):
    """What is accepted is discarded by cleanup; errors cost no time."""

    PACKAGE = "postfix"
    SETTINGS = ""

    def prepare(self):
        command = super().prepare()
        with open(os.path.join(self.configuration, "main.cf"), "a", encoding="utf-8") as file:
            file.write(f"smtpd_recipient_restrictions = check_recipient_access static:DISCARD\n"
                       f"smtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_error_sleep_time = 0\n"
                       f"smtpd_client_connection_count_limit = 0\n{self.SETTINGS}\n")
        return command


class PostfixNormalizing(PostfixReceiver):
    """As Postfix 3.9 does by default."""

    SETTINGS = "smtpd_forbid_bare_newline = normalize\nsmtpd_forbid_bare_newline_exclusions ="


class EximReceiver(peers.Exim):
    """Its ACL discards each message behind the final dot."""

    PACKAGE = "exim4-daemon-light"

    def prepare(self):
        command = super().prepare()
        path = os.path.join(self.home.path, "etc", "exim4", "exim4.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        text = text.replace("acl_smtp_data = accept\n", "acl_smtp_data = acl_drop\nacl_smtp_vrfy = accept\n"
                            "acl_smtp_helo = accept\ndsn_advertise_hosts = *\n"
                            "begin acl\nacl_drop:\n  discard\n")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return command


class Swallowed:
    """A relay, whose mail a ringsink counts and forgets."""

    def __init__(self):
        self.sink = harness.Server("--durability", "discard")
        try:
            super().__init__(self.sink.port)
        except BaseException:
            self.sink.close()
            raise

    def close(self):
        super().close()
        self.sink.close()


class OpenSmtpdReceiver(Swallowed, peers.OpenSmtpd):
    PACKAGE = "opensmtpd"


class SendmailReceiver(Swallowed, peers.Sendmail):
    PACKAGE = "sendmail-bin"

    def prepare(self):
        with open(os.path.join(peers.unpack("sendmail"), "etc", "mail", "helpfile"), encoding="latin-1") as file:
            self.home.file("etc/mail/helpfile", file.read())
        return super().prepare()


class Aiosmtpd(peers.Relay):
    """Its own Sink handler. It is a library: what it offers is what a program asks of it."""

    PACKAGE = "python3-aiosmtpd"

    def prepare(self):
        return self.home.inside("env", "PYTHONPATH=/mnt/usr/lib/python3/dist-packages", "/usr/bin/python3", "-m", "aiosmtpd",
                                "-n", "-u", "-c", "aiosmtpd.handlers.Sink", "-l", f"127.0.0.1:{self.port}")


class SmtpServer(peers.Relay):
    """nodemailer's smtp-server, a library: STARTTLS off, authentication not asked for, content read and forgotten."""

    PACKAGE = "nodejs"
    SCRIPT = """
const {SMTPServer} = require('smtp-server');
new SMTPServer({disabledCommands: ['STARTTLS', 'AUTH'], disableReverseLookup: true, logger: false, maxClients: 1000,
  onData(stream, session, callback) { stream.on('data', () => {}); stream.on('end', () => callback(null, 'kept')); }
}).listen(+process.argv[1], '127.0.0.1');
"""

    def prepare(self):
        return ["env", f"NODE_PATH={peers.node_modules()}", peers.need("node", "nodejs"), "-e", self.SCRIPT, str(self.port)]


class SmtpSink(peers.Relay):
    """Postfix's own."""

    PACKAGE = "postfix"

    def prepare(self):
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return [peers.need("smtp-sink", "postfix"), *user, "-m", "2000", f"127.0.0.1:{self.port}", "1000"]


RECEIVERS = {
    "postfix": lambda: PostfixReceiver(0),
    "postfix-normalize": lambda: PostfixNormalizing(0),
    "exim": lambda: EximReceiver(0),
    "opensmtpd": OpenSmtpdReceiver,
    "sendmail": SendmailReceiver,
    "aiosmtpd": lambda: Aiosmtpd(0),
    "smtp-server": lambda: SmtpServer(0),
    "smtp-sink": lambda: SmtpSink(0),
}
