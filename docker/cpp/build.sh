#!/bin/sh
# Compile the runner of the runtime "$2" for Docker's architecture "$1", executing nothing of it,
# and make "$3" the root of its image. Reads /sources, /installed and $HARNESS.
set -eu
architecture=$1
runtime=$2
image=$3

case $architecture in
    amd64) triplet=x86_64-linux-gnu ;;
    arm64) triplet=aarch64-linux-gnu ;;
    arm) triplet=arm-linux-gnueabihf ;;
    ppc64le) triplet=powerpc64le-linux-gnu ;;
    riscv64 | s390x) triplet=$architecture-linux-gnu ;;
    *)
        echo "no compiler is known for $architecture: name it in build.sh" >&2
        exit 1
        ;;
esac

# By its full name: no alternatives were installed, `c++` does not exist.
for compiler in /usr/bin/"$triplet"-g++-[0-9]*; do :; done
harness=${HARNESS:-$(find /sources -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c 1-16)}

# What a runtime's script says, or leaves as it is here.
compile=''   # options of the compiler
link=''      # options of the linker
folders=''   # of libraries that are not Debian's
loaded=''    # a library that the runner loads by itself
licences=''  # of what is not Debian's
# shellcheck source=/dev/null
. "/$runtime.sh"

mkdir -p /objects/posix "/objects/$runtime" "$image/tmp"
chmod 1777 "$image/tmp"
# shellcheck disable=SC2086 # they are several
(cd /sources && printf '%s\n' *.cpp posix/*.cpp "$runtime"/*.cpp) | xargs -P "$(nproc)" -I FILE \
    "$compiler" -std=c++20 -O2 -Wall -Wextra -Wpedantic -Wshadow \
    -I /sources $compile "-DDEEPMATRIX_HARNESS=\"$harness\"" \
    -c /sources/FILE -o /objects/FILE.o
# shellcheck disable=SC2086
"$compiler" -s -o /runner /objects/*.o /objects/posix/*.o /objects/"$runtime"/*.o $link

sh /closure.sh "$triplet" /runner "$image" "$loaded" "$folders" "$licences"

# ONNX's StringNormalizer asks for American English by default, to change the case of letters; they
# change in the same way in the one locale that the C library brings.
locales=/usr/lib/locale
if [ "$runtime" = onnxruntime ] && [ -d "$locales/C.utf8" ]; then
    mkdir -p "$image$locales"
    cp -R "$locales/C.utf8" "$image$locales/en_US.utf8"
fi

# The same files make the same layer, whenever they were made.
find "$image" -exec touch --no-dereference --date=@0 {} +
