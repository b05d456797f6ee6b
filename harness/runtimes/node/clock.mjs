// Clocks: raw samples around whole calls.

/** A sample lasts at least this many steps of the clock, so that it is known to a percent. */
const STEPS = 100;
const LOOKED_MS = 5;
const MOST_CALLS = 10000;

/** Resolve to [what *action* returned, the seconds it took]. */
export async function timed(action) {
  const start = performance.now();
  const result = await action();
  return [result, (performance.now() - start) / 1000];
}

/** Return the smallest step that the clock takes here, in seconds. In a page it is coarse. */
export function resolution() {
  let least = Infinity;
  const began = performance.now();
  let last = began;
  while (last - began < LOOKED_MS) {
    const now = performance.now();
    if (now > last) {
      least = Math.min(least, now - last);
    }
    last = now;
  }
  return least / 1000;
}

/**
 * Call *action* until there are *least* samples and *leastS* seconds have passed; after *mostS*
 * seconds *fewest* samples are enough.
 *
 * Where a call is shorter than a hundred steps of the clock, each sample is the mean of several
 * calls: `calls` says how many. Resolves to {latency_s, wall_s, calls, resolution_s}: seconds a
 * call, in order, warm-up included, and of all of it.
 */
export async function sample(action, { least, leastS, fewest = 1, mostS = Infinity }) {
  const step = resolution();
  const pilots = [];
  while (pilots.length < 3) {
    pilots.push((await timed(action))[1]);
    if (pilots.at(-1) >= STEPS * step) {
      break; // long enough by itself
    }
  }
  const typical = Math.max(pilots.sort((a, b) => a - b)[pilots.length >> 1], step);
  const calls = Math.min(Math.ceil((STEPS * step) / typical), MOST_CALLS);
  const samples = [];
  const began = performance.now();
  let stop = began;
  const wanted = () => (stop - began < mostS * 1000 ? least : fewest);
  while (samples.length < wanted() || stop - began < leastS * 1000) {
    const start = performance.now();
    for (let call = 0; call < calls; call++) {
      await action();
    }
    stop = performance.now();
    samples.push((stop - start) / calls / 1000);
  }
  return { latency_s: samples, wall_s: (stop - began) / 1000, calls, resolution_s: step };
}
