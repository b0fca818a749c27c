"""What a process is born with: words, environment, directory, identity, descriptors, signals, limits."""
import grp
import os
import pwd
import resource
import signal
import unittest

import drover
import procs

WITHHELD = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
            "NODE_CHANNEL_FD", "NODE_UNIQUE_ID")


def somebody():
    """A user that is not root, with supplementary groups if there is any such."""
    member = {name for g in grp.getgrall() for name in g.gr_mem}
    users = [u for u in pwd.getpwall() if u.pw_uid != 0]
    return next((u for u in users if u.pw_name in member), None) or pwd.getpwnam("nobody")


class Sleeper(drover.TestCase):
    """A process that can be looked at from outside for as long as one likes."""

    def sleeper(self, settings="", **options):
        d = self.daemon("[program:a]\ncommand=sleep 1000\nstartsecs=0\n" + settings, **options)
        return d, procs.begun(d.wait_state("a", "RUNNING")["pid"])


class Environment(Sleeper):
    def test_supervisor_variables(self):
        d = self.daemon("""
            [program:w]
            command=sleep 1000
            startsecs=0
            numprocs=2
            process_name=%(program_name)s_%(process_num)d
            [group:g]
            programs=w
        """)
        env = procs.environment(d.wait_state("g:w_1", "RUNNING")["pid"])
        self.assertEqual({k: v for k, v in env.items() if k.startswith("SUPERVISOR_")}, {
            "SUPERVISOR_ENABLED": "1", "SUPERVISOR_PROCESS_NAME": "w_1", "SUPERVISOR_GROUP_NAME": "g",
            "SUPERVISOR_SERVER_URL": "unix://" + d.socket})

    def test_serverurl_is_the_programs_own_when_it_has_one(self):
        _, pid = self.sleeper("serverurl=http://example.org:9001\n")
        self.assertEqual(procs.environment(pid)["SUPERVISOR_SERVER_URL"], "http://example.org:9001")

    def test_who_wins(self):
        """The program over its daemon's section over the daemon's own environment; the rest is inherited."""
        _, pid = self.sleeper("environment=THREE=\"program\",FOUR='with, comma and = sign'\n",
                              daemon='environment=TWO="section",THREE="section"\n',
                              env={"ONE": "daemon", "TWO": "daemon", "THREE": "daemon"})
        env = procs.environment(pid)
        self.assertEqual([env[n] for n in ("ONE", "TWO", "THREE", "FOUR")],
                         ["daemon", "section", "program", "with, comma and = sign"])

    def test_what_is_meant_for_the_daemon_alone_is_withheld(self):
        _, pid = self.sleeper(env={name: "4711" for name in WITHHELD})
        env = procs.environment(pid)
        self.assertEqual([name for name in WITHHELD if name in env], [])
        self.assertIn("PATH", env)

    def test_variables_expand_in_commands(self):
        d = self.daemon("""
            [program:a]
            command=echo %(ENV_COLOUR)s %(program_name)s %(here)s
            startsecs=0
        """, env={"COLOUR": "blue"})
        self.assertEqual(d.wait_output("a", "\n"), ("blue a %s\n" % self.directory).encode())

    def test_home_and_user_are_left_alone(self):
        """As supervisord documents it: user= changes the identity, not HOME."""
        self.needs_root()
        _, pid = self.sleeper("user=nobody\n", env={"HOME": "/home-of-the-daemon", "USER": "starter"})
        env = procs.environment(pid)
        self.assertEqual((env["HOME"], env["USER"]), ("/home-of-the-daemon", "starter"))


