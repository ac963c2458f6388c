// Changes are put together in their order, whatever order they and whole traits come in.
import assert from "node:assert/strict";
import { test } from "node:test";

import { applied, wire } from "../../navigator_lab/ui/widgets/js/wire.js";

function fake(state) {
  const ears = {};
  return {
    get: (key) => state[key],
    on: (event, ear) => (ears[event] ??= new Set()).add(ear),
    off: (event, ear) => ears[event]?.delete(ear),
    change: (changes) => ears["msg:custom"]?.forEach((ear) => ear({ changes })),
    whole: (more) => { Object.assign(state, more); ears["change:sent"]?.forEach((ear) => ear()); },
    ears: () => Object.values(ears).reduce((n, set) => n + set.size, 0),
  };
}
const one = (key, value) => ["~", { [key]: ["=", value] }, []];

test("a change of a dict, of a list, and of what lies within", () => {
  const old = { a: 1, gone: 2, list: [{ x: 1 }, { x: 2 }, { x: 3 }] };
  const change = ["~", { a: ["=", 5], list: ["~", { 0: one("x", 9) }, 2] }, ["gone"]];
  const made = applied(old, change);
  assert.deepEqual(made, { a: 5, list: [{ x: 9 }, { x: 2 }] });
  assert.deepEqual(old.list.length, 3); // what was drawn from is left alone
  assert.equal(made.list[1], old.list[1]);
  assert.deepEqual(applied(made, change), made); // twice is once
  assert.deepEqual(applied([1], ["~", { 1: ["=", 2], 2: ["=", 3] }, 3]), [1, 2, 3]);
});

test("what is early waits, what is known is nothing, what is older than the whole is nothing", () => {
  const model = fake({ sent: { run: 3, other: 0 }, run: { a: 0 }, mine: 7 });
  const heard = [];
  const told = [];
  const line = wire(model, (key) => heard.push(key), (numbers) => told.push(numbers));
  assert.deepEqual(told, [{ run: 3, other: 0 }]); // what a change before would have been made on
  assert.equal(line.get("mine"), 7);
  model.change({ run: [5, one("a", 5)] });
  assert.deepEqual([line.get("run"), heard.length], [{ a: 0 }, 0]);
  model.change({ run: [4, one("b", 4)] });
  assert.deepEqual(line.get("run"), { a: 5, b: 4 });
  assert.deepEqual(heard, ["run"]);
  model.change({ run: [4, one("b", 1)] });
  assert.deepEqual(line.get("run"), { a: 5, b: 4 });
  model.change({ run: [7, one("c", 7)] }); // 6 is on its way, as a whole
  model.whole({ sent: { run: 6, other: 0 }, run: { a: 6 } });
  assert.deepEqual(line.get("run"), { a: 6, c: 7 });
  model.whole({ sent: { run: 6, other: 1 }, other: {} }); // another trait: this one stays
  assert.deepEqual(line.get("run"), { a: 6, c: 7 });
  line.stop();
  assert.deepEqual([model.ears(), told.length], [0, 1]);
});

test("what never came is asked for once, and the answer mends it", async () => {
  const model = fake({ sent: { run: 0 }, run: {} });
  const asked = [];
  const line = wire(model, () => {}, (numbers) => asked.push(numbers.run), 20);
  model.change({ run: [1, one("a", 1)] });
  model.change({ run: [3, one("a", 3)] });
  model.change({ run: [4, one("a", 4)] });
  await new Promise((done) => setTimeout(done, 80));
  assert.deepEqual(asked, [0, 1]);
  model.whole({ sent: { run: 5 }, run: { a: 4 } });
  model.change({ run: [6, one("b", 6)] });
  assert.deepEqual(line.get("run"), { a: 4, b: 6 });
  line.stop();
});
