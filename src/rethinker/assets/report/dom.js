"use strict";
// Elements, numbers and words. Text goes in as text nodes alone: nothing a model wrote is ever read as markup.
const Rethinker = {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  /** An element: `el("p", {class: "muted", onclick: f}, "text", child)`; null children are left out. */
  function el(name, properties = {}, ...children) {
    return filled(document.createElement(name), properties, children);
  }

  function svg(name, properties = {}, ...children) {
    return filled(document.createElementNS(SVG, name), properties, children);
  }

  function filled(element, properties, children) {
    for (const [key, value] of Object.entries(properties)) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (key === "style") for (const [name, each] of Object.entries(value)) element.style.setProperty(name, each);
      else element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return element;
  }

  const missing = (value) => value === null || value === undefined;

  const percent = (share, digits = 1) => (missing(share) ? "–" : `${(100 * share).toFixed(digits)} %`);

  const inPoints = (share) => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)} points`;

  const count = (number) => (missing(number) ? "–" : Math.round(number).toLocaleString("en"));

  const signed = (number, digits = 2) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(digits)}`;

  function plain(number) {
    if (missing(number)) return "–";
    if (number === 0) return "0";
    const size = Math.abs(number);
    if (size >= 1e5 || size < 1e-3) return number.toExponential(1).replace("-", "−");
    return (size >= 100 ? number.toFixed(0) : String(Number(number.toPrecision(3)))).replace("-", "−");
  }

  function duration(seconds) {
    if (missing(seconds)) return "–";
    const minutes = Math.floor(seconds / 60);
    if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    return minutes ? `${minutes} min ${Math.round(seconds % 60)} s` : `${seconds.toFixed(0)} s`;
  }

  const gigabytes = (bytes) => (missing(bytes) ? "–" : `${(bytes / 1e9).toFixed(2)} GB`);

  const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

  /** Wilson's 95 % interval of a share. */
  function wilson(right, total) {
    if (!total) return [0, 1];
    const z = 1.959964, share = right / total, scale = 1 + z ** 2 / total;
    const centre = (share + z ** 2 / (2 * total)) / scale;
    const half = (z / scale) * Math.sqrt((share * (1 - share)) / total + z ** 2 / (4 * total ** 2));
    return [Math.max(0, centre - half), Math.min(1, centre + half)];
  }

  /** A table that scrolls alone; the first cell of a row heads it. */
  function table(head, rows, caption = null) {
    const cells = (row) =>
      row.map((cell, place) => (place ? el("td", {}, cell) : el("th", { scope: "row" }, cell)));
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption ?? "Table" },
      el("table", {},
        caption ? el("caption", {}, caption) : null,
        el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, rows.map((row) => el("tr", {}, cells(row))))));
  }

  Object.assign(Rethinker, { el, svg, missing, percent, inPoints, count, signed, plain, duration, gigabytes, plural, wilson, table });
})();
