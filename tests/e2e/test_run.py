"""droverctl run and POST /v1/run: transient processes under the daemon."""
import os
import signal
import subprocess
import unittest

import client
import drover
import procs
from runs import Raw, RunTestCase


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


@unittest.skipUnless(os.geteuid() == 0, "needs root, to be somebody else")
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
    unittest.main()
