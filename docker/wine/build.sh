#!/bin/sh
# Compile the runner of ONNX Runtime for Windows, and put it into "$1" with the library that it
# loads. Reads /sources, /packages and $HARNESS.
set -eu
image=$1
libraries=/packages/node_modules/onnxruntime-node/bin/napi-v6/win32/x64

mkdir -p /objects/windows /objects/onnxruntime "$image/licences"
(cd /sources && printf '%s\n' *.cpp windows/*.cpp onnxruntime/*.cpp) |
    xargs -P "$(nproc)" -I FILE \
        x86_64-w64-mingw32-g++-posix -std=c++20 -O2 -Wall -Wextra -Wshadow \
        -I /sources -isystem /usr/include/onnxruntime -idirafter /usr/include -include windows/annotations.hpp \
        "-DDEEPMATRIX_HARNESS=\"$HARNESS\"" '-DDEEPMATRIX_ONNXRUNTIME="onnxruntime.dll"' \
        -c /sources/FILE -o /objects/FILE.o
x86_64-w64-mingw32-g++-posix -s -static -o "$image/runner.exe" \
    /objects/*.o /objects/windows/*.o /objects/onnxruntime/*.o -lpsapi

cp "$libraries/onnxruntime.dll" "$image/"
for package in libonnxruntime-dev mingw-w64-x86-64-dev; do
    cp "/usr/share/doc/$package/copyright" "$image/licences/$package"
done

# The same files make the same layer, whenever they were made.
find "$image" -exec touch --no-dereference --date=@0 {} +
