"""`thaw predict`: classify images with a published release."""

import json
from pathlib import Path

import typer

from thaw.flows.commands.home import open_home
from thaw.flows.predict import predict


def predict_images(
    paths: list[Path], *, release_id: str | None, recipe: str | None, home: Path | None, as_json: bool
) -> None:
    """Classify images and print a line for each."""
    predictions = predict(open_home(home), paths, release_id, recipe)
    if as_json:
        typer.echo(json.dumps(predictions, indent=1))
        return
    for item in predictions:
        unsure = "\tunsure" if item["unsure"] else ""
        typer.echo(f"{item['path']}\t{item['class']}\t{item['probability']:.4f}{unsure}")
