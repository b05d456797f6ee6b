"""Inputs of an ONNX model: the user's own checked, or sample inputs of sizes that it takes."""

import difflib
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy

from harness.adapters import Arrays
from harness.graphs import BadModel, WrongInputs, values
from harness.graphs.inputs import sample_inputs
from harness.graphs.inputs.sample_inputs import Sampling, Values
from harness.graphs.operators import NotEvaluated
from harness.graphs.shapes import EXPRESSION, Dim, Entry, Ties, size_of, tie

#: Sizes of dynamic dimensions in the order in which they are tried: of an input's first dimension,
#: as a rule the batch, and of its others.
DIM_SIZES = (
    (2, 64),
    (1, 32),
    (1, 48),
    (1, 96),
    (1, 128),
    (1, 224),
    (1, 256),
    (1, 320),
    (1, 512),
    (2, 16),
    (2, 8),
    (1, 1),
)

#: Sizes that a runtime asks for are tried this often, before the next of `DIM_SIZES`.
MAX_REQUESTS = 4


def fit(model: Any, entries: List[Entry], sampling: Sampling) -> List[Entry]:
    """Return the inputs with the sizes that a user asks for, and that the graph's operators need.

    Raises BadModel as `sample_inputs.check_request` does.
    """
    sample_inputs.check_request(sampling, entries)
    ties = Ties()
    shapes = {entry["name"]: entry["shape"] for entry in entries}
    for name, sizes in sampling.shapes.items():
        for dim, size in zip(shapes.get(name, [name]), sizes):
            if ties.root(dim) not in (dim, size):
                text = f"--shape {name}={'x'.join(map(str, sizes))}"
                raise WrongInputs(f"{text}: the model has one size for all dimensions named {dim}")
            ties.equate(dim, size)
    return tie(model, entries, ties)


def _with_requested_sizes(entries: List[Entry], sampling: Sampling) -> List[Entry]:
    """Return the inputs with the sizes that a user asks for, where there is no graph to read."""
    sample_inputs.check_request(sampling, entries)
    sizes = {
        dim: size
        for entry in entries
        for dim, size in zip(entry["shape"], sampling.shapes.get(entry["name"], ()))
    }
    sizes.update({name: shape[0] for name, shape in sampling.shapes.items() if len(shape) == 1})
    return [dict(entry, shape=[sizes.get(dim, dim) for dim in entry["shape"]]) for entry in entries]


def check_inputs(user_inputs: Arrays, entries: List[Entry]) -> Arrays:
    """Return the user's inputs by the model's names and in its order.

    Raises WrongInputs where the number, a name, a dtype or a shape does not match.
    """
    names = [entry["name"] for entry in entries]
    if set(user_inputs) != set(names):
        _check_optionals(user_inputs, entries)
        _check_parts(user_inputs, entries)
    if len(user_inputs) != len(names):
        raise WrongInputs(f"got the inputs {', '.join(user_inputs)}; it has {', '.join(names)}")
    if set(user_inputs) != set(names) and len(names) > 1:
        unknown = sorted(set(user_inputs) - set(names))[0]
        matches = difflib.get_close_matches(unknown, names, n=1)
        hint = f"; did you mean '{matches[0]}'?" if matches else f"; it has {', '.join(names)}"
        raise WrongInputs(f"it has no input '{unknown}'{hint}")
    same_names = set(user_inputs) == set(names)
    named = user_inputs if same_names else dict(zip(names, user_inputs.values()))
    checked = {entry["name"]: _checked(named[entry["name"]], entry) for entry in entries}
    for entry in entries:
        if entry.get("distinct"):
            _check_map(entry, checked)
    return checked


def _check_optionals(user_inputs: Arrays, entries: List[Entry]) -> None:
    """Raise WrongInputs where an optional has no value: not every runtime can be told so."""
    for entry in entries:
        if entry.get("optional") and entry["name"] not in user_inputs and len(entries) > 1:
            raise WrongInputs(
                f"its input {entry.get('part_of', entry['name'])} is an optional, which deepmatrix "
                f"serves with a value only: give '{entry['name']}' too, as what it holds"
            )


def _check_parts(user_inputs: Arrays, entries: List[Entry]) -> None:
    """Raise WrongInputs where a part of a sequence or a map is missing."""
    for entry in entries:
        owner = entry.get("part_of")
        if owner is not None and entry["name"] not in user_inputs:
            raise WrongInputs(
                f"{owner} is a sequence or a map, given in parts: {values.part(owner, 0)}, "
                f"{values.part(owner, 1)}, ... without a gap, or {values.part(owner, values.KEYS)} "
                f"and {values.part(owner, values.VALUES)}; got {', '.join(user_inputs)}"
            )


def _check_map(entry: Entry, inputs: Arrays) -> None:
    """Raise WrongInputs unless a map has each of its keys once, and a value for each."""
    name, owner = entry["name"], entry["part_of"]
    keys, held = inputs[name], inputs[values.part(owner, values.VALUES)]
    if len(set(keys.tolist())) != len(keys):
        raise WrongInputs(f"{name} has a key twice: runtimes differ in which one counts")
    if len(keys) != len(held):
        raise WrongInputs(f"the map {owner} has {len(keys)} keys and {len(held)} values")


