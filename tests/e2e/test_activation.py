"""Sockets that somebody else has made for the daemon: LISTEN_FDS, as systemd passes them.

tests/systemd has the same with systemd itself and the shipped units.
"""
import os
import socket
import sys

import client
import drover
import procs

PROGRAM = """
[program:a]
command=sleep 1000
startsecs=0
"""


class Activation(drover.TestCase):
    def pass_on(self, sockets, config=PROGRAM, pid="$$", number=None, names=None, wait=True, **options):
        """A daemon that is given these descriptors as 3, 4, ..."""
        variables = {"LISTEN_PID": pid, "LISTEN_FDS": str(len(sockets)) if number is None else number}
        if names is not None:
            variables["LISTEN_FDNAMES"] = names
        spare = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]
        wrapper = self.write("activate", """\
            #!%s
            import os, sys
            for i, fd in enumerate(%r):
                os.dup2(fd, 3 + i)
                os.close(fd)
            os.environ.update({k: v.replace("$$", str(os.getpid())) for k, v in %r.items()})
            os.execv(%r, sys.argv)
        """ % (sys.executable, spare, variables, drover.DROVERD), 0o755)
        try:
            return self.daemon(config, wait=wait, program=wrapper, pass_fds=spare, **options)
        finally:
            for fd in spare:
                os.close(fd)

    def unix(self, name="s"):
        s = socket.socket(socket.AF_UNIX)
        s.bind(self.path(name))
        s.listen(16)
        self.addCleanup(s.close)
        return s

    def test_a_unix_socket_is_known_by_its_path(self):
        s = self.unix()
        inode = os.stat(self.path("s")).st_ino
        d = self.pass_on([s])
        s.close()
        self.assertEqual(d.get("/v1/daemon").json["statename"], "RUNNING")
        d.kill()
        self.assertEqual(d.wait_exit(), 0)
        self.assertEqual(os.stat(self.path("s")).st_ino, inode)  # it was not ours to remove

    def test_who_came_before_the_daemon_is_answered(self):
        s = self.unix()
        early = socket.socket(socket.AF_UNIX)
        self.addCleanup(early.close)
        early.settimeout(20)
        early.connect(self.path("s"))
        early.sendall(b"GET /v1/daemon HTTP/1.1\r\nHost: x\r\n\r\n")
        self.pass_on([s])
        self.assertIn(b" 200 ", early.recv(65536))

    def test_it_is_served_on_after_a_restart_of_all(self):
        d = self.pass_on([self.unix()])
        d.wait_state("a", "RUNNING")
        pid, inode = d.pid_of("a"), os.stat(self.path("s")).st_ino
        d.post("/v1/daemon/reload")
        procs.wait_until(lambda: d.info("a")["pid"] not in (0, pid), "the program to be started anew")
        self.assertEqual(os.stat(self.path("s")).st_ino, inode)

    def test_an_inet_socket_is_known_by_its_name(self):
        s = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(s.close)
        d = self.pass_on([s], "[inet_http_server]\nport=127.0.0.1:1\nusername=u\npassword=p\n" + PROGRAM,
                         names="inet_http_server")  # port 1: it could not make that itself, or nobody would look there
        at = s.getsockname()
        self.assertEqual(client.Client(at, client.basic("u", "p")).get("/v1/daemon").json["pid"], d.pid)
        self.assertEqual(client.Client(at).get("/v1/daemon").status, 401)

    def test_what_no_section_has_is_named_and_not_used(self):
        d = self.pass_on([self.unix("other"), self.unix("s")], names="one:two")
        self.assertIn("socket one, passed to the daemon, is not used", d.log())
        self.assertNotIn("socket two,", d.log())

    def test_jobs_get_none_of_it(self):
        d = self.pass_on([self.unix()])
        pid = d.wait_state("a", "RUNNING")["pid"]
        procs.standing_descriptors(pid)
        self.assertEqual([k for k in procs.environment(pid) if k.startswith("LISTEN_")], [])

    def test_a_socket_that_is_meant_for_somebody_else(self):
        d = self.pass_on([self.unix("other")], pid="1")
        self.assertNotIn("passed to the daemon", d.log())

    def test_what_is_meant_for_others_or_makes_no_sense(self):
        for options in ({"pid": "1"}, {"pid": ""}, {"number": "99999999999999999999"}, {"number": "-1"},
                        {"number": "1x"}, {"number": "0"}, {"number": "64", "names": ":::::"}):
            with self.subTest(**options):
                with open("/dev/null", "rb") as f:
                    d = self.pass_on([f], **options)
                pid = d.wait_state("a", "RUNNING")["pid"]
                self.assertEqual([k for k in procs.environment(pid) if k.startswith("LISTEN_")], [])
                d.kill()
                self.assertEqual(d.wait_exit(), 0)
