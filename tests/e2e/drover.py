"""The real daemon, on a socket of its own in a directory of its own.

    class Example(drover.TestCase):
        def test_it(self):
            d = self.daemon('''
                [program:cat]
                command=cat
            ''')
            d.wait_state("cat", "RUNNING")

At the end of each test every daemon is told to end, and the test fails unless it exits as expected, leaves no process
behind and, built with sanitizers, has had nothing to report.
"""
import os
import re
import shutil
import socket
import statistics
import tempfile
import textwrap
import unittest

import procs
from daemon import DROVERCTL, DROVERD, ROOT, SAN, Daemon

__all__ = ["DROVERCTL", "DROVERD", "ROOT", "SAN", "Daemon", "TestCase", "slow", "unescaped"]


AS_NOBODY = """\
[unix_http_server]
file=%(here)s/s
[supervisord]
user=nobody
logfile=%(here)s/log
pidfile=%(here)s/pid
childlogdir=%(here)s
"""


class TestCase(unittest.TestCase):
    timeout = 60  # seconds; the runner ends a test that takes longer
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        procs.become_subreaper()
        if not os.access(DROVERD, os.X_OK):
            raise AssertionError("%s is not there; build it, or set DROVERD" % DROVERD)

    def setUp(self):
        self.known = set(procs.children(os.getpid()))
        self.directory = tempfile.mkdtemp(prefix="drover-")
        os.chmod(self.directory, 0o755)
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.daemons = []
        self.addCleanup(self.finish_daemons)

    def finish_daemons(self):
        problems = []
        for d in self.daemons:
            try:
                d.finish()
            except AssertionError as e:
                problems.append(str(e))
        left = procs.reap_strays(self.known)
        if left:
            problems.append("processes were left behind: %s" % ", ".join(left))
        if problems:
            self.fail("\n".join(problems))

    def daemon(self, config, **options):
        wait = options.pop("wait", True)
        d = Daemon(self, config, wait=False, **options)
        self.daemons.append(d)
        if wait:
            d.wait_ready()
        return d

    def daemon_as_nobody(self, programs="", **options):
        """A daemon that changes its user."""
        self.needs_root()
        os.chown(self.directory, 65534, 65534)
        return self.daemon(AS_NOBODY + textwrap.dedent(programs), whole=True, **options)

    def twin(self, d):
        """Another daemon with the configuration that d began with, whom nobody bothers."""
        if not hasattr(d, "twin"):
            os.mkdir(d.directory + "/twin")
            d.twin = self.daemon(d.config, native=d.native, server=d.server, daemon=d.daemon,
                                 directory=d.directory + "/twin")
        return d.twin

    def check_prompt(self, d, timeout=20):
        """A daemon that is kept busy answers about as soon as its twin.  They are asked in turn, so that what else
        the machine does hits both alike; what the daemon itself does wrong is there each time."""
        twin, seen = self.twin(d), []
        mine, other = d.supervisor, twin.supervisor

        def look():
            pairs = [(d.request_time(mine), twin.request_time(other)) for _ in range(21)]
            seen.append(tuple(statistics.median(times) for times in zip(*pairs)))
            return seen[-1][0] <= 5 * seen[-1][1]
        try:
            procs.wait_until(look, "an answer at most five times as late as the twin's", timeout)
        except AssertionError as error:
            raise AssertionError("%s; seconds: %s" % (error, seen[-20:]))

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def free_port(self):
        """A port of 127.0.0.1 that nobody else is given during the test: a socket that never listens has it, too."""
        s = socket.socket()
        self.addCleanup(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        os.chmod(path, mode)
        return path

    def needs(self, *programs):
        """Full paths of programs that the test cannot do without."""
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        found = [shutil.which(p, path=path) for p in programs]
        if None in found:
            self.skipTest("%s is not installed" % programs[found.index(None)])
        return found[0] if len(found) == 1 else found

    def needs_root(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")

    def states_of(self, events):
        return [e["to"] for e in events if e["event"] == "state"]


def slow(seconds):
    """Marks a test that may take this long."""
    def mark(function):
        function.timeout = seconds
        return function
    return mark


def unescaped(text):
    """For a command in a configuration file: % is special there."""
    return re.sub("%", "%%", text)
