"""A daemon, jobs that leave a trace, and clients that are never done: what faults are injected into.

    with scene.Scene(dice) as s:
        s.kill_supervisor()
        s.check("after a kill")
        s.finish()

Complaints are gathered in s.complaints.
"""
import contextlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import checker  # first: it says where the others are
import client
import cut
import disks
import drover
import procs

JOB = os.path.join(drover.ROOT, os.environ.get("BUILD", "build"), "tests", "fault-job")
STEPPER = os.path.join(os.path.dirname(JOB), "stepper")
FORMATS = "raw", "raw", "timestamp", "json"
N_STAY, N_EXIT, N_LOG, N_OP = 8, 8, 6, 6
HERE = os.path.dirname(os.path.abspath(__file__))
WORKERS = {"node": "node %s/worker.js" % HERE, "python": "python3 -S %s/worker.py" % HERE,
           "c": os.path.join(os.path.dirname(JOB), "fault-worker")}
PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

PROGRAM = """
[program:{name}]
command={job} {directory} {name} {kind}
stdout_logfile={logs}/{name}.out
stderr_logfile={logs}/{name}.err
stdout_logfile_maxbytes={maxbytes}
stderr_logfile_maxbytes={maxbytes}
stdout_logfile_backups=100000
stderr_logfile_backups=100000
log_format={form}
autostart=false
autorestart=true
startsecs=0
restart_interval=0
detached={detached}
"""

WORKER = """
[program:{name}]
command={command} {directory} {name} {peers} {senders}
stdout_logfile={directory}/{name}.out
stderr_logfile={directory}/{name}.err
relay=true
autostart=false
startsecs=0
"""


