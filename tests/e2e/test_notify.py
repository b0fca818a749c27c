"""What a service manager is told: READY, STATUS, RELOADING, STOPPING, WATCHDOG; the test plays the manager."""
import collections
import contextlib
import os
import signal
import socket
import time
import unittest

import drover
import procs


class Manager:
    FULL = "of somebody else"

    def __init__(self, test, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        if not address.startswith("@"):
            os.chmod(address, 0o777)
        test.addCleanup(self.socket.close)
        self.seen = []

    def wait(self, found, what, timeout=20):
        """Until a message fits; that message as a dictionary."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self.seen:
                if found(message):
                    return message
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(65536).decode()
            except socket.timeout:
                raise AssertionError("never told %s; told: %s" % (what, self.seen))
            if data != self.FULL:
                self.seen.append(dict(line.split("=", 1) for line in data.splitlines()))

    def fill(self):
        """Until it has room for nothing more, whoever sends."""
        senders, told = [], 1
        while told > 0:
            told = 0
            senders.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            with contextlib.suppress(BlockingIOError):
                while True:
                    senders[-1].sendto(self.FULL.encode(), socket.MSG_DONTWAIT, self.socket.getsockname())
                    told += 1
        for s in senders:
            s.close()

    def wait_key(self, key):
        return self.wait(lambda m: key in m, key)


class Keeper(Manager):
    """A manager with a store, as systemd's: it closes what comes when that is full."""
    ROOM = 100

    def __init__(self, test, address):
        super().__init__(test, address)
        self.stored = []  # name, descriptor
        test.addCleanup(self.close)

    def close(self):
        for _, fd in self.stored:
            os.close(fd)
        self.stored = []

    def heed(self):
        """All that has come by now."""
        self.socket.setblocking(False)  # some versions of recv_fds() forget the flags
        with contextlib.suppress(BlockingIOError):
            while True:
                data, fds, _, _ = socket.recv_fds(self.socket, 65536, 8)
                message = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
                name = message.get("FDNAME")
                if message.get("FDSTOREREMOVE") == "1":
                    for row in [row for row in self.stored if row[0] == name]:
                        self.stored.remove(row)
                        os.close(row[1])
                for fd in fds:
                    if message.get("FDSTORE") == "1" and len(self.stored) < self.ROOM:
                        self.stored.append((name, fd))
                    else:
                        os.close(fd)

    def links(self):
        return collections.Counter(os.readlink("/proc/self/fd/%d" % fd) for _, fd in self.stored)


def held(d):
    """What the guardian holds, from the number on that it moves it to."""
    return collections.Counter(link for fd, link in procs.descriptors(d.pid).items() if fd >= 256)


class Notify(drover.TestCase):
    CONFIG = """
        [program:a]
        command=sleep 1000
        startsecs=0
        [program:b]
        command=sleep 1000
        startsecs=0
        autostart=false
    """

    def manager(self, config=None, address=None, native=True, env=None, full=False, **options):
        address = address or self.path("notify")
        manager = Manager(self, address)
        if full:
            manager.fill()
        d = self.daemon(config or self.CONFIG, native=native, env={"NOTIFY_SOCKET": address, **(env or {})}, **options)
        return d, manager

    def test_a_manager_that_has_no_room_hears_of_it_later(self):
        """systemctl start waits for READY: lost, it would be waited for until the time-out."""
        d, manager = self.manager(full=True)
        d.wait_state("a", "RUNNING")
        d.settle()
        manager.wait_key("READY")
        manager.fill()
        d.kill()
        manager.wait_key("STOPPING")

    def test_a_manager_without_room_stores_later_what_there_is_by_then(self):
        """What it is to store no more is forgotten, too, or the next daemon would begin with it."""
        address = self.path("notify")
        keeper = Keeper(self, address)
        d = self.daemon(self.CONFIG, native=True, env={"NOTIFY_SOCKET": address, "FDSTORE": str(keeper.ROOM)})

        def same():
            keeper.heed()
            return sum(held(d).values()) > 0 and keeper.links() == held(d)
        d.wait_state("a", "RUNNING")
        d.settle()  # the guardian has heard of all that it is to hold
        procs.wait_until(same, "the manager to store what the guardian holds")
        before, descriptors = keeper.links(), len(procs.descriptors(d.pid))
        keeper.fill()
        for _ in range(3):
            d.stop("a")
            d.start("b")
            d.start("a")
            d.stop("b")
        d.stop("a")
        d.start("b")
        d.settle()
        self.assertEqual(keeper.links(), before)
        procs.wait_until(same, "the manager to hear what it had no room for")
        self.assertNotEqual(keeper.links(), before)
        self.assertEqual(len(procs.descriptors(d.pid)), descriptors, held(d))
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        keeper.heed()
        self.assertEqual(keeper.stored, [])

    def test_a_watchdog_without_room_is_fed_as_soon_as_there_is_some(self):
        """Not when it is half over once more: that may be too late."""
        address = self.path("notify")
        manager = Manager(self, address)
        manager.fill()
        self.daemon(self.CONFIG, native=True, env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000000"})
        manager.wait_key("WATCHDOG")

    def test_ready_and_status(self):
        d, manager = self.manager()
        self.assertEqual(manager.wait_key("READY")["READY"], "1")
        manager.wait(lambda m: "1 running" in m.get("STATUS", ""), "1 running")
        d.start("b")
        manager.wait(lambda m: "2 running" in m.get("STATUS", ""), "2 running")

    def test_ready_without_programs(self):
        _, manager = self.manager("")
        manager.wait_key("READY")

    def test_ready_comes_after_the_first_tries(self):
        """However they ended."""
        d, manager = self.manager("""
            [program:broken]
            command=/no/such/program
            [program:fine]
            command=sleep 1000
            startsecs=0
        """)
        manager.wait_key("READY")
        self.assertEqual(len(d.history("broken", "error")) >= 1, True)
        self.assertEqual(len(d.history("fine", "state")) >= 1, True)

    def test_an_abstract_socket(self):
        _, manager = self.manager(address="@drover-test-%d" % os.getpid())
        manager.wait_key("READY")

    def test_reloading(self):
        for native in (True, False):
            with self.subTest(native=native):
                d, manager = self.manager(native=native, address=self.path("notify-%s" % native))
                manager.wait_key("READY")
                before = time.monotonic()
                manager.seen.clear()
                d.kill(signal.SIGHUP)
                message = manager.wait_key("RELOADING")
                self.assertGreaterEqual(int(message["MONOTONIC_USEC"]) / 1e6, before - 0.5)
                if native:  # all is up again at once; in the other kind everything starts anew
                    manager.wait_key("READY")
                d.kill()
                d.wait_exit()

    def test_ready_again_after_a_restart_of_all(self):
        d, manager = self.manager(native=False)
        manager.wait_key("READY")
        manager.seen.clear()
        d.kill(signal.SIGHUP)
        manager.wait_key("RELOADING")
        manager.wait_key("READY")

    def test_a_broken_file_is_not_the_end_of_a_reload(self):
        d, manager = self.manager()
        manager.wait_key("READY")
        d.configure("[program:a]\n")
        manager.seen.clear()
        d.kill(signal.SIGHUP)
        d.start("b")
        manager.wait(lambda m: "2 running" in m.get("STATUS", ""), "2 running")
        # never RELOADING without a READY after it
        words = [key for m in manager.seen for key in ("RELOADING", "READY") if key in m]
        self.assertTrue(words == [] or words[-1] == "READY", words)

    def test_stopping(self):
        d, manager = self.manager()
        manager.wait_key("READY")
        d.kill()
        self.assertEqual(manager.wait_key("STOPPING")["STOPPING"], "1")
        self.assertEqual(d.wait_exit(), 0)

    def test_watchdog(self):
        """Asked for every 200 ms, it is fed at least as often as half of that asks for."""
        _, manager = self.manager(env={"WATCHDOG_USEC": "200000"})
        for _ in range(4):
            manager.seen.clear()
            manager.wait_key("WATCHDOG")

    def test_from_the_background_the_main_pid_is_told_or_ready_comes_from_it(self):
        d, manager = self.manager(foreground=False)
        manager.wait_key("READY")
        self.assertEqual(d.get("/v1/daemon").json["pid"], d.pid)

    def test_a_manager_that_is_not_there(self):
        d = self.daemon(self.CONFIG, env={"NOTIFY_SOCKET": self.path("nobody")})
        d.wait_state("a", "RUNNING")


if __name__ == "__main__":
    unittest.main()
