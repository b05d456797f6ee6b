"""The names and the version of what goes in and out of a cell.

Of the harness the host imports ``record`` and ``formats``, and nothing else, so both need only the
standard library, Python 3.6, and no other module of this package.
"""

import hashlib
import os
from typing import Dict

#: Version of ``input.json`` and ``output.json``. Raise it when a reader of the old form
#: would misread the new one, and say here what changed.
#:
#: 1  first form
SCHEMA_VERSION = 1

#: Characters of a remark: the host takes no longer ones.
LONGEST_REMARK = 400

#: What judges an output of a model where the standard's evaluator, in float64, can.
FLOAT64 = "float64 evaluation"

#: The same where the standard's tests do not prove all definitions, and there is no baseline.
UNPROVEN = "float64 evaluation by definitions that are not proven"

#: Sources that are evaluations in float64.
EVALUATIONS = (FLOAT64, UNPROVEN)

#: What judges it where neither that nor a baseline can.
OWN_PRECISION = "evaluation in the model's own precision"

#: What judges it where there is no evaluation in float64.
BASELINE = "baseline: ONNX Runtime without optimisations"
CONTESTED = "baseline: ONNX Runtime without optimisations, which the evaluation contradicts"

#: The smallest scale of errors. Runtimes compute bounded functions (the logistic, softmax) to some
#: units in the last place of 1, however small the result: where all probabilities are tiny, an
#: error of 2e-7 is rounding.
SMALLEST_SCALE = 0.25

#: What one step of a quantised value can stand for: float32 has no smaller and no larger number.
LEAST_STEP, LARGEST_STEP = 1e-45, 1e38

#: Steps may add up to this part of an output's range: above it, a match would say nothing.
MOST_OF_RANGE = 0.1

#: Steps in the range of integers of 8 bits.
STEPS_OF_RANGE = 255

#: Seconds for which LoadGen issues queries in each of MLPerf's scenarios.
SCENARIO_S = 2.0

#: What bounds the latency of the server scenario: this multiple of a single answer's, and at least
#: this number of seconds, in which threads can wake up.
SCENARIO_BOUND, SCENARIO_LEAST_BOUND_S = 10, 1e-3

#: Why a value of an output is not compared with gold. The last wins where several apply.
UNDEFINED_VALUE = 1  # the standard leaves it undefined, or it follows from such a value
ROUNDING = 2  # rounding in the model's own precision decides it: an integer, a text, a step
OVERFLOW = 3  # finite in float64 only: an infinity, a NaN and gold are all right

INPUT = "input.json"
OUTPUT = "output.json"
SESSION = "session.json"  # a process that serves several jobs has it, see `harness.sessions`
READY = "ready"  # an empty file, put into a job's folder after all others
LAST = "last"  # the same in the last job of a session
NO_ROOM = 75  # what a process exits with that found the disk of its machine full
WATCHDOG = "watchdog.txt"  # has text only where the watchdog ended the process: where it hung
ARTIFACTS = "artifacts"  # folder for what a producer exports, one folder a format in it
TRAINED = "artifacts/weights.npz"  # trained weights by neutral name, float32
PRODUCED = "artifacts/outputs.npz"  # ``y``: the producer's own logits on ``probe_x``
PAST_INPUTS = "artifacts/past-inputs.npz"  # of a language model's exports with past, by name
PAST_OUTPUTS = "artifacts/past-outputs.npz"  # the producer's own outputs on these, by name
FIRST_STEP = "first-step.npz"  # ``output/<layer>`` and ``gradient/<parameter>``, float32
IDIOM_LOGITS = "idiom.npz"  # logits of the first batch: ``y`` and, after training, ``trained``
PROBES = "probes.npz"  # ``<probe>/<name>``
MODEL_INPUTS = "artifacts/inputs.npz"  # inputs of a user's own model by name, the user's or samples
GOLD = "artifacts/gold.npz"  # float64 outputs of a user's own model by name
EVALUATION = "artifacts/evaluation.npz"
UNDEFINED = "artifacts/undefined.npz"  # by output, which values cannot be judged: codes, uint8
PRECISE = "trace/precise.npz"  # every inner tensor by its number, float64 where possible
SINGLE = "trace/single.npz"  # the same in float32, or nothing
MADE = "made"  # folder for a model cut or exposed to find a wrong node, its inputs and gold
INSPECTIONS = "inspections"  # a folder a quantised format: what inspecting a model writes
SUITE_MODELS = "suite/models"  # folder of a suite's models, by the number of their case
SUITE_ARRAYS = "suite/arrays.npz"  # ``<case>/in/<number>`` and ``<case>/out/<number>``
SUITE_ANSWERS = "suite/answers.npz"  # ``<case>/<number>``
SUITE_KINDS = "biufU"  # numpy's kinds of dtypes that these files hold
SUITE_PLACE = "suite/place"  # the number of the case that is being answered
ANSWERS = "outputs"  # folder for a consumer's answers to the artifact's inputs, see `answer_path`

