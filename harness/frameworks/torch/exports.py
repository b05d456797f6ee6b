"""The formats that torch exports to. Each function takes the model, an example and a path.

Import this module after torch only.
"""

import os
import shutil
import tempfile

import torch

import harness.adapters as protocol

#: The largest batch of an ExecuTorch program, which plans its memory ahead.
MOST_ROWS = 1024

#: Rows of its example: below 16, torch chooses convolutions that work for fewer than 16 only.
FEW_ROWS = 32


def write(model, format_name, path, example):
    """Write a model that is on the CPU and in evaluation mode. Raises Unsupported."""
    if format_name not in WRITERS:
        raise protocol.Unsupported(f"torch does not write {format_name}")
    opset = WRITERS[format_name](model, example, path)
    return {"opset": opset, "exporter": exporter(format_name)}


def exporter(format_name):
    """Return name and version of what writes a format."""
    return EXPORTERS[format_name].format_map(_Versions(torch=torch.__version__))


def _script(model, example, path):
    with torch.no_grad():
        torch.jit.trace(model, example).save(path)


def _program(model, example, max_rows=None):
    """Return the model as an exported program, its batch free, up to *max_rows*."""
    batch = torch.export.Dim("batch", max=max_rows)
    return torch.export.export(model, (example,), dynamic_shapes=({0: batch},))


def _exported(model, example, path):
    torch.export.save(_program(model, example), path)


def _onnx(model, example, path):
    """Write ONNX; return its opset.

    torch.onnx.export alone would do, but in torch 2.9 it refuses a free batch of an LSTM.
    """
    translated = torch.onnx.export(
        _program(model, example),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["input"],
        output_names=["logits"],
        verbose=False,
    )
    translated.save(path, external_data=False)
    return translated.model.opset_imports.get("")


def _aotinductor(model, example, path):
    """Compile for this machine's processor.

    Weights in assembler would need an executable stack, which glibc refuses from 2.41 on.
    Precompiled headers would need OpenSSL's program and save time only for many models.
    """
    torch._inductor.aoti_compile_and_package(
        _program(model, example),
        package_path=path,
        inductor_configs={
            "aot_inductor.use_consts_asm_build": False,
            "aot_inductor.precompile_headers": False,
        },
    )


def _executorch(model, example, path):
    lower(few_rows(model, example), path)


def few_rows(model, example):
    """Return the model as an exported program of at most `MOST_ROWS` rows."""
    rows = example.repeat(FEW_ROWS, *[1] * (example.dim() - 1))[:FEW_ROWS]
    return _program(model, rows, MOST_ROWS)


def lower(program, path):
    """Lower the operators of XNNPACK to it, and the others to ExecuTorch's own kernels."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    with open(path, "wb") as target:
        target.write(lowered.to_executorch().buffer)


def _ncnn(model, example, path):
    """Have pnnx translate a trace of one row, as ncnn has no batch axis.

    pnnx writes other files beside the net; it reports what it cannot translate in its log only.
    """
    import pnnx

    with tempfile.TemporaryDirectory() as folder:
        pnnx.export(model, os.path.join(folder, "model.pt"), example[:1], fp16=False)
        os.makedirs(path)
        for kind in ("param", "bin"):
            source = os.path.join(folder, "model.ncnn." + kind)
            shutil.copyfile(source, os.path.join(path, "model." + kind))


class _Versions(dict):  # type: ignore[type-arg] # Python 3.6
    """Versions of the installed packages by name."""

    def __missing__(self, package):
        from importlib import metadata  # novm: torch 1.0.0, on Python 3.6, names only itself

        return metadata.version(package)


WRITERS = {
    "onnx": _onnx,
    "torch-export": _exported,
    "torchscript": _script,
    "aotinductor": _aotinductor,
    "executorch": _executorch,
    "ncnn": _ncnn,
}

#: The exporter of each format, with the packages that it consists of.
EXPORTERS = {
    "onnx": "torch {torch} dynamo, onnxscript {onnxscript}",
    "torch-export": "torch.export of torch {torch}",
    "torchscript": "torch.jit.trace of torch {torch}",
    "aotinductor": "AOTInductor of torch {torch}",
    "executorch": "executorch {executorch}, torch {torch}",
    "ncnn": "pnnx {pnnx}, torch {torch}",
}
