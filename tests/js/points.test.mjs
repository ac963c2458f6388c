import assert from "node:assert/strict";
import { test } from "node:test";

import { at, common, front, measured, misses, sorted, typed } from "../../navigator_lab/ui/widgets/js/points.js";
import { across } from "../../navigator_lab/ui/widgets/js/parallel.js";
import { foremost } from "../../navigator_lab/ui/widgets/js/matrix.js";
import { interval, significant, ratio, seconds, bytes } from "../../navigator_lab/ui/widgets/js/numbers.js";

const row = (target, batches, more = {}) => ({
  target, device: "cpu", status: "done", passed: true, verified: null, worst_ratio: 0.5, host_peak_bytes: 100,
  size_bytes: 10, load_ms: 1, batches: batches.map(([batch, p50_ms, throughput]) => ({ batch, p50_ms, p99_ms: 2 * p50_ms, throughput })), ...more,
});
const own = (r) => ({ passed: r.passed, worst: r.worst_ratio });
const names = (points) => points.map((p) => `${p.row.target}${p.batch.batch}`);

test("the front holds what no other beats in both, equal ones together", () => {
  const points = [[1, 10], [2, 20], [2, 20], [3, 15], [4, 30], [4, 12]].map(([x, y]) => ({ x, y }));
  assert.deepEqual(front(points).map((p) => [p.x, p.y]), [[1, 10], [2, 20], [2, 20], [4, 30]]);
  assert.deepEqual(front([]), []);
});

test("wrong, stale, failed, unverified and out-of-limit points are shown but never on the front", () => {
  const rows = [row("a", [[1, 1, 10], [8, 4, 40]]), row("b", [[1, 0.5, 99]], { passed: false }),
    row("c", [[1, 0.5, 98]]), row("d", [[1, 0.5, 97]], { verified: false }), row("e", [[1, 0.5, 96]], { passed: null })];
  const all = measured(rows, "p50_ms", {}, own, (t) => t === "c");
  assert.equal(all.points.length, 6);
  assert.deepEqual(names(all.front), ["a1", "a8"]);
  assert.deepEqual(names(measured(rows, "p50_ms", { p99_ms: 5 }, own, (t) => t === "c").front), ["a1"]);
});

test("limits are upper bounds, but for throughput; what was not measured misses", () => {
  const [r] = [row("a", [[1, 1, 10]])];
  assert.deepEqual(misses(r, r.batches[0], { p99_ms: 2, min_throughput: 10, error: 0.5 }, 0.5), []);
  assert.deepEqual(misses(r, r.batches[0], { p99_ms: 1.9, min_throughput: 11 }, 0.5), ["p99_ms", "min_throughput"]);
  assert.deepEqual(misses({ ...r, host_peak_bytes: null }, r.batches[0], { memory_bytes: 1 }, 0), ["memory_bytes"]);
});

test("a preset by goal takes the best that keep the limits, each target once", () => {
  const rows = [row("a", [[1, 1, 10], [8, 4, 90]]), row("b", [[1, 0.5, 20], [8, 3, 60]]), row("c", [[1, 0.1, 99]], { passed: false })];
  const of = (goal, bounds) => foremost(rows, goal, bounds, own, () => false);
  assert.deepEqual([of("latency", {}), of("throughput", {})], [["b", "a"], ["a", "b"]]);
  assert.deepEqual(of("throughput", { p50_ms: 0.6 }), ["b"]);
  assert.deepEqual(of("latency", { p50_ms: 0.01 }), []);
});

test("parallel axes: what nobody has is no axis, what misses a limit says so", () => {
  const rows = [row("a", [[1, 1, 10]], { load_ms: null }), row("b", [[1, 2, 20]], { load_ms: null, worst_ratio: 0 })];
  const { axes, lines } = across(rows, 1, { min_throughput: 15 }, own);
  assert.deepEqual(axes.map((a) => a.key), ["throughput", "p50_ms", "p99_ms", "error", "memory_bytes", "size_bytes"]);
  assert.deepEqual(lines.map((l) => l.missed), [["min_throughput"], []]);
  assert.equal(lines[1].values.error, 1e-3); // an axis of decades has no 0
  assert.ok(axes.every((a) => a.high > a.low));
});

test("comparisons are at one batch: the largest that all have", () => {
  const rows = [row("a", [[1, 1, 1], [8, 1, 1], [16, 1, 1]]), row("b", [[1, 1, 1], [8, 1, 1]]), row("c", [])];
  assert.equal(common(rows), 8);
  assert.equal(at(rows[0], 8).batch, 8);
  assert.equal(at(row("d", [[1, 1, 5], [2, 1, 9]]), 8).batch, 2);
  assert.equal(at(row("e", []), 8), null);
});

test("a table is sorted both ways, without a value last, equal ones in their order", () => {
  const rows = [{ n: 2, i: 0 }, { n: null, i: 1 }, { n: 10, i: 2 }, { n: 2, i: 3 }];
  assert.deepEqual(sorted(rows, (r) => r.n, false).map((r) => r.i), [0, 3, 2, 1]);
  assert.deepEqual(sorted(rows, (r) => r.n, true).map((r) => r.i), [2, 0, 3, 1]);
});

test("limits are read as people type them", () => {
  assert.deepEqual(["5", "5 ms", "≤ 5", "1e-2", "2,5", ".5", "", "x", "-1", "0.0030.1 ms", "5 /s"].map(typed), [5, 5, 5, 0.01, 2.5, 0.5, null, null, null, null, 5]);
});

test("numbers are written as in Python", () => {
  assert.deepEqual([2170.4, 0.003621, 0, NaN, Infinity, 999.6].map((v) => significant(v)), ["2\u202f170", "0.00362", "0", "–", "∞", "1\u202f000"]);
  assert.equal(interval(2171, 2131, 2211), "2\u202f170\u202f±\u202f40");
  assert.equal(interval(3000, 900, 7000), "~3\u202f000 (900 to 7\u202f000)");
  assert.deepEqual([0.0001, 1.04, 3.14].map(ratio), ["<0.001", "1.04", "3.1"]);
  assert.deepEqual([43.2, 100].map(seconds), ["43\u202fs", "1\u202fmin 40\u202fs"]);
  assert.equal(bytes(308e6), "308\u202fMB");
});
