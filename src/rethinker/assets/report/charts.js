"use strict";
// A chart and what belongs to it: title, legend, a sentence that says the same, and its numbers as a table.
(() => {
  const { el, svg, percent, plain, table } = Rethinker;
  const DASHES = ["", "6 3", "2 3", "9 3 2 3"];
  const SMOOTH_FROM = 40, COLUMNS = 80;

  /** With the digits that tell 1.0002 from 1. */
  function fine(value) {
    return Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-3) ? plain(value) : String(Number(value.toPrecision(6)));
  }

  const FORMATS = {
    share: { text: (v) => percent(v), tick: (v) => `${Math.round(100 * v)} %`, domain: [0, 1] },
    small: { text: (v) => percent(v), tick: (v) => `${Number((100 * v).toPrecision(3))} %`, zero: true },
    zero: { text: plain, zero: true },
    free: { text: fine, tick: fine },
    log: { text: plain, type: "log" },
    bytes: { text: (v) => `${(v / 1e9).toFixed(2)} GB`, tick: (v) => `${Number((v / 1e9).toPrecision(3))} GB`, zero: true },
    seconds: { text: (v) => `${plain(v)} s`, tick: (v) => `${plain(v)} s`, zero: true },
  };

  /** [{step, value}] of one metric, without the steps where it was not measured. */
  function points(run, name) {
    const steps = run.metrics.step ?? [], column = run.metrics[name] ?? [];
    const found = [];
    for (let i = 0; i < steps.length; i++) if (column[i] !== null && column[i] !== undefined) found.push({ step: steps[i], value: column[i] });
    return found;
  }

  /** Wilson intervals of shares of so many trials; none where their number was not recorded. */
  function intervals(run, found, name) {
    const trials = new Map(points(run, name).map((point) => [point.step, point.value]));
    return found.filter((point) => trials.has(point.step)).map((point) => {
      const total = trials.get(point.step), [low, high] = Rethinker.wilson(Math.round(point.value * total), total);
      return { step: point.step, low, high };
    });
  }

  /** The running mean over a twentieth of the points. */
  function smoothed(found) {
    const half = Math.max(1, Math.floor(found.length / 40));
    return found.map((point, place) => {
      const near = found.slice(Math.max(0, place - half), place + half + 1);
      return { step: point.step, value: near.reduce((sum, each) => sum + each.value, 0) / near.length };
    });
  }

  /** Points averaged over at most 80 equal stretches of the steps: [{from, to, value}]. */
  function columns(found, first, last, apart = spacing(found)) {
    const width = Math.max(apart, Math.ceil((last - first + 1) / COLUMNS / apart) * apart);
    const sums = new Map();
    for (const { step, value } of found) {
      const place = Math.floor((step - first) / width);
      const sum = sums.get(place) ?? { sum: 0, count: 0 };
      sum.sum += value; sum.count += 1;
      sums.set(place, sum);
    }
    return [...sums].map(([place, { sum, count }]) =>
      ({ from: first + place * width - 0.5, to: Math.min(last, first + place * width + width - 1) + 0.5, value: sum / count }));
  }

  const spacing = (found) => (found.length > 1 ? d3.min(found.slice(1), (point, place) => point.step - found[place].step) : 1);

  /** Points at the same steps for every series: 0 where one was not measured and another was. */
  function filled(spec, run) {
    const all = measured(spec, [run]).map((series) => ({ series, at: new Map(points(run, series.name).map((point) => [point.step, point.value])) }));
    const steps = [...new Set(all.flatMap(({ at }) => [...at.keys()]))].sort((a, b) => a - b);
    return all.map(({ series, at }) => ({ series, found: steps.map((step) => ({ step, value: at.get(step) ?? 0 })) }));
  }

  function extent(runs) {
    const steps = runs.flatMap((run) => run.metrics.step ?? []);
    return [d3.min(steps) ?? 0, d3.max(steps) ?? 1];
  }

  const measured = (spec, runs) => spec.series.filter((series) => runs.some((run) => points(run, series.name).length));

  function lineMarks(spec, runs, facet) {
    return measured(spec, runs).flatMap((series, number) => runs.flatMap((run) => {
      const found = points(run, series.name).filter((point) => spec.scale !== "log" || point.value > 0);
      const stroke = `var(--c${series.colour})`, options = { x: "step", y: "value", stroke, ...facet(run) };
      if (series.sparse || found.length < 3) {
        return [
          series.trials ? Plot.ruleX(intervals(run, found, series.trials), { x: "step", y1: "low", y2: "high", stroke, strokeWidth: 2.5, strokeOpacity: 0.45, ...facet(run) }) : null,
          Plot.lineY(found, { ...options, strokeWidth: 1.2, strokeOpacity: 0.6 }), Plot.dot(found, { ...options, fill: stroke, r: 3.2 })];
      }
      const rough = found.length > SMOOTH_FROM && series.smooth !== false;
      return [
        rough ? Plot.lineY(found, { ...options, strokeWidth: 1, strokeOpacity: 0.25 }) : null,
        Plot.lineY(rough ? smoothed(found) : found, { ...options, strokeWidth: 2, strokeDasharray: DASHES[number % DASHES.length] || null }),
      ];
    }));
  }

  function stackMarks(spec, runs, facet) {
    const [first, last] = extent(runs);
    return runs.flatMap((run) => {
      const base = new Map();
      return filled(spec, run).map(({ series, found }) => {
        const cells = columns(found, first, last).map((cell) => {
          const low = base.get(cell.from) ?? 0;
          base.set(cell.from, low + cell.value);
          return { ...cell, low, high: low + cell.value };
        });
        return Plot.rect(cells, { x1: "from", x2: "to", y1: "low", y2: "high", fill: `var(--c${series.colour})`, inset: 0, insetLeft: 0.4, ...facet(run) });
      });
    });
  }

  /** Shares of bins over time: the more, the stronger the colour. */
  function heatMarks(spec, runs, facet) {
    const [first, last] = extent(runs);
    return runs.flatMap((run) => measured(spec, runs).map((series) => {
      const cells = columns(points(run, series.name), first, last).map((cell) => ({ ...cell, bin: series.label }));
      return Plot.rect(cells, { x1: "from", x2: "to", y: "bin", fill: `var(--c${spec.colour ?? 0})`, fillOpacity: "value", insetTop: 1, insetBottom: 1, ...facet(run) });
    }));
  }

  function hover(spec, runs, facet) {
    const shown = FORMATS[spec.scale].text;
    return runs.map((run) => {
      const at = new Map();
      for (const series of measured(spec, runs)) {
        for (const { step, value } of points(run, series.name)) {
          if (!at.has(step)) at.set(step, { step, value, lines: [] });
          at.get(step).lines.push(`${series.label}  ${shown(value)}`);
        }
      }
      return Plot.tip([...at.values()], Plot.pointerX({ x: "step", title: (d) => [`step ${d.step}`, ...d.lines].join("\n"), ...facet(run), frameAnchor: "top" }));
    });
  }

  /** Draw one figure of a chart at a width. */
  function draw(spec, runs, width) {
    const format = FORMATS[spec.scale], heat = spec.kind === "heat";
    const stacked = spec.kind === "stack", marks = { heat: heatMarks, stack: stackMarks }[spec.kind] ?? lineMarks;
    const [first, last] = extent(runs);
    const below = width < 520, several = runs.length > 1;
    const facet = (run) => (several ? (below ? { fy: () => run.name } : { fx: () => run.name }) : {});
    const faceted = several ? { [below ? "fy" : "fx"]: { label: null, domain: runs.map((run) => run.name), tickFormat: (name) => shortened(name, 26) } } : {};
    return Plot.plot({
      width, height: heat ? 190 : several && below ? 150 * runs.length + 40 : 210,
      marginLeft: heat ? 64 : 52, marginRight: several && below ? 20 : 12, marginTop: several || spec.unit ? 28 : 14, marginBottom: 34,
      ariaLabel: spec.title, ...faceted,
      x: { domain: stacked || heat ? [first - 0.5, last + 0.5] : first === last ? [first - 0.5, last + 0.5] : [first, last], label: "step", labelAnchor: "right", labelArrow: "none", ticks: Math.max(2, Math.min(6, width / (several && !below ? 90 * runs.length : 90))), tickFormat: (v) => (Number.isInteger(v) ? v.toLocaleString("en") : "") },
      y: heat
        ? { type: "band", domain: measured(spec, runs).map((series) => series.label).reverse(), label: spec.unit ?? null }
        : { label: spec.unit ?? null, labelArrow: "none", grid: true, ticks: 4, nice: true, type: format.type, domain: format.domain, zero: format.zero, tickFormat: format.tick ?? plain },
      opacity: heat ? { domain: [0, 1], range: [0, 1] } : undefined,
      marks: [
        heat ? Plot.frame({ stroke: "var(--line)" }) : Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
        ...marks(spec, runs, facet).flat().filter(Boolean),
        spec.rule === undefined ? null : Plot.ruleY([spec.rule], { stroke: "currentColor", strokeOpacity: 0.45, strokeDasharray: "2 3" }),
        heat || stacked ? null : Plot.ruleX(points(runs[0], "step"), Plot.pointerX({ x: "step", stroke: "currentColor", strokeOpacity: 0.25 })),
        ...(heat ? [] : hover(spec, runs, facet)),
      ].filter(Boolean),
    });
  }

  /** A name without its middle: names of runs often differ at their ends. */
  function shortened(text, most) {
    if (text.length <= most) return text;
    const end = Math.floor((most - 1) / 3);
    return `${text.slice(0, most - 1 - end)}…${text.slice(text.length - end)}`;
  }

  function legend(spec, runs) {
    if (spec.kind === "heat") {
      return el("p", { class: "legend" }, "share of responses", el("span", { class: "ramp", style: { "--hue": `var(--c${spec.colour ?? 0})` } }), "0 to 100 %");
    }
    return el("ul", { class: "legend" }, measured(spec, runs).map((series, number) => {
      const colour = `var(--c${series.colour})`;
      const mark = spec.kind === "stack"
        ? svg("rect", { x: 5, width: 12, height: 10, rx: 2, fill: colour })
        : series.sparse ? svg("circle", { cx: 11, cy: 5, r: 4, fill: colour })
        : svg("line", { x2: 22, y1: 5, y2: 5, stroke: colour, "stroke-width": 2.2, "stroke-dasharray": DASHES[number % DASHES.length] || null });
      return el("li", {}, svg("svg", { viewBox: "0 0 22 10", width: 22, height: 10, "aria-hidden": "true" }, mark), series.label);
    }));
  }

  /** What a chart shows, in words: each series from its first to its last value. */
  function sentence(spec, runs) {
    const shown = FORMATS[spec.scale].text;
    return runs.map((run) => {
      const parts = measured(spec, [run]).map((series) => {
        const found = points(run, series.name), ends = found.length > SMOOTH_FROM ? smoothed(found) : found;
        const [first, last] = [ends[0], ends.at(-1)];
        return ends.length === 1 ? `${series.label} ${shown(first.value)} at step ${first.step}` : `${series.label} ${shown(first.value)} → ${shown(last.value)}`;
      });
      return `${runs.length > 1 ? `${run.name}: ` : ""}${parts.join("; ")}.`;
    }).join(" ");
  }

  function numbers(spec, runs) {
    const shown = FORMATS[spec.scale].text, [first, last] = extent(runs);
    const several = runs.length > 1, series = measured(spec, runs);
    const heads = runs.flatMap((run) => series.map((each) => (several ? `${run.name}: ${each.label}` : each.label)));
    const all = runs.flatMap((run) => series.map((each) => new Map(columns(points(run, each.name), first, last, 1).map((cell) => [cell.from, cell]))));
    const places = [...new Set(all.flatMap((cells) => [...cells.keys()]))].sort((a, b) => a - b);
    const rows = places.map((from) => {
      const cells = all.map((each) => each.get(from)), some = cells.find(Boolean);
      const low = Math.ceil(some.from), high = Math.floor(some.to);
      return [low === high ? String(low) : `${low} to ${high}`, ...cells.map((cell) => (cell ? shown(cell.value) : "–"))];
    });
    return table(["step", ...heads], rows, spec.title);
  }

  const waiting = new Map();
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) drawNow(entry.target);
  }, { rootMargin: "300px" });
  const sized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const drawn = Number(target.dataset.width ?? 0), width = Math.floor(target.clientWidth);
      if (drawn && width && Math.abs(width - drawn) > 4) drawNow(target);
    }
  });
  addEventListener("beforeprint", () => [...waiting.keys()].forEach((place) => place.dataset.width ?? drawNow(place)));

  function drawNow(place) {
    const width = Math.floor(place.clientWidth) || 560;
    const make = waiting.get(place);
    if (!make) return;
    const figure = make(width);
    figure.setAttribute("role", "img");  // one picture with a name; the sentence and the table say what is in it
    for (const part of figure.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
    place.replaceChildren(figure);
    place.dataset.width = width;
    seen.unobserve(place);
  }

  /** Where a figure will be drawn once it is near the window, and again when its width changes. */
  function lazily(make, height) {
    const place = el("div", { class: "chart", style: { "min-height": `${height}px` } });
    waiting.set(place, make);
    seen.observe(place);
    sized.observe(place);
    return place;
  }

  /** A chart as a card; null where no run measured any of it. */
  function card(spec, runs) {
    if (!measured(spec, runs).length) return null;
    const details = el("details", {}, el("summary", {}, "Numbers"));
    details.addEventListener("toggle", () => details.children.length > 1 || details.append(numbers(spec, runs)));
    return el("figure", { class: spec.wide || runs.length > 2 ? "card wide" : "card" },
      el("figcaption", {}, el("h3", {}, spec.title), el("p", {}, spec.note)),
      legend(spec, runs),
      lazily((width) => draw(spec, runs, width), spec.kind === "heat" ? 190 : 210),
      el("p", { class: "words" }, sentence(spec, runs)),
      details);
  }

  /** Forget the figures of a section that is made anew. */
  function forget(section) {
    for (const place of section.querySelectorAll(".chart")) {
      waiting.delete(place);
      seen.unobserve(place);
      sized.unobserve(place);
    }
  }

  Object.assign(Rethinker, { card, points, smoothed, lazily, forget, shortened });
})();
