"""A generator of toys that says what it learned from."""

from ovals import Ovals
from pydantic import JsonValue


class ToldOvals(Ovals):
    """Ovals, as if learned from pictures of others."""

    def facts(self) -> dict[str, JsonValue]:
        """What it learned from, beside what ovals say."""
        return {**super().facts(), "training_data": ["faces-split:fit"]}
