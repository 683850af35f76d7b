"""Client libraries: each is driven by a small program in its own language, in tests/e2e/clients."""
import os
from collections import namedtuple

import client_test
import peers
from client_test import HARD, MESSAGE, RECIPIENTS, SENDER, UNDOTTED

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")

# How what arrived compares with what was given.
WHOLE = "every octet"
ONLY_BODY = "the client writes the header itself; every octet of the body"
DECODED = "the client chooses quoted-printable; every octet of the body once that is undone"

# One library each. program: of clients/, called with PORT SENDER FILE RECIPIENT...; given: the file;
# same: how it is compared; added: what the library appends to every body.
Library = namedtuple("Library", "name package interpreter program given same added", defaults=(MESSAGE, WHOLE, b""))

LIBRARIES = (
    Library("aiosmtplib", "python3-aiosmtplib", "/usr/bin/python3", "aiosmtplib_send.py", HARD),
    Library("twisted", "python3-twisted", "/usr/bin/python3", "twisted_send.py", HARD),
    Library("perl_net_smtp", "perl", "perl", "net_smtp.pl", HARD),
    Library("perl_email_sender", "libemail-sender-perl", "perl", "email_sender.pl", HARD),
    Library("perl_mime_lite", "libmime-lite-perl", "perl", "mime_lite.pl", same=ONLY_BODY),
    Library("perl_mail_sendmail", "libmail-sendmail-perl", "perl", "mail_sendmail.pl", same=ONLY_BODY),
    Library("phpmailer", "libphp-phpmailer", "php", "phpmailer.php", same=ONLY_BODY, added=b"\r\n"),
    Library("ruby_net_smtp", "ruby", "ruby", "net_smtp.rb", HARD),
    Library("lua_socket", "lua-socket", "lua5.4", "socket_smtp.lua", HARD),
    Library("tcllib_smtp", "tcllib", "tclsh", "smtp.tcl", same=ONLY_BODY),
    Library("libesmtp", "libesmtp-dev", "cc", "libesmtp.c", HARD),
    Library("nodemailer", "nodejs", "node", "nodemailer.js", HARD),
    Library("emailjs", "nodejs", "node", "emailjs.mjs", UNDOTTED, ONLY_BODY, b"\r\n\r\n\r\n"),
)

# Those that can log in, and how. They can do so inside TLS.
LOGINS = {name: ("PLAIN", "LOGIN") for name in ("nodemailer", "phpmailer", "ruby_net_smtp")}


class LibraryTest(client_test.ClientTest):
    def command(self, library):
        program = os.path.join(PROGRAMS, library.program)
        if library.program.endswith(".c"):
            built = os.path.join(self.home, "client")
            self.run_client(library.package, library.interpreter, "-o", built, program, "-lesmtp")
            return [built]
        if library.interpreter == "node":
            return [library.interpreter, program, peers.node_modules()]
        return [library.interpreter, program]

    def deliver(self, library, server=None, environment=None, port=None):
        path = self.file(library.given)
        self.run_client(library.package, *self.command(library), port or (server or self.server).port, SENDER, path,
                        *RECIPIENTS, environment=environment)
        message, content = self.only_message(server)
        self.assert_envelope(message)
        if library.same == WHOLE:
            self.assert_octets(content, library.given)
        else:
            self.assert_octets(client_test.body_of(content), client_test.body_of(library.given) + library.added)
