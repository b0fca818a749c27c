"""Processes that run when a daemon begins: found again by the journal, never started twice."""
import os
import resource
import shutil
import signal
import unittest

import drover
import procs

JOB = """
    [program:job]
    command=sleep 600
    startsecs=0
    killasgroup=true
    {more}
"""

MANY = """
    [program:{name}]
    command=sleep 600
    process_name=%(process_num)d
    numprocs={n}
    autostart={autostart}
    startsecs=0
"""

MASK = (1 << 64) - 1


def hash64(seed, data):
    """The sum of base/hash.c, to make a journal of another boot."""
    h = seed ^ (len(data) * 0xd6e8feb86659fd93 & MASK)
    for at in range(0, len(data), 8):
        word = int.from_bytes(data[at:at + 8].ljust(8, b"\0"), "little")
        h = ((h ^ word) * 0x9e3779b97f4a7c15) & MASK
        h = (h << 29 | h >> 35) & MASK
    h ^= h >> 32
    h = h * 0xd6e8feb86659fd93 & MASK
    return h ^ h >> 29


class Adoption(drover.TestCase):
    def again(self, d, config=None):
        if config is not None:
            d.configure(config)
        d.launch()

    def begin(self, more="", native=True, **options):
        d = self.daemon(JOB.format(more=more), native=native, **options)
        before = d.wait_state("job", "RUNNING")
        procs.begun(before["pid"])
        return d, before

    def end(self, pid):
        """Ends a process that has become ours, and takes its status, as PID 1 would."""
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def copies(self):
        """Of all processes of the machine, those of this test that are the job."""
        return [p for p in procs.pids() if procs.command_line(p) == "sleep 600" and procs.alive(p)
                and procs.link(p, "cwd").startswith(self.directory)]

    def journal(self, d):
        return os.path.join(d.directory, "state/journal" if d.native else "s.journal")

    def test_killed_and_started(self):
        for native in True, False:
            with self.subTest(native=native):
                d, before = self.begin(native=native)
                for _ in range(3):
                    d.end_all()
                    self.again(d)
                    after = d.wait_state("job", "RUNNING")
                    for key in "pid", "start", "restarts":
                        self.assertEqual(after[key], before[key], key)
                self.assertEqual(self.copies(), [before["pid"]])
                self.assertIn("adopted: 'job' with pid %d" % before["pid"], d.log())
                d.stop("job")
                self.assertFalse(procs.alive(before["pid"]))
                d.start("job")
                self.assertNotEqual(d.pid_of("job"), before["pid"])
                d.finish()
                self.assertFalse(os.path.exists(self.journal(d)))
                self.daemons.remove(d)

    def test_stop_reaches_the_group_of_an_adopted_one(self):
        d = self.daemon("""
            [program:job]
            command=sh -c 'trap "" TERM; sleep 600 & while :; do wait; done'
            stopsignal=KILL
            stopasgroup=true
            killasgroup=true
        """, native=True)
        pid = d.wait_state("job", "RUNNING")["pid"]
        members = procs.wait_until(lambda: procs.descendants(pid), "the child of the job")
        d.end_all()
        self.again(d)
        d.wait_state("job", "RUNNING")
        d.stop("job")
        for p in [pid] + members:
            procs.wait_gone(p)

    def test_its_exit_is_noticed(self):
        d, before = self.begin("autorestart=false")
        d.end_all()
        self.again(d)
        self.end(before["pid"])
        event = d.wait_event("exit", "job")
        info = d.wait_state("job", "EXITED")
        self.assertEqual(info["pid"], 0)
        # the kernel tells from Linux 6.15 on
        self.assertIn(event.get("signal"), ("SIGKILL", None))

    def test_an_exit_that_nobody_reaps_is_unexpected(self):
        d, before = self.begin("autorestart=unexpected")
        d.end_all()
        self.again(d)
        d.wait_state("job", "RUNNING")
        os.kill(before["pid"], signal.SIGKILL)  # a zombie of ours
        d.wait_event("exit", "job")
        after = d.wait_state("job", "RUNNING")
        self.assertNotEqual(after["pid"], before["pid"])
        self.assertEqual(after["restarts"], 1)

    def test_died_in_between(self):
        d, before = self.begin()
        d.end_all()
        self.end(before["pid"])
        self.again(d)
        after = d.wait_state("job", "RUNNING")
        self.assertNotEqual(after["pid"], before["pid"])
        self.assertIn("job: pid %d has ended while no daemon ran" % before["pid"], d.log())
        self.assertEqual(self.copies(), [procs.begun(after["pid"])])

    def test_another_definition(self):
        d, before = self.begin()
        d.end_all()
        self.again(d, JOB.format(more="environment=NEW=1"))
        self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
        self.assertIn("job: pid %d runs by an earlier definition" % before["pid"], d.log())
        d.end_all()
        mark = len(d.log())
        self.again(d, JOB.format(more=""))  # as it was
        self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
        self.assertNotIn("earlier definition", d.log()[mark:])

    def test_no_longer_configured(self):
        d, before = self.begin()
        other = "[program:other]\ncommand=sleep 500\n"
        d.end_all()
        for _ in range(2):
            mark = len(d.log())
            self.again(d, other)
            self.assertIn("job:job is no longer configured; its process %d runs on" % before["pid"], d.log()[mark:])
            d.end_all()
        self.again(d, "[program:job]\ncommand=sleep 600\nstartsecs=0\n" + other)
        self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
        self.assertEqual(self.copies(), [before["pid"]])

    def change(self, d, *places):
        with open(self.journal(d), "r+b") as f:
            for at, data in places:
                f.seek(at)
                f.write(data)

    def slot_of(self, d, name):
        """Where the slot in use by that name is, and which of its copies holds."""
        data = procs.read(self.journal(d))
        for slot in range(4096, len(data) - 383, 384):
            if data[slot:slot + 8].strip(b"\0") and data[slot + 34:].startswith(name):
                return slot, data[slot] & 1
        self.fail("%s has no slot" % name)

    def test_the_journal_of_yesterday(self):
        d, before = self.begin()
        d.end_all()
        head = bytearray(procs.read(self.journal(d))[:64])
        head[30] ^= 1  # in the boot id
        head[56:64] = hash64(1, bytes(head[:56])).to_bytes(8, "little")
        self.change(d, (0, head), (1024, head))
        self.end(before["pid"])
        mark = len(d.log())
        self.again(d)
        after = d.wait_state("job", "RUNNING")
        self.assertNotEqual(after["pid"], before["pid"])
        self.assertNotIn("has ended while", d.log()[mark:])  # nothing of it is believed
        self.assertNotIn("refused", d.log()[mark:])

    def test_a_damaged_slot(self):
        d, before = self.begin()
        d.end_all()
        slot, copy = self.slot_of(d, b"job:job")
        self.change(d, (slot + 96 + 144 * copy + 100, b"\xff\xff"))
        self.again(d)
        self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
        d.end_all()
        self.assertIn("slot 0 (job:job) is damaged; its process runs", d.log())
        slot, _ = self.slot_of(d, b"job:job")
        self.change(d, (slot + 96 + 100, b"\xff\xff"), (slot + 240 + 100, b"\xff\xff"))
        mark = len(d.log())
        self.again(d)
        self.assertIn("slot 0 (job:job) is damaged; no process is known by it", d.log()[mark:])
        os.kill(before["pid"], signal.SIGKILL)  # the price: it was started once more

    def test_a_damaged_slot_while_the_guardian_lives(self):
        """It knows who runs, even where nothing can be read any more; see tests/fault/injuries for each byte."""
        d = self.daemon("""
            [program:job]
            command=sh -c "while read line; do echo $line; done"
            startsecs=0
        """, native=True)
        before = d.wait_state("job", "RUNNING")
        for i, places in enumerate(((), (104, 248), (104, 248), (20, 104, 248))):  # the copies, and the head
            d.settle()
            slot, copy = self.slot_of(d, b"job:job")
            places = places or (104 + 144 * copy,)  # of the newer one alone
            self.change(d, *((slot + at, b"\xa5") for at in places))
            d.crash()
            self.assertEqual(d.wait_state("job", "RUNNING")["pid"], before["pid"])
            d.post(d.process_path("job", "/stdin"), b"said %d\n" % i)
            d.wait_output("job", "said %d\n" % i)
        self.assertEqual(d.log().count("is damaged; "), 4)
        d.deed("restart", "job")
        self.assertNotEqual(d.pid_of("job"), before["pid"])

    def test_no_room_for_a_journal(self):
        os.mkdir(self.path("state"), 0o700)
        os.mkdir(self.path("state", "journal.new"))
        open(self.path("state", "journal.new", "x"), "w").close()
        d, before = self.begin()
        self.assertIn("there is no journal beside", d.log())
        self.assertEqual(d.log().count("there is no journal"), 1)
        for _ in range(2):
            d.crash()  # the guardian has it all the same
            self.assertEqual(d.pid_of("job"), before["pid"])
        self.assertEqual(d.log().count("there is no journal"), 1)
        d.stop("job")

    def test_no_room_for_more(self):
        """Of many programs: what the files of the daemon may have at most is what its journal has by now."""
        d = self.daemon(MANY.format(name="idle", n=400, autostart="false"), native=True)
        size = os.stat(self.journal(d)).st_size
        resource.prlimit(d.supervisor, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        added = ["more:%d" % i for i in range(200)]
        d.update(MANY.format(name="idle", n=400, autostart="false") + MANY.format(name="more", n=200, autostart="true"))
        self.assertEqual(os.stat(self.journal(d)).st_size, size)
        self.assertEqual(d.log().count("cannot grow"), 1)
        before = {name: d.wait_state(name, "RUNNING")["pid"] for name in added}
        d.stop("more:7")
        for kills in range(2):
            d.crash()  # its successor has no such limit
            self.assertEqual({name: d.info(name)["pid"] for name in added}, {**before, "more:7": 0})
            self.assertEqual(d.log().count("has room for all processes again"), 1)
        self.assertGreater(os.stat(self.journal(d)).st_size, size)
        d.end_all()
        d.launch()  # from the disk alone
        self.assertEqual({name: d.info(name)["pid"] for name in added if name != "more:7"},
                         {name: pid for name, pid in before.items() if name != "more:7"})

    def test_the_state_directory_is_gone(self):
        d, before = self.begin()
        shutil.rmtree(self.path("state"))
        for _ in range(2):
            d.crash()
            self.assertEqual(d.pid_of("job"), before["pid"])
        d.stop("job")
        d.crash()
        self.assertEqual(d.info("job")["statename"], "STOPPED")

    def test_many(self):
        d = self.daemon("""
            [program:job]
            command=sleep 600
            process_name=%(process_num)s
            numprocs=100
            startsecs=0
        """, native=True)
        d.wait_all("RUNNING")
        before = d.pids()
        for pid in before.values():
            procs.begun(pid)
        for _ in range(3):
            d.end_all()
            self.again(d)
            self.assertEqual(d.pids(), before)
        self.assertEqual(sorted(self.copies()), sorted(before.values()))


if __name__ == "__main__":
    unittest.main()
