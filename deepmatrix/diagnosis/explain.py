"""From an answer that is not right to its cause: the model's file, or one node of a runtime.

The judge of a format, a cell of its own, evaluates every node as precisely as it can. Where this
is what the answers should be, the file is right, and the consumer is run on models that also give
some of their inner tensors, until the first wrong one is known; its node is cut out, and tried
alone.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepmatrix.diagnosis import search
from deepmatrix.diagnosis.search import Astray, Graph, Known, Search
from deepmatrix.errors import ArgumentError
from deepmatrix.execution.attempts import Cancelled
from deepmatrix.execution.runner import OpenRun
from deepmatrix.judging import agreements, exports
from deepmatrix.judging.verdicts import judge, lost, terms_of
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import CONSUMING, Artifact, Job, Plan
from deepmatrix.planning.readers import find_inspector
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.records import Agreement, Cause, CauseKind, Deviation, JobRecord, Node, Output
from deepmatrix.store.runs import Run, write_text
from deepmatrix.workloads import gold, networks
from deepmatrix.workloads.inputs import npz_bytes
from deepmatrix.workloads.networks import inputs_of
from harness.formats import FORMATS, MODEL_PATHS
from harness.record import CUT, EXPOSE, MADE, PRECISE, SINGLE, TRACE, answer_path

#: The formats in which the first wrong node can be searched.
LOOKED_INTO = frozenset(name for name, known in FORMATS.items() if known.is_traceable)

#: One answer, untimed.
ONCE = {"batches": [1], "samples": 1, "min_s": 0.0, "max_s": None, "warmup": 0}


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """An artifact that a consumer does not answer rightly, and the record that shows it."""

    artifact: Artifact
    consumer: Cell
    record: JobRecord
    agreement: Agreement


def unexplained(run: Run) -> list[Wrong]:
    """Return what drifts, or gives something that is not finite, and has no cause yet."""
    return list(_wrong(run, run.manifest.plan))


def explain_all(opened: OpenRun, tell: Callable[[Cause], None]) -> None:
    """Trace everything that is wrong in a run to its cause; *tell* hears of each.

    Raises:
        Cancelled: the user interrupted it; what was explained is kept.
    """
    explainer = Explainer(opened=opened, tell=tell)
    for wrong in unexplained(opened.run):
        explainer.explain(wrong)


def _wrong(run: Run, plan: Plan) -> Iterator[Wrong]:
    for artifact in plan.artifacts():
        for consumer in plan.consumers(artifact.format):
            job = Job(
                wave="consume",
                cell=consumer.id,
                subject=artifact.id,
                round=0,
                phases=CONSUMING,
                artifact=artifact,
            )
            if not run.record_path(job).is_file():
                continue
            record = run.record(job)
            terms = terms_of(run.manifest, consumer, artifact.id)
            is_wrong = record.agreement and judge([record], terms, "").word in ("drift", "error")
            known = (run.cause_path(artifact.id, consumer.id) / "cause.json").is_file()
            if is_wrong and record.agreement and not known:
                yield Wrong(
                    artifact=artifact,
                    consumer=consumer,
                    record=record,
                    agreement=record.agreement,
                )


class _Stopped(Exception):
    """The search cannot go on; the message says why."""


@dataclass(frozen=True, kw_only=True)
class _Traced:
    """A model as its judge computes it, on some rows of its inputs."""

    graph: Graph
    precise: Mapping[str, Values]
    single: Mapping[str, Values]

    def own_error(self, tensor: str) -> float | None:
        """Return what float32 itself costs at a tensor; 0 where the judge has no float64."""
        if tensor not in self.single:
            return 0.0
        truth = self.precise[tensor]
        return agreements.distance(self.single[tensor], truth, agreements.scale_of(truth))


@dataclass(kw_only=True)
class Explainer:
    """Explains what is wrong in a run, on an engine that is open."""

    opened: OpenRun
    tell: Callable[[Cause], None]
    _traces: dict[tuple[str, tuple[int, ...]], _Traced] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        """The run that is looked into."""
        return self.opened.run

    def explain(self, wrong: Wrong) -> None:
        """Find a cause, keep and tell it. Raises Cancelled where the user interrupts it."""
        final = self.run.cause_path(wrong.artifact.id, wrong.consumer.id)
        part = final.with_name(f"{final.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            cause = _Case(self, wrong, part).cause()
        except Cancelled:
            shutil.rmtree(part)
            raise
        except _Stopped as error:
            cause = _cause(wrong, "opaque", f"it could not be traced: {error}")
        write_text(part / "cause.json", cause.model_dump_json(indent=1) + "\n")
        shutil.rmtree(final, ignore_errors=True)
        part.replace(final)
        self.tell(cause)

    def traced(self, artifact: Artifact, rows: Sequence[int]) -> _Traced:
        """Return an artifact as its judge computes it on some rows, asked for once."""
        key = (artifact.id, tuple(rows))
        if key not in self._traces:
            self._traces.clear()  # they are large, and the next artifact needs others
            self._traces[key] = self._trace(artifact, rows)
        return self._traces[key]

    def _trace(self, artifact: Artifact, rows: Sequence[int]) -> _Traced:
        with self.looking(artifact, rows, TRACE) as (output, control):
            said = output.traced()
            assert said is not None
            names = list(self.inputs(artifact, rows))
            precise = self._values(control / PRECISE, said.tensors)
            graph = Graph(
                nodes=said.nodes,
                inputs=_free(said.nodes, names),
                outputs=said.outputs,
                tensors=list(precise),
            )
            single = self._values(control / SINGLE, said.tensors)
        return _Traced(graph=graph, precise=precise, single=single)

    def _values(self, path: Path, names: Sequence[str]) -> dict[str, Values]:
        try:
            numbered = arrays.read_all(path, arrays.NUMBERS)
        except arrays.Unreadable as error:
            raise _Stopped(str(error)) from None
        return {names[int(number)]: value for number, value in numbered.items()}

    def inputs(self, artifact: Artifact, rows: Sequence[int]) -> dict[str, Values]:
        """Return some rows of an artifact's inputs, or all of them where none are named."""
        given = arrays.read_all(self.run.artifact(artifact) / "inputs.npz", arrays.ANY)
        return {name: x[list(rows)] if rows else x for name, x in given.items()}

    @contextlib.contextmanager
    def looking(
        self, artifact: Artifact, rows: Sequence[int], phase: str, **asked: Any
    ) -> Iterator[tuple[Output, Path]]:
        """Have a format's judge do something with an artifact; see `harness.phases.tracing`."""
        try:
            judge_cell = find_inspector(
                self.run.manifest.matrix, artifact.format, self.opened.attempts.capabilities
            )
        except ArgumentError as error:
            raise _Stopped(error.message) from None

        def fill(control: Path) -> dict[str, Any]:
            shutil.copytree(self.run.artifact(artifact) / exports.MODEL, control / "model")
            (control / "given").mkdir()
            given = npz_bytes(self.inputs(artifact, rows))
            (control / "given" / "inputs.npz").write_bytes(given)
            about = {
                "format": artifact.format,
                "model": f"model/{MODEL_PATHS[artifact.format]}",
                "inputs": "given/inputs.npz",
            }
            return {"trace": {**about, **asked}}

        with self._done(judge_cell, f"{artifact.id}--{phase}", (phase,), fill) as done:
            yield done

    def answers(
        self, consumer: Cell, form: str, model: Path, given: Mapping[str, Values]
    ) -> list[Values]:
        """Return what a consumer answers with a model, in the model's order of outputs."""

        def fill(control: Path) -> dict[str, Any]:
            path = control / "artifact" / MODEL_PATHS[form]
            path.parent.mkdir()
            shutil.copyfile(model, path)
            (control / "artifact" / "inputs").mkdir()
            entries = []
            for number, (name, x) in enumerate(given.items()):
                entries.append({"name": name, "path": f"artifact/inputs/{number}.npy"})
                np.save(control / entries[-1]["path"], x)
            about = {"id": "made", "format": form, "model": f"artifact/{path.name}"}
            return {"artifact": {**about, "inputs": entries, "splits": None}, "infer": ONCE}

        with self._done(consumer, f"{model.parent.name}--tried", CONSUMING, fill) as (
            said,
            control,
        ):
            found = said.infer()
            names = found.outputs if found else []
            try:
                return [arrays.read_array(control / answer_path(at)) for at in range(len(names))]
            except arrays.Unreadable as error:
                raise _Stopped(str(error)) from None

    @contextlib.contextmanager
    def _done(
        self,
        cell: Cell,
        subject: str,
        phases: tuple[str, ...],
        fill: Callable[[Path], dict[str, Any]],
    ) -> Iterator[tuple[Output, Path]]:
        """Run a process that is in no plan; yield what it said, and its control directory."""
        self._make_ready(cell)
        with self.opened.attempts.one_off(cell, subject, phases, fill) as left:
            if left.status != "ok" or left.output is None:
                raise _Stopped(f"{cell.id} {left.status}: {left.cause}")
            yield left.output, left.control

    def _make_ready(self, cell: Cell) -> None:
        self.opened.prepare(cell)
        if cell.id not in self.opened.ready:
            raise _Stopped(f"{cell.id} is not ready: {self.run.prepared()[cell.id].error}")


