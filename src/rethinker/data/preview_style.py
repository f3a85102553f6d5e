"""How the preview page looks: cards in columns, light or dark as the reader's system is."""

STYLE = """
:root { color-scheme: light dark; --ground: #f3f4f7; --card: #fff; --ink: #1d1f27; --muted: #5f6573;
  --edge: #dfe2ea; --right: #12724a; --right-ground: #e6f4ec; --bad: #b3261e; --mark: #e8eaf6; }
@media screen and (prefers-color-scheme: dark) { :root { --ground: #15171c; --card: #1e2128; --ink: #e6e8ee;
  --muted: #959bab; --edge: #30343f; --right: #6fd3a3; --right-ground: #17352a; --bad: #ff8a80; --mark: #2f3450; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header { max-width: 1500px; margin: 0 auto; padding: 28px 24px 16px; display: flex; align-items: baseline;
  flex-wrap: wrap; gap: 4px 16px; }
h1 { margin: 0; font-size: 22px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
header p { margin: 0; color: var(--muted); }
main { max-width: 1500px; margin: 0 auto; padding: 0 24px 40px; columns: 320px; column-gap: 18px; }
article { break-inside: avoid; margin: 0 0 18px; padding: 14px 16px; background: var(--card);
  border: 1px solid var(--edge); border-radius: 10px; overflow-wrap: anywhere; }
h2 { display: flex; justify-content: space-between; gap: 12px; margin: 0 0 10px; font-size: 13px; }
h2 small { color: var(--muted); font-weight: 400; font-size: 12px; text-align: right; }
.pictures { display: flex; flex-wrap: wrap; justify-content: center; gap: 8px; margin: 0 0 10px; }
img { display: block; max-width: 100%; max-height: 300px; width: auto; height: auto; object-fit: contain;
  background: #fff; border-radius: 6px; }
p { margin: 0 0 10px; }
.question { white-space: pre-wrap; }
mark { padding: 1px 6px; border-radius: 5px; background: var(--mark); color: inherit; font-size: 12px; }
ol { list-style: none; margin: 0 0 10px; padding: 0; }
li { display: flex; gap: 8px; padding: 2px 8px; border-radius: 6px; }
li b { color: var(--muted); font-weight: 600; }
li.right { background: var(--right-ground); }
li.right, li.right b { color: var(--right); }
.answer { margin: 0; padding-top: 8px; border-top: 1px solid var(--edge); font-weight: 600; color: var(--right);
  white-space: pre-wrap; }
.answer span { color: var(--muted); font-weight: 400; font-size: 12px; margin-right: 4px; }
.bad { border-color: var(--bad); }
.bad .question { margin: 0; color: var(--bad); }
"""
