"""Signals to a transient process, and what becomes of it when its client or the daemon goes."""
import os
import re
import signal
import unittest

import drover
import procs
from runs import Raw, RunTestCase


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


if __name__ == "__main__":
    unittest.main()
