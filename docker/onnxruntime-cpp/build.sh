#!/bin/sh
# Compile the runner for Docker's architecture "$1", executing nothing of it, and make "$2" the
# root of its image. Reads /sources and $HARNESS.
set -eu
architecture=$1
image=$2

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
compiler=$triplet-g++-14
harness=${HARNESS:-$(cat /sources/*.cpp /sources/*.hpp | sha256sum | cut -c 1-16)}
runtime=$(readelf --dynamic "/usr/lib/$triplet/libonnxruntime.so" |
    sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')

mkdir -p /objects "$image/tmp"
chmod 1777 "$image/tmp"
(cd /sources && printf '%s\n' *.cpp) | xargs -P "$(nproc)" -I FILE \
    "$compiler" -std=c++17 -O2 -Wall -Wextra -Wpedantic -Wshadow \
    -isystem /usr/include/onnxruntime \
    "-DDEEPMATRIX_HARNESS=\"$harness\"" "-DDEEPMATRIX_ONNXRUNTIME=\"$runtime\"" \
    -c /sources/FILE -o /objects/FILE.o
"$compiler" -s -o /runner /objects/*.o

sh /closure.sh "$triplet" /runner "$image" "$runtime"

# The same files make the same layer, whenever they were made.
find "$image" -exec touch --no-dereference --date=@0 {} +
