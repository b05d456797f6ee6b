"""Greedy generation by a model with a cache: the whole prompt first, then token by token.

The model does one step: beside its tokens it takes the keys and values of those before, and gives
those of all back. `harness/PROTOCOL.md` says the same for a runner in another language.
"""

from typing import Any, Dict, List, Tuple

import numpy

from harness.adapters import Arrays
from harness.measuring import timing

#: What tokens are, and what a cache holds.
TOKENS, CACHED = "int64", "float32"


class BadLogits(Exception):
    """No token can be chosen by these logits."""


def generate(job: Any) -> Dict[str, Any]:
    """Generate several times what the job's artifact says; return the entry for the record.

    Args:
        job: see `harness.phases.inference.ArtifactJob`.

    Returns:
        ``tokens`` and, one for each of them, ``runners_up``, ``margins`` and ``scales``, see
        `choose`; ``repeatable``: each time the tokens were the same; ``cache_bytes`` at the end;
        ``prefill_s``, and a list of ``step_s``, each time.
    """
    model, _ = job.model()
    described = job.document["artifact"]["generation"]
    with timing.quiet():
        times = [
            _generate_once(job.adapter.answer, model, described)
            for _ in range(job.document["infer"]["generations"])
        ]
    first = times[0]
    return dict(
        first["choices"],
        repeatable=all(run["choices"]["tokens"] == first["choices"]["tokens"] for run in times),
        cache_bytes=first["cache_bytes"],
        prefill_s=[run["seconds"][0] for run in times],
        step_s=[run["seconds"][1:] for run in times],
    )


def _generate_once(answer: Any, model: Any, described: Dict[str, Any]) -> Dict[str, Any]:
    """Return the choices by kind, the seconds of every call in order, and the cache's bytes."""
    fed = described["prompt"]
    cache = {entry["input"]: numpy.zeros(entry["shape"], CACHED) for entry in described["cache"]}
    choices: Dict[str, List[Any]] = {"tokens": [], "runners_up": [], "margins": [], "scales": []}
    seconds = []
    for _ in range(described["steps"]):
        inputs = {described["tokens"]: numpy.array([fed], TOKENS), **cache}
        answers, step_s = timing.timed(answer, model, inputs)
        seconds.append(step_s)
        logits, cache = _parts(answers, described)
        for kind, value in zip(choices, choose(logits)):
            choices[kind].append(value)
        fed = choices["tokens"][-1:]
    cache_bytes = sum(x.nbytes for x in cache.values())
    return {"choices": choices, "seconds": seconds, "cache_bytes": cache_bytes}


def _parts(answers: Arrays, described: Dict[str, Any]) -> Tuple[Any, Arrays]:
    """Return the logits, and the next step's cache by the names of its inputs.

    A format may have no names for outputs: then they are in this order. Raises ValueError where
    there are others.
    """
    names = [described["logits"]] + [entry["output"] for entry in described["cache"]]
    if set(answers) != set(names):
        if len(answers) != len(names):
            raise ValueError(
                "the model's outputs are {}; generation needs {}".format(
                    ", ".join(answers), ", ".join(names)
                )
            )
        answers = dict(zip(names, answers.values()))
    cache = {entry["input"]: answers[entry["output"]] for entry in described["cache"]}
    return answers[described["logits"]], cache


def choose(logits: Any) -> Tuple[int, int, float, float]:
    """Choose the token after the last position.

    Args:
        logits: (1, length, vocabulary), float32; at least two tokens.

    Returns:
        (the token with the largest logit, the first of equal ones; the one that comes second; how
        far the second's logit is below; the largest absolute logit).

    Raises BadLogits for others, or where one is not finite.
    """
    rows, length, vocabulary = logits.shape if logits.ndim == 3 else (0, 0, 0)
    if logits.dtype != "float32" or rows != 1 or length < 1 or vocabulary < 2:
        raise BadLogits("the logits are {} of {}".format(logits.dtype, logits.shape))
    last = logits[0, -1].astype("float64")
    if not numpy.isfinite(last).all():
        raise BadLogits("a logit is not finite")
    token = int(last.argmax())
    others = last.copy()
    others[token] = -numpy.inf
    second = int(others.argmax())
    return token, second, float(last[token] - last[second]), float(numpy.abs(last).max())
