"""An adapter that dies on demand: shipped beside the harness by the tests only.

``FAULT`` in the environment names one of the functions below; anything else is not a fault.
"""

import ctypes
import os
import sys
import threading
import time

CONTROL = sys.argv[-1]


def segfault():
    ctypes.string_at(0)


def abort():
    os.abort()


def out_of_memory():
    blocks = []
    while True:
        blocks.append(bytearray(os.urandom(1 << 20)))


def memory_of_a_child():
    """Let the memory limit kill a child, and go on."""
    child = os.fork()
    if child == 0:
        out_of_memory()
    os.waitpid(child, 0)


def hang():
    while True:
        time.sleep(3600)


def fork_bomb():
    """Fork until nothing more is allowed, and keep all of it."""
    while True:
        try:
            if os.fork() == 0:
                hang()
        except OSError:
            hang()


def torn_output():
    with open(os.path.join(CONTROL, "output.json"), "w") as target:
        target.write('{"schema": 1, "rec')
    os._exit(0)


def no_output():
    os._exit(0)


def odd_exit():
    sys.stderr.write("the last words\n")
    sys.stderr.flush()
    os._exit(7)


def flood():
    line = b"x" * 1023 + b"\n"
    for _ in range(200 * 1024):
        os.write(1, line)
    os._exit(0)


def silent_flood():
    """Close what is read, and live on: the end of the log is not the end of the process."""
    for number in (1, 2):
        os.close(number)
    time.sleep(1.5)
    os._exit(5)


def escape():
    """Leave a child of another session behind that holds the log open."""
    if os.fork() == 0:
        os.setsid()
        hang()
    os._exit(0)


def links():
    """Leave what must not come back as it is."""
    os.symlink("/etc/passwd", os.path.join(CONTROL, "link"))
    os.link(os.path.join(CONTROL, "input.json"), os.path.join(CONTROL, "hard"))
    os.mkfifo(os.path.join(CONTROL, "fifo"))
    with open(os.path.join(CONTROL, "plain"), "w") as target:
        target.write("plain")


def large_file():
    """Leave more than the host's disk may have."""
    with open(os.path.join(CONTROL, "large"), "wb") as target:
        target.write(bytes(200 << 20))
    os._exit(0)


def fill_disk():
    """Write small files, more than the disk may take, and hang."""
    for number in range(96):
        with open(os.path.join(CONTROL, str(number)), "wb") as target:
            target.write(os.urandom(1 << 20))
    hang()


def hide_files():
    """Write more than the disk may take where only root can look, and hang."""
    folder = os.path.join(CONTROL, "closed")
    os.mkdir(folder)
    with open(os.path.join(folder, "large"), "wb") as target:
        os.chmod(folder, 0)
        for _ in range(63):
            target.write(os.urandom(1 << 20))
    hang()


def deep_folders():
    """Nest folders deeper than a path can be, and than a program can walk that calls itself."""
    os.chdir(CONTROL)
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    os._exit(0)


def confinement():
    """Say in a file what this process may do."""
    import json

    def tries(action):
        try:
            action()
        except OSError as error:
            return error.strerror
        return "done"

    def connect():
        import socket

        socket.create_connection(("192.0.2.1", 80), timeout=1)

    with open("/proc/self/status") as source:
        status = dict(line.split(":", 1) for line in source)
    facts = {
        "user": os.getuid(),
        "group": os.getgid(),
        "capabilities": int(status["CapEff"], 16),
        "no_new_privileges": status["NoNewPrivs"].strip() == "1",
        "seccomp": status["Seccomp"].strip() == "2",
        "cpus": sorted(os.sched_getaffinity(0)),
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "write_root": tries(lambda: open("/opt/x", "w")),
        "write_harness": tries(lambda: open("/opt/deepmatrix/harness/x", "w")),
        "write_tmp": tries(lambda: open("/tmp/x", "w")),
        "write_shm": tries(lambda: open("/dev/shm/x", "w")),
        "connect": tries(connect),
    }
    with open(os.path.join(CONTROL, "said.json"), "w") as target:
        json.dump(facts, target)


def trespass():
    """Try to leave the control directory, and say in a file how that went."""
    import json
    import socket

    outside = os.environ["OUTSIDE"]

    def read():
        with open(os.path.join(outside, "secret")) as source:
            return source.read()

    def change_harness():
        import harness

        with open(harness.__file__, "a") as target:
            target.write("raise SystemExit(9)\n")

    def find_neighbours():
        return str(sum(name.isdigit() and int(name) > 9 for name in os.listdir("/proc")))

    def tries(action):
        try:
            return action() or "done"
        except OSError as error:
            return error.strerror

    facts = {
        "write": tries(lambda: open(os.path.join(outside, "planted"), "w").close()),
        "read": tries(read),
        "connect": tries(
            lambda: socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 5).close()
        ),
        "change_harness": tries(change_harness),
        "neighbours": tries(find_neighbours),
    }
    with open(os.path.join(CONTROL, "said.json"), "w") as target:
        json.dump(facts, target)
    os._exit(0)


def daemon():
    """Leave a process behind that has no parent, no session and no environment of this one."""
    _daemon(["/bin/sleep", os.environ["NAP"]])


def memory_of_a_daemon():
    """Use memory where neither descent nor environment leads, and wait for it."""
    _daemon([sys.executable, "-c", "import time; x = b'x' * (400 << 20); time.sleep(600)"])
    hang()


def _daemon(command):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            os.execve(command[0], command, {})
        os._exit(0)
    os.wait()
    if command[0] != sys.executable:
        os._exit(0)


def link_out():
    """Put a link where the control directory's files were."""
    import shutil

    folder = os.path.join(CONTROL, "data")
    shutil.rmtree(folder, ignore_errors=True)
    os.symlink(os.environ["OUTSIDE"], folder)
    os._exit(0)


FAULTS = (
    fill_disk,
    hide_files,
    trespass,
    daemon,
    memory_of_a_daemon,
    link_out,
    segfault,
    abort,
    out_of_memory,
    memory_of_a_child,
    hang,
    fork_bomb,
    torn_output,
    no_output,
    odd_exit,
    flood,
    silent_flood,
    escape,
    links,
    large_file,
    deep_folders,
    confinement,
)


def start():
    wanted = os.environ.get("FAULT", "")
    for fault in FAULTS:
        if fault.__name__ == wanted:
            fault()


def configure(device, threads):
    pass


def describe():
    return {
        "versions": {},
        "threads": threading.active_count(),
        "device": "cpu",
        "device_name": None,
        "blas": None,
    }


def multiply(a, b):
    return a @ b


def load(format_name, path):
    """Read a model that is the name of a fault, or of nothing that is one."""
    with open(path) as source:
        wanted = source.read()
    for fault in FAULTS:
        if fault.__name__ == wanted:
            fault()
    if wanted == "refuse":
        raise ValueError("it refuses")
    return wanted


def answer(model, inputs):
    (x,) = inputs.values()
    return {"y": x.astype("float64") if model == "widen" else 2 * x}
