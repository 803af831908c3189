"""On made-up sources: two scripts, and rooms that they reach."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import attnlabels
from attnlabels.pipeline import code
from attnlabels.pipeline.code import closure, code_of, digest_of, names_in

SOURCES = Path(attnlabels.__file__).parents[1]
FILES = {
    "train.py": "from attnlabels.losses import loss\nfrom attnlabels.losses.loss import far\n",
    "page.py": "import attnlabels.reporting.charts as charts\nimport json\n",
    "page.css": "a {}",
    "other.css": "b {}",
    "attnlabels/__init__.py": "EAGER = 1\n",
    "attnlabels/losses/__init__.py": "",
    "attnlabels/losses/loss.py": (
        '"""A loss."""\nfrom attnlabels.ground import floor\n'
        'def far():\n    """Far."""\n    return 1\n'
    ),
    "attnlabels/ground/__init__.py": "",
    "attnlabels/ground/floor.py": "import numpy\nDEPTH = 3\n",
    "attnlabels/reporting/__init__.py": "",
    "attnlabels/reporting/charts.py": "WIDTH = 2\n",
    "attnlabels/reporting/charts.js": "var a",
}


@pytest.fixture
def sources(tmp_path) -> Path:
    folder = tmp_path / "attnlabels" / "src"  # a checkout is often called as the package is
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def syntax(text: str) -> str:
    return code._module(text.encode()).syntax


def test_it_is_the_script_what_it_imports_and_what_lies_beside_under_the_same_name(sources):
    assert [*code_of(sources / "train.py")] == [
        "attnlabels/ground/floor.py",
        "attnlabels/losses/loss.py",
        "train.py",
    ]
    assert [*code_of(sources / "page.py")] == [
        "attnlabels/reporting/charts.js",
        "attnlabels/reporting/charts.py",
        "page.css",
        "page.py",
    ]


def test_it_is_the_same_in_every_copy_of_the_project(sources, tmp_path):
    shutil.copytree(sources, tmp_path / "copy")
    for script in ("train.py", "page.py"):
        assert code_of(tmp_path / "copy" / script) == code_of(sources / script)
        assert digest_of(tmp_path / "copy" / script) == digest_of(sources / script)


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("attnlabels/losses/loss.py", "return 1", "return 2", {"train"}),
        ("attnlabels/losses/loss.py", "A loss.", "A good loss.", set()),
        ("attnlabels/losses/loss.py", '"""Far."""', '"""Further\n\n    away."""', set()),
        ("attnlabels/losses/loss.py", "return 1", "return 1  # why", set()),
        ("attnlabels/losses/loss.py", "return 1", "return (\n        1\n    )", set()),
        ("attnlabels/ground/floor.py", "3", "4", {"train"}),
        ("attnlabels/ground/floor.py", "3", "3.0", {"train"}),
        ("attnlabels/ground/floor.py", "3", "None", {"train"}),
        ("attnlabels/reporting/charts.py", "2", "3", {"page"}),
        ("attnlabels/reporting/charts.js", "var a", "var b", {"page"}),
        ("page.css", "a", "c", {"page"}),
        ("other.css", "b", "c", set()),
    ],
)
def test_what_is_done_changes_the_code_that_reaches_it_and_words_about_it_change_none(
    sources, file, old, new, changed
):
    before = {name: digest_of(sources / f"{name}.py") for name in ("train", "page")}
    edit(sources / file, old, new)
    assert {name for name in before if digest_of(sources / f"{name}.py") != before[name]} == changed


@pytest.mark.parametrize(
    ("imports", "reads"),
    [
        ("import inspect\nfrom attnlabels.losses import loss", "inspect.getdoc(loss)"),
        ("import inspect\nfrom attnlabels.losses.loss import far", "inspect.getsource(far)"),
        (
            "from inspect import getdoc\nimport attnlabels.losses.loss",
            "getdoc(attnlabels.losses.loss)",
        ),
        ("import attnlabels.losses.loss as known", "known.far.__doc__"),
        ("from attnlabels.losses import loss", "loss.__doc__"),
    ],
)
def test_a_docstring_that_is_read_counts_with_every_byte(sources, imports, reads):
    (sources / "readme.py").write_text(f"{imports}\nprint({reads})\n")
    before = code_of(sources / "readme.py")
    edit(sources / "attnlabels/losses/loss.py", "A loss.", "A good loss.")
    after = code_of(sources / "readme.py")
    assert {name for name in before if before[name] != after[name]} == {"attnlabels/losses/loss.py"}


def test_a_docstring_that_a_module_reads_of_itself_counts(sources):
    (sources / "usage.py").write_text('"""How."""\nprint(__doc__)\n')
    before = digest_of(sources / "usage.py")
    edit(sources / "usage.py", "How.", "How so.")
    assert digest_of(sources / "usage.py") != before


def test_every_reading_of_a_docstring_in_the_project_is_understood():
    # One of a module that has no name would be missed; that of `run` goes to the terminal.
    for path in SOURCES.rglob("*.py"):
        module = code._module(path.read_bytes())
        text = path.read_text()
        found = "__doc__" in text or any(f"{reader}(" in text for reader in code.READERS)
        known = ("pipeline/code.py", "pipeline/script.py")
        assert not found or module.reads or path.as_posix().endswith(known), path


def test_what_every_import_runs_does_nothing():
    # So no `__init__.py` is code of a script.
    rooms = [path for path in SOURCES.rglob("__init__.py") if path.parent.name != "attnlabels"]
    assert rooms and not any(path.read_text().strip() for path in rooms)
    done = {type(node) for node in ast.parse(Path(attnlabels.__file__).read_text()).body}
    assert done == {ast.Expr, ast.Import, ast.ImportFrom, ast.If, ast.Assign, ast.FunctionDef}
    offered = {f"attnlabels.{name}" for name in attnlabels.MODULES}
    scripts = {module for path in SOURCES.glob("*.py") for module in closure(path)}
    assert not [path for path in scripts if names_in(path) & offered]


def test_a_relative_import_is_refused(sources):
    edit(sources / "attnlabels/ground/floor.py", "import numpy", "from . import numpy")
    with pytest.raises(ValueError, match="line 1: imports are absolute"):
        code_of(sources / "train.py")


def test_an_f_string_is_told_the_same_however_it_is_cut():
    # As versions of Python do: 3.12 cuts at "{{", and leaves empty pieces.
    whole, cut = ast.parse("f'a{{b{c:>{d}x}'"), ast.parse("f'a{{b{c:>{d}x}'")
    (text, value) = cut.body[0].value.values
    cut.body[0].value.values = [
        ast.Constant(""),
        ast.Constant(text.value[:1]),
        ast.Constant(text.value[1:]),
        value,
    ]
    assert code._told(whole.body[0].value) == code._told(cut.body[0].value)
    assert syntax("x = f'a{c}b'") != syntax("x = f'a{c}' + 'b'") != syntax("x = f'a{d}b'")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = True"),
        ("x = None", "x"),
        ("x = 'a'", "x = b'a'"),
        ("f(x=1)", "f(1)"),
        ("def f(a, /): ...", "def f(a): ..."),
        ("match x:\n    case None: ...", "match x:\n    case True: ..."),
        ("{**a}", "{a: a}"),
        ("x[1:]", "x[:1]"),
        ("f'{x!r}'", "f'{x}'"),
    ],
)
def test_another_meaning_is_another_digest(one, other):
    assert syntax(one) != syntax(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 'é'", 'x = u"\\u00e9"'),
        ("x = 1_000", "x = 1000"),
        ("f(1, 2)", "f(\n    1,\n    2,\n)"),
        ("x = 'a' 'b'", "x = 'ab'"),
    ],
)
def test_another_spelling_is_the_same_digest(one, other):
    assert syntax(one) == syntax(other)


KEPT = """
from dataclasses import dataclass
@dataclass(frozen=True)
class Loss:
    'What it is.'
    scale: float = 1e-6
    async def tell(self, *words: str, **more: bytes) -> None:
        match words:
            case ["é", *rest] if (n := len(rest)) > 1_000:
                print(f"{{{n!r:>{self.scale:.1f}}}} of {rest=}" "there", ..., -1j, not None)
            case _:
                lambda a, /, b=[i for i in words if i], *, c: a[1:, ::b] or {**c, b"": {1}}
"""


def test_every_version_of_python_says_what_was_kept_of_one():
    assert syntax(KEPT) == "8ab1fdd33944fa478decf3fc5c88f6e1"


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_another_version_of_python_says_the_same(version):
    words = "from pathlib import Path; from attnlabels.pipeline.code import code_of"
    call = [f"python{version}", "-S", "-c"]
    try:
        subprocess.run([*call, ""], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip(f"no Python {version} at hand")
    said = subprocess.run(
        [*call, f"{words}; print(code_of(Path('train_simclr.py')))"],
        cwd=SOURCES,
        capture_output=True,
        text=True,
    )
    assert said.stdout == f"{code_of(SOURCES / 'train_simclr.py')}\n", said.stderr


def test_it_takes_no_torch_and_no_time():
    words = "import attnlabels.pipeline.code, sys; print({'torch', 'numpy'} & sys.modules.keys())"
    said = subprocess.run(
        [sys.executable, "-c", words], cwd=SOURCES, capture_output=True, text=True
    )
    assert said.stdout == "set()\n", said.stderr
