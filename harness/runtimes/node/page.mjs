// ONNX Runtime Web inside a page; `web.mjs` serves it and calls `run`.

import * as onnx from "./onnx.mjs";
import { serve } from "./phases.mjs";

async function ask(path, init) {
  const response = await fetch(path, init);
  if (!response.ok) {
    throw new Error(`${path}: ${response.status} ${await response.text()}`);
  }
  return response;
}

const read = async (name) => new Uint8Array(await (await ask(`/control/${name}`)).arrayBuffer());

/** Resolve to a model's external data as the runtime wants it: it has no files of its own. */
const readExternal = (files) =>
  Promise.all(files.map(async ({ path, name }) => ({ path, data: await read(name) })));

/** The runtime as `serve` wants it; *external* are the files beside the model. */
function runtimeOf(job, external) {
  let ort;
  const options = { executionProviders: ["wasm"] };
  return {
    start: async () => {
      ort = await import("/packages/ort.wasm.min.mjs");
      ort.env.wasm.wasmPaths = "/packages/";
      ort.env.wasm.numThreads = job.threads;
      // The WASM itself is fetched and compiled with the first session.
      const array = { dtype: "float32", shape: [1, 1], data: Float32Array.of(1) };
      await onnx.multiply(ort, options, "float32", array, array);
    },
    multiply: (dtype, left, right) => onnx.multiply(ort, options, dtype, left, right),
    describe: () => ({
      versions: { onnxruntime: ort.env.versions.web },
      threads: ort.env.wasm.numThreads, // which it lowers where it cannot have them
      device: "cpu",
      blas: "onnxruntime: MLAS, WASM SIMD",
    }),
    load: async (name) =>
      onnx.load(ort, await read(name), { ...options, externalData: await readExternal(external) }),
    predict: (model, feeds) => onnx.predict(ort, model, feeds),
    release: onnx.release,
  };
}

/** Do a job; resolve to the answer as JSON, in which a number that is not finite is null. */
globalThis.run = async (job, facts, external) => {
  if (!globalThis.crossOriginIsolated) {
    throw new Error("the page is not isolated: it would have neither threads nor a fine clock");
  }
  const put = (path, body) => ask(path, { method: "PUT", body });
  const answer = await serve(job, runtimeOf(job, external), {
    ...facts,
    read,
    write: (name, bytes) => put(`/control/${name}`, bytes),
    cpuSeconds: async () => (await ask("/cpu")).json(),
    progress: (answer) => put("/progress", JSON.stringify(answer)),
    log: (line) => console.error(line),
  });
  return JSON.stringify(answer);
};
