"""Networks that read images and video: those of the study, a residual net, a 3-D one.

At `imagenet` they are as published. At `small` and `tiny` they have the same layers, narrower,
with smaller kernels and without strides in the stem, for digits of 32x32 and 8x8 pixels.
"""

from __future__ import annotations

from deepmatrix.workloads.networks.builder import Builder
from deepmatrix.workloads.networks.description import Network

#: Padding for an odd input side: Caffe's pooling rounds up and reads one element beyond the end.
CEIL = (0, 1)

SIDES = {"tiny": 8, "small": 32}


def _builder(name: str, size: str) -> Builder:
    if size == "imagenet":
        return Builder(f"{name}-imagenet", [3, 224, 224], 1000, "random")
    return Builder(f"{name}-{size}", [1, SIDES[size], SIDES[size]], 10, "images")


def digits_conv() -> Network:
    """Two convolutions: the smallest network that reads digits well."""
    builder = Builder("digits-conv", [1, 8, 8], 10, "images")
    for number, filters in ((1, 16), (2, 32)):
        builder.conv(f"conv{number}", filters, 3)
        builder.layer(f"relu{number}", "relu")
        builder.max_pool(f"pool{number}", 2, 2)
    builder.layer("flatten", "flatten")
    return builder.finish()


def alexnet(size: str) -> Network:
    """AlexNet in one column: Krizhevsky, "One weird trick for parallelizing convolutional neural
    networks", 2014, without dropout.
    """  # noqa: D205
    builder, large = _builder("alexnet", size), size == "imagenet"
    widths = {"tiny": (4, 8, 8, 8, 8), "small": (8, 24, 48, 32, 32)}
    filters = widths.get(size, (64, 192, 384, 256, 256))
    kernels = (11, 5, 3, 3, 3) if large else (3, 3, 3, 3, 3)
    for number, (width, kernel) in enumerate(zip(filters, kernels, strict=True), start=1):
        first = {"stride": 4, "padding": 2} if large and number == 1 else {}
        builder.conv_relu(f"conv{number}", width, kernel, **first)
        if number in (1, 2, 5):
            builder.max_pool(f"pool{number}", 3, 2, padding=(0, 0) if large else CEIL)
    builder.layer("flatten", "flatten")
    for number in (6, 7):
        builder.dense(f"dense{number}", {"tiny": 16, "small": 64}.get(size, 4096))
        builder.layer(f"dense{number}_relu", "relu")
    return builder.finish()


def vgg_a(size: str) -> Network:
    """OxfordNet, configuration A: Simonyan and Zisserman, 2014, without dropout."""
    builder = _builder("vgg-a", size)
    share = {"tiny": 16, "small": 8}.get(size, 1)
    for stage, widths in enumerate(((64,), (128,), (256, 256), (512, 512), (512, 512)), start=1):
        for number, width in enumerate(widths, start=1):
            builder.conv_relu(f"conv{stage}_{number}", width // share, 3)
        builder.max_pool(f"pool{stage}", 2, 2, padding=CEIL if size == "tiny" else (0, 0))
    builder.layer("flatten", "flatten")
    for number in (6, 7):
        builder.dense(f"dense{number}", {"tiny": 16, "small": 64}.get(size, 4096))
        builder.layer(f"dense{number}_relu", "relu")
    return builder.finish()


#: Filters of an inception module: 1x1, 3x3 after its reduction, 5x5 after its, after pooling.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(size: str) -> Network:
    """GoogLeNet: Szegedy and others, "Going deeper with convolutions", 2015, table 1; with local
    response normalization, without the auxiliary classifiers and dropout.
    """  # noqa: D205
    builder, large = _builder("googlenet", size), size == "imagenet"
    share = {"tiny": 16, "small": 8}.get(size, 1)
    normalized = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}
    builder.conv_relu("conv1", 64 // share, 7 if large else 3, stride=2 if large else 1)
    builder.max_pool("pool1", 3, 2, padding=CEIL)
    builder.layer("lrn1", "lrn", **normalized)
    builder.conv_relu("conv2_reduce", 64 // share, 1)
    builder.conv_relu("conv2", 192 // share, 3)
    builder.layer("lrn2", "lrn", **normalized)
    before = builder.max_pool("pool2", 3, 2, padding=CEIL)
    for name, filters in INCEPTIONS.items():
        before = _inception(builder, name, before, [max(width // share, 1) for width in filters])
        if name in ("3b", "4e"):
            before = builder.max_pool(
                f"pool{name[0]}", 3, 2, padding=(1, 1) if size == "tiny" else CEIL
            )
    builder.layer("average", "global_average_pool")
    return builder.finish()


def _inception(builder: Builder, name: str, before: str, filters: list[int]) -> str:
    filters_1x1, reduce_3x3, filters_3x3, reduce_5x5, filters_5x5, pooled = filters
    first = builder.conv_relu(f"inception{name}_1x1", filters_1x1, 1, before)
    builder.conv_relu(f"inception{name}_3x3_reduce", reduce_3x3, 1, before)
    second = builder.conv_relu(f"inception{name}_3x3", filters_3x3, 3)
    builder.conv_relu(f"inception{name}_5x5_reduce", reduce_5x5, 1, before)
    third = builder.conv_relu(f"inception{name}_5x5", filters_5x5, 5)
    builder.max_pool(f"inception{name}_pool", 3, 1, before, padding=(1, 1))
    fourth = builder.conv_relu(f"inception{name}_pool_1x1", pooled, 1)
    return builder.layer(f"inception{name}", "concat", first, second, third, fourth, axis=1)


def resnet(size: str) -> Network:
    """A residual net without normalization: the last convolution of a branch starts at zero.

    He and others, 2015; Zhang and others, "Fixup initialization", 2019, without its scalars.
    """
    builder = _builder("resnet", size)
    width = {"tiny": 4, "small": 16}[size]
    before = builder.conv_relu("stem", width, 3)
    for stage in (1, 2, 3):
        stride = 1 if stage == 1 else 2
        before = _residual(builder, f"block{stage}", before, width * 2 ** (stage - 1), stride)
    builder.layer("average", "global_average_pool")
    return builder.finish()


def _residual(builder: Builder, name: str, before: str, width: int, stride: int) -> str:
    shortcut = before
    if stride > 1:
        shortcut = builder.conv(f"{name}_shortcut", width, 1, before, stride=stride)
    builder.conv_relu(f"{name}_conv1", width, 3, before, stride=stride)
    branch = builder.conv(f"{name}_conv2", width, 3, initial="zero")
    builder.layer(f"{name}_add", "add", branch, shortcut)
    return builder.layer(f"{name}_relu", "relu")


def conv3d(size: str) -> Network:
    """A 3-D convolutional net: Tran and others, "Learning spatiotemporal features", 2015."""
    frames, side = {"tiny": (4, 10), "small": (6, 12)}[size]
    builder = Builder(f"conv3d-{size}", [1, frames, side, side], 10, "video")
    for number, filters in enumerate({"tiny": (4, 8), "small": (8, 16)}[size], start=1):
        builder.conv_relu(f"conv{number}", filters, 3)
        builder.max_pool(f"pool{number}", 2, 2)
    builder.layer("flatten", "flatten")
    return builder.finish()
