"""The daemon itself: background and foreground, one instance, signals, logs, ordinary users, its end."""
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import unittest

import drover
import procs

SLEEPER = """
    [program:a]
    command=sleep 1000
    startsecs=0
"""


class Background(drover.TestCase):
    def test_goes_to_the_background_and_comes_to_an_end(self):
        d = self.daemon(SLEEPER, foreground=False)
        self.assertEqual(d.process.returncode, 0)  # of the one who was started
        state, parent, group, session = procs.stat(d.pid)
        self.assertEqual((parent, session), (os.getpid(), d.pid))
        self.assertEqual(int(procs.read(self.path("pid"))), d.pid)
        found = procs.descriptors(d.pid)
        self.assertEqual([found[i] for i in range(3)], ["/dev/null"] * 3)
        d.wait_state("a", "RUNNING")
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertEqual([f for f in os.listdir(self.directory) if f in ("s", "pid", "s.lock")], [])

    def test_what_is_wrong_is_told_before_it_goes(self):
        d = self.daemon(SLEEPER, foreground=False, server="chmod=0700\n", wait=False,
                        daemon="[inet_http_server]\nport=127.0.0.1:1\nusername=x\n")
        d.expected_status = 2
        self.assertEqual(d.wait_exit(), 2)
        self.assertIn("username", d.stderr())

    def test_directory(self):
        os.mkdir(self.path("there"))
        d = self.daemon(SLEEPER, foreground=False, daemon="directory=%(here)s/there\n")
        self.assertEqual(os.readlink("/proc/%d/cwd" % d.supervisor), os.path.realpath(self.path("there")))
        pid = d.wait_state("a", "RUNNING")["pid"]
        self.assertEqual(os.readlink("/proc/%d/cwd" % pid), os.path.realpath(self.path("there")))

    def test_nodaemon_in_the_file_is_as_good_as_the_flag(self):
        d = self.daemon(SLEEPER, foreground=False, daemon="nodaemon=true\n", wait=False)
        d.foreground = True
        d.wait_ready()
        self.assertEqual(d.get("/v1/daemon").json["pid"], d.process.pid)


