"""`thaw doctor`: can a run succeed here, and if not, what to do. One check a file, behind the contract in base.py."""
