"use strict";
// First answer → final answer, as ribbons whose widths are shares.
(() => {
  const { el, svg, percent, table, lazily } = Rethinker;
  const KINDS = [
    { from: "wrong", to: "right", name: "wrong → right", colour: "var(--c2)" },
    { from: "right", to: "right", name: "right → right", colour: "var(--c0)" },
    { from: "wrong", to: "wrong", name: "wrong → wrong", colour: "var(--c5)" },
    { from: "right", to: "wrong", name: "right → wrong", colour: "var(--c1)" },
  ];
  const HEIGHT = 190, BAR = 10, GAP = 16;

  /** Ribbons of {"wrong → right": share, …}; shares are of `whole`. */
  function draw(shares, width) {
    const total = KINDS.reduce((sum, kind) => sum + shares[kind.name], 0) || 1;
    const scale = (HEIGHT - GAP) / total, inner = Math.max(160, width) - 150;
    const sides = { from: {}, to: {} };
    for (const side of ["from", "to"]) {
      let y = 0;
      for (const state of ["right", "wrong"]) {
        const parts = KINDS.filter((kind) => kind[side] === state).sort((a, b) => (side === "from" ? order(a.to, b.to) : order(a.from, b.from)));
        const start = y;
        for (const kind of parts) {
          sides[side][kind.name] = y;
          y += shares[kind.name] * scale;
        }
        sides[side][state] = [start, y];
        y += GAP;
      }
    }
    const left = 75, right = left + inner;
    const ribbons = KINDS.filter((kind) => shares[kind.name] > 0).map((kind) => {
      const thick = Math.max(0.8, shares[kind.name] * scale), a = sides.from[kind.name], b = sides.to[kind.name], bend = (left + right) / 2;
      const d = `M${left},${a}C${bend},${a} ${bend},${b} ${right},${b}V${b + thick}C${bend},${b + thick} ${bend},${a + thick} ${left},${a + thick}Z`;
      return svg("path", { d, fill: kind.colour, "fill-opacity": 0.55 }, svg("title", {}, `${kind.name}: ${percent(shares[kind.name])}`));
    });
    const ends = ["from", "to"].flatMap((side) => ["right", "wrong"].flatMap((state) => {
      const [top, bottom] = sides[side][state], x = side === "from" ? left - BAR : right;
      if (bottom - top < 0.5) return [];
      return [
        svg("rect", { x, y: top, width: BAR, height: bottom - top, rx: 2, fill: "var(--muted)" }),
        svg("text", { x: side === "from" ? left - BAR - 6 : right + BAR + 6, y: (top + bottom) / 2, dy: "0.35em", "text-anchor": side === "from" ? "end" : "start" }, `${state} ${percent((bottom - top) / scale / total, 0)}`),
      ];
    }));
    return svg("svg", { viewBox: `0 -4 ${right + 75} ${HEIGHT + 8}`, width: right + 75, height: HEIGHT + 8, class: "flow", role: "img", "aria-label": words(shares) }, ribbons, ends);
  }

  const order = (a, b) => (a === b ? 0 : a === "right" ? -1 : 1);

  const words = (shares) => KINDS.map((kind) => `${kind.name} ${percent(shares[kind.name])}`).join(", ");

  /** A card; `of` says what the shares are shares of. */
  function flow(title, note, shares, of) {
    const total = KINDS.reduce((sum, kind) => sum + shares[kind.name], 0);
    if (!(total > 0)) return null;
    return el("figure", { class: "card" },
      el("figcaption", {}, el("h3", {}, title), el("p", {}, note)),
      el("ul", { class: "legend" }, KINDS.map((kind) => el("li", {}, svg("svg", { viewBox: "0 0 22 10", width: 22, height: 10, "aria-hidden": "true" }, svg("rect", { x: 5, width: 12, height: 10, rx: 2, fill: kind.colour })), kind.name))),
      lazily((width) => draw(shares, width), HEIGHT + 8),
      el("p", { class: "words" }, `Of ${of}: ${words(shares)}.`),
      el("details", {}, el("summary", {}, "Numbers"), table(["change", `share of ${of}`], KINDS.map((kind) => [kind.name, percent(shares[kind.name], 2)]), title)));
  }

  Object.assign(Rethinker, { flow });
})();
