"""generator -- random steps for the reference, by seed, with the state steering what is likely.

What is valid comes often enough to get far; what is not comes in every state.
"""
import random

from reference import LINE_MAX, Step

GOOD_PATHS = (b"<a@client.test>", b"<UsEr.Name+tag@EXAMPLE.test>", b"<\"quoted string\"@x.test>", b"<a@[192.0.2.1]>",
              b"<a@[IPv6:2001:db8::1]>", b"<o'brien@x-y.test>", b"<" + b"l" * 64 + b"@" + b"d" * 60 + b".test>")
LOOSE_PATHS = (b" <space@x.test>", b"<under_score@x_y.test>") # lenient, as clients are
BAD_PATHS = (b"<a@b", b"<a b@c>", b"<a@b>junk", b"<@>", b"<a@[192.0.2>", b"<a\x01@b>", b"<a\x7f@b>", b"<a@b@c>", b"<a@>")
UTF8_PATHS = ("<\u00fcser@x.test>".encode(), "<a@b\u00fccher.test>".encode())
MAIL_GOOD = (b"SIZE=0", b"SIZE=10", b"size=17", b"BODY=7BIT", b"BODY=8BITMIME", b"body=8bitmime", b"BODY=BINARYMIME",
             b"RET=FULL", b"RET=hdrs", b"ENVID=QQ314159", b"AUTH=<>", b"AUTH=e+3Dmc2@x", b"SMTPUTF8")
MAIL_BAD = ((b"SIZE=", "501"), (b"SIZE=x", "501"), (b"SIZE=-1", "501"), (b"SIZE=" + b"1" * 21, "501"), (b"BODY=RABBIT", "501"),
            (b"RET=SOME", "501"), (b"ENVID=++", "501"), (b"SMTPUTF8=x", "501"), (b"FOO=1", "555"), (b"FOO", "555"),
            (b"NOTIFY=NEVER", "555"))
RCPT_GOOD = (b"NOTIFY=NEVER", b"NOTIFY=SUCCESS,FAILURE", b"notify=delay", b"ORCPT=rfc822;e+3Dmc2@x")
RCPT_BAD = ((b"NOTIFY=", "501"), (b"NOTIFY=NEVER,DELAY", "501"), (b"NOTIFY=FROP", "501"), (b"ORCPT=++", "501"),
            (b"ORCPT=rfc822;++", "501"), (b"FOO=1", "555"), (b"SIZE=1", "555"))
NAMES = (b"client.test", b"[127.0.0.1]", b"[IPv6:::1]", b"a", b"client.test and more words", b"h" * 490)
UNIMPLEMENTED = (b"EXPN list", b"TURN", b"SEND FROM:<a@b>", b"SOML FROM:<a@b>", b"SAML FROM:<a@b>")
UNKNOWN = (b"FOOBAR", b"XFOO 1 2 3", b"", b" NOOP", b"\tNOOP", b"\xff\xfe\x00x", b"DATAX", b"QUITTER", b"MAILFROM:<a@b>", b"NO")
BROWSERS = (b"GET / HTTP/1.1", b"POST /x HTTP/1.0", b"CONNECT x:25 HTTP/1.1")
UNREADABLE = (b"", b" x", b" -1", b" 5 FOO", b" 5 LAST x", b" 99999999999999999999999")
PIECES = (b"a line of text\r\n", b".\r\n", b"..\r\n", b".x\r\n", b"\r\n", b"x\n.\r\ny\r\n", b"x\r\n.\n\r\n", b"x\r.\r\n", b"x\r\n.\rx\r\n",
          b"\x00\x01\xff\r\n", b"MAIL FROM:<evil@x>\r\n", b"QUIT\r\n", b"long " * 300 + b"\r\n", b"\xc3\xbc\r\n", b"x\r\r\n")


