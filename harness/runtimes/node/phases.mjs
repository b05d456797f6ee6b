// The phases: what is done with an artifact, the same in Node and in a page.
//
// Each takes the job and an object that it fills with what it finds, so that what was found
// before a failure is kept.

import { sample, timed } from "./clock.mjs";
import {
  asError,
  errorOf,
  isEverywhere,
  SelfTestFailed,
  statusOf,
  Unsupported,
  WrongDevice,
  WrongPlatform,
  WrongThreads,
} from "./failures.mjs";
import { generate } from "./generation.mjs";
import { concatenate, format, parse, rows, same } from "./npy.mjs";
import { bind } from "./onnx.mjs";
import * as selftest from "./selftest.mjs";

/** The job that the process served before, if any: its model still has its memory. */
let previous = null;

/** Release it once its answer is written: that may crash. What is caught costs no answer. */
async function releasePrevious(host) {
  try {
    await previous?.release();
  } catch (thrown) {
    host.log(asError(thrown).message);
  }
  previous = null;
}

/**
 * Do what *document* asks; resolve to the parts of output.json that a page can know.
 *
 * *runtime* has `start`, `multiply`, `describe`, `load`, `predict` and `release`; *host* has `read` and `write`
 * of files below the control directory, `cpuSeconds`, `log`, `progress`, which takes the answer so
 * far, and the facts `architecture` and `interpreter_s`.
 */
export async function serve(document, runtime, host) {
  const began = performance.now();
  const answer = { described: null, selftest: [], records: [], startFailed: false };
  await releasePrevious(host);
  let job;
  try {
    const [, importS] = await timed(runtime.start);
    answer.selftest = await selftest.run(document.selftest, runtime.multiply);
    answer.described = runtime.describe();
    prove(document, host.architecture, answer);
    job = new ArtifactJob(document, runtime, host);
    job.started = { interpreter_s: host.interpreter_s, import_s: importS };
  } catch (thrown) {
    answer.records = noneRun(document, thrown);
    answer.startFailed = true;
    return answer;
  }
  for (const phase of document.phases) {
    const startup = answer.records.find((entry) => entry.phase === "startup");
    answer.records.push(
      phase !== "startup" && startup && startup.status !== "ok"
        ? recordOf(phase, "failed", notReached("startup"))
        : await runPhase(job, phase, began),
    );
    await host.progress(answer);
  }
  previous = job;
  return answer;
}

/**
 * Return the records of a job that was ended from outside, such as by the page's crash.
 *
 * *records* are those that were there before; the next phase gets the failure, later ones were
 * not reached.
 */
export function noneRun(document, thrown, records = []) {
  const error = asError(thrown);
  const [first, ...later] = document.phases.slice(records.length);
  const unreached = later.map((phase) =>
    isEverywhere(thrown)
      ? recordOf(phase, "failed", error)
      : recordOf(phase, "failed", notReached(first)),
  );
  return first ? [...records, recordOf(first, statusOf(thrown), error), ...unreached] : records;
}

/** A job with an artifact: its model and its inputs, each read once. */
class ArtifactJob {
  #model;
  #inputs;

  constructor(document, runtime, host) {
    Object.assign(this, { document, runtime, host, started: {} });
  }

  /** Resolve to {model, seconds}: loaded on the first call, and what that took. */
  async model() {
    if (!this.#model) {
      const { format: name, model } = this.document.artifact;
      if (name !== "onnx" && name !== "ort") {
        throw new Unsupported(`onnxruntime does not read ${name}`);
      }
      const [loaded, seconds] = await timed(() => this.runtime.load(model));
      this.#model = { model: loaded, seconds };
    }
    return this.#model;
  }