class Words(drover.TestCase):
    def test_quotes_and_blanks(self):
        d = self.daemon(r"""
            [program:a]
            command=printf "%%s|" plain "two words" 'single "quoted"' back\ slash "" joined"together"
            startsecs=0
        """)
        self.assertEqual(d.wait_output("a", "together|"),
                         b'plain|two words|single "quoted"|back slash||joinedtogether|')

    def test_no_shell_is_involved(self):
        d = self.daemon("""
            [program:a]
            command=echo $HOME * > x | y && z
            startsecs=0
        """)
        self.assertEqual(d.wait_output("a", "\n"), b"$HOME * > x | y && z\n")

    def test_a_command_on_several_lines(self):
        d = self.daemon("""
            [program:a]
            command=echo one
                two
                three
            startsecs=0
        """)
        self.assertEqual(d.wait_output("a", "\n"), b"one two three\n")

    def test_a_long_command(self):
        words = ["word%05d" % i for i in range(4000)]
        d = self.daemon("[program:a]\ncommand=echo %s\nstartsecs=0\n" % " ".join(words))
        self.assertEqual(d.wait_output("a", "\n").split(), [w.encode() for w in words])

    def test_path_of_the_daemon_in_a_supervisord_file_and_of_the_job_in_a_native_one(self):
        for place in ("daemons", "jobs"):
            os.mkdir(self.path(place))
            self.write(place + "/tool", "#!/bin/sh\necho %s\n" % place, 0o755)
        path = os.environ["PATH"]
        for native, expected in ((False, b"daemons\n"), (True, b"jobs\n")):
            with self.subTest(native=native):
                d = self.daemon("""
                    [program:a]
                    command=tool
                    startsecs=0
                    environment=PATH="%s:%s"
                    stdout_logfile=%%(here)s/out-%s
                """ % (self.path("jobs"), path, native), native=native,
                                env={"PATH": self.path("daemons") + ":" + path})
                self.assertEqual(d.wait_output("a", "\n"), expected)
                d.kill()
                d.wait_exit()


class Place(Sleeper):
    def test_directory(self):
        os.mkdir(self.path("there"))
        _, pid = self.sleeper("directory=%(here)s/there\n")
        self.assertEqual(os.readlink("/proc/%d/cwd" % pid), os.path.realpath(self.path("there")))

    def test_relative_commands_are_looked_for_in_the_directory(self):
        os.mkdir(self.path("bin"))
        self.write("bin/tool", "#!/bin/sh\npwd\n", 0o755)
        d = self.daemon("""
            [program:a]
            command=./tool
            directory=%(here)s/bin
            startsecs=0
        """)
        self.assertEqual(d.wait_output("a", "\n").decode().strip(), os.path.realpath(self.path("bin")))

    def test_directory_of_the_daemon_otherwise(self):
        _, pid = self.sleeper()
        self.assertEqual(os.readlink("/proc/%d/cwd" % pid), os.path.realpath(self.directory))

    def test_umask(self):
        for settings, daemon, expected in (("", "", "0022"), ("umask=007\n", "", "0007"),
                                           ("", "umask=077\n", "0077"), ("umask=0\n", "umask=077\n", "0000")):
            with self.subTest(settings=settings, daemon=daemon):
                d, pid = self.sleeper(settings, daemon=daemon)
                self.assertEqual(procs.status(pid)["Umask"], expected)
                d.kill()
                d.wait_exit()


