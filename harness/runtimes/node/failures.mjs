// Failures as data, in the words of output.json.

/** The runtime itself cannot do this. */
export class Unsupported extends Error {}

/** This cell computes wrong numbers. */
export class SelfTestFailed extends Error {}

/** The architecture or the device is not the one that the cell is named after. */
export class WrongPlatform extends Error {}
export class WrongDevice extends Error {}

/** The runtime takes more threads than it was given. */
export class WrongThreads extends Error {}

/** True of the whole job: recorded in every phase, and none runs. */
const EVERYWHERE = [SelfTestFailed, WrongPlatform, WrongDevice, WrongThreads];

export const isEverywhere = (thrown) => EVERYWHERE.some((kind) => thrown instanceof kind);

export const statusOf = (thrown) => (thrown instanceof Unsupported ? "unsupported" : "failed");

/** Return the `error` of a record for whatever was thrown, which need not be an Error. */
export function asError(thrown) {
  const isError = thrown instanceof Error;
  return {
    type: readable(isError ? thrown.constructor?.name || thrown.name : typeof thrown),
    message: readable(isError ? thrown.message : thrown),
    traceback: readable(isError ? (thrown.stack ?? "") : ""),
  };
}

/** Return an `error` that no exception stands for. */
export const errorOf = (type, message) => ({ type, message, traceback: "" });

/** Half a surrogate pair becomes a replacement character: not everyone can read JSON with one. */
function readable(value) {
  let text;
  try {
    text = String(value);
  } catch {
    text = "a value without text";
  }
  return new TextDecoder().decode(new TextEncoder().encode(text));
}
