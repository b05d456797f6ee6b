#!/bin/sh
# Put the program "$2", linked for the triplet "$1", into the root "$3" with the loader that it
# names, every library that it needs, the library "$4" that it loads by itself, and the licences of
# them all. It reads the files and runs none of them: `ldd` would.
set -eu
triplet=$1
program=$2
image=$3
loaded=$4
libraries=/usr/lib/$triplet
documents=/usr/share/doc

# The library is of which package? The packages' own lists are not in a root that was only unpacked.
package_of() {
    case $1 in
        ld-* | ld64* | libc.so.* | libm.so.*) echo 'libc6' ;;
        libabsl_*) echo 'libabsl[0-9]*' ;;
        libatomic.so.*) echo 'libatomic1' ;;
        libcpuinfo.so.*) echo 'libcpuinfo[0-9]*' ;;
        libgcc_s.so.*) echo 'libgcc-s1' ;;
        libonnx.so.* | libonnx_proto.so.*) echo 'libonnx[0-9]*' ;;
        libonnxruntime.so.*) echo 'libonnxruntime[0-9]*' ;;
        libprotobuf.so.*) echo 'libprotobuf[0-9]*' ;;
        libpthreadpool.so.*) echo 'libpthreadpool[0-9]*' ;;
        libre2.so.*) echo 'libre2-[0-9]*' ;;
        libstdc++.so.*) echo 'libstdc++6' ;;
        libXNNPACK.so.*) echo 'libxnnpack[0-9]*' ;;
        libz.so.*) echo 'zlib1g' ;;
        *) echo "unknown-package-of-$1" ;;
    esac
}

licence() {
    # shellcheck disable=SC2086 # it is a pattern
    for found in $documents/$1/copyright; do
        [ -e "$found" ] || {
            echo "no licence is found for $1: name the package in closure.sh" >&2
            exit 1
        }
        install -D -m 644 "$found" "$image$found"
    done
}

collect() {
    # The loader is already in memory when a library asks for it.
    if [ "$1" != "${loader##*/}" ] && [ ! -e "$image$libraries/$1" ]; then
        install -D -m 644 "$libraries/$1" "$image$libraries/$1"
        licence "$(package_of "$1")"
        needs "$libraries/$1"
    fi
}

needs() {
    for soname in $(readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        collect "$soname"
    done
}

loader=$(readelf --program-headers "$program" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p')
install -D -m 755 "$loader" "$image$loader"
install -m 755 "$program" "$image/runner"
licence 'libc6'
licence 'nlohmann-json3-dev'
needs "$program"
collect "$loaded"

# Those that the packages' notices point to; the runner's own is one of them.
cp -r --dereference /usr/share/common-licenses "$image/usr/share/"
mkdir -p "$image$documents/deepmatrix"
echo 'deepmatrix: Apache-2.0, in /usr/share/common-licenses/Apache-2.0' \
    >"$image$documents/deepmatrix/copyright"
