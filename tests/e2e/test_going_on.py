"""Clients that follow or wait go on when the supervisor is killed or makes room for another."""
import json
import os
import select
import signal
import subprocess
import time

import client
import drover
import procs

COUNTER = """\
import sys, time
n = 0
while True:
    n += 1
    sys.stdout.write("%08d some text to make it longer\\n" % n)
    sys.stdout.flush()
    if n % 20 == 0:
        time.sleep(0.001)
"""


class Reader:
    """A droverctl whose output is read as it comes."""

    def __init__(self, test, d, *words):
        self.process = subprocess.Popen([drover.DROVERCTL, "-c", d.file, *words], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out, self.err = b"", b""
        test.known.add(self.process.pid)
        test.addCleanup(self.end)

    def pump(self, wait):
        streams = [s for s in (self.process.stdout, self.process.stderr) if not s.closed]
        for s in select.select(streams, [], [], wait)[0]:
            data = os.read(s.fileno(), 65536)
            if not data:
                s.close()
            elif s is self.process.stdout:
                self.out += data
            else:
                self.err += data
        return any(not s.closed for s in streams)

    def until(self, condition, what, timeout=20):
        deadline = time.monotonic() + timeout
        while not condition(self.out):
            if time.monotonic() > deadline or not self.pump(0.5) and not condition(self.out):
                raise AssertionError("no %s; it printed %r and %r" % (what, self.out[-500:], self.err[-500:]))
        return self.out

    def lines(self, n):
        self.until(lambda out: out.count(b"\n") >= n, "%d lines" % n)
        return self.out.decode().splitlines()

    def finish(self, timeout=20):
        """Its status, when it ends by itself."""
        deadline = time.monotonic() + timeout
        while self.pump(0.5):
            assert time.monotonic() < deadline, (self.out[-500:], self.err[-500:])
        return self.process.wait(timeout)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.finish()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class TestCase(drover.TestCase):
    def numbers(self, out, skip=0):
        return [int(line.split()[skip]) for line in out.decode().splitlines() if "some text" in line]

    def check_counts(self, numbers):
        self.assertGreater(len(numbers), 100)
        first = numbers[0]
        self.assertEqual(numbers, list(range(first, first + len(numbers))))

    def counter(self, more=""):
        return self.daemon("""
            [program:c]
            command=python3 -u %s
            startsecs=0
            %s
            [program:other]
            command=sleep 1000
            startsecs=0
        """ % (self.write("counter.py", COUNTER), more.replace("\n", "\n            ")))

    def after(self, r, crashes, d, ways=("crash", "upgrade")):
        """The daemon is replaced so often, each time when something has come since the last time."""
        for i in range(crashes):
            before = len(r.out)
            r.until(lambda out: len(out) > before + 4000, "output after %d" % i)
            if ways[i % len(ways)] == "crash":
                d.crash()
            else:
                run = subprocess.run([drover.DROVERCTL, "-c", d.file, "upgrade"], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=40)
                self.assertEqual(run.returncode, 0, run.stdout)
        before = len(r.out)
        r.until(lambda out: len(out) > before + 4000, "output at last")


class Logs(TestCase):
    @drover.slow(120)
    def test_tail(self):
        """Not a byte twice, none left out, over rotations, crashes and upgrades."""
        d = self.counter("stdout_logfile=%(here)s/c.log\nstdout_logfile_maxbytes=200KB\nstdout_logfile_backups=50")
        r = Reader(self, d, "tail", "-f", "c")
        self.after(r, 8, d)
        self.assertEqual((r.interrupt(), r.err), (0, b""))
        self.check_counts(self.numbers(r.out)[1:-1])

    @drover.slow(120)
    def test_logs(self):
        d = self.counter("stdout_logfile_maxbytes=200KB\nstdout_logfile_backups=50\nlog_format=timestamp")
        r = Reader(self, d, "logs", "-f", "c", "other")
        self.after(r, 6, d)
        self.assertEqual((r.interrupt(), r.err), (0, b""))
        self.check_counts(self.numbers(r.out, 3)[1:-1])

    def test_a_long_gap(self):
        """More has come meanwhile than a follower is given at once."""
        d = self.counter("stdout_logfile_maxbytes=1MB\nstdout_logfile_backups=50")
        r = Reader(self, d, "tail", "-f", "c")
        r.lines(200)
        r.process.send_signal(signal.SIGSTOP)
        size = procs.wait_until(lambda: len(d.output("c")), "output")
        d.crash()
        procs.wait_until(lambda: len(d.output("c")) > size + 400 * 1024 or len(d.output("c")) < size, "a long gap")
        r.process.send_signal(signal.SIGCONT)
        have = len(r.out)
        r.until(lambda out: len(out) > have + 700 * 1024, "all of the gap")
        self.assertEqual((r.interrupt(), r.err), (0, b""))
        self.check_counts(self.numbers(r.out)[1:-1])

    def test_the_daemons_own(self):
        d = self.counter()
        r = Reader(self, d, "maintail", "-f")
        d.crash()
        r.until(lambda out: b"takes over" in out, "the end of the gap")
        r.until(lambda out: b"took over 2 processes" in out, "what follows")
        self.assertEqual((r.interrupt(), r.err), (0, b""))
        self.assertEqual(r.out.count(b"spawned: 'c'"), 1)

    def test_a_log_that_several_write_to(self):
        d = self.counter("stdout_logfile=%(here)s/x\nstderr_logfile=%(here)s/x")
        r = Reader(self, d, "tail", "-f", "c")
        r.lines(50)
        d.crash()
        have = len(r.out)
        said = b"c: the daemon was replaced; something may be missing here\n"
        r.until(lambda out: len(out) > have + 10000 and said in r.err, "what comes")
        numbers = self.numbers(r.out)[1:-1]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_what_ends_on_purpose(self):
        """Which all are told who read what they get: the daemon does not wait long for the others."""
        d = self.daemon("""
            [program:c]
            command=cat
            startsecs=0
        """)
        d.wait_state("c", "RUNNING")
        d.post(d.process_path("c", "/stdin"), "one\n")
        d.wait_output("c", "one\n")
        r = Reader(self, d, "tail", "-f", "c")
        r.lines(1)
        d.post(d.process_path("c", "/stdin"), "two\n")
        r.lines(2)  # so it follows
        d.kill(signal.SIGTERM)
        d.wait_exit()
        self.assertEqual(r.finish(), 1)
        self.assertIn(b"the daemon has ended the stream", r.err)


class Events(TestCase):
    def test_events(self):
        d = self.daemon("""
            [program:p]
            command=sleep 1000
            startsecs=0
            autostart=false
        """)
        r = Reader(self, d, "events", "-f", "--since", "0", "p")
        for _ in range(6):
            d.start("p")
            d.stop("p")
            r.until(lambda out: b'"STOPPED"' in out, "the first answer")  # whose gap would be told otherwise
            d.crash()
        d.start("p")
        d.stop("p")
        last = d.mark()
        r.until(lambda out: b'"seq":%d,' % last in out, "the last event")
        self.assertEqual(r.interrupt(), 0)
        events = [json.loads(line) for line in r.out.splitlines()]
        states = [e["to"] for e in events if e["event"] == "state"]
        gaps = sum(e["missed"] for e in events if e["event"] == "gap")
        if gaps == 0:
            self.assertEqual(states, ["STARTING", "RUNNING", "STOPPING", "STOPPED"] * 7)
        else:
            self.assertIn(b"events: the daemon was replaced", r.err)
        seqs = [e["seq"] for e in events if "seq" in e]
        self.assertEqual(seqs, sorted(set(seqs)))


class Messages(TestCase):
    def test_messages(self):
        script = self.write("talk.py", """\
            import os, time
            fd = int(os.environ["DROVER_CHANNEL_FD"])
            n = 0
            while True:
                n += 1
                os.write(fd, b"%d\\n" % n)
                time.sleep(0.002)
        """)
        d = self.daemon("""
            [program:a]
            command=python3 -u %s
            ipc=true
            startsecs=0
        """ % script)
        r = Reader(self, d, "messages", "a", "-f")
        for i in range(5):
            have = r.out.count(b"\n")
            r.lines(have + 50)
            d.crash()
        r.lines(r.out.count(b"\n") + 50)
        self.assertEqual(r.interrupt(), 0)
        numbers = [int(line) for line in r.out.splitlines()]
        missed = sum(int(line.split()[1]) for line in r.err.splitlines() if b"are missing" in line)
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(numbers[-1] - len(numbers), missed, r.err)


class Deeds(TestCase):
    """start, stop and restart wait for what they have begun, whoever ends it."""
    CONFIG = """
        [program:slow]
        command=sh -c 'trap "cat go; exit 0" TERM; echo "up $$"; while :; do sleep 0.01; done'
        directory=%(here)s
        startsecs=0
        stopwaitsecs=60
        [program:late]
        command=sh -c "echo up; exec sleep 1000"
        startsecs=5
        autostart=false
        [program:down]
        command=sleep 1000
        autostart=false
    """

    def setUp(self):
        super().setUp()
        os.mkfifo(self.path("go"))
        self.d = self.daemon(self.CONFIG)
        self.d.wait_output("slow", "up")
        self.addCleanup(self.stop_waiting)

    def stop_waiting(self):
        os.unlink(self.path("go"))
        self.write("go", "")

    def ctl(self, *words):
        return Reader(self, self.d, *words)

    def let_go(self):
        with open(self.path("go"), "w"):
            pass

    def state(self, name, state):
        procs.wait_until(lambda: self.d.info(name)["statename"] == state, "%s to be %s" % (name, state))

    def pid_of(self, name):
        """It is STARTING for a moment before it is a process."""
        return procs.wait_until(lambda: self.d.pid_of(name), "%s to have a pid" % name)

    def test_stop(self):
        r = self.ctl("stop", "slow")
        self.state("slow", "STOPPING")
        self.d.crash()
        self.d.crash()
        self.let_go()
        self.assertEqual((r.finish(), r.out, r.err), (0, b"slow: stopped\n", b""))

    def test_stop_all(self):
        r = self.ctl("stop", "all")
        self.state("slow", "STOPPING")
        self.d.crash()
        self.let_go()
        self.assertEqual((r.finish(), r.out, r.err), (0, b"slow: stopped\n", b""))

    def test_start(self):
        r = self.ctl("start", "late")
        self.state("late", "STARTING")
        pid = self.pid_of("late")
        self.d.wait_output("late", "up")  # before its exec a start is begun anew
        self.d.crash()
        self.assertEqual((r.finish(), r.out, r.err), (0, b"late: started\n", b""))
        self.assertEqual(self.d.pid_of("late"), pid)

    def test_restart_is_done_once(self):
        before = self.d.pid_of("slow")
        r = self.ctl("restart", "slow", "late")
        self.state("slow", "STOPPING")
        self.d.crash()
        self.let_go()
        self.state("late", "STARTING")
        pids = self.pid_of("slow"), self.pid_of("late")
        self.d.wait_output("slow", "up %d" % pids[0])
        self.d.wait_output("late", "up")
        self.d.crash()
        self.assertEqual(r.finish(), 0)
        self.assertEqual(r.out, b"slow: stopped\nlate: ERROR (not running)\nslow: started\nlate: started\n")
        self.assertEqual((self.d.pid_of("slow"), self.d.pid_of("late")), pids)
        self.assertNotEqual(pids[0], before)
        self.assertEqual(self.d.output("slow").count(b"up"), 2)

    def test_restart_that_nobody_waits_for(self):
        for again in range(2):
            pid = self.d.pid_of("slow")
            self.d.wait_output("slow", "up %d" % pid)
            if again:
                connection = client.UnixConnection(self.d.socket)
                connection.request("POST", self.d.process_path("slow", "/restart"))
                self.state("slow", "STOPPING")
                connection.close()
            else:
                self.d.act("restart", "slow", wait=0)
            self.state("slow", "STOPPING")
            self.d.crash()
            self.let_go()
            procs.wait_until(lambda: self.d.pid_of("slow") not in (0, pid), "it to be started again")

    def test_update(self):
        self.d.configure(self.CONFIG.replace("stopwaitsecs=60", "stopwaitsecs=61"))
        r = self.ctl("update")
        self.state("slow", "STOPPING")
        self.d.crash()
        self.let_go()
        self.assertEqual(r.finish(), 0, (r.out, r.err))
        self.state("slow", "RUNNING")
        self.assertIn(b"update: the daemon was replaced meanwhile", r.err)

    def test_an_upgrade(self):
        r = self.ctl("stop", "slow")
        self.state("slow", "STOPPING")
        self.assertEqual(self.ctl("upgrade").finish(), 0)
        self.let_go()
        self.assertEqual((r.finish(), r.out, r.err), (0, b"slow: stopped\n", b""))
