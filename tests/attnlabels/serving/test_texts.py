from pathlib import Path

import pytest

from attnlabels.serving.texts import read_text, read_texts, version_of

TEMPLATE = "title: A study\nagree: I agree\nclasses: {}\n"


@pytest.fixture
def texts(tmp_path: Path):
    """Reads a file of these lines as one of TEMPLATE's kind."""
    (tmp_path / "template.yaml").write_text(TEMPLATE)

    def of(text: str):
        (tmp_path / "texts.yaml").write_text(text)
        return read_texts(tmp_path / "texts.yaml", template=tmp_path / "template.yaml")

    return of


def test_texts_are_the_templates_translated(texts):
    translated = "title: Eine Studie\nagree: Einverstanden\nclasses: {01_bird: Vogel}\n"
    assert texts(translated)["classes"] == {"01_bird": "Vogel"}
    assert texts(TEMPLATE)["title"] == "A study"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: A study\nclasses: {}\n", "texts.yaml: agree is missing; add it"),
        (TEMPLATE + "more: Words\n", "texts.yaml: more is unknown; remove it"),
        (TEMPLATE.replace("I agree", "yes: no"), "not valid YAML"),
        (TEMPLATE.replace("I agree", "3"), "agree is 3; expected a sentence, quoted"),
        (TEMPLATE.replace("{}", "{1: bird}"), "classes: expected FOLDER: name, each quoted"),
        (TEMPLATE.replace("{}", "[bird]"), "classes: expected FOLDER: name"),
    ],
)
def test_texts_that_do_not_fit_are_named(texts, text, message):
    with pytest.raises(ValueError, match=message):
        texts(text)


@pytest.mark.parametrize("lacking", ["title", "agree", "classes"])
def test_the_line_that_is_offered_for_a_missing_text_mends_it(texts, lacking):
    written = "".join(each for each in TEMPLATE.splitlines(True) if not each.startswith(lacking))
    with pytest.raises(ValueError, match="is missing") as raised:
        texts(written)
    line = str(raised.value).partition("in the study's language: ")[2]
    assert texts(f"{written}{line}\n") == texts(TEMPLATE)


def test_another_text_is_another_version():
    assert version_of("I agree") != version_of("I agree.")
    assert len(version_of("I agree")) == 12


def test_a_text_that_is_not_there_or_no_utf_8_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="consent.md: no such file; restore it"):
        read_text(tmp_path / "consent.md")
    (tmp_path / "consent.md").write_bytes("Einverständnis".encode("latin-1"))
    with pytest.raises(ValueError, match="consent.md: no UTF-8 .*; save it as UTF-8"):
        read_text(tmp_path / "consent.md")
