"""Facts: what the installed files of a framework say of it."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy
import pytest

from deepmatrix.config import matrix_file
from deepmatrix.config.families import FAMILIES
from deepmatrix.paths import ROOT
from deepmatrix.store.reported.phases import FactOutcome
from deepmatrix.workloads import networks
from harness.adapters import Unsupported
from harness.measuring import facts
from harness.record import LONGEST_REMARK


def framework(**functions: Any) -> types.ModuleType:
    module = types.ModuleType("harness.frameworks.own.facts")
    for name, function in functions.items():
        function.__module__ = module.__name__
        setattr(module, name, function)
    return module


def test_a_fact_holds_or_not_with_what_shows_it() -> None:
    module = framework(
        is_small=lambda: (True, "3 files"), is_fast=lambda: (None, "2 s"), _helper=lambda: 1
    )
    assert facts.find_all(module) == {
        "is_small": {"holds": True, "evidence": "3 files", "error": None},
        "is_fast": {"holds": None, "evidence": "2 s", "error": None},
    }


def test_a_fact_that_cannot_be_read_has_its_error() -> None:
    def is_small() -> tuple[bool, str]:
        raise FileNotFoundError("no header")

    (outcome,) = facts.find_all(framework(is_small=is_small)).values()
    assert outcome["holds"] is None
    assert outcome["error"]["type"] == "FileNotFoundError"


def test_evidence_is_cut_to_what_a_record_takes() -> None:
    """A longer text would make the host refuse the record, with all probes in it."""
    (outcome,) = facts.find_all(framework(is_small=lambda: (True, "x" * 1000))).values()
    assert len(outcome["evidence"]) == LONGEST_REMARK
    FactOutcome.model_validate(outcome)


def test_evidence_that_is_no_text_is_the_error_of_its_fact() -> None:
    (outcome,) = facts.find_all(framework(is_small=lambda: (True, None))).values()
    assert outcome["error"]["type"] == "TypeError"


def test_a_fact_about_what_is_not_installed_is_left_out() -> None:
    def is_fast() -> tuple[bool, str]:
        raise Unsupported("no compiler is installed")

    assert facts.find_all(framework(is_fast=is_fast)) == {}


def test_a_helper_that_a_module_imports_is_no_fact() -> None:
    module = framework()
    module.names_in = facts.names_in  # type: ignore[attr-defined]
    assert facts.find_all(module) == {}


def test_names_are_those_that_a_file_has(tmp_path: Path) -> None:
    library = tmp_path / "lib.so.1"
    library.write_bytes(b"\0run_a\0run_b\0walk\0" * 2)
    assert facts.names_in(str(library), re.compile(rb"run_(\w)")) == {b"a", b"b"}
    assert facts.names_in(str(library), re.compile(rb"run")) == {b"run"}
    assert facts.names_in(str(library), re.compile(rb"cblas")) == set()


def test_an_empty_file_has_no_names(tmp_path: Path) -> None:
    (tmp_path / "empty.so").write_bytes(b"")
    assert facts.names_in(str(tmp_path / "empty.so"), re.compile(rb"cblas")) == set()


def test_shared_objects_are_files_of_all_folders_once(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("a.so", "inner/b.so.2", "inner/text.py"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "inner" / "b.so").symlink_to("b.so.2")
    names = [Path(path).name for path in facts.shared_objects(str(tmp_path))]
    assert names == ["a.so", "b.so.2"]


def stand_in(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Return a package in a framework's place, with the files of *folder*."""
    package = types.ModuleType(name)
    package.__file__ = str(folder / "__init__.py")
    monkeypatch.setitem(sys.modules, name, package)
    return package


