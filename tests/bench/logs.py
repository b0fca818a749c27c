"""Rows 6 and 7: a job that prints as fast as it can, into files that rotate.

Beside the better of two bare loops, one that reads and writes and one that splices.  Everything lies in memory where
there is room for that, so that it is the moving that is measured, and no disk.  What is moved goes from one processor
to the other, which a busy neighbour of the machine can make twice as dear from one second to the next: so all who are
compared take turns, everybody as often as the others and in an order that goes round.
"""
import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile

import fleet
import machine

MAX_BYTES = 50 << 20
TURNS = 3  # of each, within one round
SECONDS_MAX = 60
ROOM = 3 << 30
LOADS = {6: ("blocks", 65536, 1 << 30), 7: ("lines", 100, 128 << 20)}  # row: name, bytes a write, bytes in all


def somewhere():
    """In memory, if that is large enough."""
    shm = "/dev/shm"
    with contextlib.suppress(OSError):
        if os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > ROOM and machine.free_memory() > ROOM:
            return shm
    return None


class Flood:
    """The job's fifos, its log, and what it says in the end."""

    def __init__(self, bench, size, total):
        self.bench, self.size, self.total = bench, size, total

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="drover-logs.", dir=somewhere())
        self.go, self.said, self.log = (os.path.join(self.directory, n) for n in ("go", "said", "log"))
        os.mkfifo(self.go)
        os.mkfifo(self.said)
        self.fd = os.open(self.said, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        shutil.rmtree(self.directory, ignore_errors=True)

    def command(self):
        return [self.bench.tools.program("flood"), self.go, self.said, str(self.total), str(self.size)]

    def start(self):
        def opened():
            with contextlib.suppress(OSError):
                return os.open(self.go, os.O_WRONLY | os.O_NONBLOCK)
        os.close(machine.until(opened, "the job to be ready", 20))

    def report(self):
        """When it began, and when it had written all."""
        def look():
            with contextlib.suppress(BlockingIOError):
                return os.read(self.fd, 4096)
        return [int(word) for word in machine.until(look, "the job to end", SECONDS_MAX, pause=0.002).split()][:2]

    def held(self):
        """Bytes in the log files."""
        names = [n for n in os.listdir(self.directory) if n.startswith("log")]
        total = 0
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # renamed while we look
                total += os.stat(os.path.join(self.directory, name)).st_size
        return total


def through_loop(bench, load, mode):
    """(MB/s, processor seconds of the loop a GB)"""
    with Flood(bench, *load) as flood:
        job = subprocess.Popen(flood.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        sink = subprocess.Popen([bench.tools.program("logsink"), mode, flood.log, str(MAX_BYTES)], stdin=job.stdout,
                                stdout=subprocess.PIPE)
        job.stdout.close()
        flood.start()
        begin, _ = flood.report()
        end, cpu = map(int, sink.communicate(timeout=SECONDS_MAX)[0].split())
        if job.wait(SECONDS_MAX) != 0 or sink.returncode != 0 or flood.held() != flood.total:
            raise machine.Failure("the bare loop has lost something")
    return flood.total / 1e6 / ((end - begin) / 1e9), cpu / flood.total


def supervisors(root):
    """Those that move the bytes: all but the job."""
    return [root] + [pid for pid, name in machine.below(root).items() if name != "flood"]


def through(bench, load, kind):
    with Flood(bench, *load) as flood:
        section = ["[program:flood]", "command=" + " ".join(flood.command()), "autorestart=false", "startsecs=0",
                   "stdout_logfile=" + flood.log, "stdout_logfile_maxbytes=%d" % MAX_BYTES,
                   "stdout_logfile_backups=30", "stderr_logfile=NONE"]
        with kind(bench.tools, 0, extra="\n".join(section) + "\n") as f:
            flood.start()
            pids = supervisors(f.process.pid)
            cpu = machine.cpu_ns(pids)
            begin, end = flood.report()
            machine.until(lambda: flood.held() >= flood.total, "the log to hold all", SECONDS_MAX, pause=0.002)
            end = max(end, machine.now_ns())
            cpu = machine.cpu_ns(pids) - cpu
            if flood.held() != flood.total:
                raise machine.Failure("%d bytes of %d are in the log" % (flood.held(), flood.total))
    return flood.total / 1e6 / ((end - begin) / 1e9), cpu / flood.total


def measure(bench, kinds):
    for row, (name, *load) in LOADS.items():
        if bench.wants(row):
            one_load(bench, kinds, name, load)


def one_load(bench, kinds, name, load):
    """Of the loops, the one that is faster is the limit."""
    ways = {"read": lambda: through_loop(bench, load, "read"), "splice": lambda: through_loop(bench, load, "splice"),
            "Drover": lambda: through(bench, load, fleet.Drover)}
    if fleet.Supervisord in kinds:
        ways["supervisord"] = lambda: through(bench, load, fleet.Supervisord)
    for turn in range(TURNS):
        order = list(ways)
        first = (bench.round * TURNS + turn) % len(order)
        found = {who: ways[who]() for who in order[first:] + order[:first]}
        loops = [found.pop("read"), found.pop("splice")]
        found["limit"] = max(speed for speed, _ in loops), min(cpu for _, cpu in loops)
        note(bench, name, found)


def note(bench, name, found):
    for who, (speed, cpu) in found.items():
        bench.note("log " + name, who, speed)
        bench.note("cpu " + name, who, cpu)
    if "supervisord" in found:
        bench.note("ahead " + name, "limit", found["supervisord"][0])
        bench.note("ahead " + name, "Drover", found["Drover"][0])
