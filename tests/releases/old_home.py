"""A home folder as thaw 0.1.0 left it before its documents said their form: two releases of digits, the second better.

Written by hand, field by field, so that it stays as it was whatever becomes of the models.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.publishing.helpers import evaluation_of
from thaw.tasks.releases.checksums import write_checksums

FIRST, SECOND = "digits-0123456789ab", "digits-ba9876543210"


def write_old_home(home: Path, model: bytes = b"no model") -> None:
    first = {"accuracy": 0.7, "accuracy_ci": [0.6, 0.8], "examples": 100}
    second = {"accuracy": 0.8, "accuracy_ci": [0.7, 0.9], "examples": 100}
    words = "Test accuracy 0.7000 on 100 images; there is no champion to compare with."
    verdict = {"candidate": first, "champion": None, "reason": words, "verdict": "first"}
    _write_release(home, FIRST, "a", verdict, model)
    better = f"Test accuracy 0.8000 on 100 images, higher than the 0.7000 on 100 images of {FIRST}."
    champion = {**first, "release": FIRST}
    verdict = {"candidate": second, "champion": champion, "reason": better, "verdict": "better"}
    _write_release(home, SECOND, "b", verdict, model)
    entry = {"sequence": 1, "time": "2026-01-01T00:00:00+00:00", "action": "publish", "recipe": "digits"}
    lines = [
        {**entry, "release": FIRST, "previous": None, "reason": words},
        {**entry, "sequence": 2, "release": SECOND, "previous": FIRST, "reason": better},
    ]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (home / "releases" / "log.jsonl").write_text(text)
    (home / "releases" / "champions").mkdir()
    pointer = f'{{"release":"{SECOND}","sequence":2}}\n'
    (home / "releases" / "champions" / "digits.json").write_text(pointer)


def _write_release(home: Path, name: str, tag: str, verdict: Mapping[str, Any], model: bytes) -> None:
    folder = home / "releases" / name
    folder.mkdir(parents=True)
    evaluation = evaluation_of("digits", tag).digest
    release = {
        "classes": ["cat", "dog"],
        "compared_with": None if verdict["champion"] is None else verdict["champion"]["release"],
        "evaluation": evaluation,
        "id": name,
        "input": {"center_crop": None, "resolution": 16},
        "libraries": {"keras": "3.15.1", "python": "3.11.7"},
        "made_from": {"evaluation": {"digest": evaluation, "kind": "evaluation"}},
        "recipe": "digits",
        "test": verdict["candidate"],
        "thaw": "0.1.0",
        "verdict": verdict["verdict"],
    }
    for file, document in (("release.json", release), ("verdict.json", verdict)):
        (folder / file).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    (folder / "labels.txt").write_text("cat\ndog\n")
    (folder / "README.md").write_text(f"# {name}\n")
    (folder / "model.keras").write_bytes(model)
    write_checksums(folder)
