"""What the jobs of all kinds have in common while they run."""

import importlib
import importlib.util
from types import ModuleType
from typing import Any, Dict, List


class RunningJob:
    """A running job.

    Attributes:
        directory: the control directory.
        document: ``input.json``.
        adapter: the module of the framework or runtime, see `harness.adapters`.
        started: what the start cost, which the phase ``startup`` records.
        produced: an entry of ``artifacts`` for each export of the phase ``deploy``.
    """

    def __init__(
        self, directory: str, document: Dict[str, Any], adapter: ModuleType, started: Dict[str, Any]
    ) -> None:
        self.directory = directory
        self.document = document
        self.adapter = adapter
        self.started = started
        self.produced: List[Dict[str, Any]] = []

    def beside_adapter(self, name: str) -> ModuleType:
        """Return a module of the adapter's folder, such as ``probes``; *name* may have dots."""
        return importlib.import_module(self._beside(name))

    def has_beside_adapter(self, name: str) -> bool:
        """Return whether the adapter's folder has a module of this name."""
        return importlib.util.find_spec(self._beside(name)) is not None

    def _beside(self, name: str) -> str:
        folder, _, _ = self.document["adapter"].rpartition(".")
        return f"{folder}.{name}"
