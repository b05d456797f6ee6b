#!/bin/sh
# Install the wheels of another platform, without running anything of it, into /packages.
# Reads /pins.txt, $PYTHON_VERSION and $WHEELS (uv's name of the target platform).
set -eu

# The machine's own certificates, where it has any; in no layer.
if [ -s /run/secrets/certificates ]; then
    export SSL_CERT_FILE=/run/secrets/certificates
fi

# Bytecode is made here, by the same Python version, as the root is read-only where it runs.
# The hash form does not depend on file times, which a copy may change.
export PYC_INVALIDATION_MODE=UNCHECKED_HASH

uv pip install \
    --python /tools/bin/python --python-version "$PYTHON_VERSION" --python-platform "$WHEELS" \
    --only-binary :all: --no-deps --require-hashes --compile-bytecode \
    --target /packages --requirements /pins.txt

# Scripts start with the path of this stage's Python, which is not in the image.
rm -rf /packages/bin

# The same files make the same layer, whenever they were installed.
find /packages -exec touch --no-dereference --date=@0 {} +
