"""A fleet: a supervisor with its jobs, in a directory of its own.  Three kinds: the limit, Drover, supervisord.

Every job reports its first instruction on the fleet's fifo, with the time at which it ran.  The driver reads the fifo
now and then and never while it matters: it would only take a processor from those who are measured.
"""
import fcntl
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time

import machine

F_SETPIPE_SZ = 1031
REPORTS_SIZE = 1 << 20
START_MAX = 60  # seconds until a fleet is up
ANSWER_MAX = 64 << 20


class Reports:
    """The fifo: lines of job number, pid, nanoseconds."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path, self.rest = path, b""
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.fcntl(self.fd, F_SETPIPE_SZ, REPORTS_SIZE)
        except PermissionError:
            pass  # enough for a thousand lines as it is

    def take(self):
        """What is there now, as tuples of three integers."""
        try:
            self.rest += os.read(self.fd, REPORTS_SIZE)
        except BlockingIOError:
            pass
        lines, _, self.rest = self.rest.rpartition(b"\n")
        return [tuple(map(int, line.split())) for line in lines.split(b"\n") if line]

    def expect(self, n, seconds, pause=0.02):
        """n reports, or fewer when the time is over."""
        got, deadline = [], time.monotonic() + seconds
        while len(got) < n and time.monotonic() < deadline:
            time.sleep(pause)
            got += self.take()
        return got

    def close(self):
        os.close(self.fd)


class Fleet:
    """Use it in a `with`: at the end, the supervisor and its jobs are ended."""
    name = None

    def __init__(self, tools, count, mode="wait", captured=False, keys=None, extra=""):
        self.tools, self.count, self.mode, self.captured = tools, count, mode, captured
        self.keys, self.extra = keys or {}, extra
        self.directory = tempfile.mkdtemp(prefix="fleet.", dir=tools.directory)
        self.reports = Reports(os.path.join(self.directory, "reports"))
        self.process, self.pids, self.started_ns = None, {}, 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def __enter__(self):
        try:
            self.configure()
            with open(self.path("output"), "wb") as output:
                self.started_ns = machine.now_ns()
                self.process = subprocess.Popen(self.command(), cwd=self.directory, stdin=subprocess.DEVNULL,
                                                stdout=output, stderr=output)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None:
            machine.end(self.process.pid)
            self.process.poll()
        self.reports.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def await_all(self):
        """All jobs have come to their first instruction; milliseconds that this took."""
        got = self.reports.expect(self.count, START_MAX)
        self.pids = {number: pid for number, pid, _ in got}
        if len(self.pids) < self.count:
            raise machine.Failure("%d of %d jobs were started in %d s: %s" % (
                len(self.pids), self.count, START_MAX, machine.read(self.path("output"))[-300:].strip()))
        return (max(at for _, _, at in got) - self.started_ns) / 1e6

    def supervisors(self):
        return machine.supervisors(self.process.pid)

    def daemons(self):
        """The same, also while jobs come and go: never a child that has not become its job yet."""
        return [self.process.pid]

    def configure(self):
        pass


class Limit(Fleet):
    name = "limit"

    def command(self):
        return [self.tools.program("respawn"), self.tools.method, str(self.count), self.tools.program("job"),
                self.reports.path, self.mode]


class Supervised(Fleet):
    """What reads supervisord's configuration file."""
    own_keys = False  # knows our keys

    def configure(self):
        # supervisord closes every descriptor up to minfds in each child, so it gets no more than it needs
        needs = max(1024, self.count * (5 if self.captured else 3) + 200)
        lines = ["[unix_http_server]", "file=%s" % self.path("s"), "[supervisord]", "nodaemon=true",
                 "logfile=%s" % self.path("log"), "pidfile=%s" % self.path("pid"), "minfds=%d" % needs,
                 "[rpcinterface:supervisor]",
                 "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
                 "[supervisorctl]", "serverurl=unix://%s" % self.path("s")]
        for number in range(self.count):
            lines += self.section("job%d" % number, self.mode, number)
        with open(self.path("conf"), "w") as f:
            f.write("\n".join(lines) + "\n" + self.extra)

    def section(self, name, mode, number):
        command = [self.tools.program("job"), self.reports.path, mode, str(number)]
        lines = ["[program:%s]" % name, "command=" + " ".join(map(shlex.quote, command)), "startsecs=0",
                 "autorestart=true"]
        if self.own_keys:
            lines += ["%s=%s" % pair for pair in self.keys.items()]
        for stream in "stdout", "stderr":
            if self.captured:
                lines += ["%s_logfile=%s" % (stream, self.path("%s.%s" % (name, stream))),
                          "%s_logfile_maxbytes=50MB" % stream, "%s_logfile_backups=10" % stream]
            else:
                lines += ["%s_logfile=NONE" % stream]
        return lines

    def check_captured(self):
        """Every job's line is in both of its files; else less was kept than is being weighed."""
        for number in range(self.count):
            for stream in "stdout", "stderr":
                log = self.path("job%d.%s" % (number, stream))
                if machine.read(log).count("\n") != 1:
                    raise machine.Failure("%s: %s has not the one line of its job" % (self.name, log))

    def command(self):
        return [self.daemon(), "-n", "-c", self.path("conf")]

    def status(self, *names):
        return [self.control(), "-c", self.path("conf"), "status"] + list(names)

    def exchange(self, request):
        """The raw answer to a raw request."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.path("s"))
            s.sendall(request)
            answer, want = b"", None
            while want is None or len(answer) < want:
                piece = s.recv(1 << 20)
                if not piece or len(answer) > ANSWER_MAX:
                    raise machine.Failure("an answer ends early, or never")
                answer += piece
                head, found, _ = answer.partition(b"\r\n\r\n")
                if found and want is None:
                    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n")
                               if line.startswith(b"content-length:")]
                    want = len(head) + 4 + int(lengths[0]) if lengths else 0
        return answer


class Drover(Supervised):
    name, own_keys = "Drover", True

    def daemon(self):
        return self.tools.droverd

    def daemons(self):
        """The guardian, whose one child the supervisor is, but for orphans of jobs."""
        guardian = self.process.pid
        below = map(int, machine.read("/proc/%d/task/%d/children" % (guardian, guardian)).split())
        return [guardian] + [pid for pid in below if machine.read("/proc/%d/comm" % pid).startswith("droverd")]

    def control(self):
        return self.tools.droverctl

    def get(self, path):
        return json.loads(self.exchange(http_get(path)).partition(b"\r\n\r\n")[2])

    def run(self, *words):
        return [self.control(), "-c", self.path("conf"), "run"] + list(words)

    def post(self, path):
        self.exchange(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" % path.encode())

    def request_one(self):
        return http_get("/v1/processes/job%d" % (self.count // 2))

    def request_all(self):
        return http_get("/v1/processes")

    def runs(self):
        """{name: pid and number of restarts}"""
        found = self.get("/v1/processes?fields=name,pid,restarts")["processes"]
        return {p["name"]: (p["pid"], p["restarts"]) for p in found}

    def restarts(self):
        """{name: how often it was restarted}"""
        return {p["name"]: p["restarts"] for p in self.get("/v1/processes?fields=name,restarts")["processes"]}


class Unjournaled(Drover):
    """Drover without its journal, as the limit of what that may cost."""
    name = "limit"

    def daemon(self):
        return self.tools.unjournaled


class Supervisord(Supervised):
    name = "supervisord"

    def daemon(self):
        return self.tools.supervisord

    def control(self):
        return self.tools.supervisorctl

    def request_one(self):
        return xml_rpc("getProcessInfo", "<param><value><string>job%d</string></value></param>" % (self.count // 2))

    def request_all(self):
        return xml_rpc("getAllProcessInfo", "")


def http_get(path):
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()


def xml_rpc(method, parameters):
    body = ("<?xml version='1.0'?><methodCall><methodName>supervisor.%s</methodName><params>%s</params></methodCall>" %
            (method, parameters)).encode()
    return (b"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" %
            len(body)) + body
