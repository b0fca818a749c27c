#!/usr/bin/env bats
# Every verb: when all is well, for an unknown name, an unknown group, and what does not run.

# shellcheck disable=SC2030,SC2031 # each test is a subshell, and means to be one
bats_require_minimum_version 1.5.0
load helpers

setup_file() {
    start_daemon "$(fleet)"
    wait_until has_printed 1
}

teardown_file() {
    stop_daemon
}

line() { # NAME STATE TEXT
    printf '%-33s%-10s%s' "$1" "$2" "$3"
}

UP="RUNNING"
RUNS="pid PID, uptime TIME"

@test "status" {
    expect 0 "$(line up $UP "$RUNS")" status up
    expect 0 "$(line web:web_00 $UP "$RUNS")|$(line web:web_01 $UP "$RUNS")" status 'web:*'
    expect 0 "$(line web:web_00 $UP "$RUNS")|$(line web:web_01 $UP "$RUNS")" status web:
    expect 3 "$(line down STOPPED 'Not started')" status down
    expect 3 "$(line down STOPPED 'Not started')|$(line up $UP "$RUNS")" status down up
    expect 4 'nope: ERROR (no such process)' status nope
    expect 4 'nope: ERROR (no such group)' status 'nope:*'
    expect 4 'web: ERROR (no such process)' status web
    expect 4 'web:nope: ERROR (no such process)' status web:nope
    expect 3 "nope: ERROR (no such process)|$(line down STOPPED 'Not started')" status nope down
}

@test "status of everything is in lexical order" {
    run ctl status
    [ "$status" -eq 3 ]
    [ "$(awk '{print $1}' <<<"$output" | tr '\n' ' ')" = "cat down fast missing plain quiet up web:web_00 web:web_01 " ]
}

@test "start and stop" {
    expect 0 'down: started' start down
    expect 0 'down: ERROR (already started)' start down
    expect 0 'down: stopped' stop down
    expect 0 'down: ERROR (not running)' stop down
    expect 1 'nope: ERROR (no such process)' start nope
    expect 2 'nope: ERROR (no such group)' start 'nope:*'
    expect 1 'web:nope: ERROR (no such process)' start web:nope
    expect 1 'nope: ERROR (no such process)' stop nope
    expect 1 'nope: ERROR (no such group)' stop 'nope:*'
    expect_usage 2 'Error: start requires a process name' start
    expect_usage 1 'Error: stop requires a process name' stop
}

@test "a start that fails says how on standard output and why on standard error" {
    expect 1 'missing: ERROR (no such file)' start missing
    stderr_has 'missing: '
    stderr_has '/no/such/file'
    expect 1 'plain: ERROR (file is not executable)' start plain
    stderr_has '/etc/passwd'
    expect 7 'fast: ERROR (spawn error)' start fast
    expect 1 'fast: ERROR (spawn error)|nope: ERROR (no such process)' start fast nope
    expect 7 'nope: ERROR (no such process)|fast: ERROR (spawn error)' start nope fast
}

@test "groups start and stop what there is to start and stop" {
    expect 0 '' start 'web:*'
    run ctl stop 'web:*'
    [ "$(sort <<<"$output")" = $'web:web_00: stopped\nweb:web_01: stopped' ]
    expect 0 '' stop 'web:*'
    run ctl start 'web:*'
    [ "$(sort <<<"$output")" = $'web:web_00: started\nweb:web_01: started' ]
}

@test "restart" {
    restart_up
    expect 0 'down: ERROR (not running)|down: started' restart down
    expect 0 'down: stopped' stop down
    expect 1 'nope: ERROR (no such process)|nope: ERROR (no such process)' restart nope
    expect 2 'nope: ERROR (no such group)|nope: ERROR (no such group)' restart 'nope:*'
    expect_usage 1 'Error: restart requires a process name' restart
}

@test "signal" {
    expect 0 'up: signalled' signal CONT up
    expect 0 'up: signalled' signal SIGCONT up
    expect 0 'web:web_00: signalled|web:web_01: signalled' signal CONT 'web:*'
    expect 1 'up: ERROR (bad signal name)' signal NOPE up
    expect 1 'nope: ERROR (no such process)' signal CONT nope
    expect 1 'nope: ERROR (no such group)' signal CONT 'nope:*'
    expect 7 'missing: ERROR (not running)' signal CONT missing
    expect_usage 1 'Error: signal requires a signal name and a process name' signal CONT
}

@test "pid" {
    expect 0 'PID' pid
    expect 0 'PID' pid up
    expect 7 '0' pid down
    expect 1 'No such process nope' pid nope
    expect 1 'No such process nope:*' pid 'nope:*'
    [ "$(ctl pid)" = "$(cat "$DIR/daemon.pid")" ]
}

@test "tail and maintail" {
    expect 0 'ut' tail -3 up
    expect 0 'rr' tail -3 up stderr
    expect 1 'nope: ERROR (no such process name)' tail nope
    expect 1 'quiet: ERROR (no log file)' tail quiet
    stderr_has 'quiet: its stdout_logfile is NONE'
    expect 1 "Error: bad channel 'nope'" tail up nope
    expect 1 'Error: bad argument -x' tail -x up
    expect 1 'Error: tail requires process name' tail -5
    expect_usage 1 'Error: too few arguments' tail
    expect_usage 1 'Error: too many arguments' tail a b c d
    expect 1 'Error: bad argument x' maintail x
    run ctl maintail
    [ "$status" -eq 0 ]
    [[ $output == *INFO* ]]
}

