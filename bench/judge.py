"""Judge the judge: the standard's node tests of all opsets, against our float64 evaluator.

    nox -s benchmark -- judge [--releases 1.6.0 ...] [--keep]

Every release of the ``onnx`` package carries the node tests of its time. Those of the installed one
are made by its own code; older ones are fetched as wheels and only unpacked. A later release may
correct the data of an earlier one: of tests of one name, for one version of an operator, the newest
counts. Where it corrects the outputs together with a new version of the operator, they count too.
With ``--keep`` the table of operators and versions goes to ``harness/graphs/proven.json``.
"""

from __future__ import annotations

import argparse
import collections
import functools
import json
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from onnx.backend.test.loader import load_model_tests  # noqa: E402

from harness.graphs.operators import definition, definitions, evaluator, is_trusted  # noqa: E402
from harness.graphs.operators.fingerprints import fingerprint  # noqa: E402
from harness.graphs.precise import widen  # noqa: E402

#: Releases with node tests, oldest first, and the Python whose wheel is fetched.
RELEASES = {
    "1.1.2": "36", "1.2.2": "36", "1.3.0": "36", "1.4.1": "36", "1.5.0": "36", "1.6.0": "36",
    "1.7.0": "36", "1.8.1": "36", "1.9.0": "36", "1.10.2": "36", "1.11.0": "36", "1.12.0": "37",
    "1.13.1": "37", "1.14.1": "37", "1.15.0": "38", "1.16.2": "38", "1.17.0": "38", "1.18.0": "39",
    "1.19.1": "39", "1.20.0": "311",
}  # fmt: skip

PLATFORMS = ("manylinux1", "manylinux2010", "manylinux2014", "manylinux_2_17", "manylinux_2_28")

#: What the standard's own runner allows; a float64 evaluation of float32 data needs no more.
RTOL, ATOL = 1e-3, 1e-6

#: Operators whose answers are random by design, and others that are not for a judge of inference.
NOT_JUDGED = {
    "Bernoulli": "random by design",
    "RandomUniformLike": "random by design",
    "RandomNormal": "random by design",
    "Multinomial": "random by design",
    "ImageDecoder": "decodes pictures by another library",
    "DynamicSlice": "was taken out of the standard",
    "Adagrad": "training",
    "Adam": "training",
    "Gradient": "training",
    "Momentum": "training",
}

Operator = tuple[str, str, int]


@dataclass(frozen=True)
class NodeTest:
    """A node test of a release: its model, the operators in it by version, and its data.

    *read* returns, for every set of data, its inputs and outputs in the model's order.
    """

    name: str
    release: str
    model: onnx.ModelProto
    operators: tuple[Operator, ...]
    read: Callable[[], Iterable[tuple[Sequence[Any], Sequence[Any]]]]
    is_mistyped: bool = False

    @property
    def key(self) -> tuple[str, tuple[Operator, ...]]:
        """What a later release's test of the same name supersedes."""
        return self.name, self.operators

    def reason_not_judged(self) -> str:
        """Return why this test says nothing of a judge of inference, or nothing."""
        for _, operator, version in self.operators:
            if operator in NOT_JUDGED:
                return NOT_JUDGED[operator]
            if version < 0:
                return "was taken out of the standard"
        if "training_mode" in self.name or "_training" in self.name:
            return "training"
        if self.is_mistyped:
            return "its data are of another type than its graph says"
        if not self.is_trusted():
            return "what a definition says not to be trusted with"
        return ""

    def is_trusted(self) -> bool:
        """Return whether no definition of ours says that it cannot be trusted with this test.

        The evaluator knows an operator's inputs, as a graph does those that are constant.
        """
        names = [value.name for value in _free_inputs(self.model)]
        for node in self.model.graph.node:
            if not hasattr(definition(node.domain, node.op_type), "is_trusted"):
                continue  # nothing need be read
            for inputs, _ in self.read():
                if not is_trusted(node, dict(zip(names, inputs, strict=False))):
                    return False
        return True


def fetch(release: str, python: str, cache: Path) -> Path:
    """Unpack the node tests of a release, unless they are there; return their folder."""
    target = cache / release
    if not target.is_dir():
        part = target.with_name(f"{release}.part")
        with tempfile.TemporaryDirectory() as folder:
            tags = ["--python-version", python, "--implementation", "cp"]
            for abi in (f"cp{python}m", f"cp{python}", "abi3"):
                tags += ["--abi", abi]
            for platform in PLATFORMS:
                tags += ["--platform", f"{platform}_x86_64"]
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", *tags, "--dest", folder, f"onnx=={release}"]
            subprocess.run(command, check=True)
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                names = [
                    n for n in archive.namelist() if n.startswith("onnx/backend/test/data/node")
                ]
                archive.extractall(part, names)
        part.replace(target)
    return target / "onnx/backend/test/data/node"


