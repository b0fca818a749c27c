# helpers.bash - a droverd of its own for a file of tests, in a directory of its own.
# shellcheck shell=bash

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
BUILD=${BUILD:-build}
[ "${BUILD#/}" != "$BUILD" ] || BUILD=$ROOT/$BUILD
DROVERD=$BUILD/droverd
DROVERCTL=$BUILD/droverctl

# Programs for nearly everything: one that runs, one that does not, ones that cannot, a group of two.
fleet() {
    cat <<'END'
[unix_http_server]
file=%(here)s/ctl.sock

[supervisord]
logfile=%(here)s/daemon.log
pidfile=%(here)s/daemon.pid
childlogdir=%(here)s

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://%(here)s/ctl.sock

[program:up]
command=/bin/sh -c "echo to stdout; echo to stderr >&2; exec sleep 1000"
startsecs=0

[program:cat]
command=/bin/cat
startsecs=0

[program:down]
command=/bin/sleep 1000
autostart=false
startsecs=0

[program:missing]
command=/no/such/file
autostart=false
startretries=0

[program:plain]
command=/etc/passwd
autostart=false

[program:fast]
command=/bin/false
autostart=false
startretries=0
startsecs=60

[program:quiet]
command=/bin/sleep 1000
stdout_logfile=NONE
stderr_logfile=NONE
startsecs=0

[program:web]
command=/bin/sleep 1000
process_name=%(program_name)s_%(process_num)02d
numprocs=2
startsecs=0
END
}

# start_daemon TEXT: runs droverd on this configuration until stop_daemon.
start_daemon() {
    DIR=$(mktemp -d "${BATS_FILE_TMPDIR:-${TMPDIR:-/tmp}}/daemon.XXXXXX")
    CONF=$DIR/d.conf
    printf '%s\n' "$1" >"$CONF"
    (cd "$DIR" && exec "$DROVERD" -n -c "$CONF" </dev/null >"$DIR/out" 2>&1 3>&-) &
    DAEMON=$!
    export DIR CONF DAEMON
    wait_until daemon_answers || {
        cat "$DIR/out" >&2
        return 1
    }
}

daemon_answers() {
    "$DROVERCTL" -c "$CONF" pid >/dev/null 2>&1
}

stop_daemon() {
    [ -n "${DAEMON:-}" ] || return 0
    kill "$DAEMON" 2>/dev/null || true
    wait_until daemon_gone || kill -KILL "$DAEMON" 2>/dev/null || true
    unset DAEMON
}

daemon_gone() {
    ! kill -0 "$DAEMON" 2>/dev/null
}

# wait_until COMMAND...: asks again until it succeeds, for 60 seconds at most.
wait_until() {
    local end=$((SECONDS + 60))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# has_printed N: the N-th run of `up` has, which comes a moment after its start; and what starts runs.
has_printed() {
    [ "$(ctl tail -9999 up | grep -c 'to stdout')" -ge "$1" ] && [ "$(ctl tail -9999 up stderr | grep -c 'to stderr')" -ge "$1" ] &&
        ! ctl status | grep -q STARTING
}

# restart_up: and back when that run has printed what it has to say, too.
restart_up() {
    local runs
    runs=$(ctl tail -9999 up | grep -c 'to stdout' || true)
    expect 0 'up: stopped|up: started' restart up && wait_until has_printed $((runs + 1))
}

ctl() {
    "$DROVERCTL" -c "$CONF" "$@"
}

# Makes alike what differs from run to run.
normal() {
    sed -E -e 's/pid [0-9]+, uptime ([0-9]+ days?, )?[0-9]+:[0-9]{2}:[0-9]{2}/pid PID, uptime TIME/' \
        -e 's/^[1-9][0-9]*$/PID/' -e 's/[A-Z][a-z]{2} [0-9]{2} [0-9]{2}:[0-9]{2} [AP]M/DATE/' -e "s|$DIR|DIR|g"
}

# expect STATUS TEXT WORDS...: droverctl with these words prints this and ends so.
# TEXT is all of standard output; lines of it may be given apart from each other by "|".
expect() {
    local status=$1 text=${2//|/$'\n'} got code=0
    shift 2
    got=$(ctl "$@" 2>"$DIR/stderr" </dev/null) || code=$?
    got=$(normal <<<"$got")
    if [ "$got" != "$text" ] || [ "$code" != "$status" ]; then
        printf 'droverctl %s\nexpected (%s):\n%s\ngot (%s):\n%s\nstderr:\n' "$*" "$status" "$text" "$code" "$got"
        cat "$DIR/stderr"
        return 1
    fi
}

# The same for the first line only: what follows is the verb's help.
expect_usage() {
    local status=$1 text=$2 got code=0
    shift 2
    got=$(ctl "$@" 2>"$DIR/stderr" </dev/null) || code=$?
    [ "${got%%$'\n'*}" = "$text" ] && [ "$code" = "$status" ] && return
    printf 'droverctl %s\nexpected (%s): %s\ngot (%s): %s\n' "$*" "$status" "$text" "$code" "$got"
    return 1
}

# stderr_has TEXT: the last expect has said this on standard error.
stderr_has() {
    grep -qF -- "$1" "$DIR/stderr" && return
    echo "no \"$1\" on standard error:"
    cat "$DIR/stderr"
    return 1
}
