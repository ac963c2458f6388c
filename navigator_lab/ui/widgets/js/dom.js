// Elements and marks. Text goes in as text nodes only: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

function put(node, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value") node.value = value;
    else if (key === "checked") node.checked = value;
    else node.setAttribute(key, value === true && !key.startsWith("aria-") ? "" : String(value));
  }
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

export const h = (tag, props, ...children) => put(document.createElement(tag), props, children);
export const s = (tag, props, ...children) =>
  put(document.createElementNS(SVG, tag), props, children);

const line = (d, width = 1.5, more = {}) =>
  ["path", { d, fill: "none", stroke: "currentColor", "stroke-width": width, ...more }];
const cut = (d, width = 1.5) =>
  ["path", { d, fill: "none", stroke: "var(--bg)", "stroke-width": width }];
const CROSS = "M2.4 4.4l2-2L7 5l2.6-2.6 2 2L9 7l2.6 2.6-2 2L7 9l-2.6 2.6-2-2L5 7z";

// State marks: shape first, colour second.
const MARKS = {
  off: [["rect", { x: 2.5, y: 2.5, width: 9, height: 9, fill: "none", stroke: "currentColor", opacity: 0.6 }]],
  selected: [["rect", { x: 2, y: 2, width: 10, height: 10, fill: "currentColor" }], cut("M4.3 7l2 2 3.6-4")],
  unavailable: [line("M3.5 7h7")],
  queued: [["circle", { cx: 7, cy: 7, r: 4.5, fill: "none", stroke: "currentColor", "stroke-width": 1.3, "stroke-dasharray": "1.6 1.9" }]],
  cached: [line("M2.5 7.5l3 3 6-7", 1.6)],
  done: [["circle", { cx: 7, cy: 7, r: 5.5, fill: "currentColor" }], cut("M4.4 7.2l1.9 1.9 3.4-4", 1.4)],
  running: [
    ["circle", { cx: 7, cy: 7, r: 5, fill: "none", stroke: "currentColor", "stroke-width": 1.4, opacity: 0.35 }],
    line("M7 2a5 5 0 0 1 5 5", 2, { class: "spin" }),
  ],
  failed: [["rect", { x: 1.5, y: 1.5, width: 11, height: 11, fill: "currentColor" }], cut("M4.5 4.5l5 5m0-5l-5 5", 1.6)],
  tol: [line(CROSS, 1.2)],
  stale: [line("M7 1.8L12.6 12H1.4z", 1.3, { "stroke-linejoin": "round" }), line("M7 5.4v3.2m0 1v1.2", 1.3)],
  skipped: [["path", { d: "M3 3.5l4 3.5-4 3.5zM7.5 3.5l4 3.5-4 3.5z", fill: "currentColor" }]],
  cancelled: [["rect", { x: 3, y: 3, width: 8, height: 8, fill: "currentColor", opacity: 0.7 }]],
  choice: [["path", { d: "M7 1.5L12.5 7 7 12.5 1.5 7z", fill: "currentColor" }]],
  down: [line("M3.5 5.5L7 9l3.5-3.5")],
  right: [line("M5.5 3.5L9 7l-3.5 3.5")],
  info: [["circle", { cx: 7, cy: 7, r: 5.5, fill: "none", stroke: "currentColor", "stroke-width": 1.2 }], line("M7 6.2v4M7 3.6v1.3", 1.4)],
};

export const WORDS = {
  off: "off", selected: "selected", queued: "queued", cached: "cached", done: "done",
  running: "running", failed: "failed", tol: "out of tolerance", stale: "stale",
  skipped: "skipped", cancelled: "cancelled", unavailable: "unavailable", choice: "chosen",
};

export const icon = (name) =>
  s("svg", { class: "i", viewBox: "0 0 14 14", "aria-hidden": "true" },
    (MARKS[name] ?? MARKS.info).map(([tag, props]) => s(tag, props)));

export const chip = (state, words) =>
  h("span", { class: `chip s-${state}` }, icon(state), words ?? WORDS[state] ?? state);

// A long name loses its middle: what follows the colon always shows, the whole is in the title.
export function name(text) {
  const at = text.indexOf(":") < 0 ? Math.max(text.length - 8, 0) : text.indexOf(":");
  return h("span", { class: "nm", title: text },
    at > 0 && h("span", {}, text.slice(0, at)), h("span", { class: "end" }, text.slice(at)));
}

const shapes = {
  fp32: (x, y, r) => ["circle", { cx: x, cy: y, r }],
  tf32: (x, y, r) => ["path", { d: `M${x - r * 1.15} ${y}l${r * 0.57} ${-r}h${r * 1.15}l${r * 0.57} ${r}-${r * 0.57} ${r}h${-r * 1.15}z` }],
  fp16: (x, y, r) => ["rect", { x: x - r * 0.9, y: y - r * 0.9, width: r * 1.8, height: r * 1.8 }],
  bf16: (x, y, r) => ["path", { d: `M${x} ${y - r * 1.25}l${r * 1.25} ${r * 1.25}-${r * 1.25} ${r * 1.25}-${r * 1.25}-${r * 1.25}z` }],
  int8: (x, y, r) => ["path", { d: `M${x} ${y - r * 1.2}l${r * 1.15} ${r * 2.1}h${-r * 2.3}z` }],
  "int8-dynamic": (x, y, r) => ["path", { d: `M${x + r * 1.2} ${y}l${-r * 2.1} ${r * 1.15}v${-r * 2.3}z` }],
  fp8: (x, y, r) => ["path", { d: `M${x} ${y + r * 1.2}l${r * 1.15} ${-r * 2.1}h${-r * 2.3}z` }],
  "int8-weights": (x, y, r) => ["path", { d: `M${x} ${y - r * 1.3}l${r * 0.4} ${r * 0.9}h${r * 0.95}l${-r * 0.75} ${r * 0.62} ${r * 0.3} ${r}-${r * 0.9} ${-r * 0.6}-${r * 0.9} ${r * 0.6} ${r * 0.3} ${-r}-${r * 0.75} ${-r * 0.62}h${r * 0.95}z` }],
  "int4-weights": (x, y, r) => ["path", { d: `M${x} ${y - r * 1.2}l${r * 1.15} ${r * 0.85}-${r * 0.45} ${r * 1.35}h${-r * 1.4}l${-r * 0.45} ${-r * 1.35}z` }],
  wrong: (x, y, r) => ["path", { d: CROSS, transform: `translate(${x - 7} ${y - 7})` }],
};

export function shape(kind, x, y, r, props) {
  const [tag, own] = (shapes[kind] ?? shapes.fp32)(x, y, r);
  return s(tag, { ...own, ...props });
}

export const glyph = (precision, colour) =>
  s("svg", { class: "i", viewBox: "0 0 14 14", "aria-hidden": "true" },
    shape(precision, 7, 7, 4, { fill: colour }));
