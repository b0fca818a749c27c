"""Every kind of descriptor that Node knows, from and to programs in Node, Python and C: what arrives is what was sent."""
import subprocess
import textwrap
import unittest

import drover

TYPES = ["net.Server", "net.Socket", "net.Native", "dgram.Socket", "dgram.Native"]

# Each sends one of each type to whomever it is told to, with the port that it has, and says of what it is given itself
# what it is called and which port it has.

NODE = """
    const net = require('net'), dgram = require('dgram');
    const { UDP } = process.binding('udp_wrap');
    const tell = (m, type, port) => process.send({ got: m.msg.type, from: m.from, sent: m.msg.port, type, port });
    const named = (handle) => { const at = {}; handle.getsockname(at); return at.port; };
    function take(m, handle) {
      if (handle instanceof net.Server) tell(m, 'net.Server', handle.address().port);
      else if (handle instanceof net.Socket) tell(m, 'net.Socket', handle.localPort);
      else if (handle instanceof dgram.Socket) tell(m, 'dgram.Socket', handle.address().port);
      else tell(m, handle instanceof UDP ? 'dgram.Native' : 'net.Native', named(handle));
      if (handle.unref) handle.unref();
    }
    const server = net.createServer((c) => c.on('error', () => {})).listen(0, '127.0.0.1');
    const udp = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    const raw = new UDP();
    raw.bind('127.0.0.1', 0, 0);
    function give(to) {
      const send = (type, port, handle) => process.send({ to, msg: { type, port } }, handle);
      const c = net.connect(server.address().port, '127.0.0.1', () => {
        send('net.Server', server.address().port, server);
        send('net.Native', server.address().port, server._handle);
        send('dgram.Socket', udp.address().port, udp);
        send('dgram.Native', named(raw), raw);
        send('net.Socket', c.localPort, c);
      });
    }
    process.on('message', (m, handle) => handle ? take(m, handle) : give(m.give));
    """

PYTHON = """
    import array, json, os, socket
    s = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    udp = socket.socket(type=socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    mine = {"net.Server": server, "net.Socket": client, "net.Native": server, "dgram.Socket": udp, "dgram.Native": udp}
    def give(to):
        for kind, which in mine.items():
            line = {"cmd": "NODE_HANDLE", "type": kind, "msg": {"to": to, "msg": {"type": kind, "port": which.getsockname()[1]}}}
            if kind == "dgram.Socket":
                line["dgramType"] = "udp4"
            with_it = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [which.fileno()]))]
            s.sendmsg([json.dumps(line, separators=(",", ":")).encode() + b"\\n"], with_it)
    rest, fds = b"", []
    while True:
        data, more, _, _ = socket.recv_fds(s, 65536, 8)
        if not data: break
        fds += more
        *lines, rest = (rest + data).split(b"\\n")
        for line in map(json.loads, lines):
            if line.get("cmd") == "NODE_HANDLE":
                s.sendall(b'{"cmd":"NODE_HANDLE_ACK"}\\n')
                m = line["msg"]
                with socket.socket(fileno=fds.pop(0)) as it:
                    s.sendall(json.dumps({"got": m["msg"]["type"], "from": m["from"], "sent": m["msg"]["port"],
                                          "type": line["type"], "port": it.getsockname()[1]}).encode() + b"\\n")
            elif "give" in line:
                give(line["give"])
    """

C = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int channel, given = -1;

static int port_of(int fd)
{
    struct sockaddr_in at = { 0 };
    socklen_t len = sizeof(at);
    getsockname(fd, (struct sockaddr *)&at, &len);
    return ntohs(at.sin_port);
}

static int bound(int type)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, type, 0);
    bind(fd, (struct sockaddr *)&at, sizeof(at));
    if (type == SOCK_STREAM)
        listen(fd, 5);
    return fd;
}

static int connected(int server)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    getsockname(server, (struct sockaddr *)&at, &len);
    connect(fd, (struct sockaddr *)&at, len);
    return fd;
}

