"""Who may do what at the control sockets, and what clients may do to the daemon."""
import grp
import hashlib
import json
import os
import pwd
import re
import socket
import time
import traceback
import unittest

import client
import drover
import procs

SLEEPER = """
    [program:a]
    command=sleep 1000
    startsecs=0
"""


def as_user(uid, gid, groups, function):
    """What the function gives when it runs as somebody else."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            answer = json.dumps(function())
        except BaseException:
            answer = json.dumps({"error": traceback.format_exc()})
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        answer = json.loads(f.read())
    os.waitpid(pid, 0)
    return answer


class Roles(drover.TestCase):
    def tries(self, d, uid, gid, groups=()):
        """Statuses of a look, a deed and a change of the daemon."""
        def ask():
            c = client.Client(d.socket)
            return [c.get("/v1/processes").status, c.post("/v1/processes/a/restart").status,
                    c.post("/v1/config/reread").status]
        return as_user(uid, gid, list(groups), ask)

    def test_the_sockets_mode(self):
        for server, mode in (("", 0o700), ("chmod=0770\n", 0o770)):
            d = self.daemon(SLEEPER, server=server)
            self.assertEqual(os.stat(self.path("s")).st_mode & 0o777, mode)
            d.kill()
            d.wait_exit()

    def test_nobody_else_comes_in(self):
        self.needs_root()
        d = self.daemon(SLEEPER)
        self.assertIn("PermissionError", self.tries(d, 65534, 65534)["error"])

    def test_a_supervisord_file_leaves_it_to_the_mode(self):
        self.needs_root()
        d = self.daemon(SLEEPER, server="chmod=0777\n")
        self.assertEqual(self.tries(d, 65534, 65534), [200, 200, 200])

    def test_in_a_native_file_others_may_look(self):
        self.needs_root()
        d = self.daemon(SLEEPER, server="chmod=0777\n", native=True)
        self.assertEqual(self.tries(d, 65534, 65534), [200, 403, 403])
        self.assertEqual(self.tries(d, 0, 0), [200, 200, 200])

    def test_members_of_the_control_group_may_control(self):
        self.needs_root()
        nobody = pwd.getpwnam("nobody")
        group = grp.getgrgid(nobody.pw_gid)
        d = self.daemon(SLEEPER, server="chmod=0777\n", native=True, daemon="control_group=%s\n" % group.gr_name)
        self.assertEqual(self.tries(d, nobody.pw_uid, nobody.pw_gid), [200, 200, 403])
        self.assertEqual(self.tries(d, 1, 1), [200, 403, 403])

    def test_the_sockets_owner(self):
        self.needs_root()
        d = self.daemon(SLEEPER, server="chown=nobody\n", native=True)
        self.assertEqual(os.stat(self.path("s")).st_uid, 65534)
        self.assertEqual(self.tries(d, 65534, 65534), [200, 200, 200])


class Passwords(drover.TestCase):
    def tcp(self, credentials, **options):
        port = self.free_port()
        d = self.daemon(SLEEPER, daemon="[inet_http_server]\nport=127.0.0.1:%d\n%s" % (port, credentials), **options)
        return d, ("127.0.0.1", port)

    def statuses(self, address, user="joe", password="se:cret"):
        attempts = ({}, client.basic(user, "wrong"), client.basic("wrong", password), client.basic(user, password),
                    {"Authorization": "Basic ???"}, {"Authorization": "Bearer x"})
        return [client.Client(address, headers=h).get("/v1/daemon").status for h in attempts]

    def test_over_tcp(self):
        d, address = self.tcp("username=joe\npassword=se:cret\n")
        self.assertEqual(self.statuses(address), [401, 401, 401, 200, 401, 401])
        self.assertIn("Basic", client.Client(address).get("/v1/daemon").headers["WWW-Authenticate"])
        self.assertEqual(d.get("/v1/daemon").status, 200)  # the unix socket has no password of its own

    def test_hashed(self):
        digest = hashlib.sha1(b"se:cret").hexdigest()
        _, address = self.tcp("username=joe\npassword={SHA}%s\n" % digest)
        self.assertEqual(self.statuses(address), [401, 401, 401, 200, 401, 401])

    def test_on_the_unix_socket(self):
        d = self.daemon(SLEEPER, server="username=joe\npassword=se:cret\n", wait=False)
        procs.wait_until(lambda: os.path.exists(d.socket), "the socket")  # which has its name when it listens
        self.assertEqual(self.statuses(d.socket), [401, 401, 401, 200, 401, 401])

    def test_a_stream_needs_it_too(self):
        _, address = self.tcp("username=joe\npassword=x\n")
        self.assertEqual(client.Stream(address, "/v1/events?follow=1").status, 401)

    def test_other_peoples_web_pages(self):
        """A page in the operator's browser can reach 127.0.0.1, and must not get anywhere."""
        _, address = self.tcp("")
        for headers, status in (({}, 200), ({"Origin": "http://evil.example"}, 403),
                                ({"Origin": "http://127.0.0.1:%d" % address[1]}, 200),
                                ({"Host": "evil.example:%d" % address[1]}, 403),
                                ({"Host": "localhost:%d" % address[1]}, 200)):
            with self.subTest(headers=headers):
                self.assertEqual(client.Client(address, headers=headers).get("/v1/daemon").status, status)


