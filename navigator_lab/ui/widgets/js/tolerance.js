// Error ÷ tolerance, targets by outputs; two sliders judge again here, without the kernel.
import { h, s, name, glyph } from "./dom.js";
import { grouped, ratio, significant } from "./numbers.js";
import { asked, passShare } from "./judge.js";
import { pick } from "./shared.js";

const [LEAST, MOST] = [-7, 0.5]; // decades of the sliders

// Blue under 1, orange over it, logarithmic; as a share of the ground's own colour.
export function tint(value) {
  if (!(value >= 0)) return "transparent";
  const level = value <= 0 ? -3 : Math.min(Math.max(Math.log10(value), -3), 1);
  return level > 0
    ? `color-mix(in srgb, var(--high) ${Math.round(35 + 65 * level)}%, var(--bg))`
    : `color-mix(in srgb, var(--low) ${Math.round((-level / 3) * 60) + 6}%, var(--bg))`;
}

export function view(app) {
  const rows = app.rows().filter((r) => app.get("accuracy")[r.target]?.length);
  if (!rows.length) return h("p", { class: "empty mut" }, "No target was compared with the reference yet. Correctness does it.");
  const outputs = [...new Set(rows.flatMap((r) => app.get("accuracy")[r.target].map((o) => o.name)))];
  const tell = h("span", { role: "status" });
  const selected = app.local.error;
  const order = [...rows].sort((a, b) => (app.judge(b).worst ?? -1) - (app.judge(a).worst ?? -1));
  const cells = order.map(() => []);
  const tall = outputs.length > 8;
  const grid = h("table", { class: tall ? "hm tall" : "hm", style: `min-width:${(app.width() > 640 ? 220 : 150) + outputs.length * (tall ? 33 : 64)}px`, role: "grid", "aria-label": "Error divided by tolerance, targets by outputs" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Target, worst first"), outputs.map((o) => h("th", { scope: "col", class: "mono", title: o }, h("span", { class: "cut" }, o))))),
    h("tbody", {}, order.map((row, r) => h("tr", { "aria-selected": String(app.get("selection").includes(row.target)) },
      h("th", { scope: "row" }, h("button", { tabindex: -1, class: "tn", onclick: (event) => pick(app, row.target, event) }, glyph(row.precision, app.colour(row.family)), name(row.target))),
      outputs.map((output, c) => {
        const button = h("button", { "data-k": `e-${row.target}/${output}`, tabindex: (selected ? selected[0] === row.target && selected[1] === output : r + c === 0) ? 0 : -1,
          "data-at": `${r},${c}`, class: selected?.[0] === row.target && selected?.[1] === output ? "cur" : undefined,
          onclick: (event) => { app.local.error = [row.target, output]; app.focus = `e-${row.target}/${output}`; app.act("detail", { target: row.target, output }); pick(app, row.target, event); app.redraw("results"); } });
        cells[r].push([row, output, button]);
        return h("td", {}, button);
      })))));
  const scroll = h("div", { class: "tb" }, grid);
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step || !event.target.dataset.at) return;
    event.preventDefault();
    event.stopPropagation();
    const [r, c] = event.target.dataset.at.split(",").map(Number);
    const next = grid.querySelector(`[data-at="${r + step[0]},${c + step[1]}"]`);
    if (next) { event.target.tabIndex = -1; next.tabIndex = 0; next.focus(); }
  });
  const write = ([row, output, button]) => {
    const cell = app.judge(row).cells?.[output];
    const number = cell && (tall && cell.ratio < 0.01 && cell.ratio >= 0.001 ? cell.ratio.toPrecision(1) : ratio(cell.ratio));
    const words = !cell ? "–" : cell.passed ? number : `×${tall ? "" : " "}${number}`;
    if (button.textContent !== words) button.textContent = words;
    const ground = cell ? (cell.passed ? tint(Math.min(cell.ratio, 1)) : tint(Math.max(cell.ratio, 1.05))) : "transparent";
    if (button.dataset.ground !== ground) button.style.background = button.dataset.ground = ground;
    button.classList.toggle("bad", Boolean(cell && !cell.passed));
    button.setAttribute("aria-label", `${row.target}, ${output}: ${words}${cell?.why ? `, ${cell.why}` : ""}`);
    button.title = cell?.why ?? "";
  };
  // What a drag does on every frame: judge all; words and colours of what is scrolled to, the rest
  // when the drag rests.
  const recolour = (few) => {
    app.forget();
    const [from, to] = [scroll.scrollTop - 60, scroll.scrollTop + scroll.clientHeight];
    const there = (one) => { const top = one[0][2].closest("tr").offsetTop; return top >= from && top <= to; };
    const now = few ? cells.filter(there) : cells;
    now.forEach((one) => one.forEach(write));
    clearTimeout(app.local.rest);
    if (few) app.local.rest = setTimeout(() => cells.filter((one) => !now.includes(one)).forEach((one) => one.forEach(write)), 100);
    const fine = rows.filter((r) => app.judge(r).passed).length;
    tell.textContent = `${fine} of ${rows.length} within tolerance`;
  };
  const own = app.tolerance();
  const slider = (key, label) => {
    const value = own?.[key] ?? 0;
    const shown = h("span", { class: "mono" }, own ? significant(value, 2) : "default");
    const input = h("input", { type: "range", min: LEAST, max: MOST, step: 0.05, "data-k": `tol-${key}`, "aria-label": `${label} tolerance`,
      value: value > 0 ? Math.log10(value) : LEAST, "aria-valuetext": own ? significant(value, 2) : "default by precision",
      oninput: (event) => {
        const now = app.tolerance() ?? { relative: 0, absolute: 0 };
        const level = Number(event.target.value);
        app.local.tolerance = { ...now, relative: now.relative ?? 0, absolute: now.absolute ?? 0, [key]: level <= LEAST ? 0 : Number((10 ** level).toPrecision(2)) };
        shown.textContent = significant(app.local.tolerance[key], 2);
        input.setAttribute("aria-valuetext", shown.textContent);
        if (!app.local.frame) app.local.frame = requestAnimationFrame(() => { app.local.frame = 0; recolour(true); });
      },
      // On release, or after a key; of a key that is kept down, after the last.
      onchange: () => { clearTimeout(app.local.later); app.local.later = setTimeout(() => app.commitTolerance(), 150); } });
    return h("label", { class: "sl" }, h("span", { class: "mono" }, label), input, shown);
  };
  recolour();
  const scale = h("span", { class: "scale", "aria-hidden": "true" }, [0.001, 0.01, 0.1, 0.5, 2, 5, 10].map((v) => h("i", { style: `background:${tint(v)}` })));
  return h("div", {}, h("div", { class: "row bars" }, slider("relative", "relative"), slider("absolute", "absolute"), h("span", { class: "sp" }),
    h("button", { class: "lnk sm", "data-k": "tol-default", "aria-disabled": own ? undefined : "true", onclick: () => { app.local.tolerance = undefined; app.set("tolerance", null); } }, "Defaults by precision")),
  h("p", { class: "sm tell" }, h("strong", {}, tell), h("span", { class: "mut" }, " · error ÷ tolerance of the worst element "), h("span", { class: "mut" }, "0.001 ", scale, " 10×")),
  scroll, close(app), app.code("tolerance"));
}

