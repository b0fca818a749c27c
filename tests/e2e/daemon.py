"""The programs under test, and one daemon: its beginning and end, questions to it, and waiting for what it does."""
import atexit
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import textwrap
import time

import client
import procs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAN = os.environ.get("SAN", "")
BUILD = os.path.join(ROOT, "build", "san-" + SAN.replace(",", "-") if SAN else "")
DROVERD = os.path.abspath(os.environ.get("DROVERD", os.path.join(BUILD, "droverd")))
DROVERCTL = os.path.abspath(os.environ.get("DROVERCTL", os.path.join(BUILD, "droverctl")))


def is_open_to_all(path):
    return path == "/" or (os.stat(path).st_mode & 0o001 and is_open_to_all(os.path.dirname(path)))


def copy_programs():
    """A tree below a home directory that is closed to others is of no use to tests which become another user: they, and
    what they start, get copies of the programs.  Made once, for all processes of a run."""
    global DROVERD, DROVERCTL
    if os.geteuid() != 0 or not os.path.exists(DROVERD) or is_open_to_all(os.path.dirname(DROVERD)):
        return
    where = tempfile.mkdtemp(prefix="drover-programs-")
    os.chmod(where, 0o755)
    atexit.register(shutil.rmtree, where, ignore_errors=True)
    shutil.copytree(os.path.join(os.path.dirname(DROVERD), "tests"), os.path.join(where, "tests"),
                    ignore=shutil.ignore_patterns("test_*", "fuzz_*"))
    DROVERD, DROVERCTL = shutil.copy2(DROVERD, where), shutil.copy2(DROVERCTL, where)
    os.environ.update(DROVERD=DROVERD, DROVERCTL=DROVERCTL)


copy_programs()

SERVER = """\
[unix_http_server]
file=%(here)s/s
{server}
"""

DAEMON = {
    False: """\
[supervisord]
logfile=%(here)s/log
pidfile=%(here)s/pid
childlogdir=%(here)s
user={user}
{daemon}
""",
    True: """\
[droverd]
logfile=%(here)s/log
pidfile=%(here)s/pid
childlogdir=%(here)s
state_dir=%(here)s/state
user={user}
{daemon}
""",
}


def full(name):
    """The name as events have it: group:process."""
    return name if ":" in name else "%s:%s" % (name, name)


