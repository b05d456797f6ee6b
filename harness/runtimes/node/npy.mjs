// Arrays as `.npy` files of version 1.0, little-endian, in C order; in Node and in a page.
//
// An array is {dtype, shape, data}: NumPy's name, a list of integers, a typed array. A float16 is
// its 16 bits, a bool a byte that is 0 or 1, a 64-bit integer a BigInt. Texts, of the dtype "str", are
// a list of strings; a file has their letters as UCS-4, and zeros up to the longest.

import { Unsupported } from "./failures.mjs";

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]; // "\x93NUMPY", version 1.0
const ALIGNMENT = 64; // of the data, as NumPy writes it

const TYPES = {
  float16: ["<f2", Uint16Array],
  float32: ["<f4", Float32Array],
  float64: ["<f8", Float64Array],
  int8: ["|i1", Int8Array],
  int16: ["<i2", Int16Array],
  int32: ["<i4", Int32Array],
  int64: ["<i8", BigInt64Array],
  uint8: ["|u1", Uint8Array],
  uint16: ["<u2", Uint16Array],
  uint32: ["<u4", Uint32Array],
  uint64: ["<u8", BigUint64Array],
  bool: ["|b1", Uint8Array],
};
const DTYPES = Object.fromEntries(Object.entries(TYPES).map(([dtype, [descr]]) => [descr, dtype]));

const TEXT = "str";
const LETTER = 4; // bytes
const MOST_LETTERS = 999_999_999;

// The one form in which NumPy writes it, and no other Python.
const HEADER =
  /^\{'descr': '([^'\\]{1,16})', 'fortran_order': (True|False), 'shape': \(((?:\d{1,15}(?:, \d{1,15})*,?)?)\), ?\} *\n$/;

/** This file is not what it should be. */
export class BadArray extends Error {}

/** Return whether a dtype of numbers has a typed array. */
export function isServed(dtype) {
  return Object.hasOwn(TYPES, dtype);
}

/** Return the typed array's constructor for a dtype. Throws Unsupported. */
export function constructorOf(dtype) {
  if (!isServed(dtype)) {
    throw new Unsupported(`arrays of ${dtype} are not supported`);
  }
  return TYPES[dtype][1];
}

/**
 * Return the array in *bytes* (Uint8Array), with memory of its own.
 *
 * Throws BadArray for anything but a whole, well-formed file, Unsupported for objects and other
 * elements that have no typed array here.
 */
export function parse(bytes) {
  if (bytes.length < 10 || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw new BadArray("not an .npy file of version 1.0");
  }
  const begin = 10 + (bytes[8] | (bytes[9] << 8));
  if (begin > bytes.length) {
    throw new BadArray("the header is longer than the file");
  }
  const header = HEADER.exec(String.fromCharCode(...bytes.subarray(10, begin)));
  if (!header) {
    throw new BadArray("the header is not one that NumPy writes");
  }
  const [, descr, fortran, sizes] = header;
  const letters = Number(/^<U([1-9]\d*)$/.exec(descr)?.[1] ?? 0);
  if (!Object.hasOwn(DTYPES, descr) && (!letters || letters > MOST_LETTERS)) {
    throw new Unsupported(`these elements (${descr}) are not supported as an array`);
  }
  if (fortran === "True") {
    throw new BadArray("the array is in Fortran order");
  }
  const shape = sizes.split(/, ?/).filter(Boolean).map(Number);
  const dtype = letters ? TEXT : DTYPES[descr];
  const size = letters ? letters * LETTER : TYPES[dtype][1].BYTES_PER_ELEMENT;
  const expected = countOf(shape) * size;
  if (expected !== bytes.length - begin) {
    throw new BadArray(
      `a ${dtype} array of (${shape}) has ${expected} bytes, here are ${bytes.length - begin}`,
    );
  }
  // Node's Buffer has a slice of its own, which does not copy.
  const own = Uint8Array.prototype.slice.call(bytes, begin);
  const data = letters ? texts(own, countOf(shape), size) : new TYPES[dtype][1](own.buffer);
  return { dtype, shape, data };
}

