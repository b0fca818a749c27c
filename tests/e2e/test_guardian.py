"""The guardian: the main process that outlives its supervisor, and what becomes of both."""
import fcntl
import os
import signal
import socket
import subprocess
import termios
import unittest

import client
import drover
import procs

SLEEPER = """
    [program:a]
    command=sleep 1000
    startsecs=0
"""


class Replaced(drover.TestCase):
    """kill -9 of the supervisor."""

    def kill_supervisor(self, d, sig=signal.SIGKILL):
        old = d.supervisor
        os.kill(old, sig)
        return procs.wait_until(lambda: d.supervisor != old and d.supervisor, "another supervisor")

    def test_a_reload_goes_on(self):
        d = self.daemon("[program:a]\ncommand=sleep 1000\nstartsecs=0\n[program:stubborn]\nstartsecs=0\nstopwaitsecs=2\n"
                        "command=sh -c \"trap '' TERM; echo ready; while :; do sleep 0.1; done\"\n")
        d.wait_output("stubborn", "ready\n")
        before = d.pids()
        self.assertEqual(d.post("/v1/daemon/reload").status, 200)
        d.wait_event("exit", "a")
        d.crash()
        # whichever supervisor was there to see it
        procs.wait_until(lambda: "stopped: stubborn (terminated by SIGKILL)" in d.log(), "the end of the stubborn one")
        procs.wait_until(lambda: all(pid not in (0, before[name]) for name, pid in d.pids().items()), "all anew")
        for name in before:
            d.wait_state(name, "RUNNING")  # one that is not executed yet would be started once more
        after = d.pids()
        d.crash()
        self.assertEqual(d.pids(), after, "and that is done once")

    def ask(self, d):
        """On a connection of its own, which must never be refused."""
        c = client.Client(d.socket)
        try:
            return c.get("/v1/daemon").json
        finally:
            c.close()

    @drover.slow(120)
    def test_a_hundred_times(self):
        d = self.daemon("", native=True)
        self.kill_supervisor(d)
        self.ask(d)
        main, held = d.pid, d.held()
        inode, count = os.stat(d.socket).st_ino, 1000
        for i in range(2, 102):
            os.kill(d.supervisor, signal.SIGKILL)
            info = self.ask(d)
            while info["recoveries"] < i:  # answered by the one that was about to die
                info = self.ask(d)
            self.assertEqual((info["pid"], info["recoveries"]), (main, i))
            count = min(count, info["descriptors"])
        procs.wait_until(lambda: self.ask(d)["descriptors"] <= count, "no more descriptors than at first")
        self.assertEqual(d.held().keys(), held.keys())
        self.assertEqual(os.stat(d.socket).st_ino, inode)
        self.assertEqual(int(procs.read(self.path("pid"))), main)
        procs.wait_until(lambda: d.log().count("terminated by SIGKILL") == 101, "each of them in the log")

    def test_by_any_signal(self):
        d = self.daemon(SLEEPER)
        for sig in (signal.SIGABRT, signal.SIGTRAP) + (() if drover.SAN else (signal.SIGSEGV,)):
            self.kill_supervisor(d, sig)
            procs.wait_until(lambda name=sig.name: "terminated by " + name in d.log(), sig.name + " in the log")
        self.assertEqual(self.ask(d)["recoveries"], 2 if drover.SAN else 3)

    def test_nothing_runs_twice(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
            numprocs=20
            process_name=%(process_num)d
        """)
        d.wait_all("RUNNING")
        for i in range(1, 6):
            self.kill_supervisor(d)
            procs.wait_until(lambda n=i: self.ask(d)["recoveries"] == n and self.ask(d)["states"]["RUNNING"] == 20,
                             "all to run again")
            for pid in d.pids().values():
                procs.begun(pid)
            jobs = [p for p in procs.descendants(d.pid) if procs.command_line(p) == "sleep 1000" and procs.alive(p)]
            self.assertEqual(sorted(jobs), sorted(d.pids().values()))

    @drover.slow(120)
    def test_term_in_the_same_instant_stops_all(self):
        for _ in range(10):
            d = self.daemon(SLEEPER)
            pid = d.wait_state("a", "RUNNING")["pid"]
            os.kill(d.supervisor, signal.SIGKILL)
            d.kill()
            self.assertEqual(d.wait_exit(), 0)
            self.assertFalse(procs.alive(pid))
            self.assertFalse(os.path.exists(d.socket))

    def test_a_file_that_has_been_broken_ends_no_job(self):
        d = self.daemon(SLEEPER)
        pid = d.wait_state("a", "RUNNING")["pid"]
        d.configure("[program:a]\n")
        for _ in range(3):
            self.kill_supervisor(d)
            self.assertEqual(d.pid_of("a"), pid)

    def test_a_hup_that_it_did_not_come_to_is_heeded_by_the_next(self):
        d = self.daemon(SLEEPER, native=True)
        d.settle()  # its hello too: before that the guardian keeps signals to itself
        old = d.supervisor
        procs.freeze(old)
        d.configure(SLEEPER + "    [program:b]\n    command=sleep 1000\n    startsecs=0\n")
        d.kill(signal.SIGHUP)
        procs.wait_until(lambda: int(procs.status(old)["ShdPnd"], 16) >> signal.SIGHUP - 1 & 1, "the HUP to come to it")
        os.kill(old, signal.SIGKILL)
        d.close()
        d.wait_state("b", "RUNNING")
        d.configure(SLEEPER)  # of which nobody has been told
        for _ in range(2):
            d.crash()
            self.assertEqual(d.info("b")["statename"], "RUNNING")
        self.assertEqual(d.log().count("SIGHUP"), 1)

    def test_in_the_background(self):
        d = self.daemon("", foreground=False)
        self.kill_supervisor(d)
        self.assertEqual(self.ask(d)["pid"], d.pid)
        found = procs.descriptors(d.supervisor)
        self.assertEqual([found[i] for i in range(3)], ["/dev/null"] * 3)
        d.kill()
        self.assertEqual(d.wait_exit(), 0)


class Watchdog(drover.TestCase):
    """A supervisor whose loop has stopped: SIGSTOP."""

    HUNG = "the supervisor had stopped working (terminated by SIGKILL); number %d takes over"

    def replaced(self, d):
        """Once for sure; a machine that stands still for as long is reason enough for once more."""
        before, stopped = d.get("/v1/daemon").json["recoveries"], d.supervisor
        os.kill(stopped, signal.SIGSTOP)
        procs.wait_gone(stopped)
        d.close()
        info = procs.wait_until(d.answer, "another supervisor")
        self.assertEqual(info["pid"], d.pid)
        self.assertGreater(info["recoveries"], before)
        for number in range(before + 1, info["recoveries"] + 1):
            self.assertIn(self.HUNG % (number + 1), d.log())

    def test_it_is_replaced_when_that_is_asked_for(self):
        d = self.daemon("", native=True, daemon="watchdog=500ms\n")
        self.replaced(d)
        self.replaced(d)

    def test_the_service_manager_asks_for_it_too(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.bind(self.path("notify"))
        self.addCleanup(manager.close)
        d = self.daemon("", env={"NOTIFY_SOCKET": self.path("notify"), "WATCHDOG_USEC": "500000"})
        self.replaced(d)

    def woken(self, d):
        return int(procs.status(d.pid)["voluntary_ctxt_switches"])

    def test_one_that_works_is_left_alone_and_a_reload_changes_it(self):
        d = self.daemon("", native=True)
        os.kill(d.supervisor, signal.SIGSTOP)
        os.kill(d.supervisor, signal.SIGCONT)
        d.daemon = "watchdog=6s\n"  # a pause that no machine makes by itself
        d.configure("[program:a]\ncommand=sleep 1000\nstartsecs=0\n")
        d.kill(signal.SIGHUP)
        d.wait_state("a", "RUNNING")
        d.get("/v1/daemon")
        procs.wait_asleep(d.pid, d.supervisor)
        asleep = self.woken(d)  # every two seconds from here on
        procs.wait_until(lambda: self.woken(d) >= asleep + 2, "it to be woken")
        self.assertEqual(d.get("/v1/daemon").json["recoveries"], 0)
        d.daemon = ""
        d.configure("[program:b]\ncommand=sleep 1000\nstartsecs=0\n")
        d.kill(signal.SIGHUP)
        d.wait_state("b", "RUNNING")
        supervisor = d.supervisor
        procs.freeze(supervisor)
        self.addCleanup(lambda: procs.alive(supervisor) and os.kill(supervisor, signal.SIGCONT))
        os.kill(supervisor, signal.SIGCONT)
        self.assertEqual(d.get("/v1/daemon").json["recoveries"], 0)


class Guardian(drover.TestCase):
    def test_its_end_is_the_supervisors(self):
        d = self.daemon("")
        supervisor = d.supervisor
        procs.freeze(supervisor)  # whatever it is doing
        d.kill(signal.SIGKILL)
        d.expected_status = -signal.SIGKILL
        self.assertEqual(d.wait_exit(), -signal.SIGKILL)
        procs.wait_gone(supervisor)
        d.expected_status = 0
        d.launch()  # nothing of it is in the way

    def test_its_end_is_the_supervisors_after_a_change_of_user(self):
        d = self.daemon_as_nobody()
        supervisor = d.supervisor
        procs.freeze(supervisor)
        d.kill(signal.SIGKILL)
        d.expected_status = -signal.SIGKILL
        self.assertEqual(d.wait_exit(), -signal.SIGKILL)
        procs.wait_gone(supervisor)

    def test_a_term_at_any_moment_of_the_beginning(self):
        """Either it had not begun, or it ends in order; never is anything left."""
        d = self.daemon(SLEEPER)
        d.kill()
        d.wait_exit()
        command = [drover.DROVERD, "-n", "-c", d.file]
        for i in range(40):
            p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, env=d.environment(), cwd=self.directory)
            self.known.add(p.pid)
            for _ in range(i * 40000):  # up to some hundredths of a second
                pass
            p.terminate()
            self.assertIn(p.wait(20), (0, -signal.SIGTERM))
            left = [pid for pid in procs.children(os.getpid()) if procs.command_line(pid) == "sleep 1000"]
            self.assertEqual(left, [])

    def test_it_takes_in_who_has_lost_its_parent(self):
        os.mkfifo(self.path("gate"))
        d = self.daemon("""
            [program:a]
            command=sh -c "(cat gate & echo $!); exec sleep 1000"
            directory=%(here)s
            startsecs=0
        """)
        lost = int(d.wait_output("a", "\n"))
        procs.wait_until(lambda: procs.stat(lost)[1] == d.pid, "it to be an orphan")
        with open(self.path("gate"), "w"):
            pass
        procs.wait_until(lambda: "reaped unknown pid %d (exit status 0)" % lost in d.log(), "the orphan to be reaped")
        self.assertIsNone(procs.stat(lost))

    def test_interrupted_at_a_terminal_it_ends_in_order(self):
        """The terminal tells both processes at the same time."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)

        def at_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        d = self.daemon("""
            [program:deaf]
            command=sh -c "trap '' TERM; echo up; while :; do sleep 0.05; done"
            stopwaitsecs=1
        """, preexec_fn=at_terminal)
        d.wait_output("deaf", "up")
        os.write(master, b"\x03")
        self.assertEqual(d.wait_exit(), 0)
        self.assertEqual(d.log().count("received SIGINT"), 1)
        self.assertIn("stopped: deaf (terminated by SIGKILL)", d.log())

    def test_a_job_cannot_speak_to_it(self):
        """No descriptor of the pair comes as far as a program."""
        d = self.daemon(SLEEPER, native=True)
        pid = d.wait_state("a", "RUNNING")["pid"]
        found = procs.standing_descriptors(pid)
        self.assertEqual([t for t in found.values() if t.startswith("socket:")], [])

    def test_it_sleeps(self):
        d = self.daemon(SLEEPER)
        d.wait_state("a", "RUNNING")
        d.settle()

        def switches():
            status = procs.status(d.pid)
            return sum(int(status[k]) for k in ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"))
        before = switches()
        for _ in range(100):
            d.get("/v1/processes")
        self.assertLess(switches() - before, 50)  # not one for each request


if __name__ == "__main__":
    unittest.main()
