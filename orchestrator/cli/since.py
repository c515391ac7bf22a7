"""`--since REF`: the images that are affected by what changed since REF.

What was declared then is read out of git and resolved as what is declared now: with the same options, variables and
version facts. Where that cannot be done, everything counts as affected, and a warning says so.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

from orchestrator.cli.findings import Findings
from orchestrator.cli.load import Loaded, Taken, load_project
from orchestrator.cli.options import ProjectOptions
from orchestrator.cli.registries import open_asked
from orchestrator.config.lock import LOCK_FILE
from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.errors import ConfigurationError, UsageError, disk_error
from orchestrator.model import Model
from orchestrator.oci.reference import Reference
from orchestrator.plan.affected import (
    Reasons,
    Side,
    Since,
    compare_bases,
    compare_declared,
    explain_files,
    join,
    spread,
)
from orchestrator.plan.bases import BaseFacts, find_bases
from orchestrator.plan.changes import ChangeFinder, Changes, View
from orchestrator.plan.image import Image
from orchestrator.plan.model import Reason
from orchestrator.plan.sources import NeededSources
from orchestrator.plan.standing import pinned_bases
from orchestrator.probe.bases import resolve_bases
from orchestrator.probe.changes import read_changes
from orchestrator.probe.facts import read_version_facts, read_version_file
from orchestrator.probe.oldtree import OldTree
from orchestrator.probe.project import FILE_NAME
from orchestrator.probe.revision import GitReader, Revision, find_revision
from orchestrator.probe.views import Viewer
from orchestrator.tags.facts import GitFacts
from orchestrator.tags.version import VersionFacts, VersionRule, needed_environment, needed_files, needed_matches


class Question(Model):
    """A project and how it was asked for; `asks_registries` what bases are, where that proves more."""

    loaded: Loaded
    options: ProjectOptions
    environment: Mapping[str, str]
    asks_registries: bool = True


def find_since(question: Question, ref: str, findings: Findings) -> Since:
    """Find what is affected since `ref`.

    Raises:
        UsageError: `ref` names no commit, or this clone lacks what is needed of history.
        OrchestratorError: git cannot be asked.
    """
    loaded = question.loaded
    revision = find_revision(GitReader(loaded.root, question.environment), ref)
    git = GitReader(Path(revision.top), question.environment)
    changes = read_changes(git, revision, str(loaded.root))
    declared = loaded.declared
    direct = _compare(question, revision, git, findings)
    if direct is None:
        incomparable = Reason(code="incomparable", message=f"what was declared at {revision.short} cannot be read")
        direct = {image.name: (incomparable,) for image in declared.images}
    else:
        direct = join(direct, _find_files(question, revision, changes, frozenset(direct)))
    return Since(
        ref=ref,
        commit=revision.commit,
        total=len(declared.images),
        affected=spread(direct, declared.edges, declared.order),
    )


def _compare(question: Question, revision: Revision, git: GitReader, findings: Findings) -> Reasons | None:
    """What is declared otherwise; None where what was declared then cannot be read."""
    loaded = question.loaded
    new = Side(images=loaded.declared.images, edges=loaded.declared.edges)
    earlier = Findings()
    with _lay_out(question, revision, git) as past:
        if past is None:
            return compare_declared(Side(images=(), edges=()), new)
        options = structs.replace(question.options, file=past.file)
        taken = Taken(now=loaded.now, host=loaded.host, past=past)
        try:
            old = load_project(options, question.environment, earlier, taken).declared
        except (ConfigurationError, UsageError) as error:
            findings.add((_warn(revision, earlier, error),))
            return None
    return join(
        compare_declared(Side(images=old.images, edges=old.edges), new),
        compare_bases(
            old.lock,
            loaded.declared.lock,
            lambda: find_bases(loaded.declared.images, loaded.declared.edges, loaded.reader, loaded.host),
        ),
    )


@contextmanager
def _lay_out(question: Question, revision: Revision, git: GitReader) -> Iterator[_LaidOut | None]:
    """The commit, laid out in a folder that has the name of the repository's; None where it has no such root file."""
    name = question.options.file.name if question.options.file else FILE_NAME
    inner = os.path.relpath(question.loaded.root, revision.top)
    try:
        with TemporaryDirectory(prefix="orchestrate-") as temporary:
            folder = Path(os.path.realpath(temporary), Path(revision.top).name or "project")
            folder.mkdir()
            tree = OldTree(git, revision, folder)
            files = (posixpath.normpath(posixpath.join(inner, one)) for one in (name, LOCK_FILE))
            yield _LaidOut(tree, question, inner, name) if tree.lay_out_project(*files) else None
    except OSError as error:
        raise disk_error(error) from error