// One cell in detail: how many elements pass by both tolerances, and how the errors are spread.
function close(app) {
  const at = app.local.error;
  const detail = app.get("detail").cell;
  if (!at || !detail || detail.target !== at[0] || detail.output !== at[1]) return null;
  const box = h("div", { class: "closer" }, h("h4", {}, name(at[0]), h("span", { class: "mono" }, `→ ${at[1]}`)));
  const row = h("div", { class: "row top" });
  const worst = detail.worst;
  if (detail.histogram.length) row.append(surface(app, detail), errors(app, detail));
  row.append(h("dl", { class: "kv narrow" }, [["Elements", grouped(detail.elements, 0)], ["Equal", grouped(detail.exact, 0)],
    grant(app, detail) && ["Passes anyway", grant(app, detail)], worst && ["Worst |Δ|", significant(worst.error)], worst && ["Reference", significant(worst.reference, 6)], worst && ["This target", significant(worst.got, 6)],
    worst && ["Where", `${worst.sample >= 0 ? `sample ${worst.sample}` : `case ${worst.case}`}, index ${worst.index.join(", ")}`]]
    .filter(Boolean).flatMap(([k, v]) => [h("dt", {}, k), h("dd", { class: "mono" }, v)])));
  box.append(row);
  return box;
}

