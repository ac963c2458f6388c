// Section 1: which model, which samples, what they are, and what is wrong with them.
import { h, icon, chip } from "./dom.js";
import { grouped, significant, bytes } from "./numbers.js";

const dims = (shape) => shape.flatMap((axis, i) => [
  i ? ", " : "", typeof axis === "string" ? h("span", { class: "dyn", title: "may vary" }, axis) : String(axis),
]);

export function summary(app) {
  const { session, state } = app.get("pick");
  if (!session) return state === "opening" ? "opening" : "No model yet";
  const { inputs, outputs } = session.signature;
  const many = (list, word) => `${list.length} ${word}${list.length === 1 ? "" : "s"}`;
  const doubts = session.notes.length + app.doubts().length;
  return [session.model, many(inputs, "input"), many(outputs, "output"),
    doubts ? many({ length: doubts }, "note") : ""].filter(Boolean).join(" · ");
}

export function body(app) {
  const pick = app.get("pick");
  const busy = pick.state === "opening" || app.running();
  const chosen = { ...pick.chosen, ...app.local.pick };
  const choose = (which) => (event) => {
    app.local.pick = { ...app.local.pick, [which]: event.target.value };
    app.redraw("pick");
  };
  const select = (which, label, options, path) => {
    const groups = [...new Set(options.map((o) => o.group))];
    const shown = options.some((o) => o.id === chosen[which]) ? chosen[which] : (options[0]?.id ?? "");
    if (!chosen[which]) chosen[which] = shown;
    const one = options.find((o) => o.id === shown);
    return h("div", {},
      h("label", { class: "cap", for: `${app.id}-${which}` }, label),
      h("select", { id: `${app.id}-${which}`, "data-k": which, onchange: choose(which), disabled: busy },
        groups.map((group) => h("optgroup", { label: group }, options.filter((o) => o.group === group)
          .map((o) => h("option", { value: o.id, selected: o.id === shown }, o.label))))),
      h("p", { class: "sm mut" }, one?.words ?? ""),
      one?.path && h("input", {
        type: "text", class: "wide", "data-k": `${which}-path`, "aria-label": `${label}: ${path}`, placeholder: path,
        value: app.local[`${which}-path`] ?? "", disabled: busy,
        oninput: (event) => { app.local[`${which}-path`] = event.target.value; },
      }));
  };
  const open = () => {
    if (barred) return;
    app.set("picked", { ...app.get("picked"), model: chosen.model ?? "", samples: chosen.samples ?? "",
      model_path: app.local["model-path"] ?? "", samples_path: app.local["samples-path"] ?? "" });
    app.act("open");
  };
  const models = select("model", "Model", pick.models, "path of an .onnx, .pt2 or TorchScript file");
  const digits = chosen.model === "digits";
  const samples = digits
    ? h("div", {}, h("span", { class: "cap" }, "Samples"), h("p", { class: "sm" }, "360 images that the model has not seen, with their labels"))
    : select("samples", "Samples", pick.samples, "path of an .npz, inputs by name");
  const same = chosen.model === "open" || (!digits && chosen.samples === "open"); // nothing else is picked
  const barred = busy || app.gone || same;
  return h("div", {},
    h("div", { class: "pick" },
      models, samples,
      h("div", {}, h("span", { class: "cap" }, "This machine"), h("p", {}, pick.machine.name),
        h("p", { class: "sm mut" }, pick.machine.words)),
      h("div", { class: "row full" },
        h("button", { class: pick.session ? "btn" : "btn pri", "data-k": "open", onclick: open,
          "aria-disabled": barred || undefined },
        pick.session ? "Open anew" : "Open"),
        h("span", { class: "sm mut", role: "status" }, pick.state === "opening" ? [icon("running"), " ", pick.words]
          : pick.session ? "" : "The model is run once on the samples, to find its signature. Nothing else is run until you press Run."))),
    pick.error && h("div", { class: "note err", role: "alert" }, h("span", { class: "s-failed" }, icon("failed")),
      h("div", {}, h("strong", {}, pick.error), pick.remedy && h("p", { class: "sm" }, `Remedy: ${pick.remedy}`))),
    pick.session && signature(app, pick.session),
    app.doubts().map((words) => note(words)),
    pick.session && app.code("open"));
}

const note = (words) => h("div", { class: "note warn" }, h("span", { class: "s-stale" }, icon("stale")), h("div", {}, words));

function signature(app, session) {
  const axes = Object.fromEntries(session.signature.axes.map((a) => [a.name, a]));
  const row = (spec, out) => h("tr", {},
    h("td", { class: "mono", title: spec.name }, out ? "→ " : "", spec.name),
    h("td", { class: "mono" }, spec.dtype),
    h("td", { class: "mono" }, "[", dims(spec.shape), "]"),
    h("td", { class: "mut" }, spec.shape.filter((a) => typeof a === "string" && axes[a])
      .map((a) => `${a} ${axes[a].min === axes[a].max ? axes[a].min : `${axes[a].min}…${axes[a].max}`}`).join(", ")));
  return h("div", { class: "sigbox" },
    h("div", { class: "scroll" }, h("table", { class: "sig", "aria-label": "Signature" },
      h("thead", {}, h("tr", {}, ["Name", "Type", "Shape", "Varies"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {}, session.signature.inputs.map((x) => row(x, false)), session.signature.outputs.map((x) => row(x, true))))),
    session.notes.length > 0 && h("ul", { class: "sm notes" }, session.notes.map((words) =>
      h("li", {}, h("span", { class: "s-stale" }, icon("stale")), " ", words))));
}
