"""Make the bytecode of installed packages: ``bytecode.py FOLDER``. Runs where images are built.

A cell's root is read-only, so what is not made here is compiled again in every process. The
packages' own tests are left out, a third of all code: no cell imports them. A file that is not
of this Python, as some packages ship, is passed over.
"""

import compileall
import py_compile
import re
import sys

if __name__ == "__main__":
    compileall.compile_dir(
        sys.argv[1],
        quiet=2,
        workers=0,  # one a core
        rx=re.compile(r"/tests?/"),
        # A hash does not depend on file times, which a copy may change.
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
