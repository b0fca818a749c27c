"""Descriptors between processes: which kinds, to how many, and that none is ever left behind."""
import collections
import concurrent.futures
import os
import random
import socket
import subprocess
import tempfile
import textwrap
import threading
import unittest

import procs
from puppets import Case


def open_fds(pid):
    """Of the supervisor, when it has nothing left to do."""
    procs.wait_asleep(pid)
    return len(os.listdir("/proc/%d/fd" % pid))


class HandleCase(Case):
    def play(self, *sections, **options):
        super().play(*sections, **options)
        self.pid = self.d.get("/v1/daemon").json["supervisor_pid"]
        return self.d

    def listener(self):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        s.listen()
        self.addCleanup(s.close)
        return s

    def pair(self):
        """The two ends of a TCP connection."""
        with self.listener() as s:
            a = socket.create_connection(s.getsockname())
            b, _ = s.accept()
        self.addCleanup(a.close)
        self.addCleanup(b.close)
        return a, b

    def given(self, actor):
        line = actor.hear()
        self.assertEqual(line["cmd"], "NODE_HANDLE")
        self.assertEqual(len(actor.fds), 1)
        return line, actor.fds.pop()

    def ack_of(self, actor):
        self.assertEqual(actor.hear(), {"cmd": "NODE_HANDLE_ACK"})


