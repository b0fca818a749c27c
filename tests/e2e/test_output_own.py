"""Output that goes where the daemon's own goes: containers read it there."""
import os
import select
import socket
import time
import unittest

import drover
import procs

TALKER = """
    [program:a]
    command=sh -c "echo to-out; echo to-err >&2; exec sleep 1000"
    startsecs=0
    stdout_logfile=/dev/stdout
    stdout_logfile_maxbytes=0
    stderr_logfile=/dev/stderr
    stderr_logfile_maxbytes=0
"""


def read_until(fd, *texts, size=0, timeout=20):
    """Until all of these have come, in whatever order, and so many bytes."""
    data, deadline = b"", time.monotonic() + 2 * timeout
    while len(data) < size or not all(text in data for text in texts):
        if not select.select([fd], [], [], timeout)[0] or time.monotonic() > deadline:
            raise AssertionError("waiting for %r; so far %d, and %r" % (texts, len(data), data[-500:]))
        piece = os.read(fd, 65536)
        if not piece:
            raise AssertionError("ended before %r; so far %r" % (texts, data[-500:]))
        data += piece
    return data


class Own(drover.TestCase):
    def test_a_file(self):
        d = self.daemon(TALKER, args=["-s"])
        procs.wait_until(lambda: b"to-out\n" in procs.read(self.path("stdout")), "stdout in the daemon's stdout")
        procs.wait_until(lambda: b"to-err\n" in procs.read(self.path("stderr")), "stderr in the daemon's stderr")
        self.assertNotIn(b"to-err", procs.read(self.path("stdout")))
        d.wait_state("a", "RUNNING")

    def test_a_pipe(self):
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        self.daemon(TALKER, args=["-s"], stdout=theirs, stderr=theirs)
        os.close(theirs)
        read_until(ours, b"to-out\n", b"to-err\n")

    def test_a_socket(self):
        """As under systemd, where /dev/stdout itself cannot be opened."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.daemon(TALKER, args=["-s"], stdout=theirs, stderr=theirs)
        theirs.close()
        read_until(ours.fileno(), b"to-out\n", b"to-err\n")

    def test_dev_fd(self):
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        self.daemon("""
            [program:a]
            command=sh -c "echo one; echo two >&2; exec sleep 1000"
            startsecs=0
            redirect_stderr=true
            stdout_logfile=/dev/fd/1
            stdout_logfile_maxbytes=0
        """, args=["-s"], stdout=theirs)
        os.close(theirs)
        self.assertEqual(read_until(ours, b"two\n"), b"one\ntwo\n")

    def test_the_daemons_log_and_its_programs_share_stdout(self):
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        d = self.daemon(TALKER, stdout=theirs, stderr=theirs)
        os.close(theirs)
        read_until(ours, b"to-out\n", b"spawned: 'a'")
        self.assertEqual(d.get(d.process_path("a", "/log")).error["fault"], "NO_FILE")

    def test_a_pipe_that_nobody_reads_holds_up_its_writer_and_nobody_else(self):
        ours, theirs = os.pipe()
        d = self.daemon("""
            [program:loud]
            command=sh -c "head -c 1000000 /dev/zero | tr '\\\\0' x; echo end; exec sleep 1000"
            startsecs=0
            stdout_logfile=/dev/stdout
            stdout_logfile_maxbytes=0
            stopasgroup=true
            [program:quiet]
            command=sh -c "while echo tick; do sleep 0.02; done"
            startsecs=0
        """, args=["-s"], stdout=theirs)
        os.close(theirs)
        d.wait_output("quiet", "tick\n" * 20)
        self.assertLess(d.get("/v1/daemon").json["memory"], 64 << 20)
        d.wait_state("loud", "RUNNING")
        data = read_until(ours, b"end\n")  # now somebody does
        self.assertEqual(len(data), 1000004)
        self.assertEqual(data.strip(b"x"), b"end\n")
        os.close(ours)

    def test_many_wait_for_one_pipe_in_turn(self):
        """Each time that somebody's turn comes something of it gets in."""
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        d = self.daemon("""
            [program:w]
            command=sh -c "head -c 300000 /dev/zero | tr '\\0' $0; exec sleep 1000" %(process_num)d
            process_name=%(process_num)d
            numprocs=8
            startsecs=0
            stdout_logfile=/dev/stdout
            stdout_logfile_maxbytes=0
            stopasgroup=true
        """, args=["-s"], stdout=theirs)
        os.close(theirs)
        for i in range(8):
            d.wait_state("w:%d" % i, "RUNNING")
        procs.wait_asleep(d.supervisor)
        data = read_until(ours, size=8 * 300000)
        self.assertEqual([data.count(b"%d" % i) for i in range(8)], [300000] * 8)

    def test_a_reader_that_goes_away_ends_nobody(self):
        ours, theirs = os.pipe()
        d = self.daemon("""
            [program:a]
            command=sh -c "while echo tick; do echo tock >&2; sleep 0.02; done"
            startsecs=0
            stdout_logfile=/dev/stdout
            stdout_logfile_maxbytes=0
        """, args=["-s"], stdout=theirs)
        os.close(theirs)
        read_until(ours, b"tick\n")
        os.close(ours)
        d.deed("restart", "a")
        self.assertEqual(d.info("a")["statename"], "RUNNING")

    def test_the_end_is_not_held_up_by_a_full_pipe(self):
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        d = self.daemon("""
            [program:loud]
            command=cat /dev/zero
            startsecs=0
            stdout_logfile=/dev/stdout
            stdout_logfile_maxbytes=0
        """, stdout=theirs, stderr=theirs)
        os.close(theirs)
        d.wait_state("loud", "RUNNING")
        d.kill()
        self.assertEqual(d.wait_exit(), 0)


if __name__ == "__main__":
    unittest.main()
