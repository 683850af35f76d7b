"""What only the full benchmark runs: fetched into the cache of tests/e2e/peers.py, checked, unpacked, never installed."""
import base64
import glob
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request

import measuring

sys.path.insert(0, os.path.join(measuring.TOP, "tests", "e2e"))
import peers  # noqa: E402

# The packages that Haraka loads when it discards, and no others: place, version, checksum as npm's lock files have them.
HARAKA = os.path.join(measuring.TOP, "scripts", "bench_haraka.json")

# Debian's compiler is 85 MB to fetch and 450 MB unpacked: only on demand, or where there is one.
GO_COMPILER = ("golang-1.19-go", "golang-1.19-src")
GO_LIBRARIES = ("golang-github-emersion-go-smtp-dev", "golang-github-emersion-go-sasl-dev")
GO_SINK = """package main

import (
	"io"
	"os"

	"github.com/emersion/go-smtp"
)

type sink struct{}

func (sink) Login(*smtp.ConnectionState, string, string) (smtp.Session, error) {
	return nil, smtp.ErrAuthUnsupported
}
func (sink) AnonymousLogin(*smtp.ConnectionState) (smtp.Session, error) { return sink{}, nil }
func (sink) Reset()                                                     {}
func (sink) Logout() error                                              { return nil }
func (sink) Mail(string, smtp.MailOptions) error                        { return nil }
func (sink) Rcpt(string) error                                          { return nil }
func (sink) Data(content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

func main() {
	server := smtp.NewServer(sink{})
	server.Addr = os.Args[1]
	server.Domain = "go"
	server.AuthDisabled = true
	os.Stderr.WriteString(server.ListenAndServe().Error())
	os.Exit(1)
}
"""

# bhm stands in Debian's package postal.
peers.PEERS.setdefault("bhm", ("postal",))
peers.PEERS.setdefault("go-library", GO_LIBRARIES)
peers.PEERS.setdefault("go-compiler", GO_COMPILER)


def fetch_npm(place, version, integrity, directory):
    """One package of the npm registry into directory/place."""
    name = place.rpartition("node_modules/")[2]
    url = f"{peers.NPM_REGISTRY}/{name}/-/{os.path.basename(name)}-{version}.tgz"
    with urllib.request.urlopen(url, timeout=60) as answer:
        archive = answer.read()
    kind, _, checksum = integrity.partition("-")
    if base64.b64encode(hashlib.new(kind, archive).digest()).decode() != checksum:
        raise peers.Missing(f"{url} is not what it was: its checksum differs")
    with tarfile.open(fileobj=io.BytesIO(archive)) as contents, tempfile.TemporaryDirectory(dir=directory) as unpacked:
        contents.extractall(unpacked, filter="data") if hasattr(tarfile, "data_filter") else contents.extractall(unpacked)
        [package] = os.listdir(unpacked)
        target = os.path.join(directory, place)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copytree(os.path.join(unpacked, package), target, dirs_exist_ok=True)


def haraka():
    """The directory of Haraka's own package."""
    with open(HARAKA) as file:
        wanted = json.load(file)

    def fill(directory):
        for place, (version, integrity) in wanted.items():
            fetch_npm(place, version, integrity, directory)
    versions = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:12]
    return os.path.join(peers.once(os.path.join(peers.CACHE, "haraka-" + versions), fill), "node_modules", "Haraka")


def go_command(may_fetch):
    """The compiler and what its environment needs; raises Missing."""
    installed = shutil.which("go")
    if installed is not None:
        return installed, {}
    if not may_fetch and not os.path.isdir(os.path.join(peers.CACHE, "go-compiler")):
        raise peers.Missing("go is not installed: --go fetches Debian's compiler, 85 MB")
    [root] = glob.glob(os.path.join(peers.unpack("go-compiler"), "usr", "lib", "go-*"))
    return os.path.join(root, "bin", "go"), {"GOROOT": root}


def go_sink(may_fetch):
    """A program of thirty lines over Debian's emersion/go-smtp."""
    command, environment = go_command(may_fetch)
    library = os.path.join(peers.unpack("go-library"), "usr", "share", "gocode")

    def fill(directory):
        source = os.path.join(directory, "sink.go")
        with open(source, "w") as file:
            file.write(GO_SINK)
        done = subprocess.run([command, "build", "-o", os.path.join(directory, "sink"), source], capture_output=True, text=True,
                              check=False, env={**os.environ, **environment, "GO111MODULE": "off", "GOFLAGS": "",
                                                "GOPATH": library, "GOCACHE": os.path.join(directory, "cache")})
        shutil.rmtree(os.path.join(directory, "cache"), ignore_errors=True)
        if done.returncode != 0:
            raise peers.Missing(f"go build: {done.stderr.strip()}")
    source = hashlib.sha256(GO_SINK.encode()).hexdigest()[:12]
    return os.path.join(peers.once(os.path.join(peers.CACHE, "go-sink-" + source), fill), "sink")


def fetch_all(may_fetch_go):
    """Everything, so that nothing is fetched while something is measured; what is missing, by name."""
    missing = {}
    for name, fetch in (("bhm", lambda: peers.unpack("bhm")), ("aiosmtpd", lambda: peers.unpack("aiosmtpd")),
                        ("nodemailer", peers.node_modules), ("haraka", haraka), ("go", lambda: go_sink(may_fetch_go))):
        try:
            fetch()
        except (peers.Missing, OSError) as problem:
            missing[name] = str(problem)
    return missing
