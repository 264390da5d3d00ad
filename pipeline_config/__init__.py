"""The recipe: what a run is asked to do, and how it is read and checked. Imports nothing of this project."""