@test "tail ends with the log's own last byte and one newline" {
    [ "$(ctl tail up | od -An -c | tr -s ' ' | tail -c 7)" = ' \n \n' ]
}

@test "clear" {
    expect 0 'down: cleared' clear down
    expect 1 'nope: ERROR (no such process)' clear nope
    expect_usage 1 'Error: clear requires a process name' clear
    expect 0 'up: cleared' clear up
    expect 0 '' tail up
    restart_up
}

@test "fg" {
    expect 1 'ERROR: bad process name supplied' fg nope
    expect 1 'ERROR: bad process name supplied' fg 'web:*'
    expect 1 'ERROR: process not running' fg missing
    expect 1 'ERROR: too many process names supplied' fg up down
    expect_usage 1 'ERROR: no process name supplied' fg
    expect 0 '==> Press Ctrl-C to exit <==|Exiting foreground' fg quiet
}

@test "fg sends what is typed and shows what comes back" {
    coproc CTL { "$DROVERCTL" -c "$CONF" fg cat 2>&1 3>&-; }
    exec 7<&"${CTL[0]}" # the shell forgets the other when the process has ended
    read -r -t 60 banner <&7
    [ "$banner" = '==> Press Ctrl-C to exit <==' ]
    echo 'hello, cat' >&"${CTL[1]}"
    read -r -t 60 answer <&7
    [ "$answer" = 'hello, cat' ]
    eval "exec ${CTL[1]}>&-"
    read -r -t 60 bye <&7
    exec 7<&-
    [ "$bye" = 'Exiting foreground' ]
}

@test "avail, add and remove" {
    expect 1 'ERROR: process/group still running: up' remove up
    expect 1 'ERROR: no such process/group: nope' remove nope
    expect 0 'missing: removed process group' remove missing
    run ctl avail
    [ "$status" -eq 0 ]
    grep -qx 'missing                          avail     manual    999:999' <<<"$output"
    grep -qx 'web:web_00                       in use    auto      999:999' <<<"$output"
    expect 0 'missing: added process group' add missing
    expect 0 'ERROR: process group already active' add missing
    expect 1 'ERROR: no such process/group: nope' add nope
    expect 0 '' add
    expect_usage 1 'Error: avail accepts no arguments' avail x
}

@test "reread and update" {
    cp "$CONF" "$DIR/before"
    expect 0 'No config updates to processes' reread
    expect 0 '' update
    expect 1 'ERROR: no such group: nope' update nope
    printf '[program:new]\ncommand=/bin/sleep 1000\nstartsecs=0\n' >>"$CONF"
    sed -i 's/^\[program:down\]/&\npriority=5/' "$CONF"
    expect 0 'down: changed|new: available' reread
    expect 1 'ERROR: no such group: nope|new: added process group' update nope new
    expect 0 'down: stopped|down: updated process group' update
    expect 0 '' update
    cp "$DIR/before" "$CONF"
    expect 0 'down: changed|new: disappeared' reread
    expect 0 'new: stopped|new: removed process group|down: stopped|down: updated process group' update all
    expect_usage 1 'Error: reread accepts no arguments' reread x
}

@test "a broken file changes nothing and says where it is broken" {
    cp "$CONF" "$DIR/before"
    printf '[program:broken]\ncommand=/bin/true\nnumprocs=x\n' >>"$CONF"
    run ctl reread
    [ "$status" -eq 1 ]
    [[ $output == 'ERROR: CANT_REREAD: '* ]]
    run ctl update
    [ "$status" -eq 1 ]
    cp "$DIR/before" "$CONF"
    expect 0 'No config updates to processes' reread
}

@test "version, open, help, quit and what is no verb" {
    [[ $(ctl version) =~ ^[0-9]+\.[0-9]+ ]]
    expect_usage 1 'Error: version accepts no arguments' version x
    expect 1 'ERROR: url must be http:// or unix://' open nope
    expect 0 'unix:///no/such/socket no such file' open unix:///no/such/socket
    expect 0 "$(ctl status up | normal)" status up
    expect 0 '' quit
    expect 0 '' exit
    expect 1 '*** Unknown syntax: nope' nope
    expect 0 '*** No help on nope' help nope
    expect 0 "$(ctl help)" '?'
    for verb in $(ctl help | tail -n +4); do
        ctl help "$verb" | grep -q "^$verb"
    done
}

@test "wrong options end with 2, as supervisorctl's do" {
    expect 2 '' -z status
    stderr_has 'Error: option -z not recognized'
    expect 2 '' --nope status
    stderr_has 'Error: option --nope not recognized'
    expect 2 '' -s
    stderr_has 'Error: option -s requires argument'
    expect 2 '' -s nope status
    stderr_has "Error: invalid value for -s 'nope': value 'nope' is not a URL"
    expect 2 '' -s unix:///a -s unix:///b status
    stderr_has "Error: conflicting command line option '-s'"
    run -2 "$DROVERCTL" -c "$DIR/nope.conf" status
    [[ $output == "Error: could not find config file $DIR/nope.conf"* ]]
}
