"""The images that a study was made of, which have to be the same still."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from attnlabels.collecting.folder import Image
from attnlabels.images.names import some_of


class Originals:
    """The files of a study's images; raises FileNotFoundError if there is no such folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder; name that of the study's images")

    def read(self, image: Image) -> bytes:
        """The image's file. Raises FileNotFoundError, and ValueError for one that is another."""
        path = self.folder / image.path
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: an image of the study is not there; put it back, or name the folder that "
                "has it"
            )
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != image.sha256:
            raise ValueError(
                f"{path}: not the image that was shown (its sha256 is another); put that one back"
            )
        return data

    def verify(self, images: Iterable[Image]) -> None:
        """Read them all. Raises what `read` does, of the first, or ValueError naming several."""
        faults = []
        for each in images:
            try:
                self.read(each)
            except (FileNotFoundError, ValueError) as error:
                faults.append((each.path, error))
        if len(faults) > 1:
            raise ValueError(
                f"{self.folder}: {len(faults)} images are gone or others than were shown: "
                f"{some_of(path for path, _ in faults)}; put them back, or name the folder that "
                "has them"
            )
        if faults:
            raise faults[0][1]
