#!/bin/sh
# Put Python $PYTHON_VERSION below /usr/local, from /interpreter where that has one, and the wheels
# of /installed into /packages, with the bytecode of this very Python.
set -eu
python=python$PYTHON_VERSION
from=/interpreter/lib/$python
to=/usr/local/lib/$python

if [ -d "$from" ]; then
    mkdir -p /usr/local/bin "$to"
    cp "/interpreter/bin/$python" /usr/local/bin/
    ln -sf "$python" /usr/local/bin/python3
    # A Python may be built without a library of its own.
    cp -P /interpreter/lib/libpython3* /usr/local/lib/ || true
    # What the machine's owner installed there is nobody else's business.
    for one in "$from"/*; do
        case ${one##*/} in
            site-packages | __pycache__ | test | idlelib | tkinter | ensurepip | lib2to3 | config-*) ;;
            *) cp -R "$one" "$to/" ;;
        esac
    done
fi

# CNTK names Open MPI's libraries of 2016. It calls them only where several processes train.
for each in libmpi.so.12=libmpi.so.40 libmpi_cxx.so.1=libmpi_cxx.so.40; do
    [ ! -e "/usr/lib/x86_64-linux-gnu/${each#*=}" ] \
        || ln -sf "/usr/lib/x86_64-linux-gnu/${each#*=}" "/usr/local/lib/${each%=*}"
done

cp -R /installed /packages
find /packages "$to" -depth -name __pycache__ -exec rm -rf {} +
# Bytecode names the time of its source: the same files make the same layer, whenever.
find /packages /usr/local -exec touch --no-dereference --date=@0 {} +
LD_LIBRARY_PATH=/usr/local/lib "/usr/local/bin/$python" -m compileall -q -x '/tests?/' \
    /packages "$to" >/dev/null || true # some packages ship files of another Python
find /packages /usr/local -newermt @0 -exec touch --no-dereference --date=@0 {} +
