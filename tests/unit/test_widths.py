"""Every table is legible at 80, 120 and 160 columns, with ids as long as real ones."""

from __future__ import annotations

import ast
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from deepmatrix.cli import plan_table
from deepmatrix.comparison.changes import (
    Comparison,
    OperatorChange,
    Side,
    SizeChange,
    TimeChange,
    VerdictChange,
)
from deepmatrix.comparison.history.lines import Measurement
from deepmatrix.comparison.history.series import Series, series
from deepmatrix.conformance.suite import Change, Conformity, Outcome
from deepmatrix.drawing import console as printing
from deepmatrix.drawing import fitting
from deepmatrix.drawing.layout import Column, Row, Table
from deepmatrix.reports import markdown, tables
from deepmatrix.reports.tables import comparison, conformance, history, result_tables
from deepmatrix.reports.tables.own_models import inputs, overview, quantisation, verification
from deepmatrix.reports.tables.study import claims, editions, ratings
from deepmatrix.reports.tables.study import packages as package_table
from deepmatrix.results import rows
from deepmatrix.results.precision.rows import QuantisedRow, SpeedRow
from deepmatrix.results.rows import Results
from deepmatrix.results.timing import rows as time_rows
from deepmatrix.results.timing.statistics import Bounded, Estimate
from deepmatrix.sizes import binary_size
from deepmatrix.study import statements
from deepmatrix.study.decisions import decide
from deepmatrix.study.rating import packages
from deepmatrix.study.rating.ratings import rate
from tests.unit import verifications
from tests.unit.examples import MATRIX, planned

WIDTHS = (80, 120, 160)

#: What a column needs to be read, unless its texts are shorter.
NARROWEST = 6

#: Titles that no literal tells, by the expression that makes them.
COMPUTED = {
    "TITLE": {overview.TITLE},
    "area.capitalize()": {area.capitalize() for area in statements.load().claims},
    "title": {"New failures", "Other verdicts", "Slower", "Faster", "Size", "Peak memory"},
}

PRODUCERS = (
    "caffe-debian11-amd64-cpu",
    "jax-debian12-amd64-cpu",
    "tensorflow-debian13-arm64-cpu",
    "tensorflow1-python37-amd64-cpu",
    "torch-debian12-amd64-cpu",
    "torch_edge-debian13-arm64-cpu",
)
CONSUMERS = ("onnxruntime_wine-debian13-amd64-cpu", "openvino_default-debian13-arm64-cpu")
WORKLOADS = ("digits-lstm", "googlenet-tiny")
FORMATS = ("executorch", "litert", "onnx", "saved-model", "torchscript", "torch-export")
REASON = (
    "startup: InvalidArgumentError: tensorflow.python.framework.errors_impl.InvalidArgumentError: "
    "no OpKernel was registered to support Op 'CudnnRNNV3' used by node bidirectional/forward_lstm"
)


def estimate(median: float) -> Estimate:
    return Estimate(median=median, low=median * 0.97, high=median * 1.04, samples=90, rounds=3)


def bounded(value: float) -> Bounded:
    return Bounded(value=value, low=value, high=value)


def cell_rows() -> list[rows.CellRow]:
    facts: dict[str, Any] = {
        "version": "2.12.0+cpu",
        "image_bytes": 1_234_000_000,
        "build_s": 312.0,
        "import_s": estimate(4.56),
        "peak_memory_bytes": 987_000_000,
        "memory_source": "cgroup2",
        "environment": {
            "blas": "OpenBLAS 0.3.31.188, core SkylakeX; MKL 2026.0.1",
            "processor": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
        },
        "jobs": 9,
        "expected_failures": 2,
    }
    cells = [
        rows.CellRow(
            cell=cell, name=cell.split("-")[0], status="ok", emulated="arm64" in cell, **facts
        )
        for cell in (*PRODUCERS, *CONSUMERS)
    ]
    absent = {"cell": "torch-debian12-amd64-cuda", "name": "torch", "status": "not-run"}
    return [
        *cells,
        cells[0].model_copy(update={"status": "failed", "reason": REASON}),
        rows.CellRow(**absent, reason="the engine has no NVIDIA runtime"),
    ]