STARTUP = "startup"
PARITY = "parity"
IDIOM = "idiom"
PROBE = "probe"
PASSES = "passes"
STEPS = "steps"
TRAIN = "train"
DEPLOY = "deploy"
INFER = "infer"
INSPECT = "inspect"  # of a user's own model; apart from all other phases
TRACE = "trace"  # these three find the first wrong node; apart from all other phases
EXPOSE = "expose"
CUT = "cut"
SUITE = "suite"  # a standard's own tests, written and answered; apart from all other phases
CONFORM = "conform"
PHASES = (STARTUP, PARITY, IDIOM, PROBE, PASSES, STEPS, TRAIN, DEPLOY, INFER)

#: Steps of training of an idiom: enough to prove the loop, too few for rounding to grow.
IDIOM_STEPS = 2

#: A phase runs only after the phase named here succeeded, where the job has both.
NEEDS = {
    PARITY: STARTUP,
    IDIOM: STARTUP,
    PASSES: STARTUP,
    STEPS: STARTUP,
    TRAIN: STARTUP,
    DEPLOY: TRAIN,
    INFER: STARTUP,
}

OK = "ok"
FAILED = "failed"
UNSUPPORTED = "unsupported"
STATUSES = (OK, FAILED, UNSUPPORTED)

# Values of ``error.type`` that the harness itself sets.
SELF_TEST_FAILED = "SelfTestFailed"
WRONG_DEVICE = "WrongDevice"
WRONG_PLATFORM = "WrongPlatform"
WRONG_THREADS = "WrongThreads"
NOT_REACHED = "NotReached"
BAD_MODEL = "BadModel"
WRONG_INPUTS = "WrongInputs"
NOT_SUPPORTED = "Unsupported"

#: Their messages are the harness's own and say all: the type adds nothing.
FOR_USERS = (BAD_MODEL, WRONG_INPUTS, NOT_SUPPORTED)

#: These hold for the whole job: they are recorded in every phase, and no phase runs.
EVERYWHERE = (SELF_TEST_FAILED, WRONG_DEVICE, WRONG_PLATFORM, WRONG_THREADS)


def allowed_distance(count: int, size: float, scale: float, unit: float, rounding: float) -> float:
    """Return how far right answers of a quantised output may be apart: some steps, of a size.

    Together they are at most a part of the range. *scale*: the largest value. *unit*: what one of
    its own integers stands for, or 0: their range counts, however small the values. *rounding*: the
    machine epsilon of the output's floats, or 0: the product of a step and its scale is rounded.
    """
    reach = max(scale, STEPS_OF_RANGE * unit)
    one_step = size if size <= reach / 2 else 0.0  # on a coarse grid a tie is a large step
    distance = min(count * size, max(MOST_OF_RANGE * reach, one_step))
    return distance + rounding * (scale + distance)


#: The other input and output of a language model with past, see `cache_names`.
TOKENS, LOGITS = "tokens", "logits"


def cache_names(layers: int) -> Dict[str, str]:
    """Return, by each input of a model with past, the output that is the next step's.

    Of every layer of attention, by its number, these are the keys and the values of all steps,
    (N, heads, steps, width of a head).
    """
    names = [f"{part}_{number}" for number in range(layers) for part in ("key", "value")]
    return {"past_" + name: "present_" + name for name in names}


def job_folder(number: int) -> str:
    """Return the path of a job's control directory in a session; *number* counts from 1."""
    return f"jobs/{number:04d}"


def answer_path(number: int) -> str:
    """Return the path of a consumer's output; *number* counts from 0 in the model's order."""
    return f"{ANSWERS}/{number}.npy"


def fingerprint() -> str:
    """Return the SHA-256 of the harness's own sources, 16 hex digits, the same on every machine."""
    root = os.path.dirname(os.path.abspath(__file__))
    digest = hashlib.sha256()
    for folder, folders, files in sorted(os.walk(root)):
        folders.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                digest.update(os.path.relpath(path, root).replace(os.sep, "/").encode() + b"\0")
                with open(path, "rb") as source:
                    digest.update(source.read().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()[:16]
