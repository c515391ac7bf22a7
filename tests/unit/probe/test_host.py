from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.buildkit.untrusted import UnreadableError
from orchestrator.probe.host import (
    Handler,
    Handlers,
    elf_architecture,
    free_space,
    parse_git_version,
    parse_handler,
    parse_rule,
    read_handlers,
    read_rules,
)

# As the kernel prints an entry, and as Debian's qemu-user-static writes its rule.
_MAGIC = "7f454c460201010000000000000000000200b700"
_ENTRY = f"enabled\ninterpreter /usr/libexec/qemu\nflags: POCF\noffset 0\nmagic {_MAGIC}\nmask ffffffffffffff00ff\n"
_RULE = (
    r":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/libexec/qemu:OPF"
)
_ARM64 = Handler(name="anything", enabled=True, interpreter="/usr/libexec/qemu", flags="POCF", architecture="arm64")


def _folder(tmp_path: Path, **entries: str) -> Path:
    for name, text in {"register": "", "status": "enabled\n", **entries}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_header_tells_the_architecture_whatever_the_name() -> None:
    """A handler may be called anything."""
    assert parse_handler("anything", _ENTRY) == _ARM64


def test_a_handler_without_flag_f_is_of_no_use_in_containers() -> None:
    """The interpreter would be looked for inside of the container."""
    entry = parse_handler("qemu", _ENTRY.replace("POCF", "POC"))
    assert not Handlers(mounted=True, enabled=True, entries=(entry,)).emulates("arm64")


def test_a_disabled_handler_does_not_emulate() -> None:
    """It is there, and does nothing."""
    entry = parse_handler("qemu", _ENTRY.replace("enabled", "disabled"))
    assert not Handlers(mounted=True, enabled=True, entries=(entry,)).emulates("arm64")


def test_a_handler_for_something_else_has_no_architecture() -> None:
    """Such as python's, or one by file extension."""
    other = [
        parse_handler("python3.11", _ENTRY.replace(_MAGIC, "a70d0d0a")),
        parse_handler("jar", "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n"),
        parse_handler("odd", _ENTRY.replace(_MAGIC, "7f4")),
    ]
    assert {None} == {handler.architecture for handler in other}


def test_the_folder_of_the_kernel_is_read(tmp_path: Path) -> None:
    """Every entry but the two that are no handlers."""
    expected = Handlers(mounted=True, enabled=True, entries=(_ARM64,))
    assert expected == read_handlers(_folder(tmp_path, anything=_ENTRY))


def test_handlers_switched_off_as_a_whole_do_not_emulate(tmp_path: Path) -> None:
    """`status` rules over all entries."""
    folder = _folder(tmp_path, qemu=_ENTRY, status="disabled\n")
    assert not read_handlers(folder).emulates("arm64")


def test_a_folder_that_is_not_mounted_has_no_handlers(tmp_path: Path) -> None:
    """The kernel shows an empty folder then."""
    assert Handlers(mounted=False) == read_handlers(tmp_path)


def test_a_rule_of_the_distribution_is_read() -> None:
    """It can be written to `register` as it is."""
    rule = parse_rule(_RULE)
    assert rule is not None
    assert (rule.name, rule.architecture, rule.line) == ("qemu-aarch64", "arm64", _RULE)


def test_a_rule_without_flag_f_is_given_it() -> None:
    """Otherwise it would be of no use in containers."""
    rule = parse_rule(_RULE.removesuffix("F"))
    assert rule is not None
    assert rule.line == _RULE


@pytest.mark.parametrize("line", ["", "# comment", ":cli:M::MZ::/usr/bin/cli:", ":short:M", ":e:E::jar::/jexec:", ":"])
def test_other_lines_are_no_rules(line: str) -> None:
    """Comments, and rules for what is no ELF program."""
    assert parse_rule(line) is None


def test_only_rules_for_qemu_are_looked_at(tmp_path: Path) -> None:
    """Other packages have rules in the same folder; a rule whose interpreter is gone is no use."""
    there = _RULE.replace("/usr/libexec/qemu", str(tmp_path))
    (tmp_path / "qemu-aarch64.conf").write_text(there + "\n")
    (tmp_path / "qemu-gone.conf").write_text(_RULE.replace("/usr/libexec/qemu", str(tmp_path / "gone")) + "\n")
    (tmp_path / "other.conf").write_text(there.replace("qemu-aarch64", "other") + "\n")
    assert [rule.name for rule in read_rules(tmp_path)] == ["qemu-aarch64"]


@given(st.text(max_size=200), st.binary(max_size=40))
def test_anything_is_read_without_an_error(text: str, header: bytes) -> None:
    """Entries, rules and headers of any content."""
    assert parse_handler("name", text).name == "name"
    assert parse_rule(text) is None or text.strip()
    assert elf_architecture(header) is None or header.startswith(b"\x7fELF")


def test_big_endian_headers_are_read() -> None:
    """The machine's number has the byte order of the file."""
    header = bytes.fromhex("7f454c4602020100000000000000000000020016")
    assert elf_architecture(header) == "s390x"


def test_space_is_told_for_a_folder_that_is_still_to_be_made(tmp_path: Path) -> None:
    """Its nearest ancestor has the same disk."""
    assert free_space(tmp_path / "not" / "yet") is not None


@pytest.mark.parametrize("printed", ["git version 2.39.5\n", "git version 2.39.5 (Apple Git-154)\n"])
def test_versions_of_git(printed: str) -> None:
    """The number, less what vendors add."""
    assert parse_git_version(printed.encode()) == "2.39.5"


def test_something_else_is_no_version_of_git() -> None:
    """A wrapper may print anything."""
    with pytest.raises(UnreadableError):
        parse_git_version(b"xcode-select: error")