def training_rows() -> list[rows.TrainingRow]:
    return [
        rows.TrainingRow(
            cell=cell,
            workload=workload,
            emulated="arm64" in cell,
            status="failed" if cell.startswith(("jax", "caffe")) else "ok",
            reason=REASON if cell.startswith("jax") else "",
            expected_failure="it has no such layer" if cell.startswith("caffe") else "",
            step_s=estimate(0.0123),
            samples_per_s=12_345.6,
            efficiency=0.431,
            accuracy=0.972,
            accuracy_wanted=0.9,
            output_error=1.2e-7,
            gradient_error=3.4e-6,
            loss_error=5.6e-7,
            loss_error_all=7.8e-5,
            precision="bfloat16" if cell == PRODUCERS[5] else "float32",
            float32_cell=PRODUCERS[4] if cell == PRODUCERS[5] else "",
        )
        for workload in WORKLOADS
        for cell in PRODUCERS
    ]


def startup_rows() -> list[time_rows.StartupRow]:
    parts = ("interpreter_s", "import_s", "build_s", "first_forward_s", "first_step_s")
    times: dict[str, Any] = {part: estimate(1.234) for part in (*parts, "second_step_s")}
    return [
        time_rows.StartupRow(
            cell=cell,
            workload="googlenet-tiny",
            emulated="arm64" in cell,
            cold_import_s=12.3,
            cold_read_bytes=456_000_000,
            **times,
        )
        for cell in PRODUCERS
    ]


def pass_rows() -> list[time_rows.PassRow]:
    return [
        time_rows.PassRow(
            cell=cell,
            workload=workload,
            emulated="arm64" in cell,
            batch=128,
            forward_s=estimate(0.213),
            backward_s=estimate(0.654),
            forward_efficiency=0.612,
            backward_efficiency=0.598,
        )
        for workload in ("alexnet-imagenet", "googlenet-imagenet")
        for cell in PRODUCERS
    ]


def execution_rows() -> dict[str, Any]:
    common = {"workload": "transformer-length", "emulated": False}
    compiled = [
        time_rows.CompileRow(
            **common,
            cell=cell,
            execution=execution,
            library="tensorflow",
            forward_s=estimate(1.23),
            step_s=estimate(23.4),
            told_forward_s=estimate(0.9),
            told_step_s=estimate(20.1),
        )
        for cell, execution in zip(PRODUCERS, ("eager", "compiled"), strict=False)
    ]
    line = {"fixed_s": estimate(1e-4), "each_s": estimate(1e-5), "half": estimate(10.0)}
    crossed = [
        time_rows.CrossoverRow(
            **common,
            **line,
            cell=cell,
            subject="transformer-length",
            measured="training step",
            over=over,
            batch=batch,
            misfit=0.123,
            times=tuple((2**place, 1.23e-4 * 2**place) for place in range(8)),
        )
        for cell in PRODUCERS
        for over, batch in (("batch", None), ("length", 128))
    ]
    scaled = [
        time_rows.ScalingRow(
            **common,
            cell=cell,
            beside=cell,
            subject="transformer-length",
            measured="training step",
            batch=128,
            threads=2,
            beside_threads=1,
            time_s=estimate(0.0123),
            beside_s=estimate(0.0234),
            speedup=1.9,
            low=1.87,
            high=1.93,
        )
        for cell in PRODUCERS
    ]
    return {
        "compilation": tuple(compiled),
        "crossovers": tuple(crossed),
        "scaling": tuple(scaled),
    }


