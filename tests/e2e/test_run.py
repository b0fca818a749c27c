"""droverctl run and POST /v1/run: transient processes under the daemon."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess

import client
import drover
import procs


class RunTestCase(drover.TestCase):
    """A daemon without programs, and `run` against it."""

    def command(self, *words, options=()):
        return [drover.DROVERCTL, "-c", self.d.file, *options, "run", *words]

    def ctl(self, *words, options=(), **more):
        more.setdefault("stdin", None if "input" in more else subprocess.DEVNULL)
        if more["stdin"] is None:
            del more["stdin"]
        return subprocess.run(self.command(*words, options=options), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=50, **more)

    def start(self, *words, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        p = subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.known.add(p.pid)
        self.addCleanup(self.finish, p)
        return p

    def finish(self, p):
        if p.poll() is None:
            p.kill()
        p.wait()
        p.stdout.close()
        p.stderr.close()
        if p.stdin is not None:
            p.stdin.close()

    def captured(self, *words, **more):
        r = self.ctl("--json", *words, **more)
        return r.returncode, json.loads(r.stdout)

    def in_time(self, done, *words):
        """What is to have come so far before its timeout takes as long as the machine takes: with a longer timeout
        each time, until it has."""
        for timeout in "200ms", "2s", "20s":
            status, r = self.captured("--timeout", timeout, *words)
            self.assertEqual((status, r["error"]["code"]), (124, "ETIMEDOUT"))
            if done(r):
                return r
        return self.fail("not once in time: %r" % r)

    def line(self, p):
        """The next line that it prints, waited for."""
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([p.stdout], [], [], 20)
            self.assertTrue(ready, "nothing was printed after %r" % text)
            byte = os.read(p.stdout.fileno(), 1)
            self.assertTrue(byte, "the end came after %r" % text)
            text += byte
        return text.decode().rstrip("\n")

    def run_events(self, number, *kinds):
        lines = self.d.get("/v1/events").body.splitlines()
        events = [json.loads(line) for line in lines]
        return [e for e in events if e.get("process") == "run:%d" % number and (not kinds or e["event"] in kinds)]

    def setUp(self):
        super().setUp()
        self.d = self.daemon("", native=True)


class Streaming(RunTestCase):
    def test_output_and_status(self):
        r = self.ctl("--", "sh", "-c", "echo 'a  b'; echo wrong >&2; exit 3")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (3, b"a  b\n", b"wrong\n"))

    def test_a_signal(self):
        self.assertEqual(self.ctl("sh", "-c", "kill -9 $$").returncode, 128 + 9)

    def test_words_arrive_as_they_are(self):
        words = ["", "a b", "'", '"', "\\", "$HOME", "a\nb", "%(here)s", "; #", "ä€😀", "--json"]
        r = self.ctl("--", "printf", "%s\\0", *words)
        self.assertEqual(r.stdout.decode().split("\0")[:-1], words)

    def test_binary_output(self):
        everything = bytes(range(256)) * 5000
        path = self.write("bytes", everything)
        self.assertEqual(self.ctl("cat", path).stdout, everything)

    def test_it_is_printed_as_it_comes(self):
        os.mkfifo(self.path("go"))
        p = self.start("sh", "-c", "echo first; cat go; echo second", cwd=self.directory)
        self.assertEqual(self.line(p), "first")
        with open(self.path("go"), "w") as f:
            f.write("between\n")
        self.assertEqual([self.line(p), self.line(p)], ["between", "second"])
        self.assertEqual(p.wait(20), 0)

    def test_shell(self):
        r = self.ctl("--shell", "echo $0", "$((1+1))", "| tr a-z A-Z")
        self.assertEqual(r.stdout, b"/BIN/SH 2\n")

    def test_in_the_shell_of_droverctl(self):
        r = subprocess.run([drover.DROVERCTL, "-c", self.d.file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           input=b"run sh -c 'echo \"a  b\"'\nrun 'open\n", timeout=50)
        self.assertIn(b"a  b\n", r.stdout)
        self.assertIn(b"No closing quotation", r.stdout)

    def test_whoever_holds_its_output_is_waited_for(self):
        r = self.ctl("sh", "-c", "(sleep 0.2; echo late) & exit 4")
        self.assertEqual((r.returncode, r.stdout), (4, b"late\n"))

    def test_directory_and_variables(self):
        os.mkdir(self.path("sub"))
        r = self.ctl("--cwd", "sub", "--env", "A=1 2", "--env", "PASSED", "--env=NOWHERE", "sh", "-c",
                     'pwd; echo "$A $PASSED ${NOWHERE-none}"', cwd=self.directory,
                     env=dict(os.environ, PASSED="on"))
        self.assertEqual(r.stdout.decode().splitlines(), [self.path("sub"), "1 2 on none"])

    def test_another_key_of_programs(self):
        r = self.ctl("--set", "nice=7", "--set", "limit_nofile=77:88", "--set", "umask=027", "--argv0", "me",
                     "sh", "-c", "nice; ulimit -Sn; ulimit -Hn; umask; tr '\\0' '\\n' </proc/$$/cmdline | head -1")
        self.assertEqual(r.stdout.decode().split(), ["7", "77", "88", "0027", "me"])

    def test_no_option_is_passed_over(self):
        for words in (["--nonsense", "true"], ["--timeout"], [], ["--set", "nice", "true"], ["--max-buffer=x", "true"]):
            r = self.ctl(*words)
            self.assertEqual(r.returncode, 125, (words, r))
        for key in ("autostart=true", "stdout_logfile=/x", "nonsense=1"):
            r = self.ctl("--set", key, "true")
            self.assertEqual((r.returncode, key.split("=")[0] in r.stderr.decode()), (125, True), r)


class Captured(RunTestCase):
    def test_result(self):
        status, r = self.captured("sh", "-c", "echo out; echo err >&2; exit 5")
        self.assertEqual(status, 5)
        self.assertGreater(r.pop("pid"), 0)
        self.assertEqual(r, {"status": 5, "signal": None, "stdout": "out\n", "stderr": "err\n", "error": None})

    def test_signal(self):
        status, r = self.captured("sh", "-c", "kill -SEGV $$")
        self.assertEqual((status, r["status"], r["signal"], r["error"]), (128 + 11, None, "SIGSEGV", None))

    def test_what_is_not_utf8(self):
        _, r = self.captured("printf", r"\377")
        self.assertEqual((r.get("stdout"), r["stdout_base64"]), (None, "/w=="))

    def test_output_up_to_the_limit(self):
        for size, words in ((1 << 20, []), (100, ["--max-buffer", "100"])):
            status, r = self.captured(*words, "head", "-c", str(size), "/dev/zero")
            self.assertEqual((status, r["status"], r["error"], len(r["stdout"])), (0, 0, None, size))
            status, r = self.captured(*words, "sh", "-c", "head -c %d /dev/zero; sleep 100" % (size + 1))
            self.assertEqual((status, r["status"], r["signal"], r["error"]["code"], len(r["stdout"])),
                             (125, None, "SIGTERM", "ENOBUFS", size))

    def test_each_output_is_counted_by_itself(self):
        _, r = self.captured("--max-buffer=10", "sh", "-c", "printf 0123456789; printf 0123456789 >&2")
        self.assertEqual((r["status"], r["error"], r["stdout"], r["stderr"]), (0, None, "0123456789", "0123456789"))

    def test_timeout(self):
        r = self.in_time(lambda r: r["stdout"] == "begun\n", "sh", "-c", "echo begun; exec sleep 100")
        self.assertEqual((r["status"], r["signal"]), (None, "SIGTERM"))

    def test_kill_signal(self):
        status, r = self.captured("--timeout=100ms", "--kill-signal=INT", "sleep", "100")
        self.assertEqual((status, r["signal"], r["error"]["code"]), (124, "SIGINT", "ETIMEDOUT"))

    def test_it_may_end_in_its_own_way_after_its_timeout(self):
        r = self.in_time(lambda r: r["stdout"].startswith("ready\n"), "sh", "-c",
                         "trap 'echo bye; exit 7' TERM; echo ready; sleep 100 & wait")
        self.assertEqual((r["status"], r["stdout"]), (7, "ready\nbye\n"))

    def test_the_ladder_follows(self):
        r = self.in_time(lambda r: r["stdout"] == "ready\n", "--set=stopwaitsecs=100ms", "sh", "-c",
                         "trap '' TERM; echo ready; while :; do sleep 1; done")
        self.assertEqual(r["signal"], "SIGKILL")

    def test_the_timeout_is_for_what_it_leaves_behind_too(self):
        r = self.in_time(lambda r: r["status"] == 0, "sh", "-c", "sleep 100 & echo $!; exit 0")
        for pid in procs.descendants(self.d.pid):
            if procs.command_line(pid) == "sleep 100":
                os.kill(pid, signal.SIGKILL)
                procs.wait_gone(pid)
        self.assertFalse(procs.alive(int(r["stdout"])))


class Failures(RunTestCase):
    def check(self, words, status, code, stage, path, text):
        got, r = self.captured(*words)
        self.assertEqual((got, r["pid"], r["status"], r["signal"], r["stdout"]), (status, 0, None, None, None), r)
        self.assertEqual((r["error"]["code"], r["error"].get("stage"), r["error"].get("path")), (code, stage, path))
        self.assertIn(text, r["error"]["message"])
        plain = self.ctl(*words)
        self.assertEqual((plain.returncode, plain.stdout), (status, b""))
        self.assertIn(text, plain.stderr.decode())

    def test_each(self):
        plain = self.write("plain", "echo\n")
        broken = self.write("broken", "#!/usr/bin/nod\n", 0o755)
        dos = self.write("dos", "#!/bin/sh\r\n", 0o755)
        self.check(["nosuch-command"], 127, "ENOENT", "lookup", "nosuch-command", "nosuch-command")
        self.check(["/no/such"], 127, "ENOENT", "lookup", "/no/such", "/no/such")
        self.check([plain], 126, "EACCES", "lookup", plain, "no execute permission")
        self.check(["/etc"], 126, "EACCES", "lookup", "/etc", "/etc")
        self.check([broken], 127, "ENOENT", "exec", broken, 'interpreter "/usr/bin/nod" not found')
        self.check([dos], 127, "ENOENT", "exec", dos, "DOS line ends")
        text = self.write("text", "echo\n", 0o755)
        self.check([text], 126, "ENOEXEC", "exec", text, "a script needs a #! line")
        forbidden = self.write("forbidden", "#!%s\n" % plain, 0o755)
        self.check([forbidden], 126, "EACCES", "exec", forbidden, 'interpreter "%s" may not be executed' % plain)
        busy = self.write("busy", procs.read("/bin/true"), 0o755)
        with open(busy, "r+b"):
            self.check([busy], 126, "ETXTBSY", "exec", busy, "ETXTBSY")
        os.symlink("loop", self.path("loop"))
        self.check([self.path("loop")], 127, "ENOENT", "lookup", self.path("loop"), "No such file")
        self.check(["--cwd", "/no/dir", "true"], 125, "ENOENT", "chdir", "/no/dir", "chdir /no/dir")
        self.check(["--uid", "no-such-user", "id"], 125, "EINVAL", None, None, 'no user "no-such-user"')
        self.check(["--stdio", "</no/file, pipe, pipe", "true"], 125, "ENOENT", "stdio", "/no/file", "/no/file")
        self.check(["--stdio", "pipe,pipe,pipe,ipc", "true"], 125, "EINVAL", None, None, "a channel is for programs")
        self.assertEqual(self.ctl("--set", "bogus=1", "true").stderr.count(b"run: "), 1)
        self.check(["--stdio", "pipe,pipe,pipe,99", "true"], 125, "EINVAL", None, None, "99")

    def test_no_daemon(self):
        self.d.kill()
        self.d.wait_exit()
        r = self.ctl("true")
        self.assertEqual((r.returncode, r.stdout), (125, b""))
        self.assertIn(b"no such file", r.stderr)
        status, r = self.captured("true")
        self.assertEqual((status, r["pid"], r["error"]["code"]), (125, 0, "ENOENT"))

    def test_a_wrong_body(self):
        for body in ([], {}, {"command": []}, {"command": [1]}, {"command": ["true"], "max_buffer": -1},
                     {"command": ["true"], "environment": {"A=B": "c"}}, {"command": ["true"], "input": 1},
                     {"command": ["true"], "timeout": {}}, {"command": "echo 'open"}):
            reply = self.d.post("/v1/run", body)
            if reply.status == 200:  # it is the start that fails
                self.assertIn(b'"stage":"command"', reply.body)
            else:
                self.assertEqual((reply.status, reply.error["code"]), (400, "EINVAL"), body)

    def test_too_many(self):
        streams = []
        for _ in range(24):
            s = Raw(self.d, {"command": ["sleep", "100"]})
            self.addCleanup(s.close)
            s.wait(b"spawn")
            streams.append(s)
        reply = self.d.post("/v1/run", {"command": ["true"]})
        self.assertEqual((reply.status, reply.error["code"]), (503, "EBUSY"))
        self.assertEqual(self.ctl("--detached", "true").returncode, 0)
        streams.pop().close()
        self.d.wait_event("close", "run:24")
        self.assertEqual(self.ctl("true").returncode, 0)


class Input(RunTestCase):
    def test_none(self):
        self.assertEqual(self.ctl("cat", input=b"not for it").stdout, b"")

    def test_a_file(self):
        text = b"".join(b"%d\n" % i for i in range(100000))
        path = self.write("text", text)
        self.assertEqual(self.ctl("--input", path, "cat").stdout, text)
        self.assertEqual(self.ctl("--input", "/no/such", "cat").returncode, 125)

    def test_a_pipe(self):
        text = os.urandom(3 << 20)
        self.assertEqual(self.ctl("--input", "-", "cat", input=text).stdout, text)

    def test_it_need_not_be_read(self):
        r = self.ctl("--input", "-", "sh", "-c", "exec <&-; echo no; exit 2", input=b"x" * (1 << 20))
        self.assertEqual((r.returncode, r.stdout), (2, b"no\n"))

    def test_lines_and_the_end_of_a_pipe(self):
        p = self.start("--input", "-", "sh", "-c", "while read x; do echo got $x; done; echo end",
                       stdin=subprocess.PIPE)
        for word in ("one", "two"):
            p.stdin.write(word.encode() + b"\n")
            p.stdin.flush()
            self.assertEqual(self.line(p), "got " + word)
        p.stdin.close()
        self.assertEqual(self.line(p), "end")
        self.assertEqual(p.wait(20), 0)

    def test_a_terminal(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        p = self.start("--input", "-", "sh", "-c", "while read x; do echo got $x; done; echo end", stdin=theirs)
        os.close(theirs)
        os.write(ours, b"half")
        os.write(ours, b" line\n")
        self.assertEqual(self.line(p), "got half line")
        os.write(ours, b"\x04")
        self.assertEqual(self.line(p), "end")
        self.assertEqual(p.wait(20), 0)

    def test_in_the_request(self):
        s = Raw(self.d, {"command": ["cat"], "input": "text\n"})
        self.addCleanup(s.close)
        self.assertIn(b"1 5\ntext\n", s.rest())

    def test_a_job_that_does_not_read_makes_the_sender_wait(self):
        s = Raw(self.d, {"command": ["sleep", "100"], "input": True})
        self.addCleanup(s.close)
        s.wait(b"spawn")
        c = client.Client(self.d.socket)
        self.addCleanup(c.close)
        for _ in range(2):  # 64 KiB is what a pipe holds
            self.assertEqual(c.post("/v1/run/1/stdin", "x" * 32768).status, 200)
        others = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for other in others:
            self.addCleanup(other.close)
            other.connect(self.d.socket)
            other.sendall(b"POST /v1/run/1/stdin HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        (second,), _, _ = select.select(others, [], [], 20)
        self.assertIn(b"EBUSY", second.recv(4096))  # one piece at a time
        others.remove(second)
        self.assertEqual(c.post("/v1/run/1/stdin", "x", fd=5).status, 400)
        self.assertEqual(c.post("/v1/run/77/stdin", "x").status, 404)
        self.assertEqual(c.post("/v1/run/1/signal", {"signal": "KILL"}).status, 200)
        self.assertIn(b"EPIPE", others[0].recv(4096))


class Raw:
    """A request for a transient whose answer is read when the test wants to."""

    def __init__(self, d, body):
        text = json.dumps(body).encode()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(d.socket)
        self.socket.sendall(b"POST /v1/run HTTP/1.0\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        self.data = b""

    def wait(self, text):
        while text not in self.data:
            piece = self.socket.recv(65536)
            assert piece, self.data
            self.data += piece

    def rest(self):
        pieces = [self.data]
        while pieces[-1] or len(pieces) == 1:
            pieces.append(self.socket.recv(1 << 20))
        self.data = b"".join(pieces)
        return self.data

    def close(self):
        self.socket.close()


class Signals(RunTestCase):
    def test_each_reaches_the_job(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
            name = number.name[3:]
            p = self.start("sh", "-c", "trap 'echo got %s; exit 9' %s; echo ready; while :; do sleep 0.01; done" % (name, name))
            self.assertEqual(self.line(p), "ready")
            p.send_signal(number)
            self.assertEqual(self.line(p), "got " + name)
            self.assertEqual(p.wait(20), 9)

    def test_a_job_that_dies_of_it(self):
        p = self.start("sh", "-c", "echo ready; exec sleep 100")
        self.line(p)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(20), 130)

    def test_the_whole_group_gets_it(self):
        p = self.start("sh", "-c", "sleep 100 & echo $!; wait; exit 0")
        sleeper = int(self.line(p))
        p.send_signal(signal.SIGTERM)
        p.wait(20)
        procs.wait_gone(sleeper)

    def test_also_while_nobody_reads_our_output(self):
        p = self.start("sh", "-c", "trap 'kill $!; exit 3' INT; yes & wait")
        self.line(p)
        p.send_signal(signal.SIGINT)
        self.d.wait_event("exit", "run:1", status=3)
        p.stdout.read()
        self.assertEqual(p.wait(20), 3)


class Leaving(RunTestCase):
    def test_a_client_that_vanishes(self):
        p = self.start("sh", "-c", "trap 'echo told >%s; exit 0' TERM; echo $$; sleep 100 & wait" % self.path("told"))
        pid = int(self.line(p))
        p.kill()
        self.d.wait_event("close", "run:1")
        procs.wait_gone(pid)
        self.assertEqual(procs.read(self.path("told")), b"told\n")
        self.assertEqual([e["event"] for e in self.run_events(1)], ["spawn", "exit", "close"])

    @drover.slow(120)
    def test_its_kill_signal_then_the_ladder(self):
        for number, wait in (1, "100ms"), (2, "2s"), (3, "15s"):  # until the job keeps up with it
            told = self.path("told-%d" % number)
            p = self.start("--kill-signal=INT", "--set=stopwaitsecs=" + wait, "sh", "-c",
                           "trap 'echo int >>%s' INT; trap 'echo term >>%s' TERM; echo $$; while :; do sleep 0.02; done" %
                           (told, told))
            pid = int(self.line(p))
            p.kill()
            self.d.wait_event("exit", "run:%d" % number, signal="SIGKILL", timeout=50)
            procs.wait_gone(pid)
            if procs.read(told).split() == [b"int", b"term"]:
                return
        self.fail("not told what was wanted: %r" % procs.read(told))

    def test_what_it_has_left_in_its_group_goes_too(self):
        p = self.start("sh", "-c", "(trap '' TERM; echo $(exec sh -c 'echo $PPID'); while :; do sleep 1; done) & wait")
        stubborn = int(self.line(p))
        p.kill()
        self.d.wait_event("close", "run:1")
        procs.wait_gone(stubborn)

    def test_a_client_that_takes_nothing_makes_the_job_wait(self):
        def memory():
            return int(procs.status(self.d.supervisor)["VmRSS"].split()[0])
        self.ctl("true")  # whatever is needed once
        before = memory()
        s = Raw(self.d, {"command": ["head", "-c", "30000000", "/dev/zero"]})
        self.addCleanup(s.close)
        s.wait(b"spawn")
        pid = int(re.search(rb'"pid":(\d+)', s.data).group(1))

        def stuck():
            return procs.read("/proc/%d/wchan" % pid).decode() in ("pipe_write", "anon_pipe_write") or \
                procs.read("/proc/%d/syscall" % pid).startswith(b"1 0x1 ")
        procs.wait_until(stuck, "head to wait in a write")
        self.assertLess(memory() - before, 2000, "kB of growth")
        self.assertEqual(self.d.get("/v1/daemon").status, 200)
        self.assertEqual(s.rest().count(b"\0"), 30000000)

    def test_the_daemon_ends(self):
        p = self.start("sh", "-c", "trap 'echo bye; exit 0' TERM; echo $$; sleep 100 & wait")
        pid = int(self.line(p))
        self.d.kill()
        self.assertEqual(self.d.wait_exit(), 0)
        self.assertEqual(p.wait(20), 125)
        procs.wait_gone(pid)
        self.assertEqual(p.stdout.read(), b"bye\n")
        self.assertIn(b"shutting down", p.stderr.read())

    def test_the_daemon_begins_anew(self):
        """A reload stops and starts the programs; what somebody runs is none of them."""
        p = self.start("sh", "-c", "trap 'echo on; exit 0' USR1; echo ready; while :; do sleep 0.01; done")
        self.line(p)
        self.assertIsNotNone(self.d.events)  # followed from before: the socket comes and goes
        self.assertEqual(self.d.post("/v1/daemon/reload").status, 200)
        self.d.wait_event("daemon", what="stopping")
        procs.wait_until(lambda: self.ctl("true").returncode == 0, "the daemon to be there again")
        p.send_signal(signal.SIGUSR1)
        self.assertEqual(self.line(p), "on")
        self.assertEqual(p.wait(20), 0)

    def test_no_client_holds_up_the_end_of_the_daemon(self):
        s = Raw(self.d, {"command": ["yes"]})
        self.addCleanup(s.close)
        s.wait(b"spawn")
        self.d.kill()
        self.assertEqual(self.d.wait_exit(), 0)

    def test_a_supervisor_that_is_killed(self):
        p = self.start("sh", "-c", "echo $$; exec sleep 100")
        pid = int(self.line(p))
        detached = int(self.ctl("--detached", "sleep", "100").stdout)
        self.d.crash()
        self.assertTrue(procs.alive(pid))
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(p.wait(20), 128 + signal.SIGTERM)
        self.assertEqual(self.ctl("echo", "again").stdout, b"again\n")
        self.assertTrue(procs.alive(detached))
        os.kill(detached, signal.SIGKILL)
        procs.wait_gone(detached)

    def test_nothing_is_left_open(self):
        self.ctl("true")
        self.d.wait_event("close", "run:1")
        before = self.d.held()
        for words in (["echo"], ["nosuch"], ["--timeout=50ms", "sleep", "9"], ["--stdio=pipe,pipe,pipe,pipe", "true"]):
            self.ctl(*words)
        p = self.start("sleep", "100")
        self.d.wait_event("spawn", "run:6")
        p.kill()
        self.d.wait_event("close", "run:6")
        procs.wait_until(lambda: len(self.d.held()) <= len(before), "the daemon to close all")


class Detached(RunTestCase):
    def test_it_stays(self):
        r = self.ctl("--detached", "--stdio", "ignore,>>%s,ignore" % self.path("out"), "sh", "-c",
                     "echo begun; exec sleep 100")
        pid = int(r.stdout)
        self.assertEqual((r.returncode, os.getsid(pid), os.getpgid(pid)), (0, pid, pid))
        self.d.kill()
        self.assertEqual(self.d.wait_exit(), 0)
        self.assertTrue(procs.alive(pid))
        procs.wait_until(lambda: procs.read(self.path("out")) == b"begun\n", "it to write where it wants")
        self.assertEqual(os.readlink("/proc/%d/fd/0" % pid), "/dev/null")
        os.kill(pid, signal.SIGKILL)
        procs.wait_gone(pid)

    def test_its_end_is_an_event(self):
        pid = int(self.ctl("--detached", "sh", "-c", "exit 3").stdout)
        self.d.wait_event("exit", "run:1", pid=pid, status=3)
        self.d.wait_event("close", "run:1")
        self.assertEqual([e["event"] for e in self.run_events(1)], ["spawn", "exit", "close"])

    def test_one_that_cannot_start(self):
        self.assertEqual(self.ctl("--detached", "nosuch").returncode, 127)
        self.assertEqual(self.ctl("--detached", "--stdio=pipe", "true").returncode, 125)


class Rules(RunTestCase):
    def test_who_asked_is_in_the_log(self):
        p = self.start("true")
        self.assertEqual(p.wait(20), 0)
        self.assertRegex(self.d.log(), r"run:1: 'true' with pid \d+ for uid %d pid %d" % (os.getuid(), p.pid))
        self.assertRegex(self.d.log(), r"POST /v1/run by uid %d pid %d" % (os.getuid(), p.pid))

    def test_events_of_one_that_fails(self):
        self.ctl("nosuch")
        self.ctl("--cwd=/no/dir", "true")
        self.d.wait_event("close", "run:2")
        self.assertEqual([(e["event"], e.get("stage"), e.get("code"), e["pid"] > 0) for e in self.run_events(1)],
                         [("error", "lookup", "ENOENT", False)])
        self.assertEqual([(e["event"], e.get("stage"), e.get("code"), e["pid"] > 0) for e in self.run_events(2)],
                         [("error", "chdir", "ENOENT", True), ("close", None, None, True)])

    def test_descriptors(self):
        r = subprocess.run(["sh", "-c", '"$@" 5>%s' % self.path("five"), "sh"] +
                           self.command("--stdio", "pipe,pipe,pipe,null,ignore,pipe", "sh", "-c",
                                        "ls /proc/self/fd | tr '\\n' ' '; echo to five >&5"),
                           stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.assertEqual(r.stdout.decode().split(), ["0", "1", "2", "3", "5"])  # 3 is that of ls
        self.assertEqual(procs.read(self.path("five")), b"to five\n")
        _, r = self.captured("--stdio", "pipe,pipe,pipe,pipe", "sh", "-c", "echo three >&3")
        self.assertEqual(r["output"], {"3": "three\n"})

    def test_a_pipe_both_ways(self):
        s = Raw(self.d, {"command": ["sh", "-c", "cat <&3 >&3"], "stdio": ["pipe", "pipe", "pipe", "pipe"]})
        self.addCleanup(s.close)
        s.wait(b"spawn")
        self.assertEqual(self.d.post("/v1/run/1/stdin", "there and back", fd=3, eof=1).status, 200)
        self.assertIn(b"3 14\nthere and back", s.rest())

    def test_its_environment(self):
        r = self.ctl("--set", "inherit_environment=false", "--env", "ONLY=this", "/usr/bin/env")
        self.assertEqual(r.stdout, b"ONLY=this\n")

    def test_not_over_tcp(self):
        port = self.free_port()
        d = self.daemon("[inet_http_server]\nport=127.0.0.1:%d\nusername=a\npassword=b\n" % port, native=True,
                        directory=self.subdirectory())
        c = client.Client(("127.0.0.1", port), client.basic("a", "b"))
        self.addCleanup(c.close)
        reply = c.post("/v1/run", {"command": ["true"]})
        self.assertEqual((d.get("/v1/daemon").status, reply.status, reply.error["code"]), (200, 403, "EPERM"))

    def subdirectory(self):
        path = self.path("other")
        os.mkdir(path)
        return path


@drover.unittest.skipUnless(os.geteuid() == 0, "needs root, to be somebody else")
class OtherUsers(RunTestCase):
    def as_nobody(self, *words):
        return self.ctl(*words, user=65534, group=65534, extra_groups=[], cwd="/")

    def begin(self, daemon):
        os.mkdir(self.path("other"))
        os.chmod(self.path("other"), 0o755)
        self.d = self.daemon("", native=True, server="chmod=0777", daemon=daemon, directory=self.path("other"))

    def test_who_may_not_control(self):
        self.begin("")
        r = self.as_nobody("id")
        self.assertEqual((r.returncode, r.stdout), (125, b""))
        self.assertIn(b"control_group", r.stderr)

    def test_who_may_runs_as_themselves(self):
        self.begin("control_group=nogroup")
        r = self.as_nobody("sh", "-c", "id -u; id -g; id -G; env | cut -d= -f1 | sort | tr '\\n' ' '")
        lines = r.stdout.decode().splitlines()
        self.assertEqual((r.returncode, lines[:3]), (0, ["65534"] * 3), r)
        self.assertLessEqual(set(lines[3].split()), {"PATH", "LANG", "TZ", "PWD", "SHLVL", "_", "OLDPWD"})

    def test_and_asks_for_no_more(self):
        self.begin("control_group=nogroup")
        for words in (["--uid=root"], ["--gid=0"], ["--set=nice=-5"], ["--set=capabilities=sys_admin"],
                      ["--set=environment_file=/etc/shadow"], ["--stdio=inherit"], ["--stdio=pipe,1,pipe"]):
            r = self.as_nobody(*words, "id")
            self.assertEqual((r.returncode, r.stdout), (125, b""), (words, r))

    def test_root_may_be_anybody(self):
        r = self.ctl("--uid=nobody", "sh", "-c", "id -u; id -g; grep -E '^(Uid|Gid|Groups)' /proc/$$/status")
        self.assertEqual(r.stdout.decode().split(),
                         ["65534", "65534"] + ["Uid:"] + ["65534"] * 4 + ["Gid:"] + ["65534"] * 4 +
                         ["Groups:", "65534"])
        self.assertEqual(self.ctl("--uid=4711", "--gid=4712", "id", "-G").stdout, b"4712\n")
        self.assertEqual(self.ctl("--uid=4711", "id").returncode, 125)  # nobody knows its group

    def test_a_transient_is_its_owners(self):
        self.begin("control_group=nogroup")
        s = Raw(self.d, {"command": ["sleep", "100"]})
        self.addCleanup(s.close)
        s.wait(b"spawn")
        r = self.ctl("--input=-", "sh", "-c", "true", user=65534, group=65534, extra_groups=[], cwd="/")
        self.assertEqual(r.returncode, 0)
        code = subprocess.run(["/usr/bin/python3", "-c", """
import http.client, socket, sys
c = http.client.HTTPConnection("x")
c.sock = socket.socket(socket.AF_UNIX)
c.sock.connect(sys.argv[1])
c.request("POST", "/v1/run/1/signal", '{"signal":"KILL"}')
sys.exit(c.getresponse().status // 2)
""", self.d.socket], user=65534, group=65534, extra_groups=[], cwd="/").returncode
        self.assertEqual(code, 404 // 2)


if __name__ == "__main__":
    drover.unittest.main()
