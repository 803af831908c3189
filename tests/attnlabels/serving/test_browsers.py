import pytest

from attnlabels.serving.browsers import family_of

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) {} Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (CHROME.format("Chrome/130.0"), "Chrome"),
        (CHROME.format("Chromium/130.0 Chrome/130.0"), "Chrome"),
        (CHROME.format("Chrome/130.0") + " Edg/130.0", "Edge"),
        ("Mozilla/5.0 (X11; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox"),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605 Version/17.0 Mobile Safari/604.1", "Safari"),
        ("python-httpx/0.28", "other"),
        ("", "other"),
    ],
)
def test_of_a_user_agent_the_family_is_left(agent, family):
    assert family_of(agent) == family
