"""The profile page's style sheet, with a light and a dark set of colours."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfbf9; --card: #ffffff; --ink: #1c1e21; --muted: #5d636b; --grid: #dfe1e4;
  --mark: #c8511b;
  --c0: #0067a9; --c1: #b9470f; --c2: #00795a; --c3: #9a4c95; --c4: #8a6400; --c5: #686e76;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #131517; --card: #1b1e21; --ink: #e9eaec; --muted: #a2a9b1; --grid: #363b41;
    --mark: #f28e5c;
    --c0: #62b4ee; --c1: #f28e5c; --c2: #43c59b; --c3: #d296cd; --c4: #dcb64a; --c5: #848d97;
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
.muted, th { color: var(--muted); }
table {
  width: 100%; border-collapse: collapse; margin: 1.75rem 0 0; font-variant-numeric: tabular-nums;
}
th { text-align: left; font-weight: 400; }
thead th { font-size: 0.85rem; padding-bottom: 0.3rem; }
tbody tr { border-top: 1px solid var(--grid); }
tbody th { color: var(--ink); }
td, th { padding: 0.55rem 1rem 0.55rem 0; vertical-align: baseline; }
th span { display: block; font-size: 0.85rem; }
dl { display: flex; flex-wrap: wrap; gap: 0.9rem 2.5rem; margin: 1.25rem 0 0; }
dt { color: var(--muted); font-size: 0.85rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; font-size: 1.1rem; }
figure { margin: 0; padding: 1.1rem 1.2rem 0.9rem; background: var(--card); border: 1px solid var(--grid);
  border-radius: 10px; }
h2.section { margin-top: 2.75rem; font-size: 1.2rem; }
@media (max-width: 40rem) {
  body { padding-top: 1.5rem; }
  figure { padding: 0.9rem 0.8rem 0.7rem; }
  dl { display: grid; grid-template-columns: 1fr 1fr; gap: 0.9rem 1rem; }
  td, th { padding-right: 0.6rem; }
}
.next { margin: 1.75rem 0 0; padding: 1.1rem 1.3rem; background: var(--card); border: 1px solid var(--grid);
  border-left: 4px solid var(--mark); border-radius: 10px; }
.next h2 { color: var(--muted); font-size: 0.85rem; font-weight: 400; }
.next p { max-width: 62rem; }
.next p:first-of-type { font-size: 1.15rem; line-height: 1.45; }
.bar { display: flex; gap: 1px; height: 2.6rem; margin-top: 0.5rem; border-radius: 6px; overflow: hidden; }
.bar i { display: flex; align-items: center; justify-content: center; min-width: 0; overflow: hidden;
  font: inherit; font-size: 0.85rem; white-space: nowrap; color: var(--page); }
.bar i.light { color: var(--ink); }
.bars figcaption { display: flex; justify-content: space-between; gap: 1rem; font-size: 0.9rem; }
.bars figcaption + .bar + figcaption { margin-top: 1.1rem; }
.bars { margin-top: 1.1rem; padding-bottom: 1.2rem; }
.swatch { display: inline-block; width: 0.75rem; height: 0.75rem; margin-right: 0.55rem; border-radius: 3px; }
table.spent td { text-align: right; padding-top: 0.4rem; padding-bottom: 0.4rem; white-space: nowrap; }
table.spent th { padding-top: 0.4rem; padding-bottom: 0.4rem; }
table.spent thead th + th { text-align: right; }
table.spent tbody th span { display: inline; color: var(--muted); margin-left: 0.6rem; }
table.spent tr.none :is(th, td) { color: var(--muted); }
table.spent tr.none .swatch { opacity: 0.35; }
table.spent td b { display: inline-block; width: 6rem; height: 0.55rem; margin-left: 0.7rem; border-radius: 3px;
  background: linear-gradient(to right, var(--fill) var(--at), var(--grid) var(--at)); }
.steps { display: grid; grid-template-columns: max-content 1fr max-content; gap: 3px 0.8rem; align-items: center;
  margin-top: 0.9rem; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
.steps .bar { height: 0.95rem; margin: 0; border-radius: 3px; }
.steps span { color: var(--muted); text-align: right; }
@media (max-width: 40rem) {
  table.spent tbody th span, table.spent td b { display: none; }
  table.spent { font-size: 0.9rem; }
  table.spent tbody th { white-space: nowrap; }
  table.spent .swatch { margin-right: 0.35rem; }
  table.spent :is(td, th) { padding-right: 0.3rem; }
  .bar i.short { font-size: 0; }
}
"""
