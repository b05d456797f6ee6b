// Why a model is refused: found by asking the runtime again, here a runtime made of three facts.

import assert from "node:assert/strict";
import fs from "node:fs";
import test from "node:test";

import { explain, oneNode, readNeeds } from "./refusals.mjs";

const MODELS = new URL("../../../tests/models/", import.meta.url);
const bytesOf = (name) => new Uint8Array(fs.readFileSync(new URL(name, MODELS)));

/** A runtime that reads models up to an IR version and an opset, and knows some operators. */
const runtime = (ir, opset, known) => async (bytes) => {
  const needs = readNeeds(bytes);
  if (needs.ir > ir) return "too new";
  if (needs.opsets.get("") > opset) return "too new as well";
  const unknown = needs.operators.find(({ name }) => !known.includes(name));
  return unknown ? `Fatal: ${unknown.domain}:${unknown.name}(-1) is not registered` : "bad inputs";
};

/** The same, which loads what it knows. */
const loading = (ir, opset, known) => async (bytes) => {
  const said = await runtime(ir, opset, known)(bytes);
  return said === "bad inputs" ? "" : said;
};

test("what a model needs is read from its file", () => {
  const { ir, opsets, operators } = readNeeds(bytesOf("contrib_optimised.onnx"));
  assert.equal(ir, 8);
  assert.equal(opsets.get("com.microsoft"), 1);
  assert(operators.some(({ domain, name }) => `${domain}.${name}` === "com.microsoft.BiasGelu"));
});

test("a model that is too new is told from one that is damaged", async () => {
  const model = bytesOf("ir_new.onnx");
  const { ir, opsets } = readNeeds(model);
  const older = await explain(model, loading(ir - 2, 99, ["Relu"]));
  assert.equal(older, `IR version ${ir}; supported up to ${ir - 2}`);
  const opset = opsets.get("");
  assert.equal(
    await explain(model, loading(99, opset - 1, ["Relu"])),
    `opset ${opset}; supported up to ${opset - 1}`,
  );
  assert.equal(await explain(Uint8Array.of(1, 2, 3), loading(99, 99, ["Relu"])), "");
});

test("operators that are not known are named", async () => {
  const standard = ["Relu", "MatMul", "Add", "Reshape", "Transpose", "Softmax"];
  assert.equal(
    await explain(bytesOf("contrib_optimised.onnx"), loading(99, 99, standard)),
    "it does not know the operators com.microsoft.FusedMatMul, " +
      "com.microsoft.SkipLayerNormalization, com.microsoft.BiasGelu",
  );
});

test("a model of one node has the versions that it is made with", () => {
  const { ir, opsets, operators } = readNeeds(
    oneNode(300, 200, { domain: "my.domain", name: "Mine" }, new Map([["my.domain", 7]])),
  );
  assert.deepEqual([ir, opsets.get(""), opsets.get("my.domain")], [300, 200, 7]);
  assert.deepEqual(operators, [{ domain: "my.domain", name: "Mine" }]);
});
