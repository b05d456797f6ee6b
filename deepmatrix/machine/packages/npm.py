"""npm's configuration on this machine, as far as a build in a container can use it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deepmatrix.machine.folders import home
from deepmatrix.machine.packages.settings import read_settings

#: Settings that name a path of this machine or concern only this machine.
OWN = ("cafile", "cache", "prefix", "nodedir", "userconfig", "globalconfig", "tmp", "logs-dir")


def build_npmrc(environment: Mapping[str, str] = os.environ) -> str:
    """Return an ``.npmrc`` for a build: the user's own, with registries and their tokens.

    npm's environment variables win over its file, as in npm itself.

    Raises ArgumentError where its file is not UTF-8.
    """
    file = Path(environment.get("NPM_CONFIG_USERCONFIG") or home(environment) / ".npmrc")
    lines = read_settings(file).splitlines()
    lines += [
        f"{key.lower().removeprefix('npm_config_').replace('_', '-')}={text}"
        for key, text in environment.items()
        if key.lower() == "npm_config_registry" and text
    ]
    settings = [line for line in lines if line.partition("=")[0].strip() not in OWN]
    return "".join(f"{line}\n" for line in settings)
