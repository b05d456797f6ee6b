// ONNX Runtime Web in headless Chromium: `node web.mjs DIR`. The packages are found by NODE_PATH.
//
// This process serves the page, the runtime and the job's files over loopback and drives the
// browser; the work is done, and timed, inside the page.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

import { HERE, log, start } from "./job.mjs";
import * as machine from "./machine.mjs";
import { noneRun } from "./phases.mjs";

const require = createRequire(import.meta.url);

// Debian's own, without the shell script before it, which asks for programs that are not here.
const CHROMIUM = process.env.DEEPMATRIX_CHROMIUM ?? "/usr/lib/chromium/chromium";

// The container is the sandbox. No graphics, and nothing that calls out.
const FLAGS = [
  "--no-sandbox",
  "--no-zygote",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--disable-breakpad",
  "--no-first-run",
];

const TYPES = { ".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** Only a page that is isolated from all other origins has threads and a clock of 5 µs. */
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-store",
};

/**
 * Answer a page's requests for one job.
 *
 * *external* are the files beside the model, *progress* takes what the page has answered so far.
 */
function handler(job, control, external, progress) {
  const readable = new Set([
    job.artifact.model,
    ...job.artifact.inputs.map((input) => input.path),
    ...external.map(({ name }) => name),
  ]);
  const packages = path.dirname(require.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));
  const file = (folder, name) =>
    /^[\w.-]+\.(html|mjs|wasm)$/.test(name) ? path.join(folder, name) : null;
  const answer = async (request) => {
    const [, room, name] = /^\/([a-z]+)(?:\/(.+))?$/.exec(decodeURI(request.url)) ?? [];
    if (request.method === "PUT") {
      const chunks = await request.toArray();
      if (room === "control" && /^outputs\/\d+\.npy$/.test(name)) {
        return control.write(name, Buffer.concat(chunks));
      }
      return room === "progress" ? progress(Buffer.concat(chunks).toString()) : null;
    }
    if (room === "cpu") {
      return JSON.stringify(machine.cpuSeconds(machine.descendants(process.pid)));
    }
    const source =
      room === "harness"
        ? file(HERE, name)
        : room === "packages"
          ? file(packages, name)
          : room === "control" && readable.has(name)
            ? control.path(name)
            : null;
    return source && fs.readFileSync(source);
  };
  return async (request, response) => {
    try {
      const body = await answer(request);
      const type = TYPES[path.extname(request.url)] ?? "application/octet-stream";
      response.writeHead(body === null ? 404 : 200, { ...HEADERS, "Content-Type": type }).end(body);
    } catch (thrown) {
      response.writeHead(500, HEADERS).end(String(thrown?.message ?? thrown));
    }
  };
}

async function listen(handle) {
  const server = http.createServer(handle);
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  return server.address().port;
}

/** Start the browser and open the page; the deadline of the job is the only one. */
async function open(port) {
  const { chromium } = require("playwright-core");
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: FLAGS,
    timeout: 0,
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  page.on("console", (message) => log(message.text()));
  page.on("pageerror", (error) => log(error.stack ?? error.message));
  const crashed = new Promise((_, reject) => {
    page.once("crash", () => reject(new PageCrashed("the page has crashed")));
    browser.once("disconnected", () => reject(new PageCrashed("the browser has ended")));
  });
  crashed.catch(() => {}); // also where nobody waits for it
  await page.goto(`http://127.0.0.1:${port}/harness/page.html`);
  return { browser, page, crashed };
}

/** The browser or its page is gone, as where there was not enough memory. */
class PageCrashed extends Error {}

await start(async (job, control) => {
  let answer = { described: null, selftest: [], records: [] };
  let version;
  try {
    const progress = (text) => {
      answer = JSON.parse(text);
    };
    const external = control.beside(job.artifact.model);
    const port = await listen(handler(job, control, external, progress));
    const { browser, page, crashed } = await open(port);
    version = browser.version();
    // What interprets is the browser: its start is the interpreter's.
    const facts = { architecture: machine.architecture(), interpreter_s: machine.processAge() };
    const answered = page.evaluate((args) => globalThis.run(...args), [job, facts, external]);
    answer = JSON.parse(await Promise.race([answered, crashed]));
  } catch (thrown) {
    log(thrown?.stack ?? thrown);
    answer.records = noneRun(job, thrown, answer.records);
  }
  const described = answer.described && {
    ...answer.described,
    versions: { ...answer.described.versions, chromium: version },
  };
  // The browser still runs, so that its memory can be read; it ends with this process.
  return { ...answer, described, pids: [process.pid, ...machine.descendants(process.pid)] };
});
