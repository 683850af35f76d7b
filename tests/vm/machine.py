"""A virtual machine with the kernel of Debian 12, the oldest that ringsink supports, and the files of this host.

qemu emulates the processor (tcg): needs no /dev/kvm, takes about 20 s to boot and is ten to thirty times slower. The
kernel's package is unpacked into the cache of tests/e2e/peers.py, not installed. The guest sees this host's files
read-only beneath a layer of its own (init), copies of the tree in /mnt/tree and of the programs in /mnt/build, and a
folder for results in /mnt/work. It reaches nothing but this process and its children, which are in a network namespace of their own.
"""
import ctypes
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))
import peers  # noqa: E402

QEMU = "qemu-system-x86_64"
PACKAGES = {QEMU: "qemu-system-x86", "busybox": "busybox-static", "mkfs.ext4": "e2fsprogs", "cpio": "cpio", "ip": "iproute2"}
KERNEL_PACKAGE = "linux-image-amd64"
# As modprobe would order them; what they need is put before them.
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "9pnet_virtio", "9p", "overlay", "crc32c_generic", "ext4")
GUEST = "10.0.2.15"
HOST = "10.0.2.2"
LINK = "machine"
CLONE_NEWNET = 0x40000000


def install_missing():
    """qemu and the few programs that make a root, by apt."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None]
    if missing:
        print(f"vm: installing {' '.join(missing)}", flush=True)
        peers.apt(*peers.as_root("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-qq", "-y",
                                 "--no-install-recommends", *missing))


def enter_network():
    """Puts this process, which has one thread yet, into a network of its own with a link to the machine."""
    if os.geteuid() != 0:
        raise peers.Missing("a network namespace with a link to a machine needs root: use sudo")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise peers.Missing(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    for command in ("link set lo up", f"tuntap add {LINK} mode tap", f"address add {HOST}/24 dev {LINK}", f"link set {LINK} up"):
        peers.apt("ip", *command.split())


def kernel():
    """The folder with the unpacked kernel, fetched once."""
    cached = glob.glob(os.path.join(peers.CACHE, "linux-image-6.1.*-amd64"))
    if cached:
        return max(cached)
    [package] = re.findall(r"Depends: (linux-image-6\.1\.\S+-amd64)$", peers.apt("apt-cache", "depends", KERNEL_PACKAGE), re.M)

    def fill(directory):
        with tempfile.TemporaryDirectory() as archives:
            os.chmod(archives, 0o777)  # apt downloads as its own user
            peers.apt("apt-get", "download", "-qq", package, cwd=archives)
            [archive] = glob.glob(os.path.join(archives, "*.deb"))
            peers.apt("dpkg-deb", "--extract", archive, directory)
        peers.apt("busybox", "depmod", "-b", directory, release_in(directory))
    return peers.once(os.path.join(peers.CACHE, package), fill)


def release_in(directory):
    [modules] = glob.glob(os.path.join(directory, "lib", "modules", "*"))
    return os.path.basename(modules)


def modules_in_order(directory, names):
    """Paths of the modules and of those they need, each behind what it needs."""
    folder = os.path.join(directory, "lib", "modules", release_in(directory))
    needs = {}
    with open(os.path.join(folder, "modules.dep")) as lines:
        for line in lines:
            path, _, rest = line.partition(":")
            needs[path.strip()] = rest.split()
    by_name = {os.path.basename(path).removesuffix(".ko").replace("-", "_"): path for path in needs}
    order = []

    def add(path):
        for needed in reversed(needs[path]):
            if needed not in order:
                add(needed)
        if path not in order:
            order.append(path)
    for name in names:
        add(by_name[name])
    return [os.path.join(folder, path) for path in order]


def make_initramfs(path, directory, modules):
    """busybox, init and the modules."""
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(root + "/bin")
        os.makedirs(root + "/modules")
        shutil.copy(shutil.which("busybox"), root + "/bin/busybox")
        shutil.copy(os.path.join(HERE, "init"), root + "/init")
        os.chmod(root + "/init", 0o755)
        paths = modules_in_order(directory, (*MODULES, *modules))
        for module in paths:
            shutil.copy(module, root + "/modules")
        with open(root + "/modules/order", "w") as order:
            order.writelines(os.path.basename(module) + "\n" for module in paths)
        with open(path, "wb") as archive:
            names = subprocess.run(["find", "."], cwd=root, stdout=subprocess.PIPE, check=True).stdout
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=archive, check=True)


def make_ext4(path, size):
    with open(path, "wb") as image:
        image.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True,
                   env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})


def copy_programs(home, build):
    """What the machine runs stays the same however long that takes."""
    os.makedirs(os.path.join(home, "build"))
    for program in ("ringsink", "ringspool", "loadgen"):
        shutil.copy2(os.path.join(build, program), os.path.join(home, "build", program))
    for folder in ("tests", "scripts", "docs"):
        shutil.copytree(os.path.join(TOP, folder), os.path.join(home, "tree", folder),
                        ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    shutil.copy2(os.path.join(TOP, "README.md"), os.path.join(home, "tree", "README.md"))


class Machine:
    """One life of the machine. Its run is a shell script, the first that the guest starts; at its end the machine ends.

    home has what copy_programs() put there. disks: what -blockdev says of each, without node-name; they become /dev/vda, /dev/vdb ...
    """

    def __init__(self, home, run, disks=(), modules=(), scratch="", memory_mib=1024):
        self.home = home
        self.work = os.path.join(home, "work")
        self.console = os.path.join(home, "console")
        os.makedirs(self.work, exist_ok=True)
        with open(os.path.join(self.work, "run"), "w") as script:
            script.write(run)
        directory = kernel()
        self.release = release_in(directory)
        initramfs = os.path.join(home, "initramfs")
        if not os.path.exists(initramfs):
            make_initramfs(initramfs, directory, modules)
        self.process = subprocess.Popen(
            [QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(memory_mib),
             "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{self.console}",
             "-kernel", os.path.join(directory, "boot", "vmlinuz-" + self.release), "-initrd", initramfs,
             "-append", "console=ttyS0 quiet panic=-1 no5lvl mitigations=off random.trust_cpu=on"
             + (f" vm.scratch={scratch}" if scratch else ""),
             *self.share("host", "/"), *self.share("tree", os.path.join(home, "tree")), *self.share("build", os.path.join(home, "build")),
             *self.share("work", self.work, is_readonly=False), "-netdev", f"tap,id=net,ifname={LINK},script=no,downscript=no", "-device", "virtio-net-pci,netdev=net,romfile=",
             *self.drives(disks)],
            stdin=subprocess.DEVNULL, start_new_session=True)

    @staticmethod
    def share(name, path, is_readonly=True):
        return ["-fsdev", f"local,id={name},path={os.path.abspath(path)},security_model=none,multidevs=remap"
                + (",readonly=on" if is_readonly else ""),
                "-device", f"virtio-9p-pci,fsdev={name},mount_tag={name}"]

    @staticmethod
    def drives(disks):
        return [part for number, disk in enumerate(disks)
                for part in ("-blockdev", f"{disk},node-name=disk{number}",
                             "-device", f"virtio-blk-pci,drive=disk{number},write-cache=on")]

    def told(self, name):
        """What the guest has written into a file of the folder work; None if there is no such file."""
        try:
            with open(os.path.join(self.work, name), errors="replace") as text:
                return text.read()
        except FileNotFoundError:
            return None

    def wait(self, is_there, what, seconds):
        """Until is_there() says something; AssertionError if the machine ends before, or time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = is_there()
            if found:
                return found
            if self.process.poll() is not None:
                found = is_there()
                if found:
                    return found
                raise AssertionError(f"the machine ended and did not tell {what}:\n{self.console_tail()}")
            time.sleep(0.1)
        raise AssertionError(f"after {seconds} s the machine did not tell {what}:\n{self.console_tail()}")

    def console_tail(self):
        with open(self.console, errors="replace") as text:
            return "".join(text.readlines()[-40:])

    def kill(self):
        """As the power goes: the guest gets no word of it."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
