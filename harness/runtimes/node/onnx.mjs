// ONNX Runtime's one interface in JavaScript, as both `onnxruntime-node` and `onnxruntime-web` have it.

import { Unsupported } from "./failures.mjs";
import { constructorOf, isServed } from "./npy.mjs";
import { explain } from "./refusals.mjs";
import { productModel } from "./selftest.mjs";

/**
 * What ONNX Runtime says where it has no kernel, or JavaScript no type for an input or output, such
 * as bfloat16. In JavaScript its errors have no code, so this text is read where nothing else
 * explains the refusal; worded in another way, it is an error and not `unsupported`.
 */
const NOT_IMPLEMENTED =
  /NOT_IMPLEMENTED|Could not find an implementation|ERROR_CODE: 9\b|unsupported data type/i;

/** A model that is loaded: its session, and the names of its inputs and outputs in its own order. */
export class Model {
  constructor(session) {
    checkArrays("input", session.inputMetadata);
    checkArrays("output", session.outputMetadata);
    this.session = session;
    this.inputs = [...session.inputNames];
    this.outputs = [...session.outputNames];
  }
}

/**
 * Throw Unsupported where an input or output is no array that ONNX Runtime passes in JavaScript.
 *
 * It has only tensors there. One of int4, as an output, ends the process.
 */
function checkArrays(role, metadata) {
  const other = metadata.find(({ isTensor }) => !isTensor);
  if (other) {
    throw new Unsupported(
      `ONNX Runtime has only tensors in JavaScript: the ${role} ${other.name} is a sequence, ` +
        "a map or an optional; export the model with tensors only (skl2onnx, onnxmltools: zipmap=False)",
    );
  }
  const strange = metadata.find(({ type }) => type !== "string" && !isServed(type));
  if (strange) {
    throw new Unsupported(
      `no arrays are passed to ONNX Runtime in JavaScript for the ${role} ${strange.name} of the ` +
        `type ${strange.type}`,
    );
  }
}

/**
 * Load a model.
 *
 * *ort* is the runtime's module, *source* a path or the model's bytes; *read* returns the bytes.
 * Throws Unsupported where the runtime has no kernel, does not know an operator, or the model is
 * too new for it.
 */
export async function load(ort, source, options, read = () => source) {
  try {
    return new Model(await ort.InferenceSession.create(source, options));
  } catch (thrown) {
    const cause = { cause: thrown };
    const { externalData, ...others } = options;
    const why = await explain(read(), (bytes) => refusal(ort, bytes, others));
    if (why) {
      throw new Unsupported(`onnxruntime: ${why}`, cause);
    }
    const message = String(thrown?.message ?? thrown);
    throw NOT_IMPLEMENTED.test(message) ? new Unsupported(message, cause) : thrown;
  }
}

/** Resolve to what the runtime says of a model that it does not load, or to nothing. */
async function refusal(ort, bytes, options) {
  try {
    const session = await ort.InferenceSession.create(bytes, { ...options, logSeverityLevel: 4 });
    await session.release();
    return "";
  } catch (thrown) {
    return String(thrown?.message ?? thrown);
  }
}

/**
 * Give each of the artifact's inputs to the model's input of its name; a single one may have any.
 *
 * Throws RangeError where several do not fit: their order says nothing of which is which.
 */
export function bind(model, inputs) {
  const names = inputs.map(({ name }) => name);
  const single = names.length === 1 && model.inputs.length === 1;
  if (!single && !names.every((name) => model.inputs.includes(name))) {
    throw new RangeError(
      `the model's inputs are ${model.inputs.join(", ")}; got ${names.join(", ")}`,
    );
  }
  return inputs.map(({ name, array }) => [single ? model.inputs[0] : name, array]);
}

/** Answer: a list of [name, array] in, the model's arrays out, in its own order of outputs. */
export async function predict(ort, model, feeds) {
  const tensors = {};
  for (const [name, { dtype, data, shape }] of feeds) {
    tensors[name] = new ort.Tensor(dtype === "str" ? "string" : dtype, data, shape);
  }
  const answers = await model.session.run(tensors);
  return model.outputs.map((name) => arrayOf(answers[name]));
}

/** Let go of a model's memory. */
export const release = (model) => model.session.release();

/** Multiply two arrays by a model of one node; null where the runtime has no such product. */
export async function multiply(ort, options, dtype, left, right) {
  let model;
  try {
    model = await load(ort, productModel(dtype), options);
  } catch (thrown) {
    if (thrown instanceof Unsupported) {
      return null;
    }
    throw thrown;
  }
  const [product] = await predict(ort, model, [
    ["left", left],
    ["right", right],
  ]);
  await release(model);
  return product;
}

function arrayOf({ type, dims, data }) {
  if (type === "string") {
    return { dtype: "str", shape: [...dims], data: [...data] };
  }
  const Typed = constructorOf(type);
  // A float16 is a Float16Array where the engine has one: the same bits under another name.
  const bits = type === "float16" && !(data instanceof Typed);
  const array = bits ? new Typed(data.buffer, data.byteOffset, data.length) : data;
  return { dtype: type, shape: [...dims], data: array };
}
