"""kill_mode: whom the signals of a stop reach, down to a grandchild that has left session and group."""
import errno
import os
import tempfile
import unittest

import drover
import procs
import seccomp

ESCAPE = """\
import os, signal, sys, time
if sys.argv[2] == "stay":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    weight = bytearray(b"x") * (int(os.environ.get("WEIGHT", "0")) << 20)
    with open(sys.argv[1] + ".new", "w") as f:
        f.write(str(os.getpid()))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(1000)
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]):
    time.sleep(0.005)
if sys.argv[2] != "exit":
    time.sleep(1000)
"""


def own_cgroup():
    """The directory of our cgroup v2, or None."""
    own = [line[3:].rstrip() for line in open("/proc/self/cgroup") if line.startswith("0::")]
    for line in open("/proc/self/mountinfo"):
        words = line.split()
        if words[words.index("-") + 1] == "cgroup2" and own:
            return words[4] + own[0].rstrip("/")
    return None


def cgroup_of(pid):
    return next(line[3:].rstrip() for line in procs.read("/proc/%d/cgroup" % pid).decode().splitlines()
                if line.startswith("0::"))


def left_by(pid):
    return [name for name in os.listdir(own_cgroup()) if name.startswith("drover-%s-" % pid)]


class Modes(drover.TestCase):
    def escaped(self, mode, what="stay", settings="", **options):
        """A program with a grandchild that has escaped: its daemon, and the two pids."""
        script = self.write("escape.py", ESCAPE)
        wait = "0.2" if what == "stay" else "60"  # who obeys has all the time that it needs
        d = self.daemon("[program:a]\ncommand=python3 %s %s %s\nkill_mode=%s\nstopwaitsecs=%s\nautorestart=false\n"
                        "startsecs=0\n%s" % (script, self.path("grandchild"), what, mode, wait, settings), native=True,
                        **options)
        procs.wait_until(lambda: os.path.exists(self.path("grandchild")), "the grandchild")
        grandchild = int(procs.read(self.path("grandchild")))
        return d, d.pid_of("a"), grandchild


def can_make():
    """May we, and would the daemon?"""
    place = own_cgroup()
    if place is None:
        return False
    try:
        directory = tempfile.mkdtemp(prefix="drover-test-", dir=place)  # others ask the same at the same time
    except OSError:
        return False
    os.rmdir(directory)
    return True


@unittest.skipUnless(can_make(), "no cgroup v2 that may be written")
class Cgroup(Modes):
    def test_the_last_step_reaches_who_has_escaped(self):
        d, pid, grandchild = self.escaped("cgroup")
        self.assertRegex(cgroup_of(pid), r"/drover-\d+-\d+-a:a$")
        self.assertEqual((cgroup_of(grandchild), os.getsid(grandchild) != os.getsid(pid)), (cgroup_of(pid), True))
        d.stop("a")
        self.assertEqual(d.wait_event("exit", "a")["signal"], "SIGKILL")
        procs.wait_gone(grandchild)

    def test_so_does_the_end_of_the_process_after_the_first(self):
        d, _, grandchild = self.escaped("cgroup", "obey")
        d.stop("a")
        self.assertEqual(d.wait_event("exit", "a")["signal"], "SIGTERM")
        procs.wait_gone(grandchild)

    def test_and_its_own_end(self):
        d, _, grandchild = self.escaped("cgroup", "exit")
        d.wait_event("exit", "a", status=0)
        procs.wait_gone(grandchild)

    def test_and_its_end_under_another_supervisor(self):
        d, _, grandchild = self.escaped("cgroup", "obey")
        d.crash()
        d.stop("a")
        self.assertEqual(d.wait_event("exit", "a")["signal"], "SIGTERM")
        procs.wait_gone(grandchild)

    def test_each_has_its_own(self):
        d = self.daemon("[program:a]\ncommand=sleep 1000\nkill_mode=cgroup\nstartsecs=0\nnumprocs=3\n"
                        "process_name=%(process_num)d\n[program:b]\ncommand=sleep 1000\nstartsecs=0\n", native=True)
        d.wait_all("RUNNING")
        pids = d.pids()
        found = {name: cgroup_of(pid) for name, pid in pids.items()}
        self.assertEqual(found["b:b"], cgroup_of(d.pid))
        self.assertEqual(len({found["a:%d" % i] for i in range(3)} | {found["b:b"]}), 4)
        d.stop("a:1")
        self.assertEqual([d.info(name)["statename"] for name in ("a:0", "a:1", "a:2", "b")],
                         ["RUNNING", "STOPPED", "RUNNING", "RUNNING"])

    def test_nothing_is_left_behind(self):
        d, pid, grandchild = self.escaped("cgroup", "obey", "[program:b]\ncommand=sleep 1000\n")
        place = cgroup_of(pid)
        d.stop("a")
        procs.wait_gone(grandchild)
        d.start("a")
        self.assertNotEqual(cgroup_of(d.pid_of("a")), place)  # the kernel would kill it there at once
        self.assertNotIn(os.path.basename(place), os.listdir(own_cgroup()))
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertEqual(left_by(place.split("-")[1]), [])

    def test_nor_where_who_is_killed_last_takes_its_time(self):
        """To give back so much memory."""
        d, pid, _ = self.escaped("cgroup", "obey", 'environment=WEIGHT="128"\n')
        place = cgroup_of(pid)
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertEqual(left_by(place.split("-")[1]), [])

    def test_nor_what_a_program_has_made_in_its_own(self):
        mount = own_cgroup().removesuffix(cgroup_of(os.getpid()).rstrip("/"))
        d = self.daemon("[program:a]\ncommand=sh -c 'mkdir -p %s$(sed -n s/^0:://p /proc/self/cgroup)/x/y; touch made;"
                        " exec sleep 1000'\nkill_mode=cgroup\n" % mount, native=True)
        for _ in range(2):  # by the next start, and by the end
            procs.wait_until(lambda: os.path.exists(self.path("made")), "its cgroups")
            os.unlink(self.path("made"))
            d.act("restart", "a")
            self.assertEqual(len(left_by(d.supervisor)), 1)
        procs.wait_until(lambda: os.path.exists(self.path("made")), "its cgroups")
        supervisor = d.supervisor
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertEqual(left_by(supervisor), [])

    def test_nor_by_a_start_that_fails(self):
        d = self.daemon("[program:a]\ncommand=sleep 1000\nkill_mode=cgroup\n", native=True,
                        preexec_fn=seccomp.refuse("clone3", error=errno.EAGAIN))
        procs.wait_until(lambda: "a: start waits" in d.log(), "the first try")
        self.assertEqual(left_by(d.supervisor), [])