class OneInstance(drover.TestCase):
    def second(self, d):
        return subprocess.run([drover.DROVERD, "-n", "-c", d.file], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=20, env=d.environment(), cwd=self.directory)

    def test_a_second_is_refused_by_name_of_the_first(self):
        for native in (False, True):
            with self.subTest(native=native):
                d = self.daemon(SLEEPER, native=native)
                before = d.wait_state("a", "RUNNING")["pid"]
                second = self.second(d)
                self.assertEqual(second.returncode, 2)
                self.assertIn("another droverd (pid %d) runs with this configuration" % d.pid, second.stderr)
                self.assertIn("state_dir of its own", second.stderr)
                self.assertEqual(d.info("a")["pid"], before)
                self.assertEqual(int(procs.read(self.path("pid"))), d.pid)
                d.kill()
                d.wait_exit()

    def test_not_in_a_directory_of_somebody_else(self):
        self.needs_root()
        uid = 4_000_000 + os.getpid()  # nobody else's /tmp/drover-UID
        os.chmod(self.directory, 0o777)
        theirs = "/tmp/drover-%d" % uid
        os.mkdir(theirs)
        self.addCleanup(shutil.rmtree, theirs)
        for owner, mode in ((0, 0o777), (uid, 0o777), (uid, 0o700)):
            os.chown(theirs, owner, owner)
            os.chmod(theirs, mode)
            d = self.daemon("[unix_http_server]\nfile=%(here)s/s\n[droverd]\nlogfile=none\n", native=True, whole=True,
                            user=uid, group=uid, extra_groups=[], wait=False, env={"XDG_RUNTIME_DIR": ""})
            if mode == 0o700:
                d.wait_ready()
                self.assertEqual(os.listdir(theirs), ["supervisor"])
                continue
            d.expected_status = 2
            self.assertEqual(d.wait_exit(), 2)
            self.assertIn("set state_dir", d.stderr())

    def test_of_many_at_once_one_wins(self):
        d = self.daemon(SLEEPER)
        d.kill()
        d.wait_exit()
        command = [drover.DROVERD, "-n", "-c", d.file]
        many = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, env=d.environment(), cwd=self.directory)
                for _ in range(8)]
        self.known.update(p.pid for p in many)
        procs.wait_until(lambda: sum(p.poll() is None for p in many) == 1, "seven of eight to be refused")
        winner, = [p for p in many if p.poll() is None]
        info = procs.wait_until(d.answer, "the one to answer")
        self.assertEqual(info["pid"], winner.pid)
        d.close()
        winner.send_signal(signal.SIGTERM)
        self.assertEqual(winner.wait(20), 0)
        self.assertEqual(sorted(p.returncode for p in many), [0] + [2] * 7)

    def test_what_a_killed_daemon_left_is_no_reason_to_refuse(self):
        d = self.daemon("")
        self.assertEqual(d.end_all(), -signal.SIGKILL)
        d.expected_status = -signal.SIGKILL
        self.assertTrue(os.path.exists(self.path("s")) and os.path.exists(self.path("pid")))
        d = self.daemon(SLEEPER)
        d.wait_state("a", "RUNNING")

    def test_a_socket_that_somebody_else_serves_is_left_alone(self):
        other = socket.socket(socket.AF_UNIX)
        other.bind(self.path("s"))
        other.listen()
        self.addCleanup(other.close)
        d = self.daemon(SLEEPER, wait=False)
        d.expected_status = 2
        self.assertEqual(d.wait_exit(), 2)
        self.assertIn("another program answers there", d.stderr())
        probe = socket.socket(socket.AF_UNIX)
        probe.connect(self.path("s"))
        probe.close()

    def test_a_file_in_the_place_of_the_socket_is_not_removed(self):
        self.write("s", "precious")
        d = self.daemon(SLEEPER, wait=False)
        d.expected_status = 2
        self.assertEqual(d.wait_exit(), 2)
        self.assertEqual(procs.read(self.path("s")), b"precious")
        self.assertIn(self.path("s"), d.stderr())


class NoPlaceForTheLock(drover.TestCase):
    """supervisord runs in a container with a read-only root, and where its pidfile is /dev/null."""

    def test_a_supervisord_file_runs_all_the_same(self):
        d = self.daemon("""
            [supervisord]
            logfile=%(here)s/log
            pidfile=/proc/drover-has-no-place.pid
            childlogdir=%(here)s
            exit_with=main
            [program:main]
            command=sh -c 'exit 7'
            startsecs=0
            autorestart=false
        """, whole=True, wait=False)
        d.expected_status = 7
        self.assertEqual(d.wait_exit(), 7)
        self.assertIn("there is no lock /proc/drover-has-no-place.pid.lock", d.log())

    def test_a_native_one_is_told_what_to_set(self):
        d = self.daemon("""
            [droverd]
            logfile=%(here)s/log
            pidfile=%(here)s/pid
            state_dir=/proc/drover-has-no-place
        """, whole=True, wait=False)
        d.expected_status = 2
        self.assertEqual(d.wait_exit(), 2)
        self.assertIn("set state_dir to a directory that can be written", d.stderr())

    def test_no_pidfile_is_wanted(self):
        d = self.daemon(SLEEPER, args=["-j", "/dev/null"])
        d.wait_state("a", "RUNNING")
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertNotIn("pidfile", d.log())
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))