@dataclass
class _Case:
    """One thing that is wrong, while it is looked into; *folder* keeps what is found."""

    explainer: Explainer
    wrong: Wrong
    folder: Path
    runs: int = 0

    def __post_init__(self) -> None:
        run = self.explainer.run
        self.artifact = self.wrong.artifact
        self.described = exports.verify(run.artifact(self.artifact))
        terms = terms_of(run.manifest, self.wrong.consumer, self.artifact.id)
        self.terms = terms.of(self.wrong.record)
        self.outputs = {one.name: one for one in self.wrong.agreement.outputs}
        self.worst = max(self.outputs.values(), key=self._badness, default=None)
        self.rows = self._rows()

    def _badness(self, one: Deviation) -> float:
        """Return how much of what is allowed the error of an output takes."""
        allowed, _ = self.terms.allowed_of(one, self.wrong.agreement)
        return float("inf") if one.error is None else one.error / allowed

    def _allowed(self, tensor: str, own: float | None) -> float:
        """Return the largest error of a tensor: inside, what is set for the worst output counts."""
        worst = self.worst.name if self.worst else ""
        one = self.outputs.get(tensor)
        if one is None:
            return self.terms.allowed(own, worst)[0]
        return self.terms.allowed(own, one.name, one.dtype)[0]

    def _rows(self) -> list[int]:
        """Return the rows to look at: the worst, in a batch of its own; none stands for all."""
        if not self.described.in_parts:
            return []
        size = self.described.batch or 1
        first = (self.worst.row or 0) // size * size if self.worst else 0
        return list(range(first, first + size))

    def cause(self) -> Cause:
        """Find the cause."""
        compared = self.wrong.agreement.outputs
        if not compared or any(one.note and one.row is None for one in compared):
            return _cause(self.wrong, "answers", self.wrong.agreement.note)
        own = self.wrong.agreement.producer_error  # none where its own answers are not finite
        if own is not None and (reason := lost(self.wrong.agreement, self.terms)):
            return _cause(self.wrong, "file", f"no answer can be judged: {reason}")
        if self.artifact.format not in LOOKED_INTO:
            text = f"the format {self.artifact.format} cannot be looked into: no node can be named"
            return _cause(self.wrong, "opaque", text)
        traced = self.explainer.traced(self.artifact, self.rows)
        return self._of_file(traced) or self._of_runtime(traced)

    def _of_file(self, traced: _Traced) -> Cause | None:
        """Return the cause where the file itself, evaluated by the judge, is not right."""
        folder = self.explainer.run.artifact(self.artifact)
        truths = arrays.read_all(folder / "gold.npz", arrays.NUMBERS).values()
        for name, truth in zip(traced.graph.outputs, truths, strict=False):
            if name not in traced.precise:
                continue
            allowed = self._allowed(name, self.wrong.agreement.producer_error)
            wanted = truth[self.rows] if self.rows else truth
            scale = agreements.scale_of(wanted)
            error = agreements.distance(traced.precise[name], wanted, scale)
            if error is None or error > allowed:
                return self._astray(traced, name, error, allowed)
        return None

    def _astray(self, traced: _Traced, tensor: str, error: float | None, allowed: float) -> Cause:
        known = self._known()
        said = "not comparable" if error is None else f"{error:.1e} away"
        text = f"the file itself is not the model: evaluated precisely it is {said} from gold"
        found = search.astray(known, traced.graph, traced.precise, allowed) if known else None
        if found is None:
            more = "" if known else "; `--same` with the right model first names the node"
            return _cause(self.wrong, "file", text + more, error=error, tolerance=allowed)
        return _cause(
            self.wrong,
            "file",
            f"{text}, from {_place(traced, found)}",
            node=traced.graph.nodes[found.node].name if found.node is not None else "",
            tensor=tensor,
            error=error,
            tolerance=allowed,
        )

    def _known(self) -> list[Known]:
        """Return what it should give inside: a network's layers, or another model's nodes."""
        run = self.explainer.run
        imports = run.manifest.plan.imports
        if not imports:
            workload = run.manifest.matrix.workloads[self.artifact.workload]
            network = networks.NETWORKS[workload.network]
            folder = run.artifact(self.artifact)
            weights = arrays.read(folder / "weights.npz", networks.parameters(network))
            (x,) = self.explainer.inputs(self.artifact, self.rows).values()
            values = gold.activations(network, weights, x)
            return [
                Known(name=layer["name"], values=values[layer["name"]], inputs=names)
                for layer, names in inputs_of(network)
            ]
        first = imports[0].artifact
        if not run.manifest.plan.same or first == self.artifact or first.format not in LOOKED_INTO:
            return []
        right = self.explainer.traced(first, self.rows)
        return list(search.of_nodes(right.graph, right.precise))

    def _of_runtime(self, traced: _Traced) -> Cause:
        """Return the first node that the consumer gets wrong."""
        found = dict(self._look(traced, []))
        outputs = [name for name in traced.graph.outputs if name in traced.precise]
        bad = [name for name in outputs if not self._is_right(traced, name, found)]
        if not bad:
            again = "answered again, it is right"
            text = "alone its worst row is answered rightly: the fault needs the whole batch"
            return _cause(self.wrong, "batch", text if self.rows else again, runs=self.runs)
        search = Search(graph=traced.graph, wrong=traced.graph.ordered(bad)[0])
        while tensors := search.next():
            looked = self._look(traced, tensors)
            if all(self._is_right(traced, name, looked) for name in outputs):
                return self._of_fusion(traced, tensors)
            found.update(looked)
            every = [*outputs, *tensors]
            search.learn({name: self._is_right(traced, name, looked) for name in every})
        return self._of_node(traced, search, found)

    def _of_node(self, traced: _Traced, search: Search, found: Mapping[str, Values]) -> Cause:
        node, tensor = traced.graph.nodes[search.node], search.wrong
        deviation, allowed = self._deviation(traced, tensor, found.get(tensor))
        text = f"{_called(node.kind, node.name)} is the first node outside tolerance"
        text += f": {_size(deviation)}, allowed {allowed:.1e}, and all that it reads is right"
        if traced.own_error(tensor) is None:
            text += "; float32 itself cannot hold it: the standard's evaluator gives the same"
        alone, shown = self._alone(traced, search.node, tensor)
        return _cause(
            self.wrong,
            "runtime",
            f"{text}; {alone}",
            node=node.name,
            tensor=tensor,
            error=deviation.error,
            tolerance=allowed,
            runs=self.runs,
            reproduce=self._command() if shown else "",
        )

    def _alone(self, traced: _Traced, number: int, tensor: str) -> tuple[str, bool]:
        """Try the node alone, and keep it; return what came of it, and whether it is wrong."""
        explainer, form = self.explainer, self.artifact.format
        with explainer.looking(self.artifact, self.rows, CUT, node=number) as (_, control):
            shutil.copytree(control / MADE, self.folder, dirs_exist_ok=True)
        given = arrays.read_all(self.folder / "inputs.npz", arrays.NUMBERS)
        truths = arrays.read_all(self.folder / "gold.npz", arrays.NUMBERS)
        model = self.folder / MODEL_PATHS[form]
        try:
            answers = explainer.answers(self.wrong.consumer, form, model, given)
        except _Stopped as error:
            return f"alone it cannot be run: {error}", True
        self.runs += 1
        allowed = self._allowed(tensor, traced.own_error(tensor))
        for (name, truth), answer in zip(truths.items(), answers, strict=False):
            found = agreements.deviation(name, answer, truth, agreements.scale_of(truth))
            if found.error is None or found.error > allowed:
                return f"alone too: {_size(found)}", True
        return "alone it is right: it is wrong only among its neighbours", False

    def _of_fusion(self, traced: _Traced, tensors: list[str]) -> Cause:
        """Return which inner tensor makes the fault go away when it is kept."""
        outputs = [name for name in traced.graph.outputs if name in traced.precise]
        while len(tensors) > 1:
            half = tensors[: len(tensors) // 2]
            found = self._look(traced, half)
            gone = all(self._is_right(traced, name, found) for name in outputs)
            tensors = half if gone else tensors[len(half) :]
        node = traced.graph.nodes[traced.graph.makers[tensors[0]]]
        return _cause(
            self.wrong,
            "fusion",
            f"an optimisation across {_called(node.kind, node.name)}: it goes away once what this "
            "node gives is kept",
            node=node.name,
            tensor=tensors[0],
            runs=self.runs,
        )

    def _look(self, traced: _Traced, tensors: Sequence[str]) -> dict[str, Values]:
        """Return the consumer's outputs, and some inner tensors, by name."""
        explainer = self.explainer
        added = [name for name in tensors if name not in traced.graph.outputs]
        asked = [self._described(traced, name) for name in added]
        looked = self.folder / "looked"
        with explainer.looking(self.artifact, self.rows, EXPOSE, tensors=asked) as (_, control):
            shutil.copytree(control / MADE, looked)
        try:
            model = looked / MODEL_PATHS[self.artifact.format]
            given = explainer.inputs(self.artifact, self.rows)
            answers = explainer.answers(self.wrong.consumer, self.artifact.format, model, given)
        finally:
            shutil.rmtree(looked)
        self.runs += 1
        return dict(zip([*traced.graph.outputs, *added], answers, strict=False))

    def _described(self, traced: _Traced, tensor: str) -> dict[str, Any]:
        value = (traced.single or traced.precise)[tensor]
        return {"name": tensor, "dtype": str(value.dtype), "sides": value.ndim}

    def _is_right(self, traced: _Traced, tensor: str, found: Mapping[str, Values]) -> bool:
        deviation, allowed = self._deviation(traced, tensor, found.get(tensor))
        return deviation.error is not None and deviation.error <= allowed

    def _deviation(
        self, traced: _Traced, tensor: str, answer: Values | None
    ) -> tuple[Deviation, float]:
        allowed = self._allowed(tensor, self._own_error(traced, tensor))
        if answer is None:
            return Deviation(name=tensor, error=None, note=f"{tensor} was not given"), allowed
        truth = traced.precise[tensor]
        scale = agreements.scale_of(truth)
        return agreements.deviation(tensor, answer, truth, scale), allowed

    def _own_error(self, traced: _Traced, tensor: str) -> float | None:
        """Return what float32 costs at a tensor: what it costs the producer, if nothing better."""
        if traced.single:
            return traced.own_error(tensor)
        return self.wrong.agreement.producer_error

    def _command(self) -> str:
        folder = self.folder.with_suffix("")
        with contextlib.suppress(ValueError):
            folder = folder.resolve().relative_to(Path.cwd())
        model = folder / MODEL_PATHS[self.artifact.format]
        given = ["--inputs", f"{folder}/inputs.npz", "--reference", f"{folder}/gold.npz"]
        words = ["nox", "-s", "verify", "--", str(model), *given, "--only", self.wrong.consumer.id]
        return shlex.join(words)


def _cause(wrong: Wrong, kind: CauseKind, text: str, **found: Any) -> Cause:
    return Cause(
        artifact=wrong.artifact.id, consumer=wrong.consumer.id, kind=kind, text=text, **found
    )


def _size(found: Deviation) -> str:
    return found.note if found.error is None else f"its error is {found.error:.1e}"


def _called(kind: str, name: str) -> str:
    return name if kind in name else f"{kind} '{name}'"


def _place(traced: _Traced, found: Astray) -> str:
    if found.node is None:
        return found.layer
    node = traced.graph.nodes[found.node]
    called = _called(node.kind, node.name)
    return f"{called} on" if found.layer in node.outputs else f"{found.layer}, {called}, on"


def _free(nodes: Sequence[Node], given: Sequence[str]) -> set[str]:
    """Return the names of a graph's inputs: those given that it reads, else what none makes.

    Constants of a TFLite model are made by no node either, and move nothing: what is taken for an
    input there only widens the search.
    """
    made = {name for node in nodes for name in node.outputs}
    read = {name for node in nodes for name in node.inputs}
    return set(given) & read or read - made
