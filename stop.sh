#!/bin/sh
# End the server that start.sh has started, and wait until it has gone.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
pid_file=$root/run/manycast.pid
tenths=100 # it takes two seconds at most; after ten it is ended the hard way

is_ours() {
    if [ -d /proc/self ]; then
        # The number may belong to another program by now, after a crash and a restart of the machine.
        { tr "\0" " " <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q manycast
    else
        kill -0 "$pid" 2>/dev/null
    fi
}

pid=$(cat "$pid_file" 2>/dev/null) || pid=''
case $pid in
'' | *[!0-9]*) pid='' ;;
esac
if [ -z "$pid" ] || ! is_ours; then
    echo "Manycast is not running."
    rm -f "$pid_file"
    exit 0
fi

kill -TERM "$pid"
while is_ours; do
    if [ "$tenths" = 0 ]; then
        echo "Process $pid does not end; killing it." >&2
        kill -KILL "$pid" 2>/dev/null || true
        rm -f "$pid_file"
        exit 1
    fi
    tenths=$((tenths - 1))
    sleep 0.1
done
echo "Manycast has stopped."
