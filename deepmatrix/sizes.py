"""Numbers of bytes as the user reads and writes them."""

from __future__ import annotations

#: Bytes of a unit: decimal ones for images and files, binary ones for limits.
DECIMAL_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}
BINARY_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}


def binary_size(count: int) -> str:
    """Return a number of bytes in the largest binary unit that it fills: ``4 GiB``."""
    for unit, unit_bytes in reversed(BINARY_UNITS.items()):
        if count >= unit_bytes:
            amount = count / unit_bytes
            return f"{amount:.0f} {unit}" if amount >= 100 else f"{amount:.3g} {unit}"
    return f"{count} bytes"


def decimal_size(count: int) -> str:
    """Return a number of bytes in kB, MB or GB: ``182 MB``."""
    if count >= DECIMAL_UNITS["GB"]:
        return f"{count / DECIMAL_UNITS['GB']:.2f} GB"
    if count >= DECIMAL_UNITS["MB"]:
        return f"{count / DECIMAL_UNITS['MB']:.0f} MB"
    return f"{count / DECIMAL_UNITS['kB']:.1f} kB"
