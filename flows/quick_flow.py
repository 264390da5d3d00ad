"""A Prefect flow that does not import FastAPI: a fifth of what a run costs in which every task is cached."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Flow
from pydantic_core import to_jsonable_python

from thaw.pipeline_config.messages import without_secrets

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class QuickFlow(Flow[Parameters, Result]):
    """A flow whose parameters are what pydantic can write as JSON, such as a recipe and a path."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Write the parameters of a run for Prefect's server, as Prefect does, but without the secrets of addresses."""
        return dict(without_secrets(to_jsonable_python(parameters, by_alias=True)))


def quick_flow(**options: Any) -> Callable[[Callable[Parameters, Result]], QuickFlow[Parameters, Result]]:
    """Make a flow of a function, as Prefect's decorator does."""

    def decorate(function: Callable[Parameters, Result]) -> QuickFlow[Parameters, Result]:
        return QuickFlow(function, **options)

    return decorate