class Others(Modes):
    def test_a_group_loses_who_has_left_it(self):
        d, _, grandchild = self.escaped("group")
        d.stop("a")
        self.assertTrue(procs.alive(grandchild))
        os.kill(grandchild, 9)
        procs.wait_gone(grandchild)

    def test_group_and_process(self):
        for mode, reached in (("group", True), ("process", False)):
            script = "sleep 1000 & echo $! >%s; exec sleep 1000" % self.path(mode)
            d = self.daemon("[program:a]\ncommand=sh -c '%s'\nkill_mode=%s\nstartsecs=0\n" % (script, mode),
                            native=True, directory=self.subdirectory(mode))
            procs.wait_until(lambda: procs.read(self.path(mode)).endswith(b"\n"), "the child's pid")
            child = int(procs.read(self.path(mode)))
            d.stop("a")
            if not reached:
                self.assertTrue(procs.alive(child))
                os.kill(child, 9)
            procs.wait_gone(child)

    def subdirectory(self, name):
        os.mkdir(self.path("d-" + name))
        return self.path("d-" + name)

    def test_where_none_can_be_made_it_is_said_once_and_is_as_a_group(self):
        self.needs_root()
        os.chmod(self.directory, 0o777)
        d = self.daemon("[program:a]\ncommand=sh -c 'sleep 1000 & wait'\nkill_mode=cgroup\nstartsecs=0\nnumprocs=3\n"
                        "process_name=%(process_num)d\n", native=True, user=65534, group=65534, extra_groups=[])
        d.wait_all("RUNNING")

        def look():
            below = [p for p in procs.descendants(d.pid) if procs.command_line(p) == "sleep 1000"]
            return below if len(below) == 3 else None
        below = procs.wait_until(look, "a child of each")
        d.act("stop", "a:*")
        for pid in below:
            procs.wait_gone(pid)
        self.assertEqual(d.log().count("no cgroup can be made"), 1)

    def test_what_makes_no_sense_is_refused(self):
        for keys, word in (("kill_mode=everybody\n", "everybody"), ("kill_mode=group\nstopasgroup=true\n", "stopasgroup"),
                           ("kill_mode=cgroup\nkillasgroup=false\n", "killasgroup")):
            d = self.daemon("[program:a]\ncommand=true\n" + keys, native=True, wait=False)
            d.expected_status = 2
            self.assertNotEqual(d.wait_exit(), 0)
            d.expected_status = d.process.returncode
            self.assertIn(word, d.stderr())


if __name__ == "__main__":
    unittest.main()
