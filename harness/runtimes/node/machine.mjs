// What the process really runs on, read back from the machine itself.

import { existsSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import os from "node:os";
import path from "node:path";

const ARCHITECTURES = { x64: "amd64" };
const TICKS = 100; // a second, in Linux's /proc on every architecture

/** The architecture in the words of a cell's id. */
export const architecture = () => ARCHITECTURES[process.arch] ?? process.arch;

/** Return the `environment` of the answer; *described* is null where the runtime never started. */
export function environment(job, described, pids) {
  return {
    machine: os.machine(),
    processor: processor(),
    cpus: os.availableParallelism(),
    libc: libc(),
    emulated: Boolean(job.emulated),
    threads: {
      requested: job.threads,
      framework: described?.threads ?? null,
      process: threads(pids),
    },
    versions: { ...described?.versions, node: process.versions.node },
    device: { requested: job.cell.device, actual: described?.device ?? null, name: null },
    blas: described?.blas ?? null,
  };
}

/** Return the seconds since this process started, its loading included. */
export function processAge() {
  const [uptime] = read("/proc/uptime").split(" ");
  const age = Number(uptime || NaN) - startOf(process.pid);
  return age >= 0 && age < 3600 ? age : performance.now() / 1000;
}

/** Return the processes that *pid* started, and those that they started. */
export function descendants(pid) {
  const children = {};
  for (const child of list("/proc").filter((name) => /^\d+$/.test(name))) {
    const parent = stat(child)[1];
    children[parent] ??= [];
    children[parent].push(Number(child));
  }
  const started = [...(children[pid] ?? [])];
  for (const child of started) {
    started.push(...(children[child] ?? []));
  }
  return started;
}

/** Return the seconds of processor time that this process and *others* have used. */
export function cpuSeconds(others) {
  const { user, system } = process.cpuUsage(); // under QEMU its own /proc/self/stat is made up
  return others
    .map((pid) => stat(pid))
    .map((fields) => (Number(fields[11]) + Number(fields[12])) / TICKS)
    .filter(Number.isFinite) // some may have ended
    .reduce((sum, seconds) => sum + seconds, (user + system) / 1e6);
}

/**
 * Return {bytes, source} of the most memory held so far.
 *
 * A control group counts all processes at once, but is ours only in a container, where process 1
 * is this one or the init that started it. Elsewhere it is the largest of *pids*.
 */
export function peakMemory(pids) {
  if (process.pid === 1 || process.ppid === 1) {
    for (const [source, path] of [
      ["cgroup2", "/sys/fs/cgroup/memory.peak"],
      ["cgroup1", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"],
    ]) {
      const value = read(path).trim();
      if (/^\d+$/.test(value)) {
        return { bytes: Number(value), source };
      }
    }
  }
  return { bytes: peakResident(pids), source: "process" };
}

/** Return the most bytes that one of *pids* had in memory, mapped files included. */
export function peakResident(pids) {
  const peaks = pids.map((pid) => /^VmHWM:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]);
  const known = peaks.filter(Boolean).map((kibibytes) => Number(kibibytes) * 1024);
  return known.length ? Math.max(...known) : process.resourceUsage().maxRSS * 1024;
}

function threads(pids) {
  const counts = pids.map((pid) => list(`/proc/${pid}/task`).length);
  return counts.reduce((sum, count) => sum + count, 0) || null;
}

/** The processor's own name, or what the kernel says of it; under QEMU often neither. */
function processor() {
  const facts = {};
  for (const line of read("/proc/cpuinfo").split("\n")) {
    const [key, value] = line.split(":").map((part) => part.trim());
    facts[key] ??= value;
  }
  const part = facts["CPU part"];
  return (
    facts["model name"] ??
    (LINUX ? null : os.cpus()[0]?.model) ??
    (part ? `implementer ${facts["CPU implementer"] ?? "unknown"} part ${part}` : null)
  );
}

function libc() {
  if (!LINUX) {
    return `${os.type()} ${os.release()}`;
  }
  try {
    process.report.excludeNetwork = true; // it would look names up
    const version = process.report.getReport().header.glibcVersionRuntime;
    return version ? `glibc ${version}` : null;
  } catch {
    return null;
  }
}

const startOf = (pid) => Number(stat(pid)[19]) / TICKS;

/** The fields of /proc/PID/stat after the name, which may hold anything: state, parent, … */
function stat(pid) {
  const text = read(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/** Another system under Wine sees Linux's files too: of processes that are not its own. */
const LINUX = process.platform === "linux";

function read(path) {
  if (!LINUX) {
    return "";
  }
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function list(path) {
  if (!LINUX) {
    return [];
  }
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

const LOCALES = "/usr/lib/locale";

/**
 * Let the C library find a locale for American English where the system has only C.UTF-8.
 *
 * ONNX's StringNormalizer asks for it by default, to change the case of letters; in C.UTF-8 they
 * change in the same way. Under Wine that library is not the one in use, though its files can be
 * seen.
 */
export function provideLocale() {
  if (process.platform !== "linux") {
    return;
  }
  const installed = existsSync(LOCALES) ? readdirSync(LOCALES) : [];
  if (installed.join() !== "C.utf8") {
    return;
  }
  const folder = mkdtempSync(path.join(os.tmpdir(), "locale-"));
  for (const name of ["C.UTF-8", "en_US.UTF-8"]) {
    symlinkSync(path.join(LOCALES, "C.utf8"), path.join(folder, name));
  }
  process.env.LOCPATH = folder;
}
