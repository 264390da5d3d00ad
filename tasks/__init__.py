"""The work, one package per step. Plain functions; only each `task.py` knows of Prefect."""
