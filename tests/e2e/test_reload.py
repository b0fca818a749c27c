"""reread, update, add, remove, HUP: what changed is touched, and nothing else is."""
import os
import signal
import unittest

import drover
import procs

A = "[program:a]\ncommand=sleep 1000\nstartsecs=0\n"
B = "[program:b]\ncommand=sleep 1000\nstartsecs=0\n"
C = "[program:c]\ncommand=sleep 1000\nstartsecs=0\n"
CHANGED_B = B.replace("1000", "2000")


def workers(n):
    return """
[program:w]
command=sleep 1000
startsecs=0
numprocs=%d
process_name=%%(program_name)s_%%(process_num)d
""" % n


class Base(drover.TestCase):
    def running(self, config, **options):
        d = self.daemon(config, **options)
        d.wait_all("RUNNING")
        return d

    def rows(self, results):
        for row in results:
            self.assertTrue(row["ok"], row)
        return [(row["action"], row["group"]) for row in results]


class Reread(Base):
    def test_names_what_differs_and_changes_nothing(self):
        d = self.running(A + B)
        before = d.pids()
        d.configure(CHANGED_B + C)
        answer = d.post("/v1/config/reread").json
        self.assertEqual((answer["added"], answer["changed"], answer["removed"]), (["c"], ["b"], ["a"]))
        self.assertEqual(d.pids(), before)
        self.assertEqual(d.post("/v1/config/reread").json["added"], ["c"])  # until an update

    def test_the_same_file_is_no_news(self):
        d = self.running(A + B)
        d.configure("; a comment\n" + B + "\n\n" + A.replace("=", " = "))
        answer = d.post("/v1/config/reread").json
        self.assertEqual((answer["added"], answer["changed"], answer["removed"]), ([], [], []))

    def test_warnings_are_passed_on(self):
        d = self.running(A)
        d.configure(A + "nosuchkey=1\n")
        warnings = d.post("/v1/config/reread").json["warnings"]
        self.assertEqual(len(warnings), 1)
        self.assertRegex(warnings[0], r"^%s:\d+: .*nosuchkey" % d.file)

    def test_a_broken_file_leaves_everything_as_it_is(self):
        d = self.running(A + B)
        before = d.pids()
        for broken in ("[program:a]\ncommand=sleep 1\nnumprocs=many\n", "just words\n",
                       "[program:a]\n", A + "user=no-such-user-here\n", "[include]\n"):
            d.configure(broken)
            for path in ("/v1/config/reread", "/v1/config/update"):
                with self.subTest(broken=broken, path=path):
                    reply = d.post(path)
                    self.assertEqual((reply.status, reply.error["fault"]), (400, "CANT_REREAD"))
                    self.assertTrue(reply.error["message"])
                    self.assertTrue(any(d.file + ":" in text for text in reply.error["diagnostics"]), reply.error)
            self.assertEqual(d.pids(), before)
        d.kill(signal.SIGHUP)
        procs.wait_until(lambda: "the configuration was not reloaded" in d.log(), "a word in the log")
        self.assertEqual(d.pids(), before)
        self.assertEqual(d.get("/v1/daemon").json["statename"], "RUNNING")
        d.configure(A + B + C)
        self.assertEqual(self.rows(d.update()), [("added", "c")])

    def test_all_errors_are_told_together(self):
        d = self.running(A, native=True)
        d.configure("[program:a]\ncommand=sleep 1\nstartsecs=soon\nautostart=perhaps\n"
                    "[program:b]\ncommand=sleep 1\nstopsignal=NOSUCH\n")
        diagnostics = d.post("/v1/config/reread").error["diagnostics"]
        self.assertEqual(len(diagnostics), 3)
        for section, key in (("a", "startsecs"), ("a", "autostart"), ("b", "stopsignal")):
            pattern = r"(?m)^%s:\d+: \[program:%s\] %s: " % (d.file, section, key)
            self.assertRegex("\n".join(diagnostics), pattern)