def node_tests(release: str, folder: Path) -> Iterator[NodeTest]:
    """Yield the node tests of a release."""
    for path in sorted(folder.glob("*/model.onnx")):
        model = onnx.ModelProto.FromString(path.read_bytes())
        yield NodeTest(
            name=path.parent.name,
            release=release,
            model=model,
            operators=_operators(model),
            read=functools.partial(_stored, path.parent, model),
            is_mistyped=_is_mistyped(path.parent, model),
        )


def installed_tests() -> Iterator[NodeTest]:
    """Yield the node tests of the installed package."""
    for test in sorted(load_model_tests(kind="node"), key=lambda test: test.name):
        yield NodeTest(
            name=test.name,
            release=onnx.__version__,
            model=test.model,
            operators=_operators(test.model),
            read=functools.partial(_plain, test.data_sets),
        )


def _plain(data_sets: Iterable[Any]) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield data sets as arrays: those of types that numpy lacks are made as tensors."""
    for sides in data_sets:
        inputs, outputs = (
            [
                numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else item
                for item in values
            ]
            for values in sides
        )
        yield inputs, outputs


def _operators(model: onnx.ModelProto) -> tuple[Operator, ...]:
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    nodes = model.graph.node
    return tuple(sorted({(node.domain, node.op_type, _since(node, opsets)) for node in nodes}))


def _since(node: onnx.NodeProto, opsets: dict[str, int]) -> int:
    try:
        version = opsets.get(node.domain, 1)
        return int(onnx.defs.get_schema(node.op_type, version, node.domain).since_version)
    except onnx.defs.SchemaError:
        return -1


def _free_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    held = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in held]


def _stored(folder: Path, model: onnx.ModelProto) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield the data sets of a folder: an input or output that is left out is None."""
    for data in sorted(folder.glob("test_data_set_*")):
        sides = []
        for kind, values in (("input", _free_inputs(model)), ("output", model.graph.output)):
            paths = [data / f"{kind}_{number}.pb" for number in range(len(values))]
            sides.append(
                [
                    _read(path, value.type) if path.is_file() else None
                    for path, value in zip(paths, values, strict=True)
                ]
            )
        yield sides[0], sides[1]


def _is_mistyped(folder: Path, model: onnx.ModelProto) -> bool:
    """Return whether the data are typed otherwise than the graph: old bfloat16 as integers."""
    for kind, values in (("input", _free_inputs(model)), ("output", model.graph.output)):
        for number, value in enumerate(values):
            path = folder / "test_data_set_0" / f"{kind}_{number}.pb"
            if value.type.HasField("tensor_type") and path.is_file():
                tensor = onnx.TensorProto.FromString(path.read_bytes())
                if tensor.data_type not in (0, value.type.tensor_type.elem_type):
                    return True
    return False


def _read(path: Path, kind: onnx.TypeProto) -> Any:
    content = path.read_bytes()
    if kind.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(content))
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(content))
    return numpy_helper.to_array(onnx.TensorProto.FromString(content))


def _widened(value: Any) -> Any:
    if isinstance(value, list):
        return [_widened(item) for item in value]
    if hasattr(value, "dtype") and value.dtype.name in ("float16", "float32", "bfloat16"):
        return value.astype("float64")
    return value


def difference(answer: Any, wanted: Any) -> str:
    """Return how an answer differs from what is wanted, or nothing."""
    if isinstance(wanted, list):
        if not isinstance(answer, list) or len(answer) != len(wanted):
            return "not the same sequence"
        return next((d for d in map(difference, answer, wanted) if d), "")
    if wanted is None:
        return "" if answer is None else "not empty"
    answer, wanted = np.asarray(answer), np.asarray(wanted)
    if answer.shape != wanted.shape:
        return f"the shape {answer.shape}, not {wanted.shape}"
    if wanted.dtype.kind in "OUS":
        wrong = int((answer.astype(str) != wanted.astype(str)).sum())
    elif wanted.dtype.kind == "f" or "float" in wanted.dtype.name:
        wrong = int((~_is_close(answer.astype("float64"), wanted)).sum())
    else:
        wrong = int((answer != wanted).sum())
    return f"{wrong} of {wanted.size} values differ" if wrong else ""