static void send_one(const char *to, int to_len, const char *type, const char *more, int fd)
{
    char line[500];
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control = { 0 };
    int n = snprintf(line, sizeof(line), "{\"cmd\":\"NODE_HANDLE\",\"type\":\"%s\"%s,\"msg\":{\"to\":\"%.*s\",\"msg\":"
                     "{\"type\":\"%s\",\"port\":%d}}}\n", type, more, to_len, to, type, port_of(fd));
    struct iovec part = { line, (size_t)n };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
    sendmsg(channel, &m, 0);
}

static void give(const char *to)
{
    int len = (int)strcspn(to, "\""), server = bound(SOCK_STREAM), udp = bound(SOCK_DGRAM);
    send_one(to, len, "net.Server", "", server);
    send_one(to, len, "net.Socket", "", connected(server));
    send_one(to, len, "net.Native", "", server);
    send_one(to, len, "dgram.Socket", ",\"dgramType\":\"udp4\"", udp);
    send_one(to, len, "dgram.Native", "", udp);
}

static char *value(char *text, const char *key)
{
    return strstr(text, key) + strlen(key);
}

static void take(char *text)
{
    char *from = value(text, "\"from\":\""), *msg = value(text, "\"msg\":{\"type\":\""), *type = value(text, "\"type\":\"");
    dprintf(channel, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"got\":\"%.*s\",\"from\":\"%.*s\",\"sent\":%d,\"type\":\"%.*s\",\"port\":%d}\n",
            (int)strcspn(msg, "\""), msg, (int)strcspn(from, "\""), from, atoi(value(msg, "\"port\":")),
            (int)strcspn(type, "\""), type, port_of(given));
    close(given);
}

int main(void)
{
    static char line[1 << 16];
    size_t have = 0;
    channel = atoi(getenv("DROVER_CHANNEL_FD"));
    for (;;) { /* a read ends behind the line that has a descriptor */
        union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control;
        struct iovec part = { line + have, sizeof(line) - 1 - have };
        struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(channel, &m, MSG_CMSG_CLOEXEC);
        if (n <= 0)
            return 0;
        if (CMSG_FIRSTHDR(&m) != NULL)
            memcpy(&given, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(given));
        have += (size_t)n;
        for (char *end; (end = memchr(line, '\n', have)) != NULL;) {
            size_t len = (size_t)(end - line);
            *end = '\0';
            if (strstr(line, "\"give\":\"") != NULL)
                give(value(line, "\"give\":\""));
            else if (strstr(line, "\"NODE_HANDLE\"") != NULL)
                take(line);
            memmove(line, end + 1, have -= len + 1);
        }
    }
}
"""


class Types(drover.TestCase):
    def workers(self):
        source, program = self.write("worker.c", C), self.path("worker-c")
        subprocess.run(["cc", "-w", "-o", program, source], check=True)
        commands = {"node": "node --no-deprecation " + self.write("worker.js", textwrap.dedent(NODE)),
                    "python": "python3 -S " + self.write("worker.py", textwrap.dedent(PYTHON)), "c": program}
        return "".join("[program:%s]\ncommand=%s\nrelay=true\nstartsecs=0\nautorestart=false\n" % item
                       for item in commands.items())

    def test_every_type_from_each_to_each(self):
        d = self.daemon(self.workers(), native=True)
        d.events
        names = ("node", "python", "c")
        for name in names:
            d.wait_state(name, "RUNNING")
        for sender in names:
            for receiver in names:
                d.post(d.process_path(sender, "/message"), b'{"give":"%s"}' % receiver.encode())

                def arrived(events):
                    got = [e["message"] for e in events if e["event"] == "message" and e["process"].startswith(receiver + ":")
                           and e["message"].get("from") == sender]
                    return got if len(got) >= len(TYPES) else None
                got = d.events.until(arrived, "all types from %s to %s" % (sender, receiver), 20)
                self.assertEqual(sorted(m["got"] for m in got), sorted(TYPES))
                for m in got:
                    self.assertEqual((m["type"], m["port"]), (m["got"], m["sent"]), (sender, receiver))
        for name in names:
            self.assertEqual(d.info(name)["channel"]["handles_lost"], 0)


if __name__ == "__main__":
    unittest.main()
