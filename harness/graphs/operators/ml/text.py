"""Text: its normalisation, and its splitting into words as ONNX Runtime does it."""

import re
from typing import Any, Dict

import numpy

from harness.graphs.operators.base import ContribOperator, Operator
from harness.graphs.operators.ml.categories import plain
from harness.graphs.operators.ml.classical import given
from harness.graphs.precise import WIDE

#: What begins and ends a row of words, where that is marked.
_START, _END = "\x02", "\x03"


class StringNormalizer(Operator):
    """Stop words go, and letters change their case, one by one: accents stay."""

    op_domain = ""

    def _run(self, x, case_change_action="NONE", is_case_sensitive=0, locale=None, stopwords=None):
        del locale
        fold = str if is_case_sensitive else str.lower
        stops = {fold(word) for word in stopwords or []}
        words = [word for word in x.ravel().tolist() if fold(word) not in stops]
        change = {"LOWER": _lower, "UPPER": _upper}.get(case_change_action, str)
        changed = numpy.array([change(word) for word in words] or [""], object)
        return (changed.reshape((1, -1) if x.ndim == 2 else (-1,)),)


def _lower(word):
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in word)


def _upper(word):
    return "".join(letter.upper() if len(letter.upper()) == 1 else letter for letter in word)


class Tokenizer(ContribOperator):
    """Words between separators, those that an expression finds, or single letters."""

    def _run(self, x, mark=0, mincharnum=1, pad_value="", separators=None, tokenexp=None):
        rows = [
            [word for word in _split(text, given(separators), tokenexp) if len(word) >= mincharnum]
            for text in x.ravel().tolist()
        ]
        longest = max(map(len, rows), default=0)
        if mark and longest:
            rows = [[_START, *row, _END] for row in rows]
            longest += 2
        padded = numpy.full((len(rows), longest), pad_value, object)
        for place, row in enumerate(rows):
            padded[place, : len(row)] = row
        return (padded.reshape((*x.shape, longest)),)


def _split(text, separators, expression):
    if expression:
        return [match.group() for match in re.finditer(expression, text, re.ASCII)]
    if plain(separators) == [""]:
        return list(text)
    return [word for word in re.split("|".join(plain(separators)), text) if word]


class TfIdfVectorizer(Operator):
    """Counts of the n-grams of a pool, their presence, or their weights.

    An n-gram may skip the same number of elements, up to `max_skip_count`, between all its own.
    """

    op_domain = ""

    def __init__(self, onnx_node, run_params, schema=None):
        Operator.__init__(self, onnx_node, run_params, schema)
        self.dtype = "float64" if WIDE in run_params["opsets"] else "float32"

    def _run(self, x, mode="TF", max_skip_count=0, min_gram_length=1, max_gram_length=1, **pool):
        starts, elements = given(pool["ngram_counts"]), _pool(pool)
        column_of: Dict[Any, Any] = {}
        ends = [*starts[1:], len(elements)]
        for length, (start, end) in enumerate(zip(starts, ends), 1):
            for first in range(start, end, length):
                gram = tuple(elements[first : first + length])
                column_of[gram] = pool["ngram_indexes"][len(column_of)]
        lengths = range(min_gram_length, max_gram_length + 1)
        counts = numpy.zeros((len(numpy.atleast_2d(x)), max(pool["ngram_indexes"]) + 1))
        for row, values in enumerate(numpy.atleast_2d(x).tolist()):
            for gram in _grams(values, lengths, max_skip_count):
                if gram in column_of:
                    counts[row, column_of[gram]] += 1
        weights = numpy.ones(counts.shape[1])
        for place, weight in enumerate(given(pool.get("weights"))):
            weights[pool["ngram_indexes"][place]] = weight
        scores = {"TF": counts, "IDF": (counts > 0) * weights}.get(mode, counts * weights)
        return (scores.astype(self.dtype).reshape((*x.shape[:-1], -1)),)


def _pool(pool):
    return plain(given(pool.get("pool_strings"), pool.get("pool_int64s")))


def _grams(values, lengths, most_skipped):
    """Yield the n-grams of a row; a single element skips nothing."""
    for length in lengths:
        for step in range(1, most_skipped + 2) if length > 1 else [1]:
            for first in range(len(values) - (length - 1) * step):
                yield tuple(values[first : first + length * step : step])


OPERATORS = [StringNormalizer, TfIdfVectorizer, Tokenizer]
