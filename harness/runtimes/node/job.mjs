// The control directory: read the job, write the answer in one piece. Only in Node.

import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

import { asError } from "./failures.mjs";
import * as machine from "./machine.mjs";
import { BadInput, folders } from "./sessions.mjs";

const SCHEMA = 1;
const NO_ROOM = 75; // see PROTOCOL.md
const FULL = ["ENOSPC", "EDQUOT"]; // errors of a disk that is full
const LONGEST_MS = 2 ** 31 - 1; // that a timer can wait
export const HERE = path.dirname(fileURLToPath(import.meta.url));

/**
 * Run a job, or those of a session: read each, let *execute* do it, write the answer; resolve to
 * the exit code.
 *
 * *execute* takes a job and its Control; it resolves to {described, selftest, records, startFailed,
 * pids}, the last being the processes that did the work. What it throws ends the process.
 */
export async function main(args, execute) {
  const interpreterS = machine.processAge();
  let scratch = null;
  try {
    if (args.length !== 1) {
      throw new BadInput("usage: node RUNNER DIR");
    }
    let place = 0;
    for await (const folder of folders(args[0])) {
      const job = readJob(folder);
      scratch ??= makeScratch(args[0]);
      place += 1;
      await serve(
        folder,
        job,
        new Control(folder, place === 1 ? interpreterS : null),
        execute,
        place,
      );
    }
  } catch (thrown) {
    if (!(thrown instanceof BadInput) && !FULL.includes(thrown?.code)) {
      throw thrown;
    }
    process.stderr.write(`harness: ${thrown.message}\n`);
    return thrown instanceof BadInput ? 2 : NO_ROOM;
  } finally {
    removeScratch(scratch);
  }
  return 0;
}

/** Do one job and write its answer. Of several in a process, *place* counts them from 1. */
async function serve(folder, job, control, execute, place) {
  const watchdog = await watch(job.deadline_s, control.path("watchdog.txt"));
  const { described, selftest, records, startFailed, pids } = await execute(job, control);
  const { bytes, source } = machine.peakMemory(pids);
  writeOutput(folder, {
    schema: SCHEMA,
    job: job.job,
    harness: fingerprint(),
    place,
    start_failed: Boolean(startFailed),
    environment: machine.environment(job, described, pids),
    selftest,
    peak_memory_bytes: bytes,
    memory_source: place === 1 ? source : "session", // it may be of a job before
    peak_resident_bytes: machine.peakResident(pids),
    canaries: [],
    artifacts: [],
    records,
  });
  await watchdog.terminate();
}

/** Make the folder for temporary files: the root file system may be read-only. Throws BadInput. */
function makeScratch(directory) {
  const scratch = path.join(path.resolve(directory), "tmp");
  try {
    fs.mkdirSync(scratch, { recursive: true });
  } catch (thrown) {
    throw new BadInput(`cannot write to ${directory}: ${thrown.message}`);
  }
  for (const name of ["TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"]) {
    process.env[name] = scratch; // the user may be unknown to the system, and have no home
  }
  return scratch;
}

/** Remove the scratch folder; what resists is the host's to remove. */
function removeScratch(scratch) {
  try {
    fs.rmSync(scratch ?? "", { recursive: true, force: true });
  } catch {
    // the answer is what counts
  }
}

/** End the process at once: the answer is written, and an orderly end takes time and may crash. */
export async function start(execute) {
  let code = 1;
  try {
    code = await main(process.argv.slice(2), execute);
  } catch (thrown) {
    const { traceback, message } = asError(thrown);
    process.stderr.write(`${traceback || message}\n`);
  }
  process.reallyExit(code);
}

