"""The gate as users run it, on a small repository with real environments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import psutil
import pytest

from tests.gate.project import BENCHMARKS, WORK, Project

ONE, OTHER = "test_work.py::test_one", "test_work.py::test_other"

pytestmark = pytest.mark.usefixtures("own_temporary_folder")


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, to see what the gate leaves in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_no_change_is_ok(benchmarked: Project) -> None:
    """The gate removes its temporary files."""
    base = benchmarked.git("rev-parse", "--short=8", "HEAD")
    benchmarked.git("checkout", "-q", "-b", "change")
    head = benchmarked.commit("notes.txt", "nothing to measure")[:8]

    done = benchmarked.gate("--pipeline-gate-against")

    assert done.returncode == 0, done.stderr
    assert f"old is the merge base with main ({base}), new is HEAD ({head})" in (
        done.stdout
    )
    assert ONE in done.stdout
    assert OTHER in done.stdout
    assert "test_that_is_none" not in done.stdout
    assert len(benchmarked.git("worktree", "list").splitlines()) == 1
    assert not list(Path(os.environ["TMPDIR"]).glob("pipeline-gate-*"))


def test_three_times_the_work_is_a_regression(benchmarked: Project) -> None:
    """In uncommitted changes; the summary is written."""
    benchmarked.write("work.py", WORK.replace("times=1", "times=3"))

    done = benchmarked.gate(
        *("--pipeline-gate-against", "main", "--pipeline-gate-summary", "gate")
    )

    assert done.returncode == 1, done.stderr
    assert "new is HEAD" in done.stdout
    assert "with the changes not committed" in done.stdout
    assert f"gate: regressed: {ONE} +" in done.stdout
    saved = json.loads((benchmarked.folder / "gate.json").read_text())
    assert [found["verdict"] for found in saved["benchmarks"]] == ["regressed"] * 2
    assert saved["benchmarks"][0]["ratio"]["value"] == pytest.approx(3)
    (old_s, new_s) = (saved["benchmarks"][0][side] for side in ("old_s", "new_s"))
    assert new_s["median"] == pytest.approx(3 * old_s["median"])
    # The versions are those of the side's environment.
    assert "pip" in saved["conditions"]["new_versions"]
    assert (benchmarked.folder / "gate.md").read_text().startswith("### ❌ Gate")
    assert "<h1>Gate: regressed</h1>" in (benchmarked.folder / "gate.html").read_text()


def test_each_revision_has_its_own_environment(
    benchmarked: Project,
) -> None:
    """Each imports the module that its own install command made."""
    link = (
        "import pathlib, sysconfig\n"
        "site = pathlib.Path(sysconfig.get_path('purelib'))\n"
        f"(site / 'linked.pth').write_text({_site()!r})\n"
        "(site / 'generated.py').write_text('VALUE = {value}')\n"
    )
    text = (
        "import pytest\n"
        "from generated import VALUE\n"
        "from work import clock, work\n"
        "@pytest.mark.benchmark(timer=clock)\n"
        "def test_it(benchmark): assert benchmark(work, VALUE) == {value}\n"
    )
    benchmarked.write("setup_it.py", link.format(value=1))
    benchmarked.commit("test_work.py", text.format(value=1))
    benchmarked.write("setup_it.py", link.format(value=2))
    benchmarked.write("test_work.py", text.format(value=2))

    done = benchmarked.gate(
        *("--pipeline-gate-against", "HEAD"),
        *("--pipeline-gate-install", "python setup_it.py"),
    )

    assert done.returncode == 1, done.stderr
    assert "gate: regressed: test_work.py::test_it +100 %" in done.stdout


def _site() -> str:
    return f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"


def test_a_failing_build_shows_its_output(benchmarked: Project) -> None:
    """Its last 30 lines, the log with all of it, and one line about what failed."""
    head = benchmarked.git("rev-parse", "--short=8", "HEAD")
    benchmarked.commit("notes.txt", "a second commit")
    command = "seq 40 && echo no compiler && exit 3"

    done = benchmarked.gate(
        "--pipeline-gate-against", "HEAD~1", "--pipeline-gate-install", command
    )

    assert done.returncode == 3
    *output, log, fault = done.stderr.splitlines()
    assert output == [*map(str, range(12, 41)), "no compiler"]
    assert fault.endswith(f": can't be built: {command}: no compiler")
    assert fault.startswith("gate: old revision, HEAD~1" if head in fault else "gate: ")
    path = Path(log.removeprefix("gate: all of its output: "))
    assert path.read_text().splitlines() == [*map(str, range(1, 41)), "no compiler"]


def test_one_commit_is_nothing_to_measure(benchmarked: Project) -> None:
    """Reported before anything is built; the summary says it too."""
    done = benchmarked.gate(
        *("--pipeline-gate-against", "HEAD", "--pipeline-gate-install", "exit 1"),
        *("--pipeline-gate-summary", "gate"),
    )

    head = benchmarked.git("rev-parse", "--short=8", "HEAD")
    line = f"nothing measured: old and new are one commit, {head}"
    assert done.returncode == 5, done.stderr
    assert f"gate: {line}\n" in done.stdout
    assert json.loads((benchmarked.folder / "gate.json").read_text())["line"] == line


def test_the_command_needs_nothing_of_the_project(
    benchmarked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With prepared environments, from a hook, and options that only sides know."""
    benchmarked.write(
        "conftest.py", "def pytest_addoption(parser): parser.addoption('--ours')\n"
    )
    benchmarked.write("setup.cfg", "[tool:pytest]\naddopts = --ours=1\n")
    benchmarked.commit("old.txt", "only in the old revision")
    benchmarked.write(
        "test_work.py",
        BENCHMARKS
        + "import pathlib, os, subprocess\n"
        + "files = subprocess.check_output(['git', 'ls-files'], text=True).split()\n"
        + "assert 'old.txt' in files and 'GIT_DIR' not in os.environ\n",
    )
    benchmarked.commit("new.txt", "in the new revision")
    monkeypatch.setenv("GIT_DIR", str(benchmarked.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", "nowhere")
    monkeypatch.setenv("TMPDIR", str(benchmarked.folder))
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--ignore={benchmarked.folder}/ignored")

    done = subprocess.run(
        [
            *(sys.executable, "-c", "from pipeline.cli import main; main()", "gate"),
            *("HEAD~1", "test_work.py", "-k", "one", "--prepared"),
            *(sys.executable, sys.prefix),
        ],
        cwd=benchmarked.folder,
        capture_output=True,
        check=False,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "gate: ok: 1 benchmark, none slower by its threshold" in done.stdout
    assert "built" not in done.stdout


def test_removed_benchmarks_are_nothing_measured(
    benchmarked: Project,
) -> None:
    """The gate does not pass."""
    (benchmarked.folder / "test_work.py").unlink()

    done = benchmarked.gate("test_work.py", "--pipeline-gate-against", "main")

    assert done.returncode == 5, done.stderr
    assert f"nothing measured: no benchmark is in both revisions: {ONE} (gone)" in (
        done.stdout
    )


def test_a_renamed_benchmark_is_inconclusive(benchmarked: Project) -> None:
    """The old name is gone, the other is new."""
    benchmarked.write("test_work.py", BENCHMARKS.replace("test_other", "test_another"))

    done = benchmarked.gate("--pipeline-gate-against", "main")

    assert done.returncode == 6, done.stderr
    assert f"gate: inconclusive: {OTHER} (gone)" in done.stdout
    assert any(
        line.split()[:2] == ["test_work.py::test_another", "new"]
        for line in done.stdout.splitlines()
    )


def test_an_unknown_revision_is_a_usage_error(benchmarked: Project) -> None:
    """Reported before anything is built."""
    done = benchmarked.gate("--pipeline-gate-against", "nowhere")

    assert done.returncode == 4
    assert done.stderr == (
        "gate: revision nowhere: unknown here; fetch it, or name another\n"
    )


def runs(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for yet has."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_interrupted_gate_leaves_nothing_behind(
    benchmarked: Project, tmp_path: Path
) -> None:
    """Not even the build commands that it interrupted."""
    os.mkfifo(tmp_path / "pids")
    benchmarked.write("notes.txt", "a change")
    command = f"sh -c 'echo $$ > {tmp_path / 'pids'}; exec sleep 600'"
    # A shell ignores SIGINT in background jobs, and child processes inherit that.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen(
        benchmarked.command(
            "--pipeline-gate-against", "main", "--pipeline-gate-install", command
        ),
        cwd=benchmarked.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    pids: list[int] = []
    while len(pids) < 2:
        with (tmp_path / "pids").open() as lines:
            pids += map(int, lines)

    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 2
    assert said == "gate: interrupted\n"
    assert not [pid for pid in pids if runs(pid)]
    assert len(benchmarked.git("worktree", "list").splitlines()) == 1
    assert not list(Path(os.environ["TMPDIR"]).glob("pipeline-gate-*"))
