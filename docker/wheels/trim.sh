#!/bin/sh
# Leave out of /packages what only a compiler opens, and torch's C++ programs with their data, which
# are its tests and code generators; licences stay. Cells that compile get the packages as they were
# before this.
set -eu

find /packages -type f \
    \( -path '*/include/*' ! -name '*.py*' \
    -o -path '/packages/torch/test/*' \
    -o -path '/packages/torch/bin/*' ! -name torch_shm_manager \) \
    ! -path '*.dist-info/*' \
    ! -iname '*licen[cs]e*' ! -iname '*copying*' ! -iname '*notice*' \
    -delete
find /packages -depth -type d -empty -delete

# Only folders have changed; to touch a file would store it once more in the builder's cache.
find /packages -type d -exec touch --no-dereference --date=@0 {} +
