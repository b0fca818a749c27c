"""The channel of a process: where it is, what comes through it, and in which order what happens is told."""
import json
import os
import shutil
import subprocess
import unittest

import drover
import procs
from channels import ANSWER, DEAF, ECHO, ORDER, Workers


class Places(Workers):
    def seen(self, settings):
        d = self.worker("import fcntl,json,os\nn=int(os.environ['DROVER_CHANNEL_FD'])\nfds=[]\n"
                        "for i in range(64):\n try: fcntl.fcntl(i,1); fds.append(i)\n except OSError: pass\n"
                        "os.write(n,(json.dumps({'fds':fds,"
                        "'env':{k:v for k,v in os.environ.items() if 'CHANNEL' in k}})+'\\n').encode())\n",
                        settings, "python3")
        return self.messages(self.run_out(d))[0]

    def test_the_first_free_descriptor(self):
        self.assertEqual(self.seen("ipc=true\n"), {
            "fds": [0, 1, 2, 3],
            "env": {"NODE_CHANNEL_FD": "3", "DROVER_CHANNEL_FD": "3", "NODE_CHANNEL_SERIALIZATION_MODE": "json"}})

    def test_the_first_free_descriptor_of_a_list(self):
        self.assertEqual(self.seen("ipc=json\nstdio=pipe,pipe,pipe,pipe,null,pipe\n")["fds"],
                         [0, 1, 2, 3, 4, 5])

    def test_a_place_of_its_own(self):
        seen = self.seen("stdio=ignore,pipe,pipe,null,null,null,null,ipc\n")
        self.assertEqual((seen["fds"], seen["env"]["NODE_CHANNEL_FD"]), ([0, 1, 2, 7], "7"))

    def test_nobody_says_otherwise_and_nobody_else_has_it(self):
        d = self.worker("import os\nopen('env','w').write(repr(dict(os.environ)))\n", "ipc=true\nautostart=true\n"
                        "environment=NODE_CHANNEL_FD=\"77\",NODE_UNIQUE_ID=\"5\"\n", "python3",
                        more="[program:b]\ncommand=sleep 1000\n",
                        env={"NODE_CHANNEL_FD": "9", "DROVER_CHANNEL_FD": "9", "NODE_UNIQUE_ID": "1"})
        d.wait_event("close", "a")
        with open(self.path("env")) as f:
            self.assertIn("'NODE_CHANNEL_FD': '3'", f.read())
        self.assertEqual([k for k in procs.environment(d.pid_of("b")) if "CHANNEL" in k or "UNIQUE_ID" in k], [])

    def test_a_list_without_a_place_left_is_refused(self):
        d = self.worker("", "ipc=true\nstdio=%s\n" % ", ".join(["pipe"] * 64), wait=False)
        d.expected_status = 2
        d.wait_exit()
        self.assertIn("[program:a] ipc: finds no descriptor", d.stderr())

    def test_show_has_it(self):
        d = self.worker("setInterval(()=>{},1000); process.send(1); process.on('message', () => 0)")
        self.assertEqual(d.info("a")["channel"]["open"], False)
        d.events
        d.start("a")
        d.wait_event("message", "a", after=-1)
        channel = d.info("a")["channel"]
        self.assertEqual((channel["open"], channel["fd"], channel["received"]), (True, 3, 1))
        shown = d.get(d.process_path("a"), show=1).json["descriptors"]
        self.assertEqual((shown[3]["fd"], shown[3]["kind"]), (3, "ipc"))


