// The browser's rule must be the kernel's: cases that Python judged are judged again here.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { asked, judged, passShare, verdict, worst } from "../../navigator_lab/ui/widgets/js/judge.js";

const output = (more) => ({
  name: "y", hull: [[0, 1e-4], [1, 1e-3], [10, 5e-3]], std: 1, exact: 0, elements: 100,
  discrete: false, problem: "", sqnr: 40, bias: 0, moved: true, ...more,
});

test("passes if and only if the worst vertex keeps |Δ| <= a + r |ref|", () => {
  assert.equal(worst(output(), [0, 5e-3, 0, 0, 0]), 1);
  assert.ok(judged(output(), [0, 5e-3, 0, 0, 0]).passed);
  assert.ok(!judged(output(), [0, 4.99e-3, 0, 0, 0]).passed);
  assert.ok(judged(output(), [1e-3, 1e-4, 0, 0, 0]).passed);
  assert.ok(!judged(output(), [1e-3, 9e-5, 0, 0, 0]).passed);
});

test("nothing allowed and something wrong is infinite; nothing wrong is 0", () => {
  assert.equal(worst(output(), [0, 0, 0, 0, 0]), Infinity);
  assert.equal(worst(output({ hull: [] }), [0, 0, 0, 0, 0]), 0);
});

test("a problem, a lost signal, a shift and a wrong int each fail on their own", () => {
  const wide = [0, 1, 0, 0, 0];
  assert.ok(judged(output(), wide).passed);
  assert.ok(!judged(output({ problem: "NaN" }), wide).passed);
  assert.ok(!judged(output({ sqnr: 9 }), [0, 1, 0, 10, 0]).passed);
  assert.ok(!judged(output({ bias: 1.2 }), [0, 1, 0, 0, 0.1]).passed);
  assert.ok(!judged(output({ discrete: true, exact: 99 }), wide).passed);
  assert.ok(judged(output({ discrete: true, exact: 99 }), wide, true).passed);
});

test("a target fails with any of its outputs, and no outputs prove nothing", () => {
  const own = asked(null, { t: { "": [0, 1, 0, 0, 0], b: [0, 1e-9, 0, 0, 0, 1] } }, "t");
  assert.ok(verdict([output({ name: "a" })], own).passed);
  const both = verdict([output({ name: "a" }), output({ name: "b" })], own);
  assert.deepEqual([both.passed, both.at], [false, "b"]);
  assert.ok(!verdict([], own).passed);
});

test("the share that passes grows with the tolerance, from the equal ones to all", () => {
  const detail = { histogram: [[5, 0], [0, 5], [0, 10]], edges: [-3, -2.5, -2, -1.5], elements: 20, exact: 5 };
  const shares = [-9, -2.75, -2.25, -1, 1].map((e) => passShare(detail, 0, 10 ** e));
  assert.equal(shares[0], 0.25);
  assert.equal(shares.at(-1), 1);
  assert.deepEqual(shares, [...shares].sort((a, b) => a - b));
});

test("what a spread grants is granted to every element", () => {
  const detail = { histogram: [[5, 0], [0, 5], [0, 10]], edges: [-3, -2.5, -2, -1.5], elements: 20, exact: 5 };
  assert.equal(passShare(detail, 0, 1e-9, 10), 1);
  assert.equal(passShare(detail, 0, 1e-2, 1e-9), passShare(detail, 0, 1e-9, 1e-2));
  assert.ok(passShare(detail, 0, 1e-3, 0.003) > passShare(detail, 0, 1e-3));
});

const cases = process.env.NAVIGATOR_LAB_CASES;
test("every case that Python judged is judged the same", { skip: !cases }, () => {
  const said = JSON.parse(readFileSync(cases, "utf8"));
  assert.ok(said.length > 50);
  for (const one of said) {
    const got = verdict(one.outputs, asked(one.tolerance, { t: one.tolerances }, "t"));
    assert.equal(got.passed, one.passed, JSON.stringify(one));
    for (const [name, ratio] of Object.entries(one.ratios)) {
      const mine = got.cells[name].ratio;
      assert.ok(ratio === null ? mine > 1e200 : Math.abs(mine - ratio) <= 1e-5 * Math.max(ratio, 1e-9), `${name}: ${mine} for ${ratio}`);
    }
  }
});
