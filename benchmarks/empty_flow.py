"""A flow of as many empty tasks as thaw's: what Prefect alone takes. Run by cached_rerun.py in its own process."""

from prefect import flow, task
from prefect.tasks import Task

TASKS = 11


def empty(value: int) -> int:
    return value + 1


def numbered(number: int) -> Task[[int], int]:
    return task(name=f"empty-{number}")(empty)


@flow(name="empty")
def run_empty_tasks() -> int:
    value = 0
    for number in range(TASKS):
        value = numbered(number)(value)
    return value


if __name__ == "__main__":
    assert run_empty_tasks() == TASKS