/** Return *count* strings of *size* bytes. */
function texts(bytes, count, size) {
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, index) => {
    const letters = Array.from({ length: size / LETTER }, (_, place) =>
      view.getUint32(index * size + place * LETTER, true),
    );
    if (letters.some((letter) => letter > 0x10ffff)) {
      throw new BadArray("a text is not valid Unicode");
    }
    return String.fromCodePoint(...letters.slice(0, letters.findLastIndex(Boolean) + 1));
  });
}

/** Return the letters of strings as UCS-4, each filled with zeros to *longest* letters. */
function letterBytes(strings, longest) {
  const view = new DataView(new ArrayBuffer(strings.length * longest * LETTER));
  for (const [index, letters] of strings.map((text) => [...text]).entries()) {
    for (const [place, letter] of letters.entries()) {
      view.setUint32((index * longest + place) * LETTER, letter.codePointAt(0), true);
    }
  }
  return new Uint8Array(view.buffer);
}

/** Return the bytes (Uint8Array) of the file that holds *array*. */
export function format(array) {
  const longest = array.dtype === TEXT ? longestOf(array) : 0;
  const descr = longest ? `<U${longest}` : descrOf(array.dtype);
  const shape = array.shape.length === 1 ? `${array.shape[0]},` : array.shape.join(", ");
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`;
  const begin = Math.ceil((10 + header.length + 1) / ALIGNMENT) * ALIGNMENT;
  const data = longest ? letterBytes(array.data, longest) : bytesOf(array);
  const bytes = new Uint8Array(begin + data.length).fill(0x20);
  bytes.set(MAGIC);
  bytes.set([(begin - 10) & 255, (begin - 10) >> 8], 8);
  bytes.set(new TextEncoder().encode(header), 10);
  bytes[begin - 1] = 0x0a;
  bytes.set(data, begin);
  return bytes;
}

/** Return the number of letters of the longest text, 1 at least, as NumPy. */
const longestOf = ({ data }) =>
  data.reduce((longest, text) => Math.max(longest, [...text].length), 1);

const descrOf = (dtype) => constructorOf(dtype) && TYPES[dtype][0];

/** Return an array's memory as bytes, without a copy. */
export const bytesOf = ({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Return *count* rows of *array* from row *first*, from the start again where it ends. */
export function rows(array, first, count) {
  const [total, ...rowShape] = array.shape;
  if (total === undefined || (!total && count)) {
    throw new BadArray("the array has no rows");
  }
  const width = countOf(rowShape);
  const data = new (constructorOf(array.dtype))(count * width);
  for (let row = 0; row < count; row++) {
    const from = ((first + row) % total) * width;
    data.set(array.data.subarray(from, from + width), row * width);
  }
  return { dtype: array.dtype, shape: [count, ...rowShape], data };
}

/** Return the *arrays* after each other along their first dimension. Throws BadArray. */
export function concatenate(arrays) {
  const [{ dtype, shape }] = arrays;
  const alike = (array) =>
    array.shape.length &&
    array.dtype === dtype &&
    `${array.shape.slice(1)}` === `${shape.slice(1)}`;
  if (!arrays.every(alike)) {
    const shapes = arrays.map((array) => `${array.dtype} (${array.shape})`);
    throw new BadArray(`these cannot be put together: ${[...new Set(shapes)].join("; ")}`);
  }
  const joined = new (constructorOf(dtype))(
    arrays.reduce((sum, array) => sum + array.data.length, 0),
  );
  let at = 0;
  for (const array of arrays) {
    joined.set(array.data, at);
    at += array.data.length;
  }
  const count = arrays.reduce((sum, array) => sum + array.shape[0], 0);
  return { dtype, shape: [count, ...shape.slice(1)], data: joined };
}

/** Say whether two arrays are the same to the last bit. */
export function same(left, right) {
  if (left.dtype !== right.dtype || `${left.shape}` !== `${right.shape}`) {
    return false;
  }
  const [a, b] = left.dtype === TEXT ? [left.data, right.data] : [bytesOf(left), bytesOf(right)];
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function countOf(shape) {
  const count = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count * 8)) {
    throw new BadArray(`an array of (${shape}) is too large`);
  }
  return count;
}