class Order(Workers):
    def test_messages_come_before_the_end(self):
        events = self.run_out(self.worker("process.send('one'); process.send({two: [1.50, null]})"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "message", "disconnect", "exit", "close"])
        self.assertEqual(self.messages(events), ["one", {"two": [1.5, None]}])

    def test_a_disconnect_before_the_end(self):
        events = self.run_out(self.worker("process.send(process.connected); process.disconnect();"
                                          "setTimeout(() => process.exit(process.connected ? 4 : 3), 50)"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "disconnect", "exit", "close"])
        self.assertEqual((self.messages(events), events[3]["status"]), ([True], 3))

    def test_exit_inside_the_callback_of_send(self):
        events = self.run_out(self.worker("process.send({a: 'x'.repeat(1000000)}, () => process.exit(5))"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "disconnect", "exit", "close"])
        self.assertEqual((events[1]["message"], events[1]["bytes"], events[3]["status"]), (None, 1000008, 5))

    def test_an_uncaught_error(self):
        d = self.worker("process.send('before'); setImmediate(() => { throw new Error('oh') })")
        events = self.run_out(d)
        self.assertEqual(self.kinds(events), ["spawn", "message", "disconnect", "exit", "close"])
        self.assertEqual((self.messages(events), events[3]["status"]), (["before"], 1))
        self.assertIn(b"oh", d.output("a", "stderr"))

    def test_killed_after_a_word(self):
        events = self.run_out(self.worker("process.send('last'); process.kill(process.pid, 'SIGKILL')"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "disconnect", "exit", "close"])
        self.assertEqual((self.messages(events), events[3]["signal"]), (["last"], "SIGKILL"))

    def test_a_start_that_fails_has_no_disconnect(self):
        d = self.daemon("[program:a]\ncommand=%(here)s/script\nipc=true\nautostart=false\nstartretries=0\n", native=True)
        self.write("script", "#!/no/such/interpreter\n", 0o755)
        d.refusal("start", "a")
        self.assertEqual(self.kinds(d.history("a", *ORDER)), ["error", "close"])

    def test_a_grandchild_with_the_channel_does_not_keep_it(self):
        events = self.run_out(self.worker("echo 1 >&3\nsleep 1000 3>&3 >/dev/null 2>&1 &\necho $! >&3\n", language="sh"))
        self.assertEqual(self.kinds(events), ["spawn", "message", "message", "disconnect", "exit", "close"])
        os.kill(events[2]["message"], 9)

    def test_each_run_has_a_channel_of_its_own(self):
        d = self.worker("process.send(process.pid)")
        self.run_out(d)
        first = d.events.list[-1]["seq"]
        d.start("a")
        d.wait_event("close", "a", after=first)
        self.assertEqual(self.messages(d.events.list), [e["pid"] for e in d.events.list if e["event"] == "spawn"])


