"""Drawing: tables, numbers and texts on a console of any width and encoding.

In come titled tables and texts, of others too; out goes what a terminal, Markdown, HTML or XML
shows as it is meant. What the tables say is in `deepmatrix.reports`.
"""
