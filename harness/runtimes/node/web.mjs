// ONNX Runtime Web in headless Chromium: `node web.mjs DIR`. The packages are found by NODE_PATH.
//
// This process serves the page, the runtime and the job's files over loopback and drives the
// browser; the work is done, and timed, inside the page.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

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

/** What a page may read and write for one job; its answer so far is in `answer`. */
class Desk {
  answer = { described: null, selftest: [], records: [] };

  constructor(job, control) {
    this.control = control;
    this.external = control.beside(job.artifact.model); // the files beside the model
    this.readable = new Set([
      job.artifact.model,
      ...job.artifact.inputs.map((input) => input.path),
      ...this.external.map(({ name }) => name),
    ]);
  }
}

/** Answer a page's requests; *desk* returns that of the job which the page is on. */
function handler(desk) {
  const packages = path.dirname(require.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));
  const file = (folder, name) =>
    /^[\w.-]+\.(html|mjs|wasm)$/.test(name) ? path.join(folder, name) : null;
  const answer = async (request) => {
    const { control, readable } = desk();
    const [, room, name] = /^\/([a-z]+)(?:\/(.+))?$/.exec(decodeURI(request.url)) ?? [];
    if (request.method === "PUT") {
      const chunks = await request.toArray();
      if (room === "control" && /^outputs\/\d+\.npy$/.test(name)) {
        return control.write(name, Buffer.concat(chunks));
      }
      if (room === "progress") {
        desk().answer = JSON.parse(Buffer.concat(chunks).toString());
        return "";
      }
      return null;
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

/** Start the browser; the deadline of the job is the only one. */
async function launch() {
  const { chromium } = require("playwright-core");
  return chromium.launch({
    executablePath: CHROMIUM,
    args: FLAGS,
    timeout: 0,
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
}

/** Open the page in a browser; resolve to it and to what rejects when one of them is gone. */
async function open(browser, port) {
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
  return { page, crashed };
}

/** The browser or its page is gone, as where there was not enough memory. */
class PageCrashed extends Error {}

/** How long a browser whose page failed may take to end, in milliseconds. */
const CLOSE_MS = 5000;

let desk; // of the job that the page is on
let port; // of the server, which lives as long as the process
let browser = null;
let opened = null; // its page, which serves all jobs of the process

/** End a browser whose page failed: the job after that one gets a new one. */
async function closeFailed() {
  if (browser && !opened) {
    await Promise.race([browser.close().catch(() => {}), sleep(CLOSE_MS)]);
    browser = null;
  }
}

await start(async (job, control) => {
  await closeFailed();
  desk = new Desk(job, control);
  let isOpen = false;
  try {
    port ??= await listen(handler(() => desk));
    browser ??= await launch();
    opened ??= await open(browser, port);
    isOpen = true;
    // What interprets is the browser: its start is the interpreter's.
    const interpreterS = control.interpreterS === null ? null : machine.processAge();
    const facts = { architecture: machine.architecture(), interpreter_s: interpreterS };
    const answered = opened.page.evaluate(
      (args) => globalThis.run(...args),
      [job, facts, desk.external],
    );
    desk.answer = JSON.parse(await Promise.race([answered, opened.crashed]));
  } catch (thrown) {
    log(thrown?.stack ?? thrown);
    desk.answer.records = noneRun(job, thrown, desk.answer.records);
    desk.answer.startFailed = !isOpen;
    opened = null;
  }
  const { answer } = desk;
  const described = answer.described && {
    ...answer.described,
    versions: { ...answer.described.versions, chromium: browser?.version() },
  };
  // The browser still runs, so that its memory can be read; it ends with this process.
  return { ...answer, described, pids: [process.pid, ...machine.descendants(process.pid)] };
});
