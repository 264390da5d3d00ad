"""Whom `THAW_NOTIFY` names, as notification blocks of Prefect's server, which sends to them.

What may be a secret in an address is the server's from here on, which keeps blocks encrypted and shows stars for it.
"""

import logging
from collections.abc import Sequence
from typing import cast
from uuid import UUID

from apprise import Apprise
from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from thaw.pipeline_config.errors import RequestError
from thaw.pipeline_config.messages import is_address, received


def notification_blocks(recipe: str, places: Sequence[SecretStr]) -> list[UUID]:
    """Find the ids of the blocks; an address becomes a block of the recipe's, by its number, which is changed in place.

    Raises:
        RequestError: Apprise cannot use an address, or the server has no such notification block.
    """
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it writes down the addresses that it cannot use
    return [_block(recipe, number, place) for number, place in enumerate(places, 1)]


def _block(recipe: str, number: int, place: SecretStr) -> UUID:
    text = place.get_secret_value()
    if not is_address(text):
        return _named_block(text)
    if Apprise.instantiate(text) is None:
        raise RequestError(
            f"THAW_NOTIFY: of its {number}. address, {text.partition(':')[0]}://…, Apprise knows no use. Expected one "
            "such as json://host:8080/path; see the services that Apprise's documentation lists."
        )
    # Of Prefect's own kinds of block, the one that hands whatever address to Apprise as it is.
    name = f"thaw-{recipe}-{number}".replace("_", "-")
    return cast(UUID, SlackWebhook(url=place).save(name, overwrite=True))


def _named_block(text: str) -> UUID:
    kind, _, name = text.partition("/")
    try:
        with get_client(sync_client=True) as client:
            found = client.read_block_document_by_name(name, kind, include_secrets=False)
    except ObjectNotFound:
        found = None
    if found is None or found.block_schema is None or "notify" not in found.block_schema.capabilities:
        raise RequestError(
            f"THAW_NOTIFY: the server has no notification block {received(text)}. Expected its kind and its name, such "
            "as slack-webhook/ops, or an address of Apprise's, such as json://host:8080/path."
        )
    return found.id
