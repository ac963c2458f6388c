import assert from "node:assert/strict";
import { test } from "node:test";

import { grouped, reach, step } from "../../navigator_lab/ui/widgets/js/mixer.js";

test("settings of one target are together, by their number; rows that can't be mixed are in none", () => {
  const rows = [["a", 5], null, ["b", 0], ["a", 0]].map((mix) => ({ mix }));
  assert.deepEqual([...grouped(rows)].map(([of, list]) => [of, list.map((p) => p.keep)]), [["a", [0, 5]], ["b", [0]]]);
});

test("the slider leaves room to try more, and its axis has few whole steps", () => {
  const points = (...list) => list.map(([keep, status]) => ({ keep, row: { status } }));
  assert.equal(reach(points([0, "done"])), 20);
  assert.equal(reach(points([0, "done"], [40, "done"], [90, "failed"])), 80);
  assert.deepEqual([20, 80, 3, 400].map(step), [5, 20, 1, 100]);
});
