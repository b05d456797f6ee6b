#!/bin/sh
# Install the wheels of another platform, without running anything of it, into /packages.
# Reads /pins.txt, $PYTHON_VERSION and $WHEELS (uv's name of the target platform).
set -eu

# The machine's own certificates, where it has any; in no layer.
if [ -s /run/secrets/certificates ]; then
    export SSL_CERT_FILE=/run/secrets/certificates
fi

uv pip install \
    --python /tools/bin/python --python-version "$PYTHON_VERSION" --python-platform "$WHEELS" \
    --only-binary :all: --no-deps --require-hashes \
    --target /packages --requirements /pins.txt

# By the same Python version: bytecode knows no architecture.
/tools/bin/python /bytecode.py /packages

# Scripts start with the path of this stage's Python, which is not in the image.
rm -rf /packages/bin

# The same files make the same layer, whenever they were installed.
find /packages -exec touch --no-dereference --date=@0 {} +
