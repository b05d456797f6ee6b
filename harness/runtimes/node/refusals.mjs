// Why the runtime refuses an ONNX model: its IR version, its opset, or operators it does not know.
//
// As `harness/graphs/onnx_refusals.py`, which says how, does it in Python.

const NONE = "NoSuchOperator";
const OLD_IR = 3;
const OLD_OPSET = 7;
const MOST = 200; // a model may claim any number

/**
 * Resolve to why a model is refused, in one line; to nothing where that is not known.
 *
 * *bytes* are the model's; *ask* resolves to what the runtime says of other bytes, or to nothing.
 */
export async function explain(bytes, ask) {
  let needs;
  try {
    needs = readNeeds(bytes);
  } catch (thrown) {
    if (thrown instanceof RangeError) {
      return "";
    }
    throw thrown;
  }
  const { ir, opsets, operators } = needs;
  if (await ask(oneNode(ir, OLD_OPSET))) {
    const known = await largest(ir, OLD_IR, (number) => oneNode(number, OLD_OPSET), ask);
    return known && `IR version ${ir}; supported up to ${known}`;
  }
  const opset = opsets.get("") ?? OLD_OPSET;
  if (await ask(oneNode(ir, opset))) {
    const known = await largest(opset, OLD_OPSET, (number) => oneNode(ir, number), ask);
    return known && `opset ${opset}; supported up to ${known}`;
  }
  const unknown = [];
  for (const { domain, name } of operators) {
    const answer = (kind) => ask(oneNode(ir, opset, { domain, name: kind }, opsets));
    const own = await answer(name);
    if (own && own.replaceAll(name, NONE) === (await answer(NONE))) {
      unknown.push(domain ? `${domain}.${name}` : name);
    }
  }
  const plural = unknown.length > 1 ? "s" : "";
  return unknown.length ? `it does not know the operator${plural} ${unknown.join(", ")}` : "";
}

async function largest(above, least, make, ask) {
  for (let number = Math.min(above - 1, MOST); number >= least; number--) {
    if (!(await ask(make(number)))) {
      return number;
    }
  }
  return "";
}

/** Return the bytes of a model `y = operator(x)` of float32 (2,); *opsets* by their domains. */
export function oneNode(ir, opset, operator = { domain: "", name: "Relu" }, opsets = new Map()) {
  const node = [
    ...text(1, "x"),
    ...text(2, "y"),
    ...text(4, operator.name),
    ...text(7, operator.domain),
  ];
  const graph = [...field(1, node), ...text(2, "one")];
  for (const [number, name] of [
    [11, "x"],
    [12, "y"],
  ]) {
    const shape = field(2, field(1, integer(1, 2)));
    graph.push(
      ...field(number, [...text(1, name), ...field(2, field(1, [...integer(1, 1), ...shape]))]),
    );
  }
  const versions = new Map([...opsets, ["", opset]]);
  const imports = [...versions].flatMap(([domain, version]) =>
    field(8, [...text(1, domain), ...integer(2, version)]),
  );
  return Uint8Array.from([...integer(1, ir), ...field(7, graph), ...imports]);
}

/** Return a model's IR version, opsets by domain and operators. Throws RangeError for no model. */
export function readNeeds(bytes) {
  const opsets = new Map();
  const operators = new Map();
  const functions = [];
  let ir = 0;
  const keep = (domain, name) => operators.set(`${domain}\0${name}`, { domain, name });
  for (const [number, value] of fields(bytes)) {
    if (number === 1) {
      ir = value;
    } else if (number === 8) {
      const entry = new Map(fields(value));
      opsets.set(domainOf(entry.get(1)), entry.get(2) ?? 0);
    } else if (number === 7) {
      eachOperator(value, 1, keep);
    } else if (number === 25) {
      const entry = new Map(fields(value));
      functions.push(`${domainOf(entry.get(10))}\0${decode(entry.get(1))}`);
      eachOperator(value, 7, keep);
    }
  }
  for (const key of functions) {
    operators.delete(key);
  }
  return { ir, opsets, operators: [...operators.values()] };
}

function eachOperator(graph, nodeField, keep) {
  for (const [number, node] of fields(graph)) {
    if (number !== nodeField) {
      continue;
    }
    let [name, domain] = ["", ""];
    for (const [part, value] of fields(node)) {
      if (part === 4) {
        name = decode(value);
      } else if (part === 7) {
        domain = domainOf(value);
      } else if (part === 5) {
        for (const [attribute, inner] of fields(value)) {
          if (attribute === 6 || attribute === 11) {
            eachOperator(inner, 1, keep);
          }
        }
      }
    }
    keep(domain, name);
  }
}

/** Yield number and value of a message's fields: a number, or the bytes of its content. */
function* fields(bytes) {
  if (!(bytes instanceof Uint8Array)) {
    throw new RangeError("this is not a message");
  }
  let place = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (place >= bytes.length) {
        throw new RangeError("the message ends within a number");
      }
      const byte = bytes[place++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) {
        return value;
      }
    }
    throw new RangeError("a number is too long");
  };
  while (place < bytes.length) {
    const key = varint();
    const wire = key & 7;
    if (wire === 0) {
      yield [key >>> 3, varint()];
      continue;
    }
    const size = wire === 2 ? varint() : { 1: 8, 5: 4 }[wire];
    if (size === undefined || place + size > bytes.length) {
      throw new RangeError("this is not a message");
    }
    yield [key >>> 3, bytes.subarray(place, place + size)];
    place += size;
  }
}

const decode = (bytes) => (bytes ? new TextDecoder().decode(bytes) : "");
const domainOf = (bytes) => (decode(bytes) === "ai.onnx" ? "" : decode(bytes));

const text = (number, content) => field(number, [...new TextEncoder().encode(content)]);
const field = (number, content) => [
  ...length((number << 3) | 2),
  ...length(content.length),
  ...content,
];
const integer = (number, value) => [...length(number << 3), ...length(value)];

function length(value) {
  const bytes = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) {
    bytes.push((rest & 127) | 128);
  }
  return [...bytes, rest];
}
