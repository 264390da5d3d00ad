"""How often a set of test images has judged the models of a recipe. No TensorFlow.

The more models are judged by the same images, the more the best of them owes to luck. What is known of earlier verdicts
are the releases that are still there, and what each says of those before it.
"""

from collections.abc import Iterator
from contextlib import suppress

from thaw.pipeline_config.errors import PublishError
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.releases.registry import Registry
from thaw.tasks.releases.release import Release, read_in_place, read_verdict, recipe_of
from thaw.tasks.releases.verdict import Looks, ReleasedModel, Verdict


def looks_of(
    registry: Registry, recipe: str, evaluation: ArtifactRef, champion: ReleasedModel | None, test_split: str
) -> Looks:
    """Count the models that a test split has judged: all before this one, and those beside the same champion.

    Where this very model was judged beside this champion before, the count is what it was then, so that a run that is
    repeated asks for the same verdict.
    """
    given = [
        (release, verdict)
        for release, verdict in _given(registry, recipe)
        if _split_of(registry, release, verdict) == test_split
    ]
    again = [
        verdict.looks
        for release, verdict in given
        if release.evaluation == evaluation.digest and _is_same(verdict.champion, champion) and verdict.looks
    ]
    if again:
        return min(again, key=lambda looks: looks.before)
    others = [(release, verdict) for release, verdict in given if release.evaluation != evaluation.digest]
    beside = [(release, verdict) for release, verdict in others if _is_same(verdict.champion, champion)]
    # `thaw gc` removes releases; those that are left still know how many there were.
    return Looks(
        test_split=test_split,
        before=max(
            len({release.evaluation for release, _ in others}),
            *(verdict.looks.before + 1 for _, verdict in others if verdict.looks),
            0,
        ),
        among=1
        + max(
            len({release.evaluation for release, _ in beside}),
            *(verdict.looks.among for _, verdict in beside if verdict.looks),
            0,
        ),
    )


def _given(registry: Registry, recipe: str) -> Iterator[tuple[Release, Verdict]]:
    for name in registry.ids():
        if recipe_of(name) == recipe:
            with suppress(PublishError):  # what is damaged says nothing, and `thaw releases list` warns of it
                folder = registry.releases / name
                yield read_in_place(folder), read_verdict(folder)


def _split_of(registry: Registry, release: Release, verdict: Verdict) -> str | None:
    if verdict.looks is not None:
        return verdict.looks.test_split
    # An earlier thaw did not say; the predictions have the images. Imports pyarrow, which no plan should wait for.
    from thaw.tasks.releases.test_split import name_of_split, tested_on

    with suppress(PublishError):
        return name_of_split(tested_on(registry.releases / release.id))
    return None


def _is_same(one: ReleasedModel | None, other: ReleasedModel | None) -> bool:
    """Say whether two are the same model, which may be in another release because its files were written anew."""
    if one is None or other is None:
        return one is other
    return one.release == other.release or (one.weights is not None and one.weights == other.weights)