class Update(Base):
    def test_only_what_changed_is_touched(self):
        d = self.running(A + B)
        before = d.pids()
        self.assertEqual(self.rows(d.update(A + CHANGED_B)), [("updated", "b")])
        d.wait_all("RUNNING")
        after = d.pids()
        self.assertEqual(after["a:a"], before["a:a"])
        self.assertNotEqual(after["b:b"], before["b:b"])
        self.assertEqual(procs.command_line(procs.begun(after["b:b"])), "sleep 2000")
        self.assertEqual(d.history("a", "exit"), [])

    def test_removed_then_changed_then_added(self):
        d = self.running(A + B)
        results = d.update(CHANGED_B + C)
        self.assertEqual(self.rows(results), [("removed", "a"), ("updated", "b"), ("added", "c")])
        self.assertEqual([row["stopped"] for row in results], [True, True, False])
        d.wait_state("c", "RUNNING")
        self.assertEqual(list(d.all()), ["b:b", "c:c"])
        self.assertEqual(d.update(), [])

    def test_one_program_of_a_group(self):
        group = "[group:g]\nprograms=a,b\n"
        d = self.running(A + B + group)
        before = d.pids()
        self.assertEqual(self.rows(d.update(A + CHANGED_B + group)), [("updated", "g")])
        d.wait_all("RUNNING")
        self.assertEqual(d.pids()["g:a"], before["g:a"])
        self.assertNotEqual(d.pids()["g:b"], before["g:b"])

    def test_numprocs_up_and_down(self):
        d = self.running(workers(1))
        first = d.pids()
        d.update(workers(3))
        d.wait_all("RUNNING", ["w:w_0", "w:w_1", "w:w_2"])
        three = d.pids()
        self.assertEqual(list(three), ["w:w_0", "w:w_1", "w:w_2"])
        self.assertEqual(three["w:w_0"], first["w:w_0"])
        d.update(workers(1))
        self.assertEqual(d.pids(), first)
        self.assertFalse(procs.alive(three["w:w_1"]) or procs.alive(three["w:w_2"]))

    def test_a_priority_needs_no_restart(self):
        group = "[group:g]\nprograms=a\npriority=%d\n"
        d = self.running(A + group % 5)
        before = d.pids()
        self.assertEqual(self.rows(d.update(A + group % 50)), [("updated", "g")])
        self.assertEqual(d.pids(), before)

    def test_a_program_moves_into_a_group(self):
        d = self.running(A + B)
        before = d.pids()
        self.assertEqual(self.rows(d.update(A + B + "[group:g]\nprograms=a\n")), [("removed", "a"), ("added", "g")])
        d.wait_state("g:a", "RUNNING")
        self.assertEqual(list(d.all()), ["b:b", "g:a"])
        self.assertEqual(d.pids()["b:b"], before["b:b"])

    def test_what_the_operator_stopped_stays_stopped(self):
        d = self.running(A + B)
        d.stop("b")
        d.update(A + CHANGED_B)
        self.assertEqual(d.info("b")["statename"], "STOPPED")
        d.start("b")
        self.assertEqual(procs.command_line(procs.begun(d.pid_of("b"))), "sleep 2000")

    def test_what_the_operator_stopped_stays_stopped_in_a_group_that_grows(self):
        d = self.running(workers(2))
        d.stop("w:w_1")
        d.update(workers(3))
        d.wait_state("w:w_2", "RUNNING")
        self.assertEqual(d.info("w:w_1")["statename"], "STOPPED")

    def test_what_was_started_by_hand_is_started_again(self):
        by_hand = B + "autostart=false\n"
        d = self.daemon(by_hand)
        d.start("b")
        d.update(by_hand.replace("1000", "2000"))
        self.assertEqual(procs.command_line(procs.begun(d.wait_state("b", "RUNNING")["pid"])), "sleep 2000")

    def test_added_without_autostart(self):
        d = self.running(A)
        d.update(A + B + "autostart=false\n")
        self.assertEqual(d.info("b")["description"], "Not started")

    def test_a_fatal_program_is_mended(self):
        d = self.daemon("[program:a]\ncommand=sh -c 'exit 1'\nstartretries=0\n")
        d.wait_state("a", "FATAL")
        d.update(A)
        self.assertEqual(d.wait_state("a", "RUNNING")["tries"], 0)

    def test_only_the_groups_that_are_named(self):
        d = self.running(A)
        d.configure(B + C)
        self.assertEqual(self.rows(d.update(groups=["c"])), [("added", "c")])
        d.wait_state("c", "RUNNING")
        self.assertEqual(list(d.all()), ["a:a", "c:c"])
        reply = d.post("/v1/config/update", {"groups": ["nosuch"]})
        self.assertEqual((reply.status, reply.error["fault"], reply.error["name"]), (404, "BAD_NAME", "nosuch"))

    def test_a_program_that_will_not_stop_holds_up_its_own_update_only(self):
        stubborn = """
[program:b]
command=sh -c "trap '' TERM; echo ready; while :; do sleep 0.02; done; : %d"
startsecs=0
stopwaitsecs=500ms
stopasgroup=true
"""
        d = self.daemon(A + stubborn % 1)
        d.wait_output("b", "ready\n")
        before = d.wait_state("a", "RUNNING")["pid"]
        d.configure(A + stubborn % 2)
        self.assertEqual(self.rows(d.update()), [("updated", "b")])
        self.assertEqual(d.history("b", "exit")[0]["signal"], "SIGKILL")
        d.wait_state("b", "RUNNING")
        self.assertEqual(d.pid_of("a"), before)

    def test_included_files(self):
        include = "[include]\nfiles=conf.d/*.conf\n"
        os.mkdir(self.path("conf.d"))
        self.write("conf.d/a.conf", A)
        d = self.running(include)
        before = d.pids()
        self.write("conf.d/b.conf", B)
        self.assertEqual(self.rows(d.update()), [("added", "b")])
        self.write("conf.d/b.conf", CHANGED_B)
        self.assertEqual(self.rows(d.update()), [("updated", "b")])
        os.remove(self.path("conf.d/b.conf"))
        self.assertEqual(self.rows(d.update()), [("removed", "b")])
        self.assertEqual(d.pids(), before)

    def test_two_at_a_time_are_refused(self):
        d = self.daemon(A + """
[program:b]
command=sh -c "trap '' TERM; echo ready; until test -e end; do sleep 0.02; done"
directory=%(here)s
startsecs=0
stopwaitsecs=600
""")
        d.wait_output("b", "ready\n")
        d.configure(A)
        first = d.client.connect()
        first.request("POST", "/v1/config/update", body=b"")
        d.wait_state("b", "STOPPING")
        reply = d.post("/v1/config/update")
        self.assertEqual((reply.status, reply.error["code"]), (409, "EBUSY"))
        self.write("end", "")
        self.assertEqual(first.getresponse().status, 200)
        first.close()
        self.assertEqual(list(d.all()), ["a:a"])

    def test_the_config_event(self):
        d = self.running(A + B)
        d.update(CHANGED_B + C)
        event = d.wait_event("config")
        self.assertEqual((event["added"], event["changed"], event["removed"]), (["c"], ["b"], ["a"]))


