# droverd.bash - completion of options, files and keys of the configuration for bash.
# shellcheck shell=bash

_droverd() {
    local flags="-c -n -s -t -u -m -d -l -y -z -e -j -i -q -k -a -v -h --configuration --nodaemon --silent --test --json
        --strict --help-config --user --umask --directory --logfile --logfile_maxbytes --logfile_backups --loglevel
        --pidfile --identifier --childlogdir --nocleanup --strip_ansi --minfds --minprocs --version --help"
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} keys
    # readline takes = for a word of its own
    if [ "$prev" = = ] && [ "$COMP_CWORD" -gt 1 ]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    elif [ "$cur" = = ]; then
        cur=
    fi
    COMPREPLY=()
    case $prev in
    -c | --configuration | -l | --logfile | -j | --pidfile)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    -d | --directory | -q | --childlogdir)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        ;;
    -u | --user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
    -e | --loglevel) mapfile -t COMPREPLY < <(compgen -W "critical error warn info debug trace" -- "$cur") ;;
    --help-config)
        keys=$(droverd --help-config 2>/dev/null | awk '/^  [a-z]/ { print $1 }')
        mapfile -t COMPREPLY < <(compgen -W "$keys" -- "$cur")
        ;;
    -m | --umask | -y | --logfile_maxbytes | -z | --logfile_backups | -i | --identifier | -a | --minfds | --minprocs) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur") ;;
    esac
}

complete -F _droverd droverd
