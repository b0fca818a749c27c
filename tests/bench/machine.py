"""What the machine and its processes look like from outside, and how processes that are ours are ended.

The driver is a child subreaper: whatever a supervisor leaves behind becomes a child of the driver, is found below it
in /proc, and is ended by its pid.
"""
import contextlib
import ctypes
import os
import platform
import shutil
import signal
import subprocess
import time

JOB = "job"  # the name of the supervised program; all else below a supervisor is the supervisor
PR_SET_CHILD_SUBREAPER = 36


class Failure(Exception):
    """A measurement that could not be made."""


def become_subreaper():
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise Failure("this kernel has no child subreapers")


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def until(condition, what, seconds, pause=0.01):
    """The first true value of condition(); a bound on every wait."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure("waited %g s in vain for %s" % (seconds, what))
        time.sleep(pause)


# -- processes ------------------------------------------------------------------

def read(path):
    try:
        with open(path) as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def below(root):
    """{pid: name} of the living processes below root, without itself."""
    parents, names = {}, {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        text = read("/proc/%d/stat" % pid)
        if text:
            state, parent = text[text.rindex(")") + 2:].split()[:2]
            if state not in "ZX":
                parents.setdefault(int(parent), []).append(pid)
                names[pid] = text[text.index("(") + 1:text.rindex(")")]
    found, look = {}, [root]
    while look:
        for pid in parents.get(look.pop(), []):
            found[pid] = names[pid]
            look.append(pid)
    return found


def supervisors(root):
    """The pids of a supervisor: the process that was started, and what is below it and no job."""
    return [root] + [pid for pid, name in below(root).items() if name != JOB]


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def end(root):
    """Ends a supervisor and its jobs.  It is frozen first, so that it cannot start what has just been ended."""
    seen = set()
    for _ in range(10):
        frozen = set(supervisors(root))
        signal_all(frozen - seen, signal.SIGSTOP)
        if frozen <= seen:
            break
        seen |= frozen
    seen |= set(below(root))
    signal_all(seen, signal.SIGKILL)
    until(lambda: reap(seen), "the end of %d processes" % len(seen), 30)


def reap(pids):
    """Takes the exit status of those among pids that have become ours; true when all are gone."""
    for pid in list(pids):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                pids.discard(pid)
        except ChildProcessError:  # not ours yet, or already taken
            if not os.path.exists("/proc/%d" % pid):
                pids.discard(pid)
    return not pids


def end_all():
    """Whatever is still below the driver."""
    for _ in range(3):
        left = set(below(os.getpid()))
        signal_all(left, signal.SIGKILL)
        until(lambda: reap(left), "the end of what was left", 30)


@contextlib.contextmanager
def one_processor(pids):
    """Puts these processes and ourselves, with what we start, on one processor.

    What goes back and forth between two processes takes five times as long when they happen to be on two processors,
    and the scheduler decides that anew every time.  On one, it is the work that is measured.
    """
    before = {pid: os.sched_getaffinity(pid) for pid in [0] + list(pids)}
    for pid in before:
        os.sched_setaffinity(pid, {max(before[0])})
    try:
        yield
    finally:
        for pid, processors in before.items():
            os.sched_setaffinity(pid, processors)


# -- what processes use -----------------------------------------------------------

def pss_kib(pids):
    total = 0
    for pid in pids:
        lines = [line for line in read("/proc/%d/smaps_rollup" % pid).splitlines() if line.startswith("Pss:")]
        if not lines:
            raise Failure("cannot read the memory of process %d" % pid)
        total += int(lines[0].split()[1])
    return total


def switches(pids):
    """Context switches of all threads, those that were forced upon them included: each was a wake-up or followed one."""
    total = 0
    for pid in pids:
        for task in os.listdir("/proc/%d/task" % pid):
            for line in read("/proc/%d/task/%s/status" % (pid, task)).splitlines():
                if "voluntary_ctxt_switches" in line:
                    total += int(line.split()[1])
    return total


def cpu_ns(pids):
    """Processor time so far."""
    return sum(int(read("/proc/%d/schedstat" % pid).split()[0]) for pid in pids)


# -- the machine ------------------------------------------------------------------

def processor():
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def memory_gib():
    return int(read("/proc/meminfo").split()[1]) / (1 << 20)


def free_memory():
    return int(next(line for line in read("/proc/meminfo").splitlines() if "MemAvailable" in line).split()[1]) << 10


def first_line(command):
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0].strip() if lines else "?"


def system_name():
    for line in read("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return "Linux"
