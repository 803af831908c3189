import importlib
from types import ModuleType

import pytest


@pytest.fixture
def module() -> ModuleType:
    return importlib.import_module("ratios")


def test_functions_are_run_in_turns_after_one_round(module: ModuleType) -> None:
    ran: list[str] = []
    seconds = module.in_turns({each: lambda each=each: ran.append(each) for each in "ab"}, rounds=3)
    assert ran == list("abababab")
    assert [len(each) for each in seconds.values()] == [3, 3]


def test_medians_are_reported_and_held_against_their_limits(
    module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = [0.5, 0.001, 0.002], [0.25, 0.001, 0.004]
    assert module.ratios(a, b) == [2, 1, 0.5]
    faster = module.Bound("a over b", module.ratios(a, b), 1.0, True, "")
    module.report({"a": a}, [faster])
    machine, _, *tables = capsys.readouterr().out.splitlines()
    assert machine == module.machine() and "cores, torch" in machine
    assert tables == [
        "| what | milliseconds of one core |",
        "|---|---:|",
        "| a | 2.0 [1.0, 500.0] |",
        "",
        "| what | measured | limit | |",
        "|---|---:|---:|---|",
        "| a over b | 1.00 [0.50, 2.00] | ≥ 1 |  |",
    ]
    with pytest.raises(SystemExit, match="1"):
        module.report({"a": a}, [faster, module.Bound("memory", [7.25], 7.0, False, " MB")])
    assert "| memory | 7.25 MB | ≤ 7 MB | missed |" in capsys.readouterr().out