class Sending(Workers):
    def test_messages_arrive_as_they_are(self):
        d = self.started(ECHO)
        texts = ['{"a": [1.0, -0, 1e2]}', '"\\u2028 \\ud800 \u00e4\u20ac"', "null", "[]", '{"cmd": "NODE_"}', " 7 "]
        reply = self.send(d, *texts)
        self.assertEqual((reply.status, reply.json), (200, {"ok": True, "sent": 6}))
        self.assertEqual(self.wait_messages(d, 7)[1:], [{"got": json.loads(t)} for t in texts])
        channel = d.info("a")["channel"]
        self.assertEqual((channel["sent"], channel["received"], channel["queued"]), (6, 7, 0))

    def test_one_of_a_mebibyte_each_way(self):
        d = self.started("process.on('message', m => process.send([m.length, m]))")
        text = json.dumps("x" * (1024 * 1024 - 2))
        self.assertEqual(self.send(d, text).status, 200)
        # the answer is longer than ipc_max_message by its brackets
        procs.wait_until(lambda: d.info("a")["channel"]["oversized"] == 1, "a line to be skipped")
        self.assertEqual(d.info("a")["channel"]["received"], 0)
        d.update("[program:a]\ncommand=node %s\nipc=true\nipc_max_message=2MB\nstartsecs=0\n" % self.path("worker"))
        d.wait_state("a", "RUNNING")
        stream = d.client.stream(d.process_path("a", "/messages"), follow=1)
        self.assertEqual(self.send(d, text).status, 200)
        line = stream.until(lambda data: data if data.endswith(b"}\n") else None, "the answer")
        self.assertEqual(json.loads(line)["message"], [1048574, "x" * 1048574])

    def test_what_is_not_sent(self):
        d = self.started(ECHO)
        self.wait_messages(d, 1)
        self.assertEqual(self.refused(d, "{]", 400, "EINVAL")[:15], "line 1, byte 2:")
        self.assertIn("line 3, byte 1", self.refused(d, "1\n\nx", 400, "EINVAL"))
        self.assertIn("no message", self.refused(d, "\n \n", 400, "EINVAL"))
        self.assertIn("NODE_", self.refused(d, '{"cmd":"NODE_HANDLE_ACK"}', 400, "EINVAL"))
        self.assertIn("NODE_", self.refused(d, '{"\\u0063md":"\\u004eODE_x"}', 400, "EINVAL"))
        self.refused(d, "1\n2", 400, "EINVAL", wait_reply=1)
        self.assertEqual(self.send(d, '"fine"').status, 200)
        self.assertEqual(self.wait_messages(d, 2)[1:], [{"got": "fine"}])
        d.stop("a")
        self.refused(d, "1", 409, "ESRCH")

    def test_an_answer_is_waited_for(self):
        d = self.started(ANSWER)
        for n in (21, 4):
            reply = self.send(d, str(n), wait_reply=1).json
            self.assertEqual((reply["reply"]["msg"], reply["reply"]["from"]), (2 * n, "$"))
        self.assertEqual(self.ctl(d, "send", "a", "1.5", "--wait-reply").stdout, '{"re":3,"msg":3,"from":"$"}\n')

    def test_the_verb_delivers_every_blank(self):
        d = self.started(ECHO)
        self.wait_messages(d, 1)
        self.assertEqual(self.ctl(d, "send", "a", '{"a  b": " --quiet "}').returncode, 0)
        self.assertEqual(self.wait_messages(d, 2)[1], {"got": {"a  b": " --quiet "}})
        for words, status, out in ((("a", "{"), 1, "a: ERROR (bad arguments; line 1, byte 2: "), (("b", "1"), 4, "b: ERROR (no such"),
                                   (("a",), 2, "Error: send requires"), (("a", "1", "--what"), 2, "Error: bad argument --what")):
            r = self.ctl(d, "send", *words)
            self.assertEqual((r.returncode, r.stdout[:len(out)]), (status, out))
        d.stop("a")
        r = self.ctl(d, "send", "a", "1")
        self.assertEqual((r.returncode, r.stdout), (7, "a: ERROR (not running)\n"))

    def test_an_answer_that_does_not_come(self):
        d = self.started("process.on('message', m => { if (m.msg == 'die') process.exit(1) })")
        self.refused(d, "1", 504, "ETIMEDOUT", wait_reply=1, timeout=1)
        self.refused(d, '"die"', 409, "ENOTCONN", wait_reply=1)

    def test_who_does_not_read_is_bounded(self):
        d = self.started(DEAF, language="python3")
        self.wait_messages(d, 1)
        piece = [json.dumps("x" * 8000)] * 100
        before = procs.status(d.supervisor)["VmRSS"]
        for _ in range(100):
            reply = self.send(d, *piece, timeout=1)
            if reply.status != 200:
                break
        self.assertEqual((reply.status, reply.error["code"]), (503, "ENOBUFS"))
        channel = d.info("a")["channel"]
        self.assertTrue(0 < channel["queued"] <= 1024)
        grown = int(procs.status(d.supervisor)["VmRSS"].split()[0]) - int(before.split()[0])
        if not drover.SAN:  # a sanitizer keeps what is freed
            self.assertLess(grown, 4 * 1024)

    def test_a_sender_waits_for_room(self):
        d = self.started("import os,time,socket\nos.read(0,1)\ns=socket.socket(fileno=3).makefile()\n"
                         "n=0\nfor line in s:\n n+=1\n"
                         " if n==3000: os.write(3,(line.strip()+'\\n').encode())\n", language="python3")
        stream = d.client.stream(d.process_path("a", "/messages"), follow=1)
        code = ("import subprocess,sys\nfor i in range(3000): print('[%d,\"' % i + 'y'*1000+'\"]')\n")
        sender = subprocess.Popen(["sh", "-c", 'python3 -c "$1" | "$2" -s "unix://$3" send a - --wait=60', "sh", code,
                                   drover.DROVERCTL, d.socket])
        procs.wait_until(lambda: d.info("a")["channel"]["queued"] > 500, "the queue to fill")
        self.assertIsNone(sender.poll())
        d.post(d.process_path("a", "/stdin"), "x")
        self.assertIn(b"[2999,", stream.until_text("2999"))
        self.assertEqual(sender.wait(20), 0)


