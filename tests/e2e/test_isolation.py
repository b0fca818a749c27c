"""Who a process is and what it may do, read from inside and outside the child: Drover's own keys."""
import os
import unittest

import drover
import procs

IOPRIO_GET = {"x86_64": 252, "aarch64": 31}
NET_BIND_SERVICE, KILL = 10, 5


def capabilities(pid):
    status = procs.status(pid)
    return {k: int(status[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


class Job(drover.TestCase):
    def job(self, settings="", command="sleep 1000", **options):
        d = self.daemon("[program:a]\ncommand=%s\nstartsecs=0\n%s" % (command, settings), native=True, **options)
        return d, procs.begun(d.wait_state("a", "RUNNING")["pid"])

    def failed(self, settings, command="sleep 1000", **options):
        d = self.daemon("[program:a]\ncommand=%s\nstartretries=0\n%s" % (command, settings), native=True, **options)
        error = d.wait_state("a", "FATAL")["spawnerr"]
        return error["stage"], error["code"]


class Identity(Job):
    def expect(self, pid, uid, gid, groups):
        status = procs.status(pid)
        self.assertEqual(status["Uid"].split(), [str(uid)] * 4)
        self.assertEqual(status["Gid"].split(), [str(gid)] * 4)
        self.assertEqual(sorted(map(int, status["Groups"].split())), sorted(groups))
        if uid != 0:
            self.assertEqual(capabilities(pid)["CapPrm"], 0)

    def test_numbers_that_no_database_knows(self):
        self.needs_root()
        _, pid = self.job("uid=54321\ngid=54322\n")
        self.expect(pid, 54321, 54322, [54322])

    def test_groups_are_exact(self):
        self.needs_root()
        _, pid = self.job("uid=nobody\ngroups=4711,12,4711,7\n")
        self.expect(pid, 65534, 65534, [7, 12, 4711])

    def test_no_groups_at_all(self):
        self.needs_root()
        _, pid = self.job("uid=nobody\ngroups=none\n")
        self.expect(pid, 65534, 65534, [])

    def test_a_group_alone_leaves_the_user(self):
        self.needs_root()
        _, pid = self.job("gid=54322\n")
        self.expect(pid, 0, 54322, os.getgrouplist("root", 54322))

    def test_programs_of_one_user_with_different_groups(self):
        self.needs_root()
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            uid=nobody
            groups=5
            [program:b]
            command=sleep 1000
            uid=nobody
            groups=6
            [program:c]
            command=sleep 1000
            uid=nobody
        """, native=True)
        d.wait_all("RUNNING")
        for name, groups in (("a", [5]), ("b", [6]), ("c", os.getgrouplist("nobody", 65534))):
            self.expect(procs.begun(d.pid_of(name)), 65534, 65534, groups)

    def test_an_unknown_user_or_group_is_an_error_before_anything_runs(self):
        for setting in ("uid=no-such-user", "uid=54321", "gid=no-such-group", "user=54321",
                        "uid=root\ngroups=no-such-group"):
            with self.subTest(setting=setting):
                d = self.daemon("[program:a]\ncommand=sleep 1000\n%s\n" % setting, native=True, wait=False)
                d.expected_status = 2
                self.assertEqual(d.wait_exit(), 2)
                self.assertIn("[program:a] %s:" % setting.splitlines()[-1].split("=")[0], d.stderr())
                self.daemons.remove(d)
                os.truncate(self.path("stderr"), 0)

    def test_an_ordinary_daemon_cannot_change_groups(self):
        self.needs_root()
        os.chown(self.directory, 65534, 65534)
        self.assertEqual(self.failed("uid=nobody\ngroups=5\n", user=65534, group=65534, extra_groups=[]),
                         ("user", "EPERM"))


class Capabilities(Job):
    def test_an_ordinary_user_with_one_capability(self):
        self.needs_root()
        _, pid = self.job("uid=nobody\ncapabilities=net_bind_service\n")
        self.assertEqual(capabilities(pid), dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
                                                          1 << NET_BIND_SERVICE))
        self.assertEqual(procs.status(pid)["Uid"].split(), ["65534"] * 4)

    def test_root_without_any(self):
        self.needs_root()
        _, pid = self.job("capabilities=none\n")
        self.assertEqual(set(capabilities(pid).values()), {0})

    def test_a_user_that_may_become_others_because_it_was_asked_for(self):
        self.needs_root()
        _, pid = self.job("uid=nobody\ncapabilities=setuid,setgid,kill\n")
        self.assertEqual(capabilities(pid)["CapEff"], 1 << 6 | 1 << 7 | 1 << KILL)

    def test_an_ordinary_daemon_cannot_bound(self):
        self.needs_root()
        os.chown(self.directory, 65534, 65534)
        self.assertEqual(self.failed("capabilities=none\n", user=65534, group=65534, extra_groups=[]),
                         ("capabilities", "EPERM"))

    def test_no_new_privileges(self):
        for given, expected in (("true", "1"), ("false", "0")):
            with self.subTest(given=given):
                d, pid = self.job("no_new_privileges=%s\n" % given)
                self.assertEqual(procs.status(pid)["NoNewPrivs"], expected)
                d.kill()
                d.wait_exit()


class Limits(Job):
    ALL = (("cpu", "50:60", "Max cpu time"), ("fsize", "10:20", "Max file size"),
           ("data", "100MB:infinity", "Max data size"), ("stack", "1MB:2MB", "Max stack size"),
           ("core", "0", "Max core file size"), ("rss", "5:6", "Max resident set"),
           ("nproc", "3000:4000", "Max processes"), ("nofile", "33:77", "Max open files"),
           ("memlock", "4096:8192", "Max locked memory"), ("as", "3GB:4GB", "Max address space"),
           ("locks", "7:8", "Max file locks"), ("sigpending", "9:10", "Max pending signals"),
           ("msgqueue", "11:12", "Max msgqueue size"), ("nice", "0", "Max nice priority"),
           ("rtprio", "0", "Max realtime priority"), ("rttime", "1000:2000", "Max realtime timeout"))

    def test_all_sixteen(self):
        scale = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}

        def plain(word):
            return str(int(word[:-2]) * scale[word[-2:]]) if word[-2:] in scale else word.replace("infinity", "unlimited")
        settings = "".join("limit_%s=%s\n" % row[:2] for row in self.ALL)
        _, pid = self.job(settings)
        for name, value, title in self.ALL:
            words = value.split(":")
            self.assertEqual(procs.limit(pid, title), [plain(words[0]), plain(words[-1])], name)

    def test_a_limit_far_below_what_its_start_takes(self):
        _, pid = self.job("limit_nofile=4\n")
        self.assertEqual(procs.limit(pid, "Max open files"), ["4", "4"])

    def test_what_only_root_may_raise(self):
        self.needs_root()
        os.chown(self.directory, 65534, 65534)
        self.assertEqual(self.failed("limit_core=0\nlimit_nofile=1073741816\n", user=65534, group=65534,
                                     extra_groups=[]), ("limits", "EPERM"))


class Priorities(Job):
    def test_nice_and_oom_score(self):
        _, pid = self.job("nice=7\noom_score_adj=345\n")
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, pid), 7)
        self.assertEqual(procs.read("/proc/%d/oom_score_adj" % pid), b"345\n")

    def test_processors(self):
        last = max(os.sched_getaffinity(0))
        _, pid = self.job("cpu_affinity=%d\n" % last)
        self.assertEqual(os.sched_getaffinity(pid), {last})

    def test_a_processor_that_is_not_there(self):
        self.assertEqual(self.failed("cpu_affinity=1023\n"), ("cpu_affinity", "EINVAL"))

    def test_ionice(self):
        import ctypes
        number = IOPRIO_GET.get(os.uname().machine)
        if number is None:
            self.skipTest("the number of ioprio_get is not known here")
        d, pid = self.job("ionice=best-effort:6\n")
        self.assertEqual(ctypes.CDLL(None).syscall(number, 1, pid), 2 << 13 | 6)
        d.kill()
        d.wait_exit()
        d, pid = self.job("ionice=idle\n")
        self.assertEqual(ctypes.CDLL(None).syscall(number, 1, pid), 3 << 13)

    def test_show_and_the_configuration_have_them(self):
        d, _ = self.job("nice=7\nlimit_nofile=33:77\nuid=%d\ngroups=none\n" % os.getuid() if os.getuid() == 0 else
                        "nice=7\nlimit_nofile=33:77\n")
        shown = {s["key"]: s["value"] for s in d.get(d.process_path("a"), show=1).json["settings"]}
        self.assertEqual((shown["nice"], shown["limit_nofile"], shown["limit_as"]), ("7", "33:77", ""))
        p = d.get("/v1/config").json["groups"][0]["processes"][0]
        self.assertEqual((p["nice"], p["limit_nofile"], p["oom_score_adj"]), (7, "33:77", None))


class Command(Job):
    def test_argv0(self):
        _, pid = self.job("argv0=-a name\n")
        self.assertEqual(procs.read("/proc/%d/cmdline" % pid), b"-a name\0" + b"1000\0")

    def test_shell(self):
        d, _ = self.job("shell=true\nenvironment=WHO=\"there\"\n", 'echo "hello $WHO" && echo two | cat; exec sleep 1000')
        self.assertEqual(d.wait_output("a", "two\n"), b"hello there\ntwo\n")

    def test_another_shell_and_its_name(self):
        bash = self.needs("bash")
        d, _ = self.job("shell=%s\nargv0=mine\n" % bash, "echo $0 ${BASH_VERSION:+bash}; exec sleep 1000")
        self.assertEqual(d.wait_output("a", "\n"), b"mine bash\n")

    def test_a_shell_that_is_not_there(self):
        d = self.daemon("[program:a]\ncommand=x\nshell=/no/such/shell\nstartretries=0\n", native=True)
        error = d.wait_state("a", "FATAL")["spawnerr"]
        self.assertEqual((error["stage"], error["code"], error["path"]), ("lookup", "ENOENT", "/no/such/shell"))


class Environment(Job):
    def test_nothing_is_inherited(self):
        _, pid = self.job("inherit_environment=false\nenvironment=ONE=\"1\"\n", "/bin/sleep 1000", env={"SECRET": "x"})
        self.assertEqual({k for k in procs.environment(pid) if not k.startswith("SUPERVISOR_")}, {"ONE"})

    def test_only_what_is_named(self):
        _, pid = self.job("inherit_environment=PATH,MINE,NOTIFY_SOCKET\n",
                          env={"SECRET": "x", "MINE": "y", "MINES": "z", "NOTIFY_SOCKET": "/nowhere"})
        env = procs.environment(pid)
        self.assertEqual({k for k in env if not k.startswith("SUPERVISOR_")}, {"PATH", "MINE"})
        self.assertEqual(env["MINE"], "y")

    def test_files(self):
        self.write("one", "# comment\nA=file one\nB='single $x'\nexport C=\"dou\\\"ble\"\nD=file\n")
        self.write("two", "A=file two\nE=\n")
        _, pid = self.job("environment_file=%(here)s/one,-%(here)s/none,%(here)s/two\nenvironment=D=\"own\"\n",
                          daemon='environment=A="section",F="section"\n')
        env = procs.environment(pid)
        self.assertEqual([env[n] for n in "ABCDEF"], ["file two", "single $x", 'dou"ble', "own", "", "section"])

    def test_a_change_of_a_file_is_taken_up_by_an_update_and_its_text_is_not_shown(self):
        self.write("one", "TOKEN=first-secret\n")
        d, pid = self.job("environment_file=%(here)s/one\n")
        self.assertEqual(procs.environment(pid)["TOKEN"], "first-secret")
        for path in ("/v1/config", d.process_path("a")):
            self.assertNotIn(b"first-secret", d.get(path, show=1).body)
        mark = d.mark()
        self.write("one", "TOKEN=second\n")
        d.update()
        pid = d.wait_event("spawn", "a", after=mark)["pid"]
        self.assertEqual(procs.environment(pid)["TOKEN"], "second")

    def test_a_file_that_is_missing_or_wrong(self):
        self.write("bad", "A=1\nnot a variable\n")
        for path, words in (("none", "cannot be read"), ("bad", "bad:2 is not NAME=VALUE")):
            with self.subTest(path=path):
                d = self.daemon("[program:a]\ncommand=x\nenvironment_file=%%(here)s/%s\n" % path, native=True, wait=False)
                d.expected_status = 2
                d.wait_exit()
                self.assertIn(words, d.stderr())
                self.daemons.remove(d)


if __name__ == "__main__":
    unittest.main()
