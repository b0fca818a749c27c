"""Looking at processes from outside, through /proc, and making sure that none is left behind.

The test process is a child subreaper: whatever a daemon leaves behind becomes our child, however it was started, and
so cannot hide.
"""
import ctypes
import os
import signal
import time

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def stat(pid):
    """(state, parent, process group, session), or None when there is no such process."""
    text = read("/proc/%d/stat" % pid)
    if not text:
        return None
    fields = text[text.rindex(b")") + 2:].split()
    return fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3])


def alive(pid):
    s = stat(pid)
    return s is not None and s[0] not in "ZX"


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(parent):
    found = []
    for pid in pids():
        s = stat(pid)
        if s is not None and s[1] == parent:
            found.append(pid)
    return found


def supervisor(guardian):
    """The child of the main process that does the work; it comes after the guardian, and again when it is killed."""
    def look():
        found = [pid for pid in children(guardian) if read("/proc/%d/comm" % pid).strip() == b"droverd" and alive(pid)]
        return found[0] if len(found) == 1 else None
    return wait_until(look, "process %d to have a supervisor" % guardian)


def kill_supervisor(guardian):
    """The present one; its pid.  One that is found while it dies, of the kill before, may be gone when it is its turn."""
    def try_one():
        pid = supervisor(guardian)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return pid
    return wait_until(try_one, "a supervisor to kill")


def freeze(pid):
    """Back when it does nothing more: what is sent after SIGSTOP may be heeded first."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: (stat(pid) or "Z")[0] in "TZX", "process %d to stop" % pid)


def descendants(root):
    parents = {}
    for pid in pids():
        s = stat(pid)
        if s is not None:
            parents.setdefault(s[1], []).append(pid)
    found, look = [], [root]
    while look:
        look += parents.get(look[0], [])
        found += parents.get(look.pop(0), [])
    return found


def link(pid, name):
    """What /proc/PID/cwd, exe or root leads to; nothing when there is no such process, or it is somebody else's."""
    try:
        return os.readlink("/proc/%d/%s" % (pid, name))
    except OSError:
        return ""


def command_line(pid):
    return read("/proc/%d/cmdline" % pid).replace(b"\0", b" ").decode(errors="replace").strip()


def begun(pid):
    """The same pid, once its exec is over.  A daemon knows that a program runs from what exec has closed, and that
    comes before the process has its new capabilities, words and variables, in this order."""
    wait_until(lambda: read("/proc/%d/cmdline" % pid) or not alive(pid), "process %d to have begun" % pid)
    return pid


def environment(pid):
    path = "/proc/%d/environ" % pid
    wait_until(lambda: read(path) or not alive(pid), "process %d to have its variables" % pid)
    pairs = [e.split(b"=", 1) for e in read(path).split(b"\0") if b"=" in e]
    return {k.decode(errors="replace"): v.decode(errors="replace") for k, v in pairs}


def status(pid):
    lines = read("/proc/%d/status" % pid).decode().splitlines()
    return {k: v.strip() for k, v in (line.split(":", 1) for line in lines if ":" in line)}


def descriptors(pid):
    found = {}
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            found[int(name)] = os.readlink("/proc/%d/fd/%s" % (pid, name))
        except FileNotFoundError:
            pass
    return found


def wait_asleep(*several):
    """Until all of them wait at once: whoever has something to read is awake, so what one of them has told another
    before this call has been heard."""
    def look():
        return all((stat(pid) or "?")[0] in "SZ?" for pid in several + several[:-1])
    wait_until(look, "processes %s to fall asleep" % (several,))


def standing_descriptors(pid, numbers=(0, 1, 2)):
    """What a program has open, once it has exactly these numbers open.

    A program that begins opens libraries, and later the files of its locale, and closes them again, in its own time;
    so one look shows whatever is open at that moment.  What has leaked into it stays open for as long as it runs:
    waiting until nothing else is open misses no leak."""
    wanted, found = sorted(numbers), {}

    def look():
        found.clear()
        found.update(descriptors(pid))
        return sorted(found) == wanted
    try:
        wait_until(look, "process %d to have %s open" % (pid, wanted))
    except AssertionError as error:
        raise AssertionError("%s; it has %s" % (error, found))
    return found


def limit(pid, name):
    for line in read("/proc/%d/limits" % pid).decode().splitlines():
        if line.startswith(name):
            return line[len(name):].split()[:2]
    return None


def wait_until(condition, what, timeout=20):
    """For what sends no event.  Looks every few milliseconds, and fails at the bound."""
    deadline = time.monotonic() + timeout
    while True:
        over = time.monotonic() > deadline  # before the last look: we may be kept from running after one
        value = condition()
        if value:
            return value
        if over:
            raise AssertionError("waited %g s in vain for: %s" % (timeout, what))
        time.sleep(0.005)


def starved(*several):
    """Seconds that these processes have been ready to run while others had the processors."""
    fields = [read("/proc/%d/schedstat" % pid).split() for pid in several]
    return sum(int(f[1]) for f in fields if len(f) > 1) / 1e9


def wait_gone(pid, timeout=20):
    wait_until(lambda: not alive(pid), "the end of process %d" % pid, timeout)


def reap_strays(known, grace=5.0):
    """Ends and names the processes that have become ours without being among `known`.  What is on its way out (a
    `sleep 0.1` of a shell that was stopped) has a moment to go by itself; what is left behind stays for minutes."""
    left, deadline = [], time.monotonic() + grace
    while True:
        over = time.monotonic() > deadline
        strays = [pid for pid in children(os.getpid()) if pid not in known]
        if not strays:
            return left
        for pid in strays:
            if over and alive(pid):
                left.append("%d %s" % (pid, command_line(pid)))
                os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(pid, 0 if over else os.WNOHANG)
            except ChildProcessError:
                pass
        time.sleep(0.005)
