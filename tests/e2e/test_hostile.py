"""Clients that mean harm, or do it: what they cost the others, and the daemon.

Every test compares a good client's round trip while it lasts with the same on an idle daemon at the same time, and the
daemon's memory before, meanwhile and after.
"""
import array
import fcntl
import os
import random
import select
import signal
import socket
import termios
import time

import client
import drover
import procs

KIB, MIB = 1024, 1024 * 1024
STALL = 30  # seconds that the daemon gives a client that takes nothing of its answer
SLEEPER = """
    [program:a]
    command=sleep 1000
    startsecs=0
"""
FLEET = """
    [program:f]
    command=sleep 1000
    process_name=%(program_name)s-%(process_num)04d
    numprocs=1000
    autostart=false
"""
GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


class Hostile(drover.TestCase):
    timeout = 240

    def begin(self, config=SLEEPER, **options):
        """A daemon that has answered once what will be asked, so that what it keeps for good is there."""
        d = self.d = self.daemon(config, **options)
        for _ in range(3):
            d.get("/v1/processes")
            d.get("/v1/events")
        self.twin(d)
        self.memory = self.resident()
        self.connections = d.get("/v1/daemon").json["connections"]
        self.descriptors = d.get("/v1/daemon").json["descriptors"]
        return d

    def resident(self):
        """Bytes; under a sanitizer, which keeps what is freed, nothing can be said."""
        return 0 if drover.SAN else self.d.get("/v1/daemon").json["memory"]

    def connect(self, data=b""):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.d.socket)  # waits while the backlog is full
        s.settimeout(20)
        if data:
            s.sendall(data)
        self.addCleanup(s.close)
        return s

    def wait_heard(self, many):
        """Until all that these clients have sent was read; one whose turn came early may have been dropped by then."""
        def unread(s):
            n = array.array("i", [0])
            fcntl.ioctl(s, termios.TIOCOUTQ, n)
            return n[0]
        procs.wait_until(lambda: not any(unread(s) for s in many), "what was sent to be read")

    def status(self, s):
        words = client.read_to_end(s).split(b" ", 2)
        return int(words[1]) if len(words) > 1 else None

    def check_others(self, grown=MIB):
        """Now, while it lasts."""
        self.check_prompt(self.d)
        self.assertLess(self.resident() - self.memory, grown)

    def check_over(self):
        """After it: nothing of it is left."""
        def look():
            info = self.d.get("/v1/daemon").json
            return (info["connections"] == self.connections and info["descriptors"] <= self.descriptors + 1 and
                    self.resident() - self.memory < MIB)
        try:
            procs.wait_until(look, "all to be given back", 30)
        except AssertionError as error:
            raise AssertionError("%s; before: %d bytes, %d connections, %d descriptors; now: %s" % (
                error, self.memory, self.connections, self.descriptors, self.d.get("/v1/daemon").json))