def expressiveness_rows() -> dict[str, Any]:
    idioms = [
        rows.IdiomRow(
            cell=cell,
            workload=workload,
            emulated="arm64" in cell,
            status="failed" if cell.startswith("jax") else "ok",
            reason=REASON if cell.startswith("jax") else "",
            expected_failure="its pooling differs" if cell.startswith("caffe") else "",
            lines=34,
            error=1.2e-7,
        )
        for workload in WORKLOADS
        for cell in PRODUCERS
    ]
    probes = [
        rows.ProbeRow(
            cell=cell,
            probe=probe,
            workload="digits-conv",
            emulated="arm64" in cell,
            verdict="failed" if cell.startswith("caffe") else "match",
            error=1.2e-7,
            reason=REASON,
        )
        for probe in ("data_dependent_loop_gradient", "attention")
        for cell in PRODUCERS
    ]
    facts = [
        rows.FactRow(
            cell=cell,
            fact="layers_have_functions_for_gpu",
            workload="digits-conv",
            holds=cell.startswith("caffe"),
            evidence=f"47 of 57 layers have a Forward_gpu; {REASON}",
        )
        for cell in PRODUCERS
    ]
    note = rows.NoteRow(name="tensorflow", about="batch_norm", note=f"momentum is 0.1; {REASON}")
    return {
        "idioms": tuple(idioms),
        "probes": tuple(probes),
        "facts": tuple(facts),
        "notes": (note,),
    }


def artifact_ids() -> list[str]:
    return [
        f"{cell}--{workload}--{'saved-model' if cell.startswith('tensorflow') else 'onnx'}"
        for cell in PRODUCERS
        for workload in WORKLOADS
    ]


def serving_rows() -> dict[str, Any]:
    pairs = [(artifact, consumer) for artifact in artifact_ids() for consumer in CONSUMERS]
    common = [
        {
            "cell": consumer,
            "subject": artifact,
            "workload": artifact.split("--")[1],
            "emulated": "arm64" in consumer,
        }
        for artifact, consumer in pairs
    ]
    inference = [
        time_rows.InferenceRow(
            **facts,
            batch=batch,
            p50_s=estimate(0.00123 * batch),
            p90_s=bounded(0.00133 * batch),
            p99_s=bounded(0.00143 * batch),
            samples_per_s=23_456.7,
            efficiency=0.321,
        )
        for facts in common
        for batch in (1, 8, 32)
    ]
    serving = [
        time_rows.ServingRow(
            **facts, start_s=estimate(1.23), load_s=estimate(0.2), first_forward_s=estimate(0.01)
        )
        for facts in common
    ]
    scenarios = [
        time_rows.ScenarioRow(
            **facts,
            scenario="SingleStream",
            valid=True,
            samples_per_s=1234.5,
            p90_s=0.0012,
            p99_s=0.0013,
            bound_s=0.012,
        )
        for facts in common
    ]
    generation = [
        time_rows.GenerationRow(
            **{("artifact" if name == "subject" else name): fact for name, fact in facts.items()},
            prompt=64,
            steps=128,
            equal=127,
            near_tie="near tie",
            prefill_tokens_per_s=123_456.7,
            step_s=estimate(0.00123),
            decode_tokens_per_s=1234.5,
            cache_bytes=123_456_000,
        )
        for facts in common
    ]
    return {
        "inference": tuple(inference),
        "generation": tuple(generation),
        "serving": tuple(serving),
        "scenarios": tuple(scenarios),
    }


def quantised_rows() -> list[QuantisedRow]:
    return [
        QuantisedRow(
            artifact=f"{PRODUCERS[2]}--{WORKLOADS[1]}--onnx-int8-nncf",
            original=f"{PRODUCERS[2]}--{WORKLOADS[1]}--onnx",
            consumer=consumer,
            emulated="arm64" in consumer,
            verdict="drift" if "arm64" in consumer else "match",
            expected_failure="rounding" if "arm64" in consumer else "",
            original_accuracy=0.9666,
            accuracy=0.9194,
            lost=0.0472,
            speed=(
                SpeedRow(batch=1, ratio=1.22, low=1.19, high=1.26, direction="slower"),
                SpeedRow(batch=32, ratio=1.03, low=0.73, high=1.46, direction="cannot tell"),
            ),
            bytes=20_602,
            original_bytes=30_627,
        )
        for consumer in CONSUMERS
    ]


