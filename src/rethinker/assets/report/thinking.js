"use strict";
// What looking twice did: how often, what it changed, whom it helped, and the words by which it shows.
(() => {
  const { el, card, flow, points, percent, plural, wilson, table, lazily, shortened } = Rethinker;

  const mean = (run, name) => {
    const found = points(run, name);
    return found.length ? found.reduce((sum, each) => sum + each.value, 0) / found.length : null;
  };

  const OFTEN = { title: "How often", scale: "small", wide: false, note: "Of first responses. Forced looks are triggered by us and kept only when they end right; spontaneous ones are the model's own.",
    series: [{ name: "rethink/forced", label: "forced, of first responses", colour: 5 }, { name: "rethink/spontaneous", label: "spontaneous, sampled", colour: 0 }, { name: "eval/rethinking", label: "spontaneous, held out", colour: 1, sparse: true }] };
  const WITH = { title: "Accuracy with and without", scale: "share", note: "Of sampled first responses that look twice by themselves, and of the others. Who looks twice is the model's choice: the gap is no effect.",
    series: [{ name: "rethink/accuracy_with", label: "with a second look", colour: 2 }, { name: "rethink/accuracy_without", label: "without", colour: 5 }] };
  const CHANGED = { title: "What spontaneous looks change", scale: "small", note: "Shares of first responses. Looking twice pays when wrong → right is above right → wrong.",
    series: [{ name: "rethink/wrong_to_right", label: "wrong → right", colour: 2 }, { name: "rethink/right_to_wrong", label: "right → wrong", colour: 1 }] };
  const FORCED = { title: "What forced looks change", scale: "small", note: "Shares of forced looks. Kept are those that end right; only they are trained on.",
    series: [{ name: "rethink/forced_wrong_to_right", label: "wrong → right", colour: 2 }, { name: "rethink/forced_right_to_wrong", label: "right → wrong", colour: 1 }, { name: "rethink/kept", label: "kept", colour: 0 }] };

  /** Transitions of spontaneous looks as shares of those that had a first answer. */
  function spontaneous(run) {
    const names = { "wrong → right": "wrong_to_right", "right → right": "stayed_right", "wrong → wrong": "stayed_wrong", "right → wrong": "right_to_wrong" };
    return normalised(Object.fromEntries(Object.entries(names).map(([name, metric]) => [name, mean(run, `rethink/${metric}`) ?? 0])));
  }

  function forced(run) {
    const names = { "wrong → right": "forced_wrong_to_right", "right → right": "forced_stayed_right", "wrong → wrong": "forced_stayed_wrong", "right → wrong": "forced_right_to_wrong" };
    if (mean(run, "rethink/forced_stayed_right") === null) return null;
    return normalised(Object.fromEntries(Object.entries(names).map(([name, metric]) => [name, mean(run, `rethink/${metric}`) ?? 0])));
  }

  function normalised(shares) {
    const total = Object.values(shares).reduce((sum, share) => sum + share, 0);
    return total ? Object.fromEntries(Object.entries(shares).map(([name, share]) => [name, share / total])) : shares;
  }

  const share = ([right, total]) => (total ? `${percent(right / total)} of ${plural(total, "response")}` : "–");

  /** Accuracy of each family with and without a second look, each with its interval. */
  function families(run) {
    const rows = run.thinking.families.filter((row) => row.with[1] + row.without[1] > 0);
    if (!rows.length) return null;
    const name = (row) => `${row.family || "not named"}${row.level ? `, level ${row.level}` : ""}`;
    const dots = rows.flatMap((row) => [["with", 2, -0.16], ["without", 5, 0.16]].filter(([key]) => row[key][1]).map(([key, colour]) => {
      const [low, high] = wilson(...row[key]);
      return { name: name(row), key, colour, low, high, value: row[key][0] / row[key][1] };
    }));
    const draw = (width) => {
      const left = Math.min(170, Math.max(90, width * 0.3));
      return Plot.plot({
        width, height: 44 + 46 * rows.length, marginLeft: left, marginRight: 16, ariaLabel: "Accuracy by family",
        x: { domain: [0, 1], label: null, grid: true, ticks: 5, tickFormat: (v) => `${Math.round(100 * v)} %` },
        y: { domain: rows.map(name), label: null, tickFormat: (text) => shortened(text, Math.floor(left / 7)), tickSize: 0 },
        marks: [
          Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
          ...[["with", 2, -6], ["without", 5, 6]].flatMap(([key, colour, dy]) => {
            const own = dots.filter((dot) => dot.key === key), paint = `var(--c${colour})`;
            return [
              Plot.ruleY(own, { y: "name", x1: "low", x2: "high", dy, stroke: paint, strokeWidth: 3, strokeOpacity: 0.5 }),
              Plot.dot(own, { y: "name", x: "value", dy, r: 4.5, fill: paint, symbol: key === "with" ? "circle" : "square" }),
            ];
          }),
        ],
      });
    };
    const levels = rows.some((row) => row.level) ? "" : " The data names no levels of difficulty.";
    return el("figure", { class: "card" },
      el("figcaption", {}, el("h3", {}, "By family and difficulty"), el("p", {}, `Accuracy of sampled first responses with (●) and without (■) a second look of their own, over the whole run, with 95 % intervals.${levels}`)),
      lazily(draw, 44 + 46 * rows.length),
      el("p", { class: "words" }, rows.map((row) => `${name(row)}: with ${share(row.with)}, without ${share(row.without)}`).join("; "), "."),
      el("details", {}, el("summary", {}, "Numbers"), table(["family", "with a second look", "without"], rows.map((row) => [name(row), share(row.with), share(row.without)]), "Accuracy by family")));
  }

  /** Words over time, as metrics of a run that the charts can draw. */
  function words(run) {
    const { steps, responses, counts } = run.thinking.words;
    const names = Object.keys(counts).slice(0, 6);
    if (!steps.length || !names.length) return null;
    const metrics = { step: steps };
    for (const name of names) metrics[name] = counts[name].map((count, place) => (responses[place] ? count / responses[place] : null));
    const colours = [0, 1, 2, 3, 4, 5];
    return card({ title: "Marker words", scale: "small", note: `Shares of recorded responses that hold a word, in what the model wrote unasked. “${run.thinking.marker}” is what counts as a second look.`,
      series: names.map((name, place) => ({ name, label: `“${name}”`, colour: colours[place] })) }, [{ ...run, metrics }]);
  }

  function thinking(runs) {
    return runs.map((run) => {
      const own = flow("First → final, spontaneous", "Second looks that the model took by itself and that had a first answer, over the whole run.", spontaneous(run), "spontaneous second looks");
      const made = forced(run);
      const ours = made && flow("First → final, forced", "Second looks that we triggered, kept or not, over the whole run.", made, "forced second looks");
      return [
        runs.length > 1 ? el("h3", { class: "part" }, run.name) : null,
        el("div", { class: "cards" }, own, ours, card(OFTEN, [run]), card(CHANGED, [run]), card(FORCED, [run]), card(WITH, [run]), families(run), words(run)),
        own || ours ? null : el("p", { class: "muted" }, "No second look is on record."),
      ];
    });
  }

  Object.assign(Rethinker, { thinking, mean });
})();
