import stat

import pytest

from attnlabels.serving.tokens import KEY, Signer, open_key, same


def test_what_was_signed_is_read_also_after_the_server_began_anew(tmp_path):
    signed = open_key(tmp_path).sign("abc")
    assert open_key(tmp_path).read(signed) == "abc"


@pytest.mark.parametrize("signed", ["", ".", "abc", "abc.", "abc.0", "é.é"])
def test_what_was_not_signed_is_nobody(signed):
    assert Signer(b"k" * 32).read(signed) is None


def test_another_key_or_another_session_is_told_apart():
    mine, other = Signer(b"k" * 32), Signer(b"l" * 32)
    digest = mine.sign("abc").partition(".")[2]
    assert other.read(mine.sign("abc")) is None
    assert mine.read(f"abd.{digest}") is None
    assert mine.page != other.page and mine.cookie != other.cookie


def test_the_token_of_a_page_signs_no_session():
    signer = Signer(b"k" * 32)
    assert signer.read(f".{signer.page}") is None
    assert signer.read(f"page.{signer.page}") is None


def test_the_key_is_for_its_owner_alone_and_is_not_made_anew(tmp_path):
    open_key(tmp_path)
    key = (tmp_path / KEY).read_bytes()
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    open_key(tmp_path)
    assert (tmp_path / KEY).read_bytes() == key
    assert [path.name for path in tmp_path.iterdir()] == [KEY]


def test_a_key_that_was_cut_is_refused(tmp_path):
    (tmp_path / KEY).write_bytes(b"short")
    with pytest.raises(ValueError, match=r"server.key has 5 bytes, expected 32; remove it"):
        open_key(tmp_path)


def test_secrets_may_hold_any_text():
    assert same("é", "é") and not same("é", "e")
