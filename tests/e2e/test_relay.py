"""Messages between processes: who gets what, and who is told what."""
import json
import os
import subprocess
import unittest

import drover
import procs
from puppets import Case


class Addresses(Case):
    def test_one_to_one(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.raw(b'{"to":"b","msg": {"x":1.50,"y":"\\u00e4", "x":[1e400,123456789012345678901]} }\n')
        self.assertEqual(b.line(), b'{"from":"a","msg":{"x":1.50,"y":"\\u00e4", "x":[1e400,123456789012345678901]}}')
        b.to("a", None)
        self.assertEqual(a.line(), b'{"from":"b","msg":null}')

    def test_long_ones_alone_together_and_in_parts(self):
        """Whoever sends one long line at a time is read as if the next one were one, too."""
        self.play("a", "b")
        a, b = self.actors("a", "b")
        items = b",".join(b'{"n":%d,"s":"\\u00e4\xc3\xa4"}' % i for i in range(600))
        line, got = b'{"to":"b","msg":[%s]}\n' % items, b'{"from":"a","msg":[%s]}' % items
        middle = len(line) // 2

        def comes(*raws, lines=1):
            for raw in raws:
                a.raw(raw)
            self.assertEqual([b.line() for _ in range(lines)], [got] * lines)
        for _ in range(2):
            comes(line)
            comes(line)
            comes(line, line, lines=2)
            comes(line)
            comes(line + line[:middle], line[middle:], lines=2)
            comes(line)
            comes(line[:middle], line[middle:])
            comes(line)
            for broken in (line.replace(b"[{", b"[\n{"), line.replace(b'"msg"', b'\n"msg"'), line.replace(b"]}\n", b"]\n}\n"),
                           line[:middle] + b"\n" + line[middle:], b'{"x":[%s],\n"to":"b","msg":1}\n' % items):
                a.raw(broken)
                self.assertEqual([m["err"] for m in a.hears(2)], ["EINVAL"] * 2)
                comes(line)
            a.raw(b'{"to":"b","msg":1}\n' + line)
            self.assertEqual(b.line(), b'{"from":"a","msg":1}')
            self.assertEqual(b.line(), got)
        self.assertTrue(a.silent() and b.silent())

    def test_request_and_answer(self):
        self.play("a", ("api", "", 2))
        a, zero, one = self.actors("a", "api_0", "api_1")
        a.to("api:api_1", "question", id=7)
        self.assertEqual(one.line(), b'{"from":"a","msg":"question","id":7}')
        one.to("a", "answer", re=7)
        self.assertEqual(a.line(), b'{"from":"api:api_1","re":7,"msg":"answer"}')
        one.to("a", "once more", re=7)  # nobody waits for it any more
        zero.to("a", "not asked", re=7)
        zero.to("a", "end")
        self.assertEqual(a.line(), b'{"from":"api:api_0","msg":"end"}')

    def test_raw(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.to("b", {"just": "this"}, raw=True)
        self.assertEqual(b.line(), b'{"just":"this"}')

    def test_pool_group_and_all(self):
        self.play("a", ("api", "", 3), "z")
        a, z, *api = self.actors("a", "z", "api_0", "api_1", "api_2")
        for i in range(6):
            a.to("api", i)
        self.assertEqual(sorted(sum([[m["msg"] for m in w.hears(2)] for w in api], [])), list(range(6)))
        a.to("api:*", "all")
        a.to("@api", "group")
        a.to("*", "everybody")
        a.to(["z", "api:api_1", "api:api_1"], "list")
        for w, extra in zip(api + [z], ([], ["list"], [], ["list"])):
            known = ["all", "group", "everybody"] if w is not z else ["everybody"]
            self.assertEqual([m["msg"] for m in w.hears(len(known + extra))], known + extra)
            self.assertTrue(w.silent())
        self.assertTrue(a.silent())

    def test_pool_by_what_is_open(self):
        self.play("a", ("api", "", 2))
        a, zero, one = self.actors("a", "api_0", "api_1")
        for i in range(100, 300):
            a.to("api", "q", id=i)
        for actor in one, zero:
            for m in actor.hears(100):  # neither has more than its half
                actor.to("a", "done", re=m["id"])
        a.hears(200)
        for i in range(4):
            a.to("api", "q", id=i)
        ids = [m["id"] for m in zero.hears(2)]
        one.hears(2)
        for i in ids:
            zero.to("a", "done", re=i)
        a.hears(2)
        a.to("api", "q", id=10)
        a.to("api", "q", id=11)
        self.assertEqual([m["id"] for m in zero.hears(2)], [10, 11])
        self.assertTrue(one.silent())

    def test_what_is_no_envelope_goes_to_the_supervisor(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        self.d.events
        a.say({"to": "b"})
        self.assertEqual(self.d.wait_event("message", "a", after=-1)["message"], {"to": "b"})
        self.assertTrue(b.silent())

    def test_without_relay_nothing_is_routed(self):
        self.play(("a", "relay=false\nipc=true"), "b", ("c", "relay=false\nipc=true"))
        a, b = self.actors("a", "b")
        self.d.events
        a.to("b", 1)
        self.assertEqual(self.d.wait_event("message", "a", after=-1)["message"], {"to": "b", "msg": 1})
        b.to("c", 1, id=1)
        self.assertEqual(b.hear()["err"], "ENOENT")


class Shown(Case):
    def test_droverctl_ipc(self):
        self.play("a", ("b", "accept_from=nobody"), more="[program:c]\ncommand=sleep 1000\n")
        a, _ = self.actors("a", "b")
        a.to("b", 1, id=1)
        a.hear()
        a.raw(b"no message\n")
        a.hear()
        def table(*words):
            return subprocess.run([drover.DROVERCTL, "-s", "unix://" + self.d.socket, "ipc", *words],
                                  capture_output=True, text=True)
        shown = table()
        lines = [line.split() for line in shown.stdout.splitlines()]
        self.assertEqual(lines[0], "process channel received sent queued bounced lost skipped handles routed refused open".split())
        self.assertEqual(lines[1:], [["a", "open", "1", "2", "0", "0", "0", "1", "0", "0", "1", "0"],
                                     ["b", "open"] + ["0"] * 10])
        self.assertEqual((shown.stderr, shown.returncode), ("", 0))
        widths = [len(line) for line in shown.stdout.splitlines()]
        self.assertEqual((len(set(widths)), widths[0] <= 90), (1, True))
        self.assertEqual(table("c").stdout.splitlines()[1].split(), ["c", "none"] + ["-"] * 10)

    def test_droverctl_ipc_of_nobody(self):
        d = self.daemon("[program:c]\ncommand=sleep 1000\n")
        shown = subprocess.run([drover.DROVERCTL, "-s", "unix://" + d.socket, "ipc"], capture_output=True, text=True)
        self.assertEqual((shown.stdout, shown.returncode), ("", 0))
        self.assertIn("no process has a channel", shown.stderr)

    def trace(self, *words):
        p = subprocess.Popen([drover.DROVERCTL, "-s", "unix://" + self.d.socket, "ipc", "--trace", *words],
                             stdout=subprocess.PIPE, text=True)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.terminate)
        return p

    def test_trace(self):
        self.play("a", "b", ("c", "accept_from=x"))
        a, b, c = self.actors("a", "b", "c")
        everything, errors, of_c = self.trace(), self.trace("--errors"), self.trace("c")
        seen = lambda p, *keys: tuple(map(json.loads(p.stdout.readline()).get, keys))
        # what they are told of begins some time after their start
        for p in (everything, errors, of_c):
            os.set_blocking(p.stdout.fileno(), False)

        silent = {everything, errors, of_c}

        def knock():
            a.to("c", 1)
            silent.difference_update([p for p in silent if p.stdout.readline()])
            return not silent
        procs.wait_until(knock, "the traces to begin")
        a.to("b", "mark", id=1)
        a.to(["b", "nobody"], [1, 2, 3], id=7)
        b.hears(2)
        b.to("a", "x", re=7)
        a.hears(2)
        a.to("c", "last", id=8)
        for p in (everything, errors, of_c):
            os.set_blocking(p.stdout.fileno(), True)
        all_of = []
        while not all_of or all_of[-1][1] != 8:
            all_of.append(seen(everything, "from", "id", "re", "to", "bytes", "result"))
        all_of = all_of[all_of.index(("a", 1, None, "b", 6, "ok")) + 1:]
        self.assertEqual(all_of, [("a", 7, None, "b", 7, "ok"), ("a", 7, None, "nobody", 7, "ENOENT"),
                                  ("b", None, 7, "a", 3, "ok"), ("a", 8, None, "c", 6, "EACCES")])
        failed = []
        while not failed or failed[-1][0] != 8:
            failed.append(seen(errors, "id", "result"))
        self.assertEqual(failed[-2:], [(7, "ENOENT"), (8, "EACCES")])
        last = None
        while last != 8:
            to, last = seen(of_c, "to", "id")
            self.assertIn("c", to)

    def test_trace_of_what_fails_in_its_queue(self):
        self.play("a", "b")
        a, _ = self.actors("a", "b")
        while self.channel("b")["queued"] == 0:  # its socket is full
            for _ in range(5):
                a.to("b", "x" * 20000)
        errors = self.trace("--errors", "b")
        os.set_blocking(errors.stdout.fileno(), False)

        def knock():
            a.to("b", "late", id=1, ttl=1)
            return errors.stdout.readline()
        procs.wait_until(knock, "the trace to begin")
        os.set_blocking(errors.stdout.fileno(), True)
        a.to("b", "late", id=2, ttl=1, ack=True)
        seen = {}
        while 2 not in seen:
            line = json.loads(errors.stdout.readline())
            seen[line["id"]] = (line["from"], line["to"], line["result"])
        self.assertEqual(seen[2], ("a", "b", "ETIMEDOUT"))


class Bounces(Case):
    def test_codes(self):
        self.play("a", ("b", "autostart=false"), ("c", "accept_from=x"), ("d", "send_to=b, c"))
        a, c, d = self.actors("a", "c", "d")
        for n, (sender, address, code) in enumerate([(a, "nobody", "ENOENT"), (a, "b", "EHOSTDOWN"), (a, "c", "EACCES"),
                                                     (d, "a", "EACCES"), (d, "b:b", "EHOSTDOWN"), (a, "@x", "ENOENT")]):
            sender.to(address, 1, id=n)
            self.assertEqual(sender.hear(), {"from": "$", "re": n, "err": code, "to": address})
            sender.to(address, 1)  # nobody to tell
        a.to("a", 1)
        self.assertEqual(a.hear(), {"from": "a", "msg": 1})

    def test_faults_have_their_place(self):
        self.play("a", ("b", "ipc_max_message=1KB"))
        a, b = self.actors("a", "b")
        a.raw(b'{"to":"b","msg":1,"id":3,"ttl":-1}\n')
        self.assertEqual(a.hear(), {"from": "$", "re": 3, "err": "EINVAL", "at": 31,
                                    "why": "not an integer from 0 to 2^53 - 1"})
        a.raw(b'{"to":"b","msg":}\n')
        self.assertEqual(a.hear(), {"from": "$", "err": "EINVAL", "at": 16, "why": "no value"})
        a.raw(b'{"to":"b","msg":1,"id":"a word"}\n')  # so it has none
        self.assertEqual(a.hear(), {"from": "$", "err": "EINVAL", "at": 23, "why": "not an integer from 0 to 2^53 - 1"})
        a.raw(b'{"to":"b","msg":1,"ack":true}\n')
        self.assertEqual(a.hear(), {"from": "$", "err": "EINVAL", "at": 24, "why": "without an id there is nothing to tell"})
        self.assertEqual(self.channel("a")["relay"]["refused"], 3)
        b.raw(b'{"to":"a","msg":"' + b"x" * 2000 + b'"}\n{"to":"a","msg":2}\n')
        self.assertEqual(b.hear(), {"from": "$", "err": "EMSGSIZE", "at": 1024, "why": "longer than ipc_max_message"})
        self.assertEqual(a.hear(), {"from": "b", "msg": 2})
        a.raw(b'{"to":"b","raw":true,"id":4,"msg":{"cmd":"NODE_HANDLE_ACK"}}\n')
        self.assertEqual(a.hear()["err"], "EINVAL")
        self.assertTrue(b.silent())

    def test_who_sends_nothing_else_is_no_longer_told(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.raw(b'garbage\n{"to":5,"msg":1}\n' * 100)
        a.to("b", 1)
        b.hear()
        b.to("a", "end")
        self.assertEqual([m.get("err", m.get("msg")) for m in a.hears(65)], ["EINVAL"] * 64 + ["end"])
        self.assertEqual((self.channel("a")["malformed"], self.channel("a")["relay"]["refused"]), (100, 100))
        a.raw(b"garbage\n")
        self.assertEqual(a.hear()["err"], "EINVAL")

    def test_from_cannot_be_forged(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.raw(b'{"from":"$","to":"b","msg":1}\n')
        self.assertEqual(b.hear(), {"from": "a", "msg": 1})

    def test_death(self):
        """What was handed over and not answered, and what still waited."""
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.to("b", 1, id=1)
        b.hear()
        for i in (2, 3, 4, 5):  # more than the socket takes
            a.to("b", "x" * 900000, id=i)
        a.to("a", "turn")
        self.assertEqual(a.hear(), {"from": "a", "msg": "turn"})
        self.d.stop("b")
        told = {m["re"]: m["err"] for m in a.hears(5)}
        self.assertEqual((told[1], told[2], told[5]), ("ECONNRESET", "ECONNRESET", "EHOSTDOWN"))
        self.assertTrue(a.silent())
        self.d.start("b")
        b = self.stage.actor("b")
        a.to("b", "fresh", id=4)
        self.assertEqual(b.hear(), {"from": "a", "msg": "fresh", "id": 4})

    def test_last_words_are_answers(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.to("b", 1, id=1)
        a.to("b", 1, id=2)
        b.hears(2)
        self.d.events
        b.to("a", "late", re=1)
        os.kill(self.d.pid_of("b"), 9)
        self.assertEqual(a.hear(), {"from": "b", "re": 1, "msg": "late"})
        self.assertEqual(a.hear(), {"from": "$", "re": 2, "err": "ECONNRESET", "to": "b"})

    def test_ttl(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.to("b", 1, id=1, ttl=30)
        a.to("b", 1, id=2, ttl=60000)
        b.hears(2)
        self.assertEqual(a.hear(), {"from": "$", "re": 1, "err": "ETIMEDOUT", "to": "b"})
        b.to("a", "too late", re=1)
        b.to("a", "in time", re=2)
        self.assertEqual(a.hear(), {"from": "b", "re": 2, "msg": "in time"})

    def test_acknowledgements(self):
        self.play("a", ("api", "", 2), ("down", "autostart=false"))
        a, zero, one = self.actors("a", "api_0", "api_1")
        a.to("api:*", "x", id=1, ack=True)
        self.assertEqual(zero.hear(), {"from": "a", "msg": "x"})
        self.assertEqual(one.hear(), {"from": "a", "msg": "x"})
        self.assertEqual(a.hear(), {"from": "$", "re": 1, "ok": 2})
        a.to(["api", "down", "nobody"], "x", id=2, ack=True)
        self.assertEqual(a.hear(), {"from": "$", "re": 2, "ok": 1, "fail": {"down": "EHOSTDOWN", "nobody": "ENOENT"}})
        a.to("down", "x", id=3, ack=True)
        self.assertEqual(a.hear(), {"from": "$", "re": 3, "err": "EHOSTDOWN", "to": "down"})
        a.to("api:api_0", "x", id=4, ack=True, ttl=60000)
        self.assertEqual(a.hear(), {"from": "$", "re": 4, "ok": 1})
        zero.hear()
        m = zero.hear() if zero.buffer else None
        self.assertIn(m, (None, {"from": "a", "msg": "x", "id": 4}))
        zero.to("a", "y", re=4)
        self.assertEqual(a.hear(), {"from": "api:api_0", "re": 4, "msg": "y"})


class Changes(Case):
    def test_a_new_configuration(self):
        self.play("a", "b")
        a, b = self.actors("a", "b")
        a.to("b", 1, id=1)
        b.hear()
        section = self.stage.section
        self.d.update(section("a") + section("b", "accept_from=c") + section("c"))
        self.assertEqual(a.hear(), {"from": "$", "re": 1, "err": "ECONNRESET", "to": "b"})
        b, c = self.actors("b", "c")
        a.to("b", 2, id=2)
        self.assertEqual(a.hear()["err"], "EACCES")
        c.to("b", 3, id=3)
        self.assertEqual(b.hear(), {"from": "c", "msg": 3, "id": 3})
        self.d.update(section("a") + section("c"))
        self.assertEqual(c.hear(), {"from": "$", "re": 3, "err": "ECONNRESET", "to": "b"})
        c.to("b", 4, id=4)
        self.assertEqual(c.hear()["err"], "ENOENT")
        self.d.update(section("a") + section("c").replace("relay=true", "ipc=true"))
        self.stage.actor("c")
        a.to("c", 5, id=5)
        self.assertEqual(a.hear()["err"], "ENOENT")

    def test_another_of_its_group_changes(self):
        """Who runs on has its place as before."""
        more = "[program:other]\ncommand=sleep %d\n[group:g]\nprograms=a,b,other\n"
        self.play("a", "b", more=more % 1000)
        a, b = self.actors("a", "b")
        a.to("g:b", 1, id=1)
        b.hear()
        rows = self.d.update(self.stage.section("a") + self.stage.section("b") + more % 1001)
        self.assertEqual([row["action"] for row in rows], ["updated"])
        b.to("g:a", "answer", re=1)
        self.assertEqual(a.hear(), {"from": "g:b", "re": 1, "msg": "answer"})
        a.to("g:b", 2)
        self.assertEqual(b.hear(), {"from": "g:a", "msg": 2})


if __name__ == "__main__":
    unittest.main()
