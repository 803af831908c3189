"""What a study's server needs beyond the rest, and what is said where it is missing."""

from importlib.util import find_spec

NEEDED = ("starlette", "uvicorn")


def require_server() -> None:
    """Raise ValueError with the cure unless what serves pages is installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ValueError(
            f"a server needs {' and '.join(missing)}, not installed here; "
            "pip install 'attnlabels[collect]'"
        )