def portability_rows() -> list[rows.PortabilityRow]:
    return [
        rows.PortabilityRow(
            artifact=artifact,
            consumer=consumer,
            emulated="arm64" in consumer,
            verdict="error" if artifact.startswith("tensorflow") else "match",
            error=1.2e-7,
            precision="bfloat16" if consumer.startswith("openvino") else "float32",
            producer_error=1e-7,
            reason=REASON if artifact.startswith("tensorflow") else "",
            expected_failure="it has no such layer" if artifact.startswith("tensorflow1") else "",
        )
        for artifact in artifact_ids()
        for consumer in CONSUMERS
    ]


def whole_results() -> Results:
    """Return results in which every table has rows, with ids and reasons as long as real ones."""
    exports = [
        time_rows.ExportRow(
            cell=cell,
            workload=workload,
            format=format_name,
            emulated="arm64" in cell,
            bytes=123_456_000,
            export_s=12.34,
            exporter=f"{format_name} exporter 1.17.0",
        )
        for cell in PRODUCERS
        for workload in WORKLOADS
        for format_name in FORMATS
    ]
    return Results(
        run="20261126-nightly",
        created="2026-11-26T12:00:00",
        version="0.1.0",
        preset="default",
        seed=0,
        engines={"docker": {"engine": "docker"}},
        cells=tuple(cell_rows()),
        startup=tuple(startup_rows()),
        training=tuple(training_rows()),
        passes=tuple(pass_rows()),
        exports=tuple(exports),
        portability=tuple(portability_rows()),
        quantised=tuple(quantised_rows()),
        findings=(),
        warnings=(),
        problems=(),
        reused={"20261125-nightly": tuple(f"{cell}--{WORKLOADS[0]}--r0" for cell in PRODUCERS)},
        earlier="20261125-nightly",
        slower=(
            time_rows.SlowerRow(
                cell=CONSUMERS[0],
                time=f"inference of {artifact_ids()[0]}, batch 32",
                base_s=0.00123,
                head_s=0.00234,
                ratio=1.9,
                low=1.8,
                high=2.0,
            ),
        ),
        anew={"files of artifact changed": (f"{cell_rows()[0].cell}--{WORKLOADS[0]}--r1",)},
        **expressiveness_rows(),
        **execution_rows(),
        **serving_rows(),
    )


def conformance_tables() -> list[Table]:
    conformity = Conformity(
        cell="onnxruntime_wine-debian13-amd64-cpu",
        suite="onnx 1.23.2",
        versions={"onnxruntime": "1.24.0", "numpy": "2.4.6"},
        passed=1234,
        failed={
            "test_sequence_map_identity_1_sequence_1_tensor": Outcome(
                ending="error", kind="InvalidArgumentError", reason=REASON
            )
        },
        skipped={},
    )
    changes = {conformity.cell: Change(worse=conformity.failed, better=[])}
    return list(conformance.tables([conformity], changes))


