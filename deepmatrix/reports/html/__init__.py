"""HTML reports: one file each, which opens offline and needs no script.

In come results, or titled tables; out goes a page. Modules prepare what is shown as numbers and
words; all markup is in ``templates/``, where every text is escaped. Drawings are SVG made by the
templates: marks in a table's line, where they stand beside their numbers.
"""

from __future__ import annotations

from deepmatrix.reports.html.evidence import Evidence, beside
from deepmatrix.reports.html.history import history_page
from deepmatrix.reports.html.pages import run_page, tables_page
from deepmatrix.reports.html.rendering import load_templates

__all__ = ["Evidence", "beside", "history_page", "load_templates", "run_page", "tables_page"]
