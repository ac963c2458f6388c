// What the views of the results share: limits that can be typed, one selection, a row's state.
import { h } from "./dom.js";
import { LIMITS, memory, typed } from "./points.js";

// Chips of limits that can be typed into; what they hold is one trait for all views. `place` names
// them apart where two sections have them.
export function limits(app, place = "") {
  const own = app.get("limits");
  const keep = (key, bound) => {
    const next = { ...own };
    if (bound === null) delete next[key];
    else next[key] = bound;
    app.set("limits", next);
  };
  const chips = Object.entries(own).filter(([key]) => LIMITS[key]).map(([key, bound]) => {
    const one = LIMITS[key];
    return h("span", { class: "lim" }, h("span", {}, `${one.words} ${one.least ? "≥" : "≤"}`),
      h("input", { type: "text", inputmode: "decimal", "data-k": `${place}lim-${key}`, "aria-label": `limit of ${one.words}${one.unit ? ` in ${one.unit}` : ""}`,
        size: Math.max(String(bound / one.per).length, 2), value: Number((bound / one.per).toPrecision(6)),
        onchange: (event) => { const number = typed(event.target.value); if (number === null) event.target.value = bound / one.per; else keep(key, number * one.per); } }),
      h("span", {}, one.unit), h("button", { "data-k": `${place}unlim-${key}`, "aria-label": `remove the limit of ${one.words}`, onclick: () => keep(key, null) }, "×"));
  });
  const free = Object.keys(LIMITS).filter((key) => !(key in own));
  const start = (key) => {
    const one = LIMITS[key];
    const found = app.rows().flatMap((r) => r.batches.map((b) => {
      const v = key === "memory_bytes" ? memory(r) : key === "size_bytes" ? r.size_bytes : key === "error" ? 1 : key === "min_throughput" ? b.throughput : b[key];
      return v ?? 0;
    })).filter((v) => v > 0).sort((a, b) => a - b);
    const middle = found[Math.floor(found.length / 2)] ?? one.per;
    return Number((middle / one.per).toPrecision(2)) * one.per;
  };
  return h("span", { class: "row lims" }, chips, free.length > 0 && h("select", { class: "add", "data-k": `${place}add-limit`, "aria-label": "Add limit",
    onchange: (event) => { if (event.target.value) { app.focus = `${place}lim-${event.target.value}`; keep(event.target.value, start(event.target.value)); } } },
  h("option", { value: "" }, "Add limit"), free.map((key) => h("option", { value: key }, LIMITS[key].words))));
}

// A limit under the pointer: drawn on every frame without the kernel, which is told at the end.
// `read` makes a bound of a pointer event, or null where there is to be none.
export function drag(app, key, read) {
  return (event) => {
    if (event.button) return;
    event.preventDefault();
    const move = (e) => {
      const next = { ...app.get("limits") };
      const bound = read(e);
      if (bound === null) delete next[key];
      else next[key] = bound;
      app.local.limits = next;
      app.redraw("results");
    };
    const end = (e) => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      if (e.type === "pointerup") move(e);
      const made = app.local.limits;
      app.local.limits = undefined;
      if (made) { app.focus = `drag-${key}`; app.set("limits", made); }
      app.redraw("results");
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  };
}

// The same by keys: arrows move it by a twentieth, Delete takes it away.
export function nudge(app, key, start, wider, narrower) {
  return (event) => {
    const way = { [wider]: 1, [narrower]: -1 }[event.key];
    if (!way && event.key !== "Delete" && event.key !== "Backspace") return;
    event.preventDefault();
    event.stopPropagation();
    const next = { ...app.get("limits") };
    if (way) next[key] = Number(((next[key] ?? start) * 1.05 ** way).toPrecision(3));
    else delete next[key];
    app.focus = `drag-${key}`;
    app.set("limits", next);
  };
}

export function pick(app, target, event) {
  const now = app.get("selection");
  if (event.shiftKey || event.metaKey || event.ctrlKey)
    app.set("selection", now.includes(target) ? now.filter((t) => t !== target) : [...now, target]);
  else app.set("selection", [target]);
}

export function stateOf(app, row) {
  if (row.waiting) return [app.get("run_state").states?.[row.target]?.state ?? "queued", ""];
  if (row.status !== "done") return [row.status === "cancelled" ? "cancelled" : row.status, ""];
  if (row.stale) return ["stale", ""];
  if (app.judge(row).passed === false) return ["tol", ""];
  return [row.steps_run ? "done" : "cached", ""];
}
