import assert from "node:assert/strict";
import { test } from "node:test";

import { BadLogits, choose, generate } from "./generation.mjs";

const floats = (shape, values) => ({ dtype: "float32", shape, data: Float32Array.from(values) });

const DESCRIBED = {
  prompt: [1, 2],
  steps: 3,
  tokens: "tokens",
  logits: "logits",
  cache: [{ input: "past", output: "present", shape: [1, 1, 0, 1] }],
};

/** A decoder whose next token is the sum of all tokens modulo 5; its cache has them. */
function decoder({ outputs = ["logits", "present"], keeps = true } = {}) {
  const predict = (_model, inputs) => {
    const { tokens, past } = Object.fromEntries(inputs);
    const seen = [...(keeps ? past.data : []), ...[...tokens.data].map(Number)];
    const next = seen.reduce((sum, token) => sum + token, 0) % 5;
    const logits = Array(5 * tokens.data.length).fill(0);
    logits[logits.length - 5 + next] = 2;
    const present = floats([1, 1, seen.length, 1], seen);
    const answers = [floats([1, tokens.data.length, 5], logits), present];
    return outputs.map((name) => answers[name === "present" ? 1 : 0]);
  };
  return [{ inputs: ["past", "tokens"], outputs }, predict];
}

test("tokens follow from all before, and each call has its seconds", async () => {
  const entry = await generate(...decoder(), DESCRIBED, 2);
  assert.deepEqual(entry.tokens, [3, 1, 2]);
  assert.deepEqual(entry.runners_up, [0, 0, 0]);
  assert.deepEqual([entry.margins, entry.scales], [Array(3).fill(2), Array(3).fill(2)]);
  assert.equal(entry.repeatable, true);
  assert.equal(entry.cache_bytes, 4 * 4);
  assert.equal(entry.prefill_s.length, 2);
  assert.deepEqual(
    entry.step_s.map((steps) => steps.length),
    [2, 2],
  );
});

test("outputs go by their names in any order, or in the order of the description", async () => {
  for (const outputs of [
    ["present", "logits"],
    ["0", "present"],
  ]) {
    const { tokens } = await generate(...decoder({ outputs }), DESCRIBED, 1);
    assert.deepEqual(tokens, [3, 1, 2]);
  }
  const [model, predict] = decoder();
  model.outputs = ["logits"];
  await assert.rejects(generate(model, predict, DESCRIBED, 1), RangeError);
});

test("a model that loses its cache gives other tokens", async () => {
  const { tokens } = await generate(...decoder({ keeps: false }), DESCRIBED, 1);
  assert.deepEqual(tokens, [3, 3, 3]);
});

test("of equal logits the first counts, at the last position alone", () => {
  const chosen = choose(floats([1, 2, 3], [9, 0, 0, -4, 2, 2]));
  assert.deepEqual(chosen, { token: 1, second: 2, margin: 0, scale: 4 });
});

test("logits that nothing can be chosen by are refused", () => {
  for (const logits of [
    floats([1, 1, 2], [0, Number.NaN]),
    floats([1, 1, 2], [0, Number.POSITIVE_INFINITY]),
    floats([2, 1, 1], [0, 1]),
    floats([1, 2], [0, 1]),
    { dtype: "float64", shape: [1, 1, 2], data: Float64Array.of(0, 1) },
  ]) {
    assert.throws(() => choose(logits), BadLogits);
  }
});
