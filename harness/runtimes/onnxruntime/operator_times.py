"""The time of each kind of operator, from the profile that ONNX Runtime writes."""

import json
from typing import Any, Dict, List

#: So many answers at least come before those that count.
WARMUP = 3


def read(path: str) -> Dict[str, float]:
    """Return the seconds of an answer by kind of operator, typical of the answers of a profile.

    What a loop or a branch holds is counted for itself and in its loop or branch.
    """
    with open(path) as source:
        answers = _answers(json.load(source))[WARMUP:]
    kinds = sorted({kind for answer in answers for kind in answer})
    return {kind: _typical([answer.get(kind, 0.0) for answer in answers]) for kind in kinds}


def _typical(values: List[float]) -> float:
    """Return the mean of the middle half: a profile has whole microseconds, and some odd answers.

    A median would be as coarse as its clock; a mean of all would be that of the odd ones.
    """
    cut = len(values) // 4
    kept = sorted(values)[cut : len(values) - cut]
    return sum(kept) / len(kept)


def _answers(events: List[Dict[str, Any]]) -> List[Dict[str, float]]:
    """Return the seconds by kind of operator of each answer: its event comes after its nodes'."""
    answers: List[Dict[str, float]] = []
    current: Dict[str, float] = {}
    for event in events:
        if event["cat"] == "Session" and event["name"] == "model_run":
            answers.append(current)
            current = {}
        elif event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            kind = event["args"]["op_name"]
            current[kind] = current.get(kind, 0.0) + event["dur"] * 1e-6
    return answers
