"""Ten programs write, and something happens to the disk, or to their files."""
import ctypes
import os
import shutil
import subprocess
import time
import unittest

import drover
import procs

CLONE_NEWNS = 0x20000
JOBS = 10
SECONDS_FULL = float(os.environ.get("DISK_SECONDS", "1"))

# Writes numbered lines, a few at a time, until it is told to end; then how many they were.
WRITER = """
    import os, sys, time
    job, end, count = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    i = 0
    while not os.path.exists(end):
        data = b"".join(b"%d %d %s\\n" % (job, j, b"x" * (j % 90)) for j in range(i, i + 20))
        i += 20
        while data:
            data = data[os.write(1, data):]
        time.sleep(0.004)
    with open(count + ".new", "w") as f:
        f.write(str(i))
    os.rename(count + ".new", count)
"""

# Prints some lines and ends, again and again; the last run prints nothing and stays.
SHORT = """
    import os, sys, time
    count, end = sys.argv[1:]
    if os.path.exists(end):
        time.sleep(600)
    run = int(open(count).read())
    with open(count + ".new", "w") as f:
        f.write(str(run + 1))
    os.rename(count + ".new", count)
    for i in range(200):
        os.write(1, b"%d %d %s\\n" % (run, i, b"x" * (i % 90)))
"""

OTHER = """
            [program:other]
            command=sh -c "while read line; do echo $line; done"
            startsecs=0
            stdout_logfile=%(here)s/other.log
"""


def line(job, i):
    return b"%d %d %s\n" % (job, i, b"x" * (i % 90))