class Ending(drover.TestCase):
    def test_by_each_signal(self):
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            with self.subTest(sig.name):
                d = self.daemon(SLEEPER)
                pid = d.wait_state("a", "RUNNING")["pid"]
                d.kill(sig)
                self.assertEqual(d.wait_exit(), 0)
                self.assertFalse(procs.alive(pid))
                self.assertFalse(os.path.exists(self.path("s")) or os.path.exists(self.path("pid")))
                self.assertIn("received %s indicating exit request" % sig.name, d.log())

    def test_by_request(self):
        d = self.daemon(SLEEPER)
        self.assertEqual(d.post("/v1/daemon/shutdown").json, {"ok": True})
        self.assertEqual(d.wait_exit(), 0)

    def test_waits_for_those_who_need_time_and_refuses_new_work_meanwhile(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "trap '' TERM; echo ready; until test -e go; do sleep 0.02; done"
            directory=%(here)s
            startsecs=0
            stopwaitsecs=60
            [program:b]
            command=sleep 1000
            autostart=false
        """)
        d.wait_output("a", "ready\n")
        d.kill()
        d.wait_state("a", "STOPPING")
        self.assertEqual(d.get("/v1/daemon").json["statename"], "SHUTDOWN")
        for path in (d.process_path("b", "/start"), "/v1/config/update", "/v1/daemon/shutdown"):
            reply = d.post(path)
            self.assertEqual((path, reply.status, reply.error["fault"]), (path, 503, "SHUTDOWN_STATE"))
        d.kill()  # again changes nothing
        self.assertEqual(d.get("/v1/daemon").json["statename"], "SHUTDOWN")
        self.write("go", "")
        self.assertEqual(d.wait_exit(), 0)
        self.assertNotIn("killing 'a'", d.log())

    def test_one_that_begins_anew_says_so(self):
        """It is not the end: whoever tries again succeeds."""
        d = self.daemon("""
            [program:a]
            command=sh -c "trap '' TERM; echo ready; until test -e go; do sleep 0.02; done"
            directory=%(here)s
            stopwaitsecs=60
            [program:b]
            command=sleep 1000
            autostart=false
            startsecs=0
        """)
        d.wait_output("a", "ready\n")
        d.kill(signal.SIGHUP)
        d.wait_state("a", "STOPPING")
        self.assertEqual(d.get("/v1/daemon").json["statename"], "RESTARTING")
        for path in (d.process_path("b", "/start"), "/v1/config/update", "/v1/daemon/reload"):
            reply = d.post(path)
            self.assertEqual((path, reply.status, reply.error["fault"], reply.error["code"]),
                             (path, 503, "SHUTDOWN_STATE", "EBUSY"))
        for verb in (["restart", "all"], ["start", "b"], ["update"], ["reread"], ["reload"], ["add", "b"]):
            found = subprocess.run([drover.DROVERCTL, "-c", d.file, *verb], capture_output=True, text=True, timeout=20)
            said = found.stdout + found.stderr
            self.assertIn("stops all programs to begin anew; try again in a moment", said)
            self.assertNotIn("shutting down", said)
            self.assertNotEqual(found.returncode, 0)
        self.write("go", "")
        procs.wait_until(lambda: d.get("/v1/daemon").json["statename"] == "RUNNING", "the beginning")
        d.start("b")

    def test_but_not_for_ever(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "trap '' TERM; echo ready; while :; do sleep 0.02; done"
            startsecs=0
            stopwaitsecs=200ms
        """)
        d.wait_output("a", "ready\n")
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertIn("killing 'a'", d.log())

    def test_nothing_is_restarted_at_the_end(self):
        d = self.daemon("""
            [program:w]
            command=sh -c "sleep 0.05; exit 1"
            numprocs=10
            process_name=%(process_num)d
            autorestart=true
            startsecs=0
            restart_interval=0
        """)
        d.wait_event("exit", "w:3")
        d.kill()
        self.assertEqual(d.wait_exit(), 0)

    def test_a_storm_of_signals(self):
        d = self.daemon(SLEEPER)
        for _ in range(300):
            d.kill(signal.SIGUSR2)
            d.kill(signal.SIGCHLD)
        self.assertEqual(d.wait_state("a", "RUNNING")["statename"], "RUNNING")
        for _ in range(20):
            d.kill(signal.SIGTERM)
        self.assertEqual(d.wait_exit(), 0)