def compared() -> Comparison:
    """Return a comparison with a line of each kind."""
    cell, subject = CONSUMERS[0], f"{PRODUCERS[3]}--{WORKLOADS[1]}--onnx"
    verdicts = {"kind": "serving", "cell": cell, "subject": subject, "reason": REASON}
    drift = VerdictChange(
        **verdicts,
        base="match",
        head="match",
        base_error=1.2e-7,
        head_error=1.2e-6,
        tolerance=2.3e-6,
        growth=10.0,
    )
    times = [
        TimeChange(
            cell=cell,
            quantity="forward and backward",
            subject=subject,
            batch=32,
            base_s=1.2e-3,
            head_s=ratio * 1.2e-3,
            rounds=(3, 3),
            ratio=ratio,
            low=ratio - 0.02,
            high=ratio + 0.02,
            p=0.0012,
            word=word,
            operators=(OperatorChange(kind="FusedMatMul", base_s=None, head_s=1.3e-4),),
        )
        for word, ratio in (("slower", 1.1), ("faster", 0.9))
    ]
    sizes = [
        SizeChange(quantity=quantity, cell=cell, subject=subject, base=10**9, head=2 * 10**9)
        for quantity in ("image", "memory")
    ]
    return Comparison(
        base=Side(name="monday"),
        head=Side(name="tuesday"),
        failures=(VerdictChange(**verdicts, base="match", head="error"),),
        changes=(VerdictChange(**verdicts, base="drift", head="match"),),
        drifts=(drift,),
        times=tuple(times),
        sizes=tuple(sizes),
    )


def history_series() -> list[Series]:
    cell, subject = CONSUMERS[0], f"{PRODUCERS[2]}--{WORKLOADS[1]}--onnx"
    lines = [
        Measurement(
            run=f"run{run}",
            created=f"2026-01-{run + 1:02}T00:00:00+00:00",
            version="0.1.0",
            series=f"{cell}/{subject}/{quantity}",
            cell=cell,
            subject=subject,
            quantity=quantity,
            unit="s",
            value=value,
        )
        for quantity, value in (("inference", 1.2345e-5), ("training", 1234.5))
        for run in range(3)
    ]
    return series(lines)


def all_tables() -> list[Table]:
    return [
        history.table(history_series()),
        *result_tables(whole_results()),
        verification.consumers(verifications.results(), verifications.MODEL),
        verification.outputs(verifications.results(), verifications.MODEL),
        verification.nodes(verifications.results()),
        inputs.table(verifications.MODEL),
        overview.verdicts(verifications.two_models(), narrow=True),
        quantisation.costs(verifications.quantised()),
        *claims.tables(decide(statements.load(), [whole_results()], MATRIX)),
        *editions.tables(statements.load()),
        *ratings.tables(rate([whole_results()], MATRIX, packages.load())),
        package_table.table(packages.load(), [whole_results()]),
        *conformance_tables(),
        plan_table.table(planned(), "docker"),
        *comparison.tables(compared()),
    ]


TABLES = all_tables()
TITLES = [table.title for table in TABLES]


