// Does this cell compute at all? A matrix product in each dtype against an exact answer.
//
// Emulators have returned garbage from vectorised products without any error, so no result counts
// before the runtime has proved its arithmetic.

import { constructorOf } from "./npy.mjs";

// Odd sizes, larger than a kernel's block, so that the main loops and their remainders run.
export const ROWS = 131;
export const INNER = 197;
export const COLUMNS = 67;

/** Return two matrices of integers in -8..8: every partial sum is exact in float32. */
export function factors() {
  const left = Array.from({ length: ROWS * INNER }, (_, index) => ((index * 7) % 17) - 8);
  const right = Array.from({ length: INNER * COLUMNS }, (_, index) => ((index * 5) % 13) - 6);
  return { left, right };
}

/**
 * Test the runtime in each dtype.
 *
 * *multiply* takes a dtype and two arrays, and resolves to their product, or to null where the
 * runtime has no product in this dtype. Resolves to a list of {dtype, by, passed, error}: error is
 * the largest absolute difference, or the largest number where that is not finite.
 */
export async function run(dtypes, multiply) {
  const { left, right } = factors();
  const exact = product(left, right);
  const results = [];
  for (const dtype of dtypes.filter((name) => Object.hasOwn(ELEMENT_TYPES, name))) {
    const array = (values, shape) => ({ dtype, shape, data: typed(dtype, values) });
    const answer = await multiply(
      dtype,
      array(left, [ROWS, INNER]),
      array(right, [INNER, COLUMNS]),
    );
    if (answer) {
      const error = difference(dtype, answer, exact);
      results.push({ dtype, by: "framework", passed: error === 0, error });
    }
  }
  return results;
}

/** Return the bytes of an ONNX model `product = MatMul(left, right)` of a dtype. */
export function productModel(dtype) {
  // The numbers are the fields of onnx.proto; written by hand, no package of ONNX is needed.
  const operands = [...text(1, "left"), ...text(1, "right"), ...text(2, "product")];
  const graph = [...field(1, [...operands, ...text(4, "MatMul")]), ...text(2, "product")];
  for (const [number, name] of [
    [11, "left"],
    [11, "right"],
    [12, "product"],
  ]) {
    const shape = [0, 1].flatMap((axis) => field(1, text(2, `${name}${axis}`)));
    const tensor = field(1, [1 << 3, ELEMENT_TYPES[dtype], ...field(2, shape)]);
    graph.push(...field(number, [...text(1, name), ...field(2, tensor)]));
  }
  const opset = field(8, [2 << 3, 13]);
  return Uint8Array.from([1 << 3, 8, ...field(7, graph), ...opset]); // IR 8
}

/** What a product can be asked in, by its number in TensorProto.DataType. */
export const ELEMENT_TYPES = { float32: 1, int32: 6, int64: 7, float64: 11 };

function typed(dtype, values) {
  const Typed = constructorOf(dtype);
  return dtype === "int64" ? Typed.from(values, BigInt) : Typed.from(values);
}

function product(left, right) {
  const exact = new Float64Array(ROWS * COLUMNS);
  for (let row = 0; row < ROWS; row++) {
    for (let inner = 0; inner < INNER; inner++) {
      for (let column = 0; column < COLUMNS; column++) {
        exact[row * COLUMNS + column] +=
          left[row * INNER + inner] * right[inner * COLUMNS + column];
      }
    }
  }
  return exact;
}

function difference(dtype, answer, exact) {
  if (answer.dtype !== dtype || `${answer.shape}` !== `${[ROWS, COLUMNS]}`) {
    return Number.MAX_VALUE;
  }
  let largest = 0;
  exact.forEach((value, index) => {
    const error = Math.abs(Number(answer.data[index]) - value);
    largest = Math.max(largest, Number.isFinite(error) ? error : Number.MAX_VALUE);
  });
  return largest;
}

const text = (number, content) => field(number, [...new TextEncoder().encode(content)]);

function field(number, content) {
  const size = content.length;
  const length = size < 128 ? [size] : [(size & 127) | 128, size >> 7];
  return [(number << 3) | 2, ...length, ...content];
}
