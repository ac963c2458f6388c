// Accuracy under a tolerance: the rule of `stages/judge.py`, so that a slider needs no kernel.
//
// An output is {name, hull: [[|ref|, |Δ|], …], std, exact, elements, discrete, problem, sqnr, bias,
// moved}; a tolerance [relative, absolute, spread, sqnr_db, bias].

export function worst(output, [relative, absolute, spread], named = false) {
  if (output.problem) return Infinity;
  if (output.discrete && !named) return output.exact === output.elements ? 0 : Infinity;
  const base = absolute + spread * output.std;
  let most = 0;
  for (const [size, error] of output.hull) {
    const allowed = base + relative * size;
    const ratio = allowed ? error / allowed : error ? Infinity : 0;
    if (!(ratio <= most)) most = ratio;
  }
  return most;
}

// {ratio, passed, why}: `why` says in a few words what else than the elements is wrong.
export function judged(output, tolerance, named = false) {
  const [, absolute, , sqnr, bias] = tolerance;
  const ratio = worst(output, tolerance, named);
  if (output.problem) return { ratio, passed: false, why: output.problem };
  if (!(ratio <= 1)) return { ratio, passed: false, why: "" };
  if (output.discrete && !named) return { ratio, passed: true, why: "" };
  if (sqnr && output.sqnr !== null && !(output.sqnr >= sqnr))
    return { ratio, passed: false, why: `${output.sqnr.toFixed(1)} dB of the signal are left, ${sqnr} are asked` };
  const constant = output.std <= 1e-4 * Math.max(0, ...output.hull.map(([size]) => size)); // but for its rounding
  if (bias && !constant && !output.discrete && Math.abs(output.bias) > bias * output.std + absolute)
    return { ratio, passed: false, why: "the whole output is shifted" };
  return { ratio, passed: true, why: "" };
}

// The verdict on a target: `wanted` gives (tolerance, named) of an output's name.
export function verdict(outputs, wanted) {
  const cells = {};
  let most = 0;
  let passed = outputs.length > 0;
  let at = "";
  for (const output of outputs) {
    const [tolerance, named] = wanted(output.name);
    const cell = judged(output, tolerance, named);
    cells[output.name] = cell;
    passed = passed && cell.passed;
    if (!(cell.ratio <= most) || !at) [most, at] = [cell.ratio, output.name];
  }
  return { passed, worst: most, at, cells };
}

// What is asked of a target's output: the slider's pair for all, else what the kernel said.
export function asked(tolerance, tolerances, target) {
  if (tolerance) {
    const own = [tolerance.relative ?? 0, tolerance.absolute ?? 0, tolerance.spread ?? 0,
      tolerance.sqnr_db ?? 0, tolerance.bias ?? 0];
    return () => [own, false];
  }
  const known = tolerances[target] ?? {};
  return (name) => {
    const own = (name && known[name]) || known[""] || [0, 0, 0, 0, 0, 0];
    return [own, Boolean(own[5])]; // the last: whether the user named this output
  };
}

// The share of elements that pass, from the histogram (rows |Δ|, columns |ref|, on log10 edges);
// `more` is allowed of every element beside: the spread that a tolerance grants.
export function passShare(detail, relative, absolute, more = 0) {
  const { histogram, edges, elements, exact } = detail;
  if (!elements || !histogram.length) return 1;
  const [start, step] = [edges[0], edges[1] - edges[0]];
  let passing = 0;
  histogram.forEach((row, i) => row.forEach((count, j) => {
    if (!count) return;
    const size = j === 0 ? 0 : 10 ** (edges[j] + step / 2);
    const allowed = absolute + more + relative * size;
    const cut = allowed > 0 ? (Math.log10(allowed) - start) / step : -1;
    passing += count * (i === 0 ? (cut >= 0 ? 1 : 0) : Math.min(Math.max(cut - i, 0), 1));
  }));
  return Math.min(Math.max(passing, exact) / elements, 1);
}
