"""What a matrix file leaves out: defaults, what a variant has of its origin, adapters, networks.

Works on the plain document, before it is checked: whatever has another form than expected is
passed on as it is, for the models to refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deepmatrix.config.documents import Completed, Document, Problem, did_you_mean

EXPECTED_FAILURES = "expected_failures_file"

#: The sections with systems.
ROLES = ("frameworks", "runtimes")

_MOVED = f"expected failures are in a file of their own: name it as {EXPECTED_FAILURES}"


def complete(document: Document) -> Completed:
    """Return a matrix file's document with everything that follows from what it states."""
    if problems := list(_renamed_keys(document)) or list(_wrong_variants(document)):
        return Completed(document=document, problems=tuple(problems))
    full = dict(document)
    inherited: set[tuple[str, ...]] = set()
    defaults = _mapping(document.get("defaults"))
    for section in ("workloads", "presets"):
        entries = _mapping(document.get(section))
        fallback = _mapping(defaults.get(section))
        if entries:
            full[section] = {
                name: _with_defaults(entry, fallback, (section, name), inherited)
                for name, entry in entries.items()
            }
    for name, workload in _mapping(full.get("workloads")).items():
        if isinstance(workload, dict):
            workload.setdefault("network", name)
    for role in ROLES:
        if systems := _mapping(document.get(role)):
            fallback = _mapping(defaults.get(role))
            full[role] = {
                name: _with_defaults(
                    _system(role, name, systems, inherited), fallback, (role, name), inherited
                )
                for name in systems
            }
    return Completed(document=full, inherited=frozenset(inherited))


def default_adapter(role: str, name: str) -> str:
    """Return the module that serves a system where it names neither adapter nor command."""
    return f"harness.{role}.{name}.adapter"


def _mapping(node: Any) -> dict[str, Any]:
    return node if isinstance(node, dict) else {}


def _renamed_keys(document: Document) -> Iterator[Problem]:
    """Yield the keys of older versions, each with the one that replaces it."""
    for key in ("known", "expected_failures"):
        if key in document:
            yield (key,), f"'{key}' has no place here: {_MOVED}", True
    for role in ROLES:
        for name, system in _mapping(document.get(role)).items():
            if "patience" in _mapping(system):
                yield (role, name, "patience"), "'patience' is now 'deadline_factor'", True
    if "stated" in _mapping(document.get("tolerances")):
        yield ("tolerances", "stated"), "'stated' is now 'overrides'", True


def _wrong_variants(document: Document) -> Iterator[Problem]:
    """Yield the variants whose origin is not there, or is none itself."""
    for role in ROLES:
        systems = _mapping(document.get(role))
        for name, system in systems.items():
            origin = _mapping(system).get("variant_of")
            if not isinstance(origin, str):
                continue
            location = (role, name, "variant_of")
            if origin == name:
                yield location, f"'{name}' cannot be a variant of itself", False
            elif origin not in systems:
                suggestion = did_you_mean(origin, systems)
                yield location, f"no '{origin}' under {role}{suggestion}", False
            elif further := _mapping(systems[origin]).get("variant_of"):
                message = f"'{origin}' is itself a variant; name its origin, '{further}'"
                yield location, message, False


def _with_defaults(
    entry: Any,
    defaults: Mapping[str, Any],
    location: tuple[str, ...],
    inherited: set[tuple[str, ...]],
) -> Any:
    """Return an entry with the keys that it lacks, also inside the mappings that both have."""
    if not isinstance(entry, dict):
        return entry
    full = dict(entry)
    for key, value in defaults.items():
        if key not in entry:
            full[key] = value
            inherited.add((*location, key))
        elif isinstance(value, dict):
            full[key] = _with_defaults(entry[key], value, (*location, key), inherited)
    return full


def _system(
    role: str, name: str, systems: Mapping[str, Any], inherited: set[tuple[str, ...]]
) -> Any:
    """Return a system with its origin's keys, where it is a variant, and with its adapter."""
    system = systems[name]
    if not isinstance(system, dict):
        return system
    full = dict(system)
    origin = system.get("variant_of")
    if isinstance(origin, str):
        for key, value in _mapping(systems[origin]).items():
            replaced = key in ("adapter", "command") and not {"adapter", "command"}.isdisjoint(
                system
            )
            if key not in system and not replaced:
                full[key] = value
                inherited.add((role, name, key))
        full.setdefault("pins", origin)
    if "adapter" not in full and "command" not in full:
        full["adapter"] = default_adapter(role, origin if isinstance(origin, str) else name)
    return full
