"""What logs hold, and what happens when they take no more."""
import json
import os
import re
import resource
import subprocess
import unittest

import drover
import procs

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
ECHO = """
    [program:a]
    command=sh -c "while read line; do echo $line; done"
    startsecs=0
    stdout_logfile=%(here)s/a.log
"""

class Base(drover.TestCase):
    def ctl(self, d, *words):
        r = subprocess.run([drover.DROVERCTL, "-c", d.file, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, universal_newlines=True, timeout=30, check=False)
        return r.stdout

    def say(self, d, text, name="a"):
        d.post(d.process_path(name, "/stdin"), text)

    def link(self, target, name="a.log"):
        """Puts a link to the target in the place of that log, in one step."""
        os.symlink(target, self.path("new"))
        os.rename(self.path("new"), self.path(name))


class Formats(Base):
    def test_a_time_before_each_line(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "echo one; printf 'two in '; read wait; echo parts; printf last"
            startsecs=0
            log_format=timestamp
            stdout_logfile=%(here)s/a.log
        """)
        d.wait_output("a", " one\n")
        self.say(d, b"\n")
        d.wait_event("close", "a")
        text = procs.read(self.path("a.log")).decode()
        self.assertRegex(text, r"\A%s one\n%s two in parts\n%s last\n\Z" % (TIME, TIME, TIME))

    def test_an_object_a_line_of_both_streams_in_one_file(self):
        d = self.daemon(r"""
            [program:a]
            command=sh -c 'i=0; while test $i -lt 300; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); done; printf "\377"'
            startsecs=0
            log_format=json
            stdout_logfile=%(here)s/a.log
            stderr_logfile=%(here)s/a.log
        """)
        d.wait_event("close", "a")
        lines = [json.loads(line) for line in procs.read(self.path("a.log")).splitlines()]
        self.assertEqual([x["message"] for x in lines if x["stream"] == "stderr"], ["err %d" % i for i in range(300)])
        out = [x for x in lines if x["stream"] == "stdout"]
        self.assertEqual([x.get("message") for x in out], ["out %d" % i for i in range(300)] + [None])
        self.assertEqual(out[-1]["message_base64"], "/w==")
        for x in lines:
            self.assertEqual(x["process"], "a:a")
            self.assertRegex(x["time"], "^%s$" % TIME)

    def test_a_follower_reads_the_log_or_the_bytes_themselves(self):
        d = self.daemon(ECHO + "    log_format=timestamp\n")
        d.wait_state("a", "RUNNING")
        log = d.client.stream(d.process_path("a", "/log"), offset=0, follow=1)
        raw = d.client.stream(d.process_path("a", "/log"), offset=0, follow=1, raw=1)
        self.say(d, b"hello\n")
        self.assertRegex(log.until_text("hello\n").decode(), "^%s hello\n$" % TIME)
        self.assertEqual(raw.until_text("hello\n"), b"hello\n")
        log.close()
        raw.close()

    def test_another_word_is_refused(self):
        path = self.write("bad.conf", "[droverd]\n[program:a]\ncommand=cat\nlog_format=yaml\nlog_overflow=panic\n")
        r = subprocess.run([drover.DROVERD, "-t", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           universal_newlines=True, timeout=30, check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn('bad.conf:4: [program:a] log_format: "yaml" is not raw, timestamp or json', r.stdout)
        self.assertIn('bad.conf:5: [program:a] log_overflow: "panic" is not block or drop', r.stdout)


class Full(Base):
    def test_bytes_wait_until_there_is_room(self):
        self.link("/dev/full")
        d = self.daemon("""
            [program:a]
            command=sh -c "i=0; while test $i -lt 20000; do echo line $i; i=$((i+1)); done"
            startsecs=0
            stdout_logfile=%(here)s/a.log
            [program:other]
            command=sh -c "while read line; do echo $line; done"
            startsecs=0
        """)
        e = d.wait_event("log", "a", reason="full")
        self.assertEqual((e["stream"], e["code"]), ("stdout", "ENOSPC"))
        trouble = d.info("a")["log_trouble"]
        self.assertEqual((trouble["code"], trouble["path"], trouble["dropping"]), ("ENOSPC", self.path("a.log"), False))
        words = "log full, stdout waits: No space left on device"
        self.assertRegex(self.ctl(d, "status", "a"), r"^a +RUNNING +pid \d+, uptime 0:00:\d\d  \(%s\)\n$" % words)
        self.assertIn(words, self.ctl(d, "show", "a"))
        self.assertIn("%s (%s)" % (words, self.path("a.log")), self.ctl(d, "why", "a"))
        self.say(d, b"not held up\n", "other")
        d.wait_output("other", "not held up\n")
        self.assertIsNone(d.info("other")["log_trouble"])
        self.link("there-is-room")
        d.wait_event("log", "a", reason="recovered")
        d.wait_event("close", "a")
        self.assertEqual(procs.read(self.path("there-is-room")), b"".join(b"line %d\n" % i for i in range(20000)))
        self.assertEqual((d.info("a")["log_trouble"], d.info("a")["log_dropped"]), (None, 0))
        self.assertNotIn("log full", self.ctl(d, "status", "a"))

    def test_rewritten_lines_wait_as_well(self):
        self.write("data", b"".join(b"line %d\n" % i for i in range(20000)) + b"unended")
        d = self.daemon("""
            [program:a]
            command=sh -c "read go; exec cat %(here)s/data"
            startsecs=0
            log_format=json
            stdout_logfile=%(here)s/a.log
        """)
        d.wait_state("a", "RUNNING")
        resource.prlimit(d.supervisor, resource.RLIMIT_FSIZE, (100000, resource.RLIM_INFINITY))  # amid what one read makes
        self.say(d, b"go\n")
        self.assertEqual(d.wait_event("log", "a", reason="full")["code"], "EFBIG")
        resource.prlimit(d.supervisor, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        d.wait_event("close", "a")
        lines = [json.loads(line)["message"] for line in procs.read(self.path("a.log")).splitlines()]
        self.assertEqual(lines, ["line %d" % i for i in range(20000)] + ["unended"])
        self.assertEqual(len(d.history("a", "log")), 2)

    def test_what_is_lost_at_the_end_is_told(self):
        self.link("/dev/full")
        d = self.daemon("""
            [program:a]
            command=sh -c "echo 12345; exec sleep 1000"
            startsecs=0
            stdout_logfile=%(here)s/a.log
        """)
        d.wait_event("log", "a", reason="full")
        d.kill()
        d.wait_exit()
        self.assertIn("a: stdout: log dropped: No space left on device (6 bytes were dropped)", d.log())


class Drop(Base):
    def test_the_program_goes_on_and_its_bytes_are_counted(self):
        self.link("/dev/full")
        d = self.daemon("""
            [program:a]
            command=sh -c "head -c 500000 /dev/zero | tr '\\\\0' '\\\\n'; read wait; echo after; exec sleep 1000"
            startsecs=0
            log_overflow=drop
            stdout_logfile=%(here)s/a.log
        """)
        e = d.wait_event("log", "a", reason="dropped")
        self.assertEqual(e["code"], "ENOSPC")
        self.assertGreater(e["bytes"], 0)
        procs.wait_until(lambda: d.info("a")["log_dropped"] == 500000, "all to be dropped")
        trouble = d.info("a")["log_trouble"]
        self.assertEqual((trouble["dropping"], trouble["message"]),
                         (True, "log full, stdout is dropped: No space left on device"))
        self.link("there-is-room")
        d.post("/v1/logs/reopen")
        self.say(d, b"\n")
        d.wait_output("a", "after\n")
        self.assertEqual(procs.read(self.path("there-is-room")), b"after\n")
        self.assertEqual(d.info("a")["log_dropped"], 500000)

    def test_lines_are_dropped_whole(self):
        before = b"." * ((1 << 20) - 15) + b"\n"
        self.write("a.log", before)
        d = self.daemon("""
            [program:a]
            command=cat
            startsecs=0
            log_overflow=drop
            stdout_logfile=%(here)s/a.log
        """)
        d.wait_state("a", "RUNNING")
        resource.prlimit(d.supervisor, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        self.say(d, b"1234567\nabcdefghijkl")  # 14 bytes go in
        procs.wait_until(lambda: d.info("a")["log_dropped"] == 6, "the rest to be dropped")
        resource.prlimit(d.supervisor, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.say(d, b"mno\n")  # of a line that has been dropped

        def look():  # recovered only when nothing was dropped for a second
            self.say(d, b"next\n")
            return [e for e in d.history("a", "log") if e["reason"] == "recovered"]
        procs.wait_until(look, "recovery")
        e = look()[0]
        self.assertEqual(e["bytes"], 10)
        self.assertEqual(d.info("a")["log_dropped"], 10)
        text = procs.read(self.path("a.log"))[len(before):]
        self.assertTrue(re.fullmatch(rb"1234567\nabcdef\n(next\n)+", text), text)


class Reopen(Base):
    def test_by_droverctl(self):
        d = self.daemon(ECHO)
        d.wait_state("a", "RUNNING")
        self.say(d, b"before\n")
        d.wait_output("a", "before\n")
        os.rename(self.path("a.log"), self.path("old"))
        os.rename(self.path("log"), self.path("old-log"))
        self.assertEqual(self.ctl(d, "reopen"), "Reopened the logs\n")
        self.assertTrue(os.path.exists(self.path("log")))
        self.say(d, b"after\n")
        d.wait_output("a", "after\n")
        self.assertEqual((procs.read(self.path("old")), procs.read(self.path("a.log"))), (b"before\n", b"after\n"))

    def test_what_cannot_be_opened_is_said_and_goes_on(self):
        d = self.daemon(ECHO)
        d.wait_state("a", "RUNNING")
        os.rename(self.path("a.log"), self.path("old"))
        os.mkdir(self.path("a.log"))
        self.assertIn("1 log could not be opened again under its name", self.ctl(d, "reopen"))
        self.say(d, b"kept\n")
        procs.wait_until(lambda: procs.read(self.path("old")) == b"kept\n", "the line in the old file")

    def test_two_names_of_one_file_rotate_as_one(self):
        self.link("a.log", "link.log")
        d = self.daemon("""
            [program:w]
            command=sh -c "i=0; while test $i -lt 2000; do echo %(process_num)d-$i; echo %(process_num)d+$i >&2; i=$((i+1)); done"
            numprocs=3
            process_name=%(process_num)d
            startsecs=0
            stdout_logfile=%(here)s/a.log
            stdout_logfile_maxbytes=5KB
            stdout_logfile_backups=50
            stderr_logfile=%(here)s/link.log
            stderr_logfile_maxbytes=5KB
            stderr_logfile_backups=50
        """)
        for i in range(3):
            d.wait_event("close", "w:%d" % i)
        names = [n for n in os.listdir(self.directory) if n.startswith("a.log")]
        self.assertFalse([n for n in os.listdir(self.directory) if n.startswith("link.log.")])
        self.assertGreater(len(names), 10)
        for name in set(names) - {"a.log"}:  # two writers would each count only what they wrote themselves
            self.assertLess(os.stat(self.path(name)).st_size, 5 * 1024 + 20, name)
        lines = b"".join(procs.read(self.path(n)) for n in names).decode().split()
        self.assertEqual(sorted(lines), sorted("%d%s%d" % (n, c, i) for n in range(3) for i in range(2000) for c in "+-"))


class Following(Base):
    def test_more_than_there_are_connections(self):
        d = self.daemon("""
            [program:p]
            command=sh -c "echo begin; while read line; do echo $line; echo $line >&2; done"
            process_name=%(process_num)02d
            numprocs=40
            startsecs=0
            stdout_logfile=%(here)s/%(process_num)02d.log
            stdout_logfile_maxbytes=100
        """)
        d.wait_all("RUNNING")
        for i in range(40):
            d.wait_output("p:%02d" % i, "begin\n")
        ctl = subprocess.Popen([drover.DROVERCTL, "-c", d.file, "logs", "-f", "p:*"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, universal_newlines=True)
        self.known.add(ctl.pid)
        seen = {ctl.stdout.readline() for _ in range(40)}
        self.assertEqual(seen, {"p:%02d | begin\n" % i for i in range(40)})
        for text in "one", "two":
            for i in 0, 25, 39:
                self.say(d, text.encode() + b"\n", "p:%02d" % i)
            seen = {ctl.stdout.readline() for _ in range(6)}
            self.assertEqual(seen, {"p:%02d %s %s\n" % (i, c, text) for i in (0, 25, 39) for c in "|!"})
        self.say(d, b"x" * 200 + b"\n", "p:07")  # and its log is rotated
        self.assertEqual({ctl.stdout.readline() for _ in range(2)}, {"p:07 %s %s\n" % (c, "x" * 200) for c in "|!"})
        self.say(d, b"new\n", "p:07")
        self.assertEqual({ctl.stdout.readline() for _ in range(2)}, {"p:07 | new\n", "p:07 ! new\n"})
        ctl.send_signal(2)
        self.assertEqual(ctl.wait(10), 0)
        ctl.stdout.close()


if __name__ == "__main__":
    unittest.main()
