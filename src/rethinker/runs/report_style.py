"""The report's style sheet. Colours come in a light and a dark set; the palette is told apart by the colour-blind too,
and never alone: lines differ in their dashes, stacks in the order of their legend."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfbf9; --card: #ffffff; --ink: #1c1e21; --muted: #5d636b; --grid: #dfe1e4;
  --c0: #0067a9; --c1: #c8511b; --c2: #00825d; --c3: #9a4c95; --c4: #a87a00; --c5: #89919b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131517; --card: #1b1e21; --ink: #e9eaec; --muted: #a2a9b1; --grid: #363b41;
    --c0: #62b4ee; --c1: #f28e5c; --c2: #43c59b; --c3: #d296cd; --c4: #dcb64a; --c5: #7d8690;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 76rem;
  background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; letter-spacing: -0.01em; }
h2 { font-size: 1.05rem; line-height: 1.3; margin: 0; }
p { margin: 0.3rem 0 0; }
.muted, figcaption p, th { color: var(--muted); }
table {
  width: 100%; border-collapse: collapse; margin: 1.75rem 0 0; font-variant-numeric: tabular-nums;
}
th { text-align: left; font-weight: 400; }
thead th { font-size: 0.85rem; padding-bottom: 0.3rem; }
tbody tr { border-top: 1px solid var(--grid); }
tbody th { color: var(--ink); }
td, th { padding: 0.55rem 1rem 0.55rem 0; vertical-align: baseline; }
td strong { font-size: 1.3rem; font-weight: 600; white-space: nowrap; }
td span, th span { display: block; font-size: 0.85rem; }
td span { white-space: nowrap; }
.interval { position: relative; display: block; height: 8px; margin-top: 0.35rem; max-width: 14rem; }
.interval::before {
  content: ""; position: absolute; inset: 3.5px 0; background: var(--grid);
}
.interval i { position: absolute; top: 0; height: 8px; border-radius: 4px; background: var(--c0); opacity: 0.35; }
.interval b {
  position: absolute; top: -2px; width: 2px; height: 12px; margin-left: -1px; background: var(--c0);
}
dl { display: flex; flex-wrap: wrap; gap: 0.9rem 2.5rem; margin: 1.25rem 0 0; }
dt { color: var(--muted); font-size: 0.85rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; font-size: 1.1rem; }
.panels {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); gap: 1rem;
  margin-top: 1.25rem;
}
figure { margin: 0; padding: 1.1rem 1.2rem 0.9rem; background: var(--card); border: 1px solid var(--grid);
  border-radius: 10px; }
figcaption p { font-size: 0.85rem; line-height: 1.45; min-height: 2.9em; }
.legend { display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; margin: 0.6rem 0 0.3rem; padding: 0; list-style: none;
  font-size: 0.85rem; }
.legend li { display: flex; align-items: center; gap: 0.45rem; }
.legend svg { flex: none; width: 22px; height: 10px; }
.chart { display: block; width: 100%; height: auto; font-family: inherit; font-variant-numeric: tabular-nums; }
.chart * { stroke-linejoin: round; stroke-linecap: butt; }
h2.section { margin-top: 2.75rem; font-size: 1.2rem; }
details { margin-top: 2.5rem; }
summary { cursor: pointer; }
pre { overflow-x: auto; padding: 1rem; background: var(--card); border: 1px solid var(--grid); border-radius: 10px;
  font-size: 0.8rem; line-height: 1.45; }
@media (max-width: 40rem) {
  body { padding-top: 1.5rem; }
  figure { padding: 0.9rem 0.8rem 0.7rem; }
  figcaption p { min-height: 0; }
  dl { display: grid; grid-template-columns: 1fr 1fr; gap: 0.9rem 1rem; }
  td strong { font-size: 1.1rem; }
  td, th { padding-right: 0.6rem; }
}
"""