def _checked(array: "numpy.ndarray", entry: Entry) -> "numpy.ndarray":
    array = values.rounded(array, entry["dtype"])
    dtype = values.dtype_name(array)
    if dtype != (values.wider_dtype(entry["dtype"]) or entry["dtype"]):
        raise WrongInputs(f"the input {entry['name']} is {dtype}, it wants {entry['dtype']}")
    dims = entry["shape"]
    fits = len(dims) == array.ndim and all(
        isinstance(dim, str) or dim == size for dim, size in zip(dims, array.shape)
    )
    if not fits:
        wanted = ", ".join(map(str, dims))
        raise WrongInputs(f"the input {entry['name']} has the shape {array.shape}, not ({wanted})")
    return array


class Sampled(NamedTuple):
    """Sample inputs, and what a model gave for them.

    *result* is None where nothing could evaluate it; *failure* then says why. *remark* says what
    sizes it does not take although it declares them. *refusal*: why a runtime takes none of the
    sizes that were tried, where it might take others.
    """

    inputs: Arrays
    result: Any
    failure: str = ""
    remark: str = ""
    refusal: str = ""


class Refused(Exception):
    """A runtime does not take these sample inputs; the message is its own.

    *size_mismatches*: pairs of a size that it got and the size that it expects. *result*: what
    another evaluation gave for the inputs, or None; *failure*: why it gave nothing, with the node's
    name.
    """

    def __init__(
        self,
        message: str,
        size_mismatches: List[Tuple[int, int]],
        result: Any = None,
        failure: str = "",
    ) -> None:
        super().__init__(message)
        self.size_mismatches = size_mismatches
        self.result = result
        self.failure = failure


def evaluate_checked(
    user_inputs: Arrays, entries: List[Entry], evaluate: Callable[[Arrays], Any]
) -> Sampled:
    """Return the user's inputs, checked as `check_inputs` does, with what *evaluate* returns."""
    inputs = check_inputs(user_inputs, entries)
    try:
        return Sampled(inputs, evaluate(inputs))
    except NotEvaluated as error:
        return Sampled(inputs, None, failure=str(error))


class _Samples(NamedTuple):
    """Sample inputs of every size: *values_of* returns what they can hold, for sized inputs."""

    entries: List[Entry]
    sampling: Sampling
    values_of: Callable[[List[Entry]], Dict[str, Values]]

    def draw(self, first_dim: int, other_dims: int, known: Dict[Dim, int]) -> Arrays:
        sizes = _sizes(self.entries, first_dim, other_dims, known)
        sized = [
            dict(entry, shape=[sizes[dim] for dim in entry["shape"]]) for entry in self.entries
        ]
        legal = self.values_of(sized)
        return sample_inputs.sized(
            [dict(entry, values=legal.get(entry["name"])) for entry in sized], self.sampling
        )


def infer(
    user_inputs: Optional[Arrays],
    entries: List[Entry],
    sampling: Sampling,
    answer: Callable[[Arrays], Arrays],
) -> Tuple[Arrays, Arrays]:
    """Return inputs, the user's or samples, and what a runtime answers to them.

    A dimension has the size that the user requests. Raises BadModel as
    `sample_inputs.check_request` does and where no sample inputs worked, and the runtime's own
    error for the user's inputs.
    """

    def evaluate(inputs: Arrays) -> Arrays:
        try:
            return answer(inputs)
        except Exception as error:  # a runtime may raise anything
            lines = str(error).strip().splitlines() or [repr(error)]
            raise NotEvaluated(lines[-1][:300]) from error

    if user_inputs is not None:
        inputs = check_inputs(user_inputs, entries)
        return inputs, answer(inputs)
    sampled = sample_and_evaluate(_with_requested_sizes(entries, sampling), sampling, evaluate)
    if sampled.result is None:
        raise BadModel(f"no sample inputs worked; pass --inputs ({sampled.failure})")
    return sampled.inputs, sampled.result


