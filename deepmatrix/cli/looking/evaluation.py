"""``evaluation``: the study anew, from runs: ratings, their inputs, statements, its own table."""

from __future__ import annotations

import argparse

from deepmatrix.cli import starting
from deepmatrix.cli.looking import claims
from deepmatrix.reports.tables.study import evaluation
from deepmatrix.reports.tables.study.sources import about_run
from deepmatrix.study import decisions, statements
from deepmatrix.study.rating import packages, ratings

#: The title of the tables.
TITLE = "Evaluation of deep learning toolkits"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    claims.add_options(parser)


def run(options: argparse.Namespace) -> None:
    """Rate the study's systems then and now by some runs, with its statements and its table."""
    document = statements.load(options.claims)
    runs = claims.open_runs(options)
    results = claims.merged(runs, options)
    matrix = starting.load_matrix(options)
    listed = packages.load()
    rated = ratings.rate(results, matrix, listed)
    decided = decisions.decide(document, results, matrix)
    tables = evaluation.tables(rated, decided, results, listed)
    claims.show(options, tables, evaluation.brief(rated, decided), decided)
    about = map(about_run, results)
    claims.write(options, TITLE, tables, runs, about)
