"""Much output, through rotation: nothing is lost or doubled, and nobody else waits for it."""
import os
import statistics
import unittest

import drover
import procs

MIB = int(os.environ.get("FLOOD_MIB", "64"))  # of each kind
LINES = (MIB << 20) // 100
ROTATE = 5 << 20

WRITER = """
    import os, sys
    size, n = int(sys.argv[1]), int(sys.argv[2])
    sys.stdin.readline()
    i = 0
    while i < n:
        k = min(size, n - i)
        data = b"".join(b"%098d\\n" % j for j in range(i, i + k)) if k > 1 else b"%098d\\n" % i
        i += k
        while data:
            data = data[os.write(1, data):]
"""
LINE = 99  # as the writer makes them


class Flood(drover.TestCase):
    timeout = 240

    def whole(self, name):
        """Of all files in order: that they hold every line once, and end where they should."""
        n = 1
        while os.path.exists(self.path("%s.%d" % (name, n))):
            n += 1
        files = [self.path("%s.%d" % (name, k)) for k in range(n - 1, 0, -1)] + [self.path(name)]
        i = 0
        for path in files:
            data = procs.read(path)
            self.assertEqual(len(data) % LINE, 0, path)  # cut at the end of a line
            more = len(data) // LINE
            self.assertEqual(data, b"".join(b"%098d\n" % j for j in range(i, i + more)), path)
            i += more
        self.assertEqual(i, LINES)
        return n - 1

    def flood(self, lines_a_write):
        self.write("writer.py", WRITER)
        d = self.daemon("""
            [program:a]
            command=python3 %%(here)s/writer.py %d %d
            startsecs=0
            autorestart=false
            stdout_logfile=%%(here)s/a.log
            stdout_logfile_maxbytes=%d
            stdout_logfile_backups=10000
            [program:other]
            command=sh -c "while read line; do echo $line; done"
            startsecs=0
        """ % (lines_a_write, LINES, ROTATE))
        d.wait_state("a", "RUNNING")
        twin = self.twin(d)
        ours, theirs = d.supervisor, twin.supervisor
        d.post(d.process_path("a", "/stdin"), b"\n")
        procs.wait_until(lambda: os.path.exists(self.path("a.log.1")), "the first rotation")
        busy, idle = [], []
        while d.info("a")["statename"] == "RUNNING" or not busy:
            busy.append(d.request_time(ours))
            idle.append(twin.request_time(theirs))  # in turn, for what else the machine does
        d.wait_event("close", "a", timeout=120)
        self.assertGreaterEqual(self.whole("a.log"), LINES * LINE // (ROTATE + 200))
        self.assertLess(statistics.median(busy), 5 * statistics.median(idle), "an answer amid the flood, and an idle one")

    def test_lines(self):
        self.flood(1)

    def test_blocks(self):
        self.flood(655)


if __name__ == "__main__":
    unittest.main()
