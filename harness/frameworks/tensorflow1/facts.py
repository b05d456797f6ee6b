"""What the files of TensorFlow 1.15's wheel say, as those of TensorFlow 2's."""

from harness.frameworks.tensorflow.facts import (  # noqa: F401 - these are its facts
    differentiates_without_a_compiler,
    has_interface_of_cpp,
    multiplies_by_eigen_without_blas,
)