/** Return the job in *directory*. Throws BadInput, which says what to do. */
export function readJob(directory) {
  const file = path.join(directory, "input.json");
  let job;
  try {
    job = JSON.parse(fs.readFileSync(file, "utf8"));
  } catch (thrown) {
    const why = thrown.message;
    throw new BadInput(`cannot read ${file}: ${why}; the host has to write it before the start`);
  }
  if (job?.schema !== SCHEMA) {
    throw new BadInput(
      `${file} has schema ${job?.schema}, this runner reads ${SCHEMA}; ` +
        "use the runner and the host of one version",
    );
  }
  const { job: id, phases, cell, threads, deadline_s: deadline, selftest, infer, artifact } = job;
  const complete = {
    job: typeof id === "string",
    phases: Array.isArray(phases) && phases.length > 0,
    cell: typeof cell?.device === "string",
    threads: Number.isInteger(threads) && threads > 0,
    deadline_s: deadline > 0,
    selftest: Array.isArray(selftest),
    infer: Array.isArray(infer?.batches) && infer.warmup >= 0 && infer.samples >= 0,
    artifact: typeof artifact?.model === "string" && Array.isArray(artifact.inputs),
  };
  const wrong = Object.keys(complete).filter((key) => !complete[key]);
  if (wrong.length) {
    throw new BadInput(`${file} lacks ${wrong.join(", ")}, or has it in another form`);
  }
  return job;
}

/** Write output.json so that a reader sees all of it or nothing; JSON.stringify makes NaN null. */
export function writeOutput(directory, output) {
  writeWhole(path.join(directory, "output.json"), JSON.stringify(output));
}

/** What a job may touch: files below the control directory. */
export class Control {
  /** *interpreterS*: what the start of the interpreter took, null where it served others before. */
  constructor(directory, interpreterS) {
    this.root = path.resolve(directory);
    this.interpreterS = interpreterS;
    try {
      fs.accessSync(this.root, fs.constants.W_OK);
    } catch (thrown) {
      throw new BadInput(`cannot write to ${directory}: ${thrown.message}`);
    }
  }

  /** Return the whole path of a *name* below the directory. Throws RangeError for any other. */
  path(name) {
    const whole = path.resolve(this.root, name);
    if (!whole.startsWith(this.root + path.sep)) {
      throw new RangeError(`${name} is not below the control directory`);
    }
    return whole;
  }

  read(name) {
    return fs.readFileSync(this.path(name));
  }

  /** Return the files beside one: `path` from its folder, `name` from the control directory. */
  beside(name) {
    const folder = path.dirname(this.path(name));
    return fs
      .readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
      .filter((file) => file !== this.path(name))
      .map((file) => ({
        path: path.relative(folder, file).replaceAll(path.sep, "/"),
        name: path.relative(this.root, file).replaceAll(path.sep, "/"),
      }));
  }

  write(name, bytes) {
    const whole = this.path(name);
    fs.mkdirSync(path.dirname(whole), { recursive: true });
    writeWhole(whole, bytes);
  }
}

/** Return 16 hex digits of the runner's own sources, the same on every machine. */
export function fingerprint() {
  const digest = createHash("sha256");
  const sources = fs.readdirSync(HERE).filter((name) => /\.(mjs|html)$/.test(name));
  for (const name of sources.filter((file) => !file.endsWith(".test.mjs")).sort()) {
    const text = fs.readFileSync(path.join(HERE, name), "utf8").replaceAll("\r\n", "\n");
    digest.update(`${name}\0${text}\0`);
  }
  return digest.digest("hex").slice(0, 16);
}

export const log = (line) => process.stderr.write(`${line}\n`);

/**
 * Kill this process after *seconds*, from a thread: a model that is being loaded blocks timers.
 *
 * Resolve to the thread. It first writes *report*, the host's sign that the deadline has passed.
 * The signal is not SIGKILL: an engine takes that for the memory limit's.
 */
async function watch(seconds, report) {
  const text = `The deadline of ${seconds} s has passed.\n`;
  const source = `
    setTimeout(() => {
      const { report, text } = require("node:worker_threads").workerData;
      try {
        require("node:fs").writeFileSync(report, text);
      } finally {
        process.kill(process.pid, "SIGQUIT"); // also where the disk is full
      }
    }, ${Math.min(seconds * 1000, LONGEST_MS)});`;
  const watchdog = new Worker(source, { eval: true, workerData: { report, text } });
  await new Promise((resolve, reject) => watchdog.once("online", resolve).once("error", reject));
  watchdog.unref();
  return watchdog;
}

function writeWhole(file, content) {
  const temporary = `${file}.part`;
  const target = fs.openSync(temporary, "w");
  try {
    fs.writeFileSync(target, content);
    fs.fsyncSync(target);
  } finally {
    fs.closeSync(target);
  }
  fs.renameSync(temporary, file);
}