class Handles(HandleCase):
    def test_a_connection(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        near, far = self.pair()
        before = open_fds(self.pid)
        a.handle({"to": "b", "msg": {"x": 1.50}, "id": 5}, far.fileno(), "net.Socket", key="4:127.0.0.1:80")
        self.ack_of(a)
        line, fd = self.given(b)
        self.assertEqual(line, {"cmd": "NODE_HANDLE", "type": "net.Socket", "msg": {"from": "a", "msg": {"x": 1.5}, "id": 5}})
        with socket.socket(fileno=fd) as s:
            s.send(b"hello")
        self.assertEqual(near.recv(5), b"hello")
        b.acknowledge()
        b.to("a", "done", re=5)
        self.assertEqual(a.hear(), {"from": "b", "re": 5, "msg": "done"})
        procs.wait_until(lambda: open_fds(self.pid) == before, "all descriptors to be closed")

    def test_types_and_kinds(self):
        self.play("a", ("b", "ipc_handles=any"))
        a, b = self.actors("a", "b")
        udp4, udp6 = socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        left, right = socket.socketpair()
        read, write = os.pipe()
        for s, kind, more in [(self.listener(), "net.Server", {}), (self.pair()[0], "net.Native", {}),
                              (left, "net.Socket", {}), (udp4, "dgram.Socket", {"dgramType": "udp4"}),
                              (udp6, "dgram.Socket", {"dgramType": "udp6"})]:
            a.handle({"to": "b", "msg": 1}, s.fileno(), kind, **more)
            self.ack_of(a)
            line, fd = self.given(b)
            self.assertEqual((line["type"], line.get("dgramType")), (kind, more.get("dgramType")))
            os.close(fd)
        a.handle({"to": "b", "msg": 1}, read, "net.Native")
        self.ack_of(a)
        self.given(b)
        for s in (udp4, udp6, left, right):
            s.close()
        os.close(read), os.close(write)

    def test_what_would_end_a_node_program_is_refused(self):
        self.play("a", "b", ("c", "ipc_handles=none"), ("d", "ipc_handles=any"))
        a, b, c, d = self.actors("a", "b", "c", "d")
        before = open_fds(self.pid)
        listener = self.listener()
        udp = socket.socket(type=socket.SOCK_DGRAM)
        left, right = socket.socketpair(type=socket.SOCK_SEQPACKET)
        file = tempfile.TemporaryFile()
        memfd, null, folder = os.memfd_create("x"), os.open("/dev/null", os.O_RDWR), os.open("/", os.O_RDONLY)
        cases = [(file.fileno(), "net.Native"), (memfd, "net.Socket"), (null, "net.Native"), (folder, "net.Native"),
                 (left.fileno(), "net.Socket"), (udp.fileno(), "net.Server"), (listener.fileno(), "dgram.Socket"),
                 (udp.fileno(), "net.Native")]
        for n, (fd, kind) in enumerate(cases):
            a.handle({"to": "b", "msg": 1, "id": n}, fd, kind)
            self.ack_of(a)
            self.assertEqual(a.hear(), {"from": "$", "re": n, "err": "EBADF", "to": "b"}, kind)
        a.handle({"to": "c", "msg": 1, "id": 70}, listener.fileno(), "net.Server")
        self.ack_of(a)
        self.assertEqual(a.hear()["err"], "EBADF")
        a.handle({"to": "d", "msg": 1}, memfd, "net.Native")
        self.ack_of(a)
        os.close(self.given(d)[1])
        self.assertTrue(b.silent())
        for fd in (memfd, null, folder):
            os.close(fd)
        for s in (udp, left, right, file):
            s.close()
        procs.wait_until(lambda: open_fds(self.pid) == before, "all descriptors to be closed")

    def test_a_listener_to_many_and_a_connection_to_one(self):
        self.play("a", ("w", "", 3))
        a, *w = self.actors("a", "w_0", "w_1", "w_2")
        before = open_fds(self.pid)
        listener = self.listener()
        a.handle({"to": "w:*", "msg": 1, "id": 1, "ack": True}, listener.fileno(), "net.Server")
        self.ack_of(a)
        for actor in w:
            _, fd = self.given(actor)
            os.close(fd)
            actor.acknowledge()
        self.assertEqual(a.hear(), {"from": "$", "re": 1, "ok": 3})
        a.handle({"to": "w:*", "msg": 1, "id": 2, "ack": True}, self.pair()[0].fileno(), "net.Socket")
        self.ack_of(a)
        self.assertEqual(a.hear(), {"from": "$", "re": 2, "ok": 0, "fail": {"w:w_%d" % i: "EBADF" for i in range(3)}})
        procs.wait_until(lambda: open_fds(self.pid) == before, "all descriptors to be closed")

    def test_every_other_way_closes_it(self):
        self.play("a", ("b", "autostart=false"), "c")
        a, c = self.actors("a", "c")
        fd = self.listener().fileno()
        before = open_fds(self.pid)
        for n, message in enumerate([{"to": "b", "msg": 1}, {"to": "nobody", "msg": 1}, {"to": "$", "msg": 1},
                                     {"to": "c", "msg": 1, "ttl": 0}, {"to": ["b", "x"], "msg": 1}]):
            a.handle(dict(message, id=n), fd, "net.Server")
            self.ack_of(a)
            self.assertEqual(a.hear()["re"], n)
        a.hear()  # the second of the list
        a.handle("for the supervisor", fd, "net.Server")
        self.ack_of(a)
        for n in range(20):  # the receiver acknowledges none: one is on its way, others wait, some bounce
            a.handle({"to": "c", "msg": 1, "id": 100 + n}, fd, "net.Server")
        self.d.stop("c")
        bounced = set()
        while len(bounced) < 20:
            m = a.hear()
            if "re" in m:
                bounced.add(m["re"])
        self.assertEqual(bounced, set(range(100, 120)))
        procs.wait_until(lambda: open_fds(self.pid) <= before, "all descriptors to be closed")

    def test_one_that_is_too_late_is_closed(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        fd, before = self.listener().fileno(), open_fds(self.pid)
        for n in range(5):  # the first is on its way, the others wait until that is acknowledged
            a.handle(dict({"to": "b", "msg": "x" * n, "id": n}, **({"ttl": 300} if n in (1, 3) else {})), fd, "net.Server")
        a.to("b", "last", id=5)
        heard = a.hears(5 + 2)  # it may be late before the last of them is acknowledged
        self.assertEqual([m for m in heard if "cmd" in m], [{"cmd": "NODE_HANDLE_ACK"}] * 5)
        self.assertEqual([(m["re"], m["err"]) for m in heard if "re" in m], [(1, "ETIMEDOUT"), (3, "ETIMEDOUT")])
        for n in (0, 2, 4):
            line, given = self.given(b)
            os.close(given)
            self.assertEqual(line["msg"], {"from": "a", "msg": "x" * n, "id": n})
            b.acknowledge()
        self.assertEqual(b.hear(), {"from": "a", "msg": "last", "id": 5})
        procs.wait_until(lambda: open_fds(self.pid) == before, "all of them to be closed")

    def test_a_receiver_that_has_not_got_it(self):
        """It says so, as Node does when it can have no more descriptors: its sender is told, and it is counted."""
        self.play("a", "b")
        a, b = self.actors("a", "b")
        fd = self.listener().fileno()
        for n in range(3):
            a.handle(dict({"to": "b", "msg": n}, **({"id": n} if n != 1 else {})), fd, "net.Server")
        for n in range(3):  # nobody waits for the one before
            self.assertEqual(self.given(b)[0]["msg"]["msg"], n)
            b.say({"cmd": "NODE_HANDLE_NACK"})
        heard = a.hears(5)
        self.assertEqual([m for m in heard if "re" in m],
                         [{"from": "$", "re": n, "err": "EBADF", "to": "b"} for n in (0, 2)])
        self.assertEqual(self.channel("b")["handles_lost"], 3)

    def test_without_its_descriptor(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.handle({"to": "b", "msg": 1, "id": 1}, -1)
        self.assertEqual(a.hear(), {"cmd": "NODE_HANDLE_NACK"})
        a.raw(b'{"cmd":"NODE_HANDLE_ACK"}\n{"cmd":"NODE_CLUSTER"}\n{"cmd":"NODE_X","to":"b","msg":1}\n')
        a.to("b", "after")
        self.assertEqual(b.hear()["msg"], "after")


class Killed(HandleCase):
    """Whoever was told that a descriptor has arrived never has to send it again, though the supervisor is killed."""

    def numbered(self, n):
        """A pipe to read from, in which its number is."""
        read, write = os.pipe()
        os.write(write, b"%d" % n)
        os.close(write)
        return read

    def send(self, actor, n, text="", **more):
        fd = self.numbered(n)
        actor.handle(dict({"to": "b", "msg": [n, text]}, **more), fd, "net.Native")
        os.close(fd)

    def take(self, actor):
        """The number of the next one, which is in its message and in its pipe."""
        line, fd = self.given(actor)
        with open(fd, "rb") as f:
            self.assertEqual(f.read(), b"%d" % line["msg"]["msg"][0])
        actor.acknowledge()
        return line["msg"]["msg"][0]

    def test_those_that_wait_are_there_after_it(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        before = len(self.d.held())
        for n in range(6):
            self.send(a, n, id=n)
            self.ack_of(a)
        self.assertEqual(len(self.d.held()), before + 5)  # the first is in the socket
        self.d.crash()
        self.assertEqual(self.take(b), 0)
        self.assertEqual(self.take(b), 1)
        self.d.crash()
        self.send(a, 6)
        self.assertEqual([self.take(b) for _ in range(4)], [2, 3, 4, 5])
        self.ack_of(a)
        self.assertEqual(self.take(b), 6)
        self.assertEqual((self.channel("b")["lost"], self.channel("b")["queued"]), (0, 0))
        self.assertEqual(len(self.d.held()), before)

    def test_one_that_is_too_late_is_not_there_after_it(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        for n in range(4):
            self.send(a, n, id=n, **({"ttl": 100} if n in (1, 3) else {}))
            self.ack_of(a)
        self.assertEqual([m["re"] for m in a.hears(2)], [1, 3])
        self.d.crash()
        self.assertEqual([self.take(b) for _ in range(2)], [0, 2])
        self.assertTrue(b.silent())

    def test_one_that_waits_with_its_sender_is_sent_again(self):
        self.play("a", ("b", "ipc_queue_messages=10\nipc_wait=50s"))
        a, b = self.actors("a", "b")
        sent = 0
        while self.channel("b")["queued"] < 10:
            a.to("b", "x" * 5000)
            sent += 1
            procs.wait_until(lambda: self.channel("a")["received"] == sent, "it to be routed")
        self.send(a, 7)
        procs.wait_until(lambda: self.channel("a")["relay"]["waiting"], "the sender to wait")
        self.assertTrue(a.silent(0))
        self.d.crash()
        self.assertEqual(a.hear(), {"cmd": "NODE_HANDLE_NACK"})
        self.assertEqual(self.channel("a")["lost"], 0)
        self.send(a, 8)
        line = b.hear()
        while "cmd" not in line:
            line = b.hear()
        self.assertEqual((line["msg"]["msg"][0], os.read(b.fds[0], 10)), (8, b"8"))
        self.ack_of(a)

    def test_a_long_message_waits_with_its_sender(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        self.send(a, 0)
        self.ack_of(a)
        self.send(a, 1, "x" * 200000)
        self.assertTrue(a.silent())
        self.assertEqual(self.take(b), 0)
        self.assertEqual(self.take(b), 1)
        self.ack_of(a)
        for n in (2, 3):
            self.send(a, n)
            self.ack_of(a)
        self.send(a, 4, "x" * 200000, id=4, ttl=100)
        self.ack_of(a)
        self.assertEqual(a.hear()["err"], "ETIMEDOUT")

    def test_a_long_message_of_which_the_socket_has_a_part(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        self.send(a, 1, "x" * 500000)
        self.ack_of(a)  # the descriptor goes with the first byte
        self.d.crash()
        self.assertEqual(self.take(b), 1)

    def test_at_any_instant(self):
        """A sender and a receiver that do as Node does: each is delivered once, whenever the supervisor is killed."""
        self.play("a", "b")
        a, b = self.actors("a", "b")
        got, sent, told, ended = [], [], collections.Counter(), threading.Event()

        def receive():
            while got[-1:] != [-1]:
                got.append(self.take(b))

        def send(n):
            answer = None
            while answer != "NODE_HANDLE_ACK":
                self.send(a, n)
                answer = a.hear(60)["cmd"]
                told[answer] += 1
            sent.append(n)

        def send_all():
            while not ended.is_set():
                send(len(sent))
            send(-1)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            receiver, sender = pool.submit(receive), pool.submit(send_all)
            for _ in range(10):
                before = len(got) + random.randrange(100)
                procs.wait_until(lambda: len(got) > before, "more of them")
                self.d.crash()
            ended.set()
            sender.result(60)
            receiver.result(60)
        self.assertEqual(got, sent)
        self.assertLessEqual(set(told), {"NODE_HANDLE_ACK", "NODE_HANDLE_NACK"})
        self.assertEqual(self.channel("b")["lost"], 0)


ECHO = {
    "node": """
        process.on('message', (m, h) => {
          if (h) { h.end('from node'); }
          process.send({to: m.from, re: m.id, msg: {got: m.msg, by: 'node', handle: !!h}});
        });""",
    "python3": """
        import json, os, socket
        s = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
        rest, fds = b"", []
        while True:
            data, more, _, _ = socket.recv_fds(s, 65536, 8)
            if not data: break
            fds += more
            *lines, rest = (rest + data).split(b"\\n")
            for line in lines:
                m, fd = json.loads(line), None
                if m.get("cmd") == "NODE_HANDLE":
                    s.sendall(b'{"cmd":"NODE_HANDLE_ACK"}\\n')
                    m, fd = m["msg"], fds.pop(0)
                    with socket.socket(fileno=fd) as c: c.sendall(b"from python3")
                s.sendall(json.dumps({"to": m["from"], "re": m["id"], "msg":
                                      {"got": m["msg"], "by": "python3", "handle": fd is not None}}).encode() + b"\\n")""",
    "sh": """
        while read -r line <&3; do
          id=${line##*\\"id\\":}; id=${id%\\}}
          from=${line#*\\"from\\":\\"}; from=${from%%\\"*}
          echo "{\\"to\\":\\"$from\\",\\"re\\":$id,\\"msg\\":{\\"got\\":\\"?\\",\\"by\\":\\"sh\\",\\"handle\\":false}}" >&3
        done""",
}

C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char line[1 << 16];
static size_t have;
static int descriptor = -1;

static void answer(int channel, char *text, size_t len)
{
    static const char ack[] = "{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
    text[len] = '\0';
    int handle = strncmp(text, "{\"cmd\":\"NODE_HANDLE\"", 20) == 0 && descriptor >= 0;
    char *from = strstr(text, "\"from\":\"") + 8, *msg = strstr(from, "\"msg\":") + 6, *id = strstr(msg, ",\"id\":");
    if (handle) {
        write(channel, ack, sizeof(ack) - 1);
        write(descriptor, "from c", 6);
        close(descriptor);
    }
    dprintf(channel, "{\"to\":\"%.*s\",\"re\":%lu,\"msg\":{\"got\":%.*s,\"by\":\"c\",\"handle\":%s}}\n",
            (int)strcspn(from, "\""), from, strtoul(id + 6, NULL, 10), (int)(id - msg), msg, handle ? "true" : "false");
}

int main(void)
{
    int channel = atoi(getenv("DROVER_CHANNEL_FD"));
    for (;;) {
        union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control;
        struct iovec part = { line + have, sizeof(line) - have };
        struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(channel, &m, MSG_CMSG_CLOEXEC);
        if (n <= 0)
            return 0;
        if (CMSG_FIRSTHDR(&m) != NULL)
            memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(descriptor));
        have += (size_t)n;
        for (char *end; (end = memchr(line, '\n', have)) != NULL;) {
            size_t len = (size_t)(end - line);
            answer(channel, line, len);
            memmove(line, end + 1, have -= len + 1);
        }
    }
}
"""

ASK = {
    "node": """
        const peers = ['node', 'python3', 'sh', 'c'], got = [];
        process.on('message', m => { got.push(m); if (got.length == peers.length) process.send({done: got}); });
        peers.forEach((p, i) => process.send({to: p, id: i, msg: {text: '\\u00e4\\u4e2d', n: [1, null]}}));""",
    "python3": """
        import json, os
        f = os.fdopen(int(os.environ["DROVER_CHANNEL_FD"]), "r+b", 0)
        for i, p in enumerate(["node", "python3", "sh", "c"]):
            f.write(json.dumps({"to": p, "id": i, "msg": {"text": "\\u00e4\\u4e2d", "n": [1, None]}}).encode() + b"\\n")
        r = open(f.fileno(), "rb", closefd=False)
        got = [json.loads(r.readline()) for _ in range(4)]
        f.write(json.dumps({"done": got}).encode() + b"\\n")""",
    "sh": """
        for p in node python3 sh c; do echo "{\\"to\\":\\"$p\\",\\"id\\":1,\\"msg\\":{\\"text\\":\\"\\\\u00e4\\\\u4e2d\\",\\"n\\":[1,null]}}" >&3; done
        read -r a <&3; read -r b <&3; read -r c <&3; read -r d <&3
        echo "{\\"done\\":[$a,$b,$c,$d]}" >&3""",
}


class Languages(Case):
    def section(self, name, language, code, settings=""):
        path = self.write("worker-" + name, textwrap.dedent(code))
        return "[program:%s]\ncommand=%s %s\nrelay=true\nstartsecs=0\nautorestart=false\n%s\n" % (
            name, language, path, settings)

    def in_c(self):
        """The same in C, compiled."""
        source, program = self.write("worker.c", C), self.path("worker-c")
        subprocess.run(["cc", "-w", "-o", program, source], check=True)
        return "[program:c]\ncommand=%s\nrelay=true\nstartsecs=0\nautorestart=false\n" % program

    def workers(self):
        return self.in_c() + "".join(self.section(name, name, code, "ipc_handles=none" if name == "sh" else "")
                                     for name, code in ECHO.items())

    def test_each_asks_each(self):
        askers = "".join(self.section("ask_" + name, name, code, "autostart=false") for name, code in ASK.items())
        d = self.daemon(self.workers() + askers, native=True)
        d.events
        for name in [*ECHO, "c"]:
            d.wait_state(name, "RUNNING")
        for name in ASK:
            d.start("ask_" + name)
            done = d.wait_event("message", "ask_" + name, after=-1)["message"]["done"]
            self.assertEqual(sorted((m["from"], m["msg"]["by"]) for m in done), [(n, n) for n in sorted([*ECHO, "c"])])
            for m in done:
                if m["from"] != "sh":
                    self.assertEqual(m["msg"]["got"], {"text": "\u00e4\u4e2d", "n": [1, None]})

    def test_connections_from_node_to_each(self):
        code = """
            const net = require('net'), peers = ['node', 'python3', 'c'];
            let got = [];
            process.on('message', m => { got.push(m); if (got.length == peers.length) process.send({done: got}); });
            let n = 0;
            const server = net.createServer({pauseOnConnect: true}, c => {
              const i = n++;
              process.send({to: peers[i], id: i, msg: 'yours'}, c);
            });
            server.listen(0, '127.0.0.1', () => process.send({port: server.address().port}));"""
        d = self.daemon(self.workers() + self.section("front", "node", code, "autostart=false"), native=True)
        d.events
        for name in [*ECHO, "c"]:
            d.wait_state(name, "RUNNING")
        d.start("front")
        port = d.wait_event("message", "front", after=-1)["message"]["port"]
        said = []
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
                said.append(s.makefile().read())
        self.assertEqual(sorted(said), ["from c", "from node", "from python3"])
        done = [e["message"]["done"] for e in d.events.list if e["event"] == "message" and "done" in e["message"]]
        if not done:
            done = [d.events.until(lambda l: next((e["message"]["done"] for e in l if e["event"] == "message" and
                                                   "done" in e["message"]), None), "both answers", 20)]
        self.assertEqual(sorted((m["from"], m["msg"]["handle"]) for m in done[0]), [("c", True), ("node", True), ("python3", True)])


if __name__ == "__main__":
    unittest.main()
