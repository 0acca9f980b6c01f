"""The branch in a real bare repository: each process has a clone and the library's Git store, between which faults are put."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hyops_ci.errors import DispatchError
from hyops_ci.ledger.git_process import NO_ANSWER, Git, GitResult
from hyops_ci.ledger.git_store import GitStore, create_repository
from hyops_ci.ledger.last_seen import TipMemory
from hyops_ci.ledger.store import Head, Store
from tests.ledger.ledger_setup import BRANCH
from tests.simulation.process import AppendStore, Call, Host, No, Replay
from tests.simulation.state import Process, SimState

_TALKING: Final = ("ls-remote", "fetch", "push")
_SILENCE: Final = GitResult(NO_ANSWER, b"", "no answer in time")


class FaultyGit(Git):
    """Git whose calls to the remote go wrong on demand."""

    fault = ""

    def run(self, *words: str, **options: Any) -> GitResult:
        """`lose`: nothing reaches the remote. `lose the answer`: a push does, unanswered; `lose both`: so is the look after it."""
        if not self.fault or words[0] not in _TALKING:
            return super().run(*words, **options)
        if self.fault != "lose" and words[0] == "push":
            super().run(*words, **options)
        if self.fault == "lose the answer":
            self.fault = ""
        return _SILENCE


class OnGit:
    """One bare repository, and a Git store for each process."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self._root, self._stores = root, dict[str, GitStore]()
        self._remote = root / "ledger.git"
        create_repository(self._remote)
        self._judge = self._store("judge")
        self._twice = False

    def begin(self, sim: SimState) -> SimState:
        """Return the state on the head that the repository has."""
        self._judge.append(None, sim.head.tip, "init")
        head = self._judge.read()
        assert head is not None
        return replace(sim, head=head)

    def store(self, replay: Replay) -> Store:
        """The store that the process's ledger works on: its calls are answered below."""
        return AppendStore(replay)

    def memory(self, commits: dict[str, str], host: str) -> Host:
        """The host's real memory, in its real file."""
        return TipMemory(self._root / f"{host}.json")

    def forget(self, host: str) -> None:
        """The file is gone."""
        (self._root / f"{host}.json").unlink(missing_ok=True)

    def answer(self, head: Head, process: Process, call: Call, how: str) -> tuple[Head, object]:
        """One call of the real store, with what goes wrong below it."""
        store = self._store(process.run.host if process.role == "execute" else f"{process.role}-{process.run.number}")
        git = store._git
        assert isinstance(git, FaultyGit)
        git.fault = how if how.startswith("lose") else ""
        if how == "lose the answer":  # every second time the look that follows is not answered either
            self._twice = not self._twice
            git.fault = "lose both" if self._twice else how
        answer: object
        try:
            answer = store.read() if call.name == "read" or call.tip is None else store.append(call.parent, call.tip, call.message)
        except DispatchError as error:
            answer = No(error, error.gate)
        git.fault = ""
        try:
            now = self._judge.read()
        except DispatchError:  # what was planted there is no ledger any more: nothing follows it
            return head, answer
        assert now is not None
        return (head if now.commit == head.commit else now), answer

    def planted(self, head: Head) -> Head:
        """On the remote, by plain git."""
        commit = self._judge.append(head.commits[1], head.tip, "attack")
        assert commit is not None
        return replace(head, commit=commit, commits=(commit, *head.commits[1:]))

    def _store(self, name: str) -> GitStore:
        if name not in self._stores:
            store = GitStore(str(self._remote), BRANCH, self._root / f"clone-{name}", sleep=lambda _: None)
            store._git = FaultyGit(str(self._remote), self._root / f"clone-{name}")
            self._stores[name] = store
        return self._stores[name]
