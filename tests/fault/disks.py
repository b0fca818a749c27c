"""Small disks of our own, which nobody else sees: to be filled, made read-only and taken away."""
import ctypes
import errno
import os
import shutil
import subprocess

CLONE_NEWNS = 0x20000
PRIVATE = "mount", "--make-rprivate", "/"


def run(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def are_possible():
    """From here on mounts are ours alone: to be called once, before there are threads."""
    return (os.geteuid() == 0 and shutil.which("mount") is not None and
            ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) == 0 and
            subprocess.run(PRIVATE, check=False, stderr=subprocess.DEVNULL).returncode == 0)


def attach(path, size):
    os.makedirs(path, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "mode=755,size=" + size, "tmpfs", path)


def show_also(path, at):
    os.mkdir(at)
    run("mount", "--bind", path, at)


def take_away(path):
    """Whoever has files open there goes on with them."""
    run("umount", "-l", path)


def take_all_away(path):
    """One may lie over the other."""
    while os.path.ismount(path):
        take_away(path)


def set_read_only(path):
    """For whoever opens a file from now on; what is open can still be written to."""
    aside = path + ".aside"
    show_also(path, aside)
    run("mount", "-o", "remount,bind,ro", aside)
    run("mount", "--move", aside, path)
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
    run("mount", "-o", "remount,size=" + size, path)


def make_room(path, size=None):
    os.unlink(os.path.join(path, "filler"))
    if size is not None:
        resize(path, size)
