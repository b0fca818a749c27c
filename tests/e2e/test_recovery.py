"""The supervisor is killed: its successor takes over every process, and nobody notices."""
import os
import random
import signal
import socket
import unittest

import drover
import procs

COUNTER = """\
import sys
n = 0
while True:
    n += 1
    sys.stdout.write("%d\\n" % n)
    sys.stdout.flush()
    if n % 50 == 0:
        sys.stderr.write("e%d\\n" % n)
    if n % 500 == 0:
        import time
        time.sleep(0.002)
"""


class Recovery(drover.TestCase):
    def wait_for(self, d, name, state):
        """For a state that may have been entered before this supervisor began to count events."""
        procs.wait_until(lambda: d.info(name)["statename"] == state, "%s to be %s" % (name, state))

    def facts(self, d):
        """What a crash must not change."""
        return {name: (p["statename"], p["pid"], p["start"], p["restarts"], p["tries"], p["stop"])
                for name, p in d.all().items()}

    def test_processes_stay_what_they_are(self):
        d = self.daemon("""
            [program:up]
            command=sleep 1000
            [program:never]
            command=sleep 1000
            autostart=false
            [program:down]
            command=sleep 1000
            [program:done]
            command=sh -c "exit 0"
            startsecs=0
            [program:hopeless]
            command=/does/not/exist
            startretries=0
            [program:waits]
            command=sh -c "exit 1"
            restart_delay=1h
            [program:many]
            command=sleep 1000
            process_name=%(program_name)s_%(process_num)d
            numprocs=5
        """, native=True)
        d.stop("down")
        d.wait_state("done", "EXITED")
        d.wait_state("hopeless", "FATAL")
        d.wait_state("waits", "BACKOFF")
        for name in ["up"] + ["many:many_%d" % i for i in range(5)]:
            d.wait_state(name, "RUNNING")
        before = self.facts(d)
        exits = {name: p["exit"] for name, p in d.all().items()}
        held = len(d.held())
        for _ in range(10):
            d.crash()
            self.assertEqual(self.facts(d), before)
        self.assertEqual({name: p["exit"] for name, p in d.all().items()}, exits)
        self.assertEqual(len(d.held()), held)
        procs.wait_until(lambda: len(procs.descendants(d.pid)) == 1 + 6, "nobody but the supervisor and six sleepers")
        d.start("down")
        d.stop("up")
        d.crash()
        self.assertEqual((d.info("up")["statename"], d.info("down")["statename"]), ("STOPPED", "RUNNING"))

    def test_exits_are_seen_with_their_status(self):
        d = self.daemon("""
            [program:a]
            command=sh -c 'trap "exit 37" USR1; echo ready; while :; do sleep 0.01; done'
            autorestart=false
            startsecs=0
            [program:b]
            command=sleep 1000
            startsecs=0
            [program:c]
            command=sh -c 'trap "exit 38" USR1; echo ready; while :; do sleep 0.01; done'
            autorestart=false
            startsecs=0
        """)
        d.wait_output("a", "ready")
        d.wait_output("c", "ready")
        a, b = d.pid_of("a"), d.pid_of("b")
        d.crash()
        os.kill(a, signal.SIGUSR1)  # afterwards
        self.assertEqual(d.wait_event("exit", "a")["status"], 37)
        os.kill(b, signal.SIGKILL)
        self.assertEqual(d.wait_event("exit", "b")["signal"], "SIGKILL")
        d.wait_state("b", "RUNNING")
        self.assertEqual(d.info("b")["restarts"], 1)
        c = d.pid_of("c")  # and while nobody is there
        before = d.supervisor
        d.close()
        procs.freeze(before)
        os.kill(c, signal.SIGUSR1)
        procs.wait_until(lambda: not procs.alive(c), "the end of c")
        os.kill(before, signal.SIGKILL)
        procs.wait_until(lambda: procs.supervisor(d.pid) not in (None, before), "the next supervisor")
        d.wait_ready()
        self.wait_for(d, "c", "EXITED")
        self.assertEqual(d.info("c")["exit"]["status"], 38)

    def test_a_stop_under_way_goes_on(self):
        d = self.daemon("""
            [program:a]
            command=sh -c 'trap "echo told" TERM; echo ready; while :; do sleep 0.01; done'
            startsecs=0
            stopwaitsecs=2
            killasgroup=true
        """)
        d.wait_output("a", "ready")
        pid = d.pid_of("a")
        d.deed("stop", "a", wait=0)
        d.wait_output("a", "told")
        d.crash()
        self.wait_for(d, "a", "STOPPED")
        procs.wait_gone(pid)
        self.assertEqual(d.output("a").count(b"told"), 1)
        self.assertEqual(d.info("a")["exit"]["signal"], "SIGKILL")

    def test_no_line_is_lost_or_doubled(self):
        script = self.write("counter.py", COUNTER)
        d = self.daemon("""
            [program:a]
            command=python3 -u %s
            stdout_logfile=%%(here)s/a.out
            stdout_logfile_maxbytes=20KB
            stdout_logfile_backups=500
            stderr_logfile=%%(here)s/a.err
            startsecs=0
            [program:b]
            command=python3 -u %s
            startsecs=0
        """ % (script, script))
        d.wait_output("a", "1\n")
        chance = random.Random(4)
        pids = d.pids()
        for _ in range(25):
            mark = os.stat(self.path("a.err")).st_size if os.path.exists(self.path("a.err")) else 0
            for _ in range(chance.randrange(3)):
                d.round_trip()
            d.close()
            procs.kill_supervisor(d.pid)
            procs.wait_until(lambda: os.stat(self.path("a.err")).st_size > mark, "more output")
        d.wait_ready()
        self.assertEqual(d.pids(), pids)
        procs.wait_until(lambda: os.path.exists(self.path("a.out.1")), "the log to be rotated")
        for name in "a", "b":
            d.stop(name)
        names = [n for n in os.listdir(self.path()) if n == "a.out" or n.startswith("a.out.")]
        names.sort(key=lambda n: -int(n.rpartition(".")[2]) if n != "a.out" else 1)
        lines = b"".join(procs.read(self.path(n)) for n in names).split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        self.assertGreater(len(names), 1)
        for i, line in enumerate(lines[:-1]):
            if line != b"%d" % (i + 1):
                self.fail("line %d is %r" % (i + 1, line))
        lines = d.output("b").split(b"\n")
        for i, line in enumerate(lines[:-2]):
            if line != b"%d" % (i + 1):
                self.fail("b: line %d is %r" % (i + 1, line))

    def test_pipes_still_work(self):
        d = self.daemon("""
            [program:a]
            command=cat
            startsecs=0
            [program:b]
            command=sh -c 'cat <&3 >&3'
            stdio=ignore, pipe, pipe, pipe
            startsecs=0
            [program:c]
            command=cat
            startsecs=0
        """, native=True)
        d.wait_all("RUNNING")
        d.post(d.process_path("a", "/stdin"), b"before\n")
        d.post(d.process_path("c", "/stdin"), b"last words\n", eof=1)
        d.wait_output("a", "before")
        d.wait_event("exit", "c")
        d.crash()
        d.post(d.process_path("a", "/stdin"), b"after\n")
        d.wait_output("a", "before\nafter\n")
        d.post(d.process_path("b", "/stdin"), b"echo\n", fd=3)
        procs.wait_until(lambda: d.get(d.process_path("b", "/log"), fd=3, offset=0).body == b"echo\n", "the echo")
        mark = d.mark()
        d.post(d.process_path("a", "/stdin"), b"", eof=1)
        self.assertEqual(d.wait_event("exit", "a", after=mark)["status"], 0)  # nobody else holds its pipe

    def test_clients_wait_and_are_served(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
        """)
        d.wait_state("a", "RUNNING")
        before = d.supervisor
        d.close()
        procs.freeze(before)
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect(d.socket)
        os.kill(before, signal.SIGKILL)
        late = socket.socket(socket.AF_UNIX)
        late.settimeout(20)
        late.connect(d.socket)  # nobody serves it yet
        late.sendall(b"GET /v1/daemon HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"200 OK", late.recv(4096))
        for s in client, late:
            s.close()

    def test_a_shutdown_under_way_goes_on(self):
        d = self.daemon("""
            [program:a]
            command=sh -c 'trap "echo told" TERM; echo ready; until test -e go; do sleep 0.01; done'
            directory=%(here)s
            startsecs=0
            stopwaitsecs=600
            stdout_logfile=%(here)s/a.log
            autorestart=true
        """)
        d.wait_output("a", "ready")
        pid = d.pid_of("a")
        d.kill()
        procs.wait_until(lambda: "told" in procs.read(self.path("a.log")).decode(), "the signal")
        before = procs.kill_supervisor(d.pid)
        procs.wait_until(lambda: d.supervisor != before, "the next supervisor")
        self.write("go", "")
        self.assertEqual(d.wait_exit(), 0)
        self.assertFalse(procs.alive(pid))

    def test_files_that_have_changed_do_not_count(self):
        d = self.daemon("""
            [include]
            files=%s/*.ini
            [program:a]
            command=sleep 1000
            startsecs=0
            [program:b]
            command=sleep 1000
            startsecs=0
        """ % self.path("more"))
        d.wait_all("RUNNING")
        before = d.pids()
        with open(d.file, "a") as f:
            f.write("[program:broken]\nnumprocs=many\n")
        d.crash()
        self.assertEqual(d.pids(), before)
        os.unlink(d.file)
        d.crash()
        d.crash()
        self.assertEqual(d.pids(), before)

    def test_groups_that_run_by_different_files(self):
        first = """
            [program:stays]
            command=sleep 1000
            startsecs=0
            [program:goes]
            command=sleep 1000
            startsecs=0
            [program:changes]
            command=sleep 1000
            startsecs=0
        """
        second = """
            [program:stays]
            command=sleep 1000
            startsecs=0
            [program:changes]
            command=sleep 1001
            startsecs=0
            [program:comes]
            command=sleep 1000
            startsecs=0
        """
        d = self.daemon(first)
        d.wait_all("RUNNING")
        before = d.pids()
        d.configure(second)
        d.post("/v1/config/reread")
        d.crash()  # read, and not applied
        self.assertEqual(d.pids(), before)
        d.update(second, groups=["comes"])
        self.wait_for(d, "comes", "RUNNING")
        d.crash()  # applied in part
        before["comes:comes"] = d.pid_of("comes")
        self.assertEqual(d.pids(), before)
        d.update(second)
        self.wait_for(d, "changes", "RUNNING")
        after = d.pids()
        self.assertEqual(sorted(after), ["changes:changes", "comes:comes", "stays:stays"])
        self.assertNotEqual(after["changes:changes"], before["changes:changes"])
        d.crash()
        self.assertEqual(d.pids(), after)
        self.assertEqual(procs.command_line(procs.begun(after["changes:changes"])), "sleep 1001")

    def test_an_update_under_way_goes_on(self):
        first = """
            [program:a]
            command=sh -c 'trap "" TERM; echo ready; until test -e %s; do sleep 0.01; done'
            directory=%%(here)s
            startsecs=0
            stopwaitsecs=600
            stdout_logfile=%%(here)s/a.log
            [program:b]
            command=sleep 1000
            startsecs=0
            autostart=false
        """
        d = self.daemon(first % "go")
        d.start("b")
        d.wait_output("a", "ready")
        d.configure(first.replace("sleep 1000", "sleep 1001") % "end" + """
            [program:c]
            command=sleep 1000
            startsecs=0
        """)
        before = d.pids()
        client = socket.socket(socket.AF_UNIX)
        client.connect(d.socket)
        client.sendall(b"POST /v1/config/update HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        procs.wait_until(lambda: d.info("b")["statename"] == "STOPPED", "b to be stopped for the update")
        d.crash()
        client.close()
        self.write("go", "")
        procs.wait_until(lambda: [p["statename"] for p in d.all().values()] == ["RUNNING"] * 3, "all three to run")
        after = d.pids()
        self.assertNotEqual(after["a:a"], before["a:a"])
        self.assertEqual(procs.command_line(procs.begun(after["b:b"])), "sleep 1001")
        d.crash()
        self.assertEqual(d.pids(), after)
        self.write("end", "")

    def test_events_are_numbered_on(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
        """)
        d.wait_state("a", "RUNNING")
        last = d.mark()
        d.crash()
        lines = d.get("/v1/events").lines
        numbered = [e for e in lines if "seq" in e]
        self.assertGreater(numbered[0]["seq"], last - 1)
        self.assertEqual([e["seq"] for e in numbered],
                         list(range(numbered[0]["seq"], numbered[0]["seq"] + len(numbered))))
        self.assertIn("recovered", [e.get("what") for e in numbered])


if __name__ == "__main__":
    unittest.main()
