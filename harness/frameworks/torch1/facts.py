"""Facts beside torch 1.0.0: how fast Lua's compiler is, on which Lua's Torch ran."""

import shutil
from typing import Optional, Tuple

from harness.adapters import Unsupported
from harness.frameworks.torch1 import languages


def luajit_is_about_as_fast_as_cpp() -> Tuple[Optional[bool], str]:
    """Nobody said how much longer is comparable: the ratios are shown, and decide nothing.

    Only the image of a variant has LuaJIT.
    """
    if shutil.which("luajit") is None:
        raise Unsupported("no LuaJIT is installed")
    ratios = ["%.2f (%s)" % (ratio, name) for name, ratio in languages.ratios().items()]
    return None, "LuaJIT takes %s times as long as C++, and no measure says what is comparable" % (
        ", ".join(ratios)
    )
