// A session: one process that serves jobs one by one, each in a control directory of its own. See
// harness/PROTOCOL.md. Only in Node.

import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** How often to look for the next job, in milliseconds. */
const LOOK_MS = 5;

/** The control directory cannot be used. Ends the process with exit code 2. */
export class BadInput extends Error {}

/**
 * Yield the control directory of each job; its answer is written when the next is asked for.
 *
 * Throws BadInput where the host does not put the next job there in time: it has died.
 */
export async function* folders(directory) {
  const session = read(path.join(directory, "session.json"));
  if (!session) {
    yield directory;
    return;
  }
  for (let number = 1; ; number += 1) {
    const folder = jobFolder(directory, number);
    yield folder;
    if (fs.existsSync(path.join(folder, "last"))) {
      return;
    }
    // At this line in the log the host takes the job's files.
    fs.writeSync(2, `\n${session.nonce}\n`);
    await appears(path.join(jobFolder(directory, number + 1), "ready"), session.wait_s);
    remove(folder);
  }
}

/** Remove what was served; what resists is the host's to remove. */
function remove(folder) {
  try {
    fs.rmSync(folder, { recursive: true, force: true });
  } catch {
    // the next job does not depend on it
  }
}

function read(file) {
  if (!fs.existsSync(file)) {
    return null;
  }
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch (thrown) {
    throw new BadInput(`cannot read ${file}: ${thrown.message}`);
  }
}

const jobFolder = (directory, number) =>
  path.join(directory, "jobs", String(number).padStart(4, "0"));

async function appears(file, seconds) {
  const end = performance.now() + seconds * 1000;
  while (!fs.existsSync(file)) {
    if (performance.now() > end) {
      throw new BadInput(`no ${file} after ${seconds} s: the host is gone`);
    }
    await sleep(LOOK_MS);
  }
}
