// ONNX Runtime in Node: `node node.mjs DIR`. The package is found by NODE_PATH.

import { createRequire } from "node:module";

import { log, start } from "./job.mjs";
import * as machine from "./machine.mjs";
import * as onnx from "./onnx.mjs";
import { serve } from "./phases.mjs";

const require = createRequire(import.meta.url);

// It would collect what it is used for and try to send it, on threads of its own.
process.env.ORT_DISABLE_TELEMETRY = "1";

machine.provideLocale();

/** The runtime as `serve` wants it. */
function runtimeOf(job, control) {
  let ort;
  const options = {
    executionProviders: ["cpu"],
    intraOpNumThreads: job.threads,
    interOpNumThreads: 1,
  };
  return {
    start: () => {
      ort = require("onnxruntime-node");
    },
    multiply: (dtype, left, right) => onnx.multiply(ort, options, dtype, left, right),
    describe: () => ({
      versions: { onnxruntime: ort.env.versions.node },
      threads: options.intraOpNumThreads, // it does not say itself
      device: "cpu",
      blas: "onnxruntime: MLAS",
    }),
    load: (name) => onnx.load(ort, control.path(name), options, () => control.read(name)),
    predict: (model, feeds) => onnx.predict(ort, model, feeds),
    release: onnx.release,
  };
}

await start(async (job, control) => {
  const pids = [process.pid];
  const answer = await serve(job, runtimeOf(job, control), {
    architecture: machine.architecture(),
    interpreter_s: control.interpreterS,
    read: (name) => control.read(name),
    write: (name, bytes) => control.write(name, bytes),
    cpuSeconds: () => machine.cpuSeconds([]),
    progress: () => {},
    log,
  });
  return { ...answer, pids };
});