  /** Let go of the model's memory: the process may serve others. */
  async release() {
    if (this.#model) {
      await this.runtime.release(this.#model.model);
    }
  }

  /** Resolve to what the model is asked, a list of [name, array], read on the first call. */
  async inputs() {
    if (!this.#inputs) {
      const { model } = await this.model();
      const read = async ({ name, path }) => ({ name, array: parse(await this.host.read(path)) });
      this.#inputs = bind(model, await Promise.all(this.document.artifact.inputs.map(read)));
    }
    return this.#inputs;
  }

  /** Resolve to the answers to all inputs, a list of arrays. */
  async answers() {
    const [{ model }, inputs] = [await this.model(), await this.inputs()];
    const { splits } = this.document.artifact;
    if (!splits) {
      return this.runtime.predict(model, inputs);
    }
    checkSplits(splits, inputs);
    const parts = [];
    let first = 0;
    for (const count of splits) {
      parts.push(await this.runtime.predict(model, take(inputs, first, count)));
      first += count;
    }
    return parts[0].map((_, index) => concatenate(parts.map((part) => part[index])));
  }
}

/** From nothing to the first answer. */
async function startup(job, data) {
  Object.assign(data, job.started);
  const { model, seconds } = await job.model();
  data.build_s = seconds;
  const inputs = await job.inputs();
  // What cannot be split may have no rows: then the first answer is to all of it.
  const first = job.document.artifact.splits ? take(inputs, 0, 1) : inputs;
  [, data.first_forward_s] = await timed(() => job.runtime.predict(model, first));
  data.answered_at = Date.now() / 1000;
}

/** Answer everything twice, then in batches; latency is what a caller with arrays waits for. */
async function infer(job, data) {
  const { model, seconds } = await job.model();
  data.load_s = seconds;
  data.outputs = model.outputs;
  const answers = await job.answers();
  for (const [index, array] of answers.entries()) {
    await job.host.write(`outputs/${index}.npy`, format(array));
  }
  const again = await job.answers();
  data.repeatable = answers.every((array, index) => same(array, again[index]));
  const { batches, warmup, samples, min_s: leastS = 0, max_s: mostS } = job.document.infer;
  const { splits } = job.document.artifact;
  data.batches = {};
  const busy = await job.host.cpuSeconds();
  const began = performance.now();
  for (const size of batches) {
    const inputs = await job.inputs();
    const batch = splits ? take(inputs, 0, size) : inputs;
    const answer = () => job.runtime.predict(model, batch);
    const limits = {
      least: warmup + samples,
      fewest: warmup + 3,
      leastS,
      mostS: mostS ?? Infinity,
    };
    data.batches[size] = { warmup, ...(await sample(answer, limits)) };
  }
  const wallS = (performance.now() - began) / 1000;
  const after = await job.host.cpuSeconds();
  data.cpu_share = (after - busy) / wallS;
  const { generation } = job.document.artifact;
  if (generation) {
    const { generations } = job.document.infer;
    data.generation = await generate(model, job.runtime.predict, generation, generations);
  }
}

const PHASES = { startup, infer };

/** Throw unless platform, device, threads and arithmetic are as they must be. */
function prove(document, architecture, { described, selftest: tests }) {
  const { cell, threads } = document;
  if (cell.architecture !== undefined && cell.architecture !== architecture) {
    throw new WrongPlatform(`asked for architecture ${cell.architecture}, this is ${architecture}`);
  }
  if (cell.device !== described.device) {
    throw new WrongDevice(`asked for ${cell.device}, the runtime is on ${described.device}`);
  }
  if (described.threads > threads) {
    throw new WrongThreads(`asked for ${threads} threads, the runtime uses ${described.threads}`);
  }
  const failed = tests.filter((test) => !test.passed);
  if (failed.length) {
    const wrong = failed.map(({ by, dtype, error }) => `${by} ${dtype} by ${error}`).join(", ");
    throw new SelfTestFailed(`a matrix product is wrong: ${wrong}; nothing here can count`);
  }
}

/** Run one phase; say so in the log, which tells where a dead process was. */
async function runPhase(job, phase, began) {
  job.host.log(`harness: ${phase}`);
  const data = {};
  const start = performance.now();
  let [status, error] = ["ok", null];
  try {
    if (!Object.hasOwn(PHASES, phase)) {
      throw new Unsupported(`a runtime that only serves has no phase ${phase}`);
    }
    await PHASES[phase](job, data);
  } catch (thrown) {
    [status, error] = [statusOf(thrown), asError(thrown)];
    job.host.log(error.traceback || error.message);
  }
  const seconds = (performance.now() - start) / 1000;
  return recordOf(phase, status, error, { started_s: (start - began) / 1000, seconds, data });
}

function recordOf(phase, status, error, fields = {}) {
  return { phase, status, error, started_s: 0, seconds: 0, data: {}, ...fields };
}

const notReached = (phase) => errorOf("NotReached", `${phase} did not succeed, and this needs it`);

const take = (inputs, first, count) =>
  inputs.map(([name, array]) => [name, rows(array, first, count)]);

function checkSplits(splits, inputs) {
  const sum = splits.reduce((total, count) => total + count, 0);
  for (const [name, { shape }] of inputs) {
    if (!splits.length || sum !== shape[0]) {
      throw new RangeError(`splits are ${sum} rows, the input ${name} has ${shape[0] ?? "none"}`);
    }
  }
}
