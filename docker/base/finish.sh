#!/bin/sh
# Runs on the host, on the unpacked root "$1", and executes nothing of it: it supplies what the
# packages' own installation scripts would have made, and removes what tells of the host.
set -eu
root=$1

cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
chmod 644 "$root/etc/passwd" "$root/etc/group"

# Only build roots have certificates.
if [ -d "$root/usr/share/ca-certificates" ]; then
    mkdir -p "$root/etc/ssl/certs"
    find "$root/usr/share/ca-certificates" -name '*.crt' -exec cat {} + \
        >"$root/etc/ssl/certs/ca-certificates.crt"
fi

# The mirror, the name and the resolver of this machine are nobody else's business.
: >"$root/etc/apt/sources.list"
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"

# Nobody reads these in a container; the licences stay.
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root/usr/share/man" "$root/usr/share/locale" "$root/usr/share/info" \
    "$root/usr/share/lintian" "$root/usr/share/i18n"
# Headers are for roots that compile.
ls "$root"/usr/bin/*g++* >/dev/null 2>&1 || rm -rf "$root/usr/include"
