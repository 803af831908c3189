"""What comes along of jsPsych is what its page says, and what npm has."""

import re
from hashlib import sha256
from pathlib import Path

from attnlabels.sessions import app

FOLDER = Path(app.__file__).parent / "jspsych"


def test_files_are_those_that_are_listed_by_their_digests():
    listed = re.findall(
        r"\| (\S+\.js) \| \S+ \| [\d.]+ \| (\w{64}) \|", (FOLDER / "README.md").read_text()
    )
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in FOLDER.glob("*.js")}
    assert found and dict(listed) == found


def test_the_licence_comes_along():
    assert "The MIT License" in (FOLDER / "LICENSE").read_text()
