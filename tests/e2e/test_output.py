"""Where the output of processes goes, and that none of it is lost."""
import glob
import os
import unittest

import drover
import procs


class Files(drover.TestCase):
    def test_both_streams_have_a_file_of_their_own(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "echo to-out; echo to-err >&2; exec sleep 1000"
            startsecs=0
            stdout_logfile=%(here)s/%(program_name)s.out
            stderr_logfile=%(here)s/%(program_name)s.err
        """)
        d.wait_output("a", "to-out\n")
        d.wait_output("a", "to-err\n", stream="stderr")
        self.assertEqual(procs.read(self.path("a.out")), b"to-out\n")
        self.assertEqual(procs.read(self.path("a.err")), b"to-err\n")
        p = d.info("a")
        self.assertEqual((p["stdout_logfile"], p["stderr_logfile"]), (self.path("a.out"), self.path("a.err")))

    def test_redirect_stderr_keeps_the_order(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "for i in 1 2 3; do echo out$i; echo err$i >&2; done; exec sleep 1000"
            startsecs=0
            redirect_stderr=true
            stdout_logfile=%(here)s/both
        """)
        d.wait_output("a", "err3\n")
        self.assertEqual(procs.read(self.path("both")), b"out1\nerr1\nout2\nerr2\nout3\nerr3\n")
        self.assertIsNone(d.info("a")["stderr_logfile"])
        self.assertEqual(d.get(d.process_path("a", "/log"), stream="stderr").error["message"], "no log file")

    def test_auto_files_are_named_after_the_process_and_removed_at_the_next_start(self):
        config = """
            [program:a]
            command=echo hello
            startsecs=0
        """
        d = self.daemon(config)
        d.wait_output("a", "hello\n")
        first = d.info("a")["stdout_logfile"]
        self.assertRegex(first, "^%s/a-stdout---supervisor-[^/]+\\.log$" % self.directory)
        self.assertEqual(os.stat(first).st_mode & 0o777, 0o600)
        keep = self.write("a-stdout---other-abcdef.log", "of another daemon")
        d.kill()
        d.wait_exit()
        self.assertTrue(os.path.exists(first))
        d = self.daemon(config)
        d.wait_output("a", "hello\n")
        self.assertFalse(os.path.exists(first))
        self.assertTrue(os.path.exists(keep))
        d.kill()
        d.wait_exit()
        self.daemon(config, daemon="nocleanup=true\n").wait_output("a", "hello\n")
        self.assertEqual(len(glob.glob(self.path("a-stdout---supervisor-*.log"))), 2)

    def test_an_auto_file_stays_the_same_over_restarts(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "echo hello; exec sleep 1000"
            startsecs=0
        """)
        d.wait_output("a", "hello\n")
        first = d.info("a")["stdout_logfile"]
        d.deed("restart", "a")
        d.wait_output("a", "hello\nhello\n")
        self.assertEqual(d.info("a")["stdout_logfile"], first)

    def test_none_takes_everything_and_keeps_nothing(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "head -c 3000000 /dev/zero; exit 5"
            startsecs=0
            autorestart=false
            stdout_logfile=NONE
        """)
        self.assertEqual(d.wait_event("exit", "a")["status"], 5)
        self.assertIsNone(d.info("a")["stdout_logfile"])
        reply = d.get(d.process_path("a", "/log"))
        self.assertEqual((reply.status, reply.error["fault"], reply.error["message"]),
                         (404, "NO_FILE", "no log file"))

    def test_every_byte_is_kept_as_it_is(self):
        data = bytes(range(256)) * 2000
        self.write("data", data)
        d = self.daemon("""
            [program:a]
            command=cat %(here)s/data
            startsecs=0
            stdout_logfile=%(here)s/out
        """)
        d.wait_event("close", "a")
        self.assertEqual(procs.read(self.path("out")), data)
        self.assertEqual(d.output("a"), data)

    def test_programs_may_share_a_file(self):
        d = self.daemon("""
            [program:w]
            command=sh -c "i=0; while test $i -lt 200; do echo %(process_num)d-$i; i=$((i+1)); done"
            numprocs=5
            process_name=%(process_num)d
            startsecs=0
            stdout_logfile=%(here)s/shared
        """)
        for i in range(5):
            d.wait_event("close", "w:%d" % i)
        lines = procs.read(self.path("shared")).decode().split()
        self.assertEqual(sorted(lines), sorted("%d-%d" % (n, i) for n in range(5) for i in range(200)))

    def test_an_existing_file_is_appended_to(self):
        self.write("out", "before\n")
        d = self.daemon("""
            [program:a]
            command=echo after
            startsecs=0
            stdout_logfile=%(here)s/out
        """)
        d.wait_output("a", "after\n")
        self.assertEqual(procs.read(self.path("out")), b"before\nafter\n")

    def test_strip_ansi(self):
        self.write("colours", "plain \x1b[1;31mred\x1b[0m \x1b[38;5;12mblue\x1b[m end\n")
        for strip, expected in (("true", b"plain red blue end\n"), ("false", procs.read(self.path("colours")))):
            with self.subTest(strip_ansi=strip):
                d = self.daemon("""
                    [program:a]
                    command=cat %%(here)s/colours
                    startsecs=0
                    stdout_logfile=%%(here)s/out-%s
                """ % strip, daemon="strip_ansi=%s\n" % strip)
                self.assertEqual(d.wait_output("a", "end\n"), expected)
                d.kill()
                d.wait_exit()

    def test_a_file_that_was_removed_is_made_again(self):
        """Noticed at a write that comes more than a second later."""
        d = self.daemon("""
            [program:a]
            command=sh -c "while echo tick; do sleep 0.1; done"
            startsecs=0
            stdout_logfile=%(here)s/out
        """)
        d.wait_output("a", "tick\n")
        os.rename(self.path("out"), self.path("out.old"))
        procs.wait_until(lambda: procs.read(self.path("out")), "a new file of the old name")
        procs.wait_until(lambda: procs.read(self.path("out")).count(b"tick\n") > 2, "more in it")


