"""What a process may ask of the supervisor, by its program's `control`."""
import os
import signal
import unittest

import procs
from puppets import Case

OTHER = "[program:job]\ncommand=sleep 1000\nautostart=false\nstartsecs=0\n[program:web]\ncommand=sleep 1000\n" \
        "startsecs=0\nstopsignal=KILL\n"


class Control(Case):
    def ask(self, actor, method, id=1, **params):
        actor.to("$", {"method": method, "params": params}, id=id)
        while True:
            m = actor.hear()
            if m.get("re") == id:
                self.assertEqual(m["from"], "$")
                return m.get("msg", m.get("err"))

    def test_none_and_read(self):
        self.play("n", ("r", "control=read"), more=OTHER)
        n, r = self.actors("n", "r")
        self.assertEqual(self.ask(n, "status"), "EACCES")
        self.assertEqual(self.ask(n, "start", match="job"), "EACCES")
        self.d.wait_state("web", "RUNNING")
        processes = self.ask(r, "status", match="web")["processes"]
        self.assertEqual([(p["name"], p["statename"]) for p in processes], [("web", "RUNNING")])
        self.assertEqual(processes[0].keys(), self.d.info("web").keys())
        self.assertEqual({p["name"] for p in self.ask(r, "status", fields="name")["processes"]}, {"n", "r", "job", "web"})
        self.assertEqual(self.ask(r, "status", match="nobody"), "ENOENT")
        self.assertEqual(self.ask(r, "stop", match="web"), "EACCES")
        self.assertEqual(self.ask(r, "explode"), "EINVAL")
        r.to("$", "what", id=9)
        self.assertEqual(r.hear(), {"from": "$", "re": 9, "err": "EINVAL", "to": "$"})
        r.to("$", "x" * 20000, id=10)
        self.assertEqual(r.hear()["err"], "EMSGSIZE")

    def test_deeds_of_those_that_are_named(self):
        self.play(("a", "control=job"), more=OTHER)
        (a,) = self.actors("a")
        self.assertEqual(self.ask(a, "start", match="job"), {"results": [{"process": "job:job", "ok": True}]})
        self.d.wait_state("job", "RUNNING")
        self.assertEqual(self.ask(a, "start", match="job")["results"][0]["error"]["code"], "EALREADY")
        self.assertEqual(self.ask(a, "stop", match="web")["results"][0]["error"]["code"], "EACCES")
        self.assertEqual(self.info_state("web"), "RUNNING")
        pid = self.d.pid_of("job")
        self.ask(a, "restart", match="job")
        self.d.wait_event("exit", "job", pid=pid)
        self.d.wait_state("job", "RUNNING")
        self.assertEqual(self.ask(a, "signal", match="job", signal="BANG")["results"][0]["error"]["code"], "EINVAL")
        self.ask(a, "signal", match="job", signal="KILL")
        self.d.wait_event("exit", "job", signal="SIGKILL")
        self.ask(a, "start", match="job")
        self.d.wait_state("job", "RUNNING")
        self.ask(a, "stop", match="job")
        self.d.wait_state("job", "STOPPED")

    def info_state(self, name):
        return self.d.wait_state(name, "RUNNING")["statename"]

    def test_self_and_all(self):
        self.play(("s", "control=self", 2), ("all", "control=all"), more=OTHER)
        s, _, a = self.actors("s_0", "s_1", "all")
        answer = self.ask(s, "stop", match="*")["results"]
        self.assertEqual({r["process"] for r in answer if r["ok"]}, {"s:s_0", "s:s_1"})
        self.d.wait_state("s:s_1", "STOPPED")
        self.assertTrue(self.ask(a, "stop", match="web")["results"][0]["ok"])
        self.d.wait_state("web", "STOPPED")

    def test_events(self):
        self.play(("a", "control=job"), more=OTHER)
        (a,) = self.actors("a")
        self.assertEqual(self.ask(a, "subscribe", match="job:*"), {"subscribed": True})
        a.to("$", {"method": "start", "params": {"match": "job"}})
        seen = []
        while not seen or seen[-1].get("to") != "RUNNING":
            m = a.hear()
            self.assertEqual(set(m), {"from", "msg"})
            seen.append(m["msg"])
        self.assertEqual([e["event"] for e in seen], ["state", "spawn", "state"])
        self.assertEqual(self.ask(a, "subscribe", match="job:*"), {"subscribed": True})  # once more is no more
        self.d.stop("job")
        heard = [a.hear()["msg"]["event"] for _ in range(4)]
        self.assertEqual(sorted(heard), ["close", "exit", "state", "state"])
        for n in range(15):
            self.assertEqual(self.ask(a, "subscribe", match="x%d" % n), {"subscribed": True})
        self.assertEqual(self.ask(a, "subscribe", match="x15"), "ENOBUFS")
        self.assertEqual(self.ask(a, "subscribe", match="x14"), {"subscribed": True})
        self.assertEqual(self.ask(a, "subscribe", match="x" * 256), "EINVAL")
        self.d.stop("a")  # its subscription ends with it
        self.d.start("a")
        (a,) = self.actors("a")
        self.d.start("job")
        self.assertTrue(a.silent())

    def test_whoever_asks_much_takes_turns(self):
        """The supervisor answers one question of a process, then it looks at what else there is."""
        self.play(("a", "control=read"), ("b", "control=read"))
        a, b = self.actors("a", "b")
        pid = self.d.get("/v1/daemon").json["supervisor_pid"]
        procs.freeze(pid)
        for actor in a, b:
            actor.raw(b"".join(b'{"to":"$","id":%d,"msg":{"method":"status","params":{"match":"a","fields":"now"}}}\n' % n
                               for n in range(100)))
        os.kill(pid, signal.SIGCONT)
        times = [[m["msg"]["processes"][0]["now"] for m in actor.hears(100)] for actor in (a, b)]
        self.assertLess(times[0][1], times[1][99])
        self.assertLess(times[1][1], times[0][99])


if __name__ == "__main__":
    unittest.main()
