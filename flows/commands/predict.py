"""`thaw predict`: classify images with a published release."""

import json
from pathlib import Path

import typer

from thaw.flows.commands.home import open_home
from thaw.flows.predict import predict


def predict_images(
    paths: list[Path], *, release_id: str | None, recipe: str | None, home: Path | None, as_json: bool
) -> None:
    """Classify images and print a line for each.

    Args:
        paths: Image files.
        release_id: A release; a champion where it is None.
        recipe: Whose champion; may be None where only one recipe has one.
        home: `--home`, if it was given.
        as_json: Print one JSON document.

    Raises:
        ThawError: There is no such release, it is damaged, or a file is not an image.
    """
    predictions = predict(open_home(home), paths, release_id, recipe)
    if as_json:
        typer.echo(json.dumps(predictions, indent=1))
        return
    for item in predictions:
        typer.echo(f"{item['path']}\t{item['class']}\t{item['probability']:.4f}")
