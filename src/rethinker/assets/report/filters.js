"use strict";
// Which responses are shown: by run, step, family, verdict, second look, what it changed, and words.
(() => {
  const { el, LOOKS, OUTCOMES } = Rethinker;

  const CHANGES = ["wrong → right", "right → wrong", "right → right", "wrong → wrong"];

  const blank = () => ({ run: "", family: "", outcome: "", look: "", change: "", from: "", to: "", text: "" });

  /** The entries that pass. */
  function passing(entries, wanted) {
    const words = wanted.text.toLowerCase().trim();
    const from = wanted.from === "" ? -Infinity : Number(wanted.from), to = wanted.to === "" ? Infinity : Number(wanted.to);
    return entries.filter((entry) =>
      (wanted.run === "" || entry.run.name === wanted.run) &&
      entry.group.step >= from && entry.group.step <= to &&
      (wanted.family === "" || entry.family === wanted.family) &&
      (wanted.outcome === "" || (wanted.outcome === "ok") === (entry.rollout.outcome === "ok")) &&
      (wanted.look === "" || (wanted.look === "any" ? entry.look !== "none" : entry.look === wanted.look)) &&
      (wanted.change === "" || entry.change === wanted.change) &&
      (words === "" || haystack(entry).includes(words)));
  }

  function haystack(entry) {
    entry.haystack ??= [entry.group.problem, entry.group.question, entry.group.answer, entry.rollout.text].join("\n").toLowerCase();
    return entry.haystack;
  }

  function select(label, name, options, wanted, changed) {
    const control = el("select", { name, onchange: () => { wanted[name] = control.value; changed(); } },
      options.map(([value, text]) => el("option", { value, selected: wanted[name] === value }, text)));
    return el("label", {}, el("span", {}, label), control);
  }

  function input(label, name, attributes, wanted, changed) {
    const control = el("input", { name, value: wanted[name], ...attributes, oninput: () => { wanted[name] = control.value; changed(); } });
    return el("label", { class: attributes.class ?? null }, el("span", {}, label), control);
  }

  /** The form; `changed` is called at every change of `wanted`. */
  function filters(entries, runs, wanted, changed) {
    const families = [...new Set(entries.map((entry) => entry.family))].sort();
    const form = el("form", { class: "filters", role: "search", "aria-label": "Filter responses", onsubmit: (event) => event.preventDefault() },
      input("Search", "text", { type: "search", class: "search", placeholder: "words in question, answer or response", "aria-keyshortcuts": "/" }, wanted, changed),
      runs.length > 1 ? select("Run", "run", [["", "all runs"], ...runs.map((run) => [run.name, run.name])], wanted, changed) : null,
      select("Verdict", "outcome", [["", "any"], ["ok", OUTCOMES.ok], ["not", "not right"]], wanted, changed),
      select("Second look", "look", [["", "any"], ["any", "looked twice"], ["forced", LOOKS.forced], ["own", LOOKS.own], ["none", LOOKS.none]], wanted, changed),
      select("Change", "change", [["", "any"], ...CHANGES.map((each) => [each, each])], wanted, changed),
      select("Family", "family", [["", "all"], ...families.map((each) => [each, each || "not named"])], wanted, changed),
      input("From step", "from", { type: "number", min: 0, inputmode: "numeric" }, wanted, changed),
      input("To step", "to", { type: "number", min: 0, inputmode: "numeric" }, wanted, changed),
      el("button", { type: "button", class: "quiet", onclick: () => { Object.assign(wanted, blank()); form.replaceWith(filters(entries, runs, wanted, changed)); changed(); } }, "Clear"));
    return form;
  }

  Object.assign(Rethinker, { filters, passing, blank });
})();
