"""What becomes of a report: the file that Prefect's UI shows, and the id of the release that it becomes part of."""

MARKDOWN_NAME = "report.md"

# Whatever comes from data is escaped, so no name of a class or a file can look like this.
ID_PLACE = '<span class="id">ID</span>'


def with_release_id(page: str, release: str) -> str:
    """Write a release's id wherever the page has a place for it."""
    return page.replace(ID_PLACE, f'<span class="id">{release}</span>')