class Disconnecting(Workers):
    def test_node_is_told(self):
        d = self.started("process.on('disconnect', () => process.exit(process.connected ? 1 : 7)); process.send('up')")
        self.wait_messages(d, 1)
        r = self.ctl(d, "disconnect", "a")
        self.assertEqual((r.returncode, r.stdout), (0, "a: disconnected\n"))
        d.wait_event("close", "a")
        events = [e for e in d.events.list if e.get("process") == "a:a" and e["event"] in ORDER]
        self.assertEqual((self.kinds(events), events[3]["status"]),
                         (["spawn", "message", "disconnect", "exit", "close"], 7))

    def test_what_waits_comes_first(self):
        d = self.started("import os,socket\nos.write(3,b'1\\n')\nos.read(0,1)\ndata=socket.socket(fileno=3).makefile().read()\n"
                         "print(data.count('\\n'), data.endswith('\\n'), flush=True)\n", language="python3")
        self.wait_messages(d, 1)
        self.assertEqual(self.send(d, *[json.dumps("x" * 1000)] * 900).status, 200)
        d.deed("disconnect", "a")
        self.refused(d, "1", 409, "ENOTCONN")
        self.assertEqual(d.refusal("disconnect", "a")["code"], "ENOTCONN")
        d.post(d.process_path("a", "/stdin"), "x")
        d.wait_event("close", "a")
        self.assertEqual(d.output("a"), b"900 True\n")

    def test_a_process_goes_on_without_its_channel(self):
        d = self.started("process.disconnect(); setInterval(() => {}, 1000)")
        d.wait_event("disconnect", "a")
        self.assertEqual((d.info("a")["statename"], d.info("a")["channel"]["open"]), ("RUNNING", False))
        self.refused(d, "1", 409, "ENOTCONN")


class Garbage(Workers):
    def test_lines_that_are_none(self):
        d = self.started("import os\nfor b in (b'\\n',b'{]\\n',b'\\xff\\xfe\\n',b'1\\n',b'x'*3000000+b'\\n',b'2',b'\\n',b'\"half'):\n"
                         " while b: b=b[os.write(3,b):]\n", language="python3")
        d.wait_event("close", "a")
        self.assertEqual(self.messages(d.events.list), [1, 2])
        channel = d.info("a")["channel"]
        self.assertEqual([channel[k] for k in ("received", "malformed", "oversized", "cut")], [2, 3, 1, 1])

    def test_descriptors_are_closed(self):
        d = self.started("import os,socket,array\ns=socket.socket(fileno=3)\nn=os.open('/dev/null',0)\n"
                         "for i in range(1000):\n socket.send_fds(s,[b'1\\n'],[n]*50)\n"
                         " socket.send_fds(s,[b'{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":2}\\n'],[n])\n"
                         "s.shutdown(1)\nos.write(1,b'%d' % s.makefile().read().count('ACK'))\n", language="python3")
        before = self.descriptors(d)
        d.wait_event("close", "a")
        self.assertEqual(d.output("a"), b"1000")
        channel = d.info("a")["channel"]
        self.assertEqual([channel[k] for k in ("received", "handles_received", "handles_lost")], [2000, 1000, 51000])
        self.none_left(d, before)

    def test_a_flood_does_not_grow_the_daemon(self):
        d = self.worker("import os\nb=(b'x'*1000+b'\\n')*60+b'[1]\\n'*1000\nfor i in range(300):\n a=b\n"
                        " while a: a=a[os.write(3,a):]\n", language="python3")
        d.events
        before = int(procs.status(d.supervisor)["VmRSS"].split()[0])
        d.start("a")
        d.wait_event("exit", "a")
        if not drover.SAN:
            self.assertLess(int(procs.status(d.supervisor)["VmRSS"].split()[0]) - before, 4 * 1024)
        channel = d.info("a")["channel"]
        self.assertEqual((channel["received"], channel["malformed"]), (300000, 18000))