class _LaidOut:
    """A commit as `load_project` reads it: `Past`."""

    def __init__(self, tree: OldTree, question: Question, inner: str, name: str) -> None:
        self.file = tree.folder / inner / name
        self._tree = tree
        self._question = question
        self._inner = inner

    def version_facts(self, rules: tuple[VersionRule, ...]) -> VersionFacts:
        """Git and environment as now. A file is as it was then, and as it is now where git did not know it then."""
        loaded = self._question.loaded
        environment = self._question.environment
        paths = tuple(path for rule in rules for path in needed_files(rule))
        self._tree.lay_out_known(map(self._of_top, paths))
        git = loaded.facts.git
        told = {described.match for described in git.described} if isinstance(git, GitFacts) else set()
        if not told.issuperset(match for rule in rules for match in needed_matches(rule)):
            git = read_version_facts(loaded.root, rules, environment).git
        names = (name for rule in rules for name in needed_environment(rule))
        return VersionFacts(
            git=git,
            environment={name: environment[name] for name in names if name in environment},
            files={path: read_version_file(self.file.parent, path) for path in paths},
        )

    def lay_out(self, needed: NeededSources) -> None:
        """Lay out Dockerfiles and folders."""
        self._tree.lay_out_folders(map(self._of_top, needed.folders))
        self._tree.lay_out_known(map(self._of_top, needed.dockerfiles))

    def _of_top(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self._inner, path))


def _warn(revision: Revision, earlier: Findings, error: ConfigurationError | UsageError) -> Diagnostic:
    wrong = next((one.message for one in earlier.resolved() if one.severity is Severity.ERROR), error.message)
    return Diagnostic(
        code="since-unreadable",
        message=f"what was declared at {revision.short} cannot be read, so everything counts as affected: {wrong}",
        severity=Severity.WARNING,
        hints=("name a later commit, or leave `--since` out",),
    )


def _find_files(question: Question, revision: Revision, changes: Changes, known: frozenset[str]) -> Reasons:
    """The images that see files which changed. Where more could be proven with facts of bases, registries are asked."""
    loaded = question.loaded
    declared = loaded.declared
    finder = ChangeFinder(changes)
    viewer = Viewer(declared.images, declared.edges, loaded.reader, top=revision.top, root=str(loaded.root))
    near = [image for image in declared.images if viewer.may_see(image, finder)]
    views = viewer.view(near, {}, loaded.host)
    doubtful = [image for image in near if image.name not in known and _is_doubtful(views[image.name], finder)]
    views |= {name: tuple(map(_certain, views[name])) for name in known & views.keys()}
    if doubtful:
        views |= viewer.view(doubtful, _read_bases(question, doubtful), loaded.host)
    found = {name: tuple(explain_files(finder.find(several))) for name, several in views.items()}
    return {name: reasons for name, reasons in found.items() if reasons}


def _is_doubtful(views: Iterable[View], finder: ChangeFinder) -> bool:
    """Whether it is affected only as far as nobody knows what it takes of a folder."""
    views = tuple(views)
    return finder.find(views) != finder.find(map(_certain, views))


def _certain(view: View) -> View:
    """What is seen for certain."""
    return structs.replace(view, folders=tuple(folder for folder in view.folders if folder.paths is not None))


def _read_bases(question: Question, images: list[Image]) -> Mapping[Reference, BaseFacts]:
    """What is known of the bases of these images: whether they have triggers that take files."""
    loaded = question.loaded
    edges = loaded.declared.edges
    bases = (
        *find_bases(images, edges, loaded.reader, loaded.host),
        *pinned_bases(images, edges, loaded.reader, {}),
    )
    if question.options.offline or not question.asks_registries:
        return resolve_bases(bases, loaded.declared.lock, root=loaded.root, open_store=None)[0]
    with open_asked(loaded.root, question.environment) as open_store:
        return resolve_bases(bases, loaded.declared.lock, root=loaded.root, open_store=open_store)[0]
