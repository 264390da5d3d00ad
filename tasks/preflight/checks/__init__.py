"""The checks of the data, one a file: what each finds is a warning or stops the run, as `checks.levels` says.

What cannot be trained on at all, whatever a recipe says, `thaw.tasks.ingest.checks` refuses.
"""
