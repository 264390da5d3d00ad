"""Prefect's work pools, whose workers start the runs of a deployment: what a run needs there.

What kind of pool it is shows in the variables that its jobs take: `image` where they are containers, `volumes` where
folders can be mounted in these.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectNotFound

from thaw.flows.places import folders_to_read
from thaw.flows.server_errors import prefect_command
from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.messages import received, word
from thaw.pipeline_config.schema import Recipe


def find_pool(name: str) -> WorkPool:
    """Ask the server for a pool.

    Raises:
        RequestError: There is none of that name.
    """
    try:
        return get_client(sync_client=True).read_work_pool(name)
    except ObjectNotFound as error:
        raise RequestError(
            f"There is no work pool {received(name)} on Prefect's server. Create it, with the type that suits you: "
            f"{prefect_command()} work-pool create {word(name)} --type process"
        ) from error


def job_variables(
    pool: WorkPool, recipe: Recipe, home: Path, image: str | None, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Say what the jobs of a recipe's deployment need besides what the pool's template says.

    In a container the home folder, and what the recipe reads, have the same paths as outside.

    Raises:
        RequestError: The pool's jobs need an image, or have no use for one; or a folder cannot be mounted.
    """
    takes = pool.base_job_template.get("variables", {}).get("properties", {})
    variables: dict[str, Any] = {"env": dict(environment)}
    if ("image" in takes) is not (image is not None):
        raise RequestError(_about_image(pool, is_needed=image is None))
    if image is not None:
        variables["image"] = image
    if "volumes" in takes:
        variables["volumes"] = [_volume(home, "rw"), *(_volume(folder, "ro") for folder in folders_to_read(recipe))]
    return variables


def _about_image(pool: WorkPool, *, is_needed: bool) -> str:
    which = f"work pool {received(pool.name)} of the type {word(pool.type)}"
    if is_needed:
        return f"The {which} runs containers, and needs --image: one with thaw in it, as `docker build` makes it here."
    return f"--image has no use for the {which}, whose runs use the thaw that its workers have. Leave it out."


def _volume(folder: Path, mode: str) -> str:
    if ":" in str(folder):
        raise RequestError(f"{word(str(folder))} cannot be mounted in a container: its name holds a colon. Rename it.")
    return f"{folder}:{folder}:{mode}"
