"""Results of a verification, with every kind of line and ids as long as real ones."""

from __future__ import annotations

from typing import Any

from deepmatrix.results import rows
from deepmatrix.results.precision.rows import CostRow
from deepmatrix.results.timing import rows as time_rows
from deepmatrix.results.timing.statistics import Bounded, Estimate
from deepmatrix.store.causes import Cause, NodeError
from deepmatrix.store.records import Deviation
from deepmatrix.store.reported.output import ModelInput

INSPECTOR = "onnx-debian12-amd64-cpu"
ARTIFACT = f"{INSPECTOR}--resnet50--onnx"
MODEL = rows.ModelRow(
    name="resnet50",
    format="onnx",
    artifact=ARTIFACT,
    source="models/resnet50/model.onnx",
    inspector=INSPECTOR,
    evaluator=True,
    judged_by={"logits": "float64 evaluation", "embedding": "float64 evaluation"},
    inputs=(
        ModelInput(
            name="pixel_values_of_the_image",
            dtype="float32",
            shape=(1, 3, 224, 224),
            low=-2.118,
            high=2.64,
            sampled=True,
            values="counts of a Shape: from 0 to 1 less than the size of the axis it indexes",
        ),
        ModelInput(name="attention_mask", dtype="int64", shape=(1, 512), sampled=False),
    ),
)

#: Verdict, error, precision and reason, by consumer.
VERDICTS: dict[str, tuple[str, float | None, str, str]] = {
    "onnxruntime-debian12-amd64-cpu": ("match", 1.2e-7, "float32", ""),
    "onnxruntime-debian13-arm64-cpu": ("match", 2.9e-7, "float32", ""),
    "onnxruntime-cpp-debian13-amd64-cpu": ("match", 1.2e-7, "float32", ""),
    "onnxruntime-node-debian13-amd64-cpu": ("match", 1.2e-7, "float32", ""),
    "onnxruntime-node_wine-debian13-amd64-cpu": ("match", 1.2e-7, "float32", ""),
    "onnxruntime-web-debian13-amd64-cpu": (
        "unsupported",
        None,
        "float32",
        "startup: Unsupported: operators that it does not know: FusedMatMul of com.microsoft",
    ),
    "openvino-debian12-amd64-cpu": ("match", 8.6e-7, "float32", ""),
    "openvino_default-debian12-amd64-cpu": ("match", 4.2e-3, "bfloat16", ""),
    "openvino_default-debian13-arm64-cpu": (
        "drift",
        6.1e-2,
        "float16",
        "output logits: error 6.1e-02 is above 2.0e-02",
    ),
    "opencv-debian12-amd64-cpu": ("not-run", None, "float32", "the job has not run"),
    INSPECTOR: ("match", 1.1e-7, "float32", ""),
}

#: Versions of runtimes, as long as real ones, by the name of the system.
VERSIONS = {"openvino": "2026.3.0", "openvino_default": "2026.3.0", "onnx": "1.23.2"}

CAUSE = Cause(
    artifact=ARTIFACT,
    consumer="openvino_default-debian13-arm64-cpu",
    kind="runtime",
    node="layer4.2.conv3",
    alone=True,
    text="Conv 'layer4.2.conv3' is the first node outside tolerance: its error is 5.9e-02, "
    "tolerance 2.0e-02; all its inputs are right; run alone it is wrong too",
    reproduce="nox -s verify -- causes/model.onnx",
)


def deviations(error: float | None) -> tuple[Deviation, ...]:
    if error is None:
        return ()
    cosine = 1 - error**2
    common: dict[str, Any] = {"top1": 0.972 if error > 1e-2 else 1.0, "cosine": cosine}
    return (
        Deviation(name="logits", error=error, **common),
        Deviation(name="embedding", error=error / 3, **common),
    )


def judged(consumer: str) -> rows.PortabilityRow:
    verdict, error, precision, reason = VERDICTS[consumer]
    return rows.PortabilityRow(
        artifact=ARTIFACT,
        model="resnet50",
        consumer=consumer,
        judges=consumer == INSPECTOR,
        emulated="arm64" in consumer,
        verdict=verdict,
        error=error,
        tolerance={"float32": 1e-6}.get(precision, 2e-2) if error else None,
        basis="16 times the model's rounding error"
        if precision == "float32"
        else f"tolerance of {precision}",
        precision=precision,
        producer_error=1e-7,
        reason=reason,
        failed_phase="startup" if verdict == "unsupported" else "",
        error_type="Unsupported" if verdict == "unsupported" else "",
        message=reason.rsplit("Unsupported: ", 1)[1] if verdict == "unsupported" else "",
        outputs=deviations(error),
        cause=CAUSE if verdict == "drift" else None,
    )


