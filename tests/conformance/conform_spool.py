"""What a run of the suite left in ringsink's spool, by `ringspool list` and `ringspool cat`.

Each run of a case has a token of its own, which stands in the sender, in a recipient or in the
content of every message of that run: so messages are told apart however many connections there were.
"""
import json
import os
import re
import subprocess

TOKEN = re.compile(r"t[0-9a-z]{3}x[0-9]{7}")


def program():
    build = os.environ.get("RINGSINK_BUILD")
    return os.path.join(build, "ringspool") if build else "ringspool"


class Spool:
    def __init__(self, path, seed):
        self.path = path
        self.seed = seed  # the first octets of this suite's tokens
        self.messages = {}  # token -> messages, oldest first

    def read(self):
        output = subprocess.run([program(), "list", "--json", self.path], stdout=subprocess.PIPE, check=True).stdout
        messages = [json.loads(line) for line in output.splitlines()]
        for message in sorted(messages, key=lambda message: message["committed_ns"]):
            token = self.token_of(message)
            if token:
                self.messages.setdefault(token, []).append(message)

    def token_of(self, message):
        envelope = " ".join([message["from"], *message["recipients"]])
        found = self.first_token(envelope)
        if found is None and message["from"] == "":
            found = self.first_token(self.content(message).decode("latin-1"))
        return found

    def first_token(self, text):
        return next((token for token in TOKEN.findall(text) if token.startswith(self.seed)), None)

    def content(self, message):
        return subprocess.run([program(), "cat", self.path, message["id"]], stdout=subprocess.PIPE, check=True).stdout

    def fault(self, token, wanted, is_exact):
        """None, or what is not as it was wanted. Octets are compared where is_exact says so, sizes always."""
        stored = self.messages.get(token, [])
        if len(stored) != len(wanted):
            return f"{len(wanted)} stored", f"{len(stored)} stored"
        for have, want in zip(stored, wanted):
            for name, is_value, value in (("sender", have["from"], text(want.sender)),
                                          ("recipients", have["recipients"], [text(path) for path in want.recipients]),
                                          ("octets", have["size"], len(want.content))):
                if is_value != value:
                    return f"{name} {value}", f"{name} {is_value}"
            if is_exact and self.content(have) != want.content:
                return f"content {want.content[:200]!r}", f"content {self.content(have)[:200]!r}"
        return None


def text(octets):
    return octets.decode("utf-8", "replace")
