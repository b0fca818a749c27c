"""Small disks of our own, which nobody else sees: to be filled, made read-only and taken away."""
import ctypes
import errno
import os
import shutil
import subprocess

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
PRIVATE = "mount", "-n", "--make-rprivate", "/"


def run(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def become_root(libc):
    """Of a user namespace of our own, where the kernel lets an ordinary user have one."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        return True
    if libc.unshare(CLONE_NEWUSER) != 0:
        return False
    try:
        for name, text in ("setgroups", "deny"), ("uid_map", "0 %d 1" % user), ("gid_map", "0 %d 1" % group):
            with open("/proc/self/" + name, "w") as f:
                f.write(text)
    except OSError:
        return False
    return os.geteuid() == 0


def are_possible():
    """From here on mounts are ours alone: to be called once, before there are threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    return (shutil.which("mount") is not None and become_root(libc) and libc.unshare(CLONE_NEWNS) == 0 and
            subprocess.run(PRIVATE, check=False, stderr=subprocess.DEVNULL).returncode == 0)


def attach(path, size):
    os.makedirs(path, exist_ok=True)
    run("mount", "-n", "-t", "tmpfs", "-o", "mode=755,size=" + size, "tmpfs", path)


def show_also(path, at):
    os.mkdir(at)
    run("mount", "-n", "--bind", path, at)


def take_away(path):
    """Whoever has files open there goes on with them."""
    run("umount", "-n", "-l", path)


def take_all_away(path):
    """One may lie over the other."""
    while os.path.ismount(path):
        take_away(path)


def set_read_only(path):
    """For whoever opens a file from now on; what is open can still be written to."""
    aside = path + ".aside"
    show_also(path, aside)
    run("mount", "-n", "-o", "remount,bind,ro", aside)
    run("mount", "-n", "--move", aside, path)
    os.rmdir(aside)


def fill(path):
    with open(os.path.join(path, "filler"), "wb", buffering=0) as f:
        try:
            while f.write(b"f" * 4096):
                pass
        except OSError as e:
            if e.errno != errno.ENOSPC:
                raise


def resize(path, size):
    run("mount", "-n", "-o", "remount,size=" + size, "tmpfs", path)  # named, so that none of its old options are read


def make_room(path, size=None):
    os.unlink(os.path.join(path, "filler"))
    if size is not None:
        resize(path, size)