class ExitWith(drover.TestCase):
    def ends(self, command, extra="", name="main"):
        d = self.daemon("""
[program:main]
command=%s
startsecs=0
autorestart=false
%s
[program:other]
command=sleep 1000
""" % (command, extra), daemon="exit_with=%s\n" % name, wait=False)
        d.expected_status = d.wait_exit()
        return d.expected_status

    def test_the_status_of_the_program(self):
        self.assertEqual(self.ends("sh -c 'sleep 0.1; exit 42'"), 42)

    def test_success(self):
        self.assertEqual(self.ends("true"), 0)

    def test_by_its_full_name(self):
        self.assertEqual(self.ends("sh -c 'exit 9'", name="main:main"), 9)

    def test_a_signal(self):
        self.assertEqual(self.ends("sh -c 'kill -9 $$'"), 128 + 9)

    def test_a_command_that_is_not_there(self):
        self.assertEqual(self.ends("/no/such/program", "startretries=0"), 127)

    def test_a_command_that_cannot_run(self):
        self.write("broken", "no shebang\n", 0o755)
        self.assertEqual(self.ends("%(here)s/broken", "startretries=0"), 126)

    def test_not_while_it_is_restarted(self):
        d = self.daemon("""
            [program:main]
            command=sh -c 'test -e again && exit 7; : >again; exit 3'
            directory=%(here)s
            startsecs=0
            autorestart=unexpected
            exitcodes=7
        """, daemon="exit_with=main\n", wait=False)
        d.expected_status = 7
        self.assertEqual(d.wait_exit(), 7)


