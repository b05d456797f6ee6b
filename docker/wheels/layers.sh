#!/bin/sh
# Move each of the packages "$@" out of /packages, into a folder of its own below /layers, which is
# empty where the cell lacks that package.
set -eu

for name; do
    mkdir -p "/layers/$name"
    for path in "/packages/$name" "/packages/$name.libs" "/packages/$name"-[0-9]*.dist-info; do
        [ ! -e "$path" ] || mv "$path" "/layers/$name/"
    done
done

# Only folders have changed; to touch a file would store it once more in the builder's cache.
find /packages /layers -type d -exec touch --no-dereference --date=@0 {} +
