// Greedy generation by a model with a cache: the whole prompt first, then token by token.

import { timed } from "./clock.mjs";
import { bind } from "./onnx.mjs";

/** No token can be chosen by these logits. */
export class BadLogits extends Error {}

/**
 * Generate as often as *times*; resolve to the entry for the record.
 *
 * *predict* resolves to the model's outputs for a list of [name, array].
 */
export async function generate(model, predict, described, times) {
  const all = [];
  while (all.length < times) {
    all.push(await generateOnce(model, predict, described));
  }
  const [{ choices, cacheBytes }] = all;
  const tokensOf = (each) => String(each.choices.map(({ token }) => token));
  return {
    tokens: choices.map(({ token }) => token),
    runners_up: choices.map(({ second }) => second),
    margins: choices.map(({ margin }) => margin),
    scales: choices.map(({ scale }) => scale),
    repeatable: all.every((each) => tokensOf(each) === tokensOf(all[0])),
    cache_bytes: cacheBytes,
    prefill_s: all.map(({ seconds }) => seconds[0]),
    step_s: all.map(({ seconds }) => seconds.slice(1)),
  };
}

async function generateOnce(model, predict, { prompt, steps, tokens, logits, cache }) {
  const places = placesOf(model.outputs, [logits, ...cache.map(({ output }) => output)]);
  const [choices, seconds] = [[], []];
  let fed = prompt;
  let cached = cache.map(({ shape }) => zeros(shape));
  for (let step = 0; step < steps; step++) {
    const inputs = bind(model, [
      { name: tokens, array: tokenArray(fed) },
      ...cache.map(({ input }, index) => ({ name: input, array: cached[index] })),
    ]);
    const [answers, stepS] = await timed(() => predict(model, inputs));
    seconds.push(stepS);
    const [chosenBy, ...kept] = places.map((place) => answers[place]);
    choices.push(choose(chosenBy));
    cached = kept;
    fed = [choices.at(-1).token];
  }
  const cacheBytes = cached.reduce((sum, { data }) => sum + data.byteLength, 0);
  return { choices, seconds, cacheBytes };
}

/** Return where the *wanted* outputs are: by name, or in this order where all have others. */
function placesOf(outputs, wanted) {
  if (outputs.length !== wanted.length) {
    throw new RangeError(`the model's outputs are ${outputs}; generation needs ${wanted}`);
  }
  const isNamed = wanted.every((name) => outputs.includes(name));
  return wanted.map((name, index) => (isNamed ? outputs.indexOf(name) : index));
}

const tokenArray = (tokens) => ({
  dtype: "int64",
  shape: [1, tokens.length],
  data: BigInt64Array.from(tokens, BigInt),
});

/** The cache before the first token, which may have no elements. */
const zeros = (shape) => ({
  dtype: "float32",
  shape,
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
});

/**
 * Return the {token, second, margin, scale} after the last position of logits (1, length, vocabulary).
 *
 * The token has the largest logit, the first of equal ones; the second's is by the margin less;
 * scale is the largest absolute one. Throws BadLogits for others, and where one is not finite.
 */
export function choose({ dtype, shape, data }) {
  const [rows, length, vocabulary] = shape;
  const fits = dtype === "float32" && shape.length === 3 && rows === 1 && length > 0;
  if (!fits || vocabulary < 2) {
    throw new BadLogits(`the logits are ${dtype} of (${shape})`);
  }
  const last = data.slice(-vocabulary);
  if (!last.every(Number.isFinite)) {
    throw new BadLogits("a logit is not finite");
  }
  const scale = last.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0);
  const token = placeOfLargest(last);
  const largest = last[token];
  last[token] = -Infinity;
  const second = placeOfLargest(last);
  return { token, second, margin: largest - last[second], scale };
}

const placeOfLargest = (values) =>
  values.reduce((best, value, place) => (value > values[best] ? place : best), 0);
