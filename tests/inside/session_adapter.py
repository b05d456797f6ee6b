"""A runtime without a library, whose models say in their file what goes wrong when they answer.

``fine`` answers with its inputs, ``doubling`` with twice as much. ``again NAME`` does NAME unless
it is the first model of its process, ``first NAME`` only if it is, and raises else. ``slow PATH``
takes a while, and adds its process's id to a file.
Runs on Python 3.6, as the harness does.
"""

import ctypes
import os
import sys
import time

SERVED = []


def start():
    pass


def configure(device, threads):
    pass


def describe():
    return {
        "versions": {"session": "1.0"},
        "threads": 1,
        "device": "cpu",
        "device_name": None,
        "blas": None,
    }


def multiply(a, b):
    return a @ b


def load(format_name, path):
    with open(path) as source:
        fault = source.read().strip()
    SERVED.append(fault)
    print("serving " + fault)
    return fault


def answer(model, inputs):
    fault = model
    if model.startswith("again "):
        fault = model.split()[1] if len(SERVED) > 1 else "fine"
    if model.startswith("first "):
        fault = model.split()[1] if len(SERVED) == 1 else "raising"
    if model.startswith("slow "):
        slow(model.split()[1])
        fault = "fine"
    x = next(iter(inputs.values()))
    if fault == "doubling":
        return {"y": 2 * x}
    if fault != "fine":
        globals()[fault]()
    return {"y": x}


def slow(path):
    with open(path, "a") as target:
        target.write("%d\n" % os.getpid())
    time.sleep(0.03)


def segfault():
    ctypes.string_at(0)


def raising():
    raise RuntimeError("cannot")


def hang():
    time.sleep(3600)


def out_of_memory():
    blocks = []
    while True:
        blocks.append(b"x" * (16 << 20))


def quarter_of_a_gigabyte():
    block = b"x" * (256 << 20)
    time.sleep(1)  # memory is looked at four times a second
    del block


def torn():
    folder = sorted(os.listdir(os.path.join(sys.argv[-1], "jobs")))[-1]
    with open(os.path.join(sys.argv[-1], "jobs", folder, "output.json"), "w") as target:
        target.write('{"schema": 1, "rec')
    os._exit(0)


def barring():
    """Close the folder of the next job to a host that is not root, before it is handed in."""
    folder = os.path.join(sys.argv[-1], "jobs", "%04d" % (len(SERVED) + 1))
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0)


def filling():
    """Leave no room on the disk of all processes."""
    path = os.path.join(sys.argv[-1], os.pardir, os.pardir, os.pardir, "filler")
    with open(path, "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass


def own_folder():
    return os.path.join(sys.argv[-1], "jobs", "%04d" % len(SERVED))


def nesting():
    """Write a file that lies as deep as one may."""
    folder = os.path.join(own_folder(), *["d"] * 32)
    os.makedirs(folder, exist_ok=True)
    open(os.path.join(folder, "file"), "w").close()


def naming():
    """Write a file whose name another system cannot have."""
    open(os.path.join(own_folder(), "a:b"), "w").close()


def writing():
    """Write a file of two megabytes."""
    os.makedirs(own_folder(), exist_ok=True)
    with open(os.path.join(own_folder(), "large"), "wb") as file:
        file.write(bytes(2 << 20))


def leaving():
    os._exit(0)


def flood():
    while True:
        os.write(1, b"x" * 65536)