def _is_close(answer: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return where an answer in float64 is what is wanted, but for the rounding of its type.

    What a test computes in 16 bits is rounded at every step: two steps of the largest value pass.
    """
    bits = {"bfloat16": 8, "float16": 11, "float8_e4m3fn": 3, "float8_e5m2": 2, "float4_e2m1fn": 1}
    step = 2.0 ** -bits.get(wanted.dtype.name, 24)
    exact = wanted.astype("float64")
    largest = np.abs(exact[np.isfinite(exact)]).max(initial=0.0)
    atol = max(ATOL, 2 * step * largest) if wanted.dtype.name in ("bfloat16", "float16") else ATOL
    return np.isclose(answer, exact, rtol=max(RTOL, step), atol=atol, equal_nan=True)


def outcome(test: NodeTest) -> str:
    """Return how the judge fails a test, or nothing."""
    try:
        judge = evaluator(widen(test.model))
        for inputs, outputs in test.read():
            names = [value.name for value in _free_inputs(test.model)]
            fed = {name: _widened(value) for name, value in zip(names, inputs, strict=False)}
            answers = judge.run(None, fed)
            for value, answer, wanted in zip(
                test.model.graph.output, answers, outputs, strict=True
            ):
                wrong = difference(answer, wanted)
                if wrong and value.type.HasField("optional_type"):
                    wrong = difference(answer[0], wanted)  # the evaluator's Optional is a list
                if wrong:
                    return f"{value.name}: {wrong}"
    except Exception as error:  # the evaluator raises what it likes
        return f"{type(error).__name__}: {error}".splitlines()[0][:160]
    return ""


def newest(tests: Iterator[NodeTest]) -> list[NodeTest]:
    """Return the tests that no later release supersedes; they come oldest first."""
    latest: dict[tuple[str, tuple[Operator, ...]], NodeTest] = {}
    for test in tests:
        latest[test.key] = test
    return list(latest.values())


def corrected(failed: NodeTest, passed: Iterable[NodeTest]) -> bool:
    """Return whether a later test of the same name, node and inputs has other outputs, and passes.

    So releases correct wrong outputs, and may do it together with a new version of the operator.
    """
    return any(
        later.name == failed.name
        and list(later.model.graph.node) == list(failed.model.graph.node)
        and _inputs(later) == _inputs(failed)
        for later in passed
    )


def _inputs(test: NodeTest) -> str:
    with np.printoptions(threshold=sys.maxsize):
        return repr([inputs for inputs, _ in test.read()])


def states(passed: dict[Operator, int], failed: dict[Operator, int]) -> dict[Operator, str]:
    """Return, for every operator and version of the standard, what is known of the judge there.

    ``proven``: all its tests pass; ``replaced``: so, by a definition of our own; ``wrong``: one
    fails; ``unknown``: there is no test of it alone.
    """
    table: dict[Operator, str] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.deprecated:
            continue
        operator = (schema.domain, schema.name, schema.since_version)
        if failed.get(operator):
            table[operator] = "wrong"
        elif passed.get(operator):
            own = definition(schema.domain, schema.name)
            table[operator] = "replaced" if own else "proven"
        else:
            table[operator] = "unknown"
    return table


def main() -> None:
    """Fetch, try, print, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--releases", nargs="*", default=list(RELEASES), choices=list(RELEASES))
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "onnx-node-tests"
    )
    parser.add_argument("--keep", action="store_true", help="write harness/graphs/proven.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folders = {
        release: fetch(release, RELEASES[release], options.cache) for release in options.releases
    }
    every = [test for release, folder in folders.items() for test in node_tests(release, folder)]
    every += installed_tests()
    tests = newest(iter(every))
    print(f"{len(every)} node tests of {len(folders) + 1} releases, {len(tests)} not superseded")
    results = judged(tests)
    passed, failed = (
        collections.Counter(
            test.operators[0]
            for test, problem in results
            if len(test.operators) == 1 and bool(problem) is is_wrong
        )
        for is_wrong in (False, True)
    )
    table = states(passed, failed)
    print(dict(collections.Counter(table.values())))
    if options.keep:
        keep(table, passed)


def judged(tests: list[NodeTest]) -> list[tuple[NodeTest, str]]:
    """Return the tests that say something of a judge, and how it fails each; print both."""
    left_out: dict[str, int] = collections.Counter()
    results: list[tuple[NodeTest, str]] = []
    for test in reversed(tests):
        reason, problem = test.reason_not_judged(), ""
        if not reason:
            problem = outcome(test)
        if problem and corrected(test, [later for later, wrong in results if not wrong]):
            reason = "a later release corrects its outputs"
        if reason:
            left_out[reason] += 1
        else:
            results.append((test, problem))
    wrong = sorted(f"{t.name} of onnx {t.release}: {problem}" for t, problem in results if problem)
    for reason, count in sorted(left_out.items()):
        print(f"  {count:5} not judged: {reason}")
    right = len(results) - len(wrong)
    print(f"  {len(results):5} tried, {right} right: {right / len(results):.2%}")
    print("".join(f"  {line}\n" for line in wrong), end="")
    return results


def keep(table: dict[Operator, str], passed: dict[Operator, int]) -> None:
    """Write the table: by domain and operator, for every version its state and tests passed.

    Besides, the fingerprints of our own definitions: a changed one is not what was proven.
    """
    document: dict[str, dict[str, dict[str, Any]]] = {}
    for (domain, name, version), state in sorted(table.items()):
        tests = passed.get((domain, name, version), 0)
        row = document.setdefault(domain, {}).setdefault(name, {})
        row[str(version)] = [state, tests]
    path = ROOT / "harness/graphs/proven.json"
    whole = {
        "onnx": onnx.__version__,
        "fingerprints": {x.__module__: fingerprint(x.__module__) for x in definitions()},
        "operators": document,
    }
    lines = json.dumps(whole, indent=1, sort_keys=True)
    path.write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
