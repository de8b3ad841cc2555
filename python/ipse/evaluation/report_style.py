"""The look of report.html, kept apart from its words."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { --ink: #1f2933; --soft: #52606d; --line: #d9e2ec; --paper: #ffffff; --tint: #f5f8fa;
  --accent: #0b6e99; --bar: #cbd2d9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--tint); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
header p { color: var(--soft); margin: 0.25rem 0 0; max-width: 46rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 1.25rem; margin: 0 0 0.75rem; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.5rem 1.75rem; margin-top: 1.5rem; }
.verdict { font-size: 1.15rem; margin: 0 0 1.25rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.5rem 0.75rem 0.5rem 0; border-bottom: 1px solid var(--line);
  vertical-align: middle; }
th { color: var(--soft); font-weight: 600; font-size: 0.875rem; }
tr:last-child td { border-bottom: 0; }
tr.own td { font-weight: 600; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { background: var(--tint); border-radius: 4px; height: 0.6rem; min-width: 6rem; }
.bar i { display: block; height: 100%; border-radius: 4px; background: var(--bar); }
tr.own .bar i { background: var(--accent); }
dl { margin: 0; display: grid; grid-template-columns: max-content 1fr; gap: 0.5rem 1.25rem; }
dt { font-weight: 600; } dd { margin: 0; color: var(--soft); }
figure { margin: 0; } figure img { width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); margin-top: 0.75rem; max-width: 46rem; }
pre { background: var(--ink); color: #f5f8fa; border-radius: 8px; padding: 0.9rem 1.1rem; margin: 0;
  overflow-x: auto; font: 0.9rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
code { font: 0.9em ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
.note { color: var(--soft); font-size: 0.925rem; margin: 1rem 0 0; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
