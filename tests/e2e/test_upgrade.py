"""droverctl upgrade: another program in the place of the one that runs, in the same process; or not."""
import os
import shutil
import signal
import subprocess
import unittest

import client
import drover
import procs

SUCCESSOR = os.path.join(os.path.dirname(drover.DROVERD), "tests", "successor")

SLEEPER = """
    [program:a]
    command=sleep 1000
    startsecs=0
"""


class TestCase(drover.TestCase):
    def ctl(self, d, *words):
        return subprocess.run([drover.DROVERCTL, "-c", d.file] + list(words), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=40, check=False)

    def version(self, d):
        return d.get("/v1/daemon").json["version"]

    def of_version(self, version, *changes):
        """The same program with another number in it, and other words."""
        with open(drover.DROVERD, "rb") as f:
            program = f.read()
        own = subprocess.check_output([drover.DROVERD, "--version"], text=True).strip()
        self.assertEqual(len(own), len(version))
        path = self.path("droverd-" + version)
        with open(path, "wb") as f:
            for before, after in ((own.encode() + b"\0", version.encode() + b"\0"),) + changes:
                self.assertIn(before, program)
                program = program.replace(before, after)
            f.write(program)
        os.chmod(path, 0o755)
        return path


class Done(TestCase):
    def test_the_same_process_becomes_another_program(self):
        d = self.daemon(SLEEPER, native=True)
        d.wait_state("a", "RUNNING")
        own, newer = self.version(d), self.of_version("9.9.9")
        main, held, inode = d.pid, d.held(), os.stat(d.socket).st_ino
        run = self.ctl(d, "upgrade", newer)
        self.assertEqual((run.returncode, run.stdout), (0, "Upgraded from %s to 9.9.9\n" % own))
        self.assertEqual(os.readlink("/proc/%d/exe" % main), newer)
        info = client.Client(d.socket).get("/v1/daemon").json
        self.assertEqual((info["pid"], info["version"], info["supervisor_pid"]), (main, "9.9.9", d.supervisor))
        self.assertEqual(procs.read("/proc/%d/comm" % main), b"droverd\n")
        self.assertEqual(len(d.held()), len(held))
        self.assertEqual(os.stat(d.socket).st_ino, inode)
        self.assertEqual(int(procs.read(self.path("pid"))), main)
        self.assertEqual((info["upgrades"], info["recoveries"]), (1, 0))
        procs.kill_supervisor(d.pid)
        procs.wait_until(lambda: d.get("/v1/daemon").json["recoveries"] == 1, "another supervisor")
        self.assertEqual(d.get("/v1/daemon").json["upgrades"], 1)

    def test_the_file_that_was_replaced(self):
        """As after the installation of a new version: no name is given."""
        place = self.path("droverd")
        shutil.copy(drover.DROVERD, place)
        d = self.daemon("", program=place)
        newer = self.of_version("9.9.9")
        os.rename(newer, place)
        self.assertEqual(self.ctl(d, "upgrade").returncode, 0)
        self.assertEqual(self.ctl(d, "version").stdout, "9.9.9\n")

    def test_again_and_again(self):
        d = self.daemon("", native=True)
        numbers, counts = None, []

        def count():
            info = client.Client(d.socket).get("/v1/daemon").json
            return info["descriptors"] - info["connections"]
        for _ in range(30):
            self.assertEqual(self.ctl(d, "upgrade").returncode, 0)
            counts.append(count())
            numbers = numbers or d.held().keys()
            self.assertEqual(d.held().keys(), numbers)
        procs.wait_until(lambda: count() <= min(counts), "no more descriptors than at first: %s" % counts)
        self.assertEqual(d.get("/v1/daemon").json["pid"], d.pid)

    def test_signals_and_limits_are_as_they_were(self):
        d = self.daemon(SLEEPER, native=True)
        pid = d.wait_state("a", "RUNNING")["pid"]

        def of_job(pid):
            status = procs.status(procs.begun(pid))
            return [status[k] for k in ("SigBlk", "SigIgn", "SigCgt")], procs.limit(pid, "Max open files")
        before = of_job(pid)
        self.assertEqual(self.ctl(d, "upgrade").returncode, 0)
        d.restart = d.act("restart", "a")
        self.assertEqual(of_job(d.pid_of("a")), before)
        self.assertNotIn("DROVER_STATE", procs.environment(d.pid_of("a")))
        d.kill(signal.SIGHUP)
        procs.wait_until(lambda: "received SIGHUP" in d.log(), "the signal to be passed on")

    def test_as_another_user_and_in_the_background(self):
        d = self.daemon_as_nobody(foreground=False)
        self.assertEqual(self.ctl(d, "upgrade").returncode, 0)
        self.assertEqual(d.get("/v1/daemon").json["pid"], d.pid)
        d.settle()
        self.assertEqual(procs.status(d.pid)["Uid"].split(), ["65534"] * 4)
        self.assertEqual([procs.descriptors(d.supervisor)[i] for i in range(3)], ["/dev/null"] * 3)


