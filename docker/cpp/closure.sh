#!/bin/sh
# Put the program "$2", linked for the triplet "$1", into the root "$3" with the loader that it
# names, every library that it needs, the library "$4" that it loads by itself (or none), and the
# licences of them all. Libraries are those of the folders "$5", then Debian's; the files "$6" are
# the licences of what is in these folders. It reads the files and runs none of them: `ldd` would.
set -eu
triplet=$1
program=$2
image=$3
loaded=$4
folders=$5
licences=$6
libraries=/usr/lib/$triplet
documents=/usr/share/doc

# The library is of which package? The packages' own lists are not in a root that was only unpacked.
package_of() {
    case $1 in
        ld-* | ld64* | libc.so.* | libdl.so.* | libm.so.* | libpthread.so.* | librt.so.*) echo 'libc6' ;;
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
    if [ "$1" = "${loader##*/}" ] || [ -e "$image$libraries/$1" ]; then
        return
    fi
    for folder in $folders; do
        if [ -e "$folder/$1" ]; then
            install -D -m 644 "$folder/$1" "$image$libraries/$1"
            # Wheels keep the names of their own functions, a fifth of the file.
            "$triplet-strip" --strip-unneeded "$image$libraries/$1"
            needs "$folder/$1"
            return
        fi
    done
    library=$libraries/$1
    [ -e "$library" ] || library=/lib/$triplet/$1  # where /lib is not yet a part of /usr
    install -D -m 644 "$library" "$image$libraries/$1"
    licence "$(package_of "$1")"
    needs "$library"
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
if [ -n "$loaded" ]; then collect "$loaded"; fi

# Those that the packages' notices point to; the runner's own is one of them.
cp -r --dereference /usr/share/common-licenses "$image/usr/share/"
mkdir -p "$image$documents/deepmatrix"
for found in $licences; do
    cp -r "$found" "$image$documents/deepmatrix/"
done
echo 'deepmatrix: Apache-2.0, in /usr/share/common-licenses/Apache-2.0' \
    >"$image$documents/deepmatrix/copyright"
