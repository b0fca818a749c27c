#!/usr/bin/env bats
# Every verb when there is no daemon, or something else answers in its place.

load helpers

setup() {
    DIR=$BATS_TEST_TMPDIR
    CONF=$DIR/d.conf
    printf '[supervisorctl]\nserverurl=unix://%s/ctl.sock\n' "$DIR" >"$CONF"
}

VERBS='status|start up|stop up|restart up|signal HUP up|pid|pid up|tail up|maintail|clear up|fg up|reread|update|add up|remove up|avail|reopen|reload|version|show|show up|why up|events|logs up'

each_verb() { # STATUS TEXT
    local IFS='|' verb
    for verb in $VERBS; do
        local want=$1
        [ "$verb" != status ] || want=4
        IFS=' '
        # shellcheck disable=SC2086
        expect "$want" "$2" $verb
        IFS='|'
    done
}

@test "no socket file" {
    each_verb 7 'unix://DIR/ctl.sock no such file'
    expect 1 'ERROR: unix://DIR/ctl.sock no such file (already shut down?)' shutdown
    expect 0 '' quit
    expect 0 '' add
}

@test "what to do is said on standard error, once" {
    [ "$(ctl status 2>&1 >/dev/null)" = 'is droverd running? nobody listens there; droverd -c FILE starts it' ]
    [ -z "$(ctl --quiet status 2>&1 >/dev/null)" ]
}

@test "a socket file that nobody listens on" {
    python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$DIR/ctl.sock"
    each_verb 4 'unix://DIR/ctl.sock refused connection'
    expect 1 'ERROR: unix://DIR/ctl.sock refused connection (already shut down?)' shutdown
}

@test "a port that nobody listens on" {
    expect 4 'http://127.0.0.1:1 refused connection' -s http://127.0.0.1:1 status
    expect 4 'http://127.0.0.1:1 refused connection' -s http://127.0.0.1:1 start up
}

# serve BYTES: answers every connection with these bytes and closes it.
serve() {
    python3 - "$DIR/ctl.sock" "$1" 3>&- <<'END' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1] + ".new")
s.listen(9)
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    c, _ = s.accept()
    c.recv(65536)
    c.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1"))
    c.shutdown(socket.SHUT_WR)
    while c.recv(65536):
        pass
    c.close()
END
    SERVER=$!
    wait_until test -S "$DIR/ctl.sock"
}

teardown() {
    [ -z "${SERVER:-}" ] || kill "$SERVER"
}

@test "something that does not speak HTTP" {
    serve 'hello\r\n'
    expect 1 '' start up
    stderr_has "unix://$DIR/ctl.sock: does not answer in HTTP"
    expect 4 '' status
}

@test "an answer that is cut off" {
    serve 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{'
    expect 1 '' start up
    stderr_has 'closed the connection before its answer was complete'
}

@test "an answer that is no JSON, or not the JSON that was asked for" {
    serve 'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"processes": 5}'
    expect 4 '' status
    stderr_has 'the answer is not JSON as droverd writes it'
    expect 1 '' start up
    expect 1 '' avail
}

@test "a wrong password" {
    serve 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n'
    expect 1 'Server requires authentication' status
    expect 1 'Server requires authentication' start up
}

@test "--json says it in JSON" {
    run ctl --json start up
    [ "$status" -eq 7 ]
    [ "$output" = "{\"error\":{\"code\":\"ENOENT\",\"message\":\"no such file\",\"url\":\"unix://$DIR/ctl.sock\"}}" ]
}