class Logs(drover.TestCase):
    def test_reopened_after_a_rename(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "while read line; do echo $line; done"
            startsecs=0
            stdout_logfile=%(here)s/out
        """)
        d.wait_state("a", "RUNNING")
        d.post(d.process_path("a", "/stdin"), b"before\n")
        d.wait_output("a", "before\n")
        os.rename(self.path("out"), self.path("out.1"))
        os.rename(self.path("log"), self.path("log.1"))
        d.kill(signal.SIGUSR2)
        procs.wait_until(lambda: os.path.exists(self.path("out")) and os.path.exists(self.path("log")), "new files")
        d.post(d.process_path("a", "/stdin"), b"after\n")
        d.wait_output("a", "after\n")
        self.assertEqual(procs.read(self.path("out.1")), b"before\n")
        self.assertEqual(procs.read(self.path("out")), b"after\n")
        d.stop("a")
        self.assertIn("stopped: a", d.log())
        self.assertNotIn(b"stopped: a", procs.read(self.path("log.1")))

    def test_lines_have_supervisords_form(self):
        d = self.daemon(SLEEPER)
        d.wait_state("a", "RUNNING")
        for line in d.log().splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARN|ERRO|CRIT|DEBG) ")
        self.assertIn("INFO spawned: 'a' with pid %d" % d.pid_of("a"), d.log())

    def test_in_the_foreground_it_is_on_stdout_too_unless_silent(self):
        for args, expected in (([], True), (["-s"], False)):
            with self.subTest(args=args):
                d = self.daemon(SLEEPER, args=args)
                d.wait_state("a", "RUNNING")
                d.kill()
                d.wait_exit()
                self.assertEqual(b"spawned: 'a'" in procs.read(self.path("stdout")), expected)
                os.remove(self.path("stdout"))

    def test_who_asked_for_what_is_written_down(self):
        d = self.daemon(SLEEPER)
        d.wait_state("a", "RUNNING")
        d.stop("a")
        self.assertIn("POST /v1/processes/a/stop by uid %d pid %d" % (os.geteuid(), os.getpid()), d.log())

    def test_rotation_of_the_daemons_own(self):
        d = self.daemon(SLEEPER, daemon="logfile_maxbytes=1KB\nlogfile_backups=2\n")
        for _ in range(30):
            d.act("restart", "a")
        self.assertTrue(os.path.exists(self.path("log.2")))
        self.assertFalse(os.path.exists(self.path("log.3")))
        for name in ("log", "log.1", "log.2"):
            self.assertLess(os.stat(self.path(name)).st_size, 1400)


class Flags(drover.TestCase):
    def test_flags_win_over_the_file(self):
        d = self.daemon(SLEEPER, args=["-l", self.path("other.log"), "-j", self.path("other.pid"), "-i", "blue",
                                       "-e", "debug"])
        d.wait_state("a", "RUNNING")
        info = d.get("/v1/daemon").json
        self.assertEqual((info["identifier"], info["logfile"]), ("blue", self.path("other.log")))
        self.assertEqual(int(procs.read(self.path("other.pid"))), d.pid)
        self.assertFalse(os.path.exists(self.path("log")) or os.path.exists(self.path("pid")))

    def test_a_check_starts_nothing(self):
        d = self.daemon(SLEEPER, args=["-t"], wait=False)
        self.assertEqual(d.wait_exit(), 0)
        self.assertEqual([f for f in os.listdir(self.directory) if f in ("s", "log", "pid", "s.lock")], [])

    def test_what_only_a_check_takes_starts_nothing(self):
        for flags, words in ((["--strict"], "--strict only goes with -t"), (["--json"], "--json only goes with -t"),
                             (["--strct"], "droverd -h lists the options")):
            with self.subTest(flags=flags):
                d = self.daemon(SLEEPER, args=flags, wait=False)
                d.expected_status = 2
                self.assertEqual(d.wait_exit(), 2)
                self.assertIn(words, d.stderr())
        self.assertFalse(os.path.exists(self.path("log")))

    def test_every_error_has_its_place(self):
        d = self.daemon("[program:a]\ncommand=sleep 1\nstartsecs=soon\n[program:b]\ncommand=sleep 1\nautostart=maybe\n",
                        native=True, wait=False)
        d.expected_status = 2
        self.assertEqual(d.wait_exit(), 2)
        found = re.findall(r"drover\.conf:(\d+): \[program:(\w)\] (\w+): ", d.stderr())
        self.assertEqual(sorted(f[1:] for f in found), [("a", "startsecs"), ("b", "autostart")])
        lines = procs.read(d.file).decode().splitlines()
        for number, _, key in found:
            self.assertTrue(lines[int(number) - 1].startswith(key + "="))
        self.assertIn("nothing was started", d.stderr())


class OrdinaryUser(drover.TestCase):
    def test_everything_works_without_root(self):
        self.needs_root()  # to become somebody else
        os.chown(self.directory, 65534, 65534)
        d = self.daemon("""
            [program:a]
            command=sh -c "id -u; exec sleep 1000"
            startsecs=0
            stdout_logfile=%(here)s/out
        """, user=65534, group=65534, extra_groups=[])
        self.assertEqual(d.wait_output("a", "\n"), b"65534\n")
        pid = d.pid_of("a")
        d.stop("a")
        d.start("a")
        self.assertNotEqual(d.pid_of("a"), pid)
        self.assertEqual(os.stat(self.path("s")).st_uid, 65534)

    def test_user_in_the_daemons_section(self):
        d = self.daemon_as_nobody("""
            [program:a]
            command=sleep 1000
            startsecs=0
        """)
        d.settle()
        for pid in (d.pid, d.supervisor, procs.begun(d.wait_state("a", "RUNNING")["pid"])):
            status = procs.status(pid)
            self.assertEqual((status["Uid"].split(), status["Gid"].split()), (["65534"] * 4, ["65534"] * 4))
            self.assertEqual(int(status["CapEff"], 16), 0)

    def test_an_ordinary_user_cannot_name_another(self):
        self.needs_root()
        os.chown(self.directory, 65534, 65534)
        d = self.daemon(SLEEPER, daemon="user=root\n", user=65534, group=65534, extra_groups=[], wait=False)
        d.expected_status = 2
        self.assertEqual(d.wait_exit(), 2)
        self.assertIn("only root can become another user", d.stderr())


if __name__ == "__main__":
    unittest.main()
