import assert from "node:assert/strict";
import { test } from "node:test";

import { Unsupported } from "./failures.mjs";
import { format, parse } from "./npy.mjs";
import { bind, Model } from "./onnx.mjs";
import { noneRun, serve } from "./phases.mjs";
import { COLUMNS, INNER, ROWS } from "./selftest.mjs";

const array = (shape, values) => ({ dtype: "float32", shape, data: Float32Array.from(values) });

const JOB = {
  phases: ["startup", "infer"],
  cell: { architecture: "amd64", device: "cpu" },
  threads: 1,
  selftest: ["float32", "float64"],
  infer: { batches: [1, 5], samples: 4, min_s: 0, warmup: 2 },
  artifact: {
    format: "onnx",
    model: "model.onnx",
    inputs: [{ name: "x", path: "0.npy" }],
    splits: [1, 2],
  },
};

/** A runtime whose model doubles its input, with anything in it replaced. */
function runtimeOf(replaced = {}) {
  return {
    start: () => {},
    multiply: (dtype, left, right) => {
      const data = new left.data.constructor(ROWS * COLUMNS);
      data.forEach((_, index) => {
        const [row, column] = [Math.floor(index / COLUMNS), index % COLUMNS];
        for (let inner = 0; inner < INNER; inner++) {
          data[index] += left.data[row * INNER + inner] * right.data[inner * COLUMNS + column];
        }
      });
      return { dtype, shape: [ROWS, COLUMNS], data };
    },
    describe: () => ({ threads: 1, device: "cpu" }),
    load: () => ({ inputs: ["x"], outputs: ["y"] }),
    predict: (_model, [[, { shape, data }]]) => [
      array(
        shape,
        data.map((value) => 2 * value),
      ),
    ],
    release: () => {},
    ...replaced,
  };
}

/** Serve a job; return its answer and what was written. */
async function served({ runtime, job, file = format(array([3, 2], [1, 2, 3, 4, 5, 6])) } = {}) {
  const written = {};
  const answer = await serve({ ...JOB, ...job }, runtimeOf(runtime), {
    architecture: "amd64",
    interpreter_s: 0.5,
    read: () => file,
    write: (name, bytes) => {
      written[name] = parse(bytes);
    },
    cpuSeconds: () => 0,
    progress: () => {},
    log: () => {},
  });
  return { ...answer, written };
}

const fail =
  (message, Kind = Error) =>
  () => {
    throw new Kind(message);
  };

test("the answers to the splits are put together and written", async () => {
  const sizes = [];
  const { predict } = runtimeOf();
  const runtime = {
    predict: (model, feeds) => {
      sizes.push(feeds[0][1].shape[0]);
      return predict(model, feeds);
    },
  };
  const { records, selftest, written } = await served({ runtime });
  assert.deepEqual(
    records.map((record) => record.status),
    ["ok", "ok"],
  );
  assert.deepEqual([...written["outputs/0.npy"].data], [2, 4, 6, 8, 10, 12]);
  assert.deepEqual(sizes.slice(0, 5), [1, 1, 2, 1, 2]);
  assert.equal(sizes.at(-1), 5);
  assert.deepEqual(
    selftest.map(({ dtype, passed }) => [dtype, passed]),
    [
      ["float32", true],
      ["float64", true],
    ],
  );
  const [startup, infer] = records.map((record) => record.data);
  assert.equal(startup.interpreter_s, 0.5);
  assert.deepEqual(infer.outputs, ["y"]);
  assert.equal(infer.repeatable, true);
  assert.ok(infer.batches[5].latency_s.length >= 6);
  assert.equal(infer.batches[5].warmup, 2);
  assert.ok(infer.batches[5].calls >= 1);
});

test("without splits all inputs go in one call", async () => {
  const { written } = await served({ job: { artifact: { ...JOB.artifact, splits: null } } });
  assert.deepEqual(written["outputs/0.npy"].shape, [3, 2]);
});

test("splits that do not add up are a failure of infer", async () => {
  const { records } = await served({ job: { artifact: { ...JOB.artifact, splits: [1, 1] } } });
  assert.deepEqual(
    records.map((record) => record.status),
    ["ok", "failed"],
  );
  assert.match(records[1].error.message, /2 rows.*has 3/);
});

test("inputs go by their names; a single one may have any", () => {
  const [a, b] = ["a", "b"].map((name) => ({ name, array: array([1], [1]) }));
  assert.deepEqual(bind({ inputs: ["a", "b"] }, [b, a]), [
    ["b", b.array],
    ["a", a.array],
  ]);
  assert.deepEqual(bind({ inputs: ["input"] }, [a]), [["input", a.array]]);
});

test("several inputs whose names do not fit are refused, with both", () => {
  const inputs = ["b", "typo"].map((name) => ({ name, array: array([1], [1]) }));
  const said = { name: "RangeError", message: "the model's inputs are a, b; got b, typo" };
  assert.throws(() => bind({ inputs: ["a", "b"] }, inputs), said);
  assert.throws(() => bind({ inputs: ["a", "b"] }, inputs.slice(1)), RangeError);
});

test("a model is released when the next job begins, and what fails then costs nothing", async () => {
  const released = [];
  const release = (model) => {
    released.push(model.outputs);
    throw new Error("gone");
  };
  await served({ runtime: { release } });
  assert.deepEqual(released, []);
  const { records } = await served();
  assert.deepEqual(released, [["y"]]);
  assert.ok(records.every(({ status }) => status === "ok"));
});