// What a tolerance by the output's spread allows every element, whatever the other two are.
function grant(app, detail) {
  const [, , spread] = asked(app.tolerance(), app.get("tolerances"), detail.target)(detail.output)[0];
  const std = app.get("accuracy")[detail.target]?.find((o) => o.name === detail.output)?.std ?? 0;
  return spread * std ? `|Δ| ≤ ${significant(spread * std, 2)}, ${significant(spread, 2)} of the spread` : "";
}

function surface(app, detail) {
  const decades = [-6, -5, -4, -3, -2, -1, 0];
  const [relative, absolute, spread] = asked(app.tolerance(), app.get("tolerances"), detail.target)(detail.output)[0];
  const std = app.get("accuracy")[detail.target]?.find((o) => o.name === detail.output)?.std ?? 0;
  const more = spread * std;
  const draw = s("svg", { width: more ? 230 : 196, height: 172, role: "img", "aria-label": "Share of elements that pass, by absolute and relative tolerance" },
    s("text", { class: "ax", x: 4, y: 11 }, "share of elements that pass"));
  decades.forEach((a, i) => decades.forEach((r, j) => {
    const share = passShare(detail, 10 ** r, 10 ** a, more);
    draw.append(s("rect", { x: 44 + i * 20, y: 18 + (6 - j) * 17, width: 19, height: 16, fill: "var(--low)", "fill-opacity": 0.06 + 0.9 * share },
      s("title", {}, `relative 1e${r}, absolute 1e${a}: ${significant(100 * share)} %`)));
  }));
  if (relative || absolute) {
    const place = (v) => Math.min(Math.max((v > 0 ? Math.log10(v) : -6) + 6, 0), 6);
    draw.append(s("circle", { cx: 53.5 + place(absolute) * 20, cy: 26 + (6 - place(relative)) * 17, r: 4.5, fill: "var(--bg)", stroke: "var(--fg)", "stroke-width": 1.5 }));
  }
  draw.append(s("text", { class: "ax", x: 44, y: 152 }, "1e−6"), s("text", { class: "ax", x: 183, y: 152, "text-anchor": "end" }, "1"), s("text", { class: "ax", x: 113, y: 166, "text-anchor": "middle" }, "absolute"),
    s("text", { class: "ax", x: 38, y: 30, "text-anchor": "end" }, "1"), s("text", { class: "ax", x: 38, y: 132, "text-anchor": "end" }, "1e−6"), s("text", { class: "ax", x: 4, y: 80 }, "relat."));
  return draw;
}

function errors(app, detail) {
  const counts = detail.histogram.map((r) => r.reduce((a, b) => a + b, 0));
  const most = Math.max(...counts);
  const wide = Math.min(Math.max(counts.length * 16, 120), 300);
  const bar = wide / counts.length;
  const draw = s("svg", { width: wide + 16, height: 172, role: "img", "aria-label": "Histogram of the absolute error" }, s("text", { class: "ax", x: 6, y: 11 }, "elements by |Δ| (log)"));
  counts.forEach((n, i) => { if (n) draw.append(s("rect", { x: 6 + i * bar, y: 138 - (112 * n) / most, width: Math.max(bar - 1, 1), height: Math.max((112 * n) / most, 1.5), fill: "var(--low)" }, s("title", {}, `${n} elements`))); });
  draw.append(s("path", { d: `M6 138.5H${wide + 6}`, stroke: "var(--ctl)" }));
  const [first, last] = [detail.edges[0], detail.edges.at(-1)];
  draw.append(s("text", { class: "ax", x: 6, y: 152 }, counts[0] ? "0" : `1e${Math.round(first)}`), s("text", { class: "ax", x: wide + 6, y: 152, "text-anchor": "end" }, `1e${Math.round(first + (last - first) * (counts.length / Math.max(detail.edges.length - 1, 1)))}`));
  return draw;
}