class Handles(Workers):
    """Descriptors that a Node program sends, with nobody to take them."""

    def test_a_connection_is_answered_closed_and_counted(self):
        d = self.worker("""
            const net = require('net');
            const server = net.createServer({pauseOnConnect: true}, socket => {
              process.send('socket', socket);
              process.send('after');  // waits in the program until the descriptor is acknowledged
              server.getConnections((error, n) => {  // asks us for those that we have
                process.send({error, n});
                server.close(() => process.send('all closed', () => process.disconnect()));
              });
            }).listen(0, () => net.connect(server.address().port).on('close', () => process.send('closed')));
        """)
        before = self.descriptors(d)
        events = self.run_out(d)
        self.assertEqual(self.messages(events)[:2], ["socket", "after"])
        self.assertCountEqual(self.messages(events)[2:], [{"error": None, "n": 0}, "all closed", "closed"])
        channel = d.info("a")["channel"]
        self.assertEqual((channel["handles_received"], channel["handles_lost"], events[-2]["status"]), (1, 1, 0))
        self.none_left(d, before)

    def test_every_kind_is_acknowledged(self):
        d = self.worker("""
            const net = require('net'), dgram = require('dgram');
            const server = net.createServer().listen(0, () => {
              const udp = dgram.createSocket('udp4').bind(0, () => {
                process.send('server', server);
                process.send('native', server._handle);
                process.send('udp', udp);
                process.send('end', () => process.exit(0));
              });
            });
        """)
        events = self.run_out(d)
        self.assertEqual(self.messages(events), ["server", "native", "udp", "end"])
        self.assertEqual(d.info("a")["channel"]["handles_received"], 3)


class Languages(Workers):
    def test_sh(self):
        d = self.started("exec 4<&3\necho '\"up\"' >&$DROVER_CHANNEL_FD\nwhile read -r line <&4; do echo \"[$line]\" >&3; done\n",
                         language="sh")
        self.send(d, "1", '{"a":2}')
        self.assertEqual(self.wait_messages(d, 3), ["up", [1], [{"a": 2}]])
        d.deed("disconnect", "a")
        d.wait_event("close", "a")

    def test_100000_to_node_in_their_order(self):
        d = self.started("let n = 0; process.on('message', m => { if (++n == 100000) process.send({n, m}) }); process.send('up')")
        self.wait_messages(d, 1)
        sender = subprocess.run("seq 100000 | %s -s unix://%s send a -" % (drover.DROVERCTL, d.socket), shell=True, timeout=50)
        self.assertEqual(sender.returncode, 0)
        self.assertEqual(self.wait_messages(d, 2)[1], {"n": 100000, "m": 100000})


class Examples(Workers):
    def test_a_worker_in_each_language(self):
        example = os.path.join(drover.ROOT, "conf/examples/messages")
        for name in ("worker.js", "worker.py", "worker.sh", "worker.c"):
            shutil.copy(os.path.join(example, name), self.path(name))
        with open(os.path.join(example, "drover.conf")) as f:
            programs = f.read().split("[droverd]")[1].split("[program:", 1)[1]
        d = self.daemon("[program:" + programs, native=True)
        d.events
        for name in ("node", "python", "c", "sh"):
            with self.subTest(worker=name):
                stream = d.client.stream(d.process_path(name, "/messages"), follow=1)
                self.assertIn(('{"ready":"%s"}' % name).encode(), stream.until_text("ready").replace(b" ", b""))
                stream.close()
                r = self.ctl(d, "send", name, '{"do":["it",1.50]}', "--wait-reply")
                self.assertEqual(json.loads(r.stdout)["msg"], {"worker": name, "heard": {"do": ["it", 1.5]}})
                self.assertEqual(self.ctl(d, "disconnect", name).returncode, 0)
                self.assertEqual(d.wait_event("exit", name)["status"], 0)
                self.assertEqual(d.output(name), b"the supervisor has closed the channel\n")


if __name__ == "__main__":
    unittest.main()