def printed(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    printing.print_table(console, table)
    return console.file.getvalue()  # type: ignore[attr-defined]


#: The columns that hold a ratio of times or of sizes.
RATIOS = ("change", "last change", "slowdown", "speed-up", "time")

#: A ratio, with its interval where it has one; or what is there instead.
RATIO = r"[\d,]+\.\d+×(\s\[[\d.,]+,\s[\d.,]+\])?|over 10,000×|cannot tell|one round|emulated|–|"


def test_all_tables_write_a_ratio_in_one_way() -> None:
    ratios = [
        (table.title, row.texts[at])
        for table in TABLES
        for at, column in enumerate(table.columns)
        if column.numeric and column.title.partition(",")[0] in RATIOS
        for row in table.rows
    ]
    assert {title for title, text in ratios if "×" in text} >= {"Scaling", "Size", "Slower"}
    assert [pair for pair in ratios if not re.fullmatch(RATIO, pair[1])] == []


def plain_spaces(text: str) -> str:
    """Return a text with one plain space between its words."""
    return " ".join(text.split())


def declared_titles() -> Iterator[tuple[str, str]]:
    """Yield place and pattern of the title of every table that the rooms of tables make."""
    for path in sorted(Path(tables.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Table":
                (title,) = (word.value for word in node.keywords if word.arg == "title")
                yield f"{path.stem}:{node.lineno}", title_pattern(title)


def title_pattern(title: ast.expr) -> str:
    match title:
        case ast.Constant(value=text):
            return re.escape(text)
        case ast.JoinedStr(values=parts):
            literals = (part.value if isinstance(part, ast.Constant) else None for part in parts)
            return "".join(".+" if text is None else re.escape(text) for text in literals)
    return f"({'|'.join(sorted(COMPUTED[ast.unparse(title)]))})"


@pytest.mark.parametrize(("place", "pattern"), list(declared_titles()))
def test_the_fixture_has_every_table(place: str, pattern: str) -> None:
    assert any(re.fullmatch(pattern, title) for title in TITLES), place


def test_the_declared_tables_are_found() -> None:
    patterns = {pattern for _, pattern in declared_titles()}
    assert len(patterns) > 20
    assert {"Cells", "Inputs\\ of\\ .+", "Cost\\ of\\ quantisation"} <= patterns


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", TABLES, ids=TITLES)
def test_no_line_is_longer_than_the_console(table: Table, width: int) -> None:
    lines = printed(table, width).splitlines()
    assert max(cell_len(line.rstrip()) for line in lines) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", TABLES, ids=TITLES)
def test_every_column_is_wide_enough_or_left_out_by_name(table: Table, width: int) -> None:
    fit = fitting.fit(table, width)
    text = plain_spaces(printed(table, width))
    if fit is None:  # a listing: every key is there, and what each line holds
        titles = [column.title for column in table.columns if not column.key]
        assert all(plain_spaces(title) in text for title in titles)
        return
    for index, column_width in zip(fit.shown, fit.widths, strict=True):
        widest = max(cell_len(row.texts[index]) for row in table.rows)
        assert column_width >= min(widest, NARROWEST)
    left_out = text.partition("on a wider console: ")[2].removesuffix(".").split("; ")
    assert left_out == ([plain_spaces(name) for name in fit.left_out] or [""])
    letters = "".join(text.split())  # a long word may be broken
    for index in fit.below:
        assert all("".join(row.texts[index].split()) in letters for row in table.rows)
    assert len(fit.shown) + len(fit.below) + len(fit.left_out) == len(table.columns)
    assert all(index in fit.shown for index, column in enumerate(table.columns) if column.key)
    hidden = {column.note for column in table.columns if column.title in fit.left_out}
    hidden -= {table.columns[index].note for index in fit.shown} | {""}
    assert not any(plain_spaces(note) in text for note in hidden)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", TABLES, ids=TITLES)
def test_ids_break_only_at_hyphens_and_numbers_never(table: Table, width: int) -> None:
    fit = fitting.fit(table, width)
    if fit is None:
        return
    for index, column_width in zip(fit.shown, fit.widths, strict=True):
        numeric = table.columns[index].numeric
        for row in table.rows:
            lines = fitting.wrap(row.texts[index], column_width, numeric=numeric).split("\n")
            for before, after in itertools.pairwise(lines):
                joined = f"{before}{after}"
                if joined in row.texts[index]:  # no space was there
                    longest = max(map(len, re.split(r"[\s/-]+", row.texts[index])))
                    assert before[-1] in "-/." or longest > fitting.LONGEST_PIECE
            if numeric:
                numbers = re.findall(r"[\d.,e-]*\d", row.texts[index])
                assert all(number in "\n".join(lines) for number in numbers)


def broken_ids(table: Table, width: int) -> set[str]:
    """Return the words of key columns that a grid of this width breaks; a listing breaks none."""
    fit = fitting.fit(table, width)
    if fit is None:
        return set()
    keys = [
        (index, column_width)
        for index, column_width in zip(fit.shown, fit.widths, strict=True)
        if table.columns[index].key
    ]
    return {
        word
        for row in table.rows
        for index, column_width in keys
        for word in row.texts[index].split()
        if word not in fitting.wrap(row.texts[index], column_width).split()
    }


def without_optional_columns(table: Table) -> Table:
    return table.with_columns(
        [index for index, column in enumerate(table.columns) if not column.optional]
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", TABLES, ids=TITLES)
def test_an_id_is_broken_only_where_leaving_columns_out_does_not_help(
    table: Table, width: int
) -> None:
    if broken_ids(table, width):
        assert broken_ids(without_optional_columns(table), width)


def test_the_ids_of_trainings_are_whole_at_120_columns_and_the_status_is_there() -> None:
    text = printed(TABLES[TITLES.index("Training")], 120)
    assert all(producer in text for producer in PRODUCERS)
    assert all(workload in text for workload in WORKLOADS)
    assert "failed: expected failure" in text


def test_a_word_that_fits_on_a_line_is_not_broken() -> None:
    assert fitting.wrap("onnx of torch-debian12-amd64-cpu", 25).split("\n") == [
        "onnx of",
        "torch-debian12-amd64-cpu",
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_number_of_a_batch_is_on_the_line_of_its_word(width: int) -> None:
    inference_tables = [table for table in TABLES if table.title.startswith("Inference")]
    assert inference_tables
    for table in inference_tables:
        header = printed(table, width).split("p50: the median")[0]
        assert "batch\N{NO-BREAK SPACE}1" in header
        assert not re.search(r"\bbatch *($|  )", header, re.MULTILINE)


def test_a_report_in_markdown_has_plain_spaces_only() -> None:
    page = markdown.document(whole_results())
    assert "| p50, batch 32 |" in page
    assert "\N{NO-BREAK SPACE}" not in page


@pytest.mark.parametrize(
    ("count", "text"),
    [(512, "512 bytes"), (1010 << 20, "1010 MiB"), (5 << 29, "2.5 GiB"), (200 << 20, "200 MiB")],
)
def test_a_binary_size_is_written_without_an_exponent(count: int, text: str) -> None:
    assert binary_size(count) == text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_exports_are_one_table_or_a_block_a_cell(width: int) -> None:
    """One letter on a line at 120 columns is how this table once was."""
    text = printed(TABLES[TITLES.index("Exports")], width)
    assert "123 MB" in text
    assert all(part in text for format_name in FORMATS for part in format_name.split("-"))
    assert not re.search(r"^\s*\S\s*$", text, re.MULTILINE)


def test_a_listing_leaves_out_what_is_empty() -> None:
    columns = (Column("cell", key=True), *(Column(f"number {i}", numeric=True) for i in range(9)))
    texts = ("torch", "1.23 ms", *["–"] * 7, "")
    table = Table(title="T", columns=columns, rows=(Row(texts=texts, moods=("plain",) * 10),))
    assert [line.split() for line in printed(table, 40).splitlines()] == [
        ["T"],
        ["torch"],
        ["number", "0", "1.23", "ms"],
    ]


def test_the_least_important_columns_are_left_out_first() -> None:
    columns = (
        Column("cell", key=True),
        Column("last", optional=1),
        Column("first", optional=3),
        Column("second", optional=2),
    )
    row = Row(texts=("a" * 10,) * 4, moods=("plain",) * 4)
    table = Table(title="T", columns=columns, rows=(row,))
    for width, names in ((46, ()), (45, ("first",)), (33, ("first", "second"))):
        fit = fitting.fit(table, width)
        assert fit is not None
        assert fit.left_out == names


def test_a_name_that_is_too_long_breaks_after_an_underscore() -> None:
    assert fitting.wrap("test_sequence_map_identity_1", 16).split("\n") == [
        "test_sequence_",
        "map_identity_1",
    ]


@given(st.text(alphabet="ab1-_/. ,[]é字", max_size=60), st.integers(2, 30), st.booleans())
def test_wrapping_loses_nothing_and_keeps_the_width(text: str, width: int, numeric: bool) -> None:
    wrapped = fitting.wrap(text, width, numeric=numeric)
    assert all(cell_len(line) <= width for line in wrapped.split("\n"))
    assert re.sub(r"\s", "", wrapped) == re.sub(r"\s", "", text)
