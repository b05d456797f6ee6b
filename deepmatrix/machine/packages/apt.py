"""The mirrors of Debian's packages that this machine itself uses."""

from __future__ import annotations

from deepmatrix.machine import processes


def mirrors() -> dict[str, str]:
    """Return the addresses that apt knows by label, such as ``Debian``, each without a slash.

    Raises EngineError where this machine has no apt.
    """
    listed = processes.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    )
    addresses: dict[str, str] = {}
    for line in listed.splitlines():
        label, _, address = line.partition(" ")
        addresses.setdefault(label, address.rstrip("/"))
    return addresses