def sample_and_evaluate(
    entries: List[Entry],
    sampling: Sampling,
    evaluate: Callable[[Arrays], Any],
    values_of: Callable[[List[Entry]], Dict[str, Values]] = lambda _: {},
    first_sizes: Sequence[Tuple[int, int]] = (),
) -> Sampled:
    """Return sample inputs with what *evaluate* returns for them; it raises NotEvaluated, Refused.

    The dynamic dimensions get the first of `DIM_SIZES` with which the model can be evaluated and is
    refused by nothing, or the first that can be evaluated, or the very first where there is none.
    Raises BadModel as `sample_inputs.sized` does.

    Args:
        entries: the inputs, with the sizes that a user requests.
        sampling: see the class.
        evaluate: returns the result for inputs.
        values_of: returns what inputs of a shape of sizes can hold, by name.
        first_sizes: what is tried before `DIM_SIZES`.
    """
    samples = _Samples(entries, sampling, values_of)
    is_dynamic = any(isinstance(dim, str) for entry in entries for dim in entry["shape"])
    failures: List[str] = []
    refused = None
    tried = (*first_sizes, *DIM_SIZES) if is_dynamic else DIM_SIZES[:1]
    for first_dim, other_dims in tried:
        known: Dict[Dim, int] = {}
        inputs = samples.draw(first_dim, other_dims, known)
        for _ in range(MAX_REQUESTS):
            try:
                result = evaluate(inputs)
            except NotEvaluated as error:
                failures.append(str(error))
                break
            except Refused as error:
                failures.append(str(error))
                refused = refused or _refused(inputs, entries, error)
                requested = _requested_sizes(entries, inputs, error.size_mismatches)
                if not requested.keys() - known.keys():
                    break
                known.update(requested)
                inputs = samples.draw(first_dim, other_dims, known)
                continue
            remark = ""
            if failures and (first_dim == 1 or 1 in _batches(entries, known)):
                remark = _refused_batch(samples, other_dims, known, evaluate)
            return Sampled(inputs, result, remark=remark)
    if refused is not None:
        return refused._replace(failure="" if refused.result else failures[0])
    return Sampled(samples.draw(*tried[0], known={}), None, failure=failures[0])


def _refused(inputs: Arrays, entries: List[Entry], error: Refused) -> Sampled:
    """Return samples that were refused; the refusal is not theirs where no others can be drawn."""
    is_free = any(
        isinstance(dim, str) or values.carrier(entry["dtype"]).kind != "f"
        for entry in entries
        for dim in (entry["shape"] or [1])
    )
    return Sampled(inputs, error.result, refusal=str(error) if is_free else "")


def _requested_sizes(
    entries: List[Entry], inputs: Arrays, mismatches: List[Tuple[int, int]]
) -> Dict[Dim, int]:
    """Return sizes for dynamic dimensions, from pairs of a size that a runtime got and expects.

    A dimension of the size that it got gets the expected one. Where there is none, an image was
    flattened, as a rule: its dimensions grow by the square root of what the elements have to.
    """
    dims = {
        (dim, axis): size
        for entry in entries
        for axis, (dim, size) in enumerate(zip(entry["shape"], inputs[entry["name"]].shape))
        if isinstance(dim, str)
    }
    wanted = dict(mismatches)
    sizes: Dict[Dim, int] = {dim: wanted[size] for (dim, _), size in dims.items() if size in wanted}
    for actual, expected in mismatches if not sizes else ():
        for (dim, axis), size in dims.items():
            grown = size * (expected / actual) ** 0.5
            if axis > 0 and grown == int(grown):
                sizes[dim] = int(grown)
    return sizes


def _batches(entries: List[Entry], known: Dict[Dim, int]) -> List[int]:
    """Return the sizes that a runtime requests of the batch."""
    return [
        known[dim]
        for entry in entries
        for axis, dim in enumerate(entry["shape"])
        if dim in known and _is_batch(entry["shape"], axis)
    ]


def _refused_batch(
    samples: _Samples,
    other_dims: int,
    known: Dict[Dim, int],
    evaluate: Callable[[Arrays], Any],
) -> str:
    """Return why a model that declares a dynamic batch does not take a batch of 2, or nothing."""
    try:
        rest = {dim: size for dim, size in known.items() if size != 1}
        evaluate(samples.draw(2, other_dims, rest))
    except NotEvaluated as error:
        reason = str(error)
    except Refused as error:
        reason = error.failure or str(error)
    else:
        return ""
    return f"the batch dimension is dynamic, but only batch 1 works: with 2, {reason}"


def _sizes(
    entries: List[Entry], first_dim: int, other_dims: int, known: Dict[Dim, int]
) -> Dict[Dim, int]:
    """Return the size of every dimension, a number or a name: a name has one size wherever it is.

    A name that begins a shape is the batch, unless an earlier input has it at another place; so is
    the second of three dimensions between sizes, which is how a recurrent layer has its state.
    Computed names come last, when those that they are computed of have a size.
    """
    sizes = dict(known)
    for is_computed in (False, True):
        for entry in entries:
            for axis, dim in enumerate(entry["shape"]):
                if bool(isinstance(dim, str) and EXPRESSION.fullmatch(dim)) == is_computed:
                    sizes[dim] = size_of(
                        dim, sizes, first_dim if _is_batch(entry["shape"], axis) else other_dims
                    )
    return sizes


def _is_batch(dims: List[Dim], axis: int) -> bool:
    is_state = len(dims) == 3 and isinstance(dims[0], int) and isinstance(dims[2], int)
    return axis == 0 or (axis == 1 and is_state and dims[0] != 1)


def as_float64(inputs: Arrays) -> Arrays:
    """Return the inputs with every float array as float64."""
    return {
        name: numpy.asarray(x, "float64") if x.dtype.kind == "f" else x
        for name, x in inputs.items()
    }
