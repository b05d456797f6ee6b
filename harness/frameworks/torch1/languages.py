"""Small programs in Lua and in C++, by the same steps: what Lua's compiler LuaJIT is worth.

Each prints the seconds that it took and a number that both have to agree on.
"""

import os
import statistics
import subprocess
import tempfile
import time
from typing import Dict, List, Tuple

#: Each is run so often; the median counts.
REPEATS = 5

#: So many seconds may all programs take together, with their compilation. The deadline of a job,
#: which takes the answers of its probes with it, is later.
LIMIT_S = 240

#: Numbers in loops, without arrays: the norm of an infinite matrix that a formula gives.
SPECTRAL_NORM = {
    "lua": """
local function a(i, j) return 1 / ((i + j) * (i + j + 1) / 2 + i + 1) end
local n, u, v = 2000, {}, {}
for i = 0, n - 1 do u[i] = 1 end
for _ = 1, 10 do
  for i = 0, n - 1 do local s = 0 for j = 0, n - 1 do s = s + a(i, j) * u[j] end v[i] = s end
  for i = 0, n - 1 do local s = 0 for j = 0, n - 1 do s = s + a(j, i) * v[j] end u[i] = s end
  local m = 0
  for i = 0, n - 1 do m = math.max(m, u[i]) end
  for i = 0, n - 1 do u[i] = u[i] / m end
end
local sum = 0
for i = 0, n - 1 do sum = sum + u[i] end
""",
    "cpp": """
auto a = [](double i, double j) { return 1 / ((i + j) * (i + j + 1) / 2 + i + 1); };
const int n = 2000;
std::vector<double> u(n, 1.0), v(n);
for (int k = 0; k < 10; k++) {
  for (int i = 0; i < n; i++) {
    double s = 0;
    for (int j = 0; j < n; j++) s += a(i, j) * u[j];
    v[i] = s;
  }
  for (int i = 0; i < n; i++) {
    double s = 0;
    for (int j = 0; j < n; j++) s += a(j, i) * v[j];
    u[i] = s;
  }
  double m = 0;
  for (int i = 0; i < n; i++) m = std::max(m, u[i]);
  for (int i = 0; i < n; i++) u[i] /= m;
}
double sum = 0;
for (int i = 0; i < n; i++) sum += u[i];
""",
}

#: Arrays: a product of two matrices, as one writes it.
PRODUCT = {
    "lua": """
local n, x, y, sum = 500, {}, {}, 0
for i = 0, n * n - 1 do x[i] = i % 7; y[i] = i % 5 end
for i = 0, n - 1 do for j = 0, n - 1 do
  local s = 0
  for k = 0, n - 1 do s = s + x[i * n + k] * y[k * n + j] end
  sum = sum + s
end end
""",
    "cpp": """
const int n = 500;
std::vector<double> x(n * n), y(n * n);
double sum = 0;
for (int i = 0; i < n * n; i++) { x[i] = i % 7; y[i] = i % 5; }
for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) {
  double s = 0;
  for (int k = 0; k < n; k++) s += x[i * n + k] * y[k * n + j];
  sum += s;
}
""",
}

#: Integers and branches: the primes below twenty million.
SIEVE = {
    "lua": """
local n, out, sum = 20000000, {}, 0
for i = 2, n do out[i] = false end
for i = 2, n do if not out[i] then
  sum = sum + 1
  for j = i * i, n, i do out[j] = true end
end end
""",
    "cpp": """
const long n = 20000000;
std::vector<char> out(n + 1);
double sum = 0;
for (long i = 2; i <= n; i++) if (!out[i]) {
  sum += 1;
  for (long j = i * i; j <= n; j += i) out[j] = 1;
}
""",
}

PROGRAMS = {"spectral norm": SPECTRAL_NORM, "matrix product": PRODUCT, "sieve": SIEVE}

LUA = "local start = os.clock()\n%s\nprint(os.clock() - start, string.format('%%.9g', sum))\n"
CPP = """#include <algorithm>
#include <cstdio>
#include <ctime>
#include <vector>
int main() {
const double start = clock();
%s
std::printf("%%.6f %%.9g\\n", (clock() - start) / CLOCKS_PER_SEC, sum);
}
"""


def times(program: Dict[str, str], folder: str, deadline: float) -> Dict[str, float]:
    """Return the median seconds of a program in each language.

    Raises RuntimeError where their numbers differ, OSError where a language is not installed, and
    TimeoutExpired at the *deadline* of the monotonic clock.
    """
    commands = {
        "lua": _lua(program["lua"], folder),
        "cpp": _cpp(program["cpp"], folder, deadline),
    }
    runs: Dict[str, List[Tuple[float, str]]] = {language: [] for language in commands}
    for _ in range(REPEATS):
        for language, command in commands.items():
            seconds, number = _run(command, deadline).split()
            runs[language].append((float(seconds), number))
    numbers = {number for entries in runs.values() for _, number in entries}
    if len(numbers) != 1:
        raise RuntimeError("the programs differ: %s" % ", ".join(sorted(numbers)))
    return {name: statistics.median(taken for taken, _ in pairs) for name, pairs in runs.items()}


def _lua(source: str, folder: str) -> List[str]:
    return ["luajit", _write(folder, "program.lua", LUA % source)]


def _cpp(source: str, folder: str, deadline: float) -> List[str]:
    program = os.path.join(folder, "program")
    command = ["g++", "-O2", "-o", program, _write(folder, "program.cpp", CPP % source)]
    _run(command, deadline)
    return [program]


def _write(folder: str, name: str, text: str) -> str:
    path = os.path.join(folder, name)
    with open(path, "w") as stream:
        stream.write(text)
    return path


def _run(command: List[str], deadline: float) -> str:
    remaining_s = max(0.0, deadline - time.monotonic())
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=remaining_s)
    return done.stdout.decode()


def ratios() -> Dict[str, float]:
    """Return for each program how many times as long LuaJIT takes as C++."""
    deadline = time.monotonic() + LIMIT_S
    by_program = {}
    for name, program in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as folder:
            seconds = times(program, folder, deadline)
        by_program[name] = seconds["lua"] / seconds["cpp"]
    return by_program
