"""Processes of a daemon whose channels the test itself holds.

The program of such a process hands the end of its channel to the test and sleeps: what the test writes there is
what the process has said.
"""
import array
import json
import os
import select
import socket
import time

import drover
import procs

PROGRAM = """\
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
socket.send_fds(s, [sys.argv[2].encode()], [int(os.environ["DROVER_CHANNEL_FD"])])
os.close(int(os.environ["DROVER_CHANNEL_FD"]))
time.sleep(1000)
"""


class Actor:
    """The channel of one run of a process."""

    def __init__(self, name, fd):
        self.name = name
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(False)
        self.buffer = b""
        self.fds = []

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.socket.close()

    # -- saying ---------------------------------------------------------------

    def raw(self, data, timeout=20):
        """All of these bytes; what was written when nobody reads any more for so long."""
        view, deadline = memoryview(data), time.monotonic() + timeout
        while view:
            try:
                view = view[self.socket.send(view):]
            except BlockingIOError:
                left = max(deadline - time.monotonic(), 0)
                if not select.select([], [self.socket], [], left)[1]:
                    break
        return len(data) - len(view)

    def say(self, message):
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        assert self.raw(data) == len(data), "the daemon does not read"

    def to(self, address, message, **more):
        self.say(dict({"to": address, "msg": message}, **more))

    def handle(self, message, fd, kind="net.Socket", **more):
        line = dict({"cmd": "NODE_HANDLE", "type": kind, "msg": message}, **more)
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        self.socket.setblocking(True)
        self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd >= 0 else [])
        self.socket.setblocking(False)

    # -- hearing --------------------------------------------------------------

    def _fill(self, deadline):
        left = max(deadline - time.monotonic(), 0)
        if not select.select([self.socket], [], [], left)[0]:
            return False
        data, fds, flags, _ = socket.recv_fds(self.socket, 1 << 16, 64)
        self.fds += fds
        if not data:
            raise EOFError("the channel of %s has ended" % self.name)
        self.buffer += data
        return True

    def line(self, timeout=20):
        """The next line as it came; None when there is none for so long."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            if not self._fill(deadline):
                return None
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def hear(self, timeout=20):
        line = self.line(timeout)
        assert line is not None, "%s heard nothing" % self.name
        return json.loads(line)

    def hears(self, n):
        return [self.hear() for _ in range(n)]

    def silent(self, timeout=0.05):
        return self.line(timeout) is None

    def acknowledge(self):
        self.say({"cmd": "NODE_HANDLE_ACK"})


class Stage:
    """Waits for the actors of a test."""

    def __init__(self, test):
        self.test = test
        self.path = test.path("stage")
        self.program = test.write("puppet", PROGRAM)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(200)
        self.socket.settimeout(20)
        self.waiting = {}
        test.addCleanup(self.socket.close)

    def section(self, name, settings="", n=1):
        """A program section of such processes: `name`, or name_0 and so on."""
        many = "numprocs=%d\nprocess_name=%s_%%(process_num)d\n" % (n, name) if n > 1 else ""
        return ("[program:%s]\ncommand=python3 -S %s %s %%(program_name)s%s\nrelay=true\nstartsecs=0\nautorestart=false\n"
                "stopsignal=KILL\n%s%s\n" % (name, self.program, self.path, "_%(process_num)d" if n > 1 else "", many,
                                             settings.strip()))

    def actor(self, name):
        """The next run of a process of that name."""
        while not self.waiting.get(name):
            s, _ = self.socket.accept()
            data, fds, _, _ = socket.recv_fds(s, 100, 1)
            s.close()
            a = Actor(data.decode(), fds[0])
            self.test.addCleanup(a.close)
            self.waiting.setdefault(a.name, []).append(a)
        return self.waiting[name].pop(0)

    def actors(self, *names):
        return [self.actor(name) for name in names]


class Case(drover.TestCase):
    """A daemon of such programs."""

    def play(self, *sections, **options):
        """A daemon with these programs: (name, settings, number)."""
        self.stage = Stage(self)
        text = "".join(self.stage.section(*([s] if isinstance(s, str) else s)) for s in sections)
        self.d = self.daemon(text + options.pop("more", ""), native=True, **options)
        return self.d

    def actors(self, *names):
        """Those of these names, once the daemon has seen that they run: it may see that of one a little later than the
        one itself does, and nothing can be sent to it until then."""
        found = self.stage.actors(*names)
        procs.wait_until(lambda: "STARTING" not in [p["statename"] for p in self.d.all().values() if p["name"] in names],
                         "%s to be running" % (names,))
        return found

    def channel(self, name):
        return self.d.info(name)["channel"]
