#!/bin/sh
# Set up what is missing, then start the server in the background. Takes the options of "manycast serve".
# The process id and the log are in run/ beside this script; stop.sh ends the server.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
"$root/script/setup" run
mkdir -p "$root/run"
"$root/.venv/bin/manycast" serve --daemon --pid-file "$root/run/manycast.pid" --log-file "$root/run/manycast.log" "$@"
echo "It runs in the background and logs to $root/run/manycast.log; stop.sh ends it."
