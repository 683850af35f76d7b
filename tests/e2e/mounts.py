"""File systems of a test's own, and a disk made slow."""
import os
import subprocess
import tempfile
import time

import harness

MAKERS = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f"), "btrfs": ("mkfs.btrfs", "-q", "-f")}
THROTTLE = "/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device"  # of the root group: whoever writes
SECTOR_SIZE = 512
UNMOUNT_WAIT_S = 20


def fill(path, size_mib):
    with open(path, "wb") as file:
        file.write(os.urandom(1 << 20) * size_mib)
        os.fsync(file.fileno())


class Mount:
    """A small file system of its own: tmpfs, or one in an image."""

    def __init__(self, kind, size_mib):
        self.home = tempfile.mkdtemp(prefix="ringsink-full-", dir="/var/tmp")
        self.path = os.path.join(self.home, "mount")
        os.mkdir(self.path)
        if kind == "tmpfs":
            source, options = "none", f"size={size_mib}m"
        else:
            source, options = os.path.join(self.home, "image"), "loop"
            with open(source, "wb") as image:
                image.truncate(size_mib << 20)
            self.call(*MAKERS[kind], source)
        self.call("mount", "-t", kind, "-o", options, source, self.path)

    @staticmethod
    def call(*command):
        done = harness.run(*command)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The ring of a server that was killed lets go of its files a little later.
        end = time.monotonic() + UNMOUNT_WAIT_S
        while subprocess.run(["umount", self.path], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        subprocess.run(["rm", "-rf", "--one-file-system", self.home], check=False)


class Throttle:
    """The disk under a mount takes so much a second, and no more than so much may wait for it in memory."""

    def __init__(self, mount, bytes_per_s, dirty_bytes):
        device = os.stat(mount.path).st_dev
        self.device = f"{os.major(device)}:{os.minor(device)}"
        self.bytes_per_s = bytes_per_s
        self.dirty_bytes = dirty_bytes

    @staticmethod
    def reason_against():
        """Why it can't be done here, or None."""
        if os.geteuid() != 0:
            return "making a disk slow takes root"
        if not os.access(THROTTLE, os.W_OK):
            return f"no {THROTTLE}: the blkio controller of cgroup v1 is not there"
        if not any(os.path.exists(f"/sys/class/bdi/{name}/strict_limit") for name in os.listdir("/sys/class/bdi")):
            return "this kernel can't bound what waits in memory for one disk (Linux 6.2)"
        return None

    def put(self, name, value):
        with open(f"/sys/class/bdi/{self.device}/{name}", "w") as file:
            file.write(str(value))

    def set(self, bytes_per_s):
        """0: no bound."""
        with open(THROTTLE, "w") as file:
            file.write(f"{self.device} {bytes_per_s}")

    def __enter__(self):
        self.put("strict_limit", 1)
        self.put("max_bytes", self.dirty_bytes)
        self.set(self.bytes_per_s)
        return self

    def __exit__(self, *_):
        # What is said of a loop device outlives its file.
        self.set(0)
        self.put("max_ratio", 100)
        self.put("strict_limit", 0)

    def written(self):
        """Octets that the disk has taken."""
        with open(f"/sys/dev/block/{self.device}/stat") as file:
            return int(file.read().split()[6]) * SECTOR_SIZE
