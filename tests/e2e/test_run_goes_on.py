"""Transient processes and their clients go on when the supervisor is killed or makes room for another."""
import array
import errno
import fcntl
import hashlib
import json
import os
import random
import signal
import subprocess
import termios

import drover
import procs
import test_cgroup
import test_run

UPGRADE = "upgrade"


def waiting_in(pipe):
    n = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, n)
    return n[0]


class TestCase(test_run.RunTestCase):
    def replace(self, way="crash"):
        if way == "crash":
            self.d.crash()
        else:
            run = subprocess.run([drover.DROVERCTL, "-c", self.d.file, "upgrade"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=40)
            self.assertEqual(run.returncode, 0, run.stdout)

    def fifo(self, name):
        os.mkfifo(self.path(name))

    def let_go(self, name):
        with open(self.path(name), "w"):
            pass

    def wait_at(self, name):
        """Until somebody wants to read that; what keeps it waiting."""
        def look():
            try:
                return os.open(self.path(name), os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                self.assertEqual(error.errno, errno.ENXIO)
                return None
        return procs.wait_until(look, "somebody to read " + name)

    def runs(self):
        return self.d.get("/v1/run").json["runs"]

    def end(self, p, timeout=30):
        out, err = p.communicate(timeout=timeout)
        return p.returncode, out, err


class Lives(TestCase):
    def test_status_and_output(self):
        self.fifo("go")
        for way in "crash", UPGRADE:
            p = self.start("sh", "-c", "echo first; cat go; echo second; echo wrong >&2; exit 7", cwd=self.directory)
            self.assertEqual(self.line(p), "first")
            pid = self.runs()[0]["pid"]
            self.replace(way)
            self.assertEqual(self.runs()[0]["pid"], pid)
            self.let_go("go")
            self.assertEqual(self.end(p), (7, b"second\n", b"wrong\n"))
            procs.wait_until(lambda: not self.runs(), "it to be forgotten")

    def test_it_ends_while_nobody_is_there(self):
        self.fifo("go")
        p = self.start("sh", "-c", "echo first; cat go; echo second; kill -USR1 $$", cwd=self.directory)
        self.assertEqual(self.line(p), "first")
        job = self.runs()[0]["pid"]
        before = self.d.supervisor
        self.d.close()
        procs.freeze(before)
        self.let_go("go")
        procs.wait_until(lambda: not procs.alive(job), "its end")
        os.kill(before, signal.SIGKILL)
        self.assertEqual(self.end(p), (128 + signal.SIGUSR1, b"second\n", b""))
        self.d.wait_ready()

    def test_captured(self):
        self.fifo("go")
        p = self.start("--json", "sh", "-c", "echo out; echo err >&2; cat go; echo more; exit 3", cwd=self.directory)
        procs.wait_until(lambda: len(self.runs()) == 1, "it to run")
        self.replace()
        self.replace(UPGRADE)
        self.let_go("go")
        status, out, err = self.end(p)
        r = json.loads(out)
        r.pop("pid")
        self.assertEqual((status, err), (3, b""))
        self.assertEqual(r, {"status": 3, "signal": None, "stdout": "out\nmore\n", "stderr": "err\n", "error": None})

    @drover.slow(120)
    def test_much_output(self):
        """Every byte once, however often the daemon is killed meanwhile."""
        script = self.write("much.py", """\
            import os, sys
            for i in range(400000):
                sys.stdout.write("%08d\\n" % i)
        """)
        p = self.start("python3", script)
        chance = random.Random(7)
        wanted = b"".join(b"%08d\n" % i for i in range(400000))
        out, next_kill = b"", 0
        while True:
            data = os.read(p.stdout.fileno(), 65536)
            if not data:
                break
            out += data
            if len(out) > next_kill and len(out) < len(wanted) - 1000000:
                next_kill = len(out) + chance.randrange(300000)
                self.d.close()
                procs.kill_supervisor(self.d.pid)
        self.assertEqual((p.wait(20), p.stderr.read()), (0, b""))
        self.assertEqual((len(out), hashlib.sha1(out).hexdigest()), (len(wanted), hashlib.sha1(wanted).hexdigest()))
        self.d.wait_ready()

    @drover.slow(120)
    def test_much_input(self):
        """Likewise, and its end comes behind the last."""
        data = b"".join(b"%08d\n" % i for i in range(200000))
        p = self.start("--input", "-", "cat", stdin=subprocess.PIPE)
        chance = random.Random(8)
        pid = os.fork()
        if pid == 0:
            try:
                p.stdout.close()
                while data:
                    data = data[os.write(p.stdin.fileno(), data[:30000]):]
            finally:
                os._exit(0)
        self.known.add(pid)
        p.stdin.close()
        p.stdin = None
        out, next_kill = b"", 0
        while True:
            piece = os.read(p.stdout.fileno(), 65536)
            if not piece:
                break
            out += piece
            if len(out) > next_kill and len(out) < len(data) - 500000:
                next_kill = len(out) + chance.randrange(200000)
                self.d.close()
                procs.kill_supervisor(self.d.pid)
        os.waitpid(pid, 0)
        self.assertEqual((p.wait(20), p.stderr.read()), (0, b""))
        self.assertEqual((len(out), hashlib.sha1(out).hexdigest()), (len(data), hashlib.sha1(data).hexdigest()))
        self.d.wait_ready()

    def test_input_that_waits(self):
        """For a job that does not read, and whose pipe is full, over one supervisor after the other; its end, too."""
        self.fifo("go")
        data = b"".join(b"%08d\n" % i for i in range(30000))
        with open(self.path("data"), "wb") as f:
            f.write(data)
        with open(self.path("data"), "rb") as f:
            p = self.start("--input", "-", "sh", "-c", "echo up; cat go; exec cat", cwd=self.directory, stdin=f)
        self.assertEqual(self.line(p), "up")
        with open("/proc/%d/fd/0" % self.runs()[0]["pid"], "rb") as pipe:
            for way in "crash", "crash", UPGRADE, "crash":
                procs.wait_until(lambda: waiting_in(pipe) == 65536, "its pipe to be full")
                self.replace(way)
        self.let_go("go")
        status, out, err = self.end(p)
        self.assertEqual((status, err, len(out), hashlib.sha1(out).hexdigest()),
                         (0, b"", len(data), hashlib.sha1(data).hexdigest()))

    def test_a_text_to_read(self):
        """Input that came with the request."""
        self.fifo("go")
        text = "x" * 60000 + "\n" + "y" * 200
        body = {"command": ["sh", "-c", "cat go; wc -c"], "input": text, "directory": self.directory}
        connection = self.d.client.connect()
        connection.request("POST", "/v1/run?key=1234", body=json.dumps(body))
        gate = self.wait_at("go")  # one that has not begun yet would begin with the next request only
        self.replace()
        connection.close()
        os.close(gate)
        reply = self.d.client.request("POST", "/v1/run?key=1234", body=json.dumps(body))
        self.assertIn(b"%d\n" % len(text), reply.body)
        self.assertIn(b'"status":0', reply.body)

    def test_a_socket_to_read(self):
        """What it has had of a body that is sent again is left out."""
        self.fifo("go")
        body = {"command": ["sh", "-c", "cat go; sha1sum <&3"], "stdio": "ignore, pipe, pipe, pipe",
                "directory": self.directory}
        connection = self.d.client.connect()
        connection.request("POST", "/v1/run?key=77", body=json.dumps(body))
        gate = self.wait_at("go")
        data = b"".join(b"%08d\n" % i for i in range(7000))
        self.assertEqual(self.d.post("/v1/run/1/stdin?fd=3&at=0", data[:50000]).status, 200)
        self.replace()
        self.assertEqual(self.d.post("/v1/run/1/stdin?fd=3&eof=1&at=20000", data[20000:]).status, 200)
        self.replace()
        connection.close()
        os.close(gate)
        reply = self.d.client.request("POST", "/v1/run?key=77", body=json.dumps(body))
        self.assertIn(hashlib.sha1(data).hexdigest().encode(), reply.body)

    def test_signals_and_timeouts(self):
        p = self.start("sh", "-c", "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.05; done")
        self.assertEqual(self.line(p), "up")
        self.replace()
        p.send_signal(signal.SIGINT)
        self.assertEqual(self.end(p), (5, b"caught\n", b""))
        procs.wait_until(lambda: not self.runs(), "it to be forgotten")
        for seconds in 1, 5, 20:  # until there is another supervisor in time
            p = self.start("--timeout", "%ds" % seconds, "sh", "-c", "echo up; sleep 1000")
            procs.wait_until(lambda: self.runs() or p.poll() is not None, "it to run")
            self.replace()
            goes_on = len(self.runs())
            code, out, err = self.end(p, 50)
            self.assertEqual((code, err), (124, b"run: it ran longer than it may\n"))
            if goes_on and out == b"up\n":
                return
        self.fail("each time it was over before")

    def test_max_buffer(self):
        self.fifo("go")
        p = self.start("--max-buffer", "10", "sh", "-c", "printf 12345; cat go; printf 67890abc; sleep 1000",
                       cwd=self.directory)
        procs.wait_until(lambda: len(self.runs()) == 1, "it to run")
        self.replace()
        self.let_go("go")
        self.assertEqual(self.end(p), (125, b"1234567890", b"run: it printed more than max_buffer\n"))

    def test_it_is_not_run_twice(self):
        """Killed at any instant from before the request is read on."""
        script = "echo x >>%s" % self.path("count")
        chance = random.Random(9)
        for i in range(30):
            p = self.start("sh", "-c", script)
            self.d.close()
            for _ in range(chance.randrange(2000)):
                pass
            procs.kill_supervisor(self.d.pid)
            self.assertEqual(self.end(p), (0, b"", b""), i)
            self.assertEqual(procs.read(self.path("count")), b"x\n" * (i + 1))
            self.d.wait_ready()

    def test_before_it_is_executed(self):
        """One that has not come that far ends, and the one that is begun in its place has all the input."""
        self.fifo("go")
        p = self.start("--stdio", "pipe, pipe, pipe, <%s" % self.path("go"), "--input", "-", "sh", "-c",
                       "echo x >>%s; exec cat" % self.path("count"), stdin=subprocess.PIPE)
        procs.wait_until(self.runs, "it to begin")
        p.stdin.write(b"hello\n")
        p.stdin.flush()
        procs.wait_until(lambda: waiting_in(p.stdin) == 0, "its client to read")
        before = self.runs()[0]["pid"]
        self.replace()
        procs.wait_until(lambda: [r["pid"] for r in self.runs() if r["pid"] != before], "another")
        procs.wait_gone(before)
        self.let_go("go")
        self.assertEqual(self.end(p), (0, b"hello\n", b""))
        self.assertEqual(procs.read(self.path("count")), b"x\n")

    def test_a_client_that_does_not_come_back(self):
        """Its process is ended as when a client leaves."""
        p = self.start("sh", "-c", "echo up; exec sleep 1000")
        self.assertEqual(self.line(p), "up")
        job = self.runs()[0]["pid"]
        before = self.d.supervisor
        self.d.close()
        procs.freeze(before)
        p.kill()
        p.wait()
        os.kill(before, signal.SIGKILL)
        procs.wait_gone(job, 45)
        self.d.wait_ready()


class Modes(TestCase):
    def grandchild(self, mode, ending):
        """The pid of a child that has left session and group, and the process that has it."""
        p = self.start("--set", "kill_mode=" + mode, "--kill-signal", "USR1", "sh", "-c",
                       "setsid sh -c 'trap \"\" USR1; echo $$; exec sleep 1000 >/dev/null 2>&1' & %s" % ending)
        return p, int(self.line(p))

    def test_process(self):
        """Its group is left alone."""
        p = self.start("--set", "kill_mode=process", "sh", "-c",
                       "(trap '' TERM; exec sleep 1000 >/dev/null 2>&1) & echo $!; wait")
        pid = int(self.line(p))
        self.assertEqual(self.d.post("/v1/run/1/stop").status, 200)
        self.assertEqual(self.end(p)[0], 125)
        self.assertTrue(procs.alive(pid))
        os.kill(pid, signal.SIGKILL)

    def test_cgroup(self):
        if not test_cgroup.can_make():
            self.skipTest("no cgroup can be made here")
        p, pid = self.grandchild("cgroup", "wait")
        self.replace()
        self.assertEqual(self.d.post("/v1/run/1/stop").status, 200)
        self.assertEqual(self.end(p)[0], 125)
        procs.wait_gone(pid)
        p, pid = self.grandchild("cgroup", "sleep 0.2; exit 3")
        self.assertEqual(self.end(p)[0], 3)
        procs.wait_gone(pid)


class Detached(TestCase):
    def test_it_stays_listed(self):
        r = self.ctl("--detached", "sleep", "1000")
        pid = int(r.stdout)
        self.replace()
        self.replace(UPGRADE)
        runs = self.runs()
        self.assertEqual([(x["pid"], x["detached"], x["command"]) for x in runs], [(pid, True, "sleep 1000")])
        os.kill(pid, signal.SIGTERM)
        procs.wait_until(lambda: not self.runs(), "it to be forgotten")
        self.assertEqual(self.run_events(runs[0]["id"], "exit")[0]["process"], runs[0]["process"])


class Listing(TestCase):
    def runs_ctl(self, *words):
        r = subprocess.run([drover.DROVERCTL, "-c", self.d.file, "runs", *words], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=40)
        return r.returncode, r.stdout.decode()

    def test_verb(self):
        self.assertEqual(self.runs_ctl(), (0, ""))
        p = self.start("sh", "-c", "trap 'echo got' USR1; echo up; while :; do sleep 0.05; done")
        self.assertEqual(self.line(p), "up")
        pid = self.runs()[0]["pid"]
        self.assertRegex(self.runs_ctl()[1], r"^run:1 +pid %d +0:00:\d\d  attached   sh -c .*\n$" % pid)
        self.assertEqual(json.loads(self.runs_ctl("--json")[1])["runs"][0]["pid"], pid)
        self.assertEqual(self.runs_ctl("signal", "USR1", "run:1"), (0, "run:1: signalled\n"))
        self.assertEqual(self.line(p), "got")
        self.assertEqual(self.runs_ctl("stop", "1", "7"), (1, "run:1: told to end\nrun:7: ERROR (not running)\n"))
        self.assertEqual(self.end(p)[0], 125)
        self.assertEqual(self.runs_ctl("nonsense")[0], 2)

    def test_stop(self):
        p = self.start("sh", "-c", "echo up; exec sleep 1000")
        self.assertEqual(self.line(p), "up")
        (run,) = self.runs()
        self.assertEqual((run["process"], run["attached"], run["ending"]), ("run:%d" % run["id"], True, False))
        self.assertEqual(self.d.post("/v1/run/%d/stop" % run["id"]).status, 200)
        self.assertEqual(self.end(p), (125, b"", b"run: Operation canceled\n"))
        self.assertEqual(self.d.post("/v1/run/%d/stop" % run["id"]).status, 404)
