"""Class names that differ in little more than capital letters, blanks or accents, and may mean the same."""

import unicodedata

from thaw.pipeline_config.retrain_schema import ChecksConfig
from thaw.tasks.preflight.checks.base import Seen, named, quoted

_PASSED_OVER = frozenset({"Mn", "Zs", "Cf", "Pd", "Pc"})  # accents, blanks, what has no width, hyphens, underscores


def find_alike(seen: Seen, checks: ChecksConfig) -> str | None:
    """Find pairs of names that are alike: among the classes, or of a new one and one that the champion knows."""
    if not checks.similar_names:
        return None
    alike: dict[str, list[str]] = {}
    for name in sorted({*seen.now, *(seen.before or {})}):
        alike.setdefault(essence(name), []).append(name)
    # Names that are all gone are nobody's concern any more.
    groups = [names for names in alike.values() if len(names) > 1 and not seen.now.keys().isdisjoint(names)]
    if not groups:
        return None
    found = [" and ".join(map(quoted, names)) for names in groups]
    return f"Class names are alike: {named(found)}. Give images of one kind one name."


def essence(name: str) -> str:
    """Reduce a name to what readers tell names apart by: without case, accents, blanks, hyphens and underscores."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(each for each in decomposed if unicodedata.category(each) not in _PASSED_OVER)
