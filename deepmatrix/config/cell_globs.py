"""Globs on the ids of cells: what they match, and the nearest id where that is nothing."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection, Iterator, Sequence

from deepmatrix.config.documents import Problem


def nearest(glob: str, ids: Collection[str]) -> str | None:
    """Return the glob or id that a glob may have meant.

    A glob of how ids begin, such as ``trch-*``, and a bare beginning mean a glob; others mean an
    id, by all of it, else by how it begins.
    """
    text = glob.strip("*-")
    pieces = text.count("-") + 1
    beginnings = {"-".join(name.split("-")[:pieces]): name for name in reversed([*ids])}
    near = difflib.get_close_matches(text, beginnings, n=1)
    if near and near[0] != beginnings[near[0]] and (glob == f"{text}-*" or text == near[0]):
        return f"{near[0]}-*"
    if matches := difflib.get_close_matches(glob.strip("*"), list(ids), n=1, cutoff=0.4):
        return matches[0]
    return beginnings[near[0]] if near else None


def no_match(glob: str, ids: Collection[str], *, noun: str = "cell") -> str:
    """Return the message about a glob that matches nothing."""
    suggestion = nearest(glob, ids)
    hint = f"; the nearest is '{suggestion}'" if suggestion else ""
    return f"'{glob}' matches no {noun}{hint}"


def unmatched(section: str, globs: Sequence[str], ids: Collection[str]) -> Iterator[Problem]:
    """Yield the globs of a section's entries, under their key ``cells``, that match no id."""
    for index, glob in enumerate(globs):
        if not fnmatch.filter(ids, glob):
            yield (section, index, "cells"), no_match(glob, ids), False
