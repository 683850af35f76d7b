"""What the TLS cells of scripts/bench need beside servers and load: a certificate, and what a cipher costs by itself."""
import functools
import os
import subprocess

from bench_load import Failed

# What `openssl speed` calls the ciphers of TLS 1.3.
CIPHERS = {"TLS_AES_256_GCM_SHA384": "aes-256-gcm", "TLS_AES_128_GCM_SHA256": "aes-128-gcm",
           "TLS_CHACHA20_POLY1305_SHA256": "chacha20-poly1305"}
RECORD_OCTETS = 16384


class Certificate:
    """Self-signed, of P-256, with its key: the same for all servers of a run."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.file = os.path.join(folder, "certificate.pem")
        self.key = os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=sink.test", "-keyout", self.key, "-out", self.file], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.chmod(self.key, 0o600)


@functools.lru_cache(maxsize=None)
def certificate(home):
    return Certificate(os.path.join(home, "tls"))


def cipher_of(lines, cell):
    """What was agreed on in a cell last."""
    found = next((line["tls_cipher"] for line in reversed(lines) if line["cell"] == cell.name and "tls_cipher" in line), None)
    if found is None:
        raise Failed("nobody has agreed on a cipher in this cell")
    return found


def speed_command(cipher, seconds):
    return ["openssl", "speed", "-evp", CIPHERS[cipher], "-decrypt", "-bytes", str(RECORD_OCTETS), "-seconds", str(int(seconds)),
            "-mr"]


def octets_per_s(output):
    """Of `openssl speed -mr`: a second of user CPU time."""
    rows = [row for row in output.splitlines() if row.startswith("+F:")]
    if len(rows) != 1:
        raise Failed(f"openssl speed said {output[-200:]!r}")
    return float(rows[0].rpartition(":")[2])


def cipher_alone(cipher, seconds, cpus):
    """The cipher's own cost, as `openssl speed` tells it for records of the largest size."""
    if cipher not in CIPHERS:
        raise Failed(f"openssl speed has no name for {cipher}")
    done = subprocess.run(["taskset", "-c", cpus, *speed_command(cipher, seconds)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"openssl speed exited with {done.returncode}: {done.stderr.strip()[-200:]}")
    rate = octets_per_s(done.stdout)
    return {"tls_cipher": cipher, "seconds": seconds, "octets_per_s": rate, "cpu_ns_per_octet": round(1e9 / rate, 4),
            "shown": ["tls_cipher", "cpu_ns_per_octet"]}
