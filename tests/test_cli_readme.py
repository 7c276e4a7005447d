import pytest

from sparse_transformers.cli import main
from sparse_transformers.commands import readme as command
from sparse_transformers.utils.readme import end_mark, put_into_readme, start_mark


def marked(name, text="old"):
    return f"{start_mark(name)}\n{text}\n{end_mark(name)}\n"


@pytest.fixture
def recorded(monkeypatch):
    """Two texts that are written from files of their own."""
    texts = {name: lambda outputs, name=name: (outputs / name).read_text() for name in ("a", "b")}
    monkeypatch.setattr(command, "RECORDED", texts)


def run(folder):
    return main(["readme", "--outputs", str(folder), "--readme", str(folder / "README.md")])


def test_each_text_goes_between_its_marks_and_the_words_around_stay(tmp_path, recorded):
    (tmp_path / "a").write_text("new a")
    (tmp_path / "b").write_text("new b")
    readme = tmp_path / "README.md"
    readme.write_text(f"one\n{marked('b')}two\n{marked('a')}three")
    assert run(tmp_path) == 0
    assert readme.read_text() == f"one\n{marked('b', 'new b')}two\n{marked('a', 'new a')}three"


def test_missing_results_leave_the_readme_alone(tmp_path, recorded, capsys):
    (tmp_path / "a").write_text("new a")
    readme = tmp_path / "README.md"
    readme.write_text(marked("a") + marked("b"))
    assert run(tmp_path) == 2
    assert "No such file" in capsys.readouterr().err
    assert readme.read_text() == marked("a") + marked("b")


@pytest.mark.parametrize(
    "content",
    [
        "words",
        marked("a"),
        marked("a") + 2 * marked("b"),
        marked("a") + start_mark("b") + marked("b"),
        marked("a") + marked("b") + end_mark("b"),
    ],
)
def test_readme_without_the_marks_is_left_alone(tmp_path, content):
    readme = tmp_path / "README.md"
    readme.write_text(content)
    with pytest.raises(ValueError, match=r"must hold '<!-- [ab]: written by `make readme` -->'"):
        put_into_readme(readme, {"a": "new", "b": "new"})
    assert readme.read_text() == content


def test_files_of_another_kind_are_refused(tmp_path, capsys):
    for folder, file in (("attention_benchmark", "attention_benchmark.json"),):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("{}")
    (tmp_path / "README.md").write_text("words")
    assert run(tmp_path) == 2
    assert "must be the results of an attention benchmark" in capsys.readouterr().err
