// What a kernel's news redraw waits for the release of what is pressed, and comes after it.
import assert from "node:assert/strict";
import { test } from "node:test";

import { holding } from "../../navigator_lab/ui/widgets/js/hold.js";

function made() {
  const drawn = [];
  const frames = [];
  const hold = holding((keys) => drawn.push(keys), (one) => frames.push(one));
  return { hold, drawn, frame() { frames.splice(0).forEach((one) => one()); } };
}

test("all that changed within a frame is drawn once", () => {
  const { hold, drawn, frame } = made();
  hold.told("run", "results");
  hold.later("results");
  assert.deepEqual(drawn, []);
  frame();
  frame();
  assert.deepEqual(drawn, [["run", "results"]]);
});

test("what the kernel changes in a pressed section is drawn after the release, the rest at once", () => {
  const { hold, drawn, frame } = made();
  hold.press("results");
  hold.told("run", "results");
  frame();
  hold.told("results");
  frame();
  assert.deepEqual(drawn, [["run"], []]);
  hold.release();
  frame();
  assert.deepEqual(drawn.at(-1), ["results"]);
  hold.release();
  frame();
  assert.equal(drawn.length, 3); // nothing was left
});

test("what the user drags is drawn while it is pressed", () => {
  const { hold, drawn, frame } = made();
  hold.press("results");
  hold.later("results");
  frame();
  assert.deepEqual(drawn, [["results"]]);
});

test("a release that was never seen holds nothing back for good", () => {
  const { hold, drawn, frame } = made();
  hold.press("results");
  hold.told("results");
  frame();
  hold.press("choose");
  frame();
  assert.deepEqual(drawn, [[], ["results"]]);
});
