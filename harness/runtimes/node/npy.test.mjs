import assert from "node:assert/strict";
import { test } from "node:test";

import { Unsupported } from "./failures.mjs";
import { BadArray, concatenate, format, parse, rows, same } from "./npy.mjs";

const DATA = {
  float16: Uint16Array.of(0x3c00, 0xc000, 0x7e00, 0, 1, 2),
  float32: Float32Array.of(1.5, -2, NaN, Infinity, 0, 1e-40),
  float64: Float64Array.of(1.5, -2, NaN, -Infinity, 0, 1e-310),
  int8: Int8Array.of(-128, 127, 0, 1, 2, 3),
  int16: Int16Array.of(-32768, 32767, 0, 1, 2, 3),
  int32: Int32Array.of(-(2 ** 31), 2 ** 31 - 1, 0, 1, 2, 3),
  int64: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 0n, 1n, 2n, 3n),
  uint8: Uint8Array.of(255, 0, 1, 2, 3, 4),
  uint16: Uint16Array.of(65535, 0, 1, 2, 3, 4),
  uint32: Uint32Array.of(2 ** 32 - 1, 0, 1, 2, 3, 4),
  uint64: BigUint64Array.of(2n ** 64n - 1n, 0n, 1n, 2n, 3n, 4n),
  bool: Uint8Array.of(1, 0, 1, 1, 0, 0),
};

/** A file of version 1.0 with this header, as long as it says, and these bytes of data. */
function file(header, data = []) {
  const text = new TextEncoder().encode(header);
  const lead = [
    0x93,
    ...new TextEncoder().encode("NUMPY"),
    1,
    0,
    text.length & 255,
    text.length >> 8,
  ];
  return Uint8Array.from([...lead, ...text, ...data]);
}

const header = (descr, shape, order = "False") =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`;

for (const [dtype, data] of Object.entries(DATA)) {
  test(`${dtype} comes back as it was written`, () => {
    const array = { dtype, shape: [2, 3], data };
    const found = parse(format(array));
    assert.equal(found.dtype, dtype);
    assert.deepEqual(found.shape, [2, 3]);
    assert.ok(same(found, array));
  });
}

for (const shape of [[], [1], [0], [2, 0, 3], [1, 1, 1, 1]]) {
  test(`a shape of (${shape}) comes back`, () => {
    const count = shape.reduce((product, size) => product * size, 1);
    const found = parse(format({ dtype: "int16", shape, data: new Int16Array(count) }));
    assert.deepEqual(found.shape, shape);
    assert.equal(found.data.length, count);
  });
}

test("a file is what NumPy itself writes", () => {
  const bytes = format({ dtype: "float32", shape: [3], data: Float32Array.of(1, 2, 3) });
  const text = Buffer.from(bytes.subarray(10, 128)).toString();
  assert.equal(bytes.length, 128 + 12);
  assert.equal(text.trimEnd(), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
  assert.equal(text.length, 118);
  assert.ok(text.endsWith(" \n"));
});

test("what is parsed from a Buffer inside a pool has memory of its own", () => {
  const bytes = Buffer.from(format({ dtype: "int32", shape: [2], data: Int32Array.of(7, 8) }));
  const found = parse(bytes);
  bytes.fill(0);
  assert.deepEqual([...found.data], [7, 8]);
});

const HOSTILE = {
  "no file": new Uint8Array(),
  "another magic": file(header("<f4", "(1,)"), [0, 0, 0, 0]).fill(0, 0, 1),
  "version 2": file(header("<f4", "(1,)"), [0, 0, 0, 0]).fill(2, 6, 7),
  "a header beyond the end": file(header("<f4", "(1,)")).subarray(0, 20),
  "a program for a header": file("__import__('os').abort()\n"),
  "a nested header": file(`${"(".repeat(60000)}\n`),
  "a shape that is negative": file(header("<f4", "(-1,)")),
  "a shape that is beyond memory": file(header("<f4", "(999999999999999, 999999999999999)")),
  "a size with too many digits": file(header("<f4", "(9999999999999999999999,)")),
  "more shape than data": file(header("<f4", "(2,)"), [0, 0, 0, 0]),
  "more data than shape": file(header("<f4", "(1,)"), [0, 0, 0, 0, 0]),
  "Fortran order": file(header("<f4", "(1,)", "True"), [0, 0, 0, 0]),
};

for (const [name, bytes] of Object.entries(HOSTILE)) {
  test(`${name} is refused`, () => assert.throws(() => parse(bytes), BadArray));
}

for (const descr of ["<U0", ">U4", "|S4", "|O", "<c8", ">f4", "__proto__", "toString"]) {
  test(`elements of ${descr} are not supported`, () => {
    assert.throws(() => parse(file(header(descr, "(1,)"), [0, 0, 0, 0])), Unsupported);
  });
}

const WORDS = { dtype: "str", shape: [2, 2], data: ["Ångström", "", "a\u{1f600}b", "x"] };

test("texts come back as they were written", () => {
  const found = parse(format(WORDS));
  assert.deepEqual(found, WORDS);
  assert.ok(same(found, WORDS));
  assert.ok(!same(found, { ...WORDS, data: ["Ångström", "", "a\u{1f600}b", "y"] }));
});

test("a file of texts is what NumPy itself writes", () => {
  const bytes = format({ dtype: "str", shape: [2], data: ["é", "ab"] });
  const text = Buffer.from(bytes.subarray(10, 128)).toString();
  assert.equal(text.trimEnd(), "{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }");
  assert.deepEqual([...bytes.subarray(128)], [0xe9, 0, 0, 0, 0, 0, 0, 0, 97, 0, 0, 0, 98, 0, 0, 0]);
});

test("invalid Unicode is refused", () => {
  assert.throws(() => parse(file(header("<U1", "(1,)"), [0, 0, 0x11, 0])), BadArray);
});

test("rows start again where the array ends", () => {
  const array = { dtype: "int64", shape: [3, 2], data: BigInt64Array.of(0n, 1n, 2n, 3n, 4n, 5n) };
  const found = rows(array, 2, 3);
  assert.deepEqual(found.shape, [3, 2]);
  assert.deepEqual([...found.data], [4n, 5n, 0n, 1n, 2n, 3n]);
  assert.throws(
    () => rows({ dtype: "int8", shape: [0, 2], data: new Int8Array() }, 0, 1),
    BadArray,
  );
});

test("splits that are put together are the whole", () => {
  const whole = { dtype: "float32", shape: [4, 2], data: Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7) };
  const parts = [rows(whole, 0, 1), rows(whole, 1, 3)];
  assert.ok(same(concatenate(parts), whole));
});

test("arrays of other shapes or dtypes are not put together", () => {
  const one = { dtype: "float32", shape: [1, 2], data: new Float32Array(2) };
  const wider = { dtype: "float32", shape: [1, 3], data: new Float32Array(3) };
  const scalar = { dtype: "float32", shape: [], data: new Float32Array(1) };
  assert.throws(() => concatenate([one, wider]), BadArray);
  assert.throws(() => concatenate([scalar, scalar]), BadArray);
});

test("same means every bit", () => {
  const array = (value) => ({ dtype: "float32", shape: [1], data: Float32Array.of(value) });
  assert.ok(same(array(NaN), array(NaN)));
  assert.ok(!same(array(0), array(-0)));
});
