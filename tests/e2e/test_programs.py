"""Real programs under configurations as people write them: each serves, is killed, comes back and stops cleanly."""
import os
import signal
import socket
import unittest
import urllib.request

import drover
import procs


class Real(drover.TestCase):
    timeout = 60

    def comes_back(self, d, name):
        """Killed outright, it is there again under another pid.  Its own workers would outlive it and keep what it
        listens at; whoever kills a master like that must see to them."""
        before, mark = d.pid_of(name), d.mark()
        procs.freeze(before)  # so that it makes no more of them meanwhile
        for pid in [before] + procs.descendants(before):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        d.wait_event("exit", name, after=mark)
        d.wait_event("state", name, after=mark, to="RUNNING")
        self.assertNotEqual(d.pid_of(name), before)

    def stops_cleanly(self, d, name, status=0):
        d.stop(name)
        exit = d.info(name)["exit"]
        self.assertEqual((exit["status"], exit["signal"]), (status, None))

    def eventually(self, function, wanted):
        """Until its answer has this in it; until then it may be refused, or told that the server is not ready yet."""
        def look():
            try:
                return wanted in function()
            except OSError:
                return False
        procs.wait_until(look, "an answer with %r in it" % wanted)


def talk(address, text, last=None):
    """One request over a socket; what came back until it had this at its end, or the other side closed."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(address)
        s.sendall(text)
        data = b""
        while last is None or not data.endswith(last):
            piece = s.recv(4096)
            if not piece:
                break
            data += piece
        return data


class Nginx(Real):
    def test_serves_a_page(self):
        nginx = self.needs("nginx")
        port = self.free_port()
        os.mkdir(self.path("www"))
        os.mkdir(self.path("tmp"))
        self.write("www/index.html", "a page\n")
        temporary = "".join("    %s_temp_path %s;\n" % (kind, self.path("tmp", kind))
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.write("nginx.conf", """\
worker_processes 2;
pid %s;
error_log stderr;
events { worker_connections 64; }
http {
    access_log /dev/stdout;
%s    server {
        listen 127.0.0.1:%d;
        root %s;
    }
}
""" % (self.path("nginx.pid"), temporary, port, self.path("www")))
        d = self.daemon("""
            [program:nginx]
            command=%s -c %%(here)s/nginx.conf -p %%(here)s -g "daemon off;"
            autostart=true
            autorestart=true
            startsecs=1
            priority=900
            stopsignal=QUIT
            stopasgroup=false
            killasgroup=true
            stdout_logfile=%%(here)s/nginx.out.log
            stdout_logfile_maxbytes=0
            stderr_logfile=%%(here)s/nginx.err.log
            stderr_logfile_maxbytes=0
        """ % nginx)

        def page():
            with urllib.request.urlopen("http://127.0.0.1:%d/" % port, timeout=5) as answer:
                return answer.read()
        d.wait_state("nginx", "RUNNING")
        self.eventually(page, b"a page\n")
        d.wait_output("nginx", "GET / HTTP/1.1")
        d.deed("signal", "nginx", {"signal": "HUP"})  # its own reload
        self.eventually(page, b"a page\n")
        self.comes_back(d, "nginx")
        self.eventually(page, b"a page\n")
        self.stops_cleanly(d, "nginx")


class Redis(Real):
    def test_keeps_a_key(self):
        redis = self.needs("redis-server")
        d = self.daemon("""
            [program:redis]
            command=%s --port 0 --unixsocket %%(here)s/redis.sock --daemonize no
                --dir %%(here)s --save "" --appendonly yes
            autostart=true
            autorestart=true
            startretries=10
            startsecs=1
            redirect_stderr=true
            stdout_logfile=%%(here)s/redis.log
        """ % redis)
        d.wait_state("redis", "RUNNING")
        address = self.path("redis.sock")
        self.eventually(lambda: talk(address, b"PING\r\n", b"\r\n"), b"+PONG\r\n")
        self.assertEqual(talk(address, b"SET colour blue\r\n", b"\r\n"), b"+OK\r\n")
        self.comes_back(d, "redis")
        self.eventually(lambda: talk(address, b"PING\r\n", b"\r\n"), b"+PONG\r\n")
        self.assertEqual(talk(address, b"GET colour\r\n", b"blue\r\n"), b"$4\r\nblue\r\n")
        self.stops_cleanly(d, "redis")
        self.assertIn(b"bye bye", d.output("redis"))
        self.assertFalse(os.path.exists(address))


class PhpFpm(Real):
    def fastcgi(self, script):
        """A minimal FastCGI request for one script; the bytes that came back."""
        def record(kind, body):
            return bytes([1, kind, 0, 1]) + len(body).to_bytes(2, "big") + b"\0\0" + body

        def pair(name, value):
            return bytes([len(name), len(value)]) + name.encode() + value.encode()
        parameters = b"".join(pair(*p) for p in (("SCRIPT_FILENAME", script), ("REQUEST_METHOD", "GET"),
                                                 ("SCRIPT_NAME", "/x.php"), ("REQUEST_URI", "/x.php")))
        request = (record(1, b"\0\1\0\0\0\0\0\0") + record(4, parameters) + record(4, b"") + record(5, b""))
        return talk(self.path("php.sock"), request)

    def test_runs_a_script(self):
        fpm = next((p for p in ("php-fpm", "php-fpm8.4", "php-fpm8.3", "php-fpm8.2", "php-fpm8.1", "php-fpm7.4")
                    if any(os.access(os.path.join(d, p), os.X_OK)
                           for d in (os.environ["PATH"] + ":/usr/sbin").split(":"))), "php-fpm")
        fpm = self.needs(fpm)
        script = self.write("x.php", "<?php echo 'six times seven is ', 6 * 7; error_log('said so');\n")
        identity = "user = root\ngroup = root\n" if os.geteuid() == 0 else ""
        self.write("fpm.conf", """\