class Trouble(drover.TestCase):
    timeout = 120

    def setUp(self):
        super().setUp()
        self.needs_root()
        self.mount_program = self.needs("mount")
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
            self.skipTest("no namespace for mounts of its own")
        self.mount("--make-rprivate", "/")
        self.logs = self.path("logs")
        os.mkdir(self.logs)
        self.mount("-t", "tmpfs", "-o", "size=1g", "tmpfs", self.logs)
        self.addCleanup(subprocess.run, ["umount", "-l", self.logs], stderr=subprocess.DEVNULL, check=False)

    def mount(self, *words):
        subprocess.run([self.mount_program, *words], check=True)

    def begin(self, keys="", maxbytes="200KB"):
        self.write("writer.py", WRITER)
        os.mkdir(self.path("quiet"))
        self.quiet = self.daemon(OTHER, directory=self.path("quiet"))
        self.quiet.wait_state("other", "RUNNING")
        self.d = d = self.daemon("""
            [program:w]
            command=python3 %%(here)s/writer.py %%(process_num)d %%(here)s/end %%(here)s/count.%%(process_num)d
            process_name=%%(process_num)d
            numprocs=%d
            startsecs=0
            autorestart=false
            stdout_logfile=%%(here)s/logs/%%(process_num)d.log
            stdout_logfile_maxbytes=%s
            stdout_logfile_backups=1000
            %s
        """ % (JOBS, maxbytes, keys) + OTHER)
        d.wait_state("other", "RUNNING")
        self.until_all(lambda job: self.size(job) > 2000, "some lines")

    def log(self, job):
        return os.path.join(self.logs, "%d.log" % job)

    def size(self, job):
        """Of its log; 0 while that has been moved away and there is no other yet."""
        try:
            return os.path.getsize(self.log(job))
        except FileNotFoundError:
            return 0

    def until_all(self, condition, what):
        procs.wait_until(lambda: all(condition(job) for job in range(JOBS)), what, 40)

    def line_time(self, d):
        """Seconds from a line to the other program of this daemon to the same in its log, less those that the daemon
        or we wait for a processor."""
        self.said = getattr(self, "said", 0) + 1
        text, path = b"said %d\n" % self.said, os.path.join(d.directory, "other.log")
        both = d.get("/v1/daemon").json["supervisor_pid"], os.getpid()
        before, began = procs.starved(*both), time.perf_counter()
        d.post(d.process_path("other", "/stdin"), text)
        while not procs.read(path).endswith(text):
            self.assertLess(time.perf_counter() - began, 20, "the other program's line")
            time.sleep(0.0003)
        return time.perf_counter() - began - (procs.starved(*both) - before)

    def others_on_time(self):
        """As soon as where nothing is wrong with the disk, tried in turn on the same machine; and a delay that trouble
        makes is there each time."""
        seen = []

        def look():
            pairs = [(self.line_time(self.d), self.line_time(self.quiet)) for _ in range(9)]
            seen.append(tuple(sorted(times)[4] for times in zip(*pairs)))
            return seen[-1][0] < max(5 * seen[-1][1], 0.02)
        try:
            procs.wait_until(look, "another program's line")
        except AssertionError as error:
            self.fail("%s; seconds, with trouble and without: %s" % (error, seen[-10:]))

    def finish(self):
        """The programs end; how many lines each has written."""
        open(self.path("end"), "w").close()
        for job in range(JOBS):
            self.d.wait_event("close", "w:%d" % job, timeout=40)
        return [int(procs.read(self.path("count.%d" % job))) for job in range(JOBS)]

    def held(self, job, *more):
        """All of a log, the oldest first."""
        n = 1
        while os.path.exists("%s.%d" % (self.log(job), n)):
            n += 1
        names = list(more) + ["%s.%d" % (self.log(job), k) for k in range(n - 1, 0, -1)] + [self.log(job)]
        return b"".join(procs.read(name) for name in names)

    def check_whole(self, more=()):
        for job, lines in enumerate(self.finish()):
            expected = b"".join(line(job, i) for i in range(lines))
            data = self.held(job, *[name % job for name in more])
            if data != expected:
                at = next((k for k, (a, b) in enumerate(zip(data, expected)) if a != b), min(len(data), len(expected)))
                self.fail("job %d: %d bytes, not %d; at %d: %r" % (job, len(data), len(expected), at,
                                                                   data[max(0, at - 50):at + 50]))

    # -- the disk ----------------------------------------------------------------

    def fill(self):
        with open(os.path.join(self.logs, "filler"), "wb", buffering=0) as f:
            try:
                while f.write(b"f" * 4096):
                    pass
            except OSError:
                pass

    def small(self):
        self.mount("-o", "remount,size=8m", self.logs)

    def full(self, keys=""):
        self.small()
        self.begin(keys)
        descriptors = self.d.get("/v1/daemon").json["descriptors"]
        self.fill()
        for job in range(JOBS):
            e = self.d.wait_event("log", "w:%d" % job, reason="full", timeout=40)
            self.assertEqual(e["code"], "ENOSPC")
        self.assertTrue(all(self.d.info("w:%d" % job)["log_trouble"]["code"] == "ENOSPC" for job in range(JOBS)))
        # one has found out by trying, and keeps its bytes in a pipe of two ends; the others' are still where they were
        procs.wait_until(lambda: self.d.get("/v1/daemon").json["descriptors"] <= descriptors + 4, "no more descriptors")
        until = time.monotonic() + SECONDS_FULL
        while time.monotonic() < until:
            self.others_on_time()
        os.unlink(os.path.join(self.logs, "filler"))
        self.mount("-o", "remount,size=1g", self.logs)
        for job in range(JOBS):
            self.d.wait_event("log", "w:%d" % job, reason="recovered", timeout=40)

    def test_full(self):
        self.full()
        self.check_whole()
        for job in range(JOBS):  # once full, once well again, and not at each try
            reasons = [e["reason"] for e in self.d.history("w:%d" % job, "log") if e["reason"] != "rotated"]
            self.assertEqual(reasons, ["full", "recovered"])
            self.assertEqual(self.d.info("w:%d" % job)["log_dropped"], 0)

    def test_full_while_lines_are_dropped(self):
        """Lines are missing, but whole ones, and as many bytes as are counted."""
        self.small()
        self.begin("log_overflow=drop")
        self.fill()
        for job in range(JOBS):
            self.d.wait_event("log", "w:%d" % job, reason="dropped", timeout=40)
        self.others_on_time()
        os.unlink(os.path.join(self.logs, "filler"))
        self.mount("-o", "remount,size=1g", self.logs)
        for job in range(JOBS):
            self.d.wait_event("log", "w:%d" % job, reason="recovered", timeout=40)
        for job, lines in enumerate(self.finish()):
            data, written = self.held(job), sum(len(line(job, i)) for i in range(lines))
            numbers = [int(x.split()[1]) for x in data.splitlines() if x.count(b" ") == 2 and x == line(job, int(x.split()[1]))[:-1]]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertEqual(numbers[-1], lines - 1)
            torn = len(data.splitlines()) - len(numbers)
            self.assertLess(torn, 20)
            self.assertLessEqual(abs(len(data) + self.d.info("w:%d" % job)["log_dropped"] - written), 20)

    def test_read_only(self):
        """What is open is written to, and grows, until there may be files again."""
        self.begin(maxbytes="20KB")
        os.mkdir(self.path("aside"))  # where nobody opens a file before it is read-only
        self.mount("--bind", self.logs, self.path("aside"))
        self.mount("-o", "remount,bind,ro", self.path("aside"))
        self.mount("--move", self.path("aside"), self.logs)
        self.until_all(lambda job: self.size(job) > 60000, "files beyond their bound")
        self.others_on_time()

        def files(job):
            return sum(name.startswith("%d.log" % job) for name in os.listdir(self.logs))
        before = [files(job) for job in range(JOBS)]
        subprocess.run(["umount", "-l", self.logs], check=True)
        self.until_all(lambda job: files(job) > before[job], "rotation to go on")
        self.check_whole()

    def test_gone(self):
        """Another disk in its place: within two seconds the lines are there, as one of three times at least shows."""
        self.begin(maxbytes="0")
        seconds = []
        while not seconds or (seconds[-1] >= 4 and len(seconds) < 3):
            subprocess.run(["umount", "-l", self.logs], check=True)
            self.mount("-t", "tmpfs", "-o", "size=1g", "tmpfs", self.logs)
            began = time.monotonic()
            self.until_all(lambda job: self.size(job) > 2000, "new files")
            seconds.append(time.monotonic() - began)
        self.assertLess(seconds[-1], 4)
        self.others_on_time()
        for job, lines in enumerate(self.finish()):
            self.check_tail(job, self.held(job), lines)

    def check_tail(self, job, data, lines):
        """From some line on, every one of them, once."""
        first = data.index(b"\n") + 1
        begin = int(data[first:].split(b" ", 2)[1])
        self.assertEqual(data[first:], b"".join(line(job, i) for i in range(begin, lines)))
        self.assertTrue(line(job, begin - 1).endswith(data[:first]))

    # -- runs that end while their log takes nothing ---------------------------------

    def begin_short_runs(self, more=""):
        self.write("short.py", SHORT)
        self.count = self.write("count", "0")
        return self.daemon("""
            [program:short]
            command=python3 -S %%(here)s/short.py %%(here)s/count %%(here)s/end
            startsecs=0
            restart_interval=0
            autorestart=true
            stdout_logfile=%%(here)s/logs/short.log
            stdout_logfile_maxbytes=0
            %s
        """ % more, native=True)

    def fill(self):
        """Of a small disk, all but less than a run prints."""
        with open(self.path("logs", "filler"), "wb", buffering=0) as f:
            try:
                while f.write(b"f" * 4096):
                    pass
            except OSError:
                pass
        return self.path("logs", "filler")

    def test_runs_follow_each_other(self):
        """Of many that end while the disk is full no byte is lost; and each is whole before the next one begins, though
        the disk takes a page now and then, and supervisors are killed."""
        self.mount("-o", "remount,size=8m", self.logs)
        d = self.begin_short_runs()
        procs.wait_until(lambda: os.path.exists(self.path("logs", "short.log")), "a log")
        filler, log = self.fill(), self.path("logs", "short.log")
        waits = "short: start waits: its log does not take what earlier runs have printed: No space left"
        procs.wait_until(lambda: waits in d.log(), "a start that waits")
        for i in range(20):
            size = os.path.getsize(log)
            os.truncate(filler, os.path.getsize(filler) - 4096)
            procs.wait_until(lambda before=size: os.path.getsize(log) > before, "a page more")
            if i % 3 == 0:
                d.crash()
        open(self.path("end"), "w").close()
        os.unlink(filler)

        def all_is_there():
            runs = int(procs.read(self.count))
            return procs.read(log) == b"".join(line(run, i) for run in range(runs) for i in range(200))
        procs.wait_until(lambda: d.info("short")["statename"] == "RUNNING" and all_is_there(), "each run behind the one before")
        self.assertNotIn("the oldest pipe is closed", d.log())
        self.assertEqual(d.info("short")["log_dropped"], 0)

    def test_room_at_the_last_moment(self):
        """The daemon ends before it has looked again whether there is room: what waits is written all the same."""
        self.mount("-o", "remount,size=8m", self.logs)
        d = self.begin_short_runs()
        procs.wait_until(lambda: os.path.exists(self.path("logs", "short.log")), "a log")
        filler, log = self.fill(), self.path("logs", "short.log")
        procs.wait_until(lambda: "short: start waits" in d.log(), "a start that waits")
        os.unlink(filler)
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        runs = int(procs.read(self.count))
        self.assertGreater(runs, 8)
        self.assertEqual(procs.read(log), b"".join(line(run, i) for run in range(runs) for i in range(200)))

    # -- the files ----------------------------------------------------------------

    def test_removed(self):
        self.begin(maxbytes="0")
        old = {}
        for job in range(JOBS):
            old[job] = open(self.log(job), "rb")
            os.unlink(self.log(job))
        self.until_all(lambda job: self.size(job) > 2000, "new files")
        self.others_on_time()
        for job, lines in enumerate(self.finish()):
            # what went into the file that had no name any more is all that is missing
            with old[job] as f:
                self.assertEqual(f.read() + self.held(job), b"".join(line(job, i) for i in range(lines)))

    def test_renamed(self):
        self.begin(maxbytes="0")
        for job in range(JOBS):
            os.rename(self.log(job), self.path("logs", "old.%d" % job))
        self.until_all(lambda job: self.size(job) > 2000, "new files")
        self.others_on_time()
        self.check_whole([self.path("logs", "old.%d")])

    def test_copied_and_truncated(self):
        self.begin(maxbytes="0")
        for job in range(JOBS):
            shutil.copyfile(self.log(job), self.path("logs", "copy.%d" % job))
            os.truncate(self.log(job), 0)
        self.until_all(lambda job: self.size(job) > 2000, "lines")
        self.others_on_time()
        for job, lines in enumerate(self.finish()):
            data = self.held(job)
            self.assertNotIn(b"\0", data)  # no hole where the old bytes were
            self.check_tail(job, data, lines)

    def test_replaced_by_a_link(self):
        self.begin(maxbytes="0")
        for job in range(JOBS):
            os.link(self.log(job), self.path("logs", "old.%d" % job))
            os.symlink("elsewhere.%d" % job, self.path("logs", "link.%d" % job))
            os.rename(self.path("logs", "link.%d" % job), self.log(job))
        self.until_all(lambda job: os.path.exists(self.path("logs", "elsewhere.%d" % job)), "the files that they lead to")
        self.others_on_time()
        for job, lines in enumerate(self.finish()):
            self.assertTrue(os.path.islink(self.log(job)))
            names, n = [], 1
            while os.path.exists(self.path("logs", "elsewhere.%d.%d" % (job, n))):
                names.insert(0, self.path("logs", "elsewhere.%d.%d" % (job, n)))
                n += 1
            names = [self.path("logs", "old.%d" % job)] + names + [self.log(job)]
            self.assertEqual(b"".join(map(procs.read, names)), b"".join(line(job, i) for i in range(lines)))


if __name__ == "__main__":
    unittest.main()