class Jobs(TestCase):
    """Nobody notices."""

    @drover.slow(120)
    def test_jobs_that_print_all_the_time(self):
        script = self.write("count.py", """\
            import sys, time
            n = 0
            while True:
                n += 1
                print("line %d" % n, flush=True)
                if n % 50 == 0:
                    time.sleep(0.005)
        """)
        d = self.daemon("""
            [program:p]
            command=python3 %s
            process_name=%%(process_num)d
            numprocs=4
            startsecs=0
            stdout_logfile=%%(here)s/%%(process_num)d.out
            stdout_logfile_maxbytes=0
            [program:quick]
            command=sh -c "sleep 0.05; exit 3"
            startsecs=0
            exitcodes=3
            autorestart=true
            restart_interval=0
        """ % script, native=True)
        d.wait_all("RUNNING", ["p:%d" % i for i in range(4)])
        before, newer = {n: p for n, p in d.pids().items() if n.startswith("p:")}, self.of_version("9.9.9")
        for i in range(20):
            run = self.ctl(d, "upgrade", newer)
            self.assertEqual((run.returncode, run.stdout[:8]), (0, "Upgraded"), run.stdout)
        self.assertEqual({n: p for n, p in d.pids().items() if n.startswith("p:")}, before)
        self.assertNotIn("nobody knows how", d.log())
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        for i in range(4):
            lines = procs.read(self.path("%d.out" % i)).splitlines()
            self.assertEqual(lines, [b"line %d" % n for n in range(1, len(lines) + 1)])
            self.assertGreater(len(lines), 100)