[global]
error_log = /dev/stderr
daemonize = no
[www]
%slisten = %s
pm = static
pm.max_children = 2
catch_workers_output = yes
""" % (identity, self.path("php.sock")))
        d = self.daemon("""
            [program:php-fpm]
            command = %s -F %s --fpm-config %%(here)s/fpm.conf
            autostart=true
            autorestart=true
            startsecs=1
            stopsignal=QUIT
            killasgroup=true
            stdout_events_enabled=true
            stderr_events_enabled=true
            stdout_logfile=%%(here)s/fpm.out
            stderr_logfile=%%(here)s/fpm.err
        """ % (fpm, "-R" if identity else ""))
        d.wait_state("php-fpm", "RUNNING")
        self.eventually(lambda: self.fastcgi(script), b"six times seven is 42")
        d.wait_output("php-fpm", "said so", stream="stderr")
        self.comes_back(d, "php-fpm")
        self.eventually(lambda: self.fastcgi(script), b"six times seven is 42")
        self.stops_cleanly(d, "php-fpm")


class Node(Real):
    def test_a_server_and_its_clean_end(self):
        self.needs("node")
        self.write("server.js", """\
            'use strict';
            const http = require('http');
            const path = `${__dirname}/${process.env.SUPERVISOR_PROCESS_NAME}.sock`;
            require('fs').rmSync(path, { force: true }); // of one that was killed
            const server = http.createServer((request, response) => {
              console.log(`${request.method} ${request.url}`);
              response.end(`hello from ${process.env.SUPERVISOR_PROCESS_NAME}, ${process.env.NODE_ENV}\\n`);
            });
            server.listen(path, () => console.log('listening'));
            process.on('SIGTERM', () => { console.log('closing'); server.close(); server.closeAllConnections?.(); });
        """)
        d = self.daemon("""
            [program:api]
            command=node server.js
            directory=%(here)s
            environment=NODE_ENV="production"
            numprocs=2
            process_name=%(program_name)s_%(process_num)02d
            autorestart=unexpected
            stopwaitsecs=20
            redirect_stderr=true
            stdout_logfile=%(here)s/%(program_name)s-%(process_num)d.log
        """, env={"NODE_CHANNEL_FD": "3"})  # a daemon that is itself a child of Node
        for i in range(2):
            name = "api:api_%02d" % i
            d.wait_output(name, "listening\n")
            d.wait_state(name, "RUNNING")
            address = self.path("api_%02d.sock" % i)
            ask = (lambda address: lambda: talk(address, b"GET /x HTTP/1.0\r\n\r\n"))(address)
            self.assertIn(("hello from api_%02d, production" % i).encode(), ask())
        self.comes_back(d, "api:api_00")
        d.wait_output("api:api_00", "GET /x\nlistening\n")  # it knows by then what to do at its end
        for i in range(2):
            self.stops_cleanly(d, "api:api_%02d" % i)
        self.assertIn(b"closing\n", d.output("api:api_01"))


class Python(Real):
    def test_a_worker_with_a_virtual_environment_of_settings(self):
        self.write("worker.py", """\
            import os, signal, sys, time
            def end(signum, frame):
                sys.exit(0)
            signal.signal(signal.SIGTERM, end)
            print("worker", os.environ["QUEUE"], "started")
            print("a warning", file=sys.stderr)
            while True:
                time.sleep(0.1)
        """)
        d = self.daemon("""
            [program:mail]
            command=python3 -u worker.py
            [program:image]
            command=python3 -u worker.py
            environment=QUEUE="image"
            [group:workers]
            programs=mail,image
            [program:mail]
            environment=QUEUE="mail",PYTHONUNBUFFERED="1"
            directory=%(here)s
            [program:image]
            directory=%(here)s
        """)
        for name in ("mail", "image"):
            d.wait_output("workers:" + name, "worker %s started\n" % name)
            d.wait_output("workers:" + name, "a warning\n", stream="stderr")
            d.wait_state("workers:" + name, "RUNNING")
        self.comes_back(d, "workers:mail")
        d.wait_output("workers:mail", "worker mail started\nworker mail started\n")
        self.stops_cleanly(d, "workers:mail")

    def test_an_uncaught_exception_is_in_the_log(self):
        self.write("broken.py", "import sys\nprint('begin')\nsys.stdout.flush()\nraise ValueError('no good')\n")
        d = self.daemon("""
            [program:a]
            command=python3 %(here)s/broken.py
            startretries=0
        """)
        self.assertEqual(d.wait_state("a", "FATAL")["exit"]["status"], 1)
        self.assertIn(b"ValueError: no good", d.output("a", "stderr"))
        self.assertIn("ValueError: no good", d.get(d.process_path("a", "/why")).json["stderr_tail"])


class Shell(Real):
    def test_a_wrapper_that_execs(self):
        self.write("entrypoint.sh", """\
            #!/bin/sh
            set -e
            echo "preparing in $(pwd)"
            exec sleep "$1"
        """, 0o755)
        d = self.daemon("""
            [program:app]
            command=/bin/sh %(here)s/entrypoint.sh 1000
            directory=/
            startsecs=1
            autorestart=true
            stdout_logfile=%(here)s/app.log
        """)
        d.wait_output("app", "preparing in /\n")
        d.wait_state("app", "RUNNING")
        procs.wait_until(lambda: procs.command_line(d.pid_of("app")) == "sleep 1000", "the exec")
        self.comes_back(d, "app")
        d.stop("app")
        self.assertEqual(d.info("app")["exit"]["signal"], "SIGTERM")

    def test_a_wrapper_that_stays_and_forwards_nothing(self):
        """The reason why stopasgroup exists."""
        d = self.daemon("""
            [program:app]
            command=bash -c "sleep 1000 & sleep 1001; true"
            startsecs=0
            stopasgroup=true
            killasgroup=true
        """ if os.path.exists("/bin/bash") else """
            [program:app]
            command=sh -c "sleep 1000 & sleep 1001; true"
            startsecs=0
            stopasgroup=true
            killasgroup=true
        """)
        pid = d.wait_state("app", "RUNNING")["pid"]
        family = procs.wait_until(lambda: len(procs.descendants(pid)) == 2 and procs.descendants(pid), "two sleeps")
        d.stop("app")
        for member in family:
            procs.wait_gone(member)

    def test_pipelines_through_sh(self):
        d = self.daemon("""
            [program:once]
            command=sh -c "seq 5 | while read n; do echo line $n; done"
            startsecs=0
            autorestart=false
            exitcodes=0
        """)
        d.wait_event("close", "once")
        self.assertEqual(d.output("once"), b"line 1\nline 2\nline 3\nline 4\nline 5\n")


if __name__ == "__main__":
    unittest.main()