def size_of(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


class Operator(threading.Thread):
    """Starts, stops, restarts and signals at random, and knows what was acknowledged."""

    def __init__(self, scene, names, seed):
        super().__init__(daemon=True)
        self.client, self.dice, self.names = client.Client(scene.daemon.socket), random.Random(seed), names
        self.expected = {name: None for name in names}
        self.goes, self.rests, self.over = threading.Event(), threading.Event(), False
        self.echoed, self.unsure, self.n_deeds, self.n_echo = [], [], 0, 0
        self.gap, self.waits, self.echoes = 0.002, True, scene.echo

    def get(self, path):
        return self.post(path, method="GET")

    def post(self, path, body=b"", method="POST"):
        """At most once: on a connection of its own; None when no answer came."""
        self.client.close()
        try:
            return self.client.request(method, path, body=body)
        except (OSError, http.client.HTTPException, socket.timeout):
            self.client.close()
            return None

    def deed(self):
        name, verb = self.dice.choice(self.names), self.dice.choice(("start", "stop", "restart", "signal"))
        body = {"signal": "USR1"} if verb == "signal" else b""
        if verb != "signal":
            self.expected[name] = None
        wait = "" if self.waits or verb == "signal" else "?wait=0"
        reply = self.post("/v1/processes/%s/%s%s" % (client.quote(name), verb, wait), body)
        if reply is None or reply.status != 200 or verb == "signal":
            return
        result = reply.json["results"][0]
        if result["ok"] or result["error"]["code"] in ("ALREADY_STARTED", "NOT_RUNNING"):
            self.expected[name] = "STOPPED" if verb == "stop" else "RUNNING"
            self.n_deeds += 1

    def echo(self):
        self.n_echo += 1
        reply = self.post("/v1/processes/echo%3Aecho/stdin", b"%d\n" % self.n_echo)
        done = reply is not None and reply.status in (200, 202, 204)
        (self.echoed if done else self.unsure).append(self.n_echo)

    def run(self):
        while not self.over:
            if not self.goes.is_set():
                self.rests.set()
                self.goes.wait(0.2)
                continue
            self.deed()
            if self.echoes and self.dice.random() < 0.3:
                self.echo()
            time.sleep(self.dice.random() * self.gap)

    def resume(self):
        self.rests.clear()
        self.goes.set()

    def pause(self):
        if self.goes.is_set():
            self.rests.clear()
            self.goes.clear()
        if not self.rests.wait(40):
            raise AssertionError("a client got no answer in 40 s")


class Stepper:
    """Kills at the k-th system call; before it those who are named."""

    def __init__(self, pid, k, *first):
        self.process = subprocess.Popen([STEPPER, str(pid), str(k), *map(str, first)], stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise AssertionError("process %d cannot be traced" % pid)

    def close(self):
        """Which call it was, or None: it did not come to that."""
        self.process.terminate()
        words = self.process.stdout.read().split()
        self.process.stdout.close()
        self.process.wait()
        return int(words[-1]) if words else None


class Scene:
    """Also what drover.Daemon wants to know of a test."""

    def __init__(self, seed, sizes=(N_STAY, N_EXIT, N_LOG, N_OP), daemon="", env=None, operate=True,
                 echo_maxbytes="1MB", log_maxbytes="20KB", workers=0, detached=0, where=None,
                 echo=True):
        self.seed, self.dice, self.operate = seed, random.Random(seed), operate
        self.known, self.complaints, self.times = set(), [], []
        self.sizes, self.text, self.env = sizes, daemon, env or {}
        self.maxbytes = {"log": log_maxbytes, "echo": echo_maxbytes}
        self.workers = ["%s%d" % (list(WORKERS)[i % 3], i // 3) for i in range(workers)]
        self.messages = 0, 0, 0  # sent, missed, counted as lost
        self.echo = echo
        self.n_detached, self.where = detached, where or {}  # where: disks for "logs", "state"
        self.refused = False  # starts may be
        self.past, self.unreaped = checker.Past(), set()
        self.daemon = self.operator = self.weight = None

    def __enter__(self):
        cut.heed()
        procs.become_subreaper()
        self.before = set(procs.children(os.getpid()))
        self.known = set(self.before)
        self.logs_before = []  # where they were until somebody took that away
        self.directory = tempfile.mkdtemp(prefix="drover-fault-", dir=PLACE)
        try:
            self.begin()
        except BaseException:
            with cut.held():
                self.end()
            raise
        return self

    def __exit__(self, *_):
        with cut.held():
            self.end()

    def begin(self):
        for name, size in self.where.items():
            disks.attach(os.path.join(self.directory, name), size)
        self.logs = os.path.join(self.directory, "logs" if "logs" in self.where else "")
        self.trace_path = os.path.join(self.directory, "trace")
        self.gate = os.path.join(self.directory, "gate")
        open(self.gate, "w").close()
        with open(os.path.join(self.directory, "faulty"), "wb") as f:  # see faulty.c
            f.write(bytes(4096))
        self.jobs = self.make_jobs()
        self.daemon = drover.Daemon(self, self.configuration(), native=True, daemon=self.text,
                                    env={k: v.format(directory=self.directory) for k, v in self.env.items()})
        self.weight = checker.weigh(self.daemon)
        self.all("start")
        names = ["%s:%s" % (n, n) for n, kind, _ in self.jobs if n.startswith("op")]
        self.operator = Operator(self, names, self.seed)
        self.operator.start()
        if self.operate:
            self.operator.resume()

    def end(self):
        """Whatever it has come to."""
        if self.operator is not None:
            self.operator.over = True
            self.operator.goes.set()
            if self.operator.is_alive():
                self.operator.join(40)
        if self.daemon is not None:
            self.daemon.close()
            if self.daemon.running():
                self.daemon.kill(signal.SIGKILL)
                self.daemon.process.wait()
        left = procs.reap_strays(self.known, grace=3.0)
        procs.reap_strays(self.before, grace=0)  # cut short, there may be others of ours
        if left and not self.complaints:
            self.complaints.append("processes were left behind: " + ", ".join(left))
        for path in [os.path.join(self.directory, name) for name in self.where] + self.logs_before:
            disks.take_all_away(path)
        if self.complaints and os.environ.get("KEEP"):
            print("    kept: " + self.directory)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def make_jobs(self):
        """(name, kind, format)"""
        stay, ending, logs, op = self.sizes
        jobs = [("stay%d" % i, "stay", "raw") for i in range(stay)]
        jobs += [("exit%d" % i, "exit", FORMATS[i % 4]) for i in range(ending)]
        jobs += [("log%d" % i, "log", FORMATS[i % 4]) for i in range(logs)]
        jobs += [("op%d" % i, "stay", FORMATS[i % 4]) for i in range(op)]
        jobs += [("det%d" % i, "log", "raw") for i in range(self.n_detached)]
        return jobs + [("echo", "echo", "raw")]

    def configuration(self):
        def program(name, kind, form):
            detached = name.startswith("det")
            return PROGRAM.format(name=name, kind=kind, form=form, job=JOB, directory=self.directory, logs=self.logs,
                                  maxbytes=0 if detached else self.maxbytes.get(kind, "1MB"), detached=detached)
        return "".join(program(*job) for job in self.jobs) + "".join(self.worker(name) for name in self.workers)

    def worker(self, name):
        """One of another language and, where there are enough, one of the same hear of it."""
        n = len(self.workers)
        hears = {w: sorted({self.workers[(i + k) % n] for k in (1, 3)} - {w}) for i, w in enumerate(self.workers)}
        return WORKER.format(name=name, command=WORKERS[name.rstrip("0123456789")], directory=self.directory,
                             peers=",".join(hears[name]), senders=sum(name in h for h in hears.values()))

    # -- faults ------------------------------------------------------------------------

    def find_supervisor(self):
        """Its pid, or None while there is none.  A child that is not yet what it will be has a group of its own."""
        group = procs.stat(self.daemon.pid)[2]
        facts = [(pid, procs.stat(pid)) for pid in procs.children(self.daemon.pid)]
        found = [pid for pid, f in facts if f is not None and f[0] not in "ZX" and f[2] == group and
                 procs.read("/proc/%d/comm" % pid).strip() == b"droverd"]
        return found[0] if len(found) == 1 else None

    def kill_supervisor(self, sig=signal.SIGKILL):
        """One that is found while it dies, of the kill before, may be gone when it is its turn."""
        def try_one():
            pid = self.find_supervisor()
            with contextlib.suppress(ProcessLookupError):
                if pid is not None:
                    os.kill(pid, sig)
                    return pid
            return None
        return procs.wait_until(try_one, "a supervisor to kill")

    def wait_control(self):
        """Until somebody answers; how many seconds that took."""
        began = time.monotonic()
        c = client.Client(self.daemon.socket)
        while True:
            try:
                if c.get("/v1/daemon").status == 200:
                    c.close()
                    return time.monotonic() - began
            except (OSError, http.client.HTTPException):
                c.close()
            if time.monotonic() - began > 20:
                raise AssertionError("no answer in 20 s; the log ends:\n" + self.daemon.log()[-1500:])
            time.sleep(0.001)

    def kill_daemon(self, sig=signal.SIGKILL, both=True):
        """The guardian, and with it, or by itself, the supervisor: once nobody is left; the exit status."""
        pid = self.find_supervisor()
        self.daemon.close()
        if both and pid is not None and sig == signal.SIGKILL:
            self.signal(pid, sig)
        self.daemon.kill(sig)
        status = self.daemon.wait_exit()
        procs.wait_until(lambda: not any(b"droverd" == procs.read("/proc/%d/comm" % p).strip() and procs.alive(p)
                                         for p in checker.living(self.daemon)), "the end of the supervisor")
        trace = checker.Trace(self.trace_path)
        self.unreaped |= checker.living(self.daemon)
        self.past.orphans |= self.unreaped | {runs[-1][0] for runs in trace.starts.values()}
        self.past.deaths += sig == signal.SIGKILL
        if sig != signal.SIGKILL:
            self.past.starts = {name: len(starts) for name, starts in trace.starts.items() if not name.startswith("det")}
        return status

    @staticmethod
    def signal(pid, sig):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)

    def reap(self):
        """What PID 1 does to those who have lost their parents."""
        for pid in list(self.unreaped):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            self.unreaped.discard(pid)

    def kills(self):
        return self.daemon.log().count("the supervisor has ended")

    def last_runs(self):
        """The last (pid, run) of each."""
        return {name: starts[-1] for name, starts in checker.Trace(self.trace_path).starts.items()}

    def names(self):
        """Of all processes; None when there is no answer just now."""
        reply = self.operator.get("/v1/processes?fields=name,group")
        return None if reply is None else ["%s:%s" % (p["group"], p["name"]) for p in reply.json["processes"]]

    # -- looking -----------------------------------------------------------------------

    def check(self, when):
        self.operator.pause()
        self.daemon.close()
        self.wait_control()
        found = checker.check_now(self.daemon, self.trace_path, self.operator.expected, self.refused, self.past)
        self.complaints += ["%s: %s" % (when, c) for c in found]
        if self.operate:
            self.operator.resume()
        return not found

    def all(self, verb):
        reply = self.daemon.post("/v1/processes/%s/%s" % (client.quote("*"), verb))
        bad = [r for r in reply.json["results"] if not r["ok"] and r["error"]["code"] != "NOT_RUNNING"]
        if reply.status != 200 or bad:
            raise AssertionError("%s of all: %d %r" % (verb, reply.status, bad))

    def wait_quiet(self, active, timeout=60):
        deadline = time.monotonic() + timeout
        while True:
            left = active - set(checker.Trace(self.trace_path).quiet)
            if not left:
                return
            if time.monotonic() > deadline:
                raise AssertionError("waited in vain for the last word of %s" % sorted(left))
            time.sleep(0.05)

    def log_files(self):
        return [path for name, kind, _ in self.jobs if kind == "log" for stream in ("out", "err")
                for path in checker.log_files(os.path.join(self.logs, "%s.%s" % (name, stream)))]

    def finish(self, exact=True):
        """Everything comes to its end, and then the accounts must be right.  Not exact: some starts were refused, and
        the last of them may have been called off."""
        self.check("in the end")
        self.operator.pause()
        os.unlink(self.gate)
        active = {name for name, kind, _ in self.jobs if kind == "log"} | set(self.workers)
        self.wait_quiet(active)
        complaints, self.messages = checker.check_relay(self.directory, self.workers, self.daemon.all())
        self.complaints += complaints
        self.all("stop")
        self.complaints += checker.check_weight(self.daemon, self.weight, len(self.jobs) + len(self.workers))
        trace, records = checker.Trace(self.trace_path), self.daemon.all()
        self.complaints += checker.check_counts(records, trace) if exact else []
        self.daemon.close()
        self.daemon.kill()
        status = self.daemon.wait_exit()
        if status != 0:
            self.complaints.append("the daemon ended with %s" % status)
        traced = [(name, form) for name, kind, form in self.jobs
                  if kind != "echo" and (self.past.deaths == 0 or name.startswith("det"))]
        places = self.logs_before + [self.logs]
        self.complaints += checker.check_logs(places, traced, trace)
        self.complaints += checker.check_echo([os.path.join(d, "echo.out") for d in places], self.operator.echoed,
                                              self.operator.unsure)
        self.complaints += trace.doubles
        return trace


def of_jobs(jobs, seed, long):
    """A scene of so many in all: those that stay, end by themselves, log (about 5 MB/s with nine of them) and are
    operated, and workers.  long: a rotation moves every file that is there, and many small ones would take all the time."""
    workers = 6 if jobs > 20 else 3
    ending, logging, operated = (16, 9, 24) if jobs > 60 else (N_EXIT, N_LOG, N_OP)
    sizes = max(1, jobs - ending - logging - operated - workers - 1), ending, logging, operated
    return Scene(seed, sizes, log_maxbytes="4MB" if long else "20KB", workers=workers)
