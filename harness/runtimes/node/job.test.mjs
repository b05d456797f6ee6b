import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";

import { Control, fingerprint, HERE, readJob, writeOutput } from "./job.mjs";
import { BadInput } from "./sessions.mjs";

const JOB = {
  schema: 1,
  job: "one",
  cell: { id: "x-debian13-amd64-cpu", device: "cpu" },
  phases: ["startup", "infer"],
  deadline_s: 60,
  threads: 1,
  selftest: ["float32"],
  infer: { batches: [1], samples: 1, min_s: 0, warmup: 0 },
  artifact: { format: "onnx", model: "model.onnx", inputs: [], splits: null },
};

const TEMPORARY = os.tmpdir(); // a Control gives this process another

function folder(context, job = JOB) {
  const directory = fs.mkdtempSync(path.join(TEMPORARY, "deepmatrix-"));
  context.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  if (job) {
    fs.writeFileSync(path.join(directory, "input.json"), JSON.stringify(job));
  }
  return directory;
}

/** Return a runner whose work is *source*, the body of an `execute`. */
const programOf = (source) => `
    import { start } from ${JSON.stringify(`file://${HERE}/job.mjs`)};
    await start(async (job, control) => {
      const answer = { described: null, selftest: [], records: [], pids: [process.pid] };
      ${source}
    });`;

/** Run a job whose work is *source*; return its end and its folder. */
function run(context, source, job = JOB) {
  const directory = folder(context, job);
  // A process that is started by `-e` has no file as its second argument.
  const file = path.join(directory, "program.mjs");
  fs.writeFileSync(file, programOf(source));
  const { status, signal, stderr } = spawnSync(process.execPath, [file, directory], {
    encoding: "utf8",
  });
  const output = path.join(directory, "output.json");
  const found = fs.existsSync(output) ? JSON.parse(fs.readFileSync(output, "utf8")) : null;
  return { directory, status, signal, stderr, output: found };
}

test("a full disk is no failure of the job", { skip: !fs.existsSync("/dev/full") }, (context) => {
  const { status, stderr, output } = run(
    context,
    `const { symlinkSync } = await import("node:fs");
     symlinkSync("/dev/full", control.path("output.json.part"));
     return answer;`,
  );
  assert.equal(status, 75);
  assert.match(stderr, /^harness: ENOSPC/);
  assert.equal(output, null);
});

test("an answer is written whole, with what the machine is", (context) => {
  const { directory, status, output } = run(context, "answer.records = [1, NaN]; return answer;");
  assert.equal(status, 0);
  assert.deepEqual(output.records, [1, null]);
  assert.equal(output.job, "one");
  assert.equal(output.harness, fingerprint());
  assert.equal(output.environment.threads.requested, 1);
  assert.ok(output.peak_memory_bytes >= 10e6);
  assert.deepEqual(fs.readdirSync(directory).sort(), ["input.json", "output.json", "program.mjs"]);
});

/** Put a job into a session's folder as the host does. */
function putJob(directory, number, { last = false, job = JOB } = {}) {
  const place = path.join(directory, "jobs", String(number).padStart(4, "0"));
  fs.mkdirSync(place, { recursive: true });
  fs.writeFileSync(
    path.join(place, "input.json"),
    JSON.stringify({ ...job, job: `job ${number}` }),
  );
  for (const name of ["ready", ...(last ? ["last"] : [])]) {
    fs.writeFileSync(path.join(place, name), "");
  }
  return path.join(place, "output.json");
}

/** Start a process for a session; resolve to its exit code once it has ended. */
function startSession(directory, onServed, source = "answer.records = [job.job]; return answer;") {
  const session = { schema: 1, nonce: "served abc", wait_s: 0.3 };
  fs.writeFileSync(path.join(directory, "session.json"), JSON.stringify(session));
  const file = path.join(directory, "program.mjs");
  fs.writeFileSync(file, programOf(source));
  const child = spawn(process.execPath, [file, directory], { stdio: ["ignore", "ignore", "pipe"] });
  child.stderr.on("data", (text) => {
    for (const _ of String(text).matchAll(/^served abc$/gm)) {
      onServed();
    }
  });
  return new Promise((resolve) => child.once("close", resolve));
}

test("a process serves the jobs of a session one by one", async (context) => {
  const directory = folder(context, null);
  const files = [putJob(directory, 1)];
  const answers = [];
  const code = await startSession(directory, () => {
    answers.push(JSON.parse(fs.readFileSync(files.at(-1), "utf8")));
    fs.rmSync(path.dirname(files.at(-1)), { recursive: true });
    files.push(putJob(directory, files.length + 1, { last: files.length === 2 }));
  });
  answers.push(JSON.parse(fs.readFileSync(files.at(-1), "utf8")));
  assert.equal(code, 0);
  assert.deepEqual(
    answers.map(({ job, place, records }) => [job, place, ...records]),
    [1, 2, 3].map((number) => [`job ${number}`, number, `job ${number}`]),
  );
  assert.deepEqual(
    answers.map((answer) => answer.memory_source === "session"),
    [false, true, true],
  );
});

test("each job of a session has the whole of its deadline", async (context) => {
  const directory = folder(context, null);
  const job = { ...JOB, deadline_s: 1 };
  let number = 1;
  putJob(directory, number, { job });
  const wait = "await new Promise((resolve) => setTimeout(resolve, 600)); return answer;";
  const code = await startSession(
    directory,
    () => {
      number += 1;
      putJob(directory, number, { job, last: number === 3 });
    },
    wait,
  );
  assert.equal(code, 0);
});

test("a session whose host is gone ends with 2", async (context) => {
  const directory = folder(context, null);
  putJob(directory, 1);
  assert.equal(await startSession(directory, () => {}), 2);
});

test("work that throws ends with 1, its reason in the log, and no answer", (context) => {
  const { status, stderr, output } = run(context, 'throw new Error("no such luck");');
  assert.equal(status, 1);
  assert.match(stderr, /no such luck/);
  assert.equal(output, null);
});

test("the deadline ends work that blocks everything", (context) => {
  const job = { ...JOB, deadline_s: 0.2 };
  const { directory, signal, output } = run(context, "for (;;);", job);
  assert.equal(signal, "SIGQUIT");
  const report = fs.readFileSync(path.join(directory, "watchdog.txt"), "utf8");
  assert.match(report, /deadline of 0.2 s/);
  assert.equal(output, null);
});

test("temporary files go below the control directory and are gone afterwards", (context) => {
  const { output } = run(context, "answer.records = [process.env.TMPDIR]; return answer;");
  assert.ok(output.records[0].endsWith("/tmp"));
  assert.ok(!fs.existsSync(output.records[0]));
});

for (const [name, job] of [
  ["without a job", null],
  ["with another schema", { ...JOB, schema: 2 }],
  ["with a job that is not an object", "text"],
  ["without an artifact", { ...JOB, artifact: undefined }],
]) {
  test(`a directory ${name} cannot be used`, (context) => {
    const directory = folder(context, job);
    assert.throws(() => readJob(directory), BadInput);
    const { status } = run(context, "return answer;", job);
    assert.equal(status, 2);
  });
}

test("a directory that is not there cannot be used", () => {
  assert.throws(() => readJob("/nowhere"), BadInput);
  assert.throws(() => new Control("/dev/null/nowhere", 0), BadInput);
});

test("paths stay below the control directory", (context) => {
  const control = new Control(folder(context), 0);
  assert.throws(() => control.path("../other"), RangeError);
  assert.throws(() => control.path("/etc/passwd"), RangeError);
  control.write("outputs/0.npy", Uint8Array.of(1, 2));
  assert.deepEqual([...control.read("outputs/0.npy")], [1, 2]);
});

test("a number that is not finite is null", (context) => {
  const directory = folder(context);
  writeOutput(directory, { values: [1, NaN, Infinity], nested: { value: -Infinity } });
  const text = fs.readFileSync(path.join(directory, "output.json"), "utf8");
  assert.deepEqual(JSON.parse(text), { values: [1, null, null], nested: { value: null } });
});