class Daemon:
    def __init__(self, test, config, native=False, server="", daemon="", args=(), env=None, foreground=True,
                 directory=None, wait=True, whole=False, program=None, **popen):
        self.test = test
        self.program = program or DROVERD
        self.directory = directory or test.directory
        self.socket = os.path.join(self.directory, "s")
        self.file = os.path.join(self.directory, "drover.conf")
        self.native, self.server, self.daemon, self.whole = native, server, daemon, whole
        self.args, self.env, self.foreground, self.popen = args, env or {}, foreground, popen
        self.expected_status = 0
        self.process = None
        self.background_pid = None
        self.client = client.Client(self.socket)
        self._events = None
        self.config = config
        self.configure(config)
        self.launch(wait)

    # -- beginning and end ---------------------------------------------------

    def configure(self, config):
        """Writes the file: the sections of the daemon, and then the caller's."""
        text = textwrap.dedent(config)
        if not self.whole:
            head = SERVER.replace("{server}", textwrap.dedent(self.server))
            daemon = DAEMON[self.native].replace("{daemon}", textwrap.dedent(self.daemon))
            user = "root" if self.popen.get("user") is None and os.geteuid() == 0 else ""
            daemon = daemon.replace("user={user}", "user=" + user if user else "")
            text = head + daemon + text
        fresh = self.file + ".new"
        with open(fresh, "w") as f:
            f.write(text)
        os.chmod(fresh, 0o644)
        os.replace(fresh, self.file)

    def environment(self):
        env = dict(os.environ)
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "RUNTIME_DIRECTORY"):
            env.pop(name, None)
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            env[name] = ":".join(filter(None, [env.get(name), "log_path=%s/san" % self.directory]))
        env.update(self.env)
        return env

    def launch(self, wait=True):
        command = [self.program] + (["-n"] if self.foreground else []) + ["-c", self.file] + list(self.args)
        files = {s: open(os.path.join(self.directory, s), "ab") for s in ("stdout", "stderr") if s not in self.popen}
        self.process = subprocess.Popen(command, env=self.environment(), cwd=self.directory, stdin=subprocess.DEVNULL,
                                        **{**files, **self.popen})
        for f in files.values():
            f.close()
        self.test.known.add(self.process.pid)
        if wait:
            self.wait_ready()

    def answer(self):
        """What /v1/daemon says; None where nobody listens yet, or any more."""
        try:
            return self.client.get("/v1/daemon").json
        except (FileNotFoundError, ConnectionRefusedError):
            return None

    def wait_ready(self, timeout=20):
        """Until somebody answers at the socket."""
        def look():
            if self.process.poll() not in (None, 0) or (self.foreground and self.process.poll() is not None):
                raise AssertionError("droverd ended with %s:\n%s" % (self.process.returncode, self.stderr()))
            return self.answer()
        info = procs.wait_until(look, "the daemon to answer", timeout)
        if not self.foreground:
            self.process.wait(timeout)
            self.background_pid = info["pid"]
            self.test.known.add(self.background_pid)
        return info

    @property
    def pid(self):
        return self.background_pid or self.process.pid

    @property
    def supervisor(self):
        """The pid of the process that has the jobs; .pid is the guardian's, which is the one that people know."""
        return procs.supervisor(self.pid)

    def settle(self):
        """The supervisor tells the guardian of each descriptor, user and limit, and waits for no answer.  This does."""
        procs.wait_asleep(self.supervisor, self.pid)

    def held(self):
        """The guardian's descriptors."""
        self.settle()
        return procs.descriptors(self.pid)

    def crash(self):
        """Kills the supervisor; back when the next one answers."""
        before = self.supervisor
        self.close()
        os.kill(before, signal.SIGKILL)
        procs.wait_until(lambda: self.supervisor not in (None, before), "the next supervisor")
        self.wait_ready()

    def end_all(self, sig=signal.SIGKILL):
        """Ends the daemon by a signal to its main process; its status, when the supervisor, which holds the lock and
        the socket and may end a little later, is gone too."""
        supervisor = self.supervisor
        self.close()
        self.kill(sig)
        status = self.wait_exit()
        procs.wait_gone(supervisor)
        return status

    def stderr(self):
        return procs.read(os.path.join(self.directory, "stderr")).decode(errors="replace")

    def log(self):
        return procs.read(os.path.join(self.directory, "log")).decode(errors="replace")

    def kill(self, sig=signal.SIGTERM):
        os.kill(self.pid, sig)

    def wait_exit(self, timeout=25):
        """The exit status of the daemon."""
        if self.background_pid is not None:
            ended = procs.wait_until(lambda: os.waitid(os.P_PID, self.background_pid, os.WEXITED | os.WNOHANG),
                                     "the end of the daemon", timeout)
            self.background_pid = None
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("the daemon did not end in %g s; its log ends:\n%s" % (timeout, self.log()[-2000:]))

    def running(self):
        return self.background_pid is not None or (self.process is not None and self.process.poll() is None)

    def finish(self):
        """Called at the end of every test."""
        try:
            if self.running():
                self.kill()
                status = self.wait_exit()
            else:
                status = self.process.returncode
            if status != self.expected_status:
                raise AssertionError("droverd ended with status %s, expected %s; its log ends:\n%s\n%s" % (
                    status, self.expected_status, self.log()[-2000:], self.stderr()[-2000:]))
        finally:
            self.close()
            if self.running():
                os.kill(self.pid, signal.SIGKILL)
                self.wait_exit()
            self.check_sanitizers()

    def close(self):
        self.client.close()
        if self._events is not None:
            self._events.close()
        self._events = None

    def check_sanitizers(self):
        reports = [f for f in os.listdir(self.directory) if f.startswith("san.")]
        for name in reports:
            text = procs.read(os.path.join(self.directory, name)).decode(errors="replace")
            raise AssertionError("a sanitizer has reported:\n" + text[:6000])

    # -- asking and telling --------------------------------------------------

    def get(self, path, **parameters):
        return self.client.get(path, **parameters)

    def post(self, path, body=None, **parameters):
        return self.client.post(path, body, **parameters)

    def process_path(self, name, verb=""):
        return "/v1/processes/" + client.quote(name) + verb

    def info(self, name):
        reply = self.get(self.process_path(name))
        assert reply.status == 200, reply
        return reply.json

    def pid_of(self, name):
        return self.info(name)["pid"]

    def all(self):
        """Every process by its full name."""
        return {"%s:%s" % (p["group"], p["name"]): p for p in self.get("/v1/processes").json["processes"]}

    def pids(self):
        return {name: p["pid"] for name, p in self.all().items()}

    def act(self, verb, name, body=None, **parameters):
        """A deed on processes; its list of results."""
        reply = self.post(self.process_path(name, "/" + verb), body, **parameters)
        assert reply.status == 200, reply
        return reply.json["results"]

    def deed(self, verb, name, body=None, **parameters):
        """A deed on one process that must succeed."""
        results = self.act(verb, name, body, **parameters)
        assert len(results) == 1 and results[0]["ok"], results
        return results[0]

    def start(self, name, **parameters):
        return self.deed("start", name, **parameters)

    def stop(self, name, **parameters):
        return self.deed("stop", name, **parameters)

    def refusal(self, verb, name, body=None, **parameters):
        """A deed on one process that must fail: its error."""
        results = self.act(verb, name, body, **parameters)
        assert len(results) == 1 and not results[0]["ok"], results
        return results[0]["error"]

    def update(self, config=None, groups=None):
        if config is not None:
            self.configure(config)
        reply = self.post("/v1/config/update", {"groups": groups} if groups else None)
        assert reply.status == 200, reply
        return reply.json["results"]

    # -- waiting -------------------------------------------------------------

    @property
    def events(self):
        if self._events is None:
            self._events = client.Events(self.client)
        return self._events

    def mark(self):
        """The number of the newest event: `after` for a later wait."""
        events = self.get("/v1/events").lines
        return events[-1]["seq"] if events else 0

    def wait_event(self, event, process=None, after=0, timeout=20, **fields):
        """The first event of that kind past number `after` that has these fields."""
        wanted = dict(fields, event=event)
        if process is not None:
            wanted["process"] = full(process)

        def look(events):
            for e in events:
                if e.get("seq", 0) > after and all(e.get(k) == v for k, v in wanted.items()):
                    return e
            return None
        return self.events.until(look, "event %s after %d" % (wanted, after), timeout)

    def wait_events(self, n, event, process, timeout=20, **fields):
        """The first n events of that kind."""
        wanted = dict(fields, event=event, process=full(process))

        def look(events):
            found = [e for e in events if all(e.get(k) == v for k, v in wanted.items())]
            return found[:n] if len(found) >= n else None
        return self.events.until(look, "%d events %s" % (n, wanted), timeout)

    def wait_state(self, name, state, timeout=20):
        """Until the newest state of a process is this one, by its events and by its own word; the process."""
        process, deadline = full(name), time.monotonic() + timeout

        def look(events):
            states = [e["to"] for e in events if e["event"] == "state" and e["process"] == process]
            return (states[-1] if states else "STOPPED") == state
        while True:
            self.events.until(look, "%s to be %s" % (process, state), deadline - time.monotonic())
            known, info = len(self.events.list), self.info(name)
            if info["statename"] == state:
                return info
            self.events.until(lambda events: len(events) > known, "%s to be %s" % (process, state),
                              deadline - time.monotonic())

    def wait_all(self, state, names=None, timeout=30):
        for name in names or list(self.all()):
            self.wait_state(name, state, timeout)

    def history(self, process, *kinds):
        """What has happened to one process, as far as the daemon remembers."""
        return [e for e in self.get("/v1/events").lines
                if e.get("process") == full(process) and (not kinds or e["event"] in kinds)]

    def output(self, name, stream="stdout"):
        reply = self.get(self.process_path(name, "/log"), stream=stream, offset=0)
        assert reply.status == 200, reply
        return reply.body

    def wait_output(self, name, text, stream="stdout", timeout=20):
        """Until a process has printed this; what its log holds by then."""
        path = self.process_path(name, "/log")
        procs.wait_until(lambda: self.get(path, stream=stream, offset=0, length=1).status == 200, "a log of " + name)
        s = self.client.stream(path, stream=stream, offset=0, follow=1)
        try:
            return s.until_text(text, timeout)
        finally:
            s.close()

    def request_time(self, supervisor=None):
        """Seconds that one small request and its answer take now, less those that the two of us wait for a processor:
        who works gets less of a busy machine than who has slept, and that is nobody's defect."""
        both = supervisor or self.supervisor, os.getpid()
        before, began = procs.starved(*both), time.perf_counter()
        self.get("/v1/processes", match="*", fields="name")
        return time.perf_counter() - began - (procs.starved(*both) - before)

    def round_trip(self):
        """The same, less chance."""
        supervisor = self.supervisor
        return statistics.median(self.request_time(supervisor) for _ in range(21))
