#!/bin/sh
# libtorch, of torch's wheel. Operators register themselves when libtorch_cpu is loaded, so it has
# to be linked although the runner names little in it.
# shellcheck disable=SC2034 # build.sh reads them
torch=/installed/packages/torch
compile="-isystem $torch/include -isystem $torch/include/torch/csrc/api/include"
link="-L$torch/lib -Wl,-rpath-link,$torch/lib:$torch.libs -Wl,--no-as-needed -ltorch -ltorch_cpu -lc10"
folders="$torch/lib $torch.libs"
licences="$(echo /installed/packages/torch-*.dist-info/licenses)"