class Senders(Hostile):
    def test_noise(self):
        self.begin()
        chance = random.Random(4711)
        pieces = [b"GET / HTTP/1.1\r\n", b"\r\n", b"Host: x\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n",
                  b"\0", b"\xff" * 64, b"POST /v1/config/update HTTP/1.1\r\n", b"99999999999999999999\r\n", b"%00%zz?&=",
                  b"a" * 3000]
        for i in range(2000):
            s = self.connect()
            try:
                s.sendall(b"".join(chance.choice(pieces + [chance.randbytes(40)]) for _ in range(chance.randrange(12))))
            except (BrokenPipeError, ConnectionResetError):
                pass
            s.close()
            if i % 500 == 499:
                self.check_others()
        self.check_over()
        self.assertEqual(self.d.get("/v1/daemon").json["statename"], "RUNNING")

    def flood(self, head):
        """1 GiB behind this head, in a process of its own: as much as the daemon lets in."""
        pid = os.fork()
        if pid == 0:
            block, sent = b"a" * MIB, 0
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(60)
            try:
                s.connect(self.d.socket)
                s.sendall(head)
                while sent < 1024 * MIB:
                    sent += s.send(block)
            except OSError:
                pass
            os._exit(0)
        self.known.add(pid)
        return pid

    def flooded(self, head):
        self.begin()
        pid = self.flood(head)
        ended = False
        while not ended:
            self.check_others()
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        self.check_over()

    def test_a_line_of_a_gibibyte(self):
        self.flooded(b"GET /")

    def test_a_header_of_a_gibibyte(self):
        self.flooded(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")

    def test_a_body_of_a_gibibyte(self):
        self.flooded(b"POST /v1/config/update HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n")

    def test_bodies_that_never_end_share_one_budget(self):
        self.begin()
        head = b"POST /v1/config/update HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n"
        many = [self.connect(head + b"x" * 65000) for _ in range(40)]
        refused = select.select(many, [], [], 20)[0]
        self.assertTrue(refused)
        self.assertEqual(self.status(refused[0]), 503)
        self.check_others(grown=2 * MIB)  # the budget of 1 MiB, and what 40 connections are
        for s in many:
            s.close()
        self.check_over()

    def test_a_byte_now_and_then(self):
        self.begin()
        many = [self.connect() for _ in range(40)]
        waiting, statuses = list(many), []
        while waiting:
            for s in waiting:
                try:
                    s.send(b"G")
                except OSError:
                    pass
            ready = select.select(waiting, [], [], 0.5)[0]
            statuses += [self.status(s) for s in ready]
            waiting = [s for s in waiting if s not in ready]
            if waiting:
                self.check_others()
        self.assertEqual(set(statuses), {408})
        for s in many:
            s.close()
        self.check_over()

    def test_descriptors_that_nobody_wants(self):
        d = self.begin()
        with open("/dev/null", "rb") as gift:
            for _ in range(50):
                s = self.connect()
                socket.send_fds(s, [GET % b"/v1/daemon"], [gift.fileno()] * 100)
                self.assertIn(b" 200 ", s.recv(65536))
                self.assertLess(d.get("/v1/daemon").json["descriptors"], self.descriptors + 5)
                s.close()
        self.check_others()
        self.check_over()

    def test_a_side_that_is_shut_down_still_gets_its_answer(self):
        self.begin()
        for _ in range(50):
            s = self.connect(GET % b"/v1/processes")
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(self.status(s), 200)
            s.close()
        silent = [self.connect() for _ in range(40)]
        for s in silent:
            s.shutdown(socket.SHUT_WR)
        self.check_others()
        self.assertEqual({client.read_to_end(s) for s in silent}, {b""})
        self.check_over()


class Crowds(Hostile):
    def test_a_thousand_idle_connections(self):
        self.needs_root()
        self.begin(server="chmod=0777\n")
        ready, go = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go[1])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            held = []
            for _ in range(1000):
                s = socket.socket(socket.AF_UNIX)
                s.connect(self.d.socket)
                held.append(s)
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0)
        self.known.add(pid)
        os.read(ready[0], 1)
        self.assertLessEqual(self.d.get("/v1/daemon").json["connections"], 64)
        self.check_others()
        os.close(go[1])
        os.waitpid(pid, 0)
        for fd in (*ready, go[0]):
            os.close(fd)
        self.check_over()

    def test_clients_that_vanish_in_the_middle_of_an_answer(self):
        self.begin(FLEET)
        for i in range(300):
            s = self.connect(GET % b"/v1/processes")
            if i % 2:
                self.assertTrue(s.recv(10))
            s.close()
            if i % 100 == 99:
                self.check_others(grown=2 * MIB)
        self.check_over()

    def test_clients_that_vanish_while_they_follow(self):
        d = self.begin()
        for i in range(300):
            path = (b"/v1/events?since=0&follow=1", b"/v1/processes/a/log?offset=0&follow=1")[i % 2]
            s = self.connect(GET % path)
            self.assertIn(b" 200 ", s.recv(100))
            s.close()
        self.check_others()
        d.deed("restart", "a")
        self.check_over()


class Deaf(Hostile):
    """Clients that ask and never read."""

    def test_the_status_of_a_thousand(self):
        d = self.begin(FLEET)
        size = len(d.get("/v1/processes").body)
        many = [self.connect(GET % b"/v1/processes") for _ in range(40)]
        self.wait_heard(many)
        self.assertGreater(size, 256 * KIB)
        self.check_others()
        seconds = []
        while not seconds or (seconds[-1] >= 5 and len(seconds) < 3):  # the machine may be busy once
            began = time.monotonic()
            self.assertEqual(len(d.get("/v1/processes").json["processes"]), 1000)
            seconds.append(time.monotonic() - began)
        self.assertLess(seconds[-1], 5)  # whoever reads has its turn, too
        self.check_others()
        for s in many:
            s.close()
        one = self.connect(GET % b"/v1/processes")  # and who is slow is not dropped
        self.assertTrue(one.recv(10))
        self.d.get("/v1/processes")
        one.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertIn(b"HTTP/1.1 404 ", client.read_to_end(one))
        self.check_over()

    def test_the_same_request_again_and_again(self):
        self.begin(FLEET)
        s = self.connect()
        s.setblocking(False)
        sent, blocked = 0, 0
        while sent < 10 * MIB and blocked < 20:  # ahead of the answers is read no more than a head's worth
            try:
                sent += s.send(GET % b"/v1/processes")
                blocked = 0
            except BlockingIOError:
                blocked += 1
                self.d.get("/v1/daemon")
        self.assertLess(sent, MIB)
        self.check_others(grown=3 * MIB)
        s.close()
        self.check_over()

    def storm(self, n):
        """That many events more."""
        enough = self.d.mark() + n
        self.d.start("e")
        procs.wait_until(lambda: self.d.mark() > enough, "%d events" % n, 60)
        self.d.stop("e")

    def test_events(self):
        self.begin("""
            [program:e]
            command=sh -c "exit 0"
            autostart=false
            autorestart=true
            startsecs=0
            restart_interval=0
        """, native=True)
        self.storm(4500)  # what the daemon remembers of events is full: it is no growth
        self.memory = self.resident()
        began = time.monotonic()
        many = [self.connect(GET % b"/v1/events?since=0&follow=1") for _ in range(20)]
        self.wait_heard(many)
        self.storm(4500)  # more than 256 KiB and what the socket holds
        self.check_others()
        on_time = time.monotonic() - began < STALL  # on a machine where all this takes longer, they are cut off before
        for s in many:
            last = client.read_to_end(s)[-200:]
            self.assertTrue(b'"event":"gap"' in last or not on_time, last)  # the last that it is told
        self.check_over()
