"""Programs that outlive the daemon: leaders of a session of their own, found again by the next one."""
import os
import signal
import unittest

import drover
import procs

JOB = """
    [program:job]
    command=sh -c 'while echo line; do sleep 0.05; done'
    detached=true
    startsecs=0
    stopasgroup=true
    {more}
    [program:other]
    command=sleep 600
    startsecs=0
"""


class Detached(drover.TestCase):
    def begin(self, more="stdout_logfile=%(here)s/out", **options):
        d = self.daemon(JOB.format(more=more), native=True, **options)
        d.wait_all("RUNNING")
        return d, d.info("job")

    def end(self, d, sig=signal.SIGTERM):
        return d.end_all(sig)

    def again(self, d, config=None):
        if config is not None:
            d.configure(config)
        d.launch()

    def finish(self, d):
        """The last daemon takes it along."""
        d.stop("job")

    def test_it_leads_a_session(self):
        d, info = self.begin()
        state, parent, group, session = procs.stat(info["pid"])
        self.assertEqual((group, session), (info["pid"], info["pid"]))
        fds = procs.standing_descriptors(info["pid"])
        self.assertEqual((fds[0], fds[1]), ("/dev/null", self.path("out")))
        self.assertIn("---supervisor-", fds[2])  # AUTO
        self.assertTrue(info["detached"])
        self.assertFalse(d.info("other")["detached"])
        with open("/proc/%d/fdinfo/1" % info["pid"]) as f:
            flags = int(f.read().split("flags:")[1].split()[0], 8)
        self.assertTrue(flags & os.O_APPEND)
        self.assertFalse(flags & os.O_NONBLOCK)
        d.wait_output("job", "line\n" * 8)  # which it goes on with while it is followed
        self.finish(d)

    def test_stopped_and_started(self):
        d, before = self.begin(more="")
        other = d.pid_of("other")
        for _ in range(3):
            self.assertEqual(self.end(d), 0)
            self.assertTrue(procs.alive(before["pid"]))
            self.assertFalse(procs.alive(other))
            self.again(d)
            after = d.wait_state("job", "RUNNING")
            for key in "pid", "start", "restarts", "stdout_logfile":
                self.assertEqual(after[key], before[key], key)
            other = d.wait_state("other", "RUNNING")["pid"]
        size = os.path.getsize(before["stdout_logfile"])  # the AUTO log is still its own
        procs.wait_until(lambda: os.path.getsize(before["stdout_logfile"]) > size, "more of its output")
        self.finish(d)
        self.assertFalse(procs.alive(before["pid"]))
        d.start("job")
        d.wait_state("job", "RUNNING")
        self.finish(d)

    def test_killed_and_started(self):
        d, before = self.begin()
        self.end(d, signal.SIGKILL)
        self.again(d)
        self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
        self.finish(d)

    def test_its_end_is_noticed_later(self):
        d, before = self.begin()
        self.end(d)
        self.again(d)
        d.wait_state("job", "RUNNING")
        os.kill(before["pid"], signal.SIGKILL)
        d.wait_event("exit", "job")  # nobody reaps it in time: unknown, so unexpected
        after = d.wait_state("job", "RUNNING")
        self.assertNotEqual(after["pid"], before["pid"])
        self.finish(d)

    def test_its_status_where_the_kernel_tells(self):
        d, before = self.begin("autorestart=false")
        told = tuple(int(n) for n in os.uname().release.split(".")[:2]) >= (6, 15)
        self.end(d)
        self.again(d)
        d.wait_state("job", "RUNNING")
        os.kill(before["pid"], signal.SIGKILL)
        os.waitpid(before["pid"], 0)  # as PID 1 would
        self.assertEqual(d.wait_event("exit", "job").get("signal"), "SIGKILL" if told else None)
        d.wait_state("job", "EXITED")

    def test_died_in_between(self):
        d, before = self.begin()
        self.end(d)
        os.killpg(before["pid"], signal.SIGKILL)
        os.waitpid(before["pid"], 0)
        self.again(d)
        after = d.wait_state("job", "RUNNING")
        self.assertNotEqual(after["pid"], before["pid"])
        self.assertIn("job: pid %d has ended while no daemon ran" % before["pid"], d.log())
        self.finish(d)

    def test_another_definition(self):
        d, before = self.begin()
        self.end(d)
        self.again(d, JOB.format(more="stdout_logfile=%(here)s/elsewhere"))
        self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
        self.assertIn("job: pid %d runs by an earlier definition" % before["pid"], d.log())
        d.deed("restart", "job")
        self.assertTrue(os.path.exists(self.path("elsewhere")))
        self.finish(d)

    def test_no_longer_configured(self):
        d, before = self.begin()
        other = "[program:other]\ncommand=sleep 600\nstartsecs=0\n"
        self.end(d)
        self.again(d, other)
        self.assertIn("job:job is no longer configured; its process %d runs on and is left alone" % before["pid"],
                      d.log())
        self.end(d)
        self.assertTrue(procs.alive(before["pid"]))
        self.again(d, JOB.format(more="stdout_logfile=%(here)s/out"))
        self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
        self.finish(d)

    def test_the_supervisor_dies(self):
        d, before = self.begin()
        pids = d.pids()
        d.crash()
        self.assertEqual(d.pids(), pids)
        self.assertEqual(self.end(d), 0)
        self.assertTrue(procs.alive(before["pid"]))
        self.again(d)
        self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
        self.finish(d)

    def test_no_longer_detached(self):
        d, before = self.begin()
        self.end(d)
        self.again(d, JOB.format(more="stdout_logfile=%(here)s/out").replace("detached=true", "detached=false"))
        self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
        self.assertEqual(self.end(d), 0)
        procs.wait_gone(before["pid"])

    def test_being_stopped_it_is_waited_for(self):
        d = self.daemon("""
            [program:job]
            command=sh -c 'trap "sleep 0.3; exit 0" TERM; echo up; while :; do sleep 0.05; done'
            detached=true
            stdout_logfile=%(here)s/out
        """, native=True)
        pid = d.wait_state("job", "RUNNING")["pid"]
        procs.wait_until(lambda: procs.read(self.path("out")), "its trap")
        d.post(d.process_path("job", "/stop"), wait=0)
        self.assertEqual(self.end(d), 0)
        self.assertFalse(procs.alive(pid))

    def test_redirect_stderr_and_no_log(self):
        d = self.daemon("""
            [program:one]
            command=sh -c 'echo out; echo err >&2; sleep 600'
            detached=true
            redirect_stderr=true
            stdout_logfile=%(here)s/one
            stopasgroup=true
            [program:none]
            command=sleep 600
            detached=true
            stdout_logfile=NONE
            stderr_logfile=NONE
        """, native=True)
        d.wait_all("RUNNING")
        procs.wait_until(lambda: procs.read(self.path("one")) == b"out\nerr\n", "both streams in one file")
        fds = procs.standing_descriptors(d.pid_of("none"))
        self.assertEqual((fds[1], fds[2]), ("/dev/null", "/dev/null"))
        d.act("stop", "*")

    def test_what_it_is_warned_of(self):
        d = self.daemon("""
            [program:rotated]
            command=sleep 600
            detached=true
            stdout_logfile_maxbytes=1MB
            [program:tied]
            command=sleep 600
            detached=true
            stdio=ignore, pipe, log
            ipc=true
        """, native=True)
        text = d.stderr()
        self.assertRegex(text, r":\d+: \[program:rotated\] stdout_logfile_maxbytes: does nothing")
        self.assertRegex(text, r":\d+: \[program:tied\] stdio: has a pipe")
        self.assertRegex(text, r":\d+: \[program:tied\] ipc: makes a channel")
        d.wait_all("RUNNING")
        d.act("stop", "*")

    def test_a_log_that_cannot_be_opened(self):
        os.mkdir(self.path("logs"))
        d = self.daemon("""
            [program:job]
            command=sleep 600
            detached=true
            stdout_logfile=%(here)s/logs/out
            autostart=false
            startretries=0
        """, native=True)
        os.rmdir(self.path("logs"))
        d.refusal("start", "job")
        self.assertEqual(d.info("job")["spawnerr"]["path"], self.path("logs/out"))

    def test_restart_of_everything(self):
        d, before = self.begin()
        mark = d.mark()
        d.post("/v1/daemon/reload")
        d.wait_event("state", "job", to="RUNNING", after=mark)
        self.assertEqual(d.pid_of("job"), before["pid"])
        self.finish(d)


if __name__ == "__main__":
    unittest.main()
