"""Answer again: the same bits, other bits that a fresh load explains, or other bits at times."""

from typing import Any, Dict

import numpy

from harness import failures
from harness.adapters import Arrays
from harness.graphs.values import scale_of

#: A model counts as stateful if this many answers after a fresh load are the same.
SEQUENCE = 3

#: With more answers than this, as many are given with another number of threads too.
FEW = 3

#: That number.
THREADS = 2


def repeat(job: Any, first: Arrays, count: int) -> Dict[str, Any]:
    """Answer until there are *count* answers and return how they compare.

    Args:
        job: see `harness.phases.inference.ArtifactJob`.
        first: the first answer after the model was loaded.
        count: of all answers, at least 2.

    Returns:
        ``repeatable``: all have the same bits. ``stateful``: they differ, and after a fresh load
        they are those again, in their order. ``repeats``: by number of threads, see `_Answers`.
    """
    answers = _Answers(first)
    start = [first]
    for _ in range(count - 1):
        answer = job.answer()
        if len(start) < SEQUENCE:
            start.append(answer)
        answers.compare(answer)
    data: Dict[str, Any] = {"repeatable": not answers.different, "stateful": False}
    if answers.different:
        job.load_again()
        changes = any(not same_bits(first, later) for later in start)
        data["stateful"] = changes and all(same_bits(earlier, job.answer()) for earlier in start)
    data["repeats"] = {str(job.document["threads"]): answers.described()}
    if count > FEW and not data["stateful"]:
        _repeat_threaded(job, first, count, data)
    return data


def _repeat_threaded(job: Any, first: Arrays, count: int, data: Dict[str, Any]) -> None:
    """Add the answers with another number of threads, where the runtime can change it.

    ``threads_apart``: how far any of them is from the *first* answer, by output.
    """
    if job.document["threads"] == THREADS:
        return
    if _configure(job, THREADS):
        job.load_again()
        answer = job.answer()
        answers, apart = _Answers(answer), _Answers(first)
        apart.compare(answer)
        for _ in range(count - 1):
            answer = job.answer()
            answers.compare(answer)
            apart.compare(answer)
        data["repeats"][str(THREADS)] = dict(answers.described(), threads_apart=apart.largest)
        data["repeatable"] = data["repeatable"] and not answers.different
    _configure(job, job.document["threads"])
    job.load_again()


def _configure(job: Any, threads: int) -> bool:
    """Set the number of threads; return whether the runtime can do that once it has answered."""
    device, options = job.document["cell"]["device"], job.document.get("options", {})
    try:
        job.adapter.configure(device, threads, **options)
    except failures.CAUGHT:
        return False
    return True


class _Answers:
    """Counts the answers that differ from the first of them, and how far outputs differ."""

    def __init__(self, first: Arrays) -> None:
        self.first = first
        self.count, self.different = 1, 0
        self.largest: Dict[str, float] = {}

    def compare(self, answer: Arrays) -> None:
        self.count += 1
        if same_bits(self.first, answer):
            return
        self.different += 1
        for name, value in answer.items():
            error = difference(self.first.get(name), value)
            if error > self.largest.get(name, 0.0):
                self.largest[name] = error

    def described(self) -> Dict[str, Any]:
        """Return the numbers of answers and of different ones, and the differences by output."""
        return {"answers": self.count, "different": self.different, "largest": self.largest}


def difference(first: Any, second: Any) -> float:
    """Return the largest difference of two arrays over the scale of the first: see `scale_of`.

    It is 1 where they are not numbers of the same shape, or not finite at the same places.
    """
    if first is None:
        return 1.0
    first, second = numpy.asarray(first), numpy.asarray(second)
    if first.shape != second.shape or first.dtype.kind not in "fiub":
        return float(first.shape != second.shape or (first != second).any())
    first, second = first.astype("float64"), second.astype("float64")
    finite = numpy.isfinite(first)
    if (finite != numpy.isfinite(second)).any():
        return 1.0
    return float(numpy.abs(first[finite] - second[finite]).max(initial=0.0)) / scale_of(first)


def same_bits(first: Arrays, second: Arrays) -> bool:
    """Return whether two answers are equal in every bit; a NaN equals the same NaN."""
    return list(first) == list(second) and all(
        first[name].dtype == second[name].dtype and first[name].tobytes() == second[name].tobytes()
        for name in first
    )
