"""What the profile's page has beside the report's style sheet: bars whose pieces are told apart by colour and place."""

STYLE = """
.next { margin: 1.75rem 0 0; padding: 1.1rem 1.3rem; background: var(--card); border: 1px solid var(--grid);
  border-left: 4px solid var(--c1); border-radius: 10px; }
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
table.spent tr.none { opacity: 0.45; }
table.spent td b { display: inline-block; width: 6rem; height: 0.55rem; margin-left: 0.7rem; border-radius: 3px;
  background: linear-gradient(to right, var(--fill) var(--at), var(--grid) var(--at)); }
.steps { display: grid; grid-template-columns: max-content 1fr max-content; gap: 3px 0.8rem; align-items: center;
  margin-top: 0.9rem; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
.steps .bar { height: 0.95rem; margin: 0; border-radius: 3px; }
.steps span { color: var(--muted); text-align: right; }
@media (max-width: 40rem) {
  table.spent tbody th span, table.spent td b { display: none; }
}
"""