class Refused(TestCase):
    def refused(self, words, what=None, program=SUCCESSOR, **options):
        d = self.daemon(SLEEPER, env={"SUCCESSOR": what or ""}, **options)
        job, supervisor = d.wait_state("a", "RUNNING")["pid"], d.supervisor
        run = self.ctl(d, "upgrade", program)
        self.assertEqual((run.returncode, run.stdout), (1, "upgrade: the upgrade is refused: %s\n" % words))
        self.assertEqual((d.supervisor, d.pid_of("a")), (supervisor, job))
        procs.wait_until(lambda: procs.children(d.pid) == [supervisor], "nobody but the supervisor")
        self.assertEqual(self.ctl(d, "upgrade").returncode, 0)  # and it does not stand in the way of the next
        return d

    def test_one_that_crashes(self):
        self.refused("it was ended by signal 6", "crash")

    @drover.slow(90)
    def test_one_that_hangs(self):
        self.refused("it did not answer in time", "hang")

    def test_one_that_is_older(self):
        self.refused("it is older than this one", program=self.of_version("0.0.1"))

    def test_one_that_cannot_read_the_state(self):
        self.refused("it cannot read the state of this one", "status 1")

    def test_one_that_cannot_read_what_a_channel_keeps(self):
        d = self.daemon(SLEEPER + "    ipc=true\n")
        d.wait_state("a", "RUNNING")
        self.assertEqual(self.ctl(d, "upgrade").returncode, 0)
        memory = next("/proc/%d/fd/%d" % (d.pid, fd) for fd, what in d.held().items() if "memfd:channel" in what)
        with open(memory, "r+b", buffering=0) as f:
            magic = f.read(4)
            os.pwrite(f.fileno(), b"else", 0)
            run = self.ctl(d, "upgrade")
            self.assertEqual((run.returncode, run.stdout),
                             (1, "upgrade: the upgrade is refused: it cannot read the state of this one\n"))
            os.pwrite(f.fileno(), magic, 0)
        self.assertEqual(self.ctl(d, "upgrade").returncode, 0)

    def test_one_that_knows_nothing_of_all_this(self):
        self.refused("it does not know --check-state, or does not take the configuration; see the output of the daemon",
                     "status 2")

    def test_no_program_at_all(self):
        self.refused("it cannot be executed", program=self.write("text", "no program\n", 0o755))

    def test_a_file_that_may_not_be_executed(self):
        self.refused("Permission denied", program=self.write("text", "no program\n", 0o644))

    def test_a_configuration_that_it_does_not_take(self):
        """The one that jobs run by, in a program that does not know one of its keys."""
        d = self.daemon(SLEEPER, native=True)
        job, supervisor = d.wait_state("a", "RUNNING")["pid"], d.supervisor
        other = self.of_version("9.9.9", (b"startsecs\0", b"startsecz\0"))
        self.assertEqual(self.ctl(d, "upgrade", other).returncode, 1)
        self.assertEqual((d.supervisor, d.pid_of("a")), (supervisor, job))
        self.assertIn("[program:a] startsecs", d.stderr())

    def test_what_files_say_by_now_does_not_count(self):
        d = self.daemon(SLEEPER, native=True)
        job = d.wait_state("a", "RUNNING")["pid"]
        d.configure("[program:a]\n")
        self.assertEqual(self.ctl(d, "upgrade", self.of_version("9.9.9")).returncode, 0)
        self.assertEqual((self.version(d), d.pid_of("a")), ("9.9.9", job))

    def test_bad_requests(self):
        d = self.daemon("")
        for body in ({"path": "relative"}, {"path": 1}, ["/"]):
            self.assertEqual(d.post("/v1/daemon/upgrade", body).status, 400)
        self.assertEqual(d.post("/v1/daemon/upgrade", {"path": "/no/such/file"}).status, 409)

    def test_the_old_one_goes_on_when_the_new_one_cannot_be_executed_after_all(self):
        program = self.path("successor")
        shutil.copy(SUCCESSOR, program)
        d = self.daemon("", env={"SUCCESSOR": "shut"})
        run = self.ctl(d, "upgrade", program)
        self.assertEqual((run.returncode, run.stdout), (1, "ERROR: the old program goes on: Permission denied\n"))
        self.assertEqual(d.get("/v1/daemon").json["pid"], d.pid)
        self.assertIn("the upgrade was not carried out: Permission denied", d.log())


class State(TestCase):
    """What is passed on, damaged: the new program says no, and never falls over."""

    def check(self, d, data):
        fd = os.memfd_create("state")
        try:
            os.write(fd, data)
            os.lseek(fd, 0, os.SEEK_SET)
            return subprocess.run([drover.DROVERD, "-c", d.file, "--check-state"], pass_fds=[fd] + self.held,
                                  env={**d.environment(), "DROVER_STATE": str(fd)}, stdin=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=20, check=False).returncode
        finally:
            os.close(fd)

    def take_memory(self, d):
        """What the guardian holds in memory, at its numbers."""
        for number, what in d.held().items():
            if number >= 256 and what.startswith("/memfd:"):
                fd = os.open("/proc/%d/fd/%d" % (d.pid, number), os.O_RDONLY)
                self.addCleanup(os.close, os.dup2(fd, number))
                os.close(fd)
                self.held.append(number)

    def test_damaged(self):
        copy = self.path("copy")
        d = self.daemon(SLEEPER, env={"SUCCESSOR": "copy " + copy})
        d.wait_state("a", "RUNNING")
        self.ctl(d, "upgrade", SUCCESSOR)
        good, self.held = procs.read(copy), []
        self.assertEqual(self.check(d, good), 2)  # the configuration is not there
        self.take_memory(d)
        self.assertEqual(self.check(d, good), 0)
        for length in list(range(0, len(good), 41)) + [len(good) - 1]:
            self.assertEqual(self.check(d, good[:length]), 1, length)
        self.assertEqual(self.check(d, good + b"x"), 1)
        for at in list(range(16)) + list(range(16, len(good), 29)):
            damaged = good[:at] + bytes([good[at] ^ 0xff]) + good[at + 1:]
            self.assertIn(self.check(d, damaged), (1,) if at < 16 else (0, 1, 2, 3), at)
        self.assertEqual(subprocess.run([drover.DROVERD, "-c", d.file, "--check-state"], check=False,
                                        env=d.environment()).returncode, 1)


if __name__ == "__main__":
    unittest.main()
