"""A start right behind an end: `droverctl shutdown && droverd`, a service manager's restart after a crash."""
import fcntl
import os
import signal
import subprocess
import sys
import unittest

import drover
import procs

# Ends when somebody opens the other end of the fifo.
SLOW = """
    [program:slow]
    command=sh -c 'trap "" TERM; echo ready; read line < %(here)s/gate'
    stopwaitsecs=600
    startsecs=0
"""


class Again(drover.TestCase):
    def stderr_of(self, d, words):
        procs.wait_until(lambda: words in d.stderr(), "droverd to say %r" % words)

    def slow_end(self, **options):
        """A daemon that is ending, and another that waits for that."""
        os.mkfifo(self.path("gate"))
        first = self.daemon(SLOW, **options)
        first.wait_output("slow", "ready")
        self.assertEqual(first.post("/v1/daemon/shutdown").status, 200)
        first.close()
        second = self.daemon("", wait=False, **options)
        self.stderr_of(second, "the droverd before (pid %d) is ending; waiting for it" % first.pid)
        return first, second

    def open_gate(self):
        with open(self.path("gate"), "w"):
            pass

    def test_whoever_comes_behind_a_shutdown_waits_for_it(self):
        first, second = self.slow_end()
        self.assertIsNone(second.process.poll())
        self.assertTrue(first.running())
        self.open_gate()
        self.assertEqual(first.wait_exit(), 0)
        second.wait_ready()
        self.assertEqual(second.get("/v1/daemon").json["pid"], second.pid)
        self.assertRegex(second.log(), r"waited [0-9]+ ms for the droverd before \(pid %d\)" % first.pid)

    def test_whoever_waits_can_be_ended(self):
        first, second = self.slow_end()
        second.kill()
        second.expected_status = -signal.SIGTERM
        self.assertEqual(second.wait_exit(), -signal.SIGTERM)
        self.open_gate()
        self.assertEqual(first.wait_exit(), 0)

    def held_lock(self, pid):
        """As if somebody of that pid had it."""
        lock = open(self.path("s.lock"), "w")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("%d\n" % pid)
        lock.flush()
        return lock

    def test_what_is_left_of_a_dead_one_is_waited_for(self):
        """Reaped or not."""
        dead = subprocess.Popen([sys.executable, "-c", ""])
        self.known.add(dead.pid)
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        for _ in range(2):
            lock = self.held_lock(dead.pid)
            d = self.daemon("", wait=False)
            self.stderr_of(d, "the droverd before (pid %d) has died" % dead.pid)
            self.assertIsNone(d.process.poll())
            lock.close()
            d.wait_ready()
            d.kill()
            self.assertEqual(d.wait_exit(), 0)
            dead.wait()
            os.truncate(self.path("stderr"), 0)

    def test_signals_that_do_not_end_it_wait_as_well(self):
        """logrotate does not know that it has not yet begun."""
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        lock = self.held_lock(dead.pid)
        d = self.daemon("", wait=False)
        self.stderr_of(d, "has died")
        d.kill(signal.SIGHUP)
        d.kill(signal.SIGUSR2)
        self.assertIsNone(d.process.poll())
        lock.close()
        d.wait_ready()
        for name in "SIGHUP", "SIGUSR2":
            procs.wait_until(lambda: "received %s" % name in d.log(), name + " to be heeded")

    def test_one_that_runs_is_not_waited_for(self):
        self.held_lock(os.getpid())
        d = self.daemon("", wait=False)
        d.expected_status = 2
        self.assertEqual(d.wait_exit(), 2)
        self.assertNotIn("waiting", d.stderr())
        self.assertIn("another droverd (pid %d) runs" % os.getpid(), d.stderr())

    def test_behind_a_killed_guardian(self):
        """Whose supervisor dies of that, in its own time."""
        d = self.daemon("[program:a]\ncommand=sleep 1000\nstartsecs=0\nnumprocs=20\nprocess_name=%(process_num)d\n",
                        native=True)
        d.wait_all("RUNNING")
        pids = d.pids()
        for _ in range(10):
            d.close()
            d.kill(signal.SIGKILL)
            self.assertEqual(d.wait_exit(), -signal.SIGKILL)
            d.launch(wait=False)  # whoever asks too early asks the one that dies
            procs.wait_until(lambda: "started with pid %d," % d.pid in d.log(), "the next to begin")
            self.assertEqual(d.pids(), pids)

    def test_a_guardian_that_is_slow_to_end_keeps_no_port(self):
        """It has a copy of each socket, and is the last to go."""
        port = self.free_port()
        server = "[inet_http_server]\nport=127.0.0.1:%d\n" % port
        first = self.daemon("", daemon=server)
        supervisor = first.supervisor
        procs.freeze(first.pid)
        self.assertEqual(first.post("/v1/daemon/shutdown").status, 200)
        first.close()
        procs.wait_gone(supervisor)
        procs.wait_until(lambda: not os.path.exists(self.path("s.lock")), "the lock to be removed")
        second = self.daemon("", daemon=server)
        os.kill(first.pid, signal.SIGCONT)
        self.assertEqual(first.wait_exit(), 0)
        self.assertEqual(second.get("/v1/daemon").json["pid"], second.pid)


if __name__ == "__main__":
    unittest.main()
