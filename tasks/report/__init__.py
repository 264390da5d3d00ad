"""The report: one page that shows what was trained on what, whether it is better, and how sure that is."""