class AddRemove(Base):
    def test_one_group_at_a_time(self):
        d = self.running(A + B)
        self.assertEqual(d.post("/v1/groups/a/remove").error["fault"], "STILL_RUNNING")
        d.stop("a")
        self.assertEqual(d.post("/v1/groups/a/remove").json, {"ok": True})
        self.assertEqual(list(d.all()), ["b:b"])
        self.assertEqual(d.post("/v1/groups/a/remove").error["fault"], "BAD_NAME")
        self.assertEqual(d.post("/v1/groups/a/add").json, {"ok": True})
        d.wait_state("a", "RUNNING")
        self.assertEqual(d.post("/v1/groups/a/add").error["fault"], "ALREADY_ADDED")
        self.assertEqual(d.post("/v1/groups/nosuch/add").error["fault"], "BAD_NAME")

    def test_add_after_reread(self):
        d = self.running(A)
        d.configure(A + B)
        self.assertEqual(d.post("/v1/groups/b/add").status, 404)
        d.post("/v1/config/reread")
        self.assertEqual(d.post("/v1/groups/b/add").status, 200)
        d.wait_state("b", "RUNNING")


class Hup(Base):
    def test_in_a_supervisord_file_all_is_stopped_read_and_started(self):
        d = self.running(A + B)
        before, mark = d.pids(), d.mark()
        d.configure(B + C)
        d.kill(signal.SIGHUP)
        d.wait_event("state", "c", to="RUNNING")
        d.wait_event("state", "b", after=mark, to="RUNNING")
        after = d.pids()
        self.assertEqual(list(after), ["b:b", "c:c"])
        self.assertNotEqual(after["b:b"], before["b:b"])
        self.assertEqual(d.get("/v1/daemon").json["pid"], d.pid)
        self.assertFalse(procs.alive(before["a:a"]))

    def test_in_a_native_file_only_what_changed(self):
        d = self.running(A + B, native=True)
        before = d.pids()
        d.configure(A + CHANGED_B + C)
        d.kill(signal.SIGHUP)
        d.wait_event("state", "c", to="RUNNING")
        d.wait_all("RUNNING", ["a", "b", "c"])
        after = d.pids()
        self.assertEqual(after["a:a"], before["a:a"])
        self.assertNotEqual(after["b:b"], before["b:b"])

    def test_the_reload_verb_restarts_all_in_files_of_both_kinds(self):
        """It is supervisorctl's; `update` is for what changed only."""
        for native in (False, True):
            with self.subTest(native=native):
                d = self.running(A, native=native)
                before = d.pids()
                d.configure(A + B)
                self.assertEqual(d.post("/v1/daemon/reload").json, {"ok": True})
                d.wait_event("state", "b", to="RUNNING")
                d.wait_events(2, "state", "a", to="RUNNING")
                self.assertNotEqual(d.pids()["a:a"], before["a:a"])
                d.kill()
                d.wait_exit()

    def test_the_operators_stop_outlives_a_native_hup(self):
        d = self.running(A + B, native=True)
        d.stop("b")
        d.configure(A + B + C)
        d.kill(signal.SIGHUP)
        d.wait_event("state", "c", to="RUNNING")
        self.assertEqual(d.info("b")["statename"], "STOPPED")

    def test_a_hail_of_hups(self):
        d = self.running(A, native=True)
        before = d.pids()
        for _ in range(200):
            d.kill(signal.SIGHUP)
        d.configure(A + B)
        d.kill(signal.SIGHUP)
        d.wait_event("state", "b", to="RUNNING")
        self.assertEqual(d.pids()["a:a"], before["a:a"])

    def test_another_socket_after_a_restart_of_all(self):
        d = self.running(A)
        d.kill(signal.SIGHUP)
        d.wait_events(2, "state", "a", to="RUNNING")
        moved = procs.read(d.file).decode().replace("%(here)s/s\n", "%(here)s/elsewhere\n")
        self.write("drover.conf", moved)
        d.kill(signal.SIGHUP)
        d.close()
        d.client.address = self.path("elsewhere")
        procs.wait_until(lambda: os.path.exists(self.path("elsewhere")), "the new socket")
        d.wait_ready()
        d.wait_state("a", "RUNNING")
        self.assertFalse(os.path.exists(self.path("s")))


if __name__ == "__main__":
    unittest.main()
