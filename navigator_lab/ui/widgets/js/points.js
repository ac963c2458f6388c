// Rows as points, limits, the front, and the order of a table. Pure.

export const LIMITS = {
  p50_ms: { words: "p50", unit: "ms", per: 1 },
  p95_ms: { words: "p95", unit: "ms", per: 1 },
  p99_ms: { words: "p99", unit: "ms", per: 1 },
  memory_bytes: { words: "memory", unit: "GB", per: 1e9 },
  size_bytes: { words: "size", unit: "MB", per: 1e6 },
  error: { words: "error ÷ tolerance", unit: "", per: 1 },
  min_throughput: { words: "throughput", unit: "/s", per: 1, least: true },
};

export const memory = (row) =>
  (row.device.startsWith("cuda") ? row.device_peak_bytes : row.host_peak_bytes) ?? null;

export function value(row, batch, key, worst) {
  switch (key) {
    case "memory_bytes": return memory(row);
    case "size_bytes": return row.size_bytes ?? null;
    case "load_ms": return row.load_ms ?? null;
    case "error": return worst ?? row.worst_ratio ?? null;
    case "min_throughput": return batch?.throughput ?? null;
    default: return batch?.[key] ?? null;
  }
}

// The names of the limits that a row at a batch size doesn't keep.
export function misses(row, batch, limits, worst) {
  return Object.entries(limits).filter(([key, bound]) => {
    const found = value(row, batch, key, worst);
    if (found === null || Number.isNaN(found)) return true;
    return LIMITS[key]?.least ? found < bound : found > bound;
  }).map(([key]) => key);
}

// Which points no other beats in both: x small, y large. Equal ones are all on it.
export function front(points) {
  const order = [...points].sort((a, b) => a.x - b.x || b.y - a.y);
  const found = [];
  let top = -Infinity;
  for (const point of order) {
    const last = found.at(-1);
    if (point.y > top || (last && point.x === last.x && point.y === last.y)) {
      found.push(point);
      top = point.y;
    }
  }
  return found;
}

// {points, front}: every measured (target, batch) as {row, batch, x, y, fit, misses}.
export function measured(rows, key, limits, judge, stale = () => false) {
  const points = [];
  for (const row of rows) {
    const { passed, worst } = judge(row);
    for (const batch of row.batches) {
      const found = value(row, batch, key, worst);
      const x = key === "error" && found !== null ? Math.min(Math.max(found, 1e-3), 1e6) : found; // an axis of decades
      if (x === null || !(x > 0)) continue;
      const missed = misses(row, batch, limits, worst);
      const fit = row.status === "done" && passed === true && row.verified !== false &&
        !stale(row.target) && !missed.length;
      points.push({ row, batch, x, y: batch.throughput, fit, wrong: passed === false, missed });
    }
  }
  return { points, front: front(points.filter((p) => p.fit)) };
}

// The batch at which targets are compared: the largest that all measured ones have.
export function common(rows) {
  const sets = rows.filter((r) => r.batches.length).map((r) => new Set(r.batches.map((b) => b.batch)));
  if (!sets.length) return 0;
  const shared = [...sets[0]].filter((b) => sets.every((set) => set.has(b)));
  return shared.length ? Math.max(...shared) : 0;
}

export const at = (row, size) =>
  row.batches.find((b) => b.batch === size) ??
  row.batches.reduce((a, b) => (!a || b.throughput > a.throughput ? b : a), null);

// Rows in the order of a column; those without a value come last either way.
export function sorted(rows, read, down) {
  const seen = rows.map((row, i) => [read(row), i, row]);
  const none = (v) => v === null || v === undefined || Number.isNaN(v);
  return seen.sort(([a, i], [b, j]) => {
    if (none(a) || none(b)) return none(a) - none(b) || i - j;
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return (down ? -order : order) || i - j;
  }).map(([, , row]) => row);
}

// A number as a user types it: "5", "5 ms", "1e-2", "2,5". null where it is none.
export function typed(text) {
  const found = /^\s*(?:[≤≥<>=]+\s*)?(\d+(?:[.,]\d*)?(?:e[-+]?\d+)?|[.,]\d+)\s*[a-zµ%/]*\s*$/i.exec(text);
  const number = found ? Number(found[1].replace(",", ".")) : NaN;
  return Number.isFinite(number) && number >= 0 ? number : null;
}