test("a runtime that does not start says so", async () => {
  const start = () => {
    throw new Error("no such library");
  };
  assert.equal((await served({ runtime: { start } })).startFailed, true);
  assert.equal((await served()).startFailed, false);
});

test("an answer that changes is not repeatable", async () => {
  let calls = 0;
  const runtime = {
    predict: (_model, [[, { shape, data }]]) => [
      array(
        shape,
        data.map(() => calls++),
      ),
    ],
  };
  const { records } = await served({ runtime });
  assert.equal(records[1].data.repeatable, false);
});

test("a runtime that cannot be loaded fails the first phase; the others are not reached", async () => {
  const { records } = await served({ runtime: { start: fail("no library") } });
  assert.equal(records[0].error.message, "no library");
  assert.equal(records[1].error.type, "NotReached");
});

test("a wrong product fails every phase, and nothing else is done", async () => {
  const wrong = (dtype) => ({
    dtype,
    shape: [ROWS, COLUMNS],
    data: new Float32Array(ROWS * COLUMNS).fill(NaN),
  });
  const { records, selftest } = await served({
    runtime: { multiply: wrong, load: fail("reached") },
  });
  assert.deepEqual(
    records.map((record) => record.error.type),
    ["SelfTestFailed", "SelfTestFailed"],
  );
  assert.equal(selftest[0].error, Number.MAX_VALUE);
});

test("a dtype without a product is left out", async () => {
  const { multiply } = runtimeOf();
  const only32 = (dtype, ...factors) => (dtype === "float32" ? multiply(dtype, ...factors) : null);
  const { records, selftest } = await served({ runtime: { multiply: only32 } });
  assert.deepEqual(
    selftest.map((test) => test.dtype),
    ["float32"],
  );
  assert.equal(records[1].status, "ok");
});

for (const [type, job] of [
  ["WrongPlatform", { cell: { architecture: "arm64", device: "cpu" } }],
  ["WrongDevice", { cell: { architecture: "amd64", device: "cuda" } }],
]) {
  test(`${type} is every phase's failure`, async () => {
    const { records } = await served({ job });
    assert.deepEqual(
      records.map((record) => record.error.type),
      [type, type],
    );
  });
}

test("more threads than given are every phase's failure", async () => {
  const { records } = await served({
    runtime: { describe: () => ({ threads: 2, device: "cpu" }) },
  });
  assert.deepEqual(
    records.map((record) => record.error.type),
    ["WrongThreads", "WrongThreads"],
  );
});

test("what the runtime cannot do is unsupported", async () => {
  const { records } = await served({ runtime: { load: fail("no such operator", Unsupported) } });
  assert.equal(records[0].status, "unsupported");
  assert.equal(records[1].error.type, "NotReached");
});

test("elements that nobody has an array for are unsupported", async () => {
  const bytes = format(array([1], [1]));
  bytes.set(new TextEncoder().encode("<c8"), Buffer.from(bytes).indexOf("<f4"));
  const { records } = await served({ file: bytes });
  assert.equal(records[0].status, "unsupported");
  assert.match(records[0].error.message, /<c8/);
});

test("other formats and other phases are unsupported", async () => {
  const other = await served({ job: { artifact: { ...JOB.artifact, format: "torch-export" } } });
  assert.equal(other.records[0].status, "unsupported");
  const { records } = await served({ job: { phases: ["startup", "train"] } });
  assert.deepEqual(
    records.map((record) => record.status),
    ["ok", "unsupported"],
  );
});

test("a failure while answering keeps what was found before", async () => {
  let calls = 0;
  const { predict } = runtimeOf();
  const runtime = {
    predict: (...given) => (++calls > 5 ? fail("out of memory")() : predict(...given)),
  };
  const { records } = await served({ runtime });
  assert.equal(records[1].status, "failed");
  assert.equal(records[1].data.repeatable, true);
});

test("what is thrown need not be an error", async () => {
  const runtime = {
    load: () => {
      throw 12345; // as WASM does
    },
  };
  const { records } = await served({ runtime });
  assert.deepEqual(records[0].error, { type: "number", message: "12345", traceback: "" });
});

test("a job that is ended from outside keeps the phases before", () => {
  const done = { phase: "startup", status: "ok" };
  const records = noneRun({ phases: ["startup", "infer"] }, new Error("crashed"), [done]);
  assert.equal(records[0], done);
  assert.equal(records[1].error.message, "crashed");
});

test("a model whose arrays JavaScript has no type for is unsupported before it is run", () => {
  const tensor = (name, type) => ({ name, type, isTensor: true });
  const sessionOf = (input, output) => ({
    inputMetadata: [tensor("x", input)],
    outputMetadata: [tensor("y", output)],
    inputNames: ["x"],
    outputNames: ["y"],
  });
  for (const [session, place] of [
    [sessionOf("float32", "int4"), /output y of the type int4/],
    [sessionOf("uint4", "float32"), /input x of the type uint4/],
  ]) {
    assert.throws(
      () => new Model(session),
      (thrown) => {
        return thrown instanceof Unsupported && place.test(thrown.message);
      },
    );
  }
  assert.deepEqual(new Model(sessionOf("string", "bool")).outputs, ["y"]);
});
