"""Requests that are refused: a status of HTTP and one sentence, which the page shows."""


class Refused(Exception):
    """A request that is answered by an error; `retry_s` says when it may be sent again."""

    def __init__(self, status: int, why: str, *, retry_s: float | None = None) -> None:
        super().__init__(why)
        self.status, self.why, self.retry_s = status, why, retry_s
