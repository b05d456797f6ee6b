#!/bin/sh
# ONNX Runtime, Debian's, which the runner loads by itself.
# shellcheck disable=SC2034,SC2154 # build.sh reads and sets them
loaded=$(readelf --dynamic "/usr/lib/$triplet/libonnxruntime.so" |
    sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
compile="-isystem /usr/include/onnxruntime -DDEEPMATRIX_ONNXRUNTIME=\"$loaded\""