class Identity(Sleeper):
    def test_user_with_its_groups(self):
        self.needs_root()
        user = somebody()
        for given in (user.pw_name, str(user.pw_uid)):
            with self.subTest(user=given):
                d, pid = self.sleeper("user=%s\n" % given)
                status = procs.status(pid)
                self.assertEqual(status["Uid"].split(), [str(user.pw_uid)] * 4)
                self.assertEqual(status["Gid"].split(), [str(user.pw_gid)] * 4)
                self.assertEqual(sorted(map(int, status["Groups"].split())),
                                 sorted(os.getgrouplist(user.pw_name, user.pw_gid)))
                self.assertEqual(int(status["CapEff"], 16), 0)
                self.assertEqual(int(status["CapPrm"], 16), 0)
                d.kill()
                d.wait_exit()

    def test_its_logs_belong_to_the_daemon_and_are_written_all_the_same(self):
        self.needs_root()
        d = self.daemon("""
            [program:a]
            command=id -un
            user=nobody
            startsecs=0
            stdout_logfile=%(here)s/out
        """)
        self.assertEqual(d.wait_output("a", "\n"), b"nobody\n")
        self.assertEqual(os.stat(self.path("out")).st_uid, 0)

    def test_a_directory_that_only_the_user_may_not_enter(self):
        self.needs_root()
        os.mkdir(self.path("private"), 0o700)
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            directory=%(here)s/private
            user=nobody
            startretries=0
        """)
        p = d.wait_state("a", "FATAL")
        self.assertEqual((p["spawnerr"]["stage"], p["spawnerr"]["code"]), ("chdir", "EACCES"))

    def test_an_ordinary_user_cannot_give_away_identities(self):
        self.needs_root()
        os.chown(self.directory, 65534, 65534)
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            user=root
            autostart=false
            startretries=0
        """, user=65534, group=65534, extra_groups=[])
        error = d.refusal("start", "a")
        self.assertEqual(error["fault"], "SPAWN_ERROR")
        self.assertIn("does not run as root", error["detail"])
        self.assertEqual(d.info("a")["spawnerr"]["code"], "EPERM")


class Descriptors(Sleeper):
    def test_exactly_three(self):
        _, pid = self.sleeper()
        found = procs.standing_descriptors(pid)
        for target in found.values():
            self.assertTrue(target.startswith("pipe:"), found)
        self.assertNotEqual(found[1], found[2])

    def test_redirected_stderr_is_stdout(self):
        _, pid = self.sleeper("redirect_stderr=true\n")
        found = procs.standing_descriptors(pid)
        self.assertEqual(found[1], found[2])

    def test_nothing_of_the_daemons_starter_leaks_through(self):
        """Descriptors without close-on-exec that the daemon itself was born with."""
        with open(self.path("secret"), "w") as f, open("/dev/null") as g:
            high = os.dup2(g.fileno(), 200)
            try:
                _, pid = self.sleeper(pass_fds=(f.fileno(), g.fileno(), high))
            finally:
                os.close(high)
        procs.standing_descriptors(pid)

    def test_fifty_neighbours_see_nothing_of_each_other(self):
        d = self.daemon("""
            [program:w]
            command=sleep 1000
            numprocs=50
            process_name=%(process_num)02d
            startsecs=0
        """)
        d.wait_all("RUNNING")
        ends = []
        for pid in d.pids().values():
            ends += procs.standing_descriptors(pid).values()
        self.assertEqual(len(ends), len(set(ends)))


class Signals(Sleeper):
    def test_nothing_ignored_nothing_blocked(self):
        """Although whoever started the daemon ignored some and blocked others."""
        def awkward():
            for s in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGUSR1, signal.SIGRTMIN):
                signal.signal(s, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGWINCH, signal.SIGRTMIN + 3})
        _, pid = self.sleeper(preexec_fn=awkward)
        status = procs.status(pid)
        for field in ("SigBlk", "SigIgn", "SigCgt"):
            self.assertEqual(int(status[field], 16), 0, field)

    def test_a_process_group_of_its_own(self):
        d, pid = self.sleeper()
        _, parent, group, session = procs.stat(pid)
        self.assertEqual((parent, group, session), (d.supervisor, pid, procs.stat(d.pid)[3]))


class Limits(Sleeper):
    def test_nofile_as_it_was_before_the_daemon_raised_it(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

        def low():
            resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        d, pid = self.sleeper(daemon="minfds=500\n", preexec_fn=low)
        self.assertEqual(procs.limit(pid, "Max open files"), ["200", str(hard)])
        d.settle()
        for process in (d.pid, d.supervisor):
            self.assertGreaterEqual(int(procs.limit(process, "Max open files")[0]), 500)


if __name__ == "__main__":
    unittest.main()