class Clients(drover.TestCase):
    def connect(self, d, data=b""):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(d.socket)
        if data:
            s.sendall(data)
        self.addCleanup(s.close)
        return s

    def test_garbage(self):
        d = self.daemon(SLEEPER)
        for data in (b"\0" * 1000, b"\xff\xfe garbage\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 100 + b"x\r\n\r\n",
                     b"GET / HTTP/9.9\r\n\r\n", b"GET /v1/daemon HTTP/1.1\r\n\r\n",
                     b"POST /v1/daemon/shutdown HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                     b"POST /v1/daemon/shutdown HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                     b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
                     b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n"):
            with self.subTest(data=data[:40]):
                s = self.connect(d)
                try:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                except (BrokenPipeError, ConnectionResetError, OSError):
                    pass
                first = client.read_to_end(s).split(b"\r\n")[0]
                self.assertRegex(first, rb"^HTTP/1\.1 4\d\d |^HTTP/1\.1 505 |^$")
                s.close()
        self.assertEqual(d.get("/v1/daemon").json["statename"], "RUNNING")

    def test_too_much(self):
        d = self.daemon(SLEEPER)
        for length in (65537, 10 ** 9, 10 ** 30):
            s = self.connect(d, b"POST /v1/config/update HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
            self.assertRegex(client.read_to_end(s).split(b"\r\n")[0], rb"^HTTP/1\.1 4(13|00) ")

    def test_several_requests_at_once_are_answered_in_order(self):
        d = self.daemon(SLEEPER)
        s = self.connect(d, b"GET /v1/daemon HTTP/1.1\r\nHost: x\r\n\r\n" * 3 +
                         b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = client.read_to_end(s)
        self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+) ", data), [b"200", b"200", b"200", b"404"])

    def test_idle_connections_leave_room_and_make_room(self):
        d = self.daemon(SLEEPER)
        many = [self.connect(d) for _ in range(63)]  # and the one that asks
        procs.wait_until(lambda: d.get("/v1/daemon").json["connections"] == 64, "all to be taken in")
        one_more = self.connect(d, b"GET /v1/daemon HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertIn(b" 503 ", client.read_to_end(one_more).split(b"\r\n")[0])
        for s in many:
            s.close()
        d.client.close()
        procs.wait_until(lambda: d.get("/v1/daemon").status == 200, "an answer")

    def test_others_cannot_take_the_places_of_the_daemons_own_user(self):
        self.needs_root()
        d = self.daemon(SLEEPER, server="chmod=0777\n")
        d.client.close()
        ready, go = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            sockets = [socket.socket(socket.AF_UNIX) for _ in range(80)]
            for s in sockets:
                s.connect(d.socket)
            os.write(ready[1], b"x")
            os.close(go[1])
            os.read(go[0], 1)
            os._exit(0)
        self.known.add(pid)
        os.read(ready[0], 1)
        self.assertEqual(d.get("/v1/daemon").status, 200)
        os.close(go[1])
        os.waitpid(pid, 0)
        for fd in (*ready, go[0]):
            os.close(fd)

    def test_a_byte_at_a_time_has_ten_seconds(self):
        d = self.daemon(SLEEPER)
        s = self.connect(d)
        began = time.monotonic()
        s.settimeout(0.3)
        data = b""
        while time.monotonic() - began < 40 and not data:
            try:
                s.sendall(b"G")
            except BrokenPipeError:
                pass  # it has hung up; what it said before that is there to be read
            try:
                data = s.recv(1000)
            except socket.timeout:
                pass
        self.assertIn(b" 408 ", data.split(b"\r\n")[0])
        self.assertGreater(time.monotonic() - began, 8)
        self.assertEqual(d.get("/v1/daemon").status, 200)

    def test_a_client_that_hangs_up_while_it_waits(self):
        os.mkfifo(self.path("gate"))  # which the process waits for before it is anything
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            stdio=<%(here)s/gate
            startsecs=0
            autostart=false
        """, native=True)
        d.events  # a connection, too
        for _ in range(5):
            s = self.connect(d, b"POST /v1/processes/a/start HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            d.wait_state("a", "STARTING")
            procs.wait_until(lambda: d.get("/v1/daemon").json["connections"] == 3, "it to be taken in")
            s.close()
            procs.wait_until(lambda: d.get("/v1/daemon").json["connections"] == 2, "it to be let go")
        self.assertEqual(d.info("a")["statename"], "STARTING")
        with open(self.path("gate"), "w"):
            d.wait_state("a", "RUNNING")  # what was begun goes on

    def test_a_thousand_requests_on_fresh_connections(self):
        d = self.daemon(SLEEPER)
        d.wait_state("a", "RUNNING")
        before = d.get("/v1/daemon").json["descriptors"]
        for _ in range(1000):
            c = client.Client(d.socket)
            self.assertEqual(c.get("/v1/processes/a").status, 200)
            c.close()
        procs.wait_until(lambda: d.get("/v1/daemon").json["descriptors"] <= before, "no more descriptors than before")


class Cycles(drover.TestCase):
    """Nothing grows with the number of starts and stops."""

    def fleet(self, n):
        d = self.daemon("""
            [program:w]
            command=sleep 1000
            startsecs=0
            numprocs=%d
            process_name=%%(process_num)d
            stdout_logfile=NONE
            stderr_logfile=NONE
            stopsignal=KILL
        """ % n, daemon="loglevel=error\n")
        for _ in range(50 if n < 10 else 4200 // (7 * n) + 1):  # until the ring of events is full, for one
            d.act("restart", "*")
        return d

    def cycle(self, d, times):
        for _ in range(times):
            results = d.act("restart", "*")
            self.assertTrue(all(r["ok"] for r in results))

    def measure(self, d):
        info = d.get("/v1/daemon").json
        return info["descriptors"], info["memory"], info["starts"]

    def settled(self, d, descriptors):
        """Once there are no more than these: the pipes of a run are closed a little later than it ends."""
        procs.wait_until(lambda: self.measure(d)[0] <= descriptors, "no more than %d descriptors" % descriptors)
        return self.measure(d)

    def run_cycles(self, n, times):
        d = self.fleet(n)
        descriptors, memory, starts = self.measure(d)
        self.cycle(d, times)
        after = self.settled(d, descriptors)
        self.assertEqual(after[2] - starts, n * times)
        if not drover.SAN:  # a sanitizer keeps what was freed
            self.assertLess(after[1] - memory, 512 * 1024)
        procs.wait_until(lambda: len([p for p in procs.children(d.supervisor) if procs.alive(p)]) == n,
                         "as many processes as there should be")

    @drover.slow(240)
    def test_ten_thousand(self):
        self.run_cycles(50, 200 if not drover.SAN else 40)

    @drover.slow(240)
    def test_a_thousand_of_one(self):
        d = self.daemon("""
            [program:a]
            command=sleep 1000
            startsecs=0
        """)
        d.wait_state("a", "RUNNING")
        d.events.close()
        d._events = None
        for _ in range(650):  # fills the ring of events
            d.stop("a")
            d.start("a")
        descriptors, memory, _ = self.measure(d)
        for _ in range(1000):
            d.stop("a")
            d.start("a")
        after = self.settled(d, descriptors)
        if not drover.SAN:
            self.assertLess(after[1] - memory, 512 * 1024)


if __name__ == "__main__":
    unittest.main()
