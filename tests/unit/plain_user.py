"""A process for which the modes of files hold, also where root runs the tests."""

from __future__ import annotations

import ctypes
import os
import traceback
from collections.abc import Callable

#: The third version of the structures that the system call `capset` takes.
VERSION = 0x20080522


def as_a_plain_user(act: Callable[[], object]) -> None:
    """Call *act* in a child process without capabilities, and expect that it returns.

    Root is then the owner of its files as any user is of theirs, and reads no folder that is closed
    to their owner. The interpreter, which another user may not reach, can still be started.
    """
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                _drop_capabilities()
            act()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _drop_capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(VERSION, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")