class LastWords(drover.TestCase):
    def test_the_last_line_before_death_is_kept(self):
        d = self.daemon("""
            [program:w]
            command=sh -c "echo on stderr >&2; echo the last line; kill -9 $$"
            numprocs=40
            process_name=%(process_num)d
            startsecs=0
            autorestart=false
            stdout_logfile=%(here)s/%(process_num)d.out
            stderr_logfile=%(here)s/%(process_num)d.err
        """)
        for i in range(40):
            exit = d.wait_event("exit", "w:%d" % i)
            d.wait_event("close", "w:%d" % i, after=exit["seq"])
            self.assertEqual(procs.read(self.path("%d.out" % i)), b"the last line\n")
            self.assertEqual(procs.read(self.path("%d.err" % i)), b"on stderr\n")

    def test_a_full_pipe_is_emptied_after_death(self):
        """What stood in the pipe when its writer died: 60,000 bytes in one go."""
        d = self.daemon("""
            [program:a]
            command=python3 -c "import os; os.write(1, b'x' * 60000 + b'end'); os.kill(os.getpid(), 9)"
            startsecs=0
            autorestart=false
        """)
        d.wait_event("close", "a")
        self.assertEqual(d.output("a"), b"x" * 60000 + b"end")

    def test_output_without_a_final_newline(self):
        d = self.daemon("""
            [program:a]
            command=printf unfinished
            startsecs=0
        """)
        d.wait_event("close", "a")
        self.assertEqual(d.output("a"), b"unfinished")

    def test_the_daemons_own_end_loses_nothing(self):
        d = self.daemon("""
            [program:a]
            command=sh -c "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
            startsecs=0
            stdout_logfile=%(here)s/out
        """)
        d.wait_output("a", "ready\n")
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertEqual(procs.read(self.path("out")), b"ready\ngoodbye\n")

    def test_a_grandchild_with_the_pipe_neither_delays_the_exit_nor_is_cut_off(self):
        os.mkfifo(self.path("gate"))
        d = self.daemon("""
            [program:a]
            command=sh -c "(read x <gate; echo late) & echo early; exit 3"
            directory=%(here)s
            startsecs=0
            autorestart=false
        """)
        exit = d.wait_event("exit", "a")  # comes while the grandchild still has the pipe
        self.assertEqual(exit["status"], 3)
        self.assertEqual(d.output("a"), b"early\n")
        self.assertEqual(d.history("a", "close"), [])
        with open(self.path("gate"), "w") as gate:
            gate.write("go\n")
        d.wait_event("close", "a", after=exit["seq"])
        self.assertEqual(d.output("a"), b"early\nlate\n")

    def test_the_next_run_does_not_wait_for_a_grandchild_either(self):
        os.mkfifo(self.path("gate"))
        d = self.daemon("""
            [program:a]
            command=sh -c "test -e second && { echo second; exec sleep 1000; }; : >second;
                (read x <gate; echo late) & exit 3"
            directory=%(here)s
            startsecs=0
        """)
        d.wait_output("a", "second\n")
        with open(self.path("gate"), "w") as gate:
            gate.write("go\n")
        self.assertEqual(d.wait_output("a", "late\n"), b"second\nlate\n")


class Rotation(drover.TestCase):
    def test_at_the_end_of_a_line_and_none_is_lost(self):
        d = self.daemon("""
            [program:a]
            command=seq -f "line number %%05g" 1 300
            startsecs=0
            stdout_logfile=%(here)s/out
            stdout_logfile_maxbytes=1KB
            stdout_logfile_backups=9
        """)
        d.wait_event("close", "a")
        files = [self.path("out")] + [self.path("out.%d" % i) for i in range(1, 10)]
        parts = [procs.read(f) for f in files if os.path.exists(f)]
        self.assertGreater(len(parts), 4)
        for part in parts:
            self.assertTrue(part == b"" or part.endswith(b"\n"))
            self.assertLess(len(part), 1024 + 18)
        whole = b"".join(reversed(parts)).decode().split("\n")[:-1]
        self.assertEqual(whole, ["line number %05d" % i for i in range(1, 301)])
        self.assertEqual(d.wait_event("log", "a", reason="rotated")["stream"], "stdout")

    def test_as_many_backups_as_asked_for(self):
        d = self.daemon("""
            [program:a]
            command=seq -f "line number %%05g" 1 1000
            startsecs=0
            stdout_logfile=%(here)s/out
            stdout_logfile_maxbytes=1KB
            stdout_logfile_backups=2
        """)
        d.wait_event("close", "a")
        self.assertEqual(sorted(os.path.basename(f) for f in glob.glob(self.path("out*"))), ["out", "out.1", "out.2"])
        parts = [procs.read(self.path(f)) for f in ("out.2", "out.1", "out")]
        numbers = [int(line.split()[2]) for line in b"".join(parts).splitlines()]
        self.assertEqual(numbers, list(range(numbers[0], 1001)))

    def test_zero_means_never(self):
        d = self.daemon("""
            [program:a]
            command=head -c 300000 /dev/zero
            startsecs=0
            stdout_logfile=%(here)s/out
            stdout_logfile_maxbytes=0
        """)
        d.wait_event("close", "a")
        self.assertEqual(os.stat(self.path("out")).st_size, 300000)
        self.assertEqual(glob.glob(self.path("out.*")), [])


if __name__ == "__main__":
    unittest.main()
