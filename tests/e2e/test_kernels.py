"""Kernels that have less: what they lack is said once, and nothing else is different."""

import drover
import procs
import seccomp

WITHOUT = {"clone3": "clone3", "close_range": "close_range", "fstatfs": "pidfd inodes"}
JOBS = """
    [program:writes]
    command=sh -c 'echo one; exec sleep 1000'
    stdout_logfile=%(here)s/writes.log
    startsecs=0
    [program:ends]
    command=sh -c 'exit 3'
    autorestart=false
    startsecs=0
    [program:absent]
    command=/no/such/program
    startretries=0
"""


class Kernels(drover.TestCase):
    def run_without(self, *calls):
        d = self.daemon(JOBS, native=True, preexec_fn=seccomp.refuse(*calls))
        d.wait_state("writes", "RUNNING")
        d.wait_state("ends", "EXITED")
        d.wait_state("absent", "FATAL")
        self.assertEqual(d.get("/v1/daemon").json["lacks"], [WITHOUT[call] for call in calls])
        return d

    def check(self, *calls):
        d = self.run_without(*calls)
        self.assertEqual(d.info("ends")["exit"]["status"], 3)
        self.assertEqual(d.info("absent")["spawnerr"]["code"], "ENOENT")
        pid = d.pid_of("writes")
        procs.standing_descriptors(pid)
        procs.wait_until(lambda: procs.read(self.path("writes.log")) == b"one\n", "the first run to write")
        d.crash()
        self.assertEqual(d.pid_of("writes"), pid)
        d.deed("restart", "writes")
        self.assertFalse(procs.alive(pid))
        procs.wait_until(lambda: procs.read(self.path("writes.log")) == b"one\none\n", "both runs to be in the log")
        said = [line for line in d.log().splitlines() if "this kernel, or a filter" in line]
        self.assertEqual(len(said), len(calls), said)  # and not again by the supervisor that followed

    def test_without_clone3(self):
        self.check("clone3")

    def test_without_close_range(self):
        self.check("close_range")

    def test_without_inodes_of_pidfds(self):
        self.check("fstatfs")

    def test_without_any(self):
        self.check("clone3", "close_range", "fstatfs")

    def test_here_nothing_is_said_of_what_is_there(self):
        d = self.daemon("")
        self.assertEqual(set(d.get("/v1/daemon").json["lacks"]) - set(WITHOUT.values()), set())