class Generator:
    def __init__(self, seed, server):
        self.random = random.Random(seed)
        self.server = server
        self.users = list((server.credentials or {"user": "secret", "other": "x"}).items())

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, choices):
        return self.random.choice(choices)

    def case(self, word):
        return word if self.chance(0.8) else bytes(self.pick((octet, octet ^ 0x20)) if chr(octet).isalpha() else octet
                                                   for octet in word)

    def end(self):
        """Blanks at a line's end, and a bare LF, are tolerated where nobody was told to be strict."""
        return self.pick((b"\r\n",) * 18 + (b"\n", b"  \r\n"))

    def content(self):
        """Empty, or some lines; now and then of a size around the limit."""
        limit = self.server.size_limit
        if limit and self.chance(0.15):
            size = limit + self.pick((-1, 0, 1, 50))
            return b"s" * (size - 2) + b"\r\n" if size >= 2 else b""
        return b"".join(self.pick(PIECES) for _ in range(self.random.randrange(12)))

    def octets(self):
        """A chunk: any octets."""
        limit = self.server.size_limit
        if limit and self.chance(0.05):
            return b"c" * max(0, limit + self.pick((-1, 0, 1)))
        if self.chance(0.1):
            return b""
        return self.content() if self.chance(0.5) else self.random.randbytes(self.random.randrange(300))

    def parameters(self, good, bad):
        chosen = []
        while self.chance(0.3) and len(chosen) < 4:
            chosen.append(self.pick(bad) if self.chance(0.12) else (self.pick(good), ""))
        return tuple((self.case(text) if b"+" not in text else text, reply) for text, reply in chosen)

    def path(self, is_sender):
        """A path, the reply it earns if bad, whether it needs SMTPUTF8."""
        roll = self.random.random()
        if roll < 0.80:
            return self.pick(GOOD_PATHS), "", False
        if roll < 0.85:
            return self.pick(LOOSE_PATHS), "", False
        if roll < 0.91:
            return self.pick(BAD_PATHS), "501", False
        if roll < 0.93:
            return b"", "501", False
        if roll < 0.97:
            return self.pick(UTF8_PATHS), "", True
        return b"<>", "" if is_sender else "501 550 553", False

    def step_mail(self):
        path, fault, is_utf8 = self.path(True)
        # Where no path is, a parameter would be taken for one.
        parameters = self.parameters(MAIL_GOOD, MAIL_BAD) if path else ()
        return Step("mail", {"path": path, "fault": fault, "parameters": parameters,
                             "is_utf8": is_utf8, "verb": self.case(b"MAIL FROM:"), "end": self.end()})

    def step_rcpt(self):
        path, fault, is_utf8 = self.path(False)
        parameters = self.parameters(RCPT_GOOD, RCPT_BAD) if path else ()
        return Step("rcpt", {"path": path, "fault": fault, "parameters": parameters,
                             "is_utf8": is_utf8, "verb": self.case(b"RCPT TO:"), "end": self.end()})

    def step_data(self):
        return Step("data", {"content": self.content(), "argument": b"now" if self.chance(0.05) else b"",
                             "verb": self.case(b"DATA")})

    def step_bdat(self):
        return Step("bdat", {"content": self.octets(), "is_last": self.chance(0.4), "verb": self.case(b"BDAT"),
                             "last": self.case(b"LAST")})

    def step_bdat_unreadable(self):
        return Step("bdat_unreadable", {"argument": self.pick(UNREADABLE)})

    def step_greet(self):
        right = b"LHLO" if self.server.is_lmtp else self.pick((b"EHLO", b"EHLO", b"EHLO", b"HELO"))
        verb = right if self.chance(0.85) else self.pick((b"EHLO", b"HELO", b"LHLO"))
        return Step("greet", {"verb": self.case(verb), "name": self.pick(NAMES) if self.chance(0.93) else b"",
                              "end": self.end()})

    def step_auth(self):
        user, password = self.pick(self.users)
        if self.chance(0.2):
            password += "x"
        mechanism = self.pick((b"PLAIN", b"LOGIN")) if self.chance(0.9) else self.pick((b"NOSUCH", b"CRAM-MD5", b""))
        spoils = ("",) * 5 + ("cancel", "base64", "long") + (("nul",) if mechanism == b"PLAIN" else ())
        return Step("auth", {"mechanism": self.case(mechanism), "user": user, "password": password,
                             "is_initial": self.chance(0.5), "spoil": self.pick(spoils), "verb": self.case(b"AUTH")})

    def step_noop(self):
        roll = self.random.random()
        if roll < 0.7:
            return Step("noop", {"line": self.case(b"NOOP") + self.pick((b"", b" words", b" " + b"w" * 500)), "end": self.end()})
        size = self.pick((LINE_MAX - 1, LINE_MAX, LINE_MAX + 1, 5000, 20000, 100000 if self.chance(0.05) else 9000))
        return Step("noop", {"line": b"NOOP " + b"n" * (size - 7)})

    def step_rset(self):
        return Step("rset", {"argument": b"x" if self.chance(0.1) else b"", "end": self.end()})

    def step_vrfy(self):
        return Step("vrfy", {"argument": b"user" if self.chance(0.8) else b""})

    def step_help(self):
        return Step("help", {"argument": self.pick((b"", b"MAIL", b"NOSUCH"))})

    def step_etrn(self):
        return Step("etrn", {"argument": b"x.test" if self.chance(0.8) else b""})

    def step_unimplemented(self):
        return Step("unimplemented", {"line": self.pick(UNIMPLEMENTED)})

    def step_unknown(self):
        return Step("unknown", {"line": self.pick(UNKNOWN), "end": self.pick((b"\r\n", b"\r\n", b"\n"))})

    def step_quit(self):
        return Step("quit")

    def step_browse(self):
        return Step("browse", {"line": self.pick(BROWSERS)})

    def step_vanish(self):
        return Step("vanish", {"content": self.content()})

    def weights(self, reference):
        """What would get on from here comes most."""
        weights = {"mail": 4, "rcpt": 4, "data": 3, "bdat": 3, "bdat_unreadable": 0.1, "greet": 2, "auth": 3, "noop": 3,
                   "rset": 1, "vrfy": 1, "help": 0.5, "etrn": 0.5, "unimplemented": 0.5, "unknown": 1, "quit": 0.15,
                   "browse": 0.1, "vanish": 0.15}
        if not reference.is_greeted:
            weights["greet"] += 15
        elif self.server.is_auth_required and not reference.is_authenticated:
            weights["auth"] += 15
        elif not reference.is_open():
            weights["mail"] += 15
        elif not reference.recipients:
            weights["rcpt"] += 20
        elif reference.chunks is None and not reference.is_binary:
            weights["rcpt"] += 8
            weights["data"] += 8
            weights["bdat"] += 4
        else:
            weights["bdat"] += 15
        return weights

    def next(self, reference):
        weights = self.weights(reference)
        kind = self.random.choices(list(weights), list(weights.values()))[0]
        return getattr(self, f"step_{kind}")()