def inference(consumer: str) -> time_rows.InferenceRow:
    bounded = Bounded(value=0.0014, low=0.0014, high=0.0014)
    return time_rows.InferenceRow(
        cell=consumer,
        subject=ARTIFACT,
        workload="resnet50",
        emulated="arm64" in consumer,
        batch=1,
        p50_s=Estimate(median=0.00123, low=0.0012, high=0.0013, samples=20, rounds=1),
        p90_s=bounded,
        p99_s=bounded,
        samples_per_s=813.0,
    )


def nodes() -> rows.NodesRow:
    largest = tuple(
        NodeError(
            node=f"/layer4/layer4.{at}/conv3/Conv",
            kind="Conv",
            tensor=f"conv{at}",
            error=10.0 ** (at - 5),
            added=10.0 ** (at - 6),
            tolerance=2e-2,
        )
        for at in range(5)
    )
    consumer = "openvino_default-debian13-arm64-cpu"
    return rows.NodesRow(
        artifact=ARTIFACT,
        model="resnet50",
        consumer=consumer,
        file=f"nodes/{consumer}.json",
        count=122,
        largest=largest,
        note="60 of 122 tensors: measure the others with --explain all",
    )


def cost(output: str) -> CostRow:
    flips = tuple(range(3, 1000, 97)) if output == "logits" else None
    return CostRow(
        artifact=f"{INSPECTOR}--resnet50_int8_per_channel--onnx",
        model="resnet50_int8_per_channel",
        original=ARTIFACT,
        output=output,
        error=0.0123,
        snr_db=41.2,
        rows=1000,
        flips=flips,
        margins=tuple(0.0123 for _ in flips or ()),
    )


def quantised() -> rows.Results:
    """Return the results of a model that was quantised, with what that costs."""
    costs = tuple(map(cost, ("logits", "embedding")))
    return results().model_copy(update={"costs": costs})


def results(*consumers: str) -> rows.Results:
    """Return the results of some consumers, all by default."""
    chosen = consumers or tuple(VERDICTS)
    by = {"openvino_default-debian12-amd64-cpu", "openvino_default-debian13-arm64-cpu"}
    cells = tuple(
        rows.CellRow(
            cell=cell,
            name=cell.split("-")[0],
            status="ok",
            version=VERSIONS.get(cell.split("-")[0], "1.24.0"),
            emulated="arm64" in cell,
            evaluator=cell == INSPECTOR,
            float32_by="INFERENCE_PRECISION_HINT=f32" if cell in by else "",
            image_bytes=123_000_000,
            jobs=1,
        )
        for cell in chosen
    )
    served = [cell for cell in chosen if cell != INSPECTOR and VERDICTS[cell][1] is not None]
    return rows.Results(
        run="20261126-verify",
        created="2026-11-26T12:00:00",
        version="0.1.0",
        preset="default",
        seed=0,
        engines={"docker": {"engine": "docker"}},
        cells=cells,
        startup=(),
        training=(),
        passes=(),
        idioms=(),
        probes=(),
        notes=(),
        inference=tuple(map(inference, served)),
        serving=(),
        exports=(),
        models=(MODEL,),
        portability=tuple(map(judged, chosen)),
        nodes=(nodes(),) if not consumers else (),
        findings=(),
        warnings=(),
        problems=(),
    )


def two_models(*consumers: str) -> rows.Results:
    """Return the results of two models: one drifts as `results` has it, one matches."""
    run = results(*consumers)
    twin = MODEL.model_copy(
        update={"name": "vit", "artifact": "a--vit--onnx", "source": "vit.onnx"}
    )
    right = [
        row.model_copy(update={"artifact": twin.artifact, "model": "vit", "verdict": "match"})
        for row in run.portability
    ]
    return run.model_copy(
        update={"models": (MODEL, twin), "portability": (*run.portability, *right)}
    )