def facts_of(name: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Return the facts of a framework, imported with the packages that are there now."""
    module = f"harness.frameworks.{name}.facts"
    monkeypatch.delitem(sys.modules, module, raising=False)
    return importlib.import_module(module)


@pytest.fixture
def theano(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The facts of a package in Theano's place, with the files of *tmp_path*."""
    package = stand_in("theano", tmp_path, monkeypatch)
    package.config = types.SimpleNamespace(device="cpu")  # type: ignore[attr-defined]
    return facts_of("theano", monkeypatch)


@pytest.fixture
def caffe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The facts of a package in Caffe's place."""
    stand_in("caffe", tmp_path, monkeypatch)
    package = stand_in("caffe.proto", tmp_path, monkeypatch)
    messages = stand_in("caffe.proto.caffe_pb2", tmp_path, monkeypatch)
    monkeypatch.setattr(package, "caffe_pb2", messages, raising=False)
    return facts_of("caffe", monkeypatch)


def test_functions_of_layers_are_those_of_layers_for_float(
    caffe: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = "RKSt6vectorIPNS_4BlobIfEESaIS4_EES8_"
    names = (
        # One layer has all three, one the first two, one the first only.
        *(f"_ZN5caffe9ReLULayerIfE11Forward_{kind}E{arguments}" for kind in ("cpu", "gpu")),
        f"_ZN5caffe9ReLULayerIfE12Backward_gpuE{arguments}",
        *(f"_ZN5caffe8LRNLayerIfE11Forward_{kind}E{arguments}" for kind in ("cpu", "gpu")),
        f"_ZN5caffe11PythonLayerIfE11Forward_cpuE{arguments}",
        # Those of another method, of double, of another namespace, and of what is no layer.
        "_ZN5caffe9ConvLayerIfE16Forward_cpu_gemmEPKfS2_Pfb",
        f"_ZN5caffe9TanHLayerIdE11Forward_cpuE{arguments}",
        f"_ZN6caffe29TanHLayerIfE11Forward_cpuE{arguments}",
        f"_ZN5caffe3NetIfE11Forward_cpuE{arguments}",
    )
    library = tmp_path / "libcaffe.so.1.0.0"
    library.write_bytes("\0".join(["", *names, ""]).encode())
    monkeypatch.setattr(facts, "mapped_files", lambda: ["/lib/libc.so.6", str(library)])
    holds, evidence = caffe.layers_have_functions_for_gpu()
    assert holds
    assert evidence == (
        "of 3 layers in libcaffe.so.1.0.0 with a Forward_cpu, 2 have a Forward_gpu too, and 1 a "
        "Backward_gpu"
    )
    for lacking in (names[:1], names[3:], [names[0], names[2]]):
        library.write_bytes("\0".join(lacking).encode())
        assert caffe.layers_have_functions_for_gpu()[0] is False
    monkeypatch.setattr(facts, "mapped_files", lambda: ["/lib/libc.so.6"])
    with pytest.raises(FileNotFoundError, match="libcaffe"):
        caffe.layers_have_functions_for_gpu()


@pytest.mark.parametrize(
    ("name", "file", "prefix", "namespace"),
    [
        ("caffe", "libcaffe.so.1.0.0", "_ZN5caffe", "caffe"),
        ("cntk", "libCntk.Core-2.7.so", "_ZN4CNTK", "CNTK"),
    ],
)
@pytest.mark.usefixtures("caffe")
def test_a_library_is_of_cpp_where_it_has_names_in_its_namespace(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    file: str,
    prefix: str,
    namespace: str,
) -> None:
    stand_in("cntk", tmp_path, monkeypatch)
    module, library = facts_of(name, monkeypatch), tmp_path / file
    monkeypatch.setattr(facts, "mapped_files", lambda: [str(library)])
    library.write_bytes(f"\0{prefix}3runEv\0{prefix}4stopEv\0{prefix}3runEv\0".encode())
    assert module.is_of_cpp() == (True, f"{file} has 2 names in the namespace {namespace} of C++")
    library.write_bytes(f"\0{namespace}_run\0_ZN6{namespace}23runEv\0".encode())
    assert module.is_of_cpp()[0] is False


def test_parameters_of_layers_are_fields_of_one_kind_with_a_number(caffe: types.ModuleType) -> None:
    kind = types.SimpleNamespace(name="type", number=2, type=9, TYPE_STRING=9)
    names = {"loss_param": 101, "transform_param": 100, "lrn_param": 118, "tanh_param": 127}
    fields = [types.SimpleNamespace(name=name, number=number) for name, number in names.items()]
    old = types.SimpleNamespace(values=range(39))
    layer = types.SimpleNamespace(fields=[kind, *fields], fields_by_name={"type": kind})
    older = types.SimpleNamespace(enum_types_by_name={"LayerType": old})
    messages = {"LayerParameter": layer, "V1LayerParameter": older}
    for name, message in messages.items():
        setattr(caffe.caffe_pb2, name, types.SimpleNamespace(DESCRIPTOR=message))
    holds, evidence = caffe.parameters_of_layers_have_numbers()
    assert holds
    assert "the parameters of 2 kinds of layers have numbers, up to 127; the type is a string" in (
        evidence
    )
    assert evidence.endswith("one of 39 numbers")
    layer.fields = [kind, *fields[:2]]
    assert caffe.parameters_of_layers_have_numbers()[0] is False


@pytest.fixture
def torch1(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The facts beside torch 1.0.0, which need none of its files."""
    return facts_of("torch1", monkeypatch)


def test_without_luajit_nothing_is_said_of_it(
    torch1: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "luajit_is_about_as_fast_as_cpp" not in facts.find_all(torch1)


def test_all_programs_of_two_languages_have_one_deadline(
    torch1: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many programs, of which none takes long, still end long before the job's deadline."""
    luajit, compiler = tmp_path / "luajit", tmp_path / "g++"
    luajit.write_text("#!/bin/sh\nsleep 0.1\necho 0.1 7\n")
    compiler.write_text(f'#!/bin/sh\ncp {luajit} "$3"\n')
    for program in (luajit, compiler):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(torch1.languages, "LIMIT_S", 0.5)
    outcome = facts.find_all(torch1)["luajit_is_about_as_fast_as_cpp"]
    assert outcome["error"]["type"] == "TimeoutExpired"


def test_only_the_variant_of_torch_for_it_has_luajit() -> None:
    matrix = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
    families = {name: FAMILIES[system.family] for name, system in matrix.systems().items()}
    with_luajit = {
        name
        for name, family in families.items()
        if any("luajit" in part.packages for part in family.roots.values())
    }
    assert with_luajit == {"torch1_luajit"}


@pytest.fixture
def tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The facts of a package in TensorFlow's place, with the files of its folder in *tmp_path*."""
    (tmp_path / "tensorflow").mkdir()
    stand_in("tensorflow", tmp_path / "tensorflow", monkeypatch)
    return facts_of("tensorflow", monkeypatch)


KERNEL = "_ZN5Eigen8internal11gebp_kernelIffl"


@pytest.mark.parametrize(
    ("names", "holds", "seen"),
    [
        ((KERNEL,), True, "dgemm_ are nowhere; mkldnn_sgemm and dnnl_sgemm are nowhere"),
        ((KERNEL, "cblas_sgemm"), False, "dgemm_ are in libtensorflow.so.2"),
        ((KERNEL, "my_cblas_dgemm"), False, "dgemm_ are in libtensorflow.so.2"),
        ((KERNEL, "sgemm_"), False, "dgemm_ are in libtensorflow.so.2"),
        ((KERNEL, "dgemm_"), False, "dgemm_ are in libtensorflow.so.2"),
        ((KERNEL, "dgemm_", "mkldnn_sgemm"), False, "dnnl_sgemm are in libtensorflow.so.2"),
        ((KERNEL, "mkldnn_sgemm"), None, "are in libtensorflow.so.2, and no file says whether"),
        ((KERNEL, "dnnl_sgemm"), None, "are in libtensorflow.so.2, and no file says whether"),
        ((KERNEL, "cblas_sgemm_batch", "igemm_", "sgemm_x", "xsgemm_", "dnn_sgemm"), True, ""),
        ((KERNEL, "dnnl_sgemm_u8", "mkldnn_sgemms", "cuDnnl_gemm"), True, ""),
        (("_ZN5Eigen8internal4gebp",), False, "Eigen's product of matrices is nowhere"),
    ],
)
def test_what_multiplies_in_tensorflow(
    tensorflow: types.ModuleType,
    tmp_path: Path,
    names: tuple[str, ...],
    holds: bool | None,
    seen: str,
) -> None:
    library = tmp_path / "tensorflow" / "libtensorflow.so.2"
    library.write_bytes("\0".join(["", *names, ""]).encode())
    answer, evidence = tensorflow.multiplies_by_eigen_without_blas()
    assert answer is holds
    assert seen in evidence


def test_of_many_shared_objects_the_first_are_named(
    tensorflow: types.ModuleType, tmp_path: Path
) -> None:
    for number in range(5):
        (tmp_path / "tensorflow" / f"lib{number}.so").write_bytes(KERNEL.encode())
    _, evidence = tensorflow.multiplies_by_eigen_without_blas()
    assert "is in lib0.so, lib1.so, lib2.so and 2 more; " in evidence


def test_an_interface_is_reached_through_what_is_linked_with_it_too(
    tensorflow: types.ModuleType, tmp_path: Path
) -> None:
    """The second object only imports the function; the third has another of its name."""
    if not shutil.which("gcc"):
        pytest.skip("no C compiler here")
    folder = tmp_path / "tensorflow"
    has = f"void {tensorflow.NEW_SESSION}() {{}}"
    lacks = f"void {tensorflow.NEW_SESSION}PPNS_7SessionE() {{}}"  # with a second argument
    imports = f"void {tensorflow.NEW_SESSION}(); void run() {{ {tensorflow.NEW_SESSION}(); }}"
    for name, source in {"has": has, "imports": imports, "lacks": lacks}.items():
        linked = [str(folder / "libhas.so"), f"-Wl,-rpath,{folder}"] if name == "imports" else []
        path = folder / f"lib{name}.so"
        command = ["gcc", "-x", "c", "-", "-x", "none", "-shared", "-fPIC", "-o", str(path)]
        subprocess.run([*command, *linked], input=source, text=True, check=True)
    holds, evidence = tensorflow.has_interface_of_cpp()
    assert holds
    assert evidence == "tensorflow::NewSession can be reached through libhas.so, libimports.so"


def test_with_a_compiler_nothing_shows_that_tensorflow_needs_none(
    tensorflow: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "g++").write_text("")
    (tmp_path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tensorflow.differentiates_without_a_compiler() == (None, "this image has g++")


class Graphs:
    """What a gradient takes of TensorFlow; *value* is what comes out."""

    def __init__(self, value: float) -> None:
        self.value = numpy.array([[value]], "float32")

    def as_default(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()

    def run(self, fetched: list[object]) -> list[object]:
        return [self.value for _ in fetched]


@pytest.mark.parametrize(("value", "holds"), [(4.0, True), (5.0, False)])
def test_without_a_compiler_the_gradient_shows_whether_tensorflow_needs_one(
    tensorflow: types.ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: float,
    holds: bool,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    package, graphs = sys.modules["tensorflow"], Graphs(value)
    session = contextlib.nullcontext(graphs)
    sessions = types.SimpleNamespace(Session=lambda **_: session)
    functions = {
        "Graph": lambda: graphs,
        "constant": numpy.array,
        "matmul": numpy.matmul,
        "gradients": lambda y, _: [y],
        "compat": types.SimpleNamespace(v1=sessions),
    }
    for name, function in functions.items():
        monkeypatch.setattr(package, name, function, raising=False)
    outcome = facts.find_all(tensorflow)["differentiates_without_a_compiler"]
    assert outcome["holds"] is holds
    assert outcome["evidence"].startswith(f"the gradient of x times x at 2 came as {value:g}; ")


def test_without_a_shared_object_nothing_is_known_of_tensorflow(
    tensorflow: types.ModuleType,
) -> None:
    for fact in ("has_interface_of_cpp", "multiplies_by_eigen_without_blas"):
        outcome = facts.find_all(tensorflow)[fact]
        assert outcome["error"]["type"] == "FileNotFoundError"


def test_c_code_in_strings_is_told_from_text(tmp_path: Path, theano: types.ModuleType) -> None:
    (tmp_path / "op.py").write_text(
        '"""Says what it does;\n\nin English."""\nc = """\nint i;\ni = 1;\n"""\nt = "a;"\n'
    )
    (tmp_path / "text.py").write_text('x = """\nno code\n"""\n')
    strings = "11 lines of Python, 4 of them in 1 strings of C or CUDA"
    assert theano.has_c_in_strings() == (True, strings)
    holds, evidence = theano.all_c_is_in_strings()
    assert holds
    files = "0 files of C or CUDA with 0 lines, 0 of them outside of folders named tests"
    assert evidence == f"{strings}; {files}"


def test_c_code_in_files_is_told_by_whether_it_is_of_tests(
    tmp_path: Path, theano: types.ModuleType
) -> None:
    (tmp_path / "text.py").write_text('x = """\nno code\n"""\n')
    (tmp_path / "kernel.cu").write_text("int i;\n\n")
    (tmp_path / "gpu" / "tests").mkdir(parents=True)
    (tmp_path / "gpu" / "tests" / "tests.c").write_text("int i;\n")
    (tmp_path / "gpu" / "tests.c").write_text("int i;\n")
    holds, evidence = theano.all_c_is_in_strings()
    assert holds is False
    assert evidence.endswith(
        "3 files of C or CUDA with 4 lines, 2 of them outside of folders named tests"
    )
    assert theano.has_c_in_strings()[0] is False


def test_a_device_that_can_change_does_not_stay(theano: types.ModuleType) -> None:
    holds, evidence = theano.device_stays()
    assert holds is False
    assert evidence == "theano.config.device became 'cuda'"
    assert sys.modules["theano"].config.device == "cpu"


class Config:
    """Theano's, which refuses some devices."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused

    @property
    def device(self) -> str:
        return "cpu"

    @device.setter
    def device(self, device: str) -> None:
        if device in self.refused:
            raise Exception("no!")  # as Theano does


@pytest.mark.parametrize(
    ("refused", "answer"),
    [
        (("cpu", "cuda"), "refuses 'cpu', which it is already: no!"),
        (("cuda",), "takes 'cpu' again, but refuses 'cuda': no!"),
    ],
)
def test_a_refusal_does_not_show_that_a_device_stays(
    tmp_path: Path,
    theano: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    refused: tuple[str, ...],
    answer: str,
) -> None:
    monkeypatch.setattr(sys.modules["theano"], "config", Config(*refused))
    holds, evidence = theano.device_stays()
    assert holds is None
    assert evidence == f"theano.config.device {answer}; theano.gpuarray is not there"
    (tmp_path / "gpuarray").mkdir()
    package = tmp_path / "gpuarray" / "__init__.py"
    package.write_text("def useful(device): pass\n")
    assert theano.device_stays()[1].endswith("; theano.gpuarray has no `use`")
    package.write_text("def use(device): pass\n")
    assert theano.device_stays()[1].endswith("has a function `use` for that, which takes a GPU")
