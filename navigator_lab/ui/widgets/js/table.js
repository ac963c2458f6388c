// The results as a table: a row a target, sorted by any column.
import { h, s, chip, name, glyph } from "./dom.js";
import { parts, significant, ratio, THIN } from "./numbers.js";
import { at, memory, misses, sorted } from "./points.js";
import { limits, pick, stateOf } from "./shared.js";

export function view(app) {
  const size = app.batch();
  const rows = app.rows();
  const base = rows.find((r) => r.target === app.get("results").baseline);
  const bounds = app.get("limits");
  const seen = new Map(rows.map((row) => {
    const batch = at(row, size);
    const ground = base && batch && base.batches.find((b) => b.batch === batch.batch);
    return [row.target, { batch, judged: app.judge(row), gain: ground ? batch.throughput / ground.throughput : null }];
  }));
  const of = (row) => seen.get(row.target);
  const columns = {
    target: ["Target", "", (r) => r.target], status: ["Status", "", (r) => stateOf(app, r)[0]],
    p50: ["p50, ms", "num", (r) => of(r).batch?.p50_ms], p99: ["p99, ms", "num opt", (r) => of(r).batch?.p99_ms],
    throughput: ["Throughput, /s", "", (r) => of(r).batch?.throughput], gain: ["× base", "num opt3", (r) => of(r).gain],
    error: ["Error ÷ tol", "num", (r) => of(r).judged.worst],
    memory: ["Memory, MB", "num opt", memory], size: ["Size, MB", "num opt opt2", (r) => r.size_bytes],
  };
  const [by, down] = app.local.sort ?? ["throughput", true];
  const order = sorted(rows, columns[by][2], down);
  const most = Math.max(1e-9, ...rows.map((r) => of(r).batch?.throughput ?? 0));
  const sort = (key) => { app.local.sort = [key, by === key ? !down : ["throughput", "gain"].includes(key)]; app.focus = `sort-${key}`; app.redraw("results"); };
  const head = h("tr", {}, Object.entries(columns).map(([key, [label, kind]]) =>
    h("th", { scope: "col", class: kind || undefined, "aria-sort": by === key ? (down ? "descending" : "ascending") : "none" },
      h("button", { "data-k": `sort-${key}`, onclick: () => sort(key) }, label, by === key ? (down ? " ↓" : " ↑") : ""))),
  h("th", { scope: "col", class: "opt" }, h("span", { class: "vh" }, "Choose")));
  const chosen = app.get("selection");
  const body = h("tbody", {}, order.map((row, i) => line(row, i)));
  function line(row, i) {
    const { batch, judged, gain } = of(row);
    const [state] = stateOf(app, row);
    const colour = app.colour(row.family);
    const missed = batch ? misses(row, batch, bounds, judged.worst) : [];
    const select = (event) => { app.focus = `row-${row.target}`; pick(app, row.target, event); };
    const first = chosen.length ? row.target === chosen[0] : i === 0;
    const cells = [h("td", { class: "n1" }, h("span", { class: "tn" }, glyph(row.precision, colour), name(row.target))), h("td", { title: row.reason || undefined }, chip(state))];
    if (!batch) {
      const why = row.waiting ? "" : row.status === "done" ? "not timed" : row.reason;
      cells.push(h("td", { class: "why", colspan: 7, title: why }, why, row.remedy && h("span", { class: "mut" }, ` Remedy: ${row.remedy}`)));
    } else {
      const [p50, half] = parts(batch.p50_ms, batch.p50_ms_low, batch.p50_ms_high);
      const off = judged.passed === false || row.stale || missed.length;
      const bar = s("svg", { class: "tbar", viewBox: "0 0 84 12", preserveAspectRatio: "none", "aria-hidden": "true" },
        s("rect", { width: 84, height: 12, fill: "var(--soft)" }),
        s("rect", { width: (84 * batch.throughput) / most, height: 12, fill: colour, "fill-opacity": off ? 0.4 : 0.9 }));
      const may = row.status === "done" && judged.passed !== false && !row.stale && !app.gone;
      cells.push(
        h("td", { class: `num ${missed.includes("p50_ms") ? "miss" : ""}` }, p50, h("span", { class: "mut pmn" }, half ? `${THIN}±${THIN}${half}` : "")),
        h("td", { class: `num opt ${missed.includes("p99_ms") ? "miss" : ""}` }, significant(batch.p99_ms)),
        h("td", {}, h("span", { class: "tn" }, bar, significant(batch.throughput), size && batch.batch !== size ? h("span", { class: "mut" }, `b${batch.batch}`) : size ? "" : h("span", { class: "mut" }, `b${batch.batch}`))),
        h("td", { class: "num opt3" }, row.target === base?.target ? "1" : gain === null ? "–" : `${ratio(gain)}×`),
        h("td", { class: `num ${judged.passed === false ? "s-tol" : ""}` }, judged.passed === false && !(judged.worst > 1) ? `× ${ratio(judged.worst)}` : ratio(judged.worst)),
        h("td", { class: `num opt ${missed.includes("memory_bytes") ? "miss" : ""}` }, memory(row) === null ? "–" : significant(memory(row) / 1e6)),
        h("td", { class: `num opt opt2 ${missed.includes("size_bytes") ? "miss" : ""}` }, row.size_bytes === null ? "–" : significant(row.size_bytes / 1e6)),
        h("td", { class: "opt" }, app.get("chosen") === row.target ? chip("choice") : may && h("button", { class: "lnk", tabindex: -1, "aria-label": `choose ${row.target}`,
          onclick: (event) => { event.stopPropagation(); app.set("chosen", row.target); } }, "Choose")));
    }
    return h("tr", { "data-k": `row-${row.target}`, "data-row": row.target, tabindex: first ? 0 : -1, "aria-selected": String(chosen.includes(row.target)),
      class: missed.length ? "missed" : undefined, onclick: select,
      onkeydown: (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (step) {
          const next = order[i + step];
          event.preventDefault();
          event.stopPropagation();
          if (next) { app.focus = `row-${next.target}`; pick(app, next.target, event); }
        } else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); select(event); }
      } }, cells);
  }
  return h("div", {}, h("div", { class: "row bars" }, limits(app), h("span", { class: "sp" }), batches(app)),
    h("div", { class: "tb" }, h("table", { role: "grid", "aria-label": "Results, a row a target" }, h("thead", {}, head), body)),
    h("p", { class: "sm mut foot" }, size ? `At batch ${size}; a row that was not timed there names its own. ` : "Each at the batch of its largest throughput. ",
      "± is the 95 % interval. Stale and out-of-tolerance rows are never on the front or in the choice."),
    app.code("table"));
}

export function batches(app) {
  const sizes = [...new Set(app.rows().flatMap((r) => r.batches.map((b) => b.batch)))].sort((a, b) => a - b);
  if (sizes.length < 2) return null;
  return h("label", { class: "sm mut set" }, "batch ", h("select", { class: "sel", "data-k": "batch", onchange: (event) => app.set("batch", Number(event.target.value)) },
    sizes.map((n) => h("option", { value: n, selected: n === app.batch() }, n))));
}
