"use strict";
// Runs against each other: outcomes with intervals, an ablation's arms, and what their configurations differ in.
(() => {
  const { el, percent, inPoints, count, duration, table, missing, lazily, shortened, card } = Rethinker;

  const FIGURES = { accuracy: "held-out accuracy", rethinking: "spontaneous rethinking", wrong_to_right: "wrong → right by a second look", effective: "effective batch", mixed: "mixed groups", tokens: "tokens generated", seconds: "seconds" };
  const SHARES = ["accuracy", "rethinking", "wrong_to_right", "effective", "mixed"];

  /** Rows of {name, value, low, high, dots} on one horizontal axis of shares. */
  function intervals(title, note, rows, { domain, text, rule }) {
    const draw = (width) => {
      const left = Math.min(230, Math.max(110, width * 0.32));
      return Plot.plot({
        width, height: 44 + 34 * rows.length, marginLeft: left, marginRight: 18, ariaLabel: title,
        x: { domain, label: null, ticks: Math.max(2, Math.min(5, Math.floor((width - left) / 60))), tickFormat: (v) => `${Number((100 * v).toPrecision(3))}`.replace("-", "−") + " %" },
        y: { domain: rows.map((row) => row.name), label: null, tickSize: 0, tickFormat: (name) => shortened(name, Math.floor(left / 7)) },
        marks: [
          Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
          rule === undefined ? null : Plot.ruleX([rule], { stroke: "currentColor", strokeOpacity: 0.5, strokeDasharray: "2 3" }),
          Plot.dot(rows.flatMap((row) => row.dots.map((value) => ({ name: row.name, value }))), { x: "value", y: "name", r: 2.5, fill: "var(--c5)", dy: 7 }),
          Plot.ruleY(rows.filter((row) => !missing(row.low)), { y: "name", x1: "low", x2: "high", stroke: "var(--c0)", strokeWidth: 3, strokeOpacity: 0.5 }),
          Plot.dot(rows, { x: "value", y: "name", r: 4.5, fill: "var(--c0)" }),
        ].filter(Boolean),
      });
    };
    const said = (row) => `${text(row.value)}${missing(row.low) ? "" : ` (${text(row.low)} to ${text(row.high)})`}`;
    return el("figure", { class: "card" }, el("figcaption", {}, el("h3", {}, title), el("p", {}, note)), lazily(draw, 44 + 34 * rows.length),
      el("p", { class: "words" }, rows.map((row) => `${row.name} ${said(row)}`).join("; "), "."),
      el("details", {}, el("summary", {}, "Numbers"), table(["", "mean and 95 % interval"], rows.map((row) => [row.name, said(row)]), title)));
  }

  const span = (rows, symmetric) => {
    const all = rows.flatMap((row) => [row.value, row.low ?? row.value, row.high ?? row.value, ...row.dots]);
    if (!symmetric) return [0, Math.max(0.05, Math.min(1, Math.max(...all) * 1.1))];
    const most = Math.max(0.01, ...all.map(Math.abs)) * 1.1;
    return [-most, most];
  };

  /** The arms of an ablation: what they reached, by how much they differ, and how they got there. */
  function ablation(found, runs) {
    const arms = armsOf(found, runs);
    const rows = (of, figure) => Object.entries(of).map(([name, figures]) => ({ name, value: figures[figure].mean, low: figures[figure].low, high: figures[figure].high, dots: figures[figure].values ?? [] }));
    const shares = SHARES.filter((figure) => Object.values(found.arms).every((arm) => arm[figure]));
    const cell = (figure, value) => {
      const text = (number) => (SHARES.includes(figure) ? percent(number) : figure === "seconds" ? duration(number) : count(number));
      return value ? `${text(value.mean)}${missing(value.low) ? "" : ` (${text(value.low)} to ${text(value.high)})`}` : "–";
    };
    const named = Object.keys(FIGURES).filter((figure) => Object.values(found.arms).some((arm) => arm[figure]));
    return [
      el("p", { class: "lead" }, `Means over seeds with 95 % t-intervals; small dots are seeds. Accuracy before training: ${percent(found.start)}.`),
      el("div", { class: "cards" },
        shares.slice(0, 3).map((figure) => intervals(`Arms: ${FIGURES[figure]}`, figure === "accuracy" ? "The dashed line is accuracy before training." : "Of the whole run, or at its end.", rows(found.arms, figure), { domain: span(rows(found.arms, figure), false), text: percent, rule: figure === "accuracy" ? found.start : undefined })),
        Object.keys(found.differences ?? {}).length ? intervals("Differences in accuracy", "Of the same seeds. An interval without 0 is a difference.", rows(found.differences, "accuracy"), { domain: span(rows(found.differences, "accuracy"), true), text: inPoints, rule: 0 }) : null),
      table(["arm", ...named.map((figure) => FIGURES[figure])], Object.entries(found.arms).map(([name, figures]) => [name, ...named.map((figure) => cell(figure, figures[figure]))]), "Arms of the ablation"),
      arms.length ? [el("h3", { class: "part" }, "Arms over training"), together(arms, "Means over the seeds.")] : null,
      arms.length ? difference(arms.map((arm) => ({ name: arm.name, config: arm.runs[0].config }))) : null,
    ];
  }

  /** Each arm with its runs that are on the page; none where the result does not say which they are. */
  function armsOf(found, runs) {
    const named = Object.entries(found.runs ?? {}).map(([name, folders]) => ({ name, runs: runs.filter((run) => folders.includes(run.name)) }));
    return named.filter((arm) => arm.runs.length);
  }

  function outcomes(runs) {
    const done = runs.filter((run) => run.summary && !missing(run.summary.accuracy_after));
    if (done.length < 2) return null;
    const rows = done.map((run) => ({ name: run.name, value: run.summary.accuracy_after, low: run.summary.accuracy_after_interval?.[0], high: run.summary.accuracy_after_interval?.[1], dots: [] }));
    return intervals("Held-out accuracy after training", "95 % Wilson intervals, each run's own problems.", rows, { domain: [0, 1], text: percent });
  }

  /** {"learner.lr": 1e-6, …} */
  function flat(tree, path = "", leaves = {}) {
    for (const [key, value] of Object.entries(tree ?? {})) {
      const name = path ? `${path}.${key}` : key;
      if (value !== null && typeof value === "object" && !Array.isArray(value)) flat(value, name, leaves);
      else leaves[name] = JSON.stringify(value);
    }
    return leaves;
  }

  function difference(runs) {
    const leaves = runs.map((run) => flat(run.config));
    const names = [...new Set(leaves.flatMap(Object.keys))].sort();
    const other = names.filter((name) => new Set(leaves.map((each) => each[name])).size > 1);
    return [
      el("h3", { class: "part" }, "Configurations"),
      el("p", { class: "lead" }, `${count(other.length)} of ${count(names.length)} settings differ.`),
      other.length ? table(["setting", ...runs.map((run) => run.name)], other.map((name) => [el("code", {}, name), ...leaves.map((each) => el("code", {}, each[name] ?? "not set"))]), "Settings that differ") : null,
    ];
  }

  const TOGETHER = [["reward/mean", "Reward"], ["eval/accuracy", "Accuracy, held out"], ["replay/effective", "Effective batch"], ["rethink/spontaneous", "Spontaneous rethinking"]];

  const COLOURS = 6;

  /** A metric of several lines on one axis, a colour each; a line is the mean of its runs where they have a value. */
  function together(lines, note) {
    const few = lines.slice(0, COLOURS);
    const said = few.length < lines.length ? `${note} The first ${few.length} of ${lines.length}: name fewer to see the others.` : note;
    return el("div", { class: "cards" }, TOGETHER.map(([name, title]) => {
      const columns = {};
      const steps = [...new Set(few.flatMap((line) => line.runs.flatMap((run) => run.metrics.step ?? [])))].sort((a, b) => a - b);
      few.forEach((line, place) => {
        const values = new Map(steps.map((step) => [step, []]));
        for (const run of line.runs) (run.metrics[name] ?? []).forEach((value, index) => missing(value) || values.get(run.metrics.step[index]).push(value));
        columns[`${place}`] = steps.map((step) => d3.mean(values.get(step)) ?? null);
      });
      return card({ title, scale: name === "rethink/spontaneous" ? "small" : "share", note: said, series: few.map((line, place) => ({ name: String(place), label: line.name, colour: place, sparse: name.startsWith("eval/") })) }, [{ name: title, metrics: { step: steps, ...columns } }]);
    }));
  }

  /** Runs side by side; of an ablation's, only how each ended: its arms say the rest. */
  function compare(runs, found) {
    const ends = el("div", { class: "cards" }, outcomes(runs));
    if (found && armsOf(found, runs).length) return ends;
    return [ends, together(runs.map((run) => ({ name: run.name, runs: [run] })), "The runs on one axis."), difference(runs)];
  }

  Object.assign(Rethinker, { ablation, compare });
})();
